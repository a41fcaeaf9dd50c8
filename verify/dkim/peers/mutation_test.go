package peers

import (
	"cmp"
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/message"
)

// A mail is a signed message in parts, and the key records it is verified with, by name.
type mail struct {
	fields []string // with their CRLF
	body   string
	keys   map[string]string
}

const (
	rsaName = "rsa._domainkey.example.com"
	edName  = "ed._domainkey.example.com"
)

// parse splits a message.
func parse(text string, keys map[string]string) mail {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	m := mail{body: body, keys: keys}
	for line := range strings.SplitAfterSeq(head+"\r\n", "\r\n") {
		switch {
		case line == "":
		case line[0] == ' ' || line[0] == '\t':
			m.fields[len(m.fields)-1] += line
		default:
			m.fields = append(m.fields, line)
		}
	}
	return m
}

// text returns the message.
func (m mail) text() string { return strings.Join(m.fields, "") + "\r\n" + m.body }

// find returns the index of the first field with that name, -1 if there is none.
func (m mail) find(name string) int {
	return slices.IndexFunc(m.fields, func(f string) bool {
		return len(f) > len(name) && strings.EqualFold(f[:len(name)], name) && strings.IndexByte(": \t", f[len(name)]) >= 0
	})
}

// edit applies a change to the first field of that name.
func edit(name string, change func(string) string) func(*mail) {
	return func(m *mail) {
		if i := m.find(name); i >= 0 {
			m.fields[i] = change(m.fields[i])
		}
	}
}

// swap replaces text in the first field of that name, once.
func swap(name, old, new string) func(*mail) {
	return edit(name, func(f string) string { return strings.Replace(f, old, new, 1) })
}

// record applies a change to the RSA key record.
func record(change func(string) string) func(*mail) {
	return func(m *mail) { m.keys[rsaName] = change(m.keys[rsaName]) }
}

// tag replaces text in the RSA key record.
func tag(old, new string) func(*mail) {
	return record(func(s string) string { return strings.Replace(s, old, new, 1) })
}

// body applies a change to the body.
func body(change func(string) string) func(*mail) { return func(m *mail) { m.body = change(m.body) } }

// top and end add a field.
func top(field string) func(*mail) {
	return func(m *mail) { m.fields = slices.Insert(m.fields, 0, field+"\r\n") }
}

func end(field string) func(*mail) {
	return func(m *mail) { m.fields = append(m.fields, field+"\r\n") }
}

// refold writes a field in another folding.
func refold(f string) string {
	name, value, _ := strings.Cut(f, ":")
	words := strings.Fields(value)
	return name + ":  " + strings.Join(words, "\r\n \t ") + " \t\r\n"
}

const signature = "DKIM-Signature"

// mutations are what happens to mail on its way, by accident or by intent.
var mutations = []struct {
	name  string
	apply func(*mail)
}{
	{"nothing", func(*mail) {}},

	{"name in capitals", edit("Subject", func(f string) string { return "SUBJECT" + f[7:] })},
	{"name in lower case", edit("From", func(f string) string { return "from" + f[4:] })},
	{"blank before the colon", edit("Subject", func(f string) string { return "Subject " + f[7:] })},
	{"refolded", edit("Subject", refold)},
	{"refolded To", edit("To", refold)},
	{"blanks at the end", edit("Subject", func(f string) string { return f[:len(f)-2] + " \t \r\n" })},
	{"tabs for blanks", edit("Subject", func(f string) string { return strings.ReplaceAll(f, " ", "\t") })},
	{"two blanks for one", edit("Subject", func(f string) string { return strings.ReplaceAll(f, " ", "  ") })},
	{"blank taken out", edit("Subject", func(f string) string { return strings.ReplaceAll(f, "word ", "word") })},
	{"other subject", edit("Subject", func(f string) string { return "Subject: another\r\n" })},
	{"subject in capitals", edit("Subject", strings.ToUpper)},
	{"line of blanks in a field", edit("Subject", func(f string) string { return f + " \t\r\n" })},
	{"From on top", top("From: evil@example.net")},
	{"From at the end", end("From: evil@example.net")},
	{"Subject on top", top("Subject: evil")},
	{"Subject at the end", end("Subject: evil")},
	{"X-None on top", top("X-None: evil")},
	{"Received on top", top("Received: from a by b; Tue, 14 Nov 2023 22:00:00 +0000")},
	{"empty field on top", top("X-Empty:")},
	{"To taken out", func(m *mail) {
		m.fields = slices.DeleteFunc(m.fields, func(f string) bool { return strings.HasPrefix(f, "To:") })
	}},
	{"order of names", func(m *mail) { m.fields = append(m.fields[1:], m.fields[0]) }},
	{"order reversed", func(m *mail) { slices.Reverse(m.fields) }},
	{"second signature is a copy", func(m *mail) { m.fields = slices.Insert(m.fields, 0, m.fields[0]) }},
	{"second signature is junk", top("DKIM-Signature: junk")},
	{"second signature is empty", top("DKIM-Signature:")},
	{"second signature lacks a key", top("DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=no; h=from; bh=YQ==; b=YQ==")},

	{"signature refolded", edit(signature, func(f string) string { return strings.ReplaceAll(f, "; ", ";\r\n\t") })},
	{"signature on one line", edit(signature, func(f string) string {
		for _, fold := range []string{"\r\n\t", "\r\n ", "\r\n"} {
			f = strings.ReplaceAll(f, fold, map[bool]string{true: "", false: " "}[fold == "\r\n"])
		}
		return strings.TrimRight(f, " ") + "\r\n"
	})},
	{"signature with blanks around =", edit(signature, func(f string) string { return strings.ReplaceAll(f, "; s=", "; s = ") })},
	{"b= folded", edit(signature, func(f string) string {
		i := strings.LastIndex(f, "b=") + 20
		return f[:i] + "\r\n\t  " + f[i:]
	})},
	{"b= with an octet changed", edit(signature, func(f string) string {
		i := strings.LastIndex(f, "b=") + 20
		return f[:i] + map[bool]string{true: "B", false: "A"}[f[i] == 'A'] + f[i+1:]
	})},
	{"b= cut", edit(signature, func(f string) string { return f[:strings.LastIndex(f, "b=")+20] + "\r\n" })},
	{"b= empty", edit(signature, func(f string) string { return f[:strings.LastIndex(f, "b=")+2] + "\r\n" })},
	{"semicolon at the end", edit(signature, func(f string) string { return f[:len(f)-2] + ";\r\n" })},
	{"blank at the end", edit(signature, func(f string) string { return f[:len(f)-2] + " \r\n" })},
	{"tag added", edit(signature, func(f string) string { return f[:len(f)-2] + "; x=9999999999\r\n" })},
	{"name of the signature in capitals", edit(signature, func(f string) string { return strings.ToUpper(f[:14]) + f[14:] })},
	{"d= in capitals", swap(signature, "d=example.com", "d=EXAMPLE.com")},
	{"s= in capitals", swap(signature, "s=rsa", "s=RSA")},
	{"another d=", swap(signature, "d=example.com", "d=example.net")},
	{"version 2", swap(signature, "v=1", "v=2")},

	{"line of text added", body(func(b string) string { return b + "more\r\n" })},
	{"empty lines added", body(func(b string) string { return b + "\r\n\r\n\r\n" })},
	{"blank lines added", body(func(b string) string { return b + " \r\n\t\r\n" })},
	{"empty lines taken away", body(func(b string) string { return strings.TrimRight(b, "\r\n") + "\r\n" })},
	{"last line end taken away", body(func(b string) string { return strings.TrimSuffix(b, "\r\n") })},
	{"empty line on top", body(func(b string) string { return "\r\n" + b })},
	{"blank at the end of a line", body(func(b string) string { return strings.Replace(b, "\r\n", " \r\n", 1) })},
	{"tab at the end of all lines", body(func(b string) string { return strings.ReplaceAll(b, "\r\n", "\t\r\n") })},
	{"blank becomes tab", body(func(b string) string { return strings.ReplaceAll(b, " ", "\t") })},
	{"blank becomes two", body(func(b string) string { return strings.ReplaceAll(b, " ", "  ") })},
	{"blank at the beginning", body(func(b string) string { return " " + b })},
	{"word changed", body(func(b string) string { return strings.Replace(b, "word", "wort", 1) })},
	{"no body", body(func(string) string { return "" })},
	{"body of one empty line", body(func(string) string { return "\r\n" })},
	{"8-bit octet changed", body(func(b string) string { return strings.ReplaceAll(b, "\xe4", "a") })},
	{"CR in a line", body(func(b string) string { return strings.Replace(b, "word", "wo\rd", 1) })},

	{"no key", func(m *mail) { clear(m.keys) }},
	{"key revoked", record(func(string) string { return "v=DKIM1; p=" })},
	{"empty key record", record(func(string) string { return "v=DKIM1" })},
	{"key without v=", tag("v=DKIM1; ", "")},
	{"key with v= last", record(func(s string) string { return strings.TrimPrefix(s, "v=DKIM1; ") + "; v=DKIM1" })},
	{"key of another version", tag("DKIM1", "DKIM2")},
	{"key version in lower case", tag("DKIM1", "dkim1")},
	{"key type in capitals", tag("k=rsa", "k=RSA")},
	{"key of another type", tag("k=rsa", "k=ed25519")},
	{"key without k=", tag("k=rsa; ", "")},
	{"key in test mode", tag("k=rsa", "k=rsa; t=y")},
	{"key for the domain itself", tag("k=rsa", "k=rsa; t=s")},
	{"key for y and s", tag("k=rsa", "k=rsa; t=y : s")},
	{"key for SHA-1", tag("k=rsa", "k=rsa; h=sha1")},
	{"key for SHA-256", tag("k=rsa", "k=rsa; h=sha256")},
	{"key for both", tag("k=rsa", "k=rsa; h=sha1 : sha256")},
	{"key for email", tag("k=rsa", "k=rsa; s=email")},
	{"key for all services", tag("k=rsa", "k=rsa; s=*")},
	{"key for another service", tag("k=rsa", "k=rsa; s=tlsrpt")},
	{"key for email and others", tag("k=rsa", "k=rsa; s=tlsrpt:email")},
	{"key with a note", tag("k=rsa", "k=rsa; n=a note, with things =3D")},
	{"key with granularity", tag("k=rsa", "k=rsa; g=*")},
	{"key with an unknown tag", tag("k=rsa", "k=rsa; z_1=1")},
	{"key with a semicolon at the end", record(func(s string) string { return s + ";" })},
	{"key with blanks at the end", record(func(s string) string { return s + " ; " })},
	{"key with a blank in p=", tag("p=MIIB", "p=MI IB")},
	{"key with a tab in p=", tag("p=MIIB", "p=MI\tIB")},
	{"key with two p=", record(func(s string) string { return s + "; p=" })},
	{"key with two k=", tag("k=rsa", "k=rsa; k=rsa")},
	{"key with an empty tag", tag("k=rsa", "k=rsa;")},
	{"key cut", record(func(s string) string { return s[:len(s)-30] })},
	{"key is no key", record(func(string) string { return "v=spf1 -all" })},
	{"key is text", record(func(string) string { return "something else" })},
}

// verify notes which signatures pass, from the top, as the peers print it. Local policy is as lenient as it can be.
func (x *trial) verify(t *testing.T) {
	t.Helper()
	envelope := message.Envelope{ReceivedAt: time.Now()}
	m, err := message.Read(strings.NewReader(x.mail.text()), envelope, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	opt := dkim.Options{Duplicates: dkim.DuplicatesAccept, Length: dkim.LengthAccept}
	vs := dkim.Verify(context.Background(), names{keys: x.mail.keys}, m, opt)
	slices.SortStableFunc(vs, func(a, b dkim.Verification) int { return cmp.Compare(a.FieldNth, b.FieldNth) })
	x.ours = "-"
	for i, v := range vs {
		x.ed = append(x.ed, v.Algorithm == "ed25519-sha256")
		x.ours = x.ours[:i] + map[bool]string{true: "1", false: "0"}[v.Result == authres.Pass]
		x.why += fmt.Sprintf("%s %s; ", v.Result, v.Reason)
	}
}

// names has a record at some names.
type names struct {
	dns.Resolver
	keys map[string]string
}

func (n names) LookupTXT(_ context.Context, name string) (a dns.Answer[string], err error) {
	if r, ok := n.keys[name]; ok {
		a.Records = []string{r}
		return a, nil
	}
	return a, dns.ErrNXDomain
}

// originals returns messages of shapes on which canonicalization depends, all with CRLF.
func originals(n int) []string {
	out := make([]string, n)
	for i := range out {
		r := mathrand.New(mathrand.NewPCG(uint64(i), 11))
		pick := func(of ...string) string { return of[r.IntN(len(of))] }
		var b strings.Builder
		b.WriteString("Received: from a by b;\r\n\tTue, 14 Nov 2023 22:00:00 +0000\r\n")
		b.WriteString("From: " + pick("Alice  <alice@example.com>", "alice@example.com", "=?utf-8?q?Al?=\r\n <alice@example.com>") + "\r\n")
		b.WriteString("To:" + pick(" ", "", "\t") + "bob@example.org" + pick("", ",\r\n  carol@example.org") + "\r\n")
		b.WriteString("Subject: " + pick("a word and another", "word  word\r\n\tword ", "w\xc3\xb6rd word \t word") + "\r\n")
		b.WriteString("X-Other: " + pick("b=; c=d", "a;b") + "\r\nX-Other: 2\r\n\r\n")
		for range r.IntN(8) {
			b.WriteString(pick("a word ", "word\r\n", "\r\n", " \r\n", "two  words\t\r\n", "sch\xe4n ", ".\r\n"))
		}
		b.WriteString(pick("the end\r\n", "the end\r\n\r\n\r\n", "end \t \r\n", "\r\n"))
		out[i] = b.String()
	}
	return out
}

// signedMail returns messages that dkimpy, Mail::DKIM and go-msgauth have signed.
func signedMail(t *testing.T, keys []signer, peers []peer) []string {
	texts := originals(12)
	var out []string
	for _, p := range peers {
		out = append(out, signedBy(t, p, keys, texts)...)
	}
	forms := []msgauth.Canonicalization{msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed}
	for i, text := range texts {
		opt := &msgauth.SignOptions{
			Domain: "example.com", Selector: "rsa", Signer: keys[0].key, Expiration: time.Now().Add(time.Hour),
			HeaderCanonicalization: forms[i&1], BodyCanonicalization: forms[i>>1&1],
			HeaderKeys: []string{"From", "From", "Subject", "To", "X-Other", "X-None"},
		}
		if i%3 == 2 {
			opt.Selector, opt.Signer = "ed", keys[1].key
		}
		var b strings.Builder
		if err := msgauth.Sign(&b, strings.NewReader(text), opt); err != nil {
			t.Fatal(err)
		}
		out = append(out, b.String())
	}
	return out
}
