package pki

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"unicode"
	"unicode/utf8"

	"assay/verify/dns"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions and name forms.
var (
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSmtpUTF8Mailbox = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9} // RFC 9598 Section 3
)

// A DNEmail says when mailboxes that stand in the subject only count as identities.
type DNEmail string

// The policies about mailboxes in the subject.
const (
	DNPrivate DNEmail = "" // below anything but public roots: those have to use subjectAltName (SBR Section 7.1.4.2.1)
	DNAlways  DNEmail = "always"
	DNNever   DNEmail = "never"
)

// Allowed says whether mailboxes in the subject count for a certificate of this trust.
func (p DNEmail) Allowed(t Trust) bool {
	return p == DNAlways || p == DNPrivate && t != Public
}

// Mailboxes returns the mailboxes a certificate names in its subjectAltName. If that names none and subject is set, it
// returns those of the subject. What is no mailbox (controls, spaces, no "@") is left out.
func Mailboxes(c *x509.Certificate, subject bool) []Mailbox {
	var found []Mailbox
	names := subjectNames(c)
	for _, n := range names.mail {
		if m, ok := n.mailbox(); ok {
			found = append(found, m)
		}
	}
	// A subjectAltName that names mailboxes that cannot be read must not be overruled by the subject.
	if len(names.mail) > 0 || !subject {
		return found
	}
	for _, n := range subjectMail(c) {
		if m, ok := n.mailbox(); ok {
			found = append(found, m)
		}
	}
	return found
}

// Matches compares the mailbox with an address. The domain of the address may be in U-labels or A-labels and in any case.
// The local part is compared as RFC 5280 Section 7.5 has it, but a difference in the case of ASCII letters is told apart:
// no mail system in use gives two people addresses that differ in nothing else.
func (m Mailbox) Matches(local, domain string) Match {
	d, err := dns.Canonical(domain)
	if err != nil || m.Domain == "" || d != m.Domain || m.Local == "" {
		return NoMatch
	}
	switch {
	case local == m.Local:
		return FullMatch
	case lowerASCII(local) == lowerASCII(m.Local):
		return CaseMatch
	}
	return NoMatch
}

// lowerASCII folds the letters A to Z only: what other letters are equal is up to the receiving system.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// A mailName is a name in the form of a mailbox, as the certificate has it.
type mailName struct {
	text   string
	source MailboxSource
}

// mailbox parses the name. Mailboxes of certificates are dot-strings at a domain: quoted local parts and address
// literals do not occur and would be a way to hide something.
func (n mailName) mailbox() (Mailbox, bool) {
	at := strings.LastIndexByte(n.text, '@')
	if at < 1 || len(n.text) > 320 || !utf8.ValidString(n.text) {
		return Mailbox{}, false
	}
	local, domain := n.text[:at], n.text[at+1:]
	for _, r := range local {
		if !localRune(r, n.source) {
			return Mailbox{}, false
		}
	}
	if n.source != FromUTF8 && !isASCII(domain) || strings.HasSuffix(domain, ".") {
		return Mailbox{}, false
	}
	// RFC 9598 Section 3 has A-labels, RFC 8398 had U-labels.
	d, err := dns.Canonical(domain)
	if err != nil {
		return Mailbox{}, false
	}
	return Mailbox{Local: local, Domain: d, Source: n.source}, true
}

// localRune says whether r may stand in the local part of a mailbox (RFC 5321 Section 4.1.2, RFC 6531 Section 3.3).
func localRune(r rune, source MailboxSource) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	case r < utf8.RuneSelf:
		return strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r)
	}
	return source == FromUTF8 && unicode.IsGraphic(r) && !unicode.IsSpace(r)
}

// hasControl says whether the name holds an octet that no mailbox has and some readers stop at.
func (n mailName) hasControl() bool {
	return strings.ContainsFunc(n.text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// A nameSet is the names of a subjectAltName extension.
type nameSet struct {
	mail        []mailName // rfc822Name and SmtpUTF8Mailbox
	directories [][]byte   // directoryName, DER of Name
	forms       nameForms  // every form that occurs
	malformed   bool       // the extension could not be read to its end, or has more than maxNames
}

// maxNames is how many names a certificate may have. Who has more than one mailbox has a few, and the names of every signer
// are read several times.
const maxNames = 1000

// nameForms is a set of the context tags of GeneralName (RFC 5280 Section 4.2.1.6).
type nameForms uint16

// The forms that are told apart.
const (
	formOther     = 0
	formRFC822    = 1
	formDNS       = 2
	formDirectory = 4
	formURI       = 6
	formIP        = 7
)

func (f nameForms) has(form int) bool { return f&(1<<form) != 0 }

// subjectNames reads the subjectAltName of a certificate. crypto/x509 knows nothing of otherName and directoryName.
func subjectNames(c *x509.Certificate) nameSet {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			return parseNames(e.Value)
		}
	}
	return nameSet{}
}

func parseNames(der []byte) nameSet {
	var s nameSet
	in := cryptobyte.String(der)
	var names cryptobyte.String
	if !in.ReadASN1(&names, cbasn1.SEQUENCE) || !in.Empty() {
		return nameSet{malformed: true}
	}
	for n := 0; !names.Empty(); n++ {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if n == maxNames || !names.ReadAnyASN1(&value, &tag) {
			s.malformed = true
			break
		}
		s.add(tag, value)
	}
	return s
}

func (s *nameSet) add(tag cbasn1.Tag, value cryptobyte.String) {
	s.forms |= 1 << (tag & 0x0f)
	switch tag {
	case cbasn1.Tag(formRFC822).ContextSpecific():
		s.mail = append(s.mail, mailName{string(value), FromRFC822})
	case cbasn1.Tag(formOther).ContextSpecific().Constructed():
		s.addOther(value)
	case cbasn1.Tag(formDirectory).ContextSpecific().Constructed():
		s.directories = append(s.directories, value)
	}
}

// addOther adds an otherName if it is a SmtpUTF8Mailbox (RFC 9598 Section 3); what claims to be one and cannot be read
// is malformed.
func (s *nameSet) addOther(value cryptobyte.String) {
	var oid asn1.ObjectIdentifier
	if !value.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidSmtpUTF8Mailbox) {
		return
	}
	var explicit, text cryptobyte.String
	if !value.ReadASN1(&explicit, cbasn1.Tag(0).ContextSpecific().Constructed()) || !value.Empty() ||
		!explicit.ReadASN1(&text, cbasn1.UTF8String) || !explicit.Empty() || !utf8.Valid(text) {
		s.malformed = true
		return
	}
	s.mail = append(s.mail, mailName{string(text), FromUTF8})
}

// subjectMail returns the emailAddress attributes of the subject.
func subjectMail(c *x509.Certificate) []mailName {
	name, ok := parseName(c.RawSubject)
	if !ok {
		return nil
	}
	var found []mailName
	for _, r := range name {
		for _, a := range r {
			if a.oid == oidEmailAddress {
				found = append(found, mailName{a.text, FromSubject})
			}
		}
	}
	return found
}
