package dkim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
)

// What the probes sign, if they do not say otherwise.
const (
	probeHeader = "Received: from a by b;\r\n\tTue, 14 Nov 2023 22:00:00 +0000\r\n" +
		"From: Alice  <alice@example.com>\r\nTo: bob@example.org\r\nSubject:  A  subject \r\n\twith   folds\r\n" +
		"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
	probeBody  = "Hello  Bob,\r\n\r\nthis is \t a body. \r\n\r\n\r\n"
	probeField = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=sel;\r\n" +
		"\th=From:To:Subject:Date; bh={bh};\r\n\tb={b}"
)

// A probe changes one thing in a good signature or key. In edits, old and new text of the field alternate.
type probe struct {
	name   string
	edits  []string
	record func(string) string // changes the key record
	header string
	body   string
	ed     bool // Ed25519 key
	length int  // l= that bh= is made for, 0 for none
	opt    Options
	want   authres.Result
	reason string // contained in Reason
}

// run makes the mail, verifies it in chunks of several sizes, and compares.
func (p probe) run(t *testing.T) Verification {
	t.Helper()
	if p.header == "" {
		p.header = probeHeader
	}
	if p.body == "" {
		p.body = probeBody
	}
	if p.length == 0 {
		p.length = -1
	}
	s := rsaSigner()
	field := strings.NewReplacer(p.edits...).Replace(probeField)
	if p.ed {
		s = edSigner()
		field = strings.Replace(field, "rsa-", "ed25519-", 1)
	}
	signed := s.sign(t, mail{p.header, p.body, field, p.length})
	record := s.record
	if p.record != nil {
		record = p.record(record)
	}
	p.opt.Explain = true
	var v Verification
	for _, size := range []int{1, 3, 1 << 20} {
		vs := verifyParts(t, records{"sel._domainkey.example.com": record}, header(signed+p.header), []byte(p.body), size, p.opt)
		if len(vs) != 1 {
			t.Fatalf("%d results", len(vs))
		}
		v = vs[0]
		if v.Result != p.want || !strings.Contains(v.Reason, p.reason) || (v.Reason == "") != (v.Result == authres.Pass) {
			t.Fatalf("chunks of %d: %s %q, want %s %q\n%s\n%s", size, v.Result, v.Reason, p.want, p.reason, signed,
				strings.Join(v.Steps, "\n"))
		}
	}
	return v
}

func replace(old, new string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, new, 1) }
}

func keyOf(n *big.Int, e int) func(string) string {
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: e})
	if err != nil {
		panic(err)
	}
	return func(string) string { return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der) }
}

// odd returns an odd number of that many bits.
func odd(bits uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.Add(n, big.NewInt(1))
}

// TestProbes shows what each rule of the RFCs does to a signature that is good in all other respects.
func TestProbes(t *testing.T) {
	const pass, fail, perm, policy = authres.Pass, authres.Fail, authres.PermError, authres.Policy
	for _, p := range []probe{
		{name: "good", want: pass},
		{name: "good ed25519 (RFC 8463)", ed: true, want: pass},

		// The tag list, RFC 6376 Section 3.2.
		{name: "no space, empty end", edits: []string{"v=1; ", "v=1;", "b={b}", "b={b};"}, want: pass},
		{name: "white space behind the last semicolon", edits: []string{"b={b}", "b={b}; \t"}, want: pass},
		{name: "white space around everything", edits: []string{"d=example.com", " d \t= \r\n example.com\r\n "}, want: pass},
		{name: "unknown tag", edits: []string{"s=sel", "s=sel; x_1=anything / at all=?"}, want: pass},
		{name: "unknown tag ending in b", edits: []string{"s=sel", "s=sel; xb=1; bb= 2 "}, want: pass},
		{name: "value ending in b=", edits: []string{"s=sel", "s=sel; z=From:ab=3Dc|To:b=3D; n=b=1"}, want: pass},
		{name: "b not last", edits: []string{"v=1;", "b= {b} ; v=1;", "\tb={b}", "\tn=1"}, want: pass},
		{name: "duplicate tag", edits: []string{"s=sel", "s=sel; s=sel"}, want: perm, reason: `duplicate tag "s"`},
		{name: "duplicate unknown tag", edits: []string{"s=sel", "s=sel; n=1; n=1"}, want: perm, reason: "duplicate"},
		{name: "empty tag", edits: []string{"s=sel;", "s=sel;;"}, want: perm, reason: "empty tag"},
		{name: "tag without =", edits: []string{"s=sel", "s=sel; n"}, want: perm, reason: "without ="},
		{name: "tag name with a digit first", edits: []string{"s=sel", "s=sel; 1n=1"}, want: perm, reason: "tag name"},
		{name: "tag name with a hyphen", edits: []string{"s=sel", "s=sel; n-n=1"}, want: perm, reason: "tag name"},
		{name: "control character in a value", edits: []string{"s=sel", "s=sel; n=a\x01b"}, want: perm, reason: "malformed value"},
		{name: "UTF-8 in a value (RFC 8616)", edits: []string{"s=sel", "s=sel; n=käse"}, want: pass},
		{name: "Latin-1 in a value", edits: []string{"s=sel", "s=sel; n=k\xe4se"}, want: perm, reason: "malformed value"},
		{name: "tag names are case-sensitive", edits: []string{"d=", "D="}, want: perm, reason: "d= is missing"},

		// Tags of the signature, Section 3.5.
		{name: "no version", edits: []string{"v=1; ", ""}, want: perm, reason: "v= is missing"},
		{name: "version 2", edits: []string{"v=1", "v=2"}, want: perm, reason: "version"},
		{name: "version 01", edits: []string{"v=1", "v=01"}, want: perm, reason: "version"},
		{name: "algorithm in capitals", edits: []string{"rsa-sha256", "RSA-SHA256"}, want: pass},
		{name: "SHA-1 (RFC 8301)", edits: []string{"rsa-sha256", "rsa-sha1"}, want: perm, reason: "RFC 8301"},
		{name: "unknown algorithm", edits: []string{"rsa-sha256", "rsa-sha512"}, want: perm, reason: "not a known algorithm"},
		{name: "no bh", edits: []string{"bh=", "xh="}, want: perm, reason: "bh= is missing"},
		{name: "bh not base64", edits: []string{"{bh}", "{bh}*"}, want: perm, reason: "bh= is not base64"},
		{name: "b empty", edits: []string{"{b}", ""}, want: perm, reason: "b= is not base64"},
		{name: "canonicalization in capitals", edits: []string{"relaxed/relaxed", "Relaxed/RELAXED"}, want: pass},
		{name: "simple body by default", edits: []string{"relaxed/relaxed", "relaxed"}, want: pass},
		{name: "simple by default", edits: []string{"c=relaxed/relaxed; ", ""}, want: pass},
		{name: "unknown canonicalization", edits: []string{"relaxed/relaxed", "relaxed/nowsp"}, want: perm, reason: "canonicalization"},
		{name: "empty canonicalization", edits: []string{"relaxed/relaxed", ""}, want: perm, reason: "canonicalization"},
		{name: "domain in capitals", edits: []string{"d=example", "d=EXAMPLE"}, want: pass},
		{name: "domain of one label", edits: []string{"d=example.com", "d=com"}, want: perm, reason: "not a domain name"},
		{name: "domain with a dot at the end", edits: []string{"d=example.com", "d=example.com."}, want: perm, reason: "not a domain"},
		{name: "domain with an empty label", edits: []string{"d=example.com", "d=example..com"}, want: perm, reason: "not a domain"},
		{name: "domain with a long label", edits: []string{"d=", "d=" + strings.Repeat("a", 64) + "."}, want: perm, reason: "domain"},
		{name: "domain with a space", edits: []string{"d=example.com", "d=example. com"}, want: perm, reason: "not a domain"},
		{name: "selector empty", edits: []string{"s=sel", "s="}, want: perm, reason: "not a selector"},
		{name: "selector with a slash", edits: []string{"s=sel", "s=a/b"}, want: perm, reason: "not a selector"},
		{name: "selector in capitals", edits: []string{"s=sel", "s=SEL"}, want: pass},
		{name: "h without From", edits: []string{"From:To", "Sender:To"}, want: perm, reason: "From is not signed"},
		{name: "h with white space", edits: []string{"From:To", "From : \r\n\t To"}, want: pass},
		{name: "h with an empty name", edits: []string{"From:To", "From::To"}, want: perm, reason: "not a field name"},
		{name: "h empty", edits: []string{"From:To:Subject:Date", ""}, want: perm, reason: "not a field name"},
		{name: "h names a field that is not there", edits: []string{"From:To", "From:From:X-None:To"}, want: pass},
		{name: "h names this signature (Section 3.7)", edits: []string{"From:To", "From:DKIM-Signature:To"}, want: pass},
		{name: "i within d", edits: []string{"s=sel", "s=sel; i=bob@mail.example.com"}, want: pass},
		{name: "i in other case", edits: []string{"s=sel", "s=sel; i=@EXAMPLE.com"}, want: pass},
		{name: "d in other case than i", edits: []string{"d=example", "d=Example", "s=sel", "s=sel; i=@example.com"}, want: pass},
		{name: "i without @", edits: []string{"s=sel", "s=sel; i=mail.example.com"}, want: perm, reason: "no @"},
		{name: "i beside d", edits: []string{"s=sel", "s=sel; i=@badexample.com"}, want: perm, reason: "not within"},
		{name: "i above d", edits: []string{"d=example", "d=mail.example", "s=sel", "s=sel; i=@example.com"}, want: perm,
			reason: "not within"},
		{name: "i quoted-printable", edits: []string{"s=sel", "s=sel; i=rob=2Bx=40b=3D@example.com"}, want: pass},
		{name: "i with folded quoted-printable", edits: []string{"s=sel", "s=sel; i=ro\r\n b=2B@example.com"}, want: pass},
		{name: "i with bad quoted-printable", edits: []string{"s=sel", "s=sel; i=a=4@example.com"}, want: perm, reason: "quoted"},
		{name: "i with a control character", edits: []string{"s=sel", "s=sel; i=a=0D=0Ab@example.com"}, want: perm,
			reason: "not an identifier"},
		{name: "q in capitals", edits: []string{"s=sel", "s=sel; q=DNS/TXT"}, want: pass},
		{name: "q with several", edits: []string{"s=sel", "s=sel; q=http/get : dns/txt"}, want: pass},
		{name: "q unknown", edits: []string{"s=sel", "s=sel; q=http/get"}, want: perm, reason: "query method"},
		{name: "t negative", edits: []string{"s=sel", "s=sel; t=-5"}, want: perm, reason: "t="},
		{name: "t with a fraction", edits: []string{"s=sel", "s=sel; t=1.5"}, want: perm, reason: "t="},
		{name: "t empty", edits: []string{"s=sel", "s=sel; t="}, want: perm, reason: "t="},
		{name: "t in the future", edits: []string{"s=sel", "s=sel; t=1800000000"}, want: pass},
		{name: "t in the future, by policy", edits: []string{"s=sel", "s=sel; t=1800000000"}, opt: Options{Future: FuturePolicy},
			want: policy, reason: "in the future"},
		{name: "t a little ahead, by policy", edits: []string{"s=sel", "s=sel; t=1700000299"}, opt: Options{Future: FuturePolicy},
			want: pass},
		{name: "x before t", edits: []string{"s=sel", "s=sel; t=1700000100; x=1700000099"}, want: perm, reason: "not greater"},
		{name: "x is t", edits: []string{"s=sel", "s=sel; t=1700000100; x=1700000100"}, want: perm, reason: "not greater"},
		{name: "x to come", edits: []string{"s=sel", "s=sel; t=1699999999; x=1700000001"}, want: pass},
		{name: "x just past, within skew", edits: []string{"s=sel", "s=sel; x=1699999701"}, want: pass},
		{name: "x past skew", edits: []string{"s=sel", "s=sel; x=1699999699"}, want: perm, reason: "expired"},
		{name: "x just past, no skew", edits: []string{"s=sel", "s=sel; x=1699999999"}, opt: Options{ClockSkew: -1}, want: perm,
			reason: "expired"},
		{name: "x of 40 digits is infinite", edits: []string{"s=sel", "s=sel; x=9" + strings.Repeat("0", 39)}, want: pass},

		// l=, Section 3.5 and 8.2.
		{name: "l covers all", edits: []string{"s=sel", "s=sel; l=31"}, length: 31, want: policy, reason: "only part"},
		{name: "l covers all, by choice", edits: []string{"s=sel", "s=sel; l=31"}, length: 31, opt: Options{Length: LengthWhole},
			want: pass},
		{name: "l covers a part", edits: []string{"s=sel", "s=sel; l=7"}, length: 7, opt: Options{Length: LengthWhole},
			want: policy, reason: "l=7 of 31"},
		{name: "l covers a part, by choice", edits: []string{"s=sel", "s=sel; l=7"}, length: 7, opt: Options{Length: LengthAccept},
			want: pass},
		{name: "l is 0, by choice", edits: []string{"s=sel", "s=sel; l=0", "{bh}", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
			opt: Options{Length: LengthAccept}, want: pass},
		{name: "l wrong for bh", edits: []string{"s=sel", "s=sel; l=7"}, length: 8, want: fail, reason: "body hash"},
		{name: "l more than there is", edits: []string{"s=sel", "s=sel; l=32"}, want: perm, reason: "more than the 31 octets"},
		{name: "l huge", edits: []string{"s=sel", "s=sel; l=" + strings.Repeat("9", 76)}, want: perm, reason: "more than the"},
		{name: "l negative", edits: []string{"s=sel", "s=sel; l=-1"}, want: perm, reason: "l="},

		// The key record, Section 3.6.1.
		{name: "key without version", record: replace("v=DKIM1; ", ""), want: pass},
		{name: "key without type", record: replace("k=rsa; ", ""), want: pass},
		{name: "key type in capitals", record: replace("k=rsa", "k=RSA"), want: pass},
		{name: "key with version not first", record: func(s string) string { return strings.TrimPrefix(s, "v=DKIM1; ") + "; v=DKIM1" },
			want: perm, reason: "not the first tag"},
		{name: "key of version 2", record: replace("DKIM1", "DKIM2"), want: perm, reason: "version"},
		{name: "key of version in small letters", record: replace("DKIM1", "dkim1"), want: perm, reason: "version"},
		{name: "key with TAB in p", record: func(s string) string { return s[:80] + "\t" + s[80:90] + " \t " + s[90:] }, want: pass},
		{name: "key without padding", ed: true, record: func(s string) string { return strings.TrimRight(s, "=") }, want: pass},
		{name: "key with a semicolon at the end", record: func(s string) string { return s + "; " }, want: pass},
		{name: "key with duplicate tags", record: func(s string) string { return s + "; k=rsa" }, want: perm, reason: "duplicate"},
		{name: "key with historic g", record: replace("k=rsa", "g=; k=rsa"), want: pass},
		{name: "key without p", record: replace("p=", "pp="), want: perm, reason: "no p="},
		{name: "key revoked", record: func(string) string { return "v=DKIM1; p=" }, want: perm, reason: "revoked"},
		{name: "key not base64", record: replace("p=M", "p=*"), want: perm, reason: "not base64"},
		{name: "key of other type", record: func(string) string { return edSigner().record }, want: perm, reason: "key of type ed25519"},
		{name: "key of unknown type", record: replace("k=rsa", "k=ecdsa"), want: perm, reason: "unknown key type"},
		{name: "key for SHA-256 and others", record: replace("k=rsa", "h=sha1 : SHA256; k=rsa"), want: pass},
		{name: "key for SHA-1 only", record: replace("k=rsa", "h=sha1; k=rsa"), want: perm, reason: "SHA-256"},
		{name: "key for email", record: replace("k=rsa", "s=tlsrpt:email; k=rsa"), want: pass},
		{name: "key for everything", record: replace("k=rsa", "s=*; k=rsa"), want: pass},
		{name: "key for something else", record: replace("k=rsa", "s=tlsrpt; k=rsa"), want: perm, reason: "not for email"},
		{name: "t=s and i is d", record: replace("k=rsa", "t=s; k=rsa"), edits: []string{"s=sel", "s=sel; i=a@Example.com"}, want: pass},
		{name: "t=s and no i", record: replace("k=rsa", "t=y:s; k=rsa"), want: pass},
		{name: "t=s and i below d", record: replace("k=rsa", "t=s; k=rsa"), edits: []string{"s=sel", "s=sel; i=@a.example.com"},
			want: perm, reason: "t=s"},
		{name: "t with unknown flags", record: replace("k=rsa", "t=q:z; k=rsa"), edits: []string{"s=sel", "s=sel; i=@a.example.com"},
			want: pass},
		{name: "PKCS#1 key (erratum 3017)", record: func(string) string {
			key := rsaSigner().key.Public().(*rsa.PublicKey)
			return "p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(key))
		}, want: pass},
		{name: "SPKI Ed25519 key (RFC 8463 Section 4.2)", ed: true, record: func(string) string {
			der, _ := x509.MarshalPKIXPublicKey(edSigner().key.Public())
			return "k=ed25519; p=" + base64.StdEncoding.EncodeToString(der)
		}, want: perm, reason: "Ed25519 key of 44 octets"},
		{name: "RSA of 1023 bits (RFC 8301)", record: keyOf(odd(1023), 65537), want: perm, reason: "1023 bits"},
		{name: "RSA of 512 bits", record: keyOf(odd(512), 65537), want: perm, reason: "RFC 8301"},
		{name: "RSA of 1024 bits, another key", record: keyOf(odd(1024), 65537), want: fail, reason: "signature mismatch"},
		{name: "RSA of 8192 bits, another key", record: keyOf(odd(8192), 65537), want: fail, reason: "signature mismatch"},
		{name: "RSA of 8200 bits", record: keyOf(odd(8200), 65537), want: perm, reason: "more than 8192"},
		{name: "RSA with even exponent", record: keyOf(odd(2048), 65538), want: perm, reason: "impossible numbers"},
		{name: "RSA with exponent 1", record: keyOf(odd(2048), 1), want: perm, reason: "impossible numbers"},
		{name: "RSA with a huge exponent", record: keyOf(odd(2048), 1<<31+1), want: perm, reason: "RSA key"},
		{name: "RSA with an even modulus", record: keyOf(new(big.Int).Lsh(big.NewInt(3), 2046), 65537), want: perm, reason: "impossible"},
		{name: "RSA of 2048 bits where 3072 are asked for", opt: Options{MinRSABits: 3072}, want: policy, reason: "2048 bits"},
		{name: "an option cannot allow less than 1024 bits", record: keyOf(odd(1016), 3), opt: Options{MinRSABits: 512}, want: perm,
			reason: "1016 bits"},
		{name: "long record", record: func(s string) string { return s + "; n=" + strings.Repeat("x", 4096) }, want: perm,
			reason: "more than 4096"},

		// The body, Sections 3.4.3 and 3.4.4.
		{name: "bare CR, relaxed", body: "a \r b\t\r\n\r \r\n x\r\r\ny", want: pass},
		{name: "bare CR, simple", body: "a \r b\t\r\n\r \r\n x\r\r\ny", edits: []string{"relaxed/relaxed", "relaxed/simple"}, want: pass},
		{name: "CR at the end", body: "a\r\n\r", want: pass},
		{name: "white space at the end", body: "a\r\n \t", want: pass},
		{name: "only empty lines, relaxed", body: "\r\n \r\n\r\n", want: pass},
		{name: "only empty lines, simple", body: "\r\n\r\n\r\n", edits: []string{"relaxed/relaxed", "relaxed/simple"}, want: pass},
		{name: "no line end", body: "a", edits: []string{"relaxed/relaxed", "simple/simple"}, want: pass},
		{name: "dots and high octets", body: ".\r\n..\r\n\xff\x00\x80  \xfe\r\n", want: pass},
		{name: "simple header", edits: []string{"relaxed/relaxed", "simple/relaxed"}, want: pass},

		// The header, Sections 3.4.2 and 5.4.2.
		{name: "blank before the colon", header: "FROM \t:\ta@example.com\r\nSubject:\r\n", want: pass},
		{name: "empty and folded values", header: "From: a@example.com\r\nTo:\r\n \r\nSubject: \t\r\n\t \r\n  b\r\n", want: pass},
		{name: "bare CR in a field", header: "From: a@example.com\r\nSubject: a\rb \r c\r\r\n", want: pass},
		{name: "no From in the message", header: "To: a@example.com\r\n", want: pass},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(t) })
	}
}

// TestChanged checks that what is changed behind the signer's back is noticed and named.
func TestChanged(t *testing.T) {
	signed := rsaSigner().sign(t, mail{probeHeader, probeBody, probeField, -1})
	zone := records{"sel._domainkey.example.com": rsaSigner().record}
	for _, test := range []struct{ name, header, body, reason, step string }{
		{"body", probeHeader, probeBody + "x", "body hash mismatch", "only the body was changed"},
		{"subject", strings.Replace(probeHeader, "subject", "Subject", 1), probeBody, "signature mismatch", "the body is as signed"},
		{"both", strings.Replace(probeHeader, "subject", "Subject", 1), "x", "body hash mismatch", "is not bh="},
		{"field removed", strings.Replace(probeHeader, "To: bob@example.org\r\n", "", 1), probeBody, "signature mismatch", ""},
	} {
		vs := verifyParts(t, zone, header(signed+test.header), []byte(test.body), 100, Options{Explain: true})
		steps := strings.Join(vs[0].Steps, "\n")
		if vs[0].Result != authres.Fail || vs[0].Reason != test.reason || !strings.Contains(steps, test.step) {
			t.Errorf("%s: %s %q\n%s", test.name, vs[0].Result, vs[0].Reason, steps)
		}
	}
}

// TestSurfaced checks what a Verification tells about a signature.
func TestSurfaced(t *testing.T) {
	v := probe{
		edits:  []string{"d=example", "d=EXAMPLE", "s=sel", "s=Sel; i=Bob=2Ba@Mail.Example.COM; t=1699999999; x=1700009999; l=31"},
		record: replace("k=rsa", "t=y; k=rsa"), length: 31, want: authres.Policy,
	}.run(t)
	got := fmt.Sprintln(v.Domain, v.Selector, v.Identifier, v.Algorithm, v.Canonicalization, v.KeyBits, v.SignedHeaders, v.BodyLength,
		v.Signed.Unix(), v.Expires.Unix(), v.Testing, len(v.SignaturePrefix), v.FieldNth)
	want := "example.com Sel Bob+a@mail.example.com rsa-sha256 relaxed/relaxed 2048 [from to subject date] 31 " +
		"1699999999 1700009999 true 8 1\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	v = probe{want: authres.Pass}.run(t)
	if v.Identifier != "@example.com" || v.BodyLength != -1 || !v.Signed.IsZero() || !v.Expires.Equal(time.Time{}) {
		t.Errorf("defaults: %+v", v)
	}
}
