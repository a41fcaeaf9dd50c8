package pki

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// maxComparisons bounds what names and constraints of one path may cost together.
const maxComparisons = 100_000

// Constraints are the name constraints of one authority (RFC 5280 Section 4.2.1.10), as far as crypto/x509 does not
// enforce them rightly: it permits subdomains of a host, does not see mailboxes in the subject and in otherName, and
// does not know directory names.
type constraints struct {
	permitted, excluded subtrees
}

// Subtrees are the permitted or the excluded names. Forms has every form that occurs.
type subtrees struct {
	mail        []string   // host, ".domain" or mailbox, the domain in lower case
	directories [][]string // normal forms of RDNs
	forms       nameForms
}

// parseConstraints reads the extension of a certificate; nil if it has none.
func parseConstraints(c *x509.Certificate) (*constraints, error) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidNameConstraints) {
			continue
		}
		in := cryptobyte.String(e.Value)
		var seq, permitted, excluded cryptobyte.String
		if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() ||
			!seq.ReadOptionalASN1(&permitted, nil, cbasn1.Tag(0).ContextSpecific().Constructed()) ||
			!seq.ReadOptionalASN1(&excluded, nil, cbasn1.Tag(1).ContextSpecific().Constructed()) || !seq.Empty() {
			return nil, errors.New("name constraints cannot be read")
		}
		var nc constraints
		if err := errors.Join(nc.permitted.parse(permitted), nc.excluded.parse(excluded)); err != nil {
			return nil, err
		}
		return &nc, nil
	}
	return nil, nil
}

func (s *subtrees) parse(in cryptobyte.String) error {
	for !in.Empty() {
		var subtree, base cryptobyte.String
		var tag cbasn1.Tag
		// RFC 5280: minimum and maximum are not used; with them, the subtree means something else.
		if !in.ReadASN1(&subtree, cbasn1.SEQUENCE) || !subtree.ReadAnyASN1(&base, &tag) || !subtree.Empty() {
			return errors.New("name constraints cannot be read")
		}
		s.forms |= 1 << (tag & 0x0f)
		switch tag {
		case cbasn1.Tag(formRFC822).ContextSpecific():
			s.mail = append(s.mail, mailConstraint(string(base)))
		case cbasn1.Tag(formDirectory).ContextSpecific().Constructed():
			name, ok := normalName(base)
			if !ok {
				return errors.New("name constraints cannot be read")
			}
			s.directories = append(s.directories, name)
		}
	}
	return nil
}

// mailConstraint returns a constraint with its domain in lower case.
func mailConstraint(s string) string {
	at := strings.LastIndexByte(s, '@') // -1 for a host
	return s[:at+1] + strings.ToLower(s[at+1:])
}

// checkConstraints enforces the name constraints along a path that begins with the leaf.
func checkConstraints(path []*x509.Certificate) error {
	comparisons := 0
	for i := len(path) - 1; i > 0; i-- {
		nc, err := parseConstraints(path[i])
		if err != nil {
			return err
		}
		if nc == nil {
			continue
		}
		for j := i - 1; j >= 0; j-- {
			// RFC 5280 Section 6.1.4 (b): self-issued certificates are exempt, unless they are the last.
			if j > 0 && nameKey(path[j].RawSubject) == nameKey(path[j].RawIssuer) {
				continue
			}
			if err := nc.check(path[j], &comparisons); err != nil {
				return fmt.Errorf("%w of %s", err, DN(path[i].RawSubject))
			}
		}
	}
	return nil
}

// check enforces the constraints on the names of one certificate.
func (nc *constraints) check(c *x509.Certificate, comparisons *int) error {
	names := subjectNames(c)
	mail := append(slices.Clip(names.mail), subjectMail(c)...)
	directories := names.directories
	if !emptyName(c.RawSubject) {
		directories = append(slices.Clip(directories), c.RawSubject)
	}
	*comparisons += len(mail)*(len(nc.permitted.mail)+len(nc.excluded.mail)) +
		len(directories)*(len(nc.permitted.directories)+len(nc.excluded.directories))
	switch {
	case *comparisons > maxComparisons:
		return errors.New("too many names for the name constraints")
	case names.malformed:
		return errors.New("names that cannot be read meet the name constraints")
	}
	for _, n := range mail {
		if err := nc.checkMail(n); err != nil {
			return err
		}
	}
	for _, d := range directories {
		if err := nc.checkDirectory(d); err != nil {
			return err
		}
	}
	return nc.checkForms(names.forms)
}

// checkForms refuses names of the forms that nobody here compares. DNS names, URIs and addresses are compared by
// crypto/x509, mailboxes and directory names above. RFC 5280 Section 4.2.1.10: an application must either process a
// constraint or reject the certificate.
func (nc *constraints) checkForms(present nameForms) error {
	const known = nameForms(1<<formRFC822 | 1<<formDNS | 1<<formDirectory | 1<<formURI | 1<<formIP)
	if present&(nc.permitted.forms|nc.excluded.forms)&^known != 0 {
		return errors.New("names of an unknown form meet the name constraints")
	}
	return nil
}

// checkMail enforces the rfc822Name constraints, which hold for SmtpUTF8Mailbox (RFC 9598 Section 6) and for mailboxes
// in the subject (RFC 5280 Section 4.2.1.10) as well.
func (nc *constraints) checkMail(n mailName) error {
	if !nc.permitted.forms.has(formRFC822) && !nc.excluded.forms.has(formRFC822) {
		return nil
	}
	m, ok := n.mailbox()
	if !ok {
		return errors.New("a mailbox that cannot be read meets the name constraints")
	}
	matches := func(constraint string) bool { return m.within(constraint) }
	if slices.ContainsFunc(nc.excluded.mail, matches) {
		return fmt.Errorf("mailboxes at %s are excluded by the name constraints", m.Domain)
	}
	if nc.permitted.forms.has(formRFC822) && !slices.ContainsFunc(nc.permitted.mail, matches) {
		return fmt.Errorf("mailboxes at %s are not permitted by the name constraints", m.Domain)
	}
	return nil
}

// within says whether the mailbox lies in an rfc822Name constraint (RFC 5280 Section 4.2.1.10): a mailbox is that
// mailbox, a host every mailbox on exactly that host, and ".domain" every mailbox on hosts below it.
func (m Mailbox) within(constraint string) bool {
	at := strings.LastIndexByte(constraint, '@')
	switch {
	case constraint == "": // SBR and Mozilla: "" is every mailbox, as in excludedSubtrees of authorities for servers
		return true
	case at >= 0:
		return constraint[at+1:] == m.Domain && lowerASCII(constraint[:at]) == lowerASCII(m.Local)
	case constraint[0] == '.':
		return strings.HasSuffix(m.Domain, constraint)
	}
	return constraint == m.Domain
}

// checkDirectory enforces the directoryName constraints.
func (nc *constraints) checkDirectory(raw []byte) error {
	if !nc.permitted.forms.has(formDirectory) && !nc.excluded.forms.has(formDirectory) {
		return nil
	}
	name, ok := normalName(raw)
	if !ok {
		return errors.New("a directory name that cannot be read meets the name constraints")
	}
	matches := func(base []string) bool { return len(base) <= len(name) && slices.Equal(base, name[:len(base)]) }
	if slices.ContainsFunc(nc.excluded.directories, matches) {
		return fmt.Errorf("the directory name %s is excluded by the name constraints", DN(raw))
	}
	if nc.permitted.forms.has(formDirectory) && !slices.ContainsFunc(nc.permitted.directories, matches) {
		return fmt.Errorf("the directory name %s is not permitted by the name constraints", DN(raw))
	}
	return nil
}

// emptyName says whether a Name has no RDN.
func emptyName(raw []byte) bool { return len(raw) == 2 }
