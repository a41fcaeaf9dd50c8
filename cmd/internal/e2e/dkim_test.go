package e2e

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
)

// A shape is a message that filters and MTAs are known to damage in a way that breaks signatures.
type shape struct {
	name string
	head string // instead of the Subject field
	body string
}

// shapes are header foldings and bodies of RFC 5322 and of what is seen in real mail.
func shapes() []shape {
	const body = "first line\r\nsecond line\r\n"
	long := strings.Repeat("long ", 1000)
	return []shape{
		{"plain", "Subject: hi\r\n", body},
		{"tab fold", "Subject: one\r\n\ttwo\r\n", body},
		{"blank fold", "Subject: one\r\n two\r\n   three\r\n", body},
		{"continuation of blanks only", "Subject: one\r\n \t \r\n two\r\n", body},
		{"trailing blanks", "Subject: one  \t \r\n", body},
		{"trailing blanks before a fold", "Subject: one \t\r\n\t two\t\r\n", body},
		{"empty", "Subject:\r\n", body},
		{"blank only", "Subject: \r\n", body},
		{"no blank", "Subject:hi\r\n", body},
		{"many blanks", "Subject:    hi\r\n", body},
		{"tab", "Subject:\thi\r\n", body},
		{"value on the next line", "Subject:\r\n hi\r\n", body},
		{"odd case of the name", "sUBJECT: hi\r\n", body},
		{"8 bit", "Subject: gr\xc3\xbcn \xe4\r\n", body},
		{"twice", "Subject: one\r\nX-Between: 1\r\nSubject: two\r\n", body},
		{"5 KB line", "Subject: " + long + "\r\n", body},
		{"empty body", "Subject: hi\r\n", ""},
		{"body of line ends", "Subject: hi\r\n", "\r\n\r\n\r\n"},
		{"dots", "Subject: hi\r\n", ".\r\n..\r\n.hidden\r\n"},
		{"10 KB line in the body", "Subject: hi\r\n", strings.Repeat("y", 10_000) + "\r\n"},
		{"blanks in the body", "Subject: hi\r\n", "a  b\t c \t\r\n \t\r\n\r\n"},
		{"3 MB", "Subject: hi\r\n", strings.Repeat(strings.Repeat("z", 76)+"\r\n", 3<<20/78)},
	}
}

// canonicalizations of RFC 6376 Section 3.4.
func canonicalizations() [][2]string {
	return [][2]string{{"simple", "simple"}, {"relaxed", "relaxed"}, {"simple", "relaxed"}, {"relaxed", "simple"}}
}

// shapesZone is the DNS of the signer.
const shapesZone = `
good.example. TXT "v=spf1 -all"
rsa2048._domainkey.good.example. TXT "v=DKIM1; k=rsa; p={{rsa2048}}"
_dmarc.good.example. TXT "v=DMARC1; p=reject"
`

// TestSignaturesSurvive: what the milter protocol hands over, and what is delivered, is octet by octet what was signed.
// The messages are signed by dkimpy; what is delivered is verified by dkimpy again, because Assay saw what the MTA
// received and says nothing about what it delivers.
func TestSignaturesSurvive(t *testing.T) {
	k := newKeys(t)
	var jobs []dkimpyJob
	var names []string
	for _, s := range shapes() {
		for _, c := range canonicalizations() {
			names = append(names, s.name+" "+c[0]+"/"+c[1])
			include := []string{"from", "to", "date"}
			for range strings.Count(strings.ToLower(s.head), "subject:") {
				include = append(include, "subject") // every occurrence is signed (RFC 6376 Section 5.4.2)
			}
			jobs = append(jobs, dkimpyJob{KeyFile: k.file("rsa2048"), Include: include,
				signature: signature{Key: "rsa2048", Domain: "good.example", Header: c[0], Body: c[1]},
				Message: []byte("From: a@good.example\r\nTo: b@rcpt.example\r\n" + s.head +
					"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@good.example>\r\n\r\n" + s.body)})
		}
	}
	for i, field := range dkimpy(t, jobs) {
		signature, err := base64.StdEncoding.DecodeString(field)
		must(t, err)
		jobs[i].Message = append(signature, jobs[i].Message...)
	}
	l := newLane(t, setup{})
	d, err := mtatest.StartDaemon(program(t, false), l.config(t, "", dnstest.New(t, k.fill(shapesZone), dnstest.Options{}).Addr()), "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	l.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		var again []dkimpyJob
		for i, job := range jobs {
			reply := send(t, c, between("a@good.example", "b@rcpt.example"), string(job.Message), 250)
			data := l.delivered(t, reply)
			header, _ := fields(data)
			if results := strings.Join(named(header, "Authentication-Results"), ""); !strings.Contains(results, "dkim=pass") {
				t.Errorf("%s: %s", names[i], results)
			}
			again = append(again, dkimpyJob{Message: data, Zone: map[string]string{
				"rsa2048._domainkey.good.example": "v=DKIM1; k=rsa; p=" + k.public["rsa2048"]}})
		}
		for i, verdict := range dkimpy(t, again) {
			if verdict != "True" && !knownDamage(m, names[i]) {
				t.Errorf("%s: delivered, dkimpy says %s", names[i], verdict)
			}
		}
	})
}

// knownDamage reports whether an MTA breaks the signature when it delivers, whatever the milter does.
func knownDamage(m mtatest.MTA, name string) bool {
	// Sendmail cuts header lines of more than about 2,200 octets on delivery.
	return m.Name() == "sendmail" && strings.HasPrefix(name, "5 KB line")
}

// TestLostWithoutTheMilter: what cannot be repaired is not hidden. An MTA passes "Name : value" on as "Name: value", so
// that only a relaxed signature survives.
func TestLostWithoutTheMilter(t *testing.T) {
	k := newKeys(t)
	l := newLane(t, setup{})
	d, err := mtatest.StartDaemon(program(t, false), l.config(t, "", dnstest.New(t, k.fill(shapesZone), dnstest.Options{}).Addr()), "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	message := "From: a@good.example\r\nTo: b@rcpt.example\r\nSubject : hi\r\n\r\nx\r\n"
	l.each(t, func(t *testing.T, m mtatest.MTA) {
		for canonicalization, want := range map[string]string{"simple": "dkim=fail", "relaxed": "dkim=pass"} {
			s := signature{Tool: "Mail::DKIM", Key: "rsa2048", Domain: "good.example", Header: canonicalization, Body: "relaxed"}
			reply := send(t, connect(t, m, "127.0.2.25"), between("a@good.example", "b@rcpt.example"), string(k.sign(t, s, []byte(message))), 250)
			header, _ := fields(l.delivered(t, reply))
			if results := strings.Join(named(header, "Authentication-Results"), ""); !strings.Contains(results, want) {
				t.Errorf("%s: want %s in %s", canonicalization, want, results)
			}
		}
	})
}

func TestShapesAreTwentyTwo(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range shapes() {
		seen[fmt.Sprint(s.head, s.body)] = true
	}
	if len(seen) != 22 {
		t.Errorf("%d different shapes", len(seen))
	}
}
