package filter

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"assay/milter/plan"
	"assay/rules"
	"assay/scan"
	"assay/scan/html"
	"assay/verify/message"
)

// amended returns the message as it is delivered under a decision, and the outcome.
func amended(t *testing.T, d rules.Decision, lines ...string) (string, *Outcome) {
	t.Helper()
	m := read(t, message.Envelope{QueueID: "4X"}, lines...)
	o := testFilter(t, func() rules.Decision { return d }, &html.Scanner{}).Explain(t.Context(), m, granted)
	if o.Failure != "" || o.Plan.Verdict != plan.Accept {
		t.Fatalf("verdict %v, failure %q", o.Plan.Verdict, o.Failure)
	}
	var out bytes.Buffer
	if err := plan.Apply(o.Plan, m, &out); err != nil {
		t.Fatal(err)
	}
	return out.String(), o
}

// removal is a decision that removes sections.
func removal(unwrap bool, sections ...string) rules.Decision {
	d := rules.Decision{Disposition: rules.Deliver}
	for _, s := range sections {
		d.Remove = append(d.Remove, rules.Removal{Rule: "r", Section: s, Reason: "not wanted", Unwrap: unwrap})
	}
	return d
}

// signedMail holds HTML and a file under a signature.
var signedMail = []string{"From: a@b.example", "MIME-Version: 1.0", "Content-Type: multipart/signed; micalg=sha-256; protocol=\"application/pkcs7-signature\"; boundary=s", "",
	"--s", "Content-Type: multipart/mixed; boundary=m", "",
	"--m", "Content-Type: text/html", "", `<p onclick="x()">Text<img src="http://t.example/i.png"></p>`,
	"--m", "Content-Type: application/octet-stream; name=a.exe", "", "OCTETS",
	"--m--",
	"--s", "Content-Type: application/pkcs7-signature; name=smime.p7s", "Content-Transfer-Encoding: base64", "", "MAA=",
	"--s--", ""}

// sealedMail is PGP/MIME.
var sealedMail = []string{"From: a@b.example", "MIME-Version: 1.0", "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=s", "",
	"--s", "Content-Type: application/pgp-encrypted", "", "Version: 1",
	"--s", "Content-Type: application/octet-stream; name=encrypted.asc", "", "OCTETS",
	"--s--", ""}

// nestedMail holds a forwarded message with HTML and a file.
var nestedMail = []string{"From: a@b.example", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=m", "",
	"--m", "Content-Type: text/plain", "", "see below",
	"--m", "Content-Type: message/rfc822", "", "From: c@d.example", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=n", "",
	"--n", "Content-Type: text/html", "", "<p>kept</p><script>bad()</script>",
	"--n", "Content-Type: application/octet-stream; name=a.exe", "", "OCTETS",
	"--n--",
	"--m--", ""}

func TestRemovals(t *testing.T) {
	for _, tt := range []struct {
		name     string
		mail     []string
		d        rules.Decision
		files    int
		kept     int
		has, not string // in what is delivered
	}{
		{"signed, and no rule unwraps", signedMail, removal(false, "1.2"), 0, 1, "OCTETS", "4X"},
		{"signed, the second rule unwraps", signedMail, rules.Decision{Disposition: rules.Deliver, Remove: append(removal(false, "1.2").Remove, removal(true, "1.2").Remove...)},
			1, 0, "not wanted", "OCTETS"},
		{"the signature goes too", signedMail, removal(true, "1.2", "2"), 2, 0, "not wanted", "OCTETS"},
		{"the signature goes first", signedMail, removal(true, "2", "1.2"), 2, 0, "not wanted", "MAA="},
		{"what is encrypted goes", sealedMail, removal(true, "2"), 1, 0, "Content-Type: multipart/mixed", "\r\nVersion: 1"},
		{"both parts of what is encrypted go", sealedMail, removal(true, "2", "1"), 2, 0, "Content-Type: multipart/mixed", "OCTETS"},
		{"encrypted, and no rule unwraps", sealedMail, removal(false, "2"), 0, 1, "OCTETS", "multipart/mixed"},
		{"the same file twice", nestedMail, removal(false, "2.2", "2.2"), 1, 0, "kept", "OCTETS"},
		{"inside of a forwarded message", nestedMail, removal(false, "2.2"), 1, 0, "see below", "OCTETS"},
		{"a forwarded message and what is in it", nestedMail, removal(false, "2.2", "2"), 2, 0, "see below", "kept"},
		{"the whole message", []string{"From: a@b.example", "Content-Type: application/octet-stream; name=a.exe", "", "OCTETS", ""}, removal(false, "1"), 1, 0, "not wanted", "OCTETS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, o := amended(t, tt.d, tt.mail...)
			if len(o.Amendment.Files) != tt.files || len(o.Amendment.Kept) != tt.kept || o.Decision.Disposition != rules.Deliver {
				t.Errorf("%+v, %v", o.Amendment, o.Decision)
			}
			if !strings.Contains(got, tt.has) || strings.Contains(strings.ReplaceAll(got, "id=4X", ""), tt.not) {
				t.Errorf("%q is missing, or %q is left, in\n%s", tt.has, tt.not, got)
			}
		})
	}
}

// What a rule wants removed and nobody finds is held: it may be there after all.
func TestRemovalOfNothing(t *testing.T) {
	for _, section := range []string{"7.7", ""} {
		got, o := amended(t, removal(false, section), nestedMail...)
		if o.Decision.Disposition != rules.Quarantine || !strings.Contains(got, "OCTETS") || len(o.Amendment.Files) > 0 {
			t.Errorf("%q: %v, %+v", section, o.Decision.Disposition, o.Amendment)
		}
	}
}

// What is signed is made safe at the level of the rules that unwrap, and not at that of stricter ones that do not.
func TestLevelOfSignedParts(t *testing.T) {
	for _, tt := range []struct {
		name     string
		actions  []rules.HTMLAction
		has, not string
		kept     int
	}{
		{"nobody unwraps", []rules.HTMLAction{{Level: scan.Remote}}, "onclick", "changed=html", 1},
		{"the milder rule unwraps", []rules.HTMLAction{{Level: scan.Remote}, {Level: scan.Active, Unwrap: true}}, "t.example/i.png", "onclick", 0},
		{"the stricter rule unwraps", []rules.HTMLAction{{Level: scan.Active}, {Level: scan.Remote, Unwrap: true}}, "Text", "t.example/i.png", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, o := amended(t, rules.Decision{Disposition: rules.Deliver, HTML: tt.actions}, signedMail...)
			if !strings.Contains(got, tt.has) || strings.Contains(got, tt.not) || len(o.Amendment.Kept) != tt.kept {
				t.Errorf("%q is missing, or %q is left: %+v in\n%s", tt.has, tt.not, o.Amendment.Kept, got)
			}
		})
	}
}

// HTML in a part that goes as a whole goes with it.
func TestHTMLInRemovedPart(t *testing.T) {
	d := removal(false, "2")
	d.HTML = []rules.HTMLAction{{Level: scan.Active}}
	if got, _ := amended(t, d, nestedMail...); strings.Contains(got, "bad()") || strings.Contains(got, "kept") || !strings.Contains(got, "not wanted") {
		t.Errorf("delivered\n%s", got)
	}
}

// A message of a thousand HTML parts is made safe in every one of them, and in reasonable time.
func TestManyHTMLParts(t *testing.T) {
	lines := []string{"From: a@b.example", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=m", ""}
	for i := range 990 {
		lines = append(lines, "--m", "Content-Type: text/html", "", fmt.Sprintf("<p>n%d</p><script>bad()</script>", i))
	}
	began := time.Now()
	got, o := amended(t, rules.Decision{Disposition: rules.Deliver, HTML: []rules.HTMLAction{{Level: scan.Active, Unwrap: true}}}, append(lines, "--m--", "")...)
	if strings.Contains(got, "bad()") || !strings.Contains(got, "<p>n0</p>") || !strings.Contains(got, "<p>n989</p>") || o.Amendment.Level != scan.Active {
		t.Errorf("disposition %v, delivered\n%.2000s", o.Decision.Disposition, got)
	}
	for line := range strings.SplitSeq(got, "\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets: %.100s", len(line), line)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// What cannot be rewritten is deferred as it came: nothing is lost and nothing half done is delivered.
func TestRewriteErrorDefers(t *testing.T) {
	a := Amendment{}
	m := read(t, message.Envelope{}, nestedMail...)
	other := read(t, message.Envelope{}, nestedMail...)
	a.add(message.Edit{Part: other.Root, MediaType: "text/plain", Replace: true})
	if _, err := m.Rewrite(a.edits); err == nil {
		t.Fatal("a foreign part was rewritten")
	}
	scanner := foreign{other.Root}
	d := rules.Decision{Disposition: rules.Deliver, HTML: []rules.HTMLAction{{Level: scan.Active}}}
	o := testFilter(t, func() rules.Decision { return d }, scanner).Explain(t.Context(), m, granted)
	if o.Decision.Disposition != rules.Quarantine || len(o.Amendment.Kept) != 1 {
		t.Errorf("a part that is not of the message: %v, %+v", o.Decision.Disposition, o.Amendment)
	}
	scanner.part = m.Root.Children[0]
	o = testFilter(t, func() rules.Decision { return d }, wrongType{scanner}).Explain(t.Context(), m, granted)
	if o.Plan.Verdict != plan.TempFail || len(o.Plan.Ops) > 0 || o.Failure == "" || o.Amendment.body != nil {
		t.Errorf("an edit that cannot be made: %+v, %q", o.Plan, o.Failure)
	}
}

// A foreign is a scanner whose remedy is for a part of its choice.
type foreign struct{ part *message.Part }

// Scan implements scan.Scanner.
func (f foreign) Scan(context.Context, *message.Message) scan.Report { return f.report("text/plain") }

func (f foreign) report(mediaType string) scan.Report {
	return scan.Report{Remedies: []scan.Remedy{{Section: "1", Edit: func(scan.Level) (message.Edit, []scan.Finding, bool) {
		return message.Edit{Part: f.part, MediaType: mediaType}, nil, true
	}}}}
}

// A wrongType is one whose remedy makes a multipart of the part.
type wrongType struct{ foreign }

// Scan implements scan.Scanner.
func (w wrongType) Scan(context.Context, *message.Message) scan.Report {
	return w.report("multipart/mixed")
}
