package cms

import (
	"bytes"
	"encoding/asn1"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// sameName reports whether a and b are the same distinguished name (RFC 5280 Section 7.1). Senders that encode the name
// of the issuer anew take other types of strings than the authority did.
func sameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var left, right cryptobyte.String
	x, y := cryptobyte.String(a), cryptobyte.String(b)
	if !x.ReadASN1(&left, cbasn1.SEQUENCE) || !y.ReadASN1(&right, cbasn1.SEQUENCE) || !x.Empty() || !y.Empty() {
		return false
	}
	for !left.Empty() && !right.Empty() {
		var p, q cryptobyte.String
		if !left.ReadASN1(&p, cbasn1.SET) || !right.ReadASN1(&q, cbasn1.SET) || !sameRDN(p, q) {
			return false
		}
	}
	return left.Empty() && right.Empty()
}

// sameRDN compares the contents of two relative distinguished names.
func sameRDN(a, b cryptobyte.String) bool {
	for !a.Empty() && !b.Empty() {
		var p, q, x, y cryptobyte.String
		var kindP, kindQ asn1.ObjectIdentifier
		var tagP, tagQ cbasn1.Tag
		if !a.ReadASN1(&p, cbasn1.SEQUENCE) || !b.ReadASN1(&q, cbasn1.SEQUENCE) ||
			!readOID(&p, &kindP) || !readOID(&q, &kindQ) || !kindP.Equal(kindQ) ||
			!p.ReadAnyASN1(&x, &tagP) || !q.ReadAnyASN1(&y, &tagQ) || !p.Empty() || !q.Empty() {
			return false
		}
		if tagP == tagQ && bytes.Equal(x, y) {
			continue
		}
		left, ok := foldString(tagP, x)
		right, known := foldString(tagQ, y)
		if !ok || !known || left != right {
			return false
		}
	}
	return a.Empty() && b.Empty()
}

// foldString decodes a string of a name, without differences of case in ASCII and of blanks.
func foldString(tag cbasn1.Tag, value []byte) (string, bool) {
	text, ok := decodeString(tag, value)
	if !ok {
		return "", false
	}
	lower := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return strings.Join(strings.Fields(strings.Map(lower, text)), " "), true
}

// Tags of strings that cryptobyte/asn1 does not name.
const (
	tagVisibleString   = cbasn1.Tag(26)
	tagUniversalString = cbasn1.Tag(28)
	tagBMPString       = cbasn1.Tag(30)
)

// decodeString decodes the kinds of DirectoryString (RFC 5280 Section 4.1.2.4).
func decodeString(tag cbasn1.Tag, value []byte) (string, bool) {
	switch tag {
	case cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.IA5String, tagVisibleString:
		return string(value), utf8.Valid(value)
	case cbasn1.T61String:
		runes := make([]rune, len(value))
		for i, c := range value {
			runes[i] = rune(c) // in practice it is Latin-1
		}
		return string(runes), true
	case tagBMPString:
		if len(value)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(value)/2)
		for i := range units {
			units[i] = uint16(value[2*i])<<8 | uint16(value[2*i+1])
		}
		return string(utf16.Decode(units)), true
	case tagUniversalString:
		if len(value)%4 != 0 {
			return "", false
		}
		runes := make([]rune, len(value)/4)
		for i := range runes {
			v := value[4*i:]
			runes[i] = rune(v[0])<<24 | rune(v[1])<<16 | rune(v[2])<<8 | rune(v[3])
		}
		return string(runes), true
	}
	return "", false
}
