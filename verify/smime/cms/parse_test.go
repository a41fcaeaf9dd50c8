package cms

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"assay/verify/vectors"
)

// TestParse verifies the fields of a SignedData.
func TestParse(t *testing.T) {
	crl := seq([]byte{2, 1, 1})
	ocsp := seq(oid(1, 2, 3))
	other := func(format []byte, value []byte) []byte {
		return appendElement(nil, byte(context1Constructed), format, value)
	}
	r := recipe{
		id: identityOf(t, "rsa"), digest: "sha256", scheme: oidRSA,
		unsigned: [][]byte{attribute(oidCountersignature, seq())},
	}
	r.certs = [][]byte{seq(derNull), r.id.cert.Raw, appendElement(nil, 0xa2, seq())}
	r.crls = slices.Concat(crl, other(oid(oidOCSPResponse...), ocsp), other(oid(1, 2, 3), ocsp), octets(nil),
		seq(octets(make([]byte, 1<<20))))
	o, err := Parse(r.build(t), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	sd := o.Signed
	if o.Kind != Signed || !o.Inner.Equal(oidData) || o.Detail != "opaque, 1 signer (rsa-sha256)" {
		t.Errorf("object: %s %v %q", o.Kind, o.Inner, o.Detail)
	}
	if sd.Version != 1 || sd.Detached || !bytes.Equal(sd.Content, testText) || !slices.Equal(sd.DigestAlgorithms(), []crypto.Hash{crypto.SHA256}) {
		t.Errorf("signed-data: %d %v %q %v", sd.Version, sd.Detached, sd.Content, sd.DigestAlgorithms())
	}
	if len(sd.Certificates) != 3 || sd.Certificates[0].Err == nil || sd.Certificates[2].Err == nil ||
		sd.Certificates[1].X509 == nil || !sd.Certificates[1].X509.Equal(r.id.cert) {
		t.Errorf("certificates: %v", sd.Certificates)
	}
	if len(sd.CRLs) != 1 || !bytes.Equal(sd.CRLs[0], crl) || len(sd.OCSP) != 1 || !bytes.Equal(sd.OCSP[0], ocsp) || sd.Ignored != 3 {
		t.Errorf("revocation: %x %x %d", sd.CRLs, sd.OCSP, sd.Ignored)
	}
	s := sd.Signers[0]
	if s.ID.Serial.Int64() != 42 || !bytes.Equal(s.ID.Issuer, r.id.cert.RawIssuer) || len(s.SignedAttributes) != 3 || len(s.UnsignedAttributes) != 1 {
		t.Errorf("signer: %+v", s)
	}
}

// TestParsePSS verifies that parameters are decoded, and which are the defaults (RFC 4055 Section 3.1).
func TestParsePSS(t *testing.T) {
	p, err := parsePSS(pssParameters(nistHash(1), nistHash(2), 33))
	if err != nil || !p.Hash.Equal(nistHash(1)) || !p.MaskHash.Equal(nistHash(2)) || p.SaltLength != 33 || p.Trailer != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = parsePSS(seq())
	if err != nil || !p.Hash.Equal(oidSHA1) || !p.MaskGen.Equal(oidMGF1) || !p.MaskHash.Equal(oidSHA1) || p.SaltLength != 20 || p.Trailer != 1 {
		t.Errorf("defaults: %+v, %v", p, err)
	}
	number := func(n byte, value int) []byte { return appendElement(nil, n, must(asn1.Marshal(value))) }
	for name, in := range map[string][]byte{
		"nothing":        nil,
		"null":           derNull,
		"negative salt":  seq(number(0xa2, -1)),
		"salt no number": seq(appendElement(nil, 0xa2, derNull)),
		"hash no name":   seq(appendElement(nil, 0xa0, derNull)),
		"mask no name":   seq(appendElement(nil, 0xa1, derNull)),
		"mask no hash":   seq(appendElement(nil, 0xa1, seq(oid(oidMGF1...)))),
		"trailer twice":  seq(number(0xa3, 1), number(0xa3, 1)),
		"two sequences":  append(seq(), seq()...),
	} {
		if p, err := parsePSS(in); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := parsePSS(seq(number(0xa3, 2))); err != nil || p.Trailer != 2 {
		t.Errorf("other trailer: %+v, %v", p, err)
	}
	if p, err := parsePSS(seq(appendElement(nil, 0xa1, seq(oid(1, 2, 3))))); err != nil || p.MaskHash != nil {
		t.Errorf("other mask: %+v, %v", p, err)
	}
}

// TestPSSKey verifies the restrictions of a key for RSASSA-PSS (RFC 4055 Section 3.3).
func TestPSSKey(t *testing.T) {
	limit := &PSSParameters{Hash: nistHash(1), MaskGen: oidMGF1, MaskHash: nistHash(1), SaltLength: 32, Trailer: 1}
	tests := []struct {
		name   string
		change func(*PSSParameters)
		want   bool
	}{
		{"same", func(*PSSParameters) {}, true},
		{"longer salt", func(p *PSSParameters) { p.SaltLength = 33 }, true},
		{"shorter salt", func(p *PSSParameters) { p.SaltLength = 31 }, false},
		{"other hash", func(p *PSSParameters) { p.Hash = nistHash(3) }, false},
		{"other mask hash", func(p *PSSParameters) { p.MaskHash = nistHash(3) }, false},
		{"other mask", func(p *PSSParameters) { p.MaskGen = oidRSA }, false},
		{"other trailer", func(p *PSSParameters) { p.Trailer = 2 }, false},
	}
	for _, tt := range tests {
		p := *limit
		tt.change(&p)
		if got := (&pssKey{limit}).allows(&p); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if !(&pssKey{}).allows(&p) {
			t.Errorf("%s: refused by a key without restrictions", tt.name)
		}
	}
}

// TestParseKinds verifies what is recognised without vectors: a wrong type must not look like a signature.
func TestParseKinds(t *testing.T) {
	content := func(kind []byte, body []byte) []byte {
		return seq(kind, appendElement(nil, byte(context0Constructed), body))
	}
	inner := seq(oid(oidData...), appendElement(nil, byte(context0Constructed), octets(testText)))
	version := []byte{2, 1, 0}
	tests := []struct {
		name string
		in   []byte
		want Kind
		text string
	}{
		{"data", content(oid(oidData...), octets(testText)), Data, ""},
		{"unknown", content(oid(1, 2, 3), octets(nil)), Unknown, "1.2.3"},
		{"unknown without content", seq(oid(1, 2, 3)), Unknown, "1.2.3"},
		{"compressed", content(oid(1, 2, 840, 113549, 1, 9, 16, 1, 9), seq(version, seq(oid(1, 2, 840, 113549, 1, 9, 16, 3, 8)), inner)),
			Compressed, "zlib"},
		{"authenticated", content(oid(1, 2, 840, 113549, 1, 9, 16, 1, 2), seq(version, setOf(), seq(oid(1, 2, 3)), inner)),
			Authenticated, "1.2.3"},
		{"no recipients", content(oid(1, 2, 840, 113549, 1, 7, 3), seq(version, setOf(), seq(oid(oidData...), seq(oid(1, 2, 3))))),
			Enveloped, "1.2.3 for 0 recipients"},
		{"odd recipients", content(oid(1, 2, 840, 113549, 1, 7, 3), seq(version, setOf(
			seq(), appendElement(nil, 0xa1), appendElement(nil, 0xa2), appendElement(nil, 0xa3), appendElement(nil, 0xa4),
			seq(version, derNull)), seq(oid(oidData...), seq(oid(1, 2, 3))))),
			Enveloped, "1.2.3 for 6 recipients (key-transport, key-agreement, kek, password, other)"},
	}
	for _, tt := range tests {
		o, err := Parse(tt.in, Limits{})
		if err != nil || o.Kind != tt.want || o.Detail != tt.text || o.Signed != nil {
			t.Errorf("%s: %+v, %v, want %s %q", tt.name, o, err, tt.want, tt.text)
		}
	}
	if o, err := Parse(tests[3].in, Limits{}); err != nil || KindOf(o.Inner) != Data {
		t.Errorf("inside of compressed data: %+v, %v", o, err)
	}
}

// TestRecipients verifies that the recipients of an encrypted object are told apart.
func TestRecipients(t *testing.T) {
	dir := vectors.Path(t, "smime/generated")
	tests := []struct {
		file  string
		kinds []string
		keyID bool
	}{
		{"env-multi.e.der", []string{"key-transport", "key-transport"}, false},
		{"env-mixed.e.der", []string{"key-transport", "key-agreement"}, false},
		{"env-ski.e.der", []string{"key-transport"}, true},
		{"env-pw.e.der", []string{"password"}, false},
	}
	for _, tt := range tests {
		o, err := Parse(read(t, filepath.Join(dir, tt.file)), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, r := range o.Encryption.Recipients {
			kinds = append(kinds, r.Kind)
			if named := r.ID.Serial != nil && r.ID.Issuer != nil; named == (tt.keyID || r.Kind == "password") {
				t.Errorf("%s: %+v", tt.file, r)
			}
			if tt.keyID && len(r.ID.SubjectKeyID) != 20 {
				t.Errorf("%s: %+v", tt.file, r)
			}
		}
		if !slices.Equal(kinds, tt.kinds) {
			t.Errorf("%s: %v, want %v", tt.file, kinds, tt.kinds)
		}
	}
	o, err := Parse(read(t, filepath.Join(dir, "env-multi.e.der")), Limits{Recipients: 1})
	if err != nil || len(o.Encryption.Recipients) != 1 || o.Encryption.Others != 1 {
		t.Errorf("limited: %+v, %v", o, err)
	}
}

// TestParseLimits verifies each limit on both sides.
func TestParseLimits(t *testing.T) {
	base := recipe{id: identityOf(t, "p256"), digest: "sha256", scheme: oidECKey}
	times := func(b []byte, n int) [][]byte { return slices.Repeat([][]byte{b}, n) }
	junk := attribute(asn1.ObjectIdentifier{1, 2, 3}, octets(nil))
	tests := []struct {
		name   string
		change func(*recipe)
		limits Limits
		want   error
	}{
		{"signers", func(r *recipe) { r.copies = 8 }, Limits{}, nil},
		{"signers", func(r *recipe) { r.copies = 9 }, Limits{}, ErrLimit},
		{"signers", func(r *recipe) { r.copies = 9 }, Limits{Signers: 9}, nil},
		{"certificates", func(r *recipe) { r.certs = times(r.id.cert.Raw, 64) }, Limits{}, nil},
		{"certificates", func(r *recipe) { r.certs = times(r.id.cert.Raw, 65) }, Limits{}, ErrLimit},
		{"attributes", func(r *recipe) { r.extra = times(junk, 61) }, Limits{}, nil},
		{"attributes", func(r *recipe) { r.extra = times(junk, 62) }, Limits{}, ErrLimit},
		{"unsigned attributes", func(r *recipe) { r.unsigned = times(junk, 64) }, Limits{}, nil},
		{"unsigned attributes", func(r *recipe) { r.unsigned = times(junk, 65) }, Limits{}, ErrLimit},
		{"signed octets", func(r *recipe) {
			r.extra = [][]byte{attribute(asn1.ObjectIdentifier{1, 2, 3}, octets(make([]byte, 64<<10)))}
		}, Limits{}, ErrLimit},
		{"detached", func(r *recipe) { r.detached, r.crls = true, seq(octets(make([]byte, 200<<10))) }, Limits{}, nil},
		{"detached", func(r *recipe) { r.detached, r.crls = true, seq(octets(make([]byte, 300<<10))) }, Limits{}, ErrLimit},
		{"opaque", func(r *recipe) { r.crls = seq(octets(make([]byte, 300<<10))) }, Limits{}, nil},
		{"digests", func(r *recipe) { r.listed = setOf(times(seq(oid(1, 2, 3)), 33)...) }, Limits{}, ErrLimit},
	}
	for _, tt := range tests {
		r := base
		tt.change(&r)
		if _, err := Parse(r.build(t), tt.limits); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	r := base
	r.certs = [][]byte{seq(octets(make([]byte, 256<<10))), r.id.cert.Raw}
	o, err := Parse(r.build(t), Limits{})
	if err != nil || !errors.Is(o.Signed.Certificates[1].Err, ErrLimit) {
		t.Errorf("octets of certificates: %v", err)
	}
}

// TestParseErrors removes and damages every element of an object: what is not understood is an error and no result.
func TestParseErrors(t *testing.T) {
	r := recipe{id: identityOf(t, "p256"), digest: "sha256", scheme: oidECKey, keyID: true}
	r.certs = [][]byte{}
	whole := r.build(t)
	for n := range whole {
		if o, err := Parse(whole[:n], Limits{}); err == nil {
			t.Fatalf("cut to %d octets: %+v", n, o)
		}
	}
	for i := range whole {
		for _, bit := range []byte{1, 0x20, 0x80} {
			damaged := slices.Clone(whole)
			damaged[i] ^= bit
			if got := verify(t, damaged, nil, r.id.cert); got.Integrity == Intact && !harmless(whole, i) {
				t.Errorf("octet %d of %d with bit %#x changed: %v, near %x", i, len(whole), bit, got, whole[i-8:i+4])
			}
		}
	}
}

// harmless reports whether the octet i of the object is outside of everything that counts: a version, or the tag of the
// empty set of certificates, which may as well be an empty set of CRLs.
func harmless(object []byte, i int) bool {
	version := i >= 2 && bytes.Equal(object[i-2:i], []byte{2, 1}) && (object[i] == 1 || object[i] == 3)
	return version || i+1 < len(object) && bytes.Equal(object[i:i+2], []byte{0xa0, 0})
}

// TestCertificateScan verifies that certificates are found by their octets as crypto/x509 finds them.
func TestCertificateScan(t *testing.T) {
	for _, name := range []string{"rsa", "p256", "ed25519"} {
		cert := identityOf(t, name).cert
		ids := []SignerID{{Issuer: cert.RawIssuer, Serial: cert.SerialNumber}, {SubjectKeyID: cert.SubjectKeyId}}
		for _, id := range ids {
			if !id.Matches(cert) || !id.matchesRaw(cert.Raw) {
				t.Errorf("%s: %+v does not match", name, id)
			}
		}
		for _, id := range []SignerID{{}, {Issuer: cert.RawIssuer}, {Serial: cert.SerialNumber}, {SubjectKeyID: []byte{1}}} {
			if id.Matches(cert) || id.matchesRaw(cert.Raw) {
				t.Errorf("%s: %+v matches", name, id)
			}
		}
	}
	for _, junk := range [][]byte{nil, {0x30, 0}, seq(seq()), seq(seq([]byte{2, 1, 1}))} {
		if (SignerID{}).matchesRaw(junk) {
			t.Errorf("%x matches", junk)
		}
	}
}
