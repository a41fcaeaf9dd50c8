package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// QualityOf returns what a certificate proves, given what it leads to. Below anything but a public root policies prove
// nothing; below a private root the names are those the operator's own authority gave. Names are as the certificate has
// them, without controls and at most 100 characters long; they may hold any other character but "@".
func QualityOf(c *x509.Certificate, t Trust) Quality {
	name, _ := parseName(c.RawSubject)
	switch t {
	case Public:
		q := Quality{Qualified: qualified(c)}
		q.Level, q.Generation = policyLevel(c)
		if q.Level == OrganizationValidated || q.Level == SponsorValidated {
			q.Organization = printable(firstText(name, oidOrganization))
		}
		if q.Level == SponsorValidated || q.Level == IndividualValidated {
			q.Name = person(name)
		}
		return q
	case Private:
		return Quality{Name: person(name), Organization: printable(firstText(name, oidOrganization)), Qualified: qualified(c)}
	}
	return Quality{}
}

// policyLevel reads the policies 2.23.140.1.5.level.generation (SBR Section 7.1.6.1). There has to be exactly one.
func policyLevel(c *x509.Certificate) (Level, string) {
	levels := []Level{"", MailboxValidated, OrganizationValidated, SponsorValidated, IndividualValidated}
	generations := []string{"", "legacy", "multipurpose", "strict"}
	var level Level
	var generation string
	for _, id := range c.PolicyIdentifiers {
		if len(id) != 7 || !id[:5].Equal(asn1.ObjectIdentifier{2, 23, 140, 1, 5}) {
			continue
		}
		if level != "" || id[5] < 1 || id[5] >= len(levels) || id[6] < 1 || id[6] >= len(generations) {
			return "", ""
		}
		level, generation = levels[id[5]], generations[id[6]]
	}
	return level, generation
}

// person returns the name of the person a subject names (SBR Section 7.1.4.2.2), "" if that is nobody: a common name may
// be a mailbox, and is the organization where there is no person.
func person(name []rdn) string {
	given, surname := firstText(name, oidGivenName), firstText(name, oidSurname)
	if given != "" || surname != "" {
		return printable(strings.TrimSpace(given + " " + surname))
	}
	if pseudonym := firstText(name, oidPseudonym); pseudonym != "" {
		return printable(pseudonym)
	}
	cn := firstText(name, oidCommonName)
	if cn == firstText(name, oidOrganization) {
		return ""
	}
	return printable(cn)
}

// maxPrintable is the longest name that is printed, in characters.
const maxPrintable = 100

// printable drops what is no visible character and cuts what is too long. A name with an address in it is none: whoever
// reads it beside the signer's own would take it for that one.
func printable(s string) string {
	if strings.ContainsAny(s, "@\uff20\ufe6b") {
		return ""
	}
	runes := []rune(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }), " "))
	return string(runes[:min(len(runes), maxPrintable)])
}

// Statements of qcStatements (ETSI EN 319 412-5).
const (
	qcCompliance  = "0.4.0.1862.1.1"
	qcSSCD        = "0.4.0.1862.1.4"
	qcType        = "0.4.0.1862.1.6"
	qcLegislation = "0.4.0.1862.1.7"
)

// qualified says what a certificate claims to be by EU law. Whether its issuer is on a trusted list of a member state is
// not checked, so it stays a claim.
func qualified(c *x509.Certificate) string {
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidQCStatements) })
	if i < 0 {
		return ""
	}
	statements := parseStatements(c.Extensions[i].Value)
	if _, ok := statements[qcCompliance]; !ok {
		return ""
	}
	text := "claims to be qualified by EU law"
	if countries := texts(statements[qcLegislation]); len(countries) > 0 {
		text = "claims to be qualified by the law of " + strings.Join(countries, ", ")
	}
	for _, kind := range []struct{ oid, words string }{
		{"0.4.0.1862.1.6.1", " for signatures"}, {"0.4.0.1862.1.6.2", " for seals"}, {"0.4.0.1862.1.6.3", " for web sites"},
	} {
		if slices.Contains(oids(statements[qcType]), kind.oid) {
			text += kind.words
			break
		}
	}
	if _, ok := statements[qcSSCD]; ok {
		text += ", key in a qualified device"
	}
	return text
}

// parseStatements returns the information of each statement; nil if the extension is malformed.
func parseStatements(der []byte) map[string]cryptobyte.String {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return nil
	}
	out := map[string]cryptobyte.String{}
	for !seq.Empty() && len(out) < maxAttributes {
		var statement cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !seq.ReadASN1(&statement, cbasn1.SEQUENCE) || !statement.ReadASN1ObjectIdentifier(&oid) {
			return nil
		}
		out[oid.String()] = statement
	}
	return out
}

// oids reads a SEQUENCE OF OBJECT IDENTIFIER.
func oids(in cryptobyte.String) []string {
	var seq cryptobyte.String
	var out []string
	var oid asn1.ObjectIdentifier
	for in.ReadASN1(&seq, cbasn1.SEQUENCE); !seq.Empty() && len(out) < 8 && seq.ReadASN1ObjectIdentifier(&oid); {
		out = append(out, oid.String())
	}
	return out
}

// texts reads a SEQUENCE OF country codes (ISO 3166-1, two letters).
func texts(in cryptobyte.String) []string {
	var seq, code cryptobyte.String
	var out []string
	for in.ReadASN1(&seq, cbasn1.SEQUENCE); !seq.Empty() && len(out) < 8 && seq.ReadASN1(&code, cbasn1.PrintableString); {
		if len(code) == 2 && strings.ToUpper(string(code)) == string(code) {
			out = append(out, printable(string(code)))
		}
	}
	return out
}
