package pki

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/text/unicode/norm"
)

// Attribute types of names.
const (
	oidCommonName   = "2.5.4.3"
	oidSurname      = "2.5.4.4"
	oidOrganization = "2.5.4.10"
	oidGivenName    = "2.5.4.42"
	oidPseudonym    = "2.5.4.65"
	oidEmailAddress = "1.2.840.113549.1.9.1"
)

// Bounds of what a name may hold, in attributes and in octets. Nobody's name is longer; a name that is is not understood.
const (
	maxAttributes = 256
	maxName       = 16 << 10
)

// An attribute is one AttributeTypeAndValue. Text is its value if it is a string.
type attribute struct {
	oid    string
	text   string
	isText bool
	raw    []byte // the value in DER, with tag and length
}

// An rdn is one RelativeDistinguishedName.
type rdn []attribute

// parseName parses a Name (RFC 5280 Section 4.1.2.4).
func parseName(raw []byte) ([]rdn, bool) {
	in := cryptobyte.String(raw)
	var seq cryptobyte.String
	if len(raw) > maxName || !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	var name []rdn
	for count := 0; !seq.Empty(); {
		var set cryptobyte.String
		if !seq.ReadASN1(&set, cbasn1.SET) {
			return nil, false
		}
		var r rdn
		for !set.Empty() {
			a, ok := parseAttribute(&set)
			if count++; !ok || count > maxAttributes {
				return nil, false
			}
			r = append(r, a)
		}
		name = append(name, r)
	}
	return name, true
}

func parseAttribute(in *cryptobyte.String) (attribute, bool) {
	var tv, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	var tag cbasn1.Tag
	if !in.ReadASN1(&tv, cbasn1.SEQUENCE) || !tv.ReadASN1ObjectIdentifier(&oid) || !tv.ReadAnyASN1Element(&value, &tag) || !tv.Empty() {
		return attribute{}, false
	}
	a := attribute{oid: oid.String(), raw: value}
	var content cryptobyte.String
	element := value
	if !element.ReadASN1(&content, tag) {
		return attribute{}, false
	}
	a.text, a.isText = decodeString(tag, content)
	return a, true
}

// decodeString decodes a DirectoryString (RFC 5280 Appendix A.1) or an IA5String.
func decodeString(tag cbasn1.Tag, b []byte) (string, bool) {
	switch tag {
	case 12, 18, 19, 22: // UTF8String, NumericString, PrintableString, IA5String
		return string(b), utf8.Valid(b)
	case 20: // TeletexString: ISO 8859-1 in practice
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return string(runes), true
	case 30: // BMPString
		if len(b)%2 != 0 {
			return "", false
		}
		units := make([]uint16, 0, len(b)/2)
		for ; len(b) > 0; b = b[2:] {
			units = append(units, uint16(b[0])<<8|uint16(b[1]))
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

// normal returns the attribute in a form that is equal for values that match: insignificant space and case are gone
// (RFC 5280 Section 7.1).
func (a attribute) normal() string {
	if !a.isText {
		return a.oid + "=#" + hex.EncodeToString(a.raw)
	}
	return a.oid + "=" + strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(a.text))), " ")
}

// normal returns the RDN in a form that is equal for RDNs that match. Its attributes are a set.
func (r rdn) normal() string {
	parts := make([]string, len(r))
	for i, a := range r {
		parts[i] = a.normal()
	}
	slices.Sort(parts)
	return strings.Join(parts, "\x00+")
}

// normalName returns the normal forms of the RDNs of a name.
func normalName(raw []byte) ([]string, bool) {
	name, ok := parseName(raw)
	if !ok {
		return nil, false
	}
	out := make([]string, len(name))
	for i, r := range name {
		out[i] = r.normal()
	}
	return out, true
}

// nameKey returns a key that is equal for names that match.
func nameKey(raw []byte) string {
	parts, ok := normalName(raw)
	if !ok {
		return "raw:" + string(raw)
	}
	return strings.Join(parts, "\x00,")
}

// maxDN is the longest distinguished name that is printed.
const maxDN = 200

// DN formats a distinguished name in DER as RFC 4514 has it, last RDN first. Everything that could be taken for syntax
// in a header field, controls, and everything outside of ASCII is written as hex pairs, so the result is safe in logs,
// comments and quoted strings (where its backslashes have to be quoted). It is at most 200 octets long.
func DN(raw []byte) string {
	name, ok := parseName(raw)
	if !ok {
		return "#" + hex.EncodeToString(raw[:min(len(raw), (maxDN-4)/2)])
	}
	var b strings.Builder
	for i := len(name) - 1; i >= 0; i-- {
		for j, a := range name[i] {
			sep := "+"
			if j == 0 {
				sep = ","
			}
			if b.Len() == 0 {
				sep = ""
			}
			if !writeAttribute(&b, sep, a) {
				b.WriteString("...")
				return b.String()
			}
		}
	}
	return b.String()
}

// writeAttribute appends an attribute, or says that there is no room for all of it. It never cuts through an escape.
func writeAttribute(b *strings.Builder, sep string, a attribute) bool {
	const room = maxDN - len("...")
	head := sep + attributeName(a.oid) + "="
	if b.Len()+len(head) > room {
		return false
	}
	b.WriteString(head)
	if attributeName(a.oid) == a.oid || !a.isText { // RFC 4514 Section 2.4
		value := "#" + hex.EncodeToString(a.raw)
		if b.Len()+len(value) > room {
			return false
		}
		b.WriteString(value)
		return true
	}
	for i := range len(a.text) {
		piece := escapeOctet(a.text[i], i == 0 || i == len(a.text)-1)
		if b.Len()+len(piece) > room {
			return false
		}
		b.WriteString(piece)
	}
	return true
}

// escapeOctet returns an octet of a value as RFC 4514 Section 2.4 allows it: the ones that are harmless everywhere as
// they are, every other as a hex pair.
func escapeOctet(c byte, edge bool) string {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._@'/:&!*?$%", c) >= 0:
		return string(rune(c))
	case c == ' ' && !edge:
		return " "
	}
	return fmt.Sprintf("\\%02X", c)
}

// attributeName returns the short name of an attribute type, or the type itself.
func attributeName(oid string) string {
	switch oid {
	case oidCommonName:
		return "CN"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case oidOrganization:
		return "O"
	case "2.5.4.11":
		return "OU"
	case "2.5.4.6":
		return "C"
	case "2.5.4.9":
		return "STREET"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	case "0.9.2342.19200300.100.1.1":
		return "UID"
	case oidSurname:
		return "SN"
	case oidGivenName:
		return "GN"
	case "2.5.4.5":
		return "serialNumber"
	case "2.5.4.12":
		return "title"
	case oidPseudonym:
		return "pseudonym"
	case "2.5.4.97":
		return "organizationIdentifier"
	case oidEmailAddress:
		return "emailAddress"
	}
	return oid
}

// firstText returns the first value of an attribute type in a name.
func firstText(name []rdn, oid string) string {
	for _, r := range name {
		for _, a := range r {
			if a.oid == oid && a.isText {
				return a.text
			}
		}
	}
	return ""
}
