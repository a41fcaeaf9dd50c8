package dkim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"assay/verify/dns"
	"assay/verify/message"
)

// readFile returns the content of a file.
func readFile(t testing.TB, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// records is a resolver that knows the TXT records of some names, and errors for others.
type records map[string]any // string, []string, error or func(context.Context) error

var errServer = fmt.Errorf("%w: SERVFAIL", dns.ErrTemporary)

func (r records) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	var a dns.Answer[string]
	switch v := r[name].(type) {
	case string:
		a.Records = []string{v}
	case []string:
		a.Records = v
	case error:
		return a, v
	case func(context.Context) error:
		return a, v(ctx)
	default:
		return a, dns.ErrNXDomain
	}
	return a, nil
}

var errUnexpected = errors.New("a question that DKIM does not ask")

func (records) LookupIP(context.Context, string, string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, errUnexpected
}

func (records) LookupMX(context.Context, string) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{}, errUnexpected
}

func (records) LookupPTR(context.Context, netip.Addr) (dns.Answer[string], error) {
	return dns.Answer[string]{}, errUnexpected
}

// counting counts the questions to a resolver.
type counting struct {
	dns.Resolver
	n atomic.Int64
}

func (c *counting) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	c.n.Add(1)
	return c.Resolver.LookupTXT(ctx, name)
}

// at is the instant at which tests verify.
var at = time.Unix(1700000000, 0).UTC()

// read returns a message from its text, with LF or CRLF.
func read(t testing.TB, text string, at time.Time) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(text), message.Envelope{ReceivedAt: at}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// header returns the fields of a header section with CRLF, octet by octet.
func header(text string) message.Header {
	var h message.Header
	seen := map[string]int{}
	for _, line := range strings.SplitAfter(text, "\r\n") {
		if line == "" {
			continue
		}
		if n := len(h); n > 0 && (line[0] == ' ' || line[0] == '\t') {
			h[n-1].Raw = append(h[n-1].Raw, line...)
			continue
		}
		name, _, _ := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t")
		seen[strings.ToLower(name)]++
		h = append(h, message.Field{Name: name, Raw: []byte(line), Nth: seen[strings.ToLower(name)]})
	}
	return h
}

// crlf replaces LF by CRLF.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// verifyParts verifies a header and a body that comes in chunks of at most size octets.
func verifyParts(t testing.TB, r dns.Resolver, h message.Header, body []byte, size int, opt Options) []Verification {
	t.Helper()
	b := NewBodies()
	run := Start(context.Background(), r, h, at, opt, b)
	for chunk := range slices.Chunk(body, size) {
		b.Write(bytes.Clone(chunk))
	}
	return run.Finish()
}

// inOrder returns the outcomes in header order.
func inOrder(vs []Verification) []Verification {
	return slices.SortedStableFunc(slices.Values(vs), func(a, b Verification) int { return cmp.Compare(a.FieldNth, b.FieldNth) })
}
