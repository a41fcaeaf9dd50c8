package cms

import (
	"math/big"
	"testing"
)

// name makes a distinguished name of one string each for organization and common name.
func name(organization, common []byte) []byte {
	return seq(setOf(seq(oid(2, 5, 4, 10), organization)), setOf(seq(oid(2, 5, 4, 3), common)))
}

func text(tag byte, s string) []byte { return appendElement(nil, tag, []byte(s)) }

// TestSameName verifies which names are the same (RFC 5280 Section 7.1).
func TestSameName(t *testing.T) {
	const printable, utf8String, t61, bmp, universal = 19, 12, 20, 30, 28
	base := name(text(printable, "Example AG"), text(utf8String, "Jürgen"))
	tests := []struct {
		name string
		in   []byte
		want bool
	}{
		{"same", base, true},
		{"other types", name(text(utf8String, "Example AG"), text(t61, "J\xfcrgen")), true},
		{"two octets a letter", name(text(bmp, "\x00E\x00x\x00a\x00m\x00p\x00l\x00e\x00 \x00A\x00G"), text(utf8String, "Jürgen")), true},
		{"four octets a letter", name(text(printable, "Example AG"),
			text(universal, "\x00\x00\x00J\x00\x00\x00\xfc\x00\x00\x00r\x00\x00\x00g\x00\x00\x00e\x00\x00\x00n")), true},
		{"case and blanks", name(text(printable, " EXAMPLE  ag "), text(utf8String, "jürgen")), true},
		{"case beyond ASCII", name(text(printable, "Example AG"), text(utf8String, "JÜrgen")), false},
		{"other text", name(text(printable, "Example AB"), text(utf8String, "Jürgen")), false},
		{"no blank", name(text(printable, "ExampleAG"), text(utf8String, "Jürgen")), false},
		{"other order", seq(setOf(seq(oid(2, 5, 4, 3), text(utf8String, "Jürgen"))), setOf(seq(oid(2, 5, 4, 10), text(printable, "Example AG")))), false},
		{"shorter", seq(setOf(seq(oid(2, 5, 4, 10), text(printable, "Example AG")))), false},
		{"longer", seq(setOf(seq(oid(2, 5, 4, 10), text(printable, "Example AG"))), setOf(seq(oid(2, 5, 4, 3), text(utf8String, "Jürgen"))), setOf()), false},
		{"not UTF-8", name(text(printable, "Example AG"), text(utf8String, "J\xfcrgen")), false},
		{"half a letter", name(text(printable, "Example AG"), text(bmp, "J")), false},
		{"no string", name(text(printable, "Example AG"), text(2, "J")), false},
		{"empty", seq(), false},
		{"junk", octets(nil), false},
	}
	for _, tt := range tests {
		if got := sameName(base, tt.in); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if got := sameName(tt.in, base); got != tt.want {
			t.Errorf("%s, the other way round: %v", tt.name, got)
		}
	}
}

// TestIssuerEncodedAnew verifies that a signer is found whose issuer is written in another type of string, and that the
// second implementation does not mind.
func TestIssuerEncodedAnew(t *testing.T) {
	r := recipe{id: identityOf(t, "rsa"), digest: "sha256", scheme: oidRSA}
	other := *r.id.cert
	other.RawIssuer = seq(
		setOf(seq(oid(2, 5, 4, 10), text(12, "EXAMPLE"))),
		setOf(seq(oid(2, 5, 4, 3), text(12, "Alice"))),
	)
	r.certs = [][]byte{r.id.cert.Raw}
	r.id.cert = &other
	if got := verify(t, r.build(t), nil); got.Integrity != Intact {
		t.Error(got)
	}
	other.RawIssuer = name(text(12, "Example"), text(12, "Alicia"))
	if got := verify(t, r.build(t), nil); got.Integrity != NoCertificate {
		t.Errorf("another issuer: %v", got)
	}
	if id := (SignerID{Issuer: other.RawIssuer, Serial: big.NewInt(42)}); id.Matches(nil) {
		t.Error("matches no certificate")
	}
}
