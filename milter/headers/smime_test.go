package headers

import (
	"encoding/json"
	"fmt"
	"mime"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify"
	"assay/verify/authres"
	"assay/verify/smime"
)

// python is an interpreter that has the authres package, the reader that others are written after.
const python = "/usr/bin/python3"

// signedBy returns a message with an S/MIME verdict.
func signedBy(v smime.Verification) Subject {
	s := everyday()
	s.Results.SMIME = v
	return s
}

// signer is one for whom a public root vouches.
func signer() smime.Signer {
	return smime.Signer{Email: "a@example.net", Name: "Erika Mustermann", Organization: "Example AG", Serial: "0A1B",
		Issuer: "CN=Example CA,O=Example AG,C=DE", Level: smime.SponsorValidated, Trust: smime.PublicRoot,
		NotAfter: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)}
}

// verdicts are the states with the result that each has (see smime.State), and what a person reads about it.
var verdicts = []struct {
	state  smime.State
	result authres.Result
	en, de string
}{
	{smime.Malformed, authres.PermError, "cannot be read", "nicht lesbar"},
	{smime.Altered, authres.Fail, "does not match the text", "passt nicht zum Text"},
	{smime.Unsupported, authres.Neutral, "cannot be checked here", "kann hier nicht geprüft werden"},
	{smime.Incomplete, authres.PermError, "certificate for checking it is missing", "fehlt ein Zertifikat"},
	{smime.Unavailable, authres.TempError, "could not be checked at this time", "im Moment nicht geprüft"},
	{smime.Revoked, authres.Fail, "revoked certificate", "gesperrten Zertifikat"},
	{smime.Untrusted, authres.Policy, "nobody trusted vouches", "niemand Vertrautes bürgt"},
	{smime.Weak, authres.Policy, "outdated cryptography", "veralteten Verfahren"},
	{smime.Stale, authres.Policy, "implausible time", "unglaubwürdiger Uhrzeit"},
	{smime.WrongSender, authres.Policy, "signed by a@example.net, who is not", "unterzeichnet von a@example.net und nicht"},
	{smime.Partial, authres.Policy, "Only a part", "Nur ein Teil"},
	{smime.Verified, authres.Pass, "Signature valid: Erika Mustermann, Example AG, a@example.net.", "Signatur gültig: Erika Mustermann, Example AG, a@example.net."},
	{smime.Encrypted, authres.None, "Content encrypted", "Inhalt verschlüsselt"},
	{smime.CertsOnly, authres.None, "", ""},
	{smime.Compressed, authres.None, "", ""},
}

// Every state has a field of its own with exactly one result, and a sentence in both languages.
func TestSMIMEStates(t *testing.T) {
	for _, tt := range verdicts {
		t.Run(string(tt.state), func(t *testing.T) {
			s := signedBy(smime.Verification{Result: tt.result, State: tt.state, Reason: "the reason", Section: "1", Revocation: smime.RevocationGood,
				Signers: []smime.Signer{signer()}})
			value, read := formatted(t, s)
			if len(read.Clauses) != 1 || read.Clauses[0].Method != "smime" || read.Clauses[0].Result != tt.result || len(read.Defects) > 0 {
				t.Errorf("read back %+v from %q", read, value)
			}
			if (tt.state == smime.Verified) != strings.Contains(value, "pass") {
				t.Errorf("pass where it must not be, or missing: %q", value)
			}
			if tt.state != smime.Verified && read.Clauses[0].Comment != "the reason" {
				t.Errorf("comment %q", read.Clauses[0].Comment)
			}
			for language, want := range map[Language]string{English: tt.en, German: tt.de} {
				if got := words(t, Options{Language: language}.Summary(s).Value); !strings.Contains(got, want) || strings.Contains(got, "%!") {
					t.Errorf("%s: %q, want %q in it", language, got, want)
				}
			}
		})
	}
}

// Why nobody vouches for the signer is said, for an expired certificate is no manipulation.
func TestUntrusted(t *testing.T) {
	for trust, want := range map[smime.Trust]string{
		smime.Expired: "had expired on 2026-05-04", smime.SelfSigned: "vouches only for himself", smime.UnknownRoot: "nobody trusted", smime.NotForMail: "nobody trusted",
	} {
		who := signer()
		who.Trust = trust
		s := signedBy(smime.Verification{Result: authres.Policy, State: smime.Untrusted, Reason: "x", Signers: []smime.Signer{who}})
		if got := words(t, Options{}.Summary(s).Value); !strings.Contains(got, want) {
			t.Errorf("%s: %q", trust, got)
		}
	}
}

// There is no field when nothing was checked or nothing is signed, and no sentence about a message that was not checked.
func TestNoSMIME(t *testing.T) {
	skipped := signedBy(smime.Verification{Result: authres.Pass, State: smime.Verified, Signers: []smime.Signer{signer()}})
	skipped.Results.Skipped = verify.SkipNetwork
	for name, s := range map[string]Subject{
		"not checked": everyday(), "skipped": skipped, "unsigned": signedBy(smime.Verification{Result: authres.None, State: smime.Unsigned}),
	} {
		if field, ok, err := (Options{}).SMIME(s); ok || err != nil {
			t.Errorf("%s: %+v, %v", name, field, err)
		}
		if got := words(t, Options{}.Summary(s).Value); strings.Contains(got, "ignature") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// RFC 7281 Section 3.2.3: serial and issuer stand together or not at all, and who the signer is stands there only when a
// trusted root says so.
func TestSMIMEProperties(t *testing.T) {
	const all = "smime-identifier smime-part smime-serial smime-issuer"
	for _, tt := range []struct {
		name   string
		state  smime.State
		change func(*smime.Signer)
		want   string
	}{
		{"verified", smime.Verified, func(*smime.Signer) {}, all},
		{"private root", smime.Verified, func(s *smime.Signer) { s.Trust = smime.PrivateRoot }, all},
		{"wrong sender", smime.WrongSender, func(*smime.Signer) {}, all},
		{"revoked", smime.Revoked, func(*smime.Signer) {}, all},
		{"partial", smime.Partial, func(*smime.Signer) {}, all},
		{"no serial", smime.Verified, func(s *smime.Signer) { s.Serial = "" }, "smime-identifier smime-part"},
		{"no issuer", smime.Verified, func(s *smime.Signer) { s.Issuer = "" }, "smime-identifier smime-part"},
		{"no mailbox", smime.WrongSender, func(s *smime.Signer) { s.Email = "" }, "smime-part smime-serial smime-issuer"},
		{"unknown root", smime.Partial, func(s *smime.Signer) { s.Trust = smime.UnknownRoot }, "smime-identifier smime-part"},
		{"untrusted", smime.Untrusted, func(*smime.Signer) {}, "smime-part"},
		{"altered", smime.Altered, func(*smime.Signer) {}, "smime-part"},
		{"malformed", smime.Malformed, func(*smime.Signer) {}, "smime-part"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			who := signer()
			tt.change(&who)
			result := authres.Policy
			if tt.state == smime.Verified {
				result = authres.Pass
			}
			_, read := formatted(t, signedBy(smime.Verification{Result: result, State: tt.state, Section: "1", Signers: []smime.Signer{who}}))
			var names []string
			for _, p := range read.Clauses[0].Properties {
				names = append(names, p.Name)
				if p.Type != "body" {
					t.Errorf("%s.%s", p.Type, p.Name)
				}
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// hostile is what a certificate authority or a sender may have written into a name.
var hostile = []string{
	"CN=x; dkim=pass header.d=bank.example", "CN=\"x\"; smime=pass", `CN=x\`, `CN=\"`, "CN=x\r\nAuthentication-Results: mx.example.com; spf=pass", "CN=x\n\tspf=pass",
	"CN=(x", "CN=x)", "CN=x) smime=pass (", "CN=\x00\x7f\x1b[31m", "CN=Müller", "CN=\xff\xfe", "CN=\u202egp.exe", "=?utf-8?q?=0D=0Aspf=3Dpass?=", "%s%n%!d(MISSING)", ";", "\"", "\\", "@", " ",
	strings.Repeat("x", 5000), strings.Repeat(`"\`, 1000), "a@b.example smime=pass", "a@b.example,c@d.example",
}

// Nothing that stands in a certificate or in a reason adds a result, breaks the field, or makes it unreadable.
func TestSMIMEHostileNames(t *testing.T) {
	for i, text := range hostile {
		for _, state := range []smime.State{smime.Verified, smime.Partial, smime.WrongSender, smime.Revoked, smime.Altered, smime.Untrusted} {
			t.Run(fmt.Sprint(i, " ", state), func(t *testing.T) {
				who := signer()
				who.Issuer, who.Email, who.Serial, who.Name, who.Organization = text, text, text, text, text
				result := authres.Policy
				if state == smime.Verified {
					result = authres.Pass
				}
				s := signedBy(smime.Verification{Result: result, State: state, Reason: text, Section: "1", Signers: []smime.Signer{who}})
				value, read := formatted(t, s)
				if len(read.Clauses) != 1 || read.Clauses[0].Result != result || read.ID != "mx.example.com" {
					t.Errorf("read back %+v from %q", read, value)
				}
				for _, o := range []Options{{}, {Language: German}} {
					summary := o.Summary(s).Value
					if bad := unfit(summary); bad != "" {
						t.Errorf("%s in the summary %q", bad, summary)
					}
					if strings.ContainsAny(words(t, summary), "\r\n") {
						t.Errorf("a reader sees line ends in the summary %q", summary)
					}
				}
			})
		}
	}
}

// Python's authres reads what is written as it is meant.
func TestSMIMEInPython(t *testing.T) {
	if exec.Command(python, "-c", "import authres").Run() != nil {
		t.Skip("python3-authres is not installed (packaging/test/deps.sh)")
	}
	const program = `import sys, json, authres
out = []
for v in json.load(sys.stdin):
    h = authres.AuthenticationResultsHeader.parse_value(v)
    out.append([h.authserv_id] + [r.method + "=" + r.result for r in h.results])
json.dump(out, sys.stdout)`
	var values []string
	var want [][]string
	for _, v := range verdicts {
		for _, text := range append([]string{"CN=Example CA,O=Example AG,C=DE"}, hostile...) {
			who := signer()
			who.Issuer, who.Email = text, text
			value, _ := formatted(t, signedBy(smime.Verification{Result: v.result, State: v.state, Reason: text, Section: "1", Signers: []smime.Signer{who}}))
			values = append(values, strings.ReplaceAll(value, "\n", "\r\n"))
			want = append(want, []string{"mx.example.com", "smime=" + string(v.result)})
		}
	}
	in, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, "-c", program)
	c.Stdin = strings.NewReader(string(in))
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
	}
	var got [][]string
	if err := json.Unmarshal(out, &got); err != nil || len(got) != len(want) {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("%q is read as %q", values[i], got[i])
		}
	}
}

// formatted returns the field about S/MIME and how it is read.
func formatted(t *testing.T, s Subject) (string, authres.Header) {
	t.Helper()
	field, ok, err := Options{}.SMIME(s)
	if !ok || err != nil || field.Name != "Authentication-Results" {
		t.Fatalf("%+v, %v, %v", field, ok, err)
	}
	if bad := unfit(field.Value); bad != "" {
		t.Fatalf("%s in %q", bad, field.Value)
	}
	read, err := authres.Parse(field.Value)
	if err != nil {
		t.Fatalf("%q: %v", field.Value, err)
	}
	return field.Value, read
}

// unfit says what no header value may hold, "" if all is well.
func unfit(value string) string {
	for line := range strings.SplitSeq(value, "\n") {
		if len(line) > 998 {
			return "a long line"
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r > 0x7e }) {
			return "a character that is not printable ASCII"
		}
		if strings.TrimSpace(line) == "" {
			return "an empty line"
		}
	}
	for _, line := range strings.Split(value, "\n")[1:] {
		if line[0] != ' ' && line[0] != '\t' {
			return "a line that does not continue the field"
		}
	}
	return ""
}

// words returns the text of a header value as a reader sees it.
func words(t *testing.T, value string) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(strings.ReplaceAll(value, "\n ", " "))
	if err != nil {
		t.Fatalf("%q: %v", value, err)
	}
	return strings.ReplaceAll(text, "?= =?", "")
}

// TestOpened says that a message was opened here, and no more about it than was proven.
func TestOpened(t *testing.T) {
	opened := func(state smime.State, result authres.Result, authenticated bool) Subject {
		v := smime.Verification{Result: result, State: state, Reason: "the reason", Section: "1/2", Revocation: smime.RevocationGood,
			Encrypted: true, Opened: true, Opening: &smime.Opening{Authenticated: authenticated}}
		if state != smime.Encrypted {
			v.Signers = []smime.Signer{signer()}
		}
		return signedBy(v)
	}
	for _, tt := range []struct {
		name            string
		subject         Subject
		comment, en, de string
		word, never     string
	}{
		{"signed", opened(smime.Verified, authres.Pass, true), "encrypted and opened here, sponsor-validated, revocation good",
			"Encrypted for this mail system and opened here. Signature valid: Erika", "Für dieses Mailsystem verschlüsselt und hier geöffnet. Signatur gültig", "opened=authenticated", "Nobody"},
		{"altered", opened(smime.Altered, authres.Fail, false), "encrypted and opened here, the reason",
			"opened here. Warning: the signature does not match", "hier geöffnet. Warnung", "opened=unauthenticated", "valid"},
		{"not signed, authenticated", opened(smime.Encrypted, authres.None, true), "the reason",
			"opened here. Nobody has signed it.", "hier geöffnet. Niemand hat sie unterzeichnet.", "opened=authenticated", "changed on the way"},
		{"not signed, not authenticated", opened(smime.Encrypted, authres.None, false), "the reason",
			"Nobody has signed it, and it may have been changed on the way.", "sie kann unterwegs verändert worden sein.", "opened=unauthenticated", "valid"},
	} {
		_, read := formatted(t, tt.subject)
		if len(read.Clauses) != 1 || read.Clauses[0].Comment != tt.comment {
			t.Errorf("%s: %+v", tt.name, read)
		}
		for language, want := range map[Language]string{English: tt.en, German: tt.de} {
			got := words(t, Options{Language: language}.Summary(tt.subject).Value)
			if !strings.Contains(got, want) || strings.Contains(got, tt.never) || strings.Contains(got, "not checked") {
				t.Errorf("%s, %s: %q, want %q", tt.name, language, got, want)
			}
		}
		if got := (Options{}).Result(tt.subject).Value; !strings.Contains(got, tt.word+";") {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	if got := (Options{}).Result(signedBy(smime.Verification{Result: authres.None, State: smime.Encrypted, Encrypted: true})).Value; strings.Contains(got, "opened") {
		t.Errorf("not opened: %q", got)
	}
}
