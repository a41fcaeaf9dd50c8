package logline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/config"
	"assay/milter/filter"
	"assay/milter/headers"
	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/iprev"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/spf"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// outcome returns the outcome of an ordinary message.
func outcome() *filter.Outcome {
	return &filter.Outcome{
		Envelope: message.Envelope{
			QueueID: "4XYZ1k2Qz", ClientIP: netip.MustParseAddr("192.0.2.77"), ClientName: "mail.example.net", Helo: "mail.example.net",
			MailFrom: "bounce@news.example.net", RcptTo: []string{"erika@example.com", "max@EXAMPLE.com"},
			TLS: message.TLSInfo{Version: "TLSv1.3"},
		},
		Size: 123456, Parts: 4, Elapsed: 84 * time.Millisecond, Questions: make([]dns.Question, 7),
		Results: verify.Results{
			Author: message.Author{Fields: 1, Mailboxes: []message.Mailbox{{Name: "News", Local: "news", Domain: "example.net"}}},
			SPF:    []spf.Verification{{Identity: spf.Helo, Result: authres.None}, {Identity: spf.MailFrom, Result: authres.Pass}},
			DKIM:   []dkim.Verification{{Result: authres.Pass}, {Result: authres.Fail}},
			ARC:    arc.Verification{Result: authres.None},
			DMARC:  dmarc.Evaluation{Result: authres.Pass, Policy: dmarc.PolicyReject},
			IPRev:  iprev.Verification{Result: authres.Pass},
		},
		Decision: rules.Decision{Disposition: rules.Deliver, Trust: rules.Suspicious, Rules: []rules.Match{
			{ID: "bec-vip-display-name", Enforced: true}, {ID: "replyto-freemail-payment"}}},
		Removed: []headers.Removal{{Name: "Authentication-Results", Nth: 1}},
	}
}

// A fixed Namer has a key that never changes.
type fixed struct{}

// Of implements Namer: a hash without a key, which only a test may use.
func (fixed) Of(address string) string {
	if address == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.ToLower(address)))
	return hex.EncodeToString(sum[:6])
}

// view is a view at a level.
func view(p config.Privacy) View { return View{Privacy: p, Names: fixed{}} }

// cases are messages whose lines differ in kind.
func cases() map[string]*filter.Outcome {
	hostile := outcome()
	hostile.Envelope.QueueID = "a\nb: c=\"d\""
	hostile.Envelope.Helo = "evil\r\nlevel=info msg=\"all is well\" \x1b[31m"
	hostile.Envelope.RcptTo = []string{"a,b@x y.example\n", "nodomain", "\"quoted local\"@example.com"}
	hostile.Envelope.ClientIP = netip.MustParseAddr("::ffff:198.51.100.9")
	hostile.Results.Author = message.Author{Fields: 2, Problem: message.AuthorSeveralFields,
		Mailboxes: []message.Mailbox{{Local: "a", Domain: "ä.example dmarc=pass"}, {Local: "b", Domain: "example.com"}}}
	hostile.Unsealed = "arc: signing ARC-Seal: the token of erika@example.com at 192.0.2.77 is gone\nlevel=info"

	failed := outcome()
	failed.Failure = "panic: cannot read \"erika@example.com\" for max@example.com at 192.0.2.77:25 or [2001:db8:1:2::9]\ngoroutine 1 [running]"
	failed.Decision = rules.Decision{}
	failed.Envelope.ClientIP = netip.MustParseAddr("2001:db8:1:2::9")

	skipped := outcome()
	skipped.Envelope.AuthUser = "erika"
	skipped.Results = verify.Results{Author: skipped.Results.Author, Skipped: verify.SkipAuthenticated}

	many := outcome()
	many.Envelope.RcptTo = nil
	for i := range 30 {
		many.Envelope.RcptTo = append(many.Envelope.RcptTo, "u@"+strings.Repeat("x", i+1)+".example")
	}
	files := outcome()
	files.Envelope.AuthUser = "erika@example.com"
	for i, state := range []scan.State{scan.Inspected, scan.Bad, scan.Bad, scan.Encrypted, scan.Uninspectable, scan.Encrypted, "", scan.Encrypted} {
		files.Report.Objects = append(files.Report.Objects, scan.Object{State: state, Class: scan.ClassArchive, Name: "offer for erika.zip",
			SHA256: strings.Repeat(strconv.Itoa(i), 64)})
	}
	files.Report.Objects = append(files.Report.Objects, files.Report.Objects[1], scan.Object{State: scan.Bad})
	files.Report.Virus = scan.Virus{State: scan.VirusFound, Names: []string{"Eicar-Signature"}}
	return map[string]*filter.Outcome{
		"files":    files,
		"ordinary": outcome(), "hostile": hostile, "failed": failed, "skipped": skipped, "many recipients": many,
		"aborted": {Envelope: outcome().Envelope, Aborted: true}, "empty": {},
	}
}

// The exact lines at every privacy level, in both formats.
func TestLines(t *testing.T) {
	var got strings.Builder
	for _, name := range []string{"ordinary", "hostile", "failed", "skipped", "many recipients", "aborted", "empty", "files"} {
		for _, privacy := range []config.Privacy{config.PrivacyFull, config.PrivacyDomainOnly, config.PrivacyMinimal} {
			for _, format := range []config.Format{config.Logfmt, config.JSON} {
				var line bytes.Buffer
				l := New(&line, Options{Format: format, Level: config.LevelDebug, NoTime: true})
				var err error
				if name == "failed" {
					err = errors.New("milter: write tcp 192.0.2.1:8894: broken pipe")
				}
				Write(l, view(privacy), cases()[name], err)
				if n := strings.Count(line.String(), "\n"); n != 1 || strings.ContainsAny(line.String(), "\x1b\r") {
					t.Errorf("%s: %d lines, or control characters: %q", name, n, &line)
				}
				if format == config.JSON && !json.Valid(line.Bytes()) {
					t.Errorf("not JSON: %s", &line)
				}
				got.WriteString(name + ", " + string(privacy) + ": " + line.String())
			}
		}
	}
	if *update {
		if err := os.WriteFile("testdata/lines.golden", []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/lines.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", &got, want)
	}
}

// Below the level full no line holds an address, a local part or a whole IP address.
func TestPrivacy(t *testing.T) {
	for name, o := range cases() {
		for _, privacy := range []config.Privacy{"", config.PrivacyDomainOnly, config.PrivacyMinimal} {
			var line bytes.Buffer
			Write(New(&line, Options{Level: config.LevelDebug}), view(privacy), o, errors.New("to erika@example.com at 192.0.2.77"))
			for _, secret := range []string{"erika", "max@", "bounce", "news@", "192.0.2.77", "2001:db8:1:2", "mail.example.net", "quoted local"} {
				if strings.Contains(line.String(), secret) {
					t.Errorf("%s at %q: %q is in %s", name, privacy, secret, &line)
				}
			}
			if privacy == config.PrivacyMinimal && strings.Contains(strings.Split(line.String(), " error=")[0], "example") {
				t.Errorf("%s: a domain is in %s", name, &line)
			}
		}
	}
}

// A panic in a check is logged as what it is, with its stack and without what it quotes.
func TestFaults(t *testing.T) {
	o := outcome()
	o.Results.Faults = []verify.Fault{{Check: "spf", Cause: "bad \"erika@example.com\"", Stack: "goroutine 1\n\tspf.go:1"}}
	var out bytes.Buffer
	Write(New(&out, Options{NoTime: true}), view(config.PrivacyDomainOnly), o, nil)
	const want = `4XYZ1k2Qz: level=error msg="a check panicked; this is a bug" check=spf cause="bad *" stack="goroutine 1\n\tspf.go:1"` + "\n"
	if lines := strings.SplitAfter(out.String(), "\n"); len(lines) != 3 || lines[1] != want {
		t.Errorf("got %s", &out)
	}
}

// A signature about which two implementations do not agree has a warning of its own, without what it quotes.
func TestDisputed(t *testing.T) {
	o := outcome()
	o.Results.SMIME = smime.Verification{State: smime.Unsupported, Reason: "they differ about \"CN=erika\"", Flags: []string{"preamble", smime.FlagDisputed}}
	var out bytes.Buffer
	Write(New(&out, Options{NoTime: true}), view(config.PrivacyDomainOnly), o, nil)
	const want = `4XYZ1k2Qz: level=warn msg="two implementations do not agree about an S/MIME signature" reason="they differ about *"` + "\n"
	if lines := strings.SplitAfter(out.String(), "\n"); len(lines) != 3 || lines[1] != want {
		t.Errorf("got %s", &out)
	}
}

func TestLevels(t *testing.T) {
	for _, tt := range []struct {
		level config.Level
		want  int // lines of one debug, info, warn and error record
	}{{config.LevelDebug, 4}, {config.LevelInfo, 3}, {"", 3}, {config.LevelWarn, 2}, {config.LevelError, 1}} {
		for _, format := range []config.Format{config.Logfmt, config.JSON} {
			var out bytes.Buffer
			l := New(&out, Options{Format: format, Level: tt.level})
			l.Debug("d")
			l.Info("i")
			l.Warn("w")
			l.Error("e")
			if got := strings.Count(out.String(), "\n"); got != tt.want {
				t.Errorf("%s %s: %d lines, want %d", tt.level, format, got, tt.want)
			}
		}
	}
}

// Attributes of the logger, groups and values of every kind.
func TestHandler(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, Options{NoTime: true}).With("peer", "127.0.0.1:1").WithGroup("g").With("n", 7)
	l.Error("it \"failed\"", "queue_id", "4X", "reason", errors.New("a=b"), slog.Group("sub", "d", time.Second, "b", true), "empty", "")
	const want = `level=error msg="it \"failed\"" peer=127.0.0.1:1 g.n=7 g.queue_id=4X g.reason="a=b" g.sub.d=1s g.sub.b=true g.empty=""` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", &out, want)
	}
	out.Reset()
	New(&out, Options{NoTime: true}).Warn("w", "queue_id", "4X", "t", time.Unix(0, 0), "long", strings.Repeat("x", 5000))
	if got := out.String(); !strings.HasPrefix(got, "4X: level=warn msg=w t=1970-01-01T00:00:00Z long=xxx") || len(got) > 2200 {
		t.Errorf("got %.200s", got)
	}
	out.Reset()
	r := slog.NewRecord(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), slog.LevelInfo, "m", 0)
	if err := New(&out, Options{}).Handler().Handle(context.Background(), r); err != nil || out.String() != "2026-11-01T12:00:00.000Z level=info msg=m\n" {
		t.Errorf("got %s, %v", &out, err)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("4X", "helo", "a@b", "user@example.com", "boom \"x\" a@b 192.0.2.1")
	f.Add("", "\x00\n", "@", ",", "\"")
	f.Fuzz(func(t *testing.T, id, helo, from, rcpt, failure string) {
		o := outcome()
		o.Envelope.QueueID, o.Envelope.Helo, o.Envelope.MailFrom, o.Envelope.RcptTo, o.Failure = id, helo, from, []string{rcpt}, failure
		for _, p := range []config.Privacy{config.PrivacyFull, config.PrivacyDomainOnly, config.PrivacyMinimal} {
			var line bytes.Buffer
			Write(New(&line, Options{NoTime: true}), view(p), o, nil)
			text := strings.TrimSuffix(line.String(), "\n")
			for _, r := range text {
				if r < ' ' || r > '~' {
					t.Fatalf("%q holds %q", text, r)
				}
			}
			if before, _, _ := strings.Cut(text, ": "); strings.ContainsAny(before, " =") {
				t.Fatalf("the queue id is not first: %q", text)
			}
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, format := range []config.Format{config.Logfmt, config.JSON} {
		b.Run(string(format), func(b *testing.B) {
			l, o := New(io.Discard, Options{Format: format}), outcome()
			b.ReportAllocs()
			for b.Loop() {
				Write(l, view(config.PrivacyDomainOnly), o, nil)
			}
		})
	}
}

func TestQuarantineInTheLine(t *testing.T) {
	o := &filter.Outcome{Quarantined: "q1m5k2c7-x8d2pq", OriginalKept: "q1m5k2c7-000000", Released: "q1m5k2c7-111111",
		Forged: "quarantine: the token is not valid: it has been used\nby a@example.net"}
	got := map[string]string{}
	for _, a := range Attrs(View{Privacy: config.PrivacyMinimal}, o, nil) {
		got[a.Key] = a.Value.String()
	}
	for key, want := range map[string]string{"quarantine": o.Quarantined, "original_kept": o.OriginalKept, "released": o.Released,
		"not_released": "quarantine: the token is not valid: it has been used"} {
		if got[key] != want {
			t.Errorf("%s=%q, want %q", key, got[key], want)
		}
	}
}
