package report

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"assay/verify/message"
)

// mail returns the mail with the realistic report.
func mail(t testing.TB) Mail {
	return Mail{
		From: "dmarc-reports@receiver.example", To: "dmarc@example.com", Receiver: "mx.receiver.example", Report: realistic(t),
		Date: time.Date(2026, 11, 22, 0, 17, 3, 0, time.UTC),
	}
}

func compose(t testing.TB, m Mail) []byte {
	t.Helper()
	text, err := Compose(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// read returns a message from its text, which has to be without a defect.
func read(t testing.TB, text []byte, at time.Time) *message.Message {
	t.Helper()
	m, err := message.Read(bytes.NewReader(text), message.Envelope{ReceivedAt: at}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if len(m.Defects) > 0 {
		t.Errorf("%+v", m.Defects)
	}
	return m
}

// only returns the octets behind the colon of the only field with a name.
func only(t testing.TB, m *message.Message, name string) string {
	t.Helper()
	if n := m.Header.Count(name); n != 1 {
		t.Fatalf("%d fields %s", n, name)
	}
	var value string
	for f := range m.Header.All(name) {
		value = string(f.Value())
	}
	return value
}

// gzipped keeps the compressed octets, which another version of Go may write in another way, out of a golden file.
var gzipped = regexp.MustCompile(`(?m)^H4sI[0-9A-Za-z+/=\r\n]+`)

func TestCompose(t *testing.T) {
	text := compose(t, mail(t))
	golden(t, "report.eml", gzipped.ReplaceAll(text, []byte("(document)\r\n")))
	if again := compose(t, mail(t)); !bytes.Equal(again, text) {
		t.Error("composed again it is another mail")
	}
	checkLines(t, text)
	m := read(t, text, time.Now())
	if n := len(m.Root.Children); n != 2 {
		t.Fatalf("%d parts", n)
	}
	if got := unpack(t, m.Content(m.Root.Children[1])); !bytes.Equal(got, document(t, realistic(t))) {
		t.Errorf("%s", got)
	}
}

// unpack returns the document in an attachment.
func unpack(t testing.TB, r io.Reader) []byte {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	if !z.ModTime.IsZero() || z.Name != "" {
		t.Errorf("gzip header %+v", z.Header)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checkLines checks the lines of a mail: CRLF, US-ASCII, and not too long (RFC 5322 Section 2.1.1).
func checkLines(t testing.TB, text []byte) {
	t.Helper()
	body, ok := bytes.CutSuffix(text, []byte("\r\n"))
	if !ok {
		t.Errorf("the last line has no end: %q", text[len(text)-20:])
	}
	for _, line := range bytes.Split(body, []byte("\r\n")) {
		control := func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }
		if len(line) > 998 || bytes.ContainsFunc(line, control) {
			t.Errorf("%d octets: %q", len(line), line)
		}
	}
}

// TestComposeExtreme composes mails with the longest names and with hostile strings in the configuration.
func TestComposeExtreme(t *testing.T) {
	label := strings.Repeat("a", 63)
	name := label + "." + label + "." + label + "." + strings.Repeat("a", 61)
	subject := regexp.MustCompile(`^ Report\s+Domain:\s+[-.a-z0-9]+\s+Submitter:\s+[-.a-z0-9]+\s+Report-ID:\s+<[A-Za-z0-9]+>$`)
	for _, s := range append(hostile(), strings.Repeat("é", 4000)) {
		m := mail(t)
		m.From, m.To = "x@"+name[:189], strings.Repeat("b", 64)+"@"+name[:189]
		m.Receiver, m.Report.Policy.Domain = name, name
		m.Report.Metadata.OrgName, m.Report.Metadata.Email, m.Report.Metadata.ExtraContact = "x"+s, "x"+s, s
		m.Report.Metadata.ID = strings.Repeat("A", maxID)
		text := compose(t, m)
		checkLines(t, text)
		got := read(t, text, time.Now())
		if value := only(t, got, "Subject"); !subject.MatchString(value) {
			t.Errorf("%q", value)
		}
		if len(got.Root.Children) != 2 || len(got.Header) != 8 {
			t.Errorf("%q: %d parts, %d fields", s, len(got.Root.Children), len(got.Header))
		}
		document, err := m.Report.Compress()
		if err != nil {
			t.Fatal(err)
		}
		if rest := len(text) - (len(document)+base64Line-1)/base64Line*78; rest > mailOverhead {
			t.Errorf("%d octets beside the attachment", rest)
		}
	}
}

func TestComposeRefuses(t *testing.T) {
	for want, edit := range map[string]func(*Mail){
		`report: From: "" is not an address`:                          func(m *Mail) { m.From = "" },
		`report: From: "a@b.example\r\nBcc: c" is not an address`:     func(m *Mail) { m.From = "a@b.example\r\nBcc: c" },
		`report: To: "a@b.example, c@d.example" is not an address`:    func(m *Mail) { m.To = "a@b.example, c@d.example" },
		"report: there is no date":                                    func(m *Mail) { m.Date = time.Time{} },
		`report: "x>\r\nBcc: y" is not a message identifier`:          func(m *Mail) { m.MessageID = "x>\r\nBcc: y" },
		`report: "x" is not a message identifier`:                     func(m *Mail) { m.MessageID = "x" },
		`report: "a-b" cannot stand in a file name`:                   func(m *Mail) { m.Report.Metadata.ID = "a-b" },
		`report: receiver: dns: name "" is empty`:                     func(m *Mail) { m.Receiver = "" },
		"report: there are no records":                                func(m *Mail) { m.Report.Records = nil },
		`report: policy domain: dns: name "a\nb" has "\n" in a label`: func(m *Mail) { m.Report.Policy.Domain = "a\nb" },
	} {
		m := mail(t)
		edit(&m)
		if text, err := Compose(m); err == nil || err.Error() != want || text != nil {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestComposeMessageID(t *testing.T) {
	id := func(edit func(*Mail)) string {
		m := mail(t)
		edit(&m)
		return only(t, read(t, compose(t, m), time.Now()), "Message-ID")
	}
	first := id(func(*Mail) {})
	if again := id(func(m *Mail) { m.Date = m.Date.Add(time.Hour) }); again != first {
		t.Errorf("sent again: %s instead of %s", again, first)
	}
	if other := id(func(m *Mail) { m.To = "other@example.com" }); other == first {
		t.Errorf("to another address: %s as well", other)
	}
	if given := id(func(m *Mail) { m.MessageID = "a.b@c.example" }); given != " <a.b@c.example>" {
		t.Errorf("%q", given)
	}
}

// emailScript reads a mail with Python's email package and prints what a consumer of reports looks for.
const emailScript = `
import email, email.policy, gzip, json, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
text, report = list(m.iter_parts())
print(json.dumps({
    'Subject': m['Subject'], 'From': m['From'], 'To': m['To'], 'Date': m['Date'].datetime.isoformat(), 'Type': m.get_content_type(),
    'Auto': m['Auto-Submitted'], 'Text': text.get_content(), 'Media': report.get_content_type(), 'File': report.get_filename(),
    'How': report.get_content_disposition(), 'Document': gzip.decompress(report.get_content()).decode(),
    'Defects': [str(d) for p in m.walk() for d in p.defects],
}))
`

func TestComposePython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: no python3 to compare with")
	}
	cmd := exec.Command(python, "-c", emailScript)
	cmd.Stdin = bytes.NewReader(compose(t, mail(t)))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	r := realistic(t)
	if text := fmt.Sprint(got["Text"]); !strings.Contains(text, "from Beispiel & Söhne GmbH (mx.receiver.example).") {
		t.Errorf("%s", text)
	}
	delete(got, "Text")
	want := map[string]any{
		"Subject": "Report Domain: example.com Submitter: mx.receiver.example Report-ID: <" + r.Metadata.ID + ">",
		"From":    "dmarc-reports@receiver.example", "To": "dmarc@example.com", "Date": "2026-11-22T00:17:03+00:00",
		"Type": "multipart/mixed", "Auto": "auto-generated", "Media": "application/gzip", "How": "attachment",
		"File":     "mx.receiver.example!example.com!1795219200!1795305599!" + r.Metadata.ID + ".xml.gz",
		"Document": string(document(t, r)), "Defects": []any{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// large returns a report with n records that compress badly.
func large(t testing.TB, n int) Report {
	r := realistic(t)
	random := rand.New(rand.NewPCG(3, 4))
	row := r.Records[0].Row
	r.Records = nil
	for range n {
		row.SourceIP = netip.AddrFrom4([4]byte{byte(1 + random.IntN(99)), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
		row.EnvelopeFrom = fmt.Sprintf("%x.example", random.Uint64())
		r.Records = append(r.Records, Record{row, 1 + random.Int64N(1e6)})
	}
	return r
}

func TestSplit(t *testing.T) {
	r := large(t, 600)
	const limit = 24_000
	parts, err := Split(r, limit)
	if err != nil || len(parts) < 2 || len(parts) > 8 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	var records []Record
	files := map[string]bool{}
	for i, part := range parts {
		m := mail(t)
		m.Report = part
		if text := compose(t, m); len(text) > limit {
			t.Errorf("part %d of %d has %d octets", i+1, len(parts), len(text))
		}
		name, err := Filename("mx.example", part.Policy.Domain, part.Metadata.Period, part.Metadata.ID)
		if err != nil || files[name] || part.Metadata.Period != r.Metadata.Period {
			t.Errorf("part %d: %s, %v", i+1, name, err)
		}
		if files[name] = true; part.Metadata.ID != fmt.Sprintf("%sp%d", r.Metadata.ID, i+1) {
			t.Errorf("part %d: %s", i+1, part.Metadata.ID)
		}
		records = append(records, part.Records...)
	}
	if !reflect.DeepEqual(records, merge(r.Records)) {
		t.Error("the parts together do not hold the records")
	}
	if again, err := Split(r, limit); err != nil || !reflect.DeepEqual(again, parts) {
		t.Errorf("split again it is split in another way: %v", err)
	}
}

func TestSplitNot(t *testing.T) {
	r := large(t, 50)
	parts, err := Split(r, 0)
	if err != nil || len(parts) != 1 || parts[0].Metadata.ID != r.Metadata.ID || len(parts[0].Records) != 50 {
		t.Errorf("%d parts, %v", len(parts), err)
	}
	if parts, err := Split(r, mailOverhead); err == nil || parts != nil || !strings.Contains(err.Error(), "for one record, more than 16384") {
		t.Errorf("%d parts, %v", len(parts), err)
	}
	r.Records = nil
	if _, err := Split(r, 0); err == nil {
		t.Error("a report without records")
	}
}
