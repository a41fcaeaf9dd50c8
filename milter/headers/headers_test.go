package headers

import (
	"errors"
	"fmt"
	"mime"
	"net/netip"
	"strings"
	"testing"

	"assay/milter/plan"
	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/iprev"
	"assay/verify/message"
	"assay/verify/spf"
)

// everyday is a message that passes every check.
func everyday() Subject {
	ip := netip.MustParseAddr("2001:db8::1")
	return Subject{
		Envelope: &message.Envelope{QueueID: "4XyZ1k2Qz", ClientIP: ip, Helo: "mail.example.net", MailFrom: "bounce@news.example.net",
			ReceiverMTA: "MX.example.com.", TLS: message.TLSInfo{Version: "TLSv1.3"}},
		Results: verify.Results{
			Author: message.Author{Mailboxes: []message.Mailbox{{Local: "a", Domain: "example.net"}}, Fields: 1},
			SPF:    []spf.Verification{{Result: authres.Pass, Identity: spf.MailFrom}},
			DKIM: []dkim.Verification{{Result: authres.Pass, Domain: "example.net", Selector: "s1", Identifier: "@example.net",
				Algorithm: "rsa-sha256", KeyBits: 2048, SignaturePrefix: "AbCd/+12"}},
			ARC:   arc.Verification{Result: authres.None},
			DMARC: dmarc.Evaluation{Result: authres.Pass, Domain: "example.net", Policy: dmarc.PolicyReject},
			IPRev: iprev.Verification{Result: authres.Pass, IP: ip},
		},
		Decision: rules.Decision{Disposition: rules.Deliver, Trust: rules.Authenticated},
	}
}

func TestAuthenticationResults(t *testing.T) {
	s := everyday()
	got, err := Options{}.AuthenticationResults(s)
	if err != nil {
		t.Fatal(err)
	}
	want := `mx.example.com;
	spf=pass smtp.mailfrom=bounce@news.example.net;
	dkim=pass (2048-bit rsa key) header.d=example.net header.i=@example.net
	 header.s=s1 header.a=rsa-sha256 header.b="AbCd/+12";
	dmarc=pass header.from=example.net policy.dmarc=reject;
	arc=none;
	iprev=pass policy.iprev="2001:db8::1"`
	if got.Name != "Authentication-Results" || got.Value != want {
		t.Errorf("got %s: %s", got.Name, got.Value)
	}
}

func TestAuthenticationResultsOfSkippedMessages(t *testing.T) {
	s := everyday()
	s.Results = verify.Results{Skipped: verify.SkipNetwork}
	got, err := Options{AuthservID: "mx.example.org"}.AuthenticationResults(s)
	if err != nil || got.Value != "mx.example.org; none" {
		t.Errorf("trusted network: %q, %v", got.Value, err)
	}
	s.Results = verify.Results{Skipped: verify.SkipAuthenticated, Auth: verify.Auth{Result: authres.Pass, User: "erika"}}
	got, err = Options{AuthservID: "mx.example.org"}.AuthenticationResults(s)
	if want := "mx.example.org;\n\tauth=pass (authenticated client) smtp.auth=erika"; err != nil || got.Value != want {
		t.Errorf("authenticated: %q, %v", got.Value, err)
	}
}

func TestNullReversePathNamesTheHelo(t *testing.T) {
	s := everyday()
	s.Envelope.MailFrom = ""
	got, _ := Options{}.AuthenticationResults(s)
	if !strings.Contains(got.Value, "spf=pass smtp.helo=mail.example.net;") {
		t.Error(got.Value)
	}
}

func TestReversePathIsASCII(t *testing.T) {
	for path, want := range map[string]string{
		"j@a.example": "j@a.example", "j@müller.example": "j@xn--mller-kva.example", "jörg@müller.example": "xn--mller-kva.example",
	} {
		s := everyday()
		s.Envelope.MailFrom, s.Results.SPF[0].Domain = path, "xn--mller-kva.example"
		if got, _ := (Options{}).AuthenticationResults(s); !strings.Contains(got.Value, "smtp.mailfrom="+want+";") {
			t.Errorf("%s: %s", path, got.Value)
		}
	}
}

func TestAuthservID(t *testing.T) {
	for _, tt := range []struct{ config, mta, want string }{
		{"", "Mail.Example.COM.", "mail.example.com"},
		{"mx.example.org", "mail.example.com", "mx.example.org"},
		{"", "mailhost", "mailhost.localdomain"},
		{"", "", "localhost.localdomain"},
		{"", "[192.0.2.1]", "localhost.localdomain"},
		{"", "192.0.2.1", "localhost.localdomain"},
		{"", "a..b", "localhost.localdomain"},
		{"", "müller.example", "xn--mller-kva.example"},
	} {
		env := &message.Envelope{ReceiverMTA: tt.mta}
		if got := (Options{AuthservID: tt.config}).authservID(env); got != tt.want {
			t.Errorf("authserv-id of %+v = %q", tt, got)
		}
	}
}

func TestEveryFieldIsValidWhateverTheMessageSays(t *testing.T) {
	const hostile = "x\r\nEvil: 1; dkim=pass (\x00) \"quoted\" =?utf-8?q?x?= gefälscht; spf=pass"
	s := everyday()
	s.Envelope.Helo, s.Envelope.MailFrom, s.Envelope.QueueID, s.Envelope.TLS.Version = hostile, hostile, hostile, hostile
	s.Results.SPF[0] = spf.Verification{Result: authres.PermError, Reason: strings.Repeat(hostile, 100)}
	s.Results.DKIM[0] = dkim.Verification{Result: authres.Fail, Reason: hostile, Domain: hostile, Selector: hostile, SignaturePrefix: hostile}
	s.Results.DMARC = dmarc.Evaluation{Result: authres.Fail, Reason: hostile, Domain: "example.net"}
	s.Decision.Rules = []rules.Match{{ID: hostile, Enforced: true}}
	ar, err := Options{}.AuthenticationResults(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []rules.HeaderField{ar, Options{}.Summary(s), Options{}.Result(s)} {
		if !plan.ValidName(f.Name) || !plan.ValidValue(f.Value) {
			t.Errorf("%s: %q", f.Name, f.Value)
		}
		for _, line := range strings.Split(f.Value, "\n") {
			if len(line) > 900 {
				t.Errorf("%s has a line of %d octets", f.Name, len(line))
			}
		}
	}
	parsed, err := authres.Parse(ar.Value)
	if err != nil || len(parsed.Clauses) != 5 {
		t.Fatalf("%d clauses, %v:\n%s", len(parsed.Clauses), err, ar.Value)
	}
	for i, want := range []authres.Result{authres.PermError, authres.Fail, authres.Fail, authres.None, authres.Pass} {
		if parsed.Clauses[i].Result != want {
			t.Errorf("clause %d is %s=%s", i, parsed.Clauses[i].Method, parsed.Clauses[i].Result)
		}
	}
}

func TestSummary(t *testing.T) {
	forged := everyday()
	forged.Results.DMARC.Result, forged.Decision.Trust = authres.Fail, rules.Forged
	unsure := everyday()
	unsure.Results.DMARC.Result, unsure.Decision.Trust = authres.TempError, rules.Unverified
	unknown := everyday()
	unknown.Results.DMARC.Result, unknown.Decision.Trust, unknown.Envelope.TLS.Version = authres.None, rules.Unverified, ""
	several := everyday()
	several.Results.Author.Problem = message.AuthorSeveralFields
	for _, tt := range []struct {
		name   string
		s      Subject
		en, de string
	}{
		{"pass", everyday(), "Sender confirmed: example.net. Transport encrypted.", "Absender bestätigt: example.net. Übertragung verschlüsselt."},
		{"forged", forged, "Warning: sender not genuine, example.net does not vouch for this mail. Transport encrypted.",
			"Warnung: Absender nicht echt, example.net steht für diese E-Mail nicht ein. Übertragung verschlüsselt."},
		{"temperror", unsure, "Sender could not be checked at this time: example.net. Transport encrypted.",
			"Absender konnte im Moment nicht geprüft werden: example.net. Übertragung verschlüsselt."},
		{"unknown", unknown, "Sender not confirmed: nothing proves that this mail comes from example.net. Transport not encrypted.",
			"Absender nicht bestätigt: nichts belegt, dass diese E-Mail von example.net stammt. Übertragung nicht verschlüsselt."},
		{"several", several, "Warning: this mail names several senders. Transport encrypted.",
			"Warnung: diese E-Mail nennt mehrere Absender. Übertragung verschlüsselt."},
	} {
		for lang, want := range map[Language]string{English: tt.en, German: tt.de, "": tt.en} {
			f := Options{Language: lang}.Summary(tt.s)
			got, err := new(mime.WordDecoder).DecodeHeader(strings.ReplaceAll(f.Value, "\n", ""))
			if err != nil || got != want || f.Name != "X-Assay-Summary" || !plan.ValidValue(f.Value) {
				t.Errorf("%s %s: %s: %q (%v)", tt.name, lang, f.Name, got, err)
			}
			for i, line := range strings.Split(f.Value, "\n") {
				if i == 0 {
					line = f.Name + ": " + line
				}
				if len(line) > 76 {
					t.Errorf("%s: line of %d octets: %q", tt.name, len(line), line)
				}
			}
		}
	}
}

func TestResult(t *testing.T) {
	s := everyday()
	s.Decision.Rules = []rules.Match{{ID: "dmarc-reject", Enforced: true}, {ID: "watched"}}
	want := "v=1; trust=authenticated; disposition=deliver; tls=1.3;\n spf=pass; dkim=pass; dmarc=pass; arc=none; changed=none; rules=dmarc-reject;\n id=4XyZ1k2Qz"
	if got := (Options{}).Result(s); got.Value != want || got.Name != "X-Assay-Result" {
		t.Errorf("got %q", got.Value)
	}
	s.Virus, s.Unscanned = scan.VirusClean, []string{"archive", "pdf"}
	if got := (Options{}).Result(s).Value; !strings.Contains(strings.ReplaceAll(got, "\n", ""), " virus=clean; unscanned=archive,pdf; changed=none;") {
		t.Errorf("got %q", got)
	}
	s.Results.Skipped = verify.SkipNetwork
	if got := (Options{Prefix: "X-Gate"}).Result(s); !strings.Contains(got.Value, "skipped=network;") || got.Name != "X-Gate-Result" {
		t.Errorf("got %s: %q", got.Name, got.Value)
	}
}

// received parses a header section.
func received(t *testing.T, lines ...string) message.Header {
	t.Helper()
	m, err := message.Read(strings.NewReader(strings.Join(lines, "\r\n")+"\r\n\r\n"), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	return m.Header
}

func TestRemovals(t *testing.T) {
	header := received(t,
		"Authentication-Results: mx.example.com; dmarc=pass",       // 1 ours
		"authentication-RESULTS: other.example; dmarc=pass",        // 2 foreign
		"Authentication-Results: mx.attacker.test 1; dmarc=pass",   // 3 with a version, which a mail client misreads
		"Authentication-Results: ; dmarc=pass",                     // 4 no id
		"Authentication-Results: \"MX.example.com.\" ; dmarc=pass", // 5 ours, quoted
		"Received-SPF: pass",
		"X-Assay-Summary: trust me",
		"x-assay-anything: v=1",
		"BIMI-Indicator: x",
		"ARC-Authentication-Results: i=1; mx.example.com; dmarc=pass",
		"X-Assayer: somebody else's",
	)
	relay := netip.MustParsePrefix("198.51.100.0/24")
	tests := []struct {
		name    string
		opt     Options
		ip      string
		skipped verify.Skip
		want    string
	}{
		{"all from strangers", Options{}, "192.0.2.1", "", "A1 A2 A3 A4 A5 received-spf1 x-assay-summary1 x-assay-anything1 bimi-indicator1"},
		{"all from authenticated clients", Options{}, "192.0.2.1", verify.SkipAuthenticated, "A1 A2 A3 A4 A5 received-spf1 x-assay-summary1 x-assay-anything1 bimi-indicator1"},
		{"trusted network keeps foreign ones", Options{}, "192.0.2.1", verify.SkipNetwork, "A1 A3 A4 A5 x-assay-summary1 x-assay-anything1"},
		{"own", Options{Strip: StripOwn}, "192.0.2.1", "", "A1 A3 A4 A5 received-spf1 x-assay-summary1 x-assay-anything1 bimi-indicator1"},
		{"list", Options{Strip: StripList, StripIDs: []string{"OTHER.example."}}, "192.0.2.1", "", "A1 A2 A3 A4 A5 received-spf1 x-assay-summary1 x-assay-anything1 bimi-indicator1"},
		{"upstream keeps its id", Options{Upstream: []netip.Prefix{relay}, UpstreamIDs: []string{"other.example"}}, "198.51.100.7", "",
			"A1 A3 A4 A5 received-spf1 x-assay-summary1 x-assay-anything1 bimi-indicator1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := &message.Envelope{ReceiverMTA: "mx.example.com", ClientIP: netip.MustParseAddr(tt.ip)}
			removals, err := tt.opt.Removals(Subject{Envelope: env, Results: verify.Results{Skipped: tt.skipped}}, header)
			var got []string
			for _, r := range removals {
				got = append(got, strings.ReplaceAll(strings.ToLower(r.Name), "authentication-results", "A")+fmt.Sprint(r.Nth))
			}
			if strings.Join(got, " ") != tt.want || err != nil {
				t.Errorf("removed %q, %v", got, err)
			}
		})
	}
}

func TestTooManyRemovals(t *testing.T) {
	lines := []string{}
	for range DefaultMaxRemovals {
		lines = append(lines, "Authentication-Results: mx.example.com; dmarc=pass")
	}
	env := &message.Envelope{}
	got, err := Options{}.Removals(Subject{Envelope: env}, received(t, lines...))
	if err != nil || len(got) != DefaultMaxRemovals {
		t.Errorf("%d fields: %d removals, %v", len(lines), len(got), err)
	}
	lines = append(lines, "X-Assay-Result: v=1")
	if got, err := (Options{}).Removals(Subject{Envelope: env}, received(t, lines...)); err != nil || len(got) != DefaultMaxRemovals+1 {
		t.Errorf("and another field: %d removals, %v", len(got), err)
	}
	lines = append(lines, "Authentication-Results: mx.example.com; dmarc=pass")
	if _, err := (Options{}).Removals(Subject{Envelope: env}, received(t, lines...)); !errors.Is(err, ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
}

// What a sender says about spam goes when a rule says junk, and only then; what a trusted system says stays.
func TestRemovalsOfSpamFields(t *testing.T) {
	header := received(t, "X-Spam-Flag: NO", "x-spam-STATUS: No, score=-9", "X-Spam-Level: *", "X-Spam-Score: -9", "X-Spam-Report: x", "X-Spam-Flag: YES")
	relay := netip.MustParsePrefix("198.51.100.0/24")
	for _, tt := range []struct {
		name        string
		disposition rules.Disposition
		skipped     verify.Skip
		ip          string
		want        int
	}{
		{"junk", rules.Junk, "", "192.0.2.1", 5},
		{"junk of a user", rules.Junk, verify.SkipAuthenticated, "192.0.2.1", 5},
		{"deliver", rules.Deliver, "", "192.0.2.1", 0},
		{"quarantine", rules.Quarantine, "", "192.0.2.1", 0},
		{"trusted network", rules.Junk, verify.SkipNetwork, "192.0.2.1", 0},
		{"upstream", rules.Junk, "", "198.51.100.7", 0},
	} {
		s := Subject{Envelope: &message.Envelope{ClientIP: netip.MustParseAddr(tt.ip)}, Results: verify.Results{Skipped: tt.skipped},
			Decision: rules.Decision{Disposition: tt.disposition}}
		got, err := Options{Upstream: []netip.Prefix{relay}}.Removals(s, header)
		if err != nil || len(got) != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}
