package arc

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// dkimpyScript validates chains with dkimpy. It reads and writes JSON, messages as Latin-1.
const dkimpyScript = `
import json, sys, dkim
job, out = json.load(sys.stdin), []
def txt(name, timeout=5):
    return job["zone"].get(name.decode().rstrip("."), "").encode() or None
for m in job["messages"]:
    cv, results, reason = dkim.arc_verify(m.encode("latin-1"), dnsfunc=txt)
    out.append([cv.decode() if cv else "", str(reason)])
json.dump(out, sys.stdout)
`

// mailDKIMScript does the same with Mail::DKIM.
const mailDKIMScript = `
use strict; use JSON::PP; use Mail::DKIM::ARC::Verifier; use Mail::DKIM::DNS; use Net::DNS::RR;
local $/; my $job = JSON::PP->new->utf8->decode(scalar <STDIN>); my @out;
no warnings 'redefine';
*Mail::DKIM::DNS::query = sub {
    my ($name) = @_; my $text = $job->{zone}{$name} // return ();
    return Net::DNS::RR->new(owner => $name, type => "TXT", txtdata => [unpack("(A250)*", $text)]);
};
for my $m (@{$job->{messages}}) {
    utf8::downgrade($m); my $v = Mail::DKIM::ARC::Verifier->new; $v->PRINT($m); $v->CLOSE;
    push @out, [$v->result, $v->result_detail];
}
print JSON::PP->new->utf8->encode(\@out);
`

// peer runs a foreign validator over messages and returns its result and reason for each.
func peer(t *testing.T, messages []string, name string, args ...string) [][2]string {
	t.Helper()
	latin1 := make([]string, len(messages))
	for i, m := range messages {
		var b strings.Builder
		for _, octet := range []byte(crlfText(m)) {
			b.WriteRune(rune(octet))
		}
		latin1[i] = b.String()
	}
	in, err := json.Marshal(map[string]any{"zone": sealerZone(abc...), "messages": latin1})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		missing := cmd.Process == nil || strings.Contains(stderr.String(), "ModuleNotFoundError") || strings.Contains(stderr.String(), "Can't locate")
		if missing && os.Getenv("ASSAY_REQUIRE_MTA") == "" {
			t.Skipf("NOT COMPARED: %s is not installed: %v %.200s", name, err, stderr.String())
		}
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	var out [][2]string
	if err := json.Unmarshal(text, &out); err != nil || len(out) != len(messages) {
		t.Fatalf("%s: %d results for %d messages: %v", name, len(out), len(messages), err)
	}
	return out
}

// TestPeersVerifySeals: dkimpy and Mail::DKIM take what we seal, and see what was changed afterwards. Neither knows
// Ed25519 in ARC.
func TestPeersVerifySeals(t *testing.T) {
	var sealed []sealedMessage
	var texts []string
	for _, s := range sealedMails(t) {
		if !s.ed25519 {
			sealed, texts = append(sealed, s), append(texts, s.text)
		}
	}
	if len(sealed) < 30 {
		t.Errorf("only %d messages", len(sealed))
	}
	for name, command := range map[string][]string{
		"dkimpy":     {"/usr/bin/python3", "-c", dkimpyScript},
		"Mail::DKIM": {"perl", "-e", mailDKIMScript},
	} {
		t.Run(name, func(t *testing.T) {
			for i, result := range peer(t, texts, command[0], command[1:]...) {
				if s := sealed[i]; result[0] != string(s.want) {
					t.Errorf("%s: %s (%s), want %s\n%s", s.name, result[0], result[1], s.want, s.text)
				}
			}
		})
	}
}

// TestPeerVerifiesTheSealOfABrokenChain: Mail::DKIM finds the seal with cv=fail right as the seal of its own set. The
// sets below are taken out, because it looks at them whatever cv= says.
func TestPeerVerifiesTheSealOfABrokenChain(t *testing.T) {
	z, changed := sealerZone(abc...), strings.Replace(mails()["plain"], "Hello.", "Hullo.", 1)
	_, first := sealText(t, newSealer(t, "a.example", "sel"), z, mails()["plain"])
	_, second := sealText(t, newSealer(t, "b.example", "sel"), z, first.top()+crlfText(changed))
	result := peer(t, []string{second.top() + crlfText(changed)}, "perl", "-e", mailDKIMScript)[0]
	if result[0] != "fail" || result[1] != "fail (as.2.b.example=pass, ams.2.b.example=pass)" {
		t.Errorf("%q", result)
	}
}
