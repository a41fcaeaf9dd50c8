package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
)

func TestDN(t *testing.T) {
	attr := func(oid asn1.ObjectIdentifier, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	cases := []struct {
		name string
		in   []byte
		want string
	}{
		{"order", nameOf(t, pkix.Name{Country: []string{"DE"}, Organization: []string{"Org"}, CommonName: "Some CA"}), "CN=Some CA,O=Org,C=DE"},
		{"empty", []byte{0x30, 0}, ""},
		{"two attributes", tlv(0x30, tlv(0x31,
			tlv(0x30, []byte{6, 3, 0x55, 4, 3}, tlv(0x0c, []byte("a"))), tlv(0x30, []byte{6, 3, 0x55, 4, 0x0a}, tlv(0x0c, []byte("b"))))), "CN=a+O=b"},
		{"what another parser takes for a result", nameOf(t, pkix.Name{CommonName: `x; dkim=pass header.d=bank.example`}), `CN=x\3B dkim\3Dpass header.d\3Dbank.example`},
		{"quotes, brackets, line ends", nameOf(t, pkix.Name{CommonName: "a\"b\\c(d)\r\nE: f,g+h<i>#j"}), `CN=a\22b\5Cc\28d\29\0D\0AE: f\2Cg\2Bh\3Ci\3E\23j`},
		{"spaces at the ends", nameOf(t, pkix.Name{CommonName: " a "}), `CN=\20a\20`},
		{"not ASCII", nameOf(t, pkix.Name{CommonName: "Jörg"}), `CN=J\C3\B6rg`},
		{"NUL", nameOf(t, pkix.Name{CommonName: "a\x00b"}), `CN=a\00b`},
		{"unknown type", nameOf(t, pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{attr(asn1.ObjectIdentifier{1, 2, 3}, "x")}}), `1.2.3=#130178`},
		{"e-mail", nameOf(t, mailDN("A", "a@example.com")), `emailAddress=a@example.com,CN=A`},
		{"BMPString", tlv(0x30, tlv(0x31, tlv(0x30, []byte{6, 3, 0x55, 4, 3}, tlv(30, []byte{0, 'a', 0, 'b'})))), "CN=ab"},
		{"no name", []byte{1, 2, 3}, "#010203"},
	}
	for _, c := range cases {
		if got := DN(c.in); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDNLength(t *testing.T) {
	for n := range 400 {
		got := DN(nameOf(t, pkix.Name{Country: []string{"DE"}, Organization: []string{"Org"}, CommonName: strings.Repeat("ä", n)}))
		whole := strings.HasSuffix(got, "C=DE")
		if len(got) > maxDN || !whole && !strings.HasSuffix(got, "...") {
			t.Fatalf("%d: %d octets: %s", n, len(got), got)
		}
		if rest := strings.ReplaceAll(strings.ReplaceAll(got, `\C3`, ""), `\A4`, ""); strings.Contains(rest, `\`) {
			t.Fatalf("an escape is cut: %s", got)
		}
	}
	if got := DN(make([]byte, 1000)); len(got) > maxDN {
		t.Errorf("%d octets", len(got))
	}
}

func TestNameKey(t *testing.T) {
	a := nameOf(t, pkix.Name{Organization: []string{"Acme"}, CommonName: "Jörg  Müller"})
	b := nameOf(t, pkix.Name{Organization: []string{" ACME "}, CommonName: "jo\u0308rg müller"})
	if nameKey(a) != nameKey(b) {
		t.Error("names in two spellings do not match")
	}
	for _, other := range []pkix.Name{{Organization: []string{"Acme"}}, {Organization: []string{"Acme"}, CommonName: "Jörg"},
		{OrganizationalUnit: []string{"Acme"}, CommonName: "Jörg Müller"}, {CommonName: "Acme", Organization: []string{"Jörg Müller"}}} {
		if nameKey(a) == nameKey(nameOf(t, other)) {
			t.Errorf("%s matches", other)
		}
	}
}

func TestMailboxes(t *testing.T) {
	san := func(names ...[]byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extension(t, oidSubjectAltName, false, tlv(0x30, names...))}
		}
	}
	rfc822 := func(s string) []byte { return tlv(0x81, []byte(s)) }
	inSubject := func(mail string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject = mailDN("A", mail) }
	}
	cases := []struct {
		name    string
		change  []func(*x509.Certificate)
		subject bool
		want    []string
	}{
		{"one", []func(*x509.Certificate){san(rfc822("Alice@EXAMPLE.com"))}, false, []string{"Alice@example.com"}},
		{"two", []func(*x509.Certificate){san(rfc822("a@example.com"), rfc822("b@example.net"))}, false, []string{"a@example.com", "b@example.net"}},
		{"UTF-8", []func(*x509.Certificate){san(utf8Mailbox(t, "jörg@xn--mller-kva.example"))}, false, []string{"jörg@xn--mller-kva.example"}},
		{"UTF-8 with U-labels", []func(*x509.Certificate){san(utf8Mailbox(t, "jörg@Müller.example"))}, false, []string{"jörg@xn--mller-kva.example"}},
		{"UTF-8 with a space that is none", []func(*x509.Certificate){san(utf8Mailbox(t, "a\u00a0b@example.com"))}, false, nil},
		{"UTF-8 with a direction mark", []func(*x509.Certificate){san(utf8Mailbox(t, "a\u202eb@example.com"))}, false, nil},
		{"subject, not allowed", []func(*x509.Certificate){inSubject("a@example.com")}, false, nil},
		{"subject, allowed", []func(*x509.Certificate){inSubject("a@example.com")}, true, []string{"a@example.com"}},
		{"subject beside another", []func(*x509.Certificate){inSubject("a@example.com"), san(rfc822("b@example.com"))}, true, []string{"b@example.com"}},
		{"subject beside one that is none", []func(*x509.Certificate){inSubject("a@example.com"), san(rfc822("b"))}, true, nil},
		{"NUL", []func(*x509.Certificate){san(rfc822("a@example.com\x00.evil.example"))}, false, nil},
		{"NUL in the local part", []func(*x509.Certificate){san(rfc822("a\x00@example.com"))}, false, nil},
		{"space", []func(*x509.Certificate){san(rfc822("a b@example.com"), rfc822(" a@example.com"), rfc822("a@example.com "))}, false, nil},
		{"no mailbox", []func(*x509.Certificate){san(rfc822("example.com"), rfc822("@example.com"), rfc822("a@"), rfc822("a@b@c"), rfc822(""), rfc822("mailto:a@example.com"))}, false, nil},
		{"quoted, literal, list", []func(*x509.Certificate){san(rfc822(`"a"@example.com`), rfc822("a@[192.0.2.1]"), rfc822("a@example.com,b@example.com"), rfc822("A <a@example.com>"))}, false, nil},
		{"final dot", []func(*x509.Certificate){san(rfc822("a@example.com."))}, false, nil},
		{"too long", []func(*x509.Certificate){san(rfc822(strings.Repeat("a", 400) + "@example.com"))}, false, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			template := ee()
			for _, change := range c.change {
				change(&template)
			}
			var got []string
			for _, m := range Mailboxes(issue(t, nil, template, nil).Certificate, c.subject) {
				got = append(got, m.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	m := Mailbox{Local: "Alice", Domain: "xn--mller-kva.example"}
	for _, c := range []struct {
		local, domain string
		want          Match
	}{
		{"Alice", "xn--mller-kva.example", FullMatch},
		{"Alice", "müller.example", FullMatch},
		{"Alice", "MÜLLER.Example", FullMatch},
		{"alice", "XN--MLLER-KVA.example", CaseMatch},
		{"alic", "müller.example", NoMatch},
		{"Alice", "muller.example", NoMatch},
		{"Alice", "sub.müller.example", NoMatch},
		{"Alice", "example", NoMatch},
		{"Alice", "", NoMatch},
		{"", "müller.example", NoMatch},
		{"Al\u0131ce", "müller.example", NoMatch},
	} {
		if got := m.Matches(c.local, c.domain); got != c.want {
			t.Errorf("%s@%s: %q, want %q", c.local, c.domain, got, c.want)
		}
	}
	if (Mailbox{}).Matches("", "") != NoMatch {
		t.Error("nothing matches nothing")
	}
	// U+212A KELVIN SIGN is no k, whatever a case table says.
	if got := (Mailbox{Local: "kim", Domain: "example.com"}).Matches("\u212aim", "example.com"); got != NoMatch {
		t.Errorf("Kelvin sign: %q", got)
	}
}

func TestDNEmail(t *testing.T) {
	for _, c := range []struct {
		policy DNEmail
		trust  Trust
		want   bool
	}{{DNPrivate, Private, true}, {DNPrivate, Public, false}, {DNPrivate, SelfSigned, true}, {DNAlways, Public, true}, {DNNever, Private, false}} {
		if got := c.policy.Allowed(c.trust); got != c.want {
			t.Errorf("%q %s: %v", c.policy, c.trust, got)
		}
	}
}

func TestQualityOf(t *testing.T) {
	policy := func(ids ...asn1.ObjectIdentifier) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, id := range ids {
				arcs := make([]uint64, len(id))
				for i, n := range id {
					arcs[i] = uint64(n)
				}
				oid, err := x509.OIDFromInts(arcs)
				if err != nil {
					t.Fatal(err)
				}
				c.Policies = append(c.Policies, oid)
			}
		}
	}
	sbr := func(level, generation int) asn1.ObjectIdentifier {
		return asn1.ObjectIdentifier{2, 23, 140, 1, 5, level, generation}
	}
	subject := pkix.Name{CommonName: "Alice Example", Organization: []string{"Acme GmbH"}, ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 42}, Value: "Alice"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 4}, Value: "Exam\nple"}}}
	cases := []struct {
		name   string
		trust  Trust
		change func(*x509.Certificate)
		want   Quality
	}{
		{"mailbox", Public, policy(sbr(1, 3)), Quality{Level: MailboxValidated, Generation: "strict"}},
		{"organization", Public, policy(sbr(2, 2)), Quality{Level: OrganizationValidated, Generation: "multipurpose", Organization: "Acme GmbH"}},
		{"sponsor", Public, policy(asn1.ObjectIdentifier{1, 2, 3}, sbr(3, 1)), Quality{Level: SponsorValidated, Generation: "legacy", Organization: "Acme GmbH", Name: "Alice Exam ple"}},
		{"individual", Public, policy(sbr(4, 3)), Quality{Level: IndividualValidated, Generation: "strict", Name: "Alice Exam ple"}},
		{"two levels", Public, policy(sbr(1, 3), sbr(3, 3)), Quality{}},
		{"no such level", Public, policy(sbr(5, 1)), Quality{}},
		{"none", Public, policy(), Quality{}},
		{"private root", Private, policy(sbr(4, 3)), Quality{Name: "Alice Exam ple", Organization: "Acme GmbH"}},
		{"addresses for names", Private, func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Acme, boss@acme.example"}, CommonName: "boss\uff20acme.example"}
		}, Quality{}},
		{"addresses for a person", Public, func(c *x509.Certificate) {
			policy(sbr(3, 3))(c)
			c.Subject = pkix.Name{Organization: []string{"Acme"}, ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 4}, Value: "boss@acme.example"}}}
		}, Quality{Level: SponsorValidated, Generation: "strict", Organization: "Acme"}},
		{"self-signed", SelfSigned, policy(sbr(4, 3)), Quality{}},
		{"expired", Expired, policy(sbr(4, 3)), Quality{}},
	}
	for _, c := range cases {
		got := QualityOf(issue(t, nil, with(with(ee("a@example.com"), func(c *x509.Certificate) { c.Subject = subject }), c.change), nil).Certificate, c.trust)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestQualified(t *testing.T) {
	oid := func(id ...int) []byte {
		der, err := asn1.Marshal(asn1.ObjectIdentifier(id))
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	statement := func(content ...[]byte) []byte { return tlv(0x30, content...) }
	compliance := statement(oid(0, 4, 0, 1862, 1, 1))
	for _, c := range []struct {
		name  string
		value []byte
		want  string
	}{
		{"signature in a device", tlv(0x30, compliance, statement(oid(0, 4, 0, 1862, 1, 4)), statement(oid(0, 4, 0, 1862, 1, 6), tlv(0x30, oid(0, 4, 0, 1862, 1, 6, 1)))),
			"claims to be qualified by EU law for signatures, key in a qualified device"},
		{"seal", tlv(0x30, compliance, statement(oid(0, 4, 0, 1862, 1, 6), tlv(0x30, oid(0, 4, 0, 1862, 1, 6, 2)))), "claims to be qualified by EU law for seals"},
		{"another law", tlv(0x30, compliance, statement(oid(0, 4, 0, 1862, 1, 7), tlv(0x30, tlv(0x13, []byte("CH"))))), "claims to be qualified by the law of CH"},
		{"law of nowhere", tlv(0x30, compliance, statement(oid(0, 4, 0, 1862, 1, 7), tlv(0x30))), "claims to be qualified by EU law"},
		{"nothing claimed", tlv(0x30, statement(oid(0, 4, 0, 1862, 1, 4))), ""},
		{"malformed", []byte{0x30, 5, 1}, ""},
		{"malformed type", tlv(0x30, compliance, statement(oid(0, 4, 0, 1862, 1, 6), []byte{1, 2})), "claims to be qualified by EU law"},
	} {
		cert := issue(t, nil, with(ee("a@example.com"), func(x *x509.Certificate) {
			x.ExtraExtensions = []pkix.Extension{extension(t, oidQCStatements, false, c.value)}
		}), nil)
		if got := QualityOf(cert.Certificate, Private).Qualified; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestNameTooLong proves that a name of many octets costs nothing: it is equal to itself and printed as octets.
func TestNameTooLong(t *testing.T) {
	long := nameOf(t, pkix.Name{CommonName: strings.Repeat("\u1e9b\u0323", maxName)})
	if _, ok := parseName(long); ok || nameKey(long) != nameKey(slices.Clone(long)) || nameKey(long) == nameKey(long[:len(long)-1]) || !strings.HasPrefix(DN(long), "#30") || len(DN(long)) > maxDN {
		t.Errorf("%v %s", ok, DN(long))
	}
	if name, ok := parseName(nameOf(t, pkix.Name{CommonName: strings.Repeat("a", maxName-100)})); !ok || len(name) != 1 {
		t.Error("a name within the bounds is not understood")
	}
}
