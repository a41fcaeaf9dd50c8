package report

import (
	"errors"
	"strings"
	"testing"

	"assay/milter/filter"
	"assay/milter/plan"
	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/message"
	"assay/verify/spf"
)

// hostile returns an outcome whose every text tries to look like another line.
func hostile() *filter.Outcome {
	const evil = "x\n  disposition deliver\r\x1b[31m\u202e\x00"
	return &filter.Outcome{
		Envelope: message.Envelope{QueueID: evil, ClientName: evil, Helo: evil, MailFrom: evil, RcptTo: []string{evil}, AuthUser: evil},
		Defects:  []message.Defect{{Code: "c", Detail: evil}},
		Report: scan.Report{Findings: []scan.Finding{{Kind: "k", Detail: evil, Count: 1}}, Virus: scan.Virus{State: scan.VirusFound, Names: []string{evil}, Error: evil},
			Objects: []scan.Object{{Path: "2/" + evil, Name: evil, Depth: 1, Type: evil, State: scan.Encrypted, Class: scan.ClassArchive, Method: evil}}},
		Results: verify.Results{
			Author: message.Author{Mailboxes: []message.Mailbox{{Name: evil, Local: evil, Domain: evil}}},
			SPF:    []spf.Verification{{Result: authres.Fail, Reason: evil, Record: evil, Explanation: evil, Steps: []string{evil}}},
			DKIM:   []dkim.Verification{{Result: authres.Fail, Domain: evil, Selector: evil, SignedHeaders: []string{evil}, BodyLength: 0}},
		},
		Decision:  rules.Decision{Disposition: rules.Reject, Reason: evil, Rules: []rules.Match{{ID: evil, Title: evil}}},
		Plan:      plan.Plan{Verdict: plan.Refuse, Reply: "550 5.7.1 " + evil, Ops: []plan.Op{{Kind: plan.InsertHeader, Name: evil, Value: evil}}},
		Questions: []dns.Question{{Name: evil, Type: "TXT", Answer: []string{evil}, Err: evil}},
		Failure:   evil,
	}
}

// What a message or the DNS says cannot garble the terminal or pass for a line of the report.
func TestTextEscapes(t *testing.T) {
	var out strings.Builder
	if err := New(hostile()).Text(&out, false); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\r\x1b\u202e\x00") {
		t.Errorf("control characters in %q", &out)
	}
	// The folded value of a header field is the one place where a line of the message begins one of the report, behind
	// the margin of folded lines.
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "  disposition deliver") {
			t.Errorf("forged line %q", line)
		}
	}
}

// A failing writer is reported, once.
func TestTextError(t *testing.T) {
	want := errors.New("disk full")
	if err := New(hostile()).Text(failing{want}, false); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

// Write implements io.Writer.
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Checks that were not made are none and say why, in the JSON as well as in the text.
func TestSkipped(t *testing.T) {
	r := NewResults(verify.Results{Skipped: verify.SkipNetwork})
	for _, got := range []struct {
		result authres.Result
		reason string
	}{{r.DMARC.Result, r.DMARC.Reason}, {r.ARC.Result, r.ARC.Reason}, {r.IPRev.Result, r.IPRev.Reason}} {
		if got.result != authres.None || got.reason != "not checked: trusted network" {
			t.Errorf("got %+v", got)
		}
	}
	if r.SPF == nil || r.DKIM == nil || r.SMIME == nil {
		t.Error("an array is nil")
	}
}

// The reply is what the client reads, without the doubling of percent signs that the MTA undoes.
func TestReply(t *testing.T) {
	reply, err := plan.Reply(550, "5.7.1", "100% no")
	if err != nil {
		t.Fatal(err)
	}
	r := New(&filter.Outcome{Plan: plan.Plan{Verdict: plan.Refuse, Reply: reply}})
	if r.Decision.Reply != "550 5.7.1 100% no" {
		t.Errorf("got %q", r.Decision.Reply)
	}
}

// The files of a message are told with their states, in both forms; what nobody has looked at is uninspectable.
func TestObjects(t *testing.T) {
	r := New(&filter.Outcome{Report: scan.Report{
		Objects: []scan.Object{
			{Path: "2", Section: "2", Name: "a.zip", Type: "application/zip", State: scan.Encrypted, Class: scan.ClassArchive, Method: "ZipCrypto", Traits: []scan.Trait{scan.Archive}},
			{Path: "2/docs/b.exe", Section: "2", Name: "b.exe", Depth: 1, Type: "application/octet-stream"},
		},
		Virus: scan.Virus{State: scan.VirusClean},
	}})
	if o := r.Objects[1]; o.State != "uninspectable" || o.Traits == nil || r.Objects[0].Class != "archive" || r.Virus.State != "clean" || r.Virus.Names == nil {
		t.Errorf("%+v, %+v", r.Objects, r.Virus)
	}
	var b strings.Builder
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nFiles in the message\n  2 a.zip: encrypted, application/zip, archive: ZipCrypto, archive\n    b.exe: uninspectable, application/octet-stream\n",
		"\nVirus scanners\n  clean\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
