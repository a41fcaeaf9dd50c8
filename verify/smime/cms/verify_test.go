package cms

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// honest lists every algorithm this package checks.
func honest(t testing.TB) map[string]recipe {
	recipes := map[string]recipe{}
	for _, d := range digestTable {
		recipes["rsa-"+d.name] = recipe{id: identityOf(t, "rsa"), digest: d.name, scheme: oidRSA}
		recipes["rsa-pss-"+d.name] = recipe{
			id: identityOf(t, "rsa"), digest: d.name, scheme: oidRSAPSS,
			parameters: pssParameters(d.oid, d.oid, d.hash.Size()),
		}
		for _, curve := range []string{"p256", "p384", "p521"} {
			recipes["ecdsa-"+curve+"-"+d.name] = recipe{id: identityOf(t, curve), digest: d.name, scheme: oidECKey}
		}
	}
	for _, s := range schemeTable {
		for _, d := range digestTable {
			if d.hash != s.hash {
				continue
			}
			key, name := "rsa", "rsa-"+d.name
			if s.family == familyECDSA {
				key, name = "p256", "ecdsa-p256-"+d.name
			}
			r := recipe{id: identityOf(t, key), digest: d.name, scheme: s.oid}
			recipes[name+" by "+s.oid.String()] = r
		}
	}
	recipes["ed25519"] = recipe{id: identityOf(t, "ed25519"), digest: "sha512", scheme: oidEd25519}
	return recipes
}

// TestHonest verifies every algorithm in every form.
func TestHonest(t *testing.T) {
	forms := map[string]func(*recipe){
		"opaque":      func(r *recipe) {},
		"detached":    func(r *recipe) { r.detached = true },
		"streamed":    func(r *recipe) { r.chunk = 5 },
		"key id":      func(r *recipe) { r.keyID = true },
		"plain":       func(r *recipe) { r.plain = true },
		"plain text":  func(r *recipe) { r.plain, r.detached = true, true },
		"unsorted":    func(r *recipe) { r.unsorted = "as-sent" },
		"resorted":    func(r *recipe) { r.unsorted = "as-der" },
		"unsigned":    func(r *recipe) { r.unsigned = [][]byte{attribute([]int{1, 2, 3}, derNull)} },
		"no unsigned": func(r *recipe) { r.unsigned = [][]byte{} },
		"certs twice": func(r *recipe) { r.certs = [][]byte{r.id.cert.Raw, r.id.cert.Raw} },
	}
	for name, r := range honest(t) {
		for form, change := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				r := r
				change(&r)
				var text []byte
				if r.detached {
					text = testText
				}
				got := verify(t, r.build(t), text)
				algorithm, _, _ := strings.Cut(name, " ")
				if got.Integrity != Intact || got.Reason != "" || got.Algorithm != algorithm || got.Certificate == nil {
					t.Fatalf("%v, want %s", got, algorithm)
				}
				if weak := slices.Contains(got.Weak, WeakSHA1); weak != strings.HasSuffix(algorithm, "-sha1") {
					t.Errorf("weak: %v", got.Weak)
				}
				if got.SignedAttributes == r.plain || slices.Contains(got.Weak, WeakNoAttributes) != r.plain {
					t.Errorf("attributes: %v", got)
				}
				wantTime := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
				if !r.plain && !got.SigningTime.Equal(wantTime) {
					t.Errorf("signing time %v", got.SigningTime)
				}
				bad := slices.Concat(testText, []byte(" "))
				if !r.detached {
					r.content, r.attributes = bad, r.standard(t)
					if r.plain {
						return
					}
					bad = nil
				}
				if got := verify(t, r.build(t), bad); got.Integrity != Broken {
					t.Errorf("with another text: %v", got)
				}
			})
		}
	}
}

// TestFlags verifies that what is odd is said.
func TestFlags(t *testing.T) {
	base := recipe{id: identityOf(t, "rsa"), digest: "sha256", scheme: oidRSA}
	tests := []struct {
		name   string
		change func(*recipe)
		want   string
	}{
		{"unsorted, signed as sent", func(r *recipe) { r.unsorted = "as-sent" }, FlagUnsorted},
		{"unsorted, signed in order", func(r *recipe) { r.unsorted = "as-der" }, FlagResorted},
		{"time without zone", func(r *recipe) { r.attributes = r.withTime(t, "2611011200") }, FlagSigningTime},
		{"time with offset", func(r *recipe) { r.attributes = r.withTime(t, "2611011200+0100") }, FlagSigningTime},
		{"month 13", func(r *recipe) { r.attributes = r.withTime(t, "261301120000Z") }, FlagSigningTime},
		{"other content", func(r *recipe) { r.contentType = []int{1, 2, 3, 4} }, FlagOtherContent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := base
			tt.change(&r)
			got := verify(t, r.build(t), nil)
			if got.Integrity != Intact || !slices.Equal(got.Flags, []string{tt.want}) {
				t.Errorf("%v, want intact and the flag %s", got, tt.want)
			}
		})
	}
}

// TestEmbedded verifies that a detached signature may carry the text too, if it is the same.
func TestEmbedded(t *testing.T) {
	for _, plain := range []bool{false, true} {
		r := recipe{id: identityOf(t, "rsa"), digest: "sha256", scheme: oidRSA, plain: plain}
		got := verify(t, r.build(t), testText)
		if got.Integrity != Intact || !slices.Equal(got.Flags, []string{FlagEmbedded}) {
			t.Errorf("%v", got)
		}
	}
}

// withTime returns the standard attributes with another signing-time.
func (r recipe) withTime(t testing.TB, text string) [][]byte {
	a := r.standard(t)
	a[1] = attribute(oidSigningTime, utcTime(text))
	return a
}

// TestSigningTime verifies the two forms of a time (RFC 5652 Section 11.3).
func TestSigningTime(t *testing.T) {
	tests := []struct {
		tag  byte
		text string
		want string // "" if it is malformed
	}{
		{0x17, "261101120000Z", "2026-11-01T12:00:00Z"},
		{0x17, "490101000000Z", "2049-01-01T00:00:00Z"},
		{0x17, "500101000000Z", "1950-01-01T00:00:00Z"},
		{0x17, "690101000000Z", "1969-01-01T00:00:00Z"},
		{0x17, "991231235959Z", "1999-12-31T23:59:59Z"},
		{0x18, "20500101000000Z", "2050-01-01T00:00:00Z"},
		{0x18, "20500101000000.5Z", ""},
		{0x18, "205001010000Z", ""},
		{0x17, "2611011200Z", ""},
		{0x17, "261101120000+0000", ""},
		{0x17, "", ""},
	}
	for _, tt := range tests {
		r := recipe{id: identityOf(t, "p256"), digest: "sha256", scheme: oidECKey}
		r.attributes = r.standard(t)
		r.attributes[1] = attribute(oidSigningTime, appendElement(nil, tt.tag, []byte(tt.text)))
		got := verify(t, r.build(t), nil)
		text := ""
		if !got.SigningTime.IsZero() {
			text = got.SigningTime.Format(time.RFC3339)
		}
		if got.Integrity != Intact || text != tt.want || slices.Contains(got.Flags, FlagSigningTime) != (tt.want == "") {
			t.Errorf("%q: %v at %q, want %q", tt.text, got, text, tt.want)
		}
	}
}

// TestAttacks goes through what must never be intact (each is a text that nobody signed, or a rule that others rely on).
func TestAttacks(t *testing.T) {
	base := recipe{id: identityOf(t, "rsa"), digest: "sha256", scheme: oidRSA}
	standard := base.standard(t)
	sorted := slices.SortedFunc(slices.Values(standard), slices.Compare[[]byte])
	attributesDER := setOf(sorted...)
	protection := func(digest, signature []int) []byte {
		return attribute(oidAlgorithmProtection, seq(seq(oid(digest...)),
			appendElement(nil, byte(context1Constructed), oid(signature...), derNull)))
	}
	otherDigest := octets(make([]byte, 32))
	tests := []struct {
		name   string
		change func(*recipe)
		text   []byte
		want   Integrity
		reason string
	}{
		{"attributes as content", func(r *recipe) { r.plain, r.content = true, attributesDER }, nil,
			Malformed, "signed attributes of another signature"},
		{"attributes as content, detached", func(r *recipe) { r.plain, r.detached, r.content = true, true, attributesDER },
			attributesDER, Malformed, "signed attributes of another signature"},
		{"attributes as content, empty attributes", func(r *recipe) {
			r.plain, r.content, r.rawSigned = true, attributesDER, []byte{0xa0, 0}
		}, nil, Malformed, "signedAttrs, which is empty"},
		{"empty attributes", func(r *recipe) { r.rawSigned = []byte{0xa0, 0} }, nil, Malformed, "signedAttrs, which is empty"},
		{"content relabelled", func(r *recipe) { r.attributes, r.contentType = standard, []int{1, 2, 3} }, nil,
			Malformed, "not the type of the content"},
		{"no attributes, other content", func(r *recipe) { r.plain, r.contentType = true, []int{1, 2, 3} }, nil,
			Malformed, "missing although"},
		{"no content-type", func(r *recipe) { r.attributes = standard[1:] }, nil, Malformed, "content-type is missing"},
		{"no message-digest", func(r *recipe) { r.attributes = standard[:2] }, nil, Malformed, "message-digest is missing"},
		{"two message-digests", func(r *recipe) { r.extra = [][]byte{attribute(oidMessageDigest, otherDigest)} }, nil,
			Malformed, "several attributes message-digest"},
		{"two content-types", func(r *recipe) { r.extra = [][]byte{standard[0]} }, nil,
			Malformed, "several attributes content-type"},
		{"two signing-times", func(r *recipe) { r.extra = [][]byte{standard[1]} }, nil,
			Malformed, "several attributes signing-time"},
		{"message-digest with two values", func(r *recipe) {
			a := slices.Clone(standard)
			a[2] = slices.Clone(a[2])
			inner := a[2][len(a[2])-34:]
			a[2] = attribute(oidMessageDigest, inner, otherDigest)
			r.attributes = a
		}, nil, Malformed, "2 values"},
		{"message-digest without value", func(r *recipe) {
			r.attributes = [][]byte{standard[0], attribute(oidMessageDigest)}
		}, nil, Malformed, "0 values"},
		{"message-digest is no octets", func(r *recipe) {
			r.attributes = [][]byte{standard[0], attribute(oidMessageDigest, []byte{2, 1, 1})}
		}, nil, Malformed, "not an OCTET STRING"},
		{"message-digest cut", func(r *recipe) {
			r.attributes = [][]byte{standard[0], attribute(oidMessageDigest, octets(nil))}
		}, nil, Broken, "digest does not fit"},
		{"content-type is no OID", func(r *recipe) {
			r.attributes = [][]byte{attribute(oidContentType, []byte{2, 1, 1}), standard[2]}
		}, nil, Malformed, "not an object identifier"},
		{"signing-time is no time", func(r *recipe) {
			r.attributes = [][]byte{standard[0], attribute(oidSigningTime, otherDigest), standard[2]}
		},
			nil, Malformed, "not a time"},
		{"signing-time unsigned", func(r *recipe) { r.unsigned = [][]byte{standard[1]} }, nil, Malformed, "has to be signed"},
		{"message-digest unsigned", func(r *recipe) { r.unsigned = [][]byte{standard[2]} }, nil, Malformed, "has to be signed"},
		{"countersignature signed", func(r *recipe) { r.extra = [][]byte{attribute(oidCountersignature, otherDigest)} }, nil,
			Malformed, "countersignature"},
		{"other digest protected", func(r *recipe) { r.extra = [][]byte{protection(nistHash(3), oidRSA)} }, nil,
			Malformed, "not those that were signed"},
		{"other signature protected", func(r *recipe) { r.extra = [][]byte{protection(nistHash(1), oidECKey)} }, nil,
			Malformed, "not those that were signed"},
		{"protection not understood", func(r *recipe) { r.extra = [][]byte{attribute(oidAlgorithmProtection, otherDigest)} }, nil,
			Malformed, "algorithm-protection is not understood"},
		{"detached with another content", func(r *recipe) {}, []byte("Pay 1000000 EUR to Eve."), Broken, "beside it"},
		{"detached with a longer content", func(r *recipe) {}, slices.Concat(testText, []byte("x")), Broken, "beside it"},
		{"detached with a shorter content", func(r *recipe) {}, testText[:20], Broken, "beside it"},
		{"detached with an empty content", func(r *recipe) { r.content = []byte{} }, testText, Broken, "beside it"},
		{"detached without text", func(r *recipe) { r.detached = true }, nil, Malformed, "no content"},
		{"digest not listed", func(r *recipe) { r.listed = setOf(seq(oid(nistHash(3)...))) }, nil, Malformed, "not among"},
		{"no digest listed", func(r *recipe) { r.listed = setOf() }, nil, Malformed, "not among"},
		{"no signer", func(r *recipe) { r.noSigner = true }, nil, Malformed, "no signers"},
		{"many signers", func(r *recipe) { r.copies = 9 }, nil, Malformed, "more than 8 signers"},
		{"key of another kind", func(r *recipe) { r.certs = [][]byte{identityOf(t, "p256").cert.Raw} }, nil,
			Malformed, "not one for the algorithm"},
		{"key of somebody else", func(r *recipe) { r.certs = [][]byte{identityOf(t, "rsa2").cert.Raw} }, nil,
			Broken, "does not fit"},
		{"no certificate", func(r *recipe) { r.certs = [][]byte{} }, nil, NoCertificate, ""},
		{"another certificate", func(r *recipe) { r.certs = [][]byte{newIdentity(t, r.id.key, 43).cert.Raw} }, nil, NoCertificate, ""},
		{"another certificate by key id", func(r *recipe) {
			r.keyID, r.certs = true, [][]byte{newIdentity(t, r.id.key, 43).cert.Raw}
		}, nil, NoCertificate, ""},
		{"many decoys", func(r *recipe) {
			for _, name := range []string{"rsa2", "p224", "p256", "p384", "p521", "rsa"} {
				r.certs = append(r.certs, identityOf(t, name).cert.Raw)
			}
		}, nil, Malformed, "6 different certificates"},
		{"signature for another digest", func(r *recipe) { r.scheme = pkcs1(13) }, nil, Unsupported, "not the same"},
		{"curve P-224", func(r *recipe) { r.id, r.scheme = identityOf(t, "p224"), oidECKey }, nil, Unsupported, "P-224"},
		{"PSS with another mask", func(r *recipe) {
			r.scheme, r.parameters = oidRSAPSS, pssParameters(nistHash(1), oidSHA1, 32)
		}, nil, Unsupported, "mask generation"},
		{"PSS with another digest", func(r *recipe) {
			r.scheme, r.parameters = oidRSAPSS, pssParameters(nistHash(3), nistHash(3), 32)
		}, nil, Unsupported, "another digest"},
		{"PSS without salt", func(r *recipe) {
			r.scheme, r.parameters = oidRSAPSS, pssParameters(nistHash(1), nistHash(1), 0)
		}, nil, Unsupported, "without salt"},
		{"PSS with a huge salt", func(r *recipe) { *r = hugeSalt(*r) }, nil, Broken, "longer than the key"},
		{"PSS without parameters", func(r *recipe) { r.scheme, r.parameters = oidRSAPSS, derNull }, nil,
			Malformed, "parameters of RSASSA-PSS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := base
			tt.change(&r)
			got := verify(t, r.build(t), tt.text)
			if got.Integrity != tt.want || !strings.Contains(got.Reason, tt.reason) || got.Reason == "" {
				t.Errorf("%v, want %s because of %q", got, tt.want, tt.reason)
			}
		})
	}
}

// hugeSalt says that the salt has 1,000 octets, which no key of 2048 bits can have signed.
func hugeSalt(r recipe) recipe {
	r.scheme = oidRSAPSS
	r.id.key = saltedKey{r.id.key}
	r.parameters = pssParameters(nistHash(1), nistHash(1), 1000)
	return r
}

// A saltedKey signs anything with a signature of the right length.
type saltedKey struct{ crypto.Signer }

func (saltedKey) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 256), nil
}

// TestUnsupported verifies that algorithms that cannot be checked are named and are neither good nor bad.
func TestUnsupported(t *testing.T) {
	tests := []struct {
		scheme asn1.ObjectIdentifier
		want   string
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 3}, "dsa-sha1"},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 2}, "dsa-sha256"},
		{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, "dsa-sha256"},
		{asn1.ObjectIdentifier{1, 3, 101, 113}, "ed448"},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}, "ml-dsa-65"},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 24}, "slh-dsa-sha2-256s"},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, "rsa-md5"},
		{asn1.ObjectIdentifier{1, 2, 3, 4}, "1.2.3.4"},
	}
	for _, tt := range tests {
		r := recipe{id: identityOf(t, "rsa"), digest: "sha256", scheme: tt.scheme}
		got := verify(t, r.build(t), nil)
		if got.Integrity != Unsupported || got.Algorithm != tt.want {
			t.Errorf("%v: %v, want %s", tt.scheme, got, tt.want)
		}
		r.attributes, r.content = r.standard(t), []byte("another text")
		if got := verify(t, r.build(t), nil); got.Integrity != Broken {
			t.Errorf("%v with a digest that does not fit: %v", tt.scheme, got)
		}
	}
}

// TestDecoy verifies that a forged certificate with the issuer and serial number of the right one changes nothing.
func TestDecoy(t *testing.T) {
	right, decoy, kind := identityOf(t, "rsa"), identityOf(t, "rsa2"), identityOf(t, "p256")
	base := recipe{id: right, digest: "sha256", scheme: oidRSA}
	for name, certs := range map[string][][]byte{
		"first":          {decoy.cert.Raw, right.cert.Raw},
		"last":           {right.cert.Raw, decoy.cert.Raw},
		"of other kinds": {kind.cert.Raw, decoy.cert.Raw, right.cert.Raw},
		"that is broken": {unreadable(t, right.cert.Raw), right.cert.Raw},
	} {
		for _, keyID := range []bool{false, true} {
			r := base
			r.certs, r.keyID = certs, keyID
			if got := verify(t, r.build(t), nil); got.Integrity != Intact || !got.Certificate.Equal(right.cert) {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	r := base
	r.certs = [][]byte{decoy.cert.Raw}
	if got := verify(t, r.build(t), nil, right.cert); got.Integrity != Intact || !got.Certificate.Equal(right.cert) {
		t.Errorf("right one from elsewhere: %v", got)
	}
	r.certs = [][]byte{unreadable(t, right.cert.Raw), decoy.cert.Raw}
	if got := verify(t, r.build(t), nil); got.Integrity != Unsupported {
		t.Errorf("one that does not fit and one that is not understood: %v", got)
	}
}

// unreadable makes a certificate that crypto/x509 refuses, with the issuer, serial number and key identifier of another.
func unreadable(t testing.TB, raw []byte) []byte {
	t.Helper()
	bad := slices.Clone(raw)
	// The date of the validity is the first UTCTime.
	i := slices.Index(bad, 0x17)
	for ; i >= 0 && bad[i+1] != 13; i++ {
	}
	bad[i+2] = 'x'
	if _, err := x509.ParseCertificate(bad); err == nil {
		t.Fatal("still understood")
	}
	return bad
}

// TestUnreadableCertificate verifies that a certificate Go does not understand says nothing about the text.
func TestUnreadableCertificate(t *testing.T) {
	for _, keyID := range []bool{false, true} {
		r := recipe{id: identityOf(t, "rsa"), digest: "sha256", scheme: oidRSA, keyID: keyID}
		r.certs = [][]byte{unreadable(t, r.id.cert.Raw)}
		got := verify(t, r.build(t), nil)
		if got.Integrity != Unsupported || !strings.Contains(got.Reason, "not understood") {
			t.Errorf("%v", got)
		}
	}
}

// TestBinding verifies that the certificate must be the one that was signed, if one was (RFC 5035).
func TestBinding(t *testing.T) {
	id := identityOf(t, "p256")
	replaced := newIdentity(t, id.key, 42) // the same key, issuer and serial number
	hash := func(h crypto.Hash) []byte {
		state := h.New()
		state.Write(id.cert.Raw)
		return octets(state.Sum(nil))
	}
	forms := map[string][]byte{
		"v1":        attribute(oidSigningCertificate, seq(seq(seq(hash(crypto.SHA1))))),
		"v2":        attribute(oidSigningCertificate2, seq(seq(seq(hash(crypto.SHA256))))),
		"v2 sha512": attribute(oidSigningCertificate2, seq(seq(seq(seq(oid(nistHash(3)...)), hash(crypto.SHA512))))),
	}
	for name, a := range forms {
		r := recipe{id: id, digest: "sha256", scheme: oidECKey, extra: [][]byte{a}}
		if got := verify(t, r.build(t), nil); got.Integrity != Intact {
			t.Errorf("%s: %v", name, got)
		}
		r.certs = [][]byte{replaced.cert.Raw}
		if got := verify(t, r.build(t), nil); got.Integrity != Malformed {
			t.Errorf("%s, certificate replaced: %v", name, got)
		}
	}
	r := recipe{id: id, digest: "sha256", scheme: oidECKey}
	for name, value := range map[string][]byte{"junk": octets(nil), "empty": seq(seq())} {
		r.extra = [][]byte{attribute(oidSigningCertificate2, value)}
		if got := verify(t, r.build(t), nil); got.Integrity != Malformed {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestAlgorithmProtection verifies that NULL and absent parameters are the same (RFC 6211, RFC 5754 Section 2).
func TestAlgorithmProtection(t *testing.T) {
	for name, parameters := range map[string][]byte{"absent": nil, "null": derNull} {
		r := recipe{id: identityOf(t, "rsa"), digest: "sha256", scheme: oidRSA}
		r.extra = [][]byte{attribute(oidAlgorithmProtection, seq(seq(oid(nistHash(1)...), parameters),
			appendElement(nil, byte(context1Constructed), oid(oidRSA...), parameters)))}
		if got := verify(t, r.build(t), nil); got.Integrity != Intact {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestWeakKeys verifies that short keys are named, and that keys nobody should need are refused.
func TestWeakKeys(t *testing.T) {
	r := recipe{id: identityOf(t, "rsa1024"), digest: "sha1", scheme: oidRSA, plain: true}
	got := verify(t, r.build(t), nil)
	want := []string{WeakSHA1, WeakNoAttributes, "rsa-1024"}
	if got.Integrity != Intact || !slices.Equal(got.Weak, want) || got.KeyBits != 1024 {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestLargeContent verifies what is said of a long content without signed attributes, which would have to be held.
func TestLargeContent(t *testing.T) {
	r := recipe{id: identityOf(t, "ed25519"), digest: "sha512", scheme: oidEd25519, plain: true, content: make([]byte, 2000)}
	for _, detached := range []bool{false, true} {
		r.detached = detached
		for limit, want := range map[int]Integrity{1999: Unsupported, 2000: Intact} {
			o, err := Parse(r.build(t), Limits{Direct: limit})
			if err != nil {
				t.Fatal(err)
			}
			content := o.Signed.Embedded()
			if detached {
				content = o.Signed.NewContent()
				content.Write(r.content[:1500])
				content.Write(r.content[1500:])
			}
			if got := o.Signed.VerifySigner(0, content, nil); got.Integrity != want {
				t.Errorf("limit %d: %v, want %s", limit, got, want)
			}
		}
	}
}

// TestSecondOpinion verifies that the second implementation refuses what the first refuses, and when they are said to
// differ.
func TestSecondOpinion(t *testing.T) {
	for _, name := range []string{"rsa-sha1", "rsa-sha256", "rsa-sha512", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ecdsa-p521-sha1"} {
		r := honest(t)[name]
		o, err := Parse(r.build(t), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		c := check{sd: o.Signed, signer: &o.Signed.Signers[0], content: o.Signed.Embedded()}
		if f := c.run(); f.integrity != Intact || !slices.Contains(c.result.Steps, "a second implementation agrees") {
			t.Fatalf("%s: %v %q", name, f, c.result.Steps)
		}
		v, _ := c.verifier()
		form := c.signedForms()[0]
		if err := secondOpinion(v, r.id.cert, form); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		form.octets = slices.Concat(form.octets, []byte{0})
		if err := secondOpinion(v, r.id.cert, form); err == nil {
			t.Errorf("%s: agrees to other octets", name)
		}
		if f := c.secondOpinion(v, r.id.cert, form); f.integrity != Disputed || f.reason == "" {
			t.Errorf("%s: %v, want disputed", name, f)
		}
		if err := secondOpinion(v, nil, form); err == nil {
			t.Errorf("%s: a panic is an agreement", name)
		}
	}
}

// TestZero verifies that the zero values prove nothing.
func TestZero(t *testing.T) {
	sd := &SignedData{}
	for _, i := range []int{-1, 0, 1} {
		if got := sd.VerifySigner(i, nil, nil); got.Integrity != Malformed {
			t.Errorf("signer %d: %v", i, got)
		}
	}
	sd.Signers = []Signer{{}}
	if got := sd.VerifySigner(0, sd.NewContent(), nil); got.Integrity == Intact || got.Reason == "" {
		t.Errorf("empty signer: %v", got)
	}
	if (SignerResult{}).Integrity == Intact {
		t.Error("the zero result is intact")
	}
}
