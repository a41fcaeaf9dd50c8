package arc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/message"
	"assay/verify/vectors"
)

// records is a resolver that knows some TXT records.
type records map[string]string

var errServer = fmt.Errorf("%w: SERVFAIL", dns.ErrTemporary)

func (r records) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	switch v, ok := r[name]; {
	case !ok:
		return dns.Answer[string]{}, dns.ErrNXDomain
	case v == "SERVFAIL":
		return dns.Answer[string]{}, errServer
	default:
		return dns.Answer[string]{Records: []string{v}}, nil
	}
}

var errUnexpected = errors.New("a question that ARC does not ask")

func (records) LookupIP(context.Context, string, string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, errUnexpected
}

func (records) LookupMX(context.Context, string) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{}, errUnexpected
}

func (records) LookupPTR(context.Context, netip.Addr) (dns.Answer[string], error) {
	return dns.Answer[string]{}, errUnexpected
}

// read returns a message from its text, LF or CRLF.
func read(t testing.TB, text string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(text), message.Envelope{ReceivedAt: time.Unix(1500000000, 0)}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// A suite is one group of the ValiMail ARC test suite.
type suite struct {
	Description string
	Records     map[string]string `json:"txt-records"`
	Tests       map[string]struct {
		Description string
		Message     string
		CV          string
	}
}

func suites(t *testing.T) []suite {
	data, err := os.ReadFile(vectors.Path(t, "auth/arc-valimail/arc-validation-tests.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []suite
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// The tests whose expectation the RFCs contradict, with what they ask for and why.
var disputed = map[string]struct {
	want authres.Result
	why  string
}{
	"ams_fields_c_na": {authres.Fail, "The message signature has no c=. RFC 8617 Section 4.1.2 takes over the syntax and " +
		"semantics of DKIM-Signature, and RFC 6376 Section 3.5 makes simple/simple the default of c=. The signature of this " +
		"test was made with relaxed/relaxed, so it does not verify. Mail::DKIM's copy of the suite expects fail, too."},
}

// TestValiMail runs the ARC test suite of ValiMail. An empty cv means that the chain had failed before: a sealer adds
// nothing to it, and a verifier finds it failed.
func TestValiMail(t *testing.T) {
	run := 0
	for _, group := range suites(t) {
		for name, test := range group.Tests {
			run++
			want := authres.Result(strings.ToLower(test.CV))
			if want == "" {
				want = authres.Fail
			}
			if d, ok := disputed[name]; ok {
				want = d.want
			}
			v := Verify(t.Context(), records(group.Records), read(t, test.Message), Options{Explain: true})
			if v.Result != want {
				t.Errorf("%s: %s: %q, want %q: %s", group.Description, name, v.Result, want, v.Reason)
			}
			if len(v.Steps) == 0 || v.Reason == "" && v.Result != authres.Pass {
				t.Errorf("%s: %s: %q is not explained", group.Description, name, v.Result)
			}
		}
	}
	if run != 125 {
		t.Errorf("%d tests, want 125", run)
	}
}
