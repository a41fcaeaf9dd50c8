package pki

import (
	"crypto/x509"
	"hash/maphash"
	"math/big"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/ocsp"
)

// FuzzCRL changes signed lists: one that is accepted has to be the one that was signed, entry by entry. It also runs what
// comes behind the signature on octets nobody signed.
func FuzzCRL(f *testing.F) {
	fam := revocable(f)
	yesterday := now.AddDate(0, 0, -1)
	signed := map[string]bool{}
	for _, l := range []listing{
		{by: fam.middle},
		{by: fam.middle, entries: [][]byte{entry(f, big.NewInt(1), yesterday), entry(f, fam.leaf.SerialNumber, yesterday, rawExtension(f, oidReasonCode, false, []byte{10, 1, 1}))}},
		{by: fam.middle, extensions: [][]byte{rawExtension(f, oidDistributionPoint, true, tlv(0x30, tlv(0xa0, tlv(0xa0, tlv(0x86, []byte(crlURL)))), []byte{0x81, 1, 0xff}))}},
	} {
		der := l.der(f)
		signed[string(der)] = true
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if c, err := scanCRL(der, fam.middle.Certificate); err == nil && !signed[string(der)] {
			t.Errorf("accepted a list nobody signed, with %d entries", len(c.entries))
		}
		c := crl{seed: maphash.MakeSeed()}
		if c.parseEntries(der) == nil && len(c.entries) > len(der)/8 {
			t.Errorf("%d entries in %d octets", len(c.entries), len(der))
		}
		c.lookup(big.NewInt(1))
		if c.parseExtensions(der) == nil {
			_ = c.scope.covers(fam.leaf.Certificate)
		}
	})
}

// FuzzOCSP changes a response that says revoked: no change may make it say good.
func FuzzOCSP(f *testing.F) {
	fam := revocable(f)
	template := ocsp.Response{Status: ocsp.Revoked, RevokedAt: now.AddDate(0, 0, -1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour), SerialNumber: fam.leaf.SerialNumber}
	for _, certificate := range []*x509.Certificate{nil, fam.middle.Certificate, fam.leaf.Certificate} {
		template.Certificate = certificate
		der, err := ocsp.CreateResponse(fam.middle.Certificate, fam.middle.Certificate, template, fam.middle.key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		a, err := checkOCSP(der, fam.leaf.Certificate, fam.middle.Certificate, now)
		if r, bad := a.revocation(fam.leaf.Certificate, now, 0); err == nil && bad == nil && r.Status != Revoked {
			t.Errorf("%s", r.Status)
		}
	})
}

// FuzzNames reads subjectAltName and name constraints: what is a mailbox is one in every respect.
func FuzzNames(f *testing.F) {
	f.Add(tlv(0x30, utf8Mailbox(f, "jörg@example.com"), tlv(0x81, []byte("a@example.com"))))
	f.Add(tlv(0x30, tlv(0xa0, tlv(0x30, tlv(0x81, []byte(".example.com"))))))
	f.Add(nameOf(f, mailDN("A", "a@example.com")))
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, n := range parseNames(der).mail {
			m, ok := n.mailbox()
			if !ok {
				continue
			}
			if n.hasControl() || m.Local == "" || m.Domain == "" || !utf8.ValidString(m.Local) || !isASCII(m.Domain) || m.Matches(m.Local, m.Domain) != FullMatch {
				t.Errorf("%q", n.text)
			}
		}
		var s subtrees
		if s.parse(der) == nil {
			nc := constraints{permitted: s, excluded: s}
			if err := nc.checkMail(mailName{"a@example.com", FromRFC822}); err == nil && s.forms.has(formRFC822) {
				t.Error("excluded and not excluded")
			}
		}
		if dn := DN(der); len(dn) > maxDN || !isASCII(dn) {
			t.Errorf("%q", dn)
		}
	})
}

// FuzzAnswer reads what a caIssuers URL may return.
func FuzzAnswer(f *testing.F) {
	root := issue(f, nil, ca("Root"), nil)
	f.Add(root.Raw)
	f.Add(tlv(0x30, []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2}, tlv(0xa0, tlv(0x30, []byte{2, 1, 1}, tlv(0x31), tlv(0x30, []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}), tlv(0xa0, root.Raw), tlv(0x31)))))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, _ := parseAnswer(data)
		for _, c := range certs {
			DN(c.RawSubject)
			Mailboxes(c, true)
			QualityOf(c, Public)
			QualityOf(c, Private)
			HarvestName(c)
		}
	})
}

// FuzzBundle reads a bundle.
func FuzzBundle(f *testing.F) {
	f.Add(shippedBundle[:5000])
	f.Add([]byte(bundleTitle + "\n# roots: 0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if b, err := ParseBundle(text); (err == nil) != (len(b.Anchors) > 0) {
			t.Errorf("%d roots, %v", len(b.Anchors), err)
		}
	})
}
