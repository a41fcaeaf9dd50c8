package reading

import (
	"assay/verify/vectors"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/attach"
	"assay/verify/message"
)

// summary lists the readings of a mail.
func summary(t testing.TB, raw string, l Limits) string {
	t.Helper()
	var all []string
	for r := range Readings(read(t, []byte(raw)), l) {
		all = append(all, fmt.Sprintf("%s %s %d %s=%q", r.Section, r.How, r.Depth, r.Name, r.Content))
	}
	return strings.Join(all, "\n")
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

const onePart = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"

func TestReadings(t *testing.T) {
	inner := "Subject: inner\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\ntext\r\n--c\r\n" +
		"Content-Disposition: attachment; filename=x.txt\r\n\r\nattached\r\n--c--\r\n"
	run := strings.Repeat("012 56789.", 5)
	tests := []struct{ name, raw, want string }{
		{"ordinary", onePart + "\r\nHello.\r\n--b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--b--\r\n", ""},
		{"no MIME", "Subject: x\r\n\r\nHello.\r\n", ""},
		{"uuencode", "Subject: x\r\n\r\nHello.\r\nbegin 644 a.txt\r\n#86)C\r\n`\r\nend\r\n", "1 uuencode 0 a.txt=\"abc\""},
		{"uuencode in quoted-printable", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nbegin 644 a.txt\r\n#=386)C\r\n`\r\nend\r\n", "1 uuencode 0 a.txt=\"abc\""},
		{"base64 in text", "Subject: x\r\n\r\nHello.\r\n" + b64(run) + "\r\nThe end.\r\n", fmt.Sprintf("1 raw 0 =%q", run)},
		{"base64 with an empty line", "Subject: x\r\n\r\n" + b64(run)[:60] + "\r\n\r\n" + b64(run)[60:] + "\r\n\r\nThe end.\r\n",
			fmt.Sprintf("1 raw 0 =%q\n1 raw 0 =%q", run[:45], run)},
		{"attached mail", onePart + "Content-Type: application/octet-stream; name=a.eml\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64(inner) + "\r\n--b--\r\n",
			"1 message 1 =\"text\"\n1 message 1 x.txt=\"attached\""},
		{"encoded mail", onePart + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64(inner) + "\r\n--b--\r\n",
			fmt.Sprintf("1 encoding 0 =%q\n1 message 1 =\"text\"\n1 message 1 x.txt=\"attached\"\n1 structure 0 =%q", inner, b64(inner))},
		{"TNEF", onePart + "Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			b64(string(tnef(attribute(2, attAttachData, []byte("a")), attribute(2, attAttachTitle, []byte("a.txt"))))) + "\r\n--b--\r\n", "1 tnef 1 a.txt=\"a\""},
		{"TNEF in TNEF", onePart + "Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			b64(string(tnef(attribute(2, attAttachData, tnef(attribute(2, attAttachData, []byte("a"))))))) + "\r\n--b--\r\n",
			"1 tnef 1 =\"x\\x9f>\\\"\\x01\\x00\\x02\\x0f\\x80\\x06\\x00\\x01\\x00\\x00\\x00aa\\x00\"\n1 tnef 2 =\"a\""},
	}
	for _, test := range tests {
		if got := summary(t, test.raw, Limits{}); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

func TestLimitsAreVisible(t *testing.T) {
	nested := "Subject: x\r\nTo: y\r\n\r\n" + uuencode("a", []byte("the file"))
	for range 5 {
		nested = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: a/b; name=a.eml\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64(nested) + "\r\n"
	}
	many := "Subject: x\r\n\r\n"
	for i := range 50 {
		many += uuencode("a", fmt.Appendf(nil, "file %d", i))
	}
	tests := []struct {
		name, raw string
		limits    Limits
		files     int
		limit     string
	}{
		{"depth", nested, Limits{}, 1, ""},
		{"depth of 3", nested, Limits{Depth: 3}, 0, "depth"},
		{"readings", many, Limits{Readings: 10}, 10, "readings"},
		{"octets", many, Limits{Octets: 65}, 10, "octets"},
		{"part", many, Limits{PartOctets: int64(len(many) / 2)}, 23, "part"},
	}
	for _, test := range tests {
		files, limit := 0, ""
		for r := range Readings(read(t, []byte(test.raw)), test.limits) {
			switch r.How {
			case Uuencode:
				files++
			case OutOfReach:
				limit = r.Name
			}
		}
		if files < test.files || files > test.files+1 || limit != test.limit {
			t.Errorf("%s: %d files and the limit %q, want %d and %q", test.name, files, limit, test.files, test.limit)
		}
	}
}

func TestReceiverStops(t *testing.T) {
	n := 0
	for range Readings(read(t, []byte("Subject: x\r\n\r\n"+uuencode("a", []byte("1"))+uuencode("b", []byte("2")))), Limits{}) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d readings", n)
	}
}

// closedMessage is a message whose octets cannot be read any more.
func closedMessage(t *testing.T, raw string) *message.Message {
	m, err := message.Read(strings.NewReader(raw), message.Envelope{}, message.Limits{Memory: 1, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFaultsOfTheFileAreVisible(t *testing.T) {
	report := (&Scanner{}).Scan(t.Context(), closedMessage(t, onePart+"\r\ntext\r\n--b--\r\n"))
	if len(report.Findings) != 1 || report.Findings[0].Kind != Limit || report.Findings[0].Detail != "file" {
		t.Errorf("%+v", report)
	}
}

func TestScanner(t *testing.T) {
	raw := onePart + "\r\nHello.\r\n" + strings.ReplaceAll(uuencode("a.exe", []byte("MZ\x90\x00"))+uuencode("b.txt", []byte("text")), "\n", "\r\n") +
		"--b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		b64(string(tnef(attribute(2, attAttachData, []byte("%PDF-1.4\n")), attribute(2, attAttachTitle, []byte(`C:\x\in.pdf`))))) + "\r\n--b--\r\n"
	seen := 0
	inspectors := []attach.Inspector{inspect(func(o *scan.Object, content []byte) scan.Report {
		seen++
		if o.Name == "b.txt" {
			panic("no text, please")
		}
		o.Traits = append(o.Traits, "z-seen", "a-seen", "z-seen")
		return scan.Report{}
	})}
	report := (&Scanner{Inspectors: inspectors}).Scan(t.Context(), read(t, []byte(raw)))
	var findings, objects []string
	for _, f := range report.Findings {
		findings = append(findings, fmt.Sprintf("%s %s %d %s", f.Section, f.Kind, f.Count, f.Detail))
	}
	for _, o := range report.Objects {
		objects = append(objects, fmt.Sprintf("%s %d %s %d %s", o.Path, o.Depth, o.Extension, o.Size, o.State))
	}
	wantFindings := []string{"1 mime.uuencode 2 a.exe, b.txt", "1 mime.fault 1 no text, please", "2 mime.tnef 1 in.pdf"}
	wantObjects := []string{"1/a.exe 0 exe 4 uninspectable", "1/b.txt 0 txt 4 uninspectable", "2/in.pdf 1 pdf 9 uninspectable"}
	if !slices.Equal(findings, wantFindings) || !slices.Equal(objects, wantObjects) || seen != 3 {
		t.Errorf("%q\n%q, %d inspected", findings, objects, seen)
	}
	if o := report.Objects[0]; !slices.Contains(o.Traits, scan.Executable) || !slices.IsSorted(o.Traits) || o.SHA256 == "" ||
		slices.Index(o.Traits, "z-seen") != len(o.Traits)-1 {
		t.Errorf("object %+v", o)
	}
}

// inspect makes an Inspector of a function.
type inspect func(*scan.Object, []byte) scan.Report

func (f inspect) Inspect(_ context.Context, file attach.File) scan.Report {
	return f(file.Object, file.Head)
}

func TestScannerWithoutTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report := (&Scanner{}).Scan(ctx, read(t, []byte("Subject: x\r\n\r\n"+uuencode("a", []byte("1")))))
	if len(report.Findings) != 1 || report.Findings[0].Kind != Limit || report.Findings[0].Detail != "time" || len(report.Objects) > 0 {
		t.Errorf("%+v", report)
	}
}

// In every mail of the vectors in which a mail program would show the file, a reading has it. What lies in archives and
// documents is for those who open them.
func TestVectorsEICAR(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors.Path(t, "scan/mime"), "*.eml"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d mails, %v", len(files), err)
	}
	want := map[string]bool{"own-eml-attachment-octet.eml": false, "own-digest.eml": true, "own-uuencode.eml": false}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		strict, union := sees(t, read(t, raw))
		if inStrict, listed := want[filepath.Base(name)]; listed && (!union || strict != inStrict) {
			t.Errorf("%s: strict %t, union %t", filepath.Base(name), strict, union)
		} else if union && !listed {
			t.Logf("%s: strict %t, union %t", filepath.Base(name), strict, union)
		}
		delete(want, filepath.Base(name))
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
}

// Of ordinary mail little is read twice, and nothing is called hidden.
func TestVectorsOrdinaryMail(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors.Path(t, "scan/mime-corpus"), "*"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d mails, %v", len(files), err)
	}
	kinds := make(map[scan.Kind][]string)
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range (&Scanner{}).Scan(t.Context(), read(t, raw)).Findings {
			kinds[f.Kind] = append(kinds[f.Kind], filepath.Base(name)+" "+f.Detail)
		}
	}
	for kind, names := range kinds {
		t.Logf("%s %d %.300q", kind, len(names), names)
	}
	if n := len(kinds[FoundHidden]); n > 8 {
		t.Errorf("files are hidden in %d mails", n)
	}
}

// Mails made to cost time. The bounds are far below what any quadratic step would take.
func TestHostileShapesAreLinear(t *testing.T) {
	const size = 1 << 20
	fill := func(head, seed string) string {
		return head + strings.Repeat(seed, (size-len(head))/len(seed))
	}
	const odd = "Subject: x\r\nContent-Type: multipart/mixed\r\n\r\n" // ambiguous, so that everything is tried
	tests := map[string]string{
		"begin":          fill(odd, "begin 644 a\r\n"),
		"begin and line": fill(odd, "begin 644 a\r\n#86)C\r\n"),
		"begin base64":   fill(odd, "begin-base64 644 a\r\nYWJj\r\n"),
		"ybegin":         fill(odd, "=ybegin line=1 name=a\r\n"),
		"ybegin and end": fill(odd, "=ybegin line=1 name=a\r\nx\r\n=yend\r\n"),
		"BinHex marks":   fill(odd, binHexMark+"\r\n"),
		"BinHex files":   fill(odd, binHexMark+"\r\n:!:\r\n"),
		"BinHex colon":   fill(odd, binHexMark+"\r\n:"),
		"base64 lines":   fill(odd, strings.Repeat("A", 60)+"\r\n"),
		"base64 short":   fill(odd, "AAAA\r\n"),
		"padding":        fill(odd+"Content-Transfer-Encoding: base64\r\n\r\n", "AA=="),
		"escapes":        fill(odd, "=41=\r\n"),
		"fields":         fill(odd, "Content-Type: text/plain\r\n\r\n"),
		"delimiters":     fill(odd, "--\r\n"),
		"CR":             fill(odd, "\r"),
		"NUL":            fill(odd, "\x00"),
		"letters":        fill(odd, "c"),
		"messages":       fill("", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"),
		"mails":          fill("Content-Type: a/b; name=a.eml\r\nX: y\r\n\r\n", "Content-Type: a/b; name=a.eml\r\nX: y\r\n\r\n"),
		"TNEF":           fill("Content-Type: a/b\r\n\r\n"+tnefMark, "\x02\x0f\x80\x06\x00\x00\x00\x00\x00\x00\x00"),
		"TNEF props":     fill("Content-Type: a/b\r\n\r\n"+tnefMark+"\x01\x00\x02\x05\x90\x06\x00\xff\xff\xff\x7f\xff\xff\xff\xff", "\x01\x10\x01\x10\xff\xff\xff\xff"),
	}
	for name, raw := range tests {
		start := cpuTime(t)
		n := 0
		for range Readings(read(t, []byte(raw)), Limits{}) {
			n++
		}
		if d := cpuTime(t) - start; d > 5*time.Second {
			t.Errorf("%s: %v", name, d)
		} else if testing.Verbose() {
			t.Logf("%-15s %v, %d readings", name, d, n)
		}
	}
}

// cpuTime returns what the process has used. Other programs on the machine do not count.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Whatever the mail: the limits hold, and the same mail has the same readings again.
func FuzzReadings(f *testing.F) {
	for _, v := range variants() {
		f.Add([]byte(v.render("base64")))
	}
	f.Add([]byte("Subject: x\n\n" + uuencode("a", []byte("a")) + yEncode("b", []byte("b")) + binHex("c", []byte("c"), nil)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l := Limits{PartOctets: 1 << 20, Octets: 4 << 20, Readings: 50, Depth: 3}
		var first []string
		octets := 0
		for r := range Readings(read(t, raw), l) {
			first = append(first, fmt.Sprint(r))
			octets += len(r.Content)
			if len(r.Content) > 2<<20 || len(r.Content) == 0 && r.How != OutOfReach || r.Depth > l.Depth {
				t.Fatalf("%+v", r)
			}
		}
		if len(first) > 60 || octets > 4<<20 {
			t.Fatalf("%d readings of %d octets", len(first), octets)
		}
		var again []string
		for r := range Readings(read(t, raw), l) {
			again = append(again, fmt.Sprint(r))
		}
		if !slices.Equal(first, again) {
			t.Fatalf("%q\n%q", first, again)
		}
		(&Scanner{Limits: l}).Scan(t.Context(), read(t, raw))
	})
}

// What the decoders make of anything stays within its input and within the limit.
func FuzzDecoders(f *testing.F) {
	for _, c := range contents() {
		f.Add([]byte(uuencode("a", c)))
		f.Add([]byte(yEncode("a", c)))
		f.Add([]byte(binHex("a", c, c)))
	}
	f.Add([]byte("begin-base64 644 a\nYWJj\n====\n"))
	f.Add([]byte("AAAA=BBBB==CC"))
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 1 << 10
		var all []container
		for _, decode := range []func([]byte, int64) (container, bool){uuencoded, yEncoded} {
			if c, found := decode(text, limit); found {
				all = append(all, c)
			}
		}
		forks, _ := binHexed(text, limit)
		for _, c := range append(all, forks...) {
			if c.end <= 0 || c.end > len(text) || len(c.content) > limit+255 {
				t.Fatalf("%+v", c)
			}
		}
		for _, piece := range restarts(text) {
			if len(piece) > len(text) {
				t.Fatalf("%q", piece)
			}
		}
	})
}

// What encoders write is read back.
func FuzzRoundTrip(f *testing.F) {
	for _, c := range contents() {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) == 0 {
			return
		}
		if c, found := uuencoded([]byte(uuencode("a", content)), 1<<20); !found || c.damaged || !bytes.Equal(c.content, content) {
			t.Fatalf("uuencode %+v", c)
		}
		if c, found := yEncoded([]byte(yEncode("a", content)), 1<<20); !found || c.damaged || !bytes.Equal(c.content, content) {
			t.Fatalf("yEnc %+v", c)
		}
		forks, found := binHexed([]byte(binHex("a", content, content)), 1<<20)
		if !found || len(forks) != 2 || forks[0].damaged || forks[1].damaged || !bytes.Equal(forks[0].content, content) || !bytes.Equal(forks[1].content, content) {
			t.Fatalf("BinHex %+v", forks)
		}
	})
}

// Any TNEF is read without panic, within its input, and RTF within its limit.
func FuzzTNEF(f *testing.F) {
	f.Add(tnef(attribute(2, attAttachRendData, nil), attribute(2, attAttachTitle, []byte("a")), attribute(2, attAttachData, []byte("b"))))
	f.Add(tnef(attribute(1, attMAPIProps, properties(property(typeBinary, propHTML, []byte("<p>")), property(typeUnicode, propBody, wide("x"))))))
	f.Add(tnef(attribute(2, attAttachment, properties(property(typeObject, propAttachData, make([]byte, 20)), property(typeString8, propAttachLongFilename, []byte("a"))))))
	f.Add([]byte("\x1a\x00\x00\x00\x1c\x00\x00\x00LZFu\xe2\xd4\x4b\x51\x41\x00\x04\x20WXYZ\x0d\x6e\x7d\x01\x0e\xb0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 10
		for _, c := range openTNEF(data, limit) {
			if len(c.content) > 2*len(data)+limit+100 {
				t.Fatalf("%d octets from %d", len(c.content), len(data))
			}
		}
		if out := unpackRTF(data, limit); len(out) > max(limit+20, len(data)) {
			t.Fatalf("%d octets", len(out))
		}
	})
}

// BenchmarkOrdinary is a mail of 100 KB in which nothing is found: text, and an attachment in base64.
func BenchmarkOrdinary(b *testing.B) {
	raw := onePart + "Content-Type: text/html\r\n\r\n" + strings.Repeat("<p>A line of a newsletter as they often are.</p>\r\n", 1000) +
		"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(strings.Repeat("JVBERi0x", 9)+"\r\n", 700) + "--b--\r\n"
	m := read(b, []byte(raw))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		for r := range Readings(m, Limits{}) {
			b.Fatal(r.How)
		}
	}
}

// BenchmarkAmbiguous is the same with a defect, so that it is read in all ways.
func BenchmarkAmbiguous(b *testing.B) {
	raw := strings.Replace(onePart, "boundary=b", "boundary=b; boundary=c", 1) + "Content-Type: text/html\r\n\r\n" + strings.Repeat("<p>A line of a newsletter as they often are.</p>\r\n", 1000) +
		"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(strings.Repeat("JVBERi0x", 9)+"\r\n", 700) + "--b--\r\n"
	m := read(b, []byte(raw))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		for range Readings(m, Limits{}) {
		}
	}
}
