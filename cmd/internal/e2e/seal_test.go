package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
)

// sealZone is the DNS of an author, whose mail only one host may send, and of two hosts that it passes.
const sealZone = `
good.example. TXT "v=spf1 ip4:127.0.2.25 -all"
_dmarc.good.example. TXT "v=DMARC1; p=reject"
rsa2048._domainkey.hop.example. TXT "v=DKIM1; k=rsa; p={{rsa2048}}"
rsa2048._domainkey.rcpt.example. TXT "v=DKIM1; k=rsa; p={{rsa2048}}"
`

// sealConfig makes a host seal as domain, with more keys of verify.
const sealConfig = "verify: {arc: {seal: {domain: %s, selector: rsa2048, key_file: %q}, trusted_sealers: [%s]}, dmarc: {enforce: true}}\n"

// arcScript validates chains with dkimpy. It reads and writes JSON, with octets in base64.
const arcScript = `
import base64, json, sys, dkim
job, out = json.load(sys.stdin), []
def txt(name, timeout=5):
    return job["zone"].get(name.decode().rstrip("."), "").encode() or None
for m in job["messages"]:
    cv, results, reason = dkim.arc_verify(base64.b64decode(m), dnsfunc=txt)
    out.append((cv or b"").decode() + " of %d: %s" % (len(results), reason))
json.dump(out, sys.stdout)
`

// dkimpyARC returns what dkimpy says about the chains of messages.
func (k *keys) dkimpyARC(t *testing.T, messages [][]byte) []string {
	t.Helper()
	record := "v=DKIM1; k=rsa; p=" + k.public["rsa2048"]
	in, err := json.Marshal(map[string]any{"messages": messages,
		"zone": map[string]string{"rsa2048._domainkey.hop.example": record, "rsa2048._domainkey.rcpt.example": record}})
	must(t, err)
	var out []string
	must(t, json.Unmarshal(runTool(t, in, "/usr/bin/python3", "-c", arcScript), &out))
	return out
}

// A sealStage is the program and what it needs to seal.
type sealStage struct {
	lane     *lane
	keys     *keys
	program  string
	zone     string // file
	resolver string
}

// newSealStage starts the MTAs and the DNS.
func newSealStage(t *testing.T) *sealStage {
	t.Helper()
	s := &sealStage{lane: newLane(t, setup{}), keys: newKeys(t), program: program(t, false)}
	text := s.keys.fill(sealZone)
	s.zone = filepath.Join(t.TempDir(), "zone")
	must(t, os.WriteFile(s.zone, []byte(text), 0o600))
	s.resolver = dnstest.New(t, text, dnstest.Options{}).Addr()
	return s
}

// during runs a test while the program serves with a configuration.
func (s *sealStage) during(t *testing.T, config string, test func(*mtatest.Daemon)) {
	t.Helper()
	d, err := mtatest.StartDaemon(s.program, s.lane.config(t, config, s.resolver), "")
	must(t, err)
	defer func() {
		if t.Failed() {
			t.Logf("log of assay:\n%s", d.Log())
		}
		must(t, d.Close())
	}()
	test(d)
}

// pass checks that both validators find a chain of n sets valid: dkimpy, and the command of the program.
func (s *sealStage) pass(t *testing.T, n int, names []string, messages [][]byte) {
	t.Helper()
	for i, verdict := range s.keys.dkimpyARC(t, messages) {
		if !strings.HasPrefix(verdict, fmt.Sprintf("pass of %d:", n)) {
			t.Errorf("%s: dkimpy says %s", names[i], verdict)
		}
		file := filepath.Join(t.TempDir(), "message.eml")
		must(t, os.WriteFile(file, messages[i], 0o600))
		var out struct {
			Results struct {
				ARC struct {
					Result, Reason string
					Instance       int
				}
			}
		}
		must(t, json.Unmarshal(runTool(t, nil, s.program, "verify", "arc", "--json", "--dns", s.zone, file), &out))
		if arc := out.Results.ARC; arc.Result != "pass" || arc.Instance != n {
			t.Errorf("%s: assay verify arc says %+v", names[i], arc)
		}
	}
}

// TestSealsSurvive: whatever the shape of a message, what is delivered of it carries a set that validates, on top and in
// order. A forged Authentication-Results field is taken out before the message is sealed.
func TestSealsSurvive(t *testing.T) {
	s := newSealStage(t)
	s.during(t, fmt.Sprintf(sealConfig, "hop.example", s.keys.file("rsa2048"), ""), func(*mtatest.Daemon) {
		s.lane.each(t, func(t *testing.T, m mtatest.MTA) {
			var names []string
			var messages [][]byte
			c := connect(t, m, "127.0.2.25")
			for _, shape := range shapes() {
				reply := send(t, c, between("a@good.example", "b@rcpt.example"), "Authentication-Results: mx.rcpt.example; dmarc=fail\r\n"+
					"From: a@good.example\r\nTo: b@rcpt.example\r\n"+shape.head+
					"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@good.example>\r\n\r\n"+shape.body, 250)
				data := s.lane.delivered(t, reply)
				if !knownDamage(m, shape.name) {
					names, messages = append(names, shape.name), append(messages, data)
				}
				checkOrder(t, shape.name, data)
			}
			s.pass(t, 1, names, messages)
		})
	})
}

// checkOrder checks that the set stands above our other fields.
func checkOrder(t *testing.T, name string, data []byte) {
	t.Helper()
	header, _ := fields(data)
	var order []string
	for _, f := range header {
		if n, _, _ := strings.Cut(f, ":"); ours(f) || strings.HasPrefix(n, "ARC-") {
			order = append(order, n)
		}
	}
	if got := strings.Join(order, " "); got != "ARC-Seal ARC-Message-Signature ARC-Authentication-Results Authentication-Results X-Assay-Summary X-Assay-Result" {
		t.Errorf("%s: %s", name, got)
	}
}

// TestSealedAndForwarded: a message passes DMARC at a first host, which seals and forwards it from an address that the
// author's domain does not name. The second host refuses it, unless it trusts the first one's seals; then it adds its own.
func TestSealedAndForwarded(t *testing.T) {
	s := newSealStage(t)
	const message = "From: a@good.example\r\nTo: b@hop.example\r\nSubject: hi\r\n\r\nhello\r\n"
	first := make(map[string][]byte)
	s.during(t, fmt.Sprintf(sealConfig, "hop.example", s.keys.file("rsa2048"), ""), func(*mtatest.Daemon) {
		s.lane.each(t, func(t *testing.T, m mtatest.MTA) {
			reply := send(t, connect(t, m, "127.0.2.25"), between("a@good.example", "b@hop.example"), message, 250)
			first[m.Name()] = s.lane.delivered(t, reply)
			s.pass(t, 1, []string{"first"}, [][]byte{first[m.Name()]})
			header, _ := fields(first[m.Name()])
			if aar := strings.Join(named(header, "ARC-Authentication-Results"), ""); !strings.Contains(aar, "dmarc=pass header.from=good.example") {
				t.Errorf("recorded: %s", aar)
			}
		})
	})
	s.during(t, fmt.Sprintf(sealConfig, "rcpt.example", s.keys.file("rsa2048"), "hop.example"), func(d *mtatest.Daemon) {
		s.lane.each(t, func(t *testing.T, m mtatest.MTA) {
			c := connect(t, m, "127.0.2.77")
			reply := send(t, c, between("a@good.example", "b@rcpt.example"), string(first[m.Name()]), 250)
			data := s.lane.delivered(t, reply)
			s.pass(t, 2, []string{"second"}, [][]byte{data})
			header, _ := fields(data)
			results := strings.Join(named(header, "Authentication-Results"), "")
			summary := strings.Join(named(header, "X-Assay-Summary"), "")
			if !strings.Contains(results, "dmarc=fail") || !strings.Contains(results, "arc=pass") || !strings.Contains(summary, "trusted forwarder: good.example") {
				t.Errorf("%s\n%s", results, summary)
			}
			// A list that changes the message breaks the chain, and its word counts no more.
			send(t, c, between("a@good.example", "b@rcpt.example"), string(first[m.Name()])+"list footer\r\n", 550)
		})
		if n := strings.Count(d.Log(), "override=trusted_forwarder "); n != len(first) {
			t.Errorf("%d overrides in the log", n)
		}
	})
	s.during(t, fmt.Sprintf(sealConfig, "rcpt.example", s.keys.file("rsa2048"), "other.example"), func(*mtatest.Daemon) {
		s.lane.each(t, func(t *testing.T, m mtatest.MTA) {
			send(t, connect(t, m, "127.0.2.77"), between("a@good.example", "b@rcpt.example"), string(first[m.Name()]), 550)
		})
	})
}
