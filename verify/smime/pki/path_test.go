package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/smime/cms"
)

var emailOnly = func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }

// TestPath has a row for everything crypto/x509 judges otherwise than mail needs it, and for every kind of result.
func TestPath(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	dirNC := func(name pkix.Name) pkix.Extension {
		return extension(t, oidNameConstraints, true, tlv(0x30, tlv(0xa0, tlv(0x30, tlv(0xa4, nameOf(t, name))))))
	}
	cases := []struct {
		name         string
		middle, leaf x509.Certificate
		key          *rsa.PrivateKey
		public       bool
		options      Options
		want         Trust
		reason       string
	}{
		{name: "plain, public root", middle: ca("M"), leaf: ee("a@example.com"), public: true, want: Public},
		{name: "plain, private root", middle: ca("M"), leaf: ee("a@example.com"), want: Private},
		{name: "no EKU, public root", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.ExtKeyUsage = nil }), public: true, want: NotForMail, reason: "does not say that it is for e-mail"},
		{name: "no EKU, private root", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.ExtKeyUsage = nil }), want: Private},
		{name: "no EKU, always required", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.ExtKeyUsage = nil }), options: Options{RequireEKU: EKUAlways}, want: NotForMail},
		{name: "no EKU, never required", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.ExtKeyUsage = nil }), public: true, options: Options{RequireEKU: EKUNever}, want: Public},
		{name: "any EKU, public root", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), public: true, want: NotForMail},
		{name: "any EKU, private root", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), want: Private},
		{name: "leaf for servers only", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), options: Options{RequireEKU: EKUNever}, want: NotForMail, reason: "not for e-mail"},
		{name: "unknown EKU only", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
		}), want: NotForMail, reason: "not for e-mail"},
		{name: "authority for servers only", middle: with(ca("M"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), leaf: ee("a@example.com"), want: NotForMail, reason: "authority of the path is not for e-mail"},
		{name: "key for encryption only", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), want: NotForMail, reason: "not for signatures"},
		{name: "key for non-repudiation", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }), want: Private},
		{name: "no key usage", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.KeyUsage = 0 }), want: Private},
		{name: "RSA 1024 leaf", middle: ca("M"), leaf: ee("a@example.com"), key: small, public: true, want: Weak, reason: "RSA key of 1024 bits"},
		{name: "RSA 1024 leaf, allowed", middle: ca("M"), leaf: ee("a@example.com"), key: small, options: Options{MinRSABits: 1024}, want: Private},
		{name: "RSA 1024 leaf and expired", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }), key: small, want: Expired},
		{name: "permitted host, leaf there", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: ee("a@EXAMPLE.com"), want: Private},
		{name: "permitted host, leaf below it", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: ee("a@sub.example.com"), want: Constrained, reason: "not permitted"},
		{name: "permitted domain, leaf below it", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{".example.com"} }), leaf: ee("a@sub.example.com"), want: Private},
		{name: "permitted domain, leaf at it", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{".example.com"} }), leaf: ee("a@example.com"), want: Constrained},
		{name: "permitted mailbox", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"a@example.com"} }), leaf: ee("a@example.com"), want: Private},
		{name: "permitted mailbox, another", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"a@example.com"} }), leaf: ee("b@example.com"), want: Constrained},
		{name: "excluded host", middle: with(ca("M"), func(c *x509.Certificate) { c.ExcludedEmailAddresses = []string{"example.com"} }), leaf: ee("a@example.com"), want: Constrained},
		{name: "second mailbox not permitted", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: ee("a@example.com", "a@evil.example"), want: Constrained},
		{name: "constraint, mailbox in the subject only", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: with(ee(), func(c *x509.Certificate) { c.Subject = mailDN("A", "a@evil.example") }), want: Constrained, reason: "evil.example"},
		{name: "constraint, permitted mailbox in the subject", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: with(ee(), func(c *x509.Certificate) { c.Subject = mailDN("A", "a@example.com") }), want: Private},
		{name: "constraint, SmtpUTF8Mailbox", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: with(ee(), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extension(t, oidSubjectAltName, false, tlv(0x30, utf8Mailbox(t, "ä@evil.example")))}
		}), want: Constrained, reason: "evil.example"},
		{name: "constraint, permitted SmtpUTF8Mailbox", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: with(ee(), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extension(t, oidSubjectAltName, true, tlv(0x30, utf8Mailbox(t, "ä@example.com")))}
		}), want: Private},
		{name: "critical directory constraint, inside", middle: with(ca("M"), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{dirNC(pkix.Name{Organization: []string{"Acme  GmbH"}})}
		}), leaf: with(ee("a@example.com"), func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"ACME GmbH"}, CommonName: "Alice"}
		}), want: Private},
		{name: "critical directory constraint, outside", middle: with(ca("M"), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{dirNC(pkix.Name{Organization: []string{"Acme GmbH"}})}
		}), leaf: with(ee("a@example.com"), func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Evil"}, CommonName: "Alice"}
		}), want: Constrained, reason: "O=Evil is not permitted"},
		{name: "constraint on an unknown form that occurs", middle: with(ca("M"), func(c *x509.Certificate) {
			oid, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 3})
			c.ExtraExtensions = []pkix.Extension{extension(t, oidNameConstraints, true, tlv(0x30, tlv(0xa1, tlv(0x30, tlv(0xa0, oid, tlv(0xa0, tlv(0x0c, []byte("x"))))))))}
		}), leaf: with(ee(), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extension(t, oidSubjectAltName, false, tlv(0x30, utf8Mailbox(t, "a@example.com")))}
		}), want: Constrained, reason: "unknown form"},
		{name: "DNS and IP exclusions that do not matter", middle: with(ca("M"), func(c *x509.Certificate) {
			_, all, _ := net.ParseCIDR("0.0.0.0/0")
			c.ExcludedDNSDomains, c.ExcludedIPRanges, c.PermittedDNSDomainsCritical = []string{"example.net"}, []*net.IPNet{all}, true
		}), leaf: ee("a@example.com"), want: Private},
		{name: "NUL in a mailbox", middle: ca("M"), leaf: ee("a@example.com\x00.evil.example"), want: Constrained, reason: "control character"},
		{name: "space in a mailbox is no identity, the path is as good as ever", middle: ca("M"), leaf: ee("a b@example.com"), want: Private},
		{name: "space in a mailbox under a constraint", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: ee("a b@example.com"), want: Constrained, reason: "cannot be read"},
		{name: "unknown critical extension", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extension(t, asn1.ObjectIdentifier{1, 2, 3, 4}, true, 1)}
		}), want: Unsupported, reason: "critical extension 1.2.3.4"},
		{name: "unknown critical extension of the authority", middle: with(ca("M"), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extension(t, asn1.ObjectIdentifier{1, 2, 3, 4}, true, 1)}
		}), leaf: ee("a@example.com"), want: Unsupported},
		{name: "critical qcStatements", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extension(t, oidQCStatements, true, tlv(0x30))}
		}), want: Private},
		{name: "explicit policy required, leaf without", middle: with(ca("M"), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extension(t, asn1.ObjectIdentifier{2, 5, 29, 36}, true, []byte{0x30, 3, 0x80, 1, 0})}
		}), leaf: ee("a@example.com"), want: Constrained, reason: "policies"},
		{name: "authority is none", middle: with(ca("M"), func(c *x509.Certificate) { c.IsCA = false; c.KeyUsage = x509.KeyUsageDigitalSignature }), leaf: ee("a@example.com"), want: Constrained},
		{name: "authority must not sign certificates", middle: with(ca("M"), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), leaf: ee("a@example.com"), want: Constrained},
		{name: "expired", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.NotAfter = time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC) }), public: true, want: Expired, reason: "the certificate expired on 2026-02-03"},
		{name: "not yet valid", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.NotBefore = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC) }), want: NotYetValid, reason: "not valid before 2026-04-01"},
		{name: "authority expired", middle: with(ca("M"), func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }), leaf: ee("a@example.com"), want: Expired, reason: "authority CN=M"},
		{name: "expired and not for mail", middle: ca("M"), leaf: with(ee("a@example.com"), func(c *x509.Certificate) {
			c.NotAfter, c.KeyUsage = now.AddDate(0, 0, -1), x509.KeyUsageKeyEncipherment
		}), want: NotForMail},
		{name: "expired and outside of constraints", middle: with(ca("M"), func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} }), leaf: with(ee("a@evil.example"), func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }), want: Constrained},
		{name: "expired below an authority for servers", middle: with(ca("M"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), leaf: with(ee("a@example.com"), func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }), want: NotForMail},
		{name: "authority for mail only", middle: with(ca("M"), emailOnly), leaf: ee("a@example.com"), public: true, want: Public},
		{name: "malformed subjectAltName", middle: ca("M"), leaf: with(ee(), func(c *x509.Certificate) {
			oid, _ := asn1.Marshal(oidSmtpUTF8Mailbox)
			c.ExtraExtensions = []pkix.Extension{extension(t, oidSubjectAltName, false, tlv(0x30, tlv(0xa0, oid, tlv(0xa0, tlv(0x0c, []byte{0xff})))))}
		}), want: Constrained, reason: "malformed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := issue(t, nil, ca("Root"), nil)
			middle := issue(t, root, c.middle, nil)
			f := family{root: root, middle: middle}
			if c.key != nil {
				f.leaf = issue(t, middle, c.leaf, c.key)
			} else {
				f.leaf = issue(t, middle, c.leaf, nil)
			}
			r := f.path(c.public, c.options)
			if r.Trust != c.want || !strings.Contains(r.Reason, c.reason) || r.Trust.Good() != (r.Reason == "") {
				t.Errorf("%s %q, want %s %q", r.Trust, r.Reason, c.want, c.reason)
			}
			if r.Root == nil || len(r.Path) != 3 {
				t.Errorf("path of %d without root", len(r.Path))
			}
		})
	}
}

func TestPathToNoRoot(t *testing.T) {
	f := newFamily(t, ca("Middle"), ee("a@example.com"))
	other := newFamily(t, ca("Other"), ee("b@example.com"))
	self := issue(t, nil, ee("a@example.com"), nil)
	// An authority of the same name with another key did not sign the leaf.
	forged := issue(t, f.root, with(ca("Middle"), func(c *x509.Certificate) { c.SubjectKeyId = f.leaf.AuthorityKeyId }), nil)
	cases := []struct {
		name   string
		leaf   *authority
		pool   []*authority
		want   Trust
		reason string
		length int
	}{
		{"self-signed", self, nil, SelfSigned, "self-signed", 1},
		{"nothing but the leaf", f.leaf, nil, Incomplete, "CN=Middle,O=Test", 1},
		{"root unknown and not sent", f.leaf, []*authority{f.middle}, UnknownRoot, "CN=Root", 2},
		{"root unknown and sent", f.leaf, []*authority{f.root, f.middle}, UnknownRoot, "the root CN=Root,O=Test is not trusted", 3},
		{"not signed by the authority it names", f.leaf, []*authority{forged}, UnknownRoot, "was not signed by", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := Query{Leaf: c.leaf.Certificate, At: now}
			for _, p := range c.pool {
				q.Pool = append(q.Pool, p.Certificate)
			}
			s := &Store{}
			s.AddAnchor(&Anchor{Certificate: issue(t, nil, ca("Somebody Else"), nil).Certificate})
			s.AddIntermediate(other.middle.Certificate)
			r := New(s, Options{}).Path(context.Background(), q)
			if r.Trust != c.want || !strings.Contains(r.Reason, c.reason) || len(r.Path) != c.length || r.Root != nil {
				t.Errorf("%s %q (path of %d), want %s %q (%d)", r.Trust, r.Reason, len(r.Path), c.want, c.reason, c.length)
			}
		})
	}
}

func TestPathDistrustAfter(t *testing.T) {
	f := newFamily(t, ca("M"), ee("a@example.com"))
	for _, c := range []struct {
		after time.Time
		want  Trust
	}{{f.leaf.NotBefore.Add(-time.Hour), Constrained}, {f.leaf.NotBefore.Add(time.Hour), Public}} {
		s := &Store{}
		s.AddAnchor(&Anchor{Certificate: f.root.Certificate, Public: true, DistrustAfter: c.after})
		if r := New(s, Options{}).Path(context.Background(), f.query()); r.Trust != c.want {
			t.Errorf("distrusted after %s: %s %s, want %s", c.after, r.Trust, r.Reason, c.want)
		}
	}
}

// TestPathBest proves that every candidate is tried and the best one counts.
func TestPathBest(t *testing.T) {
	f := newFamily(t, ca("M"), ee("a@example.com"))
	public := issue(t, nil, ca("Public Root"), nil)
	cross := issue(t, public, with(ca("M"), func(c *x509.Certificate) { c.SubjectKeyId = f.middle.SubjectKeyId }), f.middle.key)
	expired := issue(t, f.root, with(ca("M"), func(c *x509.Certificate) {
		c.NotAfter, c.SubjectKeyId = now.AddDate(0, -1, 0), f.middle.SubjectKeyId
	}), f.middle.key)
	s := f.store(false)
	s.AddAnchor(&Anchor{Certificate: public.Certificate, Public: true})
	for _, c := range []struct {
		name string
		pool []*x509.Certificate
		want Trust
	}{
		{"private only", []*x509.Certificate{f.middle.Certificate}, Private},
		{"public before private", []*x509.Certificate{f.middle.Certificate, cross.Certificate}, Public},
		{"a good one before an expired one", []*x509.Certificate{expired.Certificate, f.middle.Certificate}, Private},
		{"expired only", []*x509.Certificate{expired.Certificate}, Expired},
		{"in circles", []*x509.Certificate{f.leaf.Certificate, f.middle.Certificate, f.root.Certificate, f.leaf.Certificate}, Private},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := New(s, Options{}).Path(context.Background(), Query{Leaf: f.leaf.Certificate, Pool: c.pool, At: now})
			if r.Trust != c.want {
				t.Errorf("%s %s, want %s", r.Trust, r.Reason, c.want)
			}
		})
	}
}

// TestPathNames proves that names match in other spellings (RFC 5280 Section 7.1).
func TestPathNames(t *testing.T) {
	f := newFamily(t, ca("The Middle"), ee("a@example.com"))
	spelled := *f.middle.Certificate
	spelled.RawSubject = nameOf(t, pkix.Name{CommonName: " the  middle", Organization: []string{"TEST"}})
	f.leaf = issue(t, &authority{&spelled, f.middle.key}, ee("a@example.com"), nil)
	if r := f.path(true, Options{}); r.Trust != Public {
		t.Errorf("%s %s", r.Trust, r.Reason)
	}
}

func TestPathOwnAnchor(t *testing.T) {
	self := issue(t, nil, ee("a@example.com"), nil)
	s := &Store{}
	s.AddAnchor(&Anchor{Certificate: self.Certificate})
	if r := New(s, Options{}).Path(context.Background(), Query{Leaf: self.Certificate, At: now}); r.Trust != Private || len(r.Path) != 1 {
		t.Errorf("a leaf the operator trusts: %s %s", r.Trust, r.Reason)
	}
}

// TestPathBounded proves that a message full of look-alike certificates costs a bounded number of signatures.
func TestPathBounded(t *testing.T) {
	f := newFamily(t, ca("Same"), ee("a@example.com"))
	var pool []*x509.Certificate
	for range maxPool {
		twin := issue(t, f.middle, with(ca("Same"), func(c *x509.Certificate) { c.SubjectKeyId = f.middle.SubjectKeyId }), nil)
		pool = append(pool, twin.Certificate)
	}
	b := New(f.store(true), Options{}).search(Query{Leaf: f.leaf.Certificate, Pool: pool, At: now})
	if b.best.Trust.Good() || b.signatures > maxSignatures || b.steps > maxSteps || !b.limited || !strings.Contains(b.best.Reason, "too many") {
		t.Errorf("%s after %d signatures and %d steps", b.best.Trust, b.signatures, b.steps)
	}
	// One authority over and over, every certificate of it signing every other.
	same := issue(t, nil, ca("Same"), nil)
	pool = nil
	for range maxPool {
		pool = append(pool, issue(t, same, ca("Same"), same.key).Certificate)
	}
	b = New(f.store(true), Options{}).search(Query{Leaf: issue(t, same, ee("a@example.com"), nil).Certificate, Pool: pool, At: now})
	if b.best.Trust.Good() || b.signatures > maxSignatures || b.steps > maxSteps || !b.limited || !strings.Contains(b.best.Reason, "too many") {
		t.Errorf("%s after %d signatures and %d steps", b.best.Trust, b.signatures, b.steps)
	}
}

// TestPathWork proves that keys that are slow to check are checked less often, over all questions about a message, and that
// one of them in an honest path does no harm.
func TestPathWork(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := issue(t, nil, ca("Root"), key)
	leaf := issue(t, root, ee("a@example.com"), nil)
	var pool []*x509.Certificate
	for range maxPool {
		twin, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pool = append(pool, issue(t, nil, ca("Root"), twin).Certificate)
	}
	v, work := New(&Store{}, Options{}), new(cms.Work)
	checked := 0
	for range 10 {
		b := v.search(Query{Leaf: leaf.Certificate, Pool: pool, At: now, Work: work})
		if checked += b.signatures; b.best.Trust.Good() || !b.limited {
			t.Errorf("%s after %d signatures", b.best.Trust, b.signatures)
		}
	}
	if checked == 0 || checked > 7 {
		t.Errorf("%d signatures with P-521 were checked", checked)
	}
	f := family{root, root, leaf}
	if r := New(f.store(true), Options{}).Path(context.Background(), Query{Leaf: leaf.Certificate, Pool: pool, At: now}); r.Trust != Public {
		t.Errorf("an honest path among others: %s %s", r.Trust, r.Reason)
	}
}

// TestPathManyNames proves that a certificate with more names than anybody has is not good, and one with as many as may be is.
func TestPathManyNames(t *testing.T) {
	for n, want := range map[int]Trust{maxNames: Public, maxNames + 1: Constrained} {
		f := newFamily(t, ca("M"), ee(slices.Repeat([]string{"a@example.com"}, n)...))
		if r := f.path(true, Options{}); r.Trust != want || want == Constrained && !strings.Contains(r.Reason, "too long") {
			t.Errorf("%d names: %s %s", n, r.Trust, r.Reason)
		}
		if got := len(Mailboxes(f.leaf.Certificate, false)); got != maxNames {
			t.Errorf("%d of %d names are read", got, n)
		}
	}
}

// TestPathCached proves that a good path is remembered exactly as long as it is valid.
func TestPathCached(t *testing.T) {
	f := newFamily(t, ca("M"), with(ee("a@example.com"), func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour).Truncate(time.Second) }))
	v := New(f.store(true), Options{})
	for _, c := range []struct {
		at   time.Time
		want Trust
	}{{now, Public}, {now, Public}, {now.Add(2 * time.Hour), Expired}, {now.AddDate(-2, 0, 0), NotYetValid}, {now, Public}} {
		q := f.query()
		q.At = c.at
		if r := v.Path(context.Background(), q); r.Trust != c.want {
			t.Errorf("at %s: %s, want %s", c.at, r.Trust, c.want)
		}
	}
}

// TestPathLearns proves that an authority met on one good path completes another, also after a restart, but not one that
// was met on a bad path.
func TestPathLearns(t *testing.T) {
	f := newFamily(t, ca("M"), ee("a@example.com"))
	second := issue(t, f.middle, ee("b@example.com"), nil)
	alone := Query{Leaf: second.Certificate, At: now}
	kept := mapCache{}
	v := New(f.store(true), Options{Cache: kept})
	if r := v.Path(context.Background(), alone); r.Trust != Incomplete {
		t.Fatalf("before: %s", r.Trust)
	}
	if r := New(&Store{}, Options{Cache: kept}).Path(context.Background(), f.query()); r.Trust != UnknownRoot || len(kept) != 0 {
		t.Fatalf("unknown root: %s, %d kept", r.Trust, len(kept))
	}
	if r := v.Path(context.Background(), f.query()); r.Trust != Public {
		t.Fatalf("first: %s", r.Trust)
	}
	if r := v.Path(context.Background(), alone); r.Trust != Public {
		t.Errorf("after: %s %s", r.Trust, r.Reason)
	}
	if r := New(f.store(true), Options{Cache: kept}).Path(context.Background(), alone); r.Trust != Public {
		t.Errorf("after a restart: %s %s", r.Trust, r.Reason)
	}
}

// mapCache is a Cache in memory for tests that do not run things side by side.
type mapCache map[string][]byte

func (m mapCache) Get(key string) ([]byte, bool) { data, ok := m[key]; return data, ok }
func (m mapCache) Put(key string, data []byte)   { m[key] = data }

// TestPathSHA1 has openssl sign certificates with SHA-1, which Go does not.
func TestPathSHA1(t *testing.T) {
	dir := t.TempDir()
	script := `set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=Root -days 3650 -sha256
openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=Alice
printf 'basicConstraints=CA:false\nkeyUsage=digitalSignature\nextendedKeyUsage=emailProtection\nsubjectAltName=email:a@example.com\n' > ext
openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -out sha1.pem -days 365 -sha1 -extfile ext
openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -out md5.pem -days 365 -md5 -extfile ext
openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -out pss.pem -days 365 -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -extfile ext
openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -out salt.pem -days 365 -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20 -extfile ext
`
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT RUN: openssl is not installed")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s, err := NewStore(false, []string{filepath.Join(dir, "root.pem")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file   string
		want   Trust
		reason string
	}{
		{"sha1.pem", Weak, "the certificate is signed with SHA-1"},
		{"md5.pem", Unsupported, "algorithm"},
		{"pss.pem", Private, ""},
		{"salt.pem", Unsupported, "algorithm"},
	} {
		loaded, err := LoadFiles([]string{filepath.Join(dir, c.file)})
		if err != nil {
			t.Fatal(err)
		}
		at := loaded[0].Certificate.NotBefore.Add(time.Hour)
		r := New(s, Options{}).Path(context.Background(), Query{Leaf: loaded[0].Certificate, At: at})
		if r.Trust != c.want || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%s: %s %q, want %s %q", c.file, r.Trust, r.Reason, c.want, c.reason)
		}
	}
}
