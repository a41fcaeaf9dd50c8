package main

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"assay/cmd/internal/clamtest"
)

// zoneFile is the DNS of the demonstration. The addresses and names are those reserved for documentation (RFC 5737,
// RFC 2606).
const zoneFile = `
; an honest business partner
partner.example.                  TXT "v=spf1 ip4:192.0.2.25 -all"
demo._domainkey.partner.example.  TXT "v=DKIM1; k=rsa; p={{key}}"
_dmarc.partner.example.           TXT "v=DMARC1; p=reject"
mail.partner.example.             A   192.0.2.25
25.2.0.192.in-addr.arpa.          PTR mail.partner.example.

; a shop whose newsletter is sent by a service provider: only the signature is the shop's
demo._domainkey.shop.example.     TXT "v=DKIM1; k=rsa; p={{key}}"
_dmarc.shop.example.              TXT "v=DMARC1; p=quarantine"
mailer.example.                   TXT "v=spf1 ip4:198.51.100.7 -all"
out7.mailer.example.              A   198.51.100.7
7.100.51.198.in-addr.arpa.        PTR out7.mailer.example.

; a bank that wants forgeries refused, and somebody who forges
bank.example.                     TXT "v=spf1 ip4:192.0.2.80 -all"
_dmarc.bank.example.              TXT "v=DMARC1; p=reject"
evil.example.                     TXT "v=spf1 ip4:203.0.113.66 -all"

; a mailing list
lists.example.                    TXT "v=spf1 ip4:198.51.100.99 -all"
demo._domainkey.member.example.   TXT "v=DKIM1; k=rsa; p={{key}}"
_dmarc.member.example.            TXT "v=DMARC1; p=none"

; a domain whose name servers are down
broken.example.                   SERVFAIL
_dmarc.broken.example.            SERVFAIL
`

// An act is one mail, and what should come of it.
type act struct {
	title    string
	before   func(*stage) error
	client   string // address of the SMTP client
	helo     string
	mailFrom string
	from     string
	subject  string
	forged   string              // header lines that the sender brings along
	sign     string              // domain that signs
	alter    func([]byte) []byte // what happens to the message behind the signature
	html     string              // the text is HTML
	file     string              // name of an attachment
	content  []byte              // of the attachment
	text     string              // of the mail with an attachment
	body     []string            // in the delivered body, which is changed; "no: " as in want
	code     int                 // of the reply
	want     []string            // in the added fields, or in the reply; "no: " in front of what must not be there
	shows    string
}

// acts are the mails in the order in which they are sent.
func acts() []act {
	forgery := act{
		client: "203.0.113.66", helo: "evil.example", mailFrom: "x@evil.example",
		from: "Your Bank <service@bank.example>", subject: "Confirm your account",
	}
	marked := forgery
	marked.title = "A forgery: anybody can write any From"
	marked.code, marked.want = 250, []string{"spf=pass smtp.mailfrom=x@evil.example", "dmarc=fail", "header.from=bank.example", "trust=forged"}
	marked.shows = "SPF of the forger's own domain passes, but the bank does not vouch for the mail: marked as forged"

	boast := forgery
	boast.title = "The same forgery, which brings its own Authentication-Results along"
	boast.forged = "Authentication-Results: mx.demo.example; dmarc=pass header.from=bank.example\r\nX-Assay-Result: v=1; trust=verified\r\n"
	boast.code, boast.want = 250, []string{"dmarc=fail", "no: dmarc=pass", "no: trust=verified"}
	boast.shows = "what the sender claims about itself is gone"

	refused := forgery
	refused.title = "The forgery again, after verify.dmarc.enforce was set to true and SIGHUP"
	refused.before = enforce
	refused.code, refused.want = 550, []string{"5.7.1 DMARC policy of bank.example"}
	refused.shows = "refused, as the bank asks for"

	return []act{honest(), newsletter(), marked, boast, list(), broken(), script(), sealed(), opened(), malware(), refused, ownRule(), away(), back()}
}

// honest is the mail everybody hopes for.
func honest() act {
	return act{
		title:  "A signed mail of a business partner",
		client: "192.0.2.25", helo: "mail.partner.example", mailFrom: "anna@partner.example",
		from: "Anna <anna@partner.example>", subject: "Figures for November", sign: "partner.example",
		code: 250, want: []string{"spf=pass", "dkim=pass", "dmarc=pass", "iprev=pass", "trust=authenticated"},
		shows: "SPF and DKIM pass and belong to the domain in From",
	}
}

// newsletter is sent on somebody's behalf.
func newsletter() act {
	return act{
		title:  "A newsletter that a service provider sends for a shop",
		client: "198.51.100.7", helo: "out7.mailer.example", mailFrom: "bounce-4711@mailer.example",
		from: "The Shop <news@shop.example>", subject: "Offers of the week", sign: "shop.example",
		code: 250, want: []string{"spf=pass smtp.mailfrom=bounce-4711@mailer.example", "dkim=pass", "dmarc=pass", "header.from=shop.example"},
		shows: "the reverse-path is the provider's, but the shop's signature is enough for DMARC",
	}
}

// list is an honest mail that was changed on its way.
func list() act {
	return act{
		title:  "A mail that went through a mailing list",
		client: "198.51.100.99", helo: "lists.example", mailFrom: "talk-bounces@lists.example",
		from: "Ben <ben@member.example>", subject: "Re: meeting", sign: "member.example",
		alter: func(m []byte) []byte { return append(m, "-- \r\ntalk mailing list\r\n"...) },
		code:  250, want: []string{"spf=pass", "dkim=fail", "dmarc=fail", "policy.dmarc=none", "trust=unverified"},
		shows: "the list's footer broke the signature; the domain asks for nothing, so the mail is only unverified",
	}
}

// broken cannot be judged.
func broken() act {
	return act{
		title:  "A mail of a domain whose name servers are down",
		client: "192.0.2.200", helo: "mail.broken.example", mailFrom: "carl@broken.example",
		from: "Carl <carl@broken.example>", subject: "Hello",
		code: 250, want: []string{"spf=temperror", "dmarc=temperror", "trust=unverified"},
		shows: "temperror, never none and never pass, and the mail is not lost",
	}
}

// script is HTML that acts on its own.
func script() act {
	a := honest()
	a.title = "A signed mail whose HTML runs a script"
	a.subject = "Our new web site"
	a.html = `<p>Dear customer,</p><script>steal()</script><p onclick="go()">look at our <a href="https://partner.example/">new site</a>.</p>`
	a.want = []string{"dkim=pass", "trust=authenticated", "changed=html", `removed="handler=1,script=1"`}
	a.body = []string{"<p>Dear customer,</p><p>look at our", "https://partner.example/", "no: script", "no: onclick"}
	a.shows = "what acts on its own is gone, the rest is as it was written, and the checks were made before"
	return a
}

// encryptedZIP was made with zip -P Winter-2026, and holds a text.
const encryptedZIP = "UEsDBAoACQAAAIgpdl2Yfm4bLAAAACAAAAALABwAZmlndXJlcy50eHRVVAkAA695AmuveQJrdXgLAAEEAAAAAAQAAAAAheIqaS6KxKF6jgQR3K8A" +
	"YE4KtEPt9iWVdr7hRqUO2Yh8jUPXUKaichuRKEJQSwcImH5uGywAAAAgAAAAUEsBAh4DCgAJAAAAiCl2XZh+bhssAAAAIAAAAAsAGAAAAAAAAQAAAKSBAAAAAGZpZ3VyZXMu" +
	"dHh0VVQFAAOveQJrdXgLAAEEAAAAAAQAAAAAUEsFBgAAAAABAAEAUQAAAIEAAAAAAA=="

// sealed is a mail with an archive that nobody on the way can open.
func sealed() act {
	a := honest()
	a.title = "An archive with a password, which no virus scanner can open"
	a.subject, a.file = "Figures for November", "figures.zip"
	a.content, _ = base64.StdEncoding.DecodeString(encryptedZIP)
	a.text = "The password comes by telephone."
	a.want = []string{"could not be checked", "encrypted archive", "rules=encrypted-archive-authenticated"}
	a.shows = "told apart, neither called infected nor clean; scan.unscanned.archive decides what happens to it"
	return a
}

// opened is the same mail with the password in its text.
func opened() act {
	a := sealed()
	a.title = "The same archive, and the mail gives the password away"
	a.text = "The password is Winter-2026."
	a.want = []string{"no: could not be checked", "rules=none"}
	a.shows = "Assay has tried the words near \"password\", looked inside, and found nothing bad"
	return a
}

// malware carries the test file of EICAR in an archive.
func malware() act {
	a := honest()
	a.title = "Malware in an archive: clamd is asked about everything that was found inside"
	a.subject, a.file = "Your order", "order.zip"
	a.content = archive("order.com", clamtest.EICAR())
	a.code, a.want = 550, []string{"5.7.1 malware found"}
	a.shows = "refused by the rule virus-found"
	return a
}

// archive makes a ZIP file of one member.
func archive(name string, content []byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if f, err := w.Create(name); err == nil {
		_, _ = f.Write(content) // a Buffer takes everything
	}
	_ = w.Close()
	return b.Bytes()
}

// ownRule is refused by a rule that did not exist a moment before.
func ownRule() act {
	a := honest()
	a.title = "A rule of your own is put into force with assay ctl reload: no disk images"
	a.before = (*stage).addRule
	a.subject = "Your invoice"
	a.file = "invoice.iso"
	a.code, a.want = 550, []string{"5.7.1 partner.example may not send disk images"}
	a.shows = "the rule and its test were checked first; no mail was lost over the change"
	return a
}

// ruleFile and ruleTest are what an operator writes.
const (
	ruleFile = `format: 1
rules:
  - id: no-disk-images
    title: Disk images are not accepted
    severity: high
    mode: enforce
    when: attachments.exists(a, a.ext in ["iso", "img", "vhd"])
    then:
      reject: 550 5.7.1 ${from.domain} may not send disk images
`
	ruleTest = `format: 1
tests:
  - name: an image is refused
    facts: {attachments: [{name: x.iso}]}
    expect: {fired_includes: [no-disk-images], disposition: reject}
  - name: a picture is not
    facts: {attachments: [{name: x.png}]}
    expect: {not_fired: [no-disk-images]}
`
)

// addRule writes a rule and has it activated.
func (s *stage) addRule() error {
	for name, text := range map[string]string{"50-own.yaml": ruleFile, "50-own_test.yaml": ruleTest} {
		if err := os.WriteFile(filepath.Join(s.rules, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	said, code, err := s.assay.Run("ctl", "reload")
	fmt.Fprintf(s.out, "   $ assay ctl reload\n%s", indent(said))
	if err == nil && code != 0 {
		err = fmt.Errorf("assay ctl reload: exit code %d", code)
	}
	return err
}

// away is sent while Assay does not run, and back is the second try of the same mail.
func away() act {
	a := honest()
	a.title = "Assay is killed: Postfix asks senders to come back (milter_default_action = tempfail)"
	a.before = func(s *stage) error { return s.assay.Close() }
	a.code, a.want = 451, []string{"4.7.1"}
	a.shows = "nothing is delivered unchecked, and nothing is lost"
	return a
}

// back is the second try.
func back() act {
	a := honest()
	a.title = "Assay runs again, and the sender tries again"
	a.before = (*stage).startAssay
	a.shows = "checked and delivered"
	return a
}

// enforce changes the running daemon's configuration.
func enforce(s *stage) error {
	if err := s.assay.Configure(s.config(true)); err != nil {
		return err
	}
	const said = "configuration reloaded"
	before := strings.Count(s.assay.Log(), said)
	if err := s.assay.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); strings.Count(s.assay.Log(), said) == before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("assay did not say that it has read its configuration again")
		}
	}
	return nil
}

// message returns the octets of the mail before it is signed.
func (a act) message() []byte {
	var b bytes.Buffer
	b.WriteString(a.forged)
	fmt.Fprintf(&b, "From: %s\r\nTo: you@demo.example\r\nSubject: %s\r\n", a.from, a.subject)
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <1@%s>\r\nMIME-Version: 1.0\r\n", time.Now().Format(time.RFC1123Z), a.helo)
	switch {
	case a.html != "":
		fmt.Fprintf(&b, "Content-Type: text/html; charset=utf-8\r\n\r\n%s\r\n", a.html)
	case a.content != nil:
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=demo\r\n\r\n--demo\r\n\r\n%s\r\n--demo\r\nContent-Type: application/zip\r\n"+
			"Content-Disposition: attachment; filename=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--demo--\r\n",
			a.text, a.file, lines(base64.StdEncoding.EncodeToString(a.content)))
	case a.file != "":
		fmt.Fprintf(&b, "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=%s\r\n\r\nCD001\r\n", a.file)
	default:
		fmt.Fprintf(&b, "\r\nThis is the text of the mail.\r\n")
	}
	return b.Bytes()
}

// lines breaks base64 into lines (RFC 2045 Section 6.8).
func lines(text string) string {
	const longest = 76
	var b strings.Builder
	for len(text) > longest {
		b.WriteString(text[:longest] + "\r\n")
		text = text[longest:]
	}
	return b.String() + text
}
