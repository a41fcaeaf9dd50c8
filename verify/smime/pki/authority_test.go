package pki

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// now is the time of every test.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// An authority is a certificate with its key; a leaf is one too.
type authority struct {
	*x509.Certificate
	key crypto.Signer
}

var serials = int64(1000)

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate. Without issuer it is self-signed.
func issue(t testing.TB, issuer *authority, template x509.Certificate, key crypto.Signer) *authority {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	if template.SerialNumber == nil {
		serials++
		template.SerialNumber = big.NewInt(serials)
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = now.AddDate(-1, 0, 0)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = now.AddDate(1, 0, 0)
	}
	parent, signer := &template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

// ca returns the template of an authority.
func ca(name string) x509.Certificate {
	return x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Test"}},
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// ee returns the template of somebody's certificate.
func ee(mail ...string) x509.Certificate {
	return x509.Certificate{
		Subject:               pkix.Name{CommonName: "Alice Example"},
		EmailAddresses:        mail,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
}

// with changes a template.
func with(c x509.Certificate, change func(*x509.Certificate)) x509.Certificate {
	change(&c)
	return c
}

// extension returns an extension with a value that is marshalled, or given in DER.
func extension(t testing.TB, id asn1.ObjectIdentifier, critical bool, value any) pkix.Extension {
	t.Helper()
	if der, ok := value.([]byte); ok {
		return pkix.Extension{Id: id, Critical: critical, Value: der}
	}
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: id, Critical: critical, Value: der}
}

// tlv returns one element in DER.
func tlv(tag byte, content ...[]byte) []byte {
	var all []byte
	for _, c := range content {
		all = append(all, c...)
	}
	switch n := len(all); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, all...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, all...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, all...)
	}
}

// utf8Mailbox returns an otherName SmtpUTF8Mailbox.
func utf8Mailbox(t testing.TB, mail string) []byte {
	t.Helper()
	oid, err := asn1.Marshal(oidSmtpUTF8Mailbox)
	if err != nil {
		t.Fatal(err)
	}
	return tlv(0xa0, oid, tlv(0xa0, tlv(0x0c, []byte(mail))))
}

// nameOf returns a Name in DER.
func nameOf(t testing.TB, n pkix.Name) []byte {
	t.Helper()
	der, err := asn1.Marshal(n.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// mailDN returns a name with an emailAddress.
func mailDN(cn, mail string) pkix.Name {
	return pkix.Name{CommonName: cn, ExtraNames: []pkix.AttributeTypeAndValue{{
		Type:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1},
		Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(mail)},
	}}}
}

// A family is a root, an authority below it and a leaf.
type family struct{ root, middle, leaf *authority }

func newFamily(t testing.TB, middle, leaf x509.Certificate) family {
	t.Helper()
	root := issue(t, nil, ca("Root"), nil)
	m := issue(t, root, middle, nil)
	return family{root, m, issue(t, m, leaf, nil)}
}

// store returns a store that trusts the root.
func (f family) store(public bool) *Store {
	s := &Store{}
	s.AddAnchor(&Anchor{Certificate: f.root.Certificate, Public: public, Label: "test"})
	return s
}

// path asks for the path of the leaf with the authority in the message.
func (f family) path(public bool, o Options) Result {
	return New(f.store(public), o).Path(context.Background(), f.query())
}

func (f family) query() Query {
	return Query{Leaf: f.leaf.Certificate, Pool: []*x509.Certificate{f.leaf.Certificate, f.middle.Certificate}, At: now}
}

// full returns the path in full.
func (f family) full() []*x509.Certificate {
	return []*x509.Certificate{f.leaf.Certificate, f.middle.Certificate, f.root.Certificate}
}
