package cms

import (
	"bytes"
	"encoding/asn1"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// seeds adds honest objects in every form, and the small hostile ones.
func seeds(f *testing.F) {
	for _, r := range []recipe{
		{id: identityOf(f, "p256"), digest: "sha256", scheme: oidECKey},
		{id: identityOf(f, "p256"), digest: "sha256", scheme: oidECKey, chunk: 5, keyID: true},
		{id: identityOf(f, "ed25519"), digest: "sha512", scheme: oidEd25519, plain: true, detached: true},
		{id: identityOf(f, "rsa"), digest: "sha1", scheme: oidRSA, unsorted: "as-der"},
		{id: identityOf(f, "rsa"), digest: "sha256", scheme: oidRSAPSS, parameters: pssParameters(nistHash(1), nistHash(1), 32)},
	} {
		f.Add(r.build(f))
	}
	for _, in := range hostile(f) {
		if len(in) < 1000 {
			f.Add(in)
		}
	}
	kinds := [][]byte{oid(1, 2, 840, 113549, 1, 7, 3), oid(1, 2, 840, 113549, 1, 9, 16, 1, 9), oid(1, 2, 3)}
	for _, kind := range kinds {
		f.Add(seq(kind, appendElement(nil, 0xa0, seq([]byte{2, 1, 0}, setOf(seq()), seq(oid(oidData...), seq(oid(1, 2, 3)))))))
	}
}

// FuzzNormalize verifies that what comes out is DER as far as lengths go, and stays as it is.
func FuzzNormalize(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		der, err := Normalize(in, Limits{})
		if !bytes.Equal(before, in) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if der != nil {
				t.Fatal("an error and a result")
			}
			return
		}
		if len(der) > len(in)+len(in)/2 {
			t.Fatalf("%d octets became %d", len(in), len(der))
		}
		again, err := Normalize(der, Limits{})
		if err != nil || !bytes.Equal(der, again) {
			t.Fatalf("%x became %x, %v", der, again, err)
		}
		var raw asn1.RawValue
		if rest, err := asn1.Unmarshal(der, &raw); err != nil || len(rest) > 0 {
			if der[0]&highTag != highTag { // a high tag number may be too high for encoding/asn1
				t.Fatalf("%x is not DER: %v", der, err)
			}
		}
	})
}

// FuzzParse verifies that parsing ends, with an object or an error, and that the object refers to octets that are there.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := Parse(in, Limits{})
		if (o == nil) == (err == nil) {
			t.Fatalf("%v and %v", o, err)
		}
		if err != nil {
			return
		}
		signed := o.Kind == Signed || o.Kind == CertsOnly
		if o.Kind == "" || signed != (o.Signed != nil) || o.Signed != nil && o.Signed.Detached != (o.Signed.Content == nil) {
			t.Fatalf("%+v", o)
		}
		for i := 0; i < len(o.Detail); i++ {
			if c := o.Detail[i]; c < ' ' || c > '~' {
				t.Fatalf("%q", o.Detail)
			}
		}
	})
}

// FuzzVerify verifies that no change of an object makes somebody sign another text: nobody has signed any but the one of
// the seeds.
func FuzzVerify(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := Parse(in, Limits{})
		if err != nil || o.Signed == nil {
			return
		}
		for i := range o.Signed.Signers {
			for _, content := range []*Content{o.Signed.Embedded(), withText(o.Signed), nil} {
				got := o.Signed.VerifySigner(i, content, nil)
				switch {
				case got.Integrity == "" || (got.Reason == "") != (got.Integrity == Intact):
					t.Fatalf("%v", got)
				case got.Integrity != Intact:
					continue
				case got.Certificate == nil || got.Algorithm == "" || got.KeyBits == 0:
					t.Fatalf("%v without a certificate", got)
				case !o.Signed.Detached && !bytes.Equal(o.Signed.Content, testText):
					t.Fatalf("%v for the text %q", got, o.Signed.Content)
				}
			}
		}
	})
}

func withText(sd *SignedData) *Content {
	c := sd.NewContent()
	c.Write(testText)
	return c
}

// TestFuzzSeeds verifies that the DER of a seed is read to its end by another parser as well.
func TestFuzzSeeds(t *testing.T) {
	r := recipe{id: identityOf(t, "p256"), digest: "sha256", scheme: oidECKey, chunk: 3}
	der, err := Normalize(r.build(t), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	in := cryptobyte.String(der)
	if !in.SkipASN1(cbasn1.SEQUENCE) || !in.Empty() {
		t.Errorf("%x", der)
	}
}
