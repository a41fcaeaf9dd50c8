package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/spf"
	"assay/verify/vectors"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is different:\n%s", path, got)
	}
}

// realistic returns the report of a day about a domain with a newsletter, a mailing list and a forger.
func realistic(t testing.TB) Report {
	t.Helper()
	record := "v=DMARC1; p=quarantine; sp=reject; adkim=s; fo=1; ruf=mailto:f@example.com; rua=mailto:dmarc@example.com"
	ev := dmarc.Evaluation{
		Result: authres.Pass, Domain: "example.com", OrgDomain: "example.com", PolicyDomain: "example.com", Record: record,
		Published: "quarantine", Policy: "quarantine", StrictDKIM: true, DKIMAligned: true, DKIMDomain: "example.com", Discovery: "treewalk",
	}
	own := Input{
		ClientIP: netip.MustParseAddr("2001:db8::25"), MailFrom: "bounce@example.com", Evaluation: ev,
		SPF:  []spf.Verification{{Identity: spf.MailFrom, Result: authres.Pass, Domain: "example.com"}},
		DKIM: []dkim.Verification{{Result: authres.Pass, Domain: "example.com", Selector: "2026a"}},
	}
	own.Evaluation.SPFAligned = true
	news := own
	news.ClientIP, news.MailFrom = netip.MustParseAddr("198.51.100.7"), "b-77@bounces.esp.example"
	news.Evaluation.SPFAligned = false
	news.SPF = []spf.Verification{{Identity: spf.MailFrom, Result: authres.Pass, Domain: "bounces.esp.example"}}
	news.DKIM = append([]dkim.Verification{{Result: authres.Pass, Domain: "esp.example", Selector: "k1"}}, own.DKIM...)
	list := news
	list.ClientIP, list.MailFrom = netip.MustParseAddr("203.0.113.9"), "list-bounces@lists.example.org"
	list.Evaluation.Result, list.Evaluation.DKIMAligned, list.Evaluation.DKIMDomain = authres.Fail, false, ""
	list.Evaluation.Policy, list.Evaluation.Override = "none", dmarc.OverrideTrustedForwarder
	list.Evaluation.Overrider = "lists.example.org"
	list.SPF = []spf.Verification{{Identity: spf.MailFrom, Result: authres.Pass, Domain: "lists.example.org"}}
	list.DKIM = []dkim.Verification{{Result: authres.Fail, Domain: "example.com", Selector: "2026a", Reason: "the body has changed"}}
	forger := list
	forger.ClientIP, forger.MailFrom = netip.MustParseAddr("192.0.2.200"), ""
	forger.Evaluation.Domain, forger.Evaluation.Published, forger.Evaluation.Policy = "pay.example.com", "reject", "reject"
	forger.Evaluation.Override, forger.Disposition, forger.DKIM = "", Reject, nil
	forger.SPF = []spf.Verification{{Identity: spf.MailFrom, Result: authres.Fail, Domain: "forger.example", Mechanism: "-all"}}

	r := Report{Metadata: Metadata{
		OrgName: "Beispiel & Söhne GmbH", Email: "postmaster@receiver.example", ExtraContact: "https://receiver.example/dmarc",
		Period: Day(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), Generator: "Assay 1.0",
		Errors: []string{"tag ignored: pct=100", "tag ignored: <b>"},
	}}
	for i, in := range []Input{own, news, list, forger} {
		row, ok := NewRow(in)
		if !ok {
			t.Fatalf("no row for %d", i)
		}
		r.Records = append(r.Records, Record{row, int64(1000 / (i + 1))})
		r.Policy = row.Policy
	}
	r.Metadata.ID = NewID("mx.receiver.example", r.Policy.Domain, r.Metadata.Period, "")
	return r
}

// document returns the document of a report.
func document(t testing.TB, r Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteXML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriteXML(t *testing.T) { golden(t, "report.xml", document(t, realistic(t))) }

// TestWriteXMLOrder shows that the document does not depend on the order of the records, and that it has one record for
// each tuple, even if the policy changed within the period.
func TestWriteXMLOrder(t *testing.T) {
	r := realistic(t)
	want := document(t, r)
	slices.Reverse(r.Records)
	half := r.Records[1]
	half.Count /= 2
	r.Records[1].Count -= half.Count
	half.Row.Policy.P = "none"
	r.Records = append(r.Records, half)
	before := fmt.Sprintf("%+v", r.Records)
	if got := document(t, r); !bytes.Equal(got, want) {
		t.Errorf("%s", got)
	}
	if fmt.Sprintf("%+v", r.Records) != before {
		t.Error("the records of the caller have changed")
	}
}

// TestWriteXMLRefuses shows what a document has no place for. Nothing of it is written.
func TestWriteXMLRefuses(t *testing.T) {
	for want, edit := range map[string]func(*Report){
		"report: there are no records":                             func(r *Report) { r.Records = nil },
		"report: the name of the organization is missing":          func(r *Report) { r.Metadata.OrgName = " \n" },
		"report: the address of the organization is missing":       func(r *Report) { r.Metadata.Email = "" },
		`report: "" is not a Report-ID`:                            func(r *Report) { r.Metadata.ID = "" },
		`report: "a b" is not a Report-ID`:                         func(r *Report) { r.Metadata.ID = "a b" },
		"report: no period: 2026-11-21 00:00:00 +0000 UTC to 2026": func(r *Report) { r.Metadata.Period.End = r.Metadata.Period.Begin },
		"report: policy: there is none":                            func(r *Report) { r.Policy = Policy{} },
		`report: policy: policy "burn"`:                            func(r *Report) { r.Policy.NP = "burn" },
		`report: policy: alignment "r", ""`:                        func(r *Report) { r.Policy.ADKIM, r.Policy.ASPF = "r", "" },
		`report: policy: discovery "guess"`:                        func(r *Report) { r.Policy.Discovery = "guess" },
		`report: policy: domain "Example.com"`:                     func(r *Report) { r.Policy.Domain = "Example.com" },
		"report: record 1: count of 0":                             func(r *Report) { r.Records[0].Count = 0 },
		"report: record 2: address invalid IP":                     func(r *Report) { r.Records[1].Row.SourceIP = netip.Addr{} },
		"report: record 2: address ::ffff:1.2.3.4":                 func(r *Report) { r.Records[1].Row.SourceIP = netip.MustParseAddr("::ffff:1.2.3.4") },
		`report: record 1: disposition ""`:                         func(r *Report) { r.Records[0].Row.Disposition = "" },
		`report: record 1: domain ""`:                              func(r *Report) { r.Records[0].Row.HeaderFrom = "" },
		`report: record 1: domain "<x>"`:                           func(r *Report) { r.Records[0].Row.EnvelopeFrom = "<x>" },
		`report: record 1: reason "forwarded"`:                     func(r *Report) { r.Records[0].Row.Reasons = []Reason{{Type: "forwarded"}} },
		`report: record 1: selector ""`:                            func(r *Report) { r.Records[0].Row.Signatures[0].Selector = "" },
		`report: record 1: DKIM result "softfail"`:                 func(r *Report) { r.Records[0].Row.Signatures[0].Result = authres.SoftFail },
		`report: record 1: SPF result ""`:                          func(r *Report) { r.Records[0].Row.MailFrom.Result = "" },
		`report: record 1: domain "a b"`:                           func(r *Report) { r.Records[0].Row.MailFrom.Domain = "a b" },
		"report: record 1: 101 signatures":                         func(r *Report) { r.Records[0].Row.Signatures = make([]Signature, 101) },
	} {
		r := realistic(t)
		edit(&r)
		var b bytes.Buffer
		if err := WriteXML(&b, r); err == nil || !strings.HasPrefix(err.Error(), want) || b.Len() > 0 {
			t.Errorf("%v, %d octets, want %s", err, b.Len(), want)
		}
	}
}

// A narrow writer takes some octets only.
type narrow int

var errFull = errors.New("no space")

func (n *narrow) Write(b []byte) (int, error) {
	if *n -= narrow(len(b)); *n < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteXMLFull(t *testing.T) {
	r := realistic(t)
	size := len(document(t, r))
	for room := 0; room < size; room += 7 {
		n := narrow(room)
		if err := WriteXML(&n, r); !errors.Is(err, errFull) {
			t.Fatalf("%d of %d octets: %v", room, size, err)
		}
	}
}

// A tree is an XML element as both readers below see it.
type tree struct {
	Name string
	Text string
	Kids []tree
}

// readTree reads a document with encoding/xml, and expects no attributes.
func readTree(t testing.TB, text []byte) tree {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(text))
	stack := []tree{{}}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Space != namespace || len(token.Attr) > 0 && len(stack) > 1 {
				t.Fatalf("%+v\n%s", token, text)
			}
			stack = append(stack, tree{Name: token.Name.Local})
		case xml.CharData:
			stack[len(stack)-1].Text += string(token)
		case xml.EndElement:
			done := stack[len(stack)-1]
			if len(done.Kids) > 0 {
				done.Text = ""
			}
			stack = stack[:len(stack)-1]
			up := &stack[len(stack)-1]
			up.Kids = append(up.Kids, done)
		}
	}
	if len(stack[0].Kids) != 1 {
		t.Fatalf("%+v", stack[0])
	}
	return stack[0].Kids[0]
}

// expect returns the tree that a report has to be, written once more from RFC 9990 and not from the code.
func expect(r Report) tree {
	leaf := func(name, text string) tree { return tree{Name: name, Text: text} }
	node := func(name string, kids ...tree) tree {
		return tree{Name: name, Kids: slices.DeleteFunc(kids, func(k tree) bool { return k.Text == "" && k.Kids == nil && k.Name != "auth_results" })}
	}
	verdict := map[bool]string{true: "pass", false: "fail"}
	m, p := r.Metadata, r.Policy
	out := node("feedback", leaf("version", "1.0"),
		node("report_metadata", leaf("org_name", clean(m.OrgName, 200)), leaf("email", clean(m.Email, 254)),
			leaf("extra_contact_info", clean(m.ExtraContact, 1000)), leaf("report_id", m.ID),
			node("date_range", leaf("begin", fmt.Sprint(m.Period.Begin.Unix())), leaf("end", fmt.Sprint(m.Period.End.Unix()-1))),
			leaf("error", clean(strings.Join(m.Errors, "; "), 1000)), leaf("generator", clean(m.Generator, 200))),
		node("policy_published", leaf("domain", p.Domain), leaf("p", string(p.P)), leaf("sp", string(p.SP)), leaf("np", string(p.NP)),
			leaf("adkim", p.ADKIM), leaf("aspf", p.ASPF), leaf("discovery_method", p.Discovery), leaf("fo", p.FO),
			leaf("testing", map[bool]string{true: "y", false: "n"}[p.Testing])))
	for _, record := range merge(r.Records) {
		row := record.Row
		evaluated := []tree{leaf("disposition", string(row.Disposition)), leaf("dkim", verdict[row.DKIM]), leaf("spf", verdict[row.SPF])}
		for _, reason := range row.Reasons {
			evaluated = append(evaluated, node("reason", leaf("type", reason.Type), leaf("comment", reason.Comment)))
		}
		var results []tree
		for _, s := range row.Signatures {
			results = append(results, node("dkim", leaf("domain", s.Domain), leaf("selector", s.Selector),
				leaf("result", string(s.Result)), leaf("human_result", s.Human)))
		}
		if s := row.MailFrom; s != nil {
			results = append(results, node("spf", leaf("domain", s.Domain), leaf("scope", "mfrom"), leaf("result", string(s.Result)),
				leaf("human_result", s.Human)))
		}
		out.Kids = append(out.Kids, node("record",
			node("row", leaf("source_ip", row.SourceIP.String()), leaf("count", fmt.Sprint(record.Count)), node("policy_evaluated", evaluated...)),
			node("identifiers", leaf("header_from", row.HeaderFrom), leaf("envelope_from", row.EnvelopeFrom)),
			tree{Name: "auth_results", Kids: results}))
	}
	return out
}

// trim removes the white space between elements, which is no content.
func trim(t tree) tree {
	if strings.TrimSpace(t.Text) == "" {
		t.Text = ""
	}
	for i := range t.Kids {
		t.Kids[i] = trim(t.Kids[i])
	}
	return t
}

// hostile are strings that senders and domain owners could try.
func hostile() []string {
	return []string{
		"", "a", "example.com", "bob@example.com", "]]>", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;", "&amp;&#0;&#x1f;",
		"<script>alert(1)</script>", "\x00\x01\x1b[31m", "\xff\xfe\xc0\x80", "\xed\xa0\x80", "\ufffe\uffff", "a\r\nb\r\n\r\nc", "\u202ecba",
		"<?xml version='1.0'?>", "<!--", "-->", "müller.example", "日本.example", "xn--mller-kva.example", strings.Repeat("x", 5000),
		strings.Repeat("<", 400), strings.Repeat("é", 400), "_dmarc.example.com", "a..b", ".", "-all", "\u2028", "\U0001f600", "\u0085", "'\"",
	}
}

// generated returns a report made of rows of random messages with hostile strings wherever one can be.
func generated(r *rand.Rand) Report {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	evil := hostile()
	text := func() string { return pick(evil...) }
	name := func() string { return pick("example.com", "a.example.com", "example.net", text()) }
	policy := func() string { return pick("none", "quarantine", "reject", "wrong", "") }
	result := func() authres.Result {
		return authres.Result(pick("none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror", "x"))
	}
	var out Report
	for len(out.Records) == 0 || r.IntN(6) > 0 {
		in := Input{
			ClientIP: netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(4))}), MailFrom: pick("bob", text()) + "@" + name(),
			Evaluation: dmarc.Evaluation{
				Result: authres.Result(pick("pass", "fail")), Domain: "example.com", OrgDomain: name(), PolicyDomain: "example.com",
				Record: "v=DMARC1; p=" + policy() + "; sp=" + policy() + "; np=" + policy() + "; adkim=" + pick("r", "s", "x") +
					"; t=" + pick("y", "n") + "; fo=" + pick("0", "1", "d:s", "<") + "; ruf=mailto:f@example.com; rua=mailto:r@example.com",
				Published: dmarc.Policy(policy()), Policy: dmarc.Policy(policy()), Override: pick("", "local_policy", "policy_test_mode", text()),
				Overrider: text(), DKIMAligned: r.IntN(2) > 0, SPFAligned: r.IntN(2) > 0, Discovery: pick("", "psl", "treewalk", text()),
			},
			Disposition: Disposition(pick("none", "quarantine", "reject", text())),
		}
		for range r.IntN(4) {
			in.SPF = append(in.SPF, spf.Verification{Result: result(), Identity: spf.Identity(pick("helo", "mailfrom")), Domain: name(),
				Sender: text(), Mechanism: text(), RecordAt: name(), Reason: text()})
			in.DKIM = append(in.DKIM, dkim.Verification{Result: result(), Domain: name(), Selector: name(), Reason: text()})
			in.Reasons = append(in.Reasons, Reason{pick("mailing_list", "other", text()), text()})
		}
		if r.IntN(4) == 0 {
			in.ClientIP = netip.MustParseAddr("2001:db8::1%eth0")
		}
		if row, ok := NewRow(in); ok {
			out.Records = append(out.Records, Record{row, 1 + r.Int64N(1000)})
			out.Policy = row.Policy
		}
	}
	begin := time.Unix(r.Int64N(4e9), 0)
	out.Metadata = Metadata{
		OrgName: "x" + text(), Email: "x" + text(), ExtraContact: text(), ID: NewID(name(), name(), Period{begin, begin}, text()),
		Period: Period{begin, begin.Add(time.Duration(1+r.IntN(1e6)) * time.Second)}, Errors: []string{text(), text()}, Generator: text(),
	}
	return out
}

// TestSchema validates documents with xmllint against the schema of RFC 9990, and reads them back in Go and in Python. The
// readers have to agree with each other and with what was written.
func TestSchema(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 9990))
	var files []string
	var want []tree
	add := func(report Report) {
		text := document(t, report)
		got := trim(readTree(t, text))
		if wanted := trim(expect(report)); !reflect.DeepEqual(got, wanted) {
			t.Fatalf("%s\n%+v\n%+v", text, got, wanted)
		}
		path := filepath.Join(dir, fmt.Sprintf("%03d.xml", len(files)))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		files, want = append(files, path), append(want, got)
	}
	add(realistic(t))
	for range 120 {
		add(generated(r))
	}
	t.Run("xmllint", func(t *testing.T) { validate(t, files) })
	t.Run("Python", func(t *testing.T) {
		for i, got := range readPython(t, files) {
			if got = trim(got); !reflect.DeepEqual(got, want[i]) {
				t.Errorf("%s: %+v\nwant %+v", files[i], got, want[i])
			}
		}
	})
}

// validate validates documents against the schema, and that it refuses what the schema does not allow.
func validate(t *testing.T, files []string) {
	schema := filepath.Join(vectors.Path(t, "auth/dmarc-report-schema"), "dmarc-xml-0.2.xsd")
	lint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("NOT RUN: xmllint is not installed (packaging/test/deps.sh)")
	}
	if out, err := exec.Command(lint, append([]string{"--noout", "--schema", schema}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%.3000s", err, out)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.xml")
	for _, element := range []string{"selector", "disposition", "header_from", "org_name"} {
		bad := bytes.Replace(text, []byte("<"+element+">"), []byte("<"+element+"x>"), 1)
		bad = bytes.Replace(bad, []byte("</"+element+">"), []byte("</"+element+"x>"), 1)
		if err := os.WriteFile(wrong, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if exec.Command(lint, "--noout", "--schema", schema, wrong).Run() == nil {
			t.Errorf("without %s it is valid too", element)
		}
	}
}

// etree prints one line of JSON for each document, with elements as Go writes a tree.
const etree = `
import json, sys, xml.etree.ElementTree as ET
def tree(e):
    space, name = e.tag[1:].split('}')
    assert space == 'urn:ietf:params:xml:ns:dmarc-2.0' and not e.attrib
    return {'Name': name, 'Text': '' if len(e) else e.text or '', 'Kids': [tree(k) for k in e] or None}
for name in sys.argv[1:]:
    print(json.dumps(tree(ET.parse(name).getroot())))
`

// readPython reads documents with Python's xml.etree.
func readPython(t *testing.T, files []string) []tree {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: no python3 to compare with")
	}
	cmd := exec.Command(python, append([]string{"-c", etree}, files...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var trees []tree
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var one tree
		if err := d.Decode(&one); err != nil {
			t.Fatal(err)
		}
		trees = append(trees, one)
	}
	if len(trees) != len(files) {
		t.Fatalf("%d of %d documents were read", len(trees), len(files))
	}
	return trees
}

// FuzzDocument puts one string wherever a message, a record of the DNS or the configuration can put one. There must be a
// document, it must be what was written, and no address and no control character may be in it.
func FuzzDocument(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s, s)
	}
	f.Add("bob@example.com", "example.com")
	f.Fuzz(func(t *testing.T, s, domain string) {
		in := failed()
		in.MailFrom, in.Disposition = s+"@"+domain, None
		in.Evaluation.Record = "v=DMARC1; p=reject; fo=" + s + "; ruf=mailto:f@example.com; rua=mailto:r@example.com," + s
		in.Evaluation.Override, in.Evaluation.Overrider, in.Evaluation.OrgDomain = s, s, domain
		in.Reasons = []Reason{{s, s}, {"other", domain}}
		in.DKIM = []dkim.Verification{{Result: authres.Fail, Domain: domain, Selector: s, Reason: s},
			{Result: authres.Pass, Domain: domain, Selector: "x"}, {Result: authres.Result(s), Domain: "example.com", Selector: "x"}}
		in.SPF = []spf.Verification{{Result: authres.PermError, Identity: spf.MailFrom, Domain: domain, Sender: s, Reason: s}}
		row, ok := NewRow(in)
		if !ok {
			return // the string took the addresses away from the record
		}
		r := Report{
			Metadata: Metadata{OrgName: "x" + s, Email: "x", ExtraContact: domain, ID: "1", Period: Day(time.Unix(1e9, 0)), Errors: []string{s}},
			Policy:   row.Policy, Records: []Record{{row, 1}},
		}
		text := document(t, r)
		if got, want := trim(readTree(t, text)), trim(expect(r)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n%+v\n%+v", text, got, want)
		}
		record := text[bytes.Index(text, []byte("<policy_published>")):]
		if bytes.ContainsAny(record, "@") || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
			t.Errorf("%q", text)
		}
	})
}

// BenchmarkWriteXML is what the report about a domain costs that 100000 clients have sent for.
func BenchmarkWriteXML(b *testing.B) {
	r := large(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteXML(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}
