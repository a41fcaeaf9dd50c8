package smime

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/message"
	"assay/verify/smime/pki"
)

// TestContents verifies that no other content stands under a signature.
func TestContents(t *testing.T) {
	l := newLab(t)
	sig, opq := l.sign("alice", text), l.signOpaque("alice", text)
	det := detached(aliceHead, text, sig)
	cut := text[:len(text)-2]
	damaged := l.two("alice", "eve")
	damaged[len(damaged)-1] ^= 1
	long := func(n int) string {
		return "Content-Type: multipart/mixed; boundary=m\r\n\r\n" + strings.Repeat("--m\r\n\r\nx\r\n", n) + "--m--\r\n"
	}
	l.try([]mail{
		{"more parts than are indexed", detached(aliceHead, long(1100), l.sign("alice", long(1100))), Malformed, "", "too many parts"},
		{"third part behind what is indexed", as(t, detached(aliceHead, long(996), l.sign("alice", long(996))), "--b1--", "--b1\r\n"+evil+"\r\n--b1--"), Malformed, "", "parts"},
		{"another text", detached(aliceHead, evil, sig), Altered, "", "altered on the way or forged"},
		{"a line more", detached(aliceHead, text+"\r\n", sig), Altered, "", ""},
		{"a line less", detached(aliceHead, cut, sig), Altered, "", ""},
		{"blanks at the end", detached(aliceHead, strings.Replace(text, "-- \r\n", "--\r\n", 1), sig), Altered, "", ""},
		{"another header of the part", detached(aliceHead, strings.Replace(text, "plain", "html", 1), sig), Altered, "", ""},
		{"content inside, the same", detached(aliceHead, text, opq), Verified, "embedded-content", ""},
		{"content inside, another", detached(aliceHead, evil, opq), Altered, "", "inside of the signature"},
		{"opaque of a detached signature", opaque(aliceHead, sig), Malformed, "", "without the text"},
		{"good and bad signer", detached(aliceHead, text, damaged), Altered, FlagSeveral, "signer 2 of 2"},
		{"signature of another kind", detached(aliceHead, text, l.encrypt(text)), Malformed, "", "enveloped and no signature"},
		{"certificates for a signature", detached(aliceHead, text, l.certsOnly()), Malformed, "", "nobody signed"},
		{"octets behind", detached(aliceHead, text, append(slices.Clip(sig), 0, 0)), Malformed, "", "behind the end"},
		{"truncated", detached(aliceHead, text, sig[:len(sig)-40]), Malformed, "", "damaged"},
		{"garbage", detached(aliceHead, text, []byte("hello")), Malformed, "", "damaged"},
		{"text in the base64", as(t, det, "base64\r\n\r\n", "base64\r\n\r\n<!-- >.< -->\r\n"), Verified, FlagEncoding, ""},
		{"letters in the base64", as(t, det, "base64\r\n\r\n", "base64\r\n\r\n\xc3\xa4\xc3\xb6\r\n"), Verified, FlagEncoding, ""},
		{"text in the base64, opaque", as(t, opaque(aliceHead, opq), "base64\r\n\r\n", "base64\r\n\r\n<!-- >.< -->\r\n"), Verified, FlagEncoding, ""},
		{"no octets", detached(aliceHead, text, nil), Malformed, "", "damaged"},
		{"opaque garbage", opaque(aliceHead, []byte("hello")), Malformed, "", "damaged"},
		{"8-bit", detached(aliceHead, strings.Replace(text, "Dear", "Gr\xc3\xbc\xc3\x9fe", 1), sig), Altered, "", "8-bit"},
		{"stray CR", detached(aliceHead, strings.Replace(text, "Dear", "Dear\r", 1), sig), Altered, "", "CR without LF"},
		{"converted", as(t, detached(aliceHead, evil, sig), "Subject: test", "X-MIME-Autoconverted: from 8bit to quoted-printable by mx\r\nSubject: test"), Altered, "", "X-MIME-Autoconverted"},
		{"list", as(t, detached(aliceHead, evil, sig), "Subject: test", "List-Id: <a.example>\r\nSubject: test"), Altered, "", "mailing list"},
		{"escaped From", detached(aliceHead, strings.Replace(text, "please", ">From please", 1), sig), Altered, "", "mailbox"},
		{"long line", detached(aliceHead, strings.Replace(text, "please", strings.Repeat("a", 1200), 1), sig), Altered, "", "998"},
		{"third part", as(t, det, "--b1--", "--b1\r\n"+evil+"\r\n--b1--"), Malformed, "", "3 parts"},
		{"third part in front", as(t, det, "--b1\r\n"+text, "--b1\r\n"+evil+"\r\n--b1\r\n"+text), Malformed, "", "3 parts"},
		{"one part", as(t, det, "--b1\r\nContent-Type: application/pkcs7-signature", "--b1--\r\nContent-Type: application/pkcs7-signature"), Malformed, "", ""},
		{"no end", as(t, det, "--b1--\r\n", ""), Malformed, "", "no end"},
		{"swapped", swapped(text, sig), Malformed, "", "no signature"},
		{"parts behind the end", append(slices.Clip(det), "--b1\r\n"+evil+"\r\n--b1--\r\n"...), Malformed, "", "behind the end"},
		{"MIME behind the end", append(slices.Clip(det), "\r\n"+evil...), Malformed, "", "behind the end"},
		{"text behind the end", append(slices.Clip(det), "\r\nPay 1000000 EUR.\r\n"...), Partial, FlagEpilogue, "behind"},
		{"blanks behind the end", append(slices.Clip(det), "\r\n \r\n\t\r\n"...), Verified, "", ""},
		{"text after many blanks", append(slices.Clip(det), strings.Repeat("\r\n", 9000)+"Pay 1000000 EUR.\r\n"...), Partial, FlagEpilogue, "behind"},
		{"text before", as(t, det, "\r\n\r\n--b1\r\n"+text, "\r\n\r\nPay 1000000 EUR\r\n--b1\r\n"+text), Partial, FlagPreamble, "before"},
		{"known note before", as(t, det, "\r\n\r\n--b1\r\n"+text, "\r\n\r\nThis is an S/MIME signed message\r\n\r\n--b1\r\n"+text), Verified, "", ""},
		{"known note, blanks and text", as(t, det, "\r\n\r\n--b1\r\n"+text, "\r\n\r\nThis is an S/MIME signed message"+strings.Repeat("\r\n", 5000)+"Pay 100 EUR to Eve.\r\n--b1\r\n"+text), Partial, FlagPreamble, "before"},
		{"note in another language", as(t, det, "\r\n\r\n--b1\r\n"+text, "\r\n\r\nIl s'agit d'un message sign\xc3\xa9 au format MIME.\r\n\r\n--b1\r\n"+text), Verified, FlagPreamble, ""},
		{"note and more", as(t, det, "\r\n\r\n--b1\r\n"+text, "\r\n\r\nThis is an S/MIME signed message. Call 555.\r\n\r\n--b1\r\n"+text), Partial, FlagPreamble, "before"},
		{"note and other letters", as(t, det, "\r\n\r\n--b1\r\n"+text, "\r\n\r\nThis is an S/MIME signed message \xd0\xb6\xd0\xb6: 1\r\n\r\n--b1\r\n"+text), Partial, FlagPreamble, "before"},
	})
}

// two has the signatures of two people in one object.
func (l *lab) two(first, second string, options ...string) []byte {
	l.t.Helper()
	l.write("first", l.sign(first, text, options...))
	l.run("cms", "-binary", "-resign", "-inform", "DER", "-in", "first", "-content", "text", "-certfile", "middle.crt",
		"-signer", second+".crt", "-inkey", second+".key", "-outform", "DER", "-out", "both")
	return l.read("both")
}

// certsOnly is a CMS object with nothing but certificates.
func (l *lab) certsOnly() []byte {
	l.t.Helper()
	l.run("crl2pkcs7", "-nocrl", "-certfile", "alice.crt", "-outform", "DER", "-out", "certs")
	return l.read("certs")
}

// swapped has the signature first.
func swapped(text string, der []byte) []byte {
	return []byte(aliceHead + "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=\"b1\"\r\n\r\n" +
		"--b1\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encode(der) + "\r\n--b1\r\n" + text + "\r\n--b1--\r\n")
}

// TestAmbiguous gives readers a choice of what the signed part is.
func TestAmbiguous(t *testing.T) {
	l := newLab(t)
	det, opq := detached(aliceHead, text, l.sign("alice", text)), opaque(aliceHead, l.signOpaque("alice", text))
	const ctype, boundary = "Content-Type: multipart/signed;", "boundary=\"b1\""
	for name, raw := range map[string][]byte{
		"two boundaries":                  as(t, det, boundary, boundary+"; boundary=\"b2\""),
		"one boundary twice":              as(t, det, boundary, boundary+"; boundary=\"b1\""),
		"plain and RFC 2231":              as(t, det, boundary, boundary+"; boundary*0=b2"),
		"RFC 2231":                        as(t, det, boundary, "boundary*0=b; boundary*1=1"),
		"extended":                        as(t, det, boundary, "boundary*=us-ascii''b1"),
		"encoded word":                    as(t, det, boundary, "boundary=\"=?us-ascii?q?b1?=\"; boundary=b1"),
		"two protocols":                   as(t, det, ctype, ctype+" protocol=\"application/pkcs7-mime\";"),
		"two micalgs":                     as(t, det, ctype, ctype+" micalg=sha1;"),
		"extended micalg":                 as(t, det, " micalg=sha-256", " micalg*=us-ascii''sha-256"),
		", two Content-Types":             as(t, det, ctype, "Content-Type: text/html\r\n"+ctype),
		"a second Content-Type":           as(t, det, "\r\n\r\n--b1\r\n"+text, "\r\nContent-Type: text/html\r\n\r\n--b1\r\n"+text),
		"encoded multipart":               as(t, det, ctype, "Content-Transfer-Encoding: base64\r\n"+ctype),
		"opaque, two Content-Types":       as(t, opq, "Content-Type: application/pkcs7-mime", "Content-Type: text/html\r\nContent-Type: application/pkcs7-mime"),
		"opaque, two encodings":           as(t, opq, "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit"),
		"opaque, two smime-types":         as(t, opq, "smime-type=signed-data", "smime-type=signed-data; smime-type=enveloped-data"),
		"NUL in the boundary":             as(t, det, boundary, "boundary=\"b1\x00x\"", "--b1", "--b1\x00x"),
		"backslash in the boundary":       as(t, det, boundary, "boundary=\"b\\1\"", "--b1", "--b\\1"),
		"8-bit boundary":                  as(t, det, boundary, "boundary=\"b1\xa0\"", "--b1", "--b1\xa0"),
		"folded boundary":                 as(t, det, boundary, "boundary=\"b\r\n 1\"", "--b1", "--b 1"),
		"comment behind the boundary":     as(t, det, boundary, "boundary=b1 (x)"),
		"boundary in a comment":           as(t, det, ctype, "Content-Type: multipart/signed (; boundary=b2);"),
		"comment before the type":         as(t, det, ctype, "Content-Type: (text/plain) multipart/signed;"),
		"comment inside the type":         as(t, det, ctype, "Content-Type: multipart/(x)signed;"),
		"opaque, comment before the type": as(t, opq, "Content-Type: application/pkcs7-mime", "Content-Type: (text/plain) application/pkcs7-mime"),
		"quote in a comment":              as(t, det, ctype, "Content-Type: multipart/signed (\");"),
		"indented in the signature":       as(t, det, "\r\n--b1--", "\r\n --b1\r\n\r\nx\r\n--b1--"),
		"garbage in the signature":        as(t, det, "\r\n--b1--", "\r\n--b1.\r\n\r\nx\r\n--b1--"),
		"bare CR in the signature":        as(t, det, "\r\n--b1--", "\r\n\r--b1\r\r\r\n--b1--"),
		"header of the signature":         as(t, det, "name=smime.p7s", "name=\"--b1\""),
	} {
		got := l.verify(raw)
		want := Malformed
		if strings.HasSuffix(name, "two Content-Types") { // the first one says that it is HTML
			want = Unsigned
		}
		if got.State != want {
			t.Errorf("%s: %s %q %v", name, got.State, got.Reason, got.Flags)
		}
	}
}

// TestHeaderDoubts gives readers a choice of what the header of the message is. What is only unusual does no harm.
func TestHeaderDoubts(t *testing.T) {
	l := newLab(t)
	det, opq := detached(aliceHead, text, l.sign("alice", text)), opaque(aliceHead, l.signOpaque("alice", text))
	long := strings.Repeat("a", 1200)
	for name, c := range map[string]struct {
		field string
		state State
		words string
	}{
		"bare CR":              {"X-A: b\rContent-Type: text/html\r\n", Malformed, "CR without LF"},
		"CR CR LF":             {"X-A: b\r\r\n", Malformed, "CR without LF"},
		"line of blanks":       {"X-A: b\r\n \r\n", Malformed, "nothing but blanks"},
		"line of a tab":        {"X-A: b\r\n\t\r\n c\r\n", Malformed, "nothing but blanks"},
		"NUL":                  {"X-A: b\x00\r\n", Malformed, "NUL"},
		"blank before colon":   {"X-A : b\r\n", Malformed, "name"},
		"blank in the name":    {"X A: b\r\n", Unsigned, ""},        // the header ends there
		"8-bit in the name":    {"X-\xc3\xa4: b\r\n", Unsigned, ""}, // the header ends there
		"folded MIME field":    {"X-A: b\r\n Content-Type: text/html\r\n", Malformed, "readers do not agree"},
		"no field":             {"hello\r\n", Unsigned, ""}, // the header ends there
		"folded":               {"X-A: b\r\n c\r\n\td\r\n", Verified, ""},
		"empty":                {"X-A:\r\n", Verified, ""},
		"empty first line":     {"X-A:\r\n b\r\n", Verified, ""},
		"blanks at the end":    {"X-A: b \r\n c \t\r\n", Verified, ""},
		"8-bit text":           {"X-A: \xe4 \xc3\xa4\r\n", Verified, ""},
		"long line":            {"X-A: " + long + "\r\n", Verified, ""},
		"field twice":          {"Subject: test\r\nDate: a\r\nDate: b\r\n", Verified, ""},
		"folded names of MIME": {"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s; h=From:Subject:\r\n\tContent-Type:Content-Transfer-Encoding:To; bh=YQ==;\r\n\tb=YQ==\r\n", Verified, ""},
	} {
		for _, raw := range [][]byte{det, opq} {
			got := l.verify(as(t, raw, "Subject: test\r\n", "Subject: test\r\n"+c.field))
			checkSound(t, name, got)
			if got.State != c.state || !strings.Contains(got.Reason, c.words) || got.Whole != (c.state == Verified) {
				t.Errorf("%s: %s %q %v", name, got.State, got.Reason, got.Flags)
			}
		}
	}
	in := []byte(aliceHead + "X-A: b\r\n \r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + evil + "\r\n--m\r\n" + entityOpaque(l.signOpaque("alice", text)) + "\r\n--m--\r\n")
	if got := l.verify(in); got.Result == authres.Pass || got.Whole {
		t.Errorf("%+v", got)
	}
}

// TestAddressInName has another address where readers look for the name of the author.
func TestAddressInName(t *testing.T) {
	l := newLab(t)
	sig := l.sign("eve", text)
	for from, flagged := range map[string]bool{
		"eve@example.com (alice@example.com)":                     true,
		"eve@example.com(<alice@example.com>)":                    true,
		"eve@example.com (Alice (alice@example.com))":             true,
		"eve@example.com (alice\\@example.com)":                   true,
		"eve@example.com (=?us-ascii?q?alice=40example.com?=)":    true,
		"Eve (alice@example.com) <eve@example.com>":               true,
		"(alice@example.com) <eve@example.com>":                   true,
		"eve@example.com\r\n (alice@example.com)":                 true,
		"\"alice@example.com\" <eve@example.com>":                 true,
		"eve@example.com":                                         false,
		"eve@example.com (Eve)":                                   false,
		"eve@example.com (EVE@example.com)":                       false,
		"Eve (Sales @ Example) <eve@example.com>":                 false,
		"\"Eve (Sales)\" <eve@example.com> (no \"address\" here)": false,
		"eve@example.com (\\) (eve@example.com) \\()":             false,
	} {
		got := l.verify(detached("From: "+from+"\r\nMIME-Version: 1.0\r\n", text, sig))
		if got.State != Verified || slices.Contains(got.Flags, FlagAddressName) != flagged {
			t.Errorf("%s: %s %q %v", from, got.State, got.Reason, got.Flags)
		}
	}
}

// TestSameSigner judges a certificate once, however many signers have it, and says the same of all of them.
func TestSameSigner(t *testing.T) {
	l := newLab(t)
	l.custom("late", newEC(t, elliptic.P256()), func(c *x509.Certificate) {
		c.EmailAddresses, c.NotAfter = []string{"alice@example.com"}, l.at.Add(-time.Second)
	})
	for _, c := range []struct {
		first, second string
		state         State
		paths         int
	}{
		{"alice", "alice", Verified, 1},
		{"alice", "eve", WrongSender, 2},
		{"late", "late", Untrusted, 1},
	} {
		var options []string
		if c.paths == 1 {
			options = []string{"-nocerts"} // the second one brings the certificate
		}
		got := l.verify(detached(aliceHead, text, l.two(c.first, c.second, options...)))
		checkSound(t, c.first, got)
		paths := 0
		for _, step := range got.Steps {
			if strings.Contains(step, ": path ") {
				paths++
			}
		}
		if got.State != c.state || paths != c.paths || len(got.Signers) != 2 {
			t.Fatalf("%s and %s: %s %q, %d paths, %v", c.first, c.second, got.State, got.Reason, paths, got.Steps)
		}
		if c.paths > 1 {
			continue
		}
		one, two := got.Signers[0], got.Signers[1]
		one.SigningTime, two.SigningTime = time.Time{}, time.Time{}
		if !reflect.DeepEqual(one, two) || (one.Reason == "") != (c.state == Verified) || one.Trust == "" || len(one.Path) == 0 {
			t.Errorf("%s: %+v\n%+v", c.first, one, two)
		}
	}
}

// TestCoverage verifies that what is signed in part is never signed as a whole.
func TestCoverage(t *testing.T) {
	l := newLab(t)
	sig, opq := l.sign("alice", text), l.signOpaque("alice", text)
	det := entityDetached(text, sig, "b1")
	in := func(parts ...string) []byte {
		s := aliceHead + "Content-Type: multipart/mixed; boundary=m\r\n\r\n"
		for _, p := range parts {
			s += "--m\r\n" + p + "\r\n"
		}
		return []byte(s + "--m--\r\n")
	}
	attached := "Content-Type: message/rfc822\r\n\r\n"
	broken := entityDetached(evil, sig, "b1")
	enc := string(as(t, opaque("", l.encrypt(text)), "signed-data", "enveloped-data"))
	pgp := strings.NewReplacer("pkcs7", "pgp", "smime.p7s", "signature.asc").Replace(det)
	l.try([]mail{
		{"prepended", in(evil, det), Partial, "", "only part 2 is signed"},
		{"appended", in(det, evil), Partial, "", "only part 1 is signed"},
		{"alone", in(det), Partial, "", ""},
		{"opaque", in(evil, entityOpaque(opq)), Partial, "", "only part 2"},
		{"several", in(det, entityDetached(text, sig, "b2")), Partial, FlagMoreObjects, "only part 1"},
		{"broken", in(evil, broken), Altered, "", ""},
		{"one good, one broken", in(det, entityDetached(evil, sig, "b2")), Altered, FlagMoreObjects, ""},
		{"by another", in(evil, entityDetached(text, l.sign("eve", text), "b1")), WrongSender, "", ""},
		{"attached", in(evil, attached+aliceHead+det), Partial, "", "attached message"},
		{"attached alone", []byte(aliceHead + attached + aliceHead + det), Partial, "", "the attached message in part 1 carries"},
		{"attached and broken", in(evil, attached+aliceHead+broken), Partial, "", "attached message"},
		{"attached, by another", in(evil, attached+aliceHead+entityDetached(text, l.sign("eve", text), "b1")), Partial, "", "attached message"},
		{"attached garbage", in(evil, attached+aliceHead+strings.Replace(entityOpaque([]byte("hello")), "smime-type=signed-data; ", "", 1)), Unsigned, "", ""},
		{"attached signed garbage", in(evil, attached+aliceHead+entityOpaque([]byte("hello"))), Partial, "", "attached message"},
		{"stray", in(text, "Content-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n"+encode(sig)), Partial, FlagStray, "without the text"},
		{"too many", in(slices.Repeat([]string{det}, 12)...), Malformed, FlagMoreObjects, "more than 8"},
		{"encrypted beside text", in(evil, enc, evil), Encrypted, "", "only part 2 is encrypted"},
		{"encrypted and signed", in(det, enc), Partial, FlagMoreObjects, ""},
		{"encrypted", []byte(aliceHead + enc), Encrypted, "", "not checked"},
		{"certificates", opaque(aliceHead, l.certsOnly()), CertsOnly, "", ""},
		{"compressed", opaque(aliceHead, compressed()), Compressed, "", ""},
		{"PGP", []byte(aliceHead + pgp), Unsigned, "", ""},
		{"data", opaque(aliceHead, []byte{0x30, 0x13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0xa0, 6, 4, 4, 'a', 'b', 'c', 'd'}), Unsupported, "", ""},
		{"plain", []byte(aliceHead + text), Unsigned, "", ""},
	})
	if got := l.verify([]byte(aliceHead + entityOpaque(l.signOpaque("alice", enc)))); !got.Whole || got.State != Partial {
		t.Errorf("%+v", got)
	}
	if got := l.verify(append([]byte(aliceHead+det), "Pay Eve.\r\n"...)); got.Whole || got.State != Partial {
		t.Errorf("%+v", got)
	}
	if got := l.verify(in(evil, det)); got.Whole || got.Section != "2.2" || got.Integrity != Intact || got.Signers[0].Identity != Matches {
		t.Errorf("%+v", got)
	}
	if got := l.verify(in(det, enc)); !got.Encrypted || !got.Signed || len(got.Layers) != 2 {
		t.Errorf("%+v", got)
	}
}

// compressed is a CompressedData (RFC 3274) with an empty content.
func compressed() []byte {
	return []byte{0x30, 0x4e - 0x14, 6, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 9, 0xa0, 0x2b, 0x30, 0x29, 2, 1, 0,
		0x30, 0x0d, 6, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 3, 8,
		0x30, 0x15, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0xa0, 8, 4, 6, 1, 2, 3, 4, 5, 6}
}

// TestLayers verifies signatures and encryption inside of signatures.
func TestLayers(t *testing.T) {
	l := newLab(t)
	wrap := func(who, inner string) string { return entityOpaque(l.signOpaque(who, inner)) }
	wrapDetached := func(who, inner, boundary string) string { return entityDetached(inner, l.sign(who, inner), boundary) }
	enc := string(as(t, opaque("", l.encrypt(text)), "signed-data", "enveloped-data"))
	eveInside := wrap("eve", text)
	broken := entityDetached(evil, l.sign("eve", text), "b2")
	mixed := "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\nhi\r\n--m\r\n" + enc + "\r\n--m--\r\n"
	deep := text
	for range 6 {
		deep = wrap("alice", deep)
	}
	outer := func(s string) []byte { return []byte(aliceHead + s) }
	l.try([]mail{
		{"opaque in opaque", outer(wrap("alice", eveInside)), Verified, FlagInnerSigned, ""},
		{"opaque in detached", outer(wrapDetached("alice", eveInside, "b1")), Verified, FlagInnerSigned, ""},
		{"detached in detached", outer(wrapDetached("alice", wrapDetached("eve", text, "b2"), "b1")), Verified, FlagInnerSigned, ""},
		{"triple", outer(wrap("alice", wrap("eve", wrapDetached("alice", text, "b3")))), Verified, FlagInnerSigned, ""},
		{"over encryption", outer(wrap("alice", enc)), Partial, "", "over an encrypted content"},
		{"detached over encryption", outer(wrapDetached("alice", enc, "b1")), Partial, "", "over an encrypted content"},
		{"twice over encryption", outer(wrap("alice", wrap("eve", enc))), Partial, "", "over an encrypted content"},
		{"over something broken", outer(wrapDetached("alice", broken, "b1")), Partial, FlagInnerBroken, "not good"},
		{"over garbage", outer(wrap("alice", string(opaque("", []byte("hello"))))), Partial, FlagInnerBroken, ""},
		{"outer by another", outer(wrap("eve", wrap("alice", text))), WrongSender, FlagInnerSigned, "eve@example.com"},
		{"over an encrypted attachment", outer(wrap("alice", mixed)), Verified, "", ""},
		{"too deep", outer(deep), Malformed, "", "more than 4"},
	})
	got := l.verify(outer(wrap("alice", wrapDetached("eve", wrap("alice", text), "b2"))))
	var sections []string
	for _, layer := range got.Layers {
		sections = append(sections, layer.Section)
	}
	if !slices.Equal(sections, []string{"1", "1/2", "1/1"}) {
		t.Errorf("sections %q", sections)
	}
	if got := l.verify(outer(wrap("alice", mixed))); !got.Encrypted || len(got.Layers) != 2 || got.Layers[1].Section != "1/2" {
		t.Errorf("%+v", got.Layers)
	}
}

// TestSigners verifies who counts as the author, and what certificates are good for.
func TestSigners(t *testing.T) {
	l := newLab(t)
	day := 24 * time.Hour
	l.custom("expired", newEC(t, elliptic.P256()), func(c *x509.Certificate) {
		c.EmailAddresses, c.NotAfter = []string{"alice@example.com"}, l.at.Add(-day)
	})
	l.custom("early", newEC(t, elliptic.P256()), func(c *x509.Certificate) {
		c.EmailAddresses, c.NotBefore = []string{"alice@example.com"}, l.at.Add(day)
	})
	l.custom("tls", newEC(t, elliptic.P256()), func(c *x509.Certificate) {
		c.EmailAddresses, c.ExtKeyUsage = []string{"alice@example.com"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	l.custom("cipher", newEC(t, elliptic.P256()), func(c *x509.Certificate) {
		c.EmailAddresses, c.KeyUsage = []string{"alice@example.com"}, x509.KeyUsageKeyAgreement
	})
	l.custom("subject", newEC(t, elliptic.P256()), func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "alice@example.com"}}
	})
	l.signer("short", newRSA(t, 1024), "alice@example.com")
	l.signer("idn", newEC(t, elliptic.P256()), "alice@xn--bcher-kva.example")
	l.signer("nobody", newEC(t, elliptic.P256()))
	l.signer("many", newEC(t, elliptic.P384()), "a@example.com", "ALICE@example.com", "b@example.com")
	l.signer("ed", newEd25519(t), "alice@example.com")
	l.selfSigned("self", "alice@example.com")
	by := func(who string, options ...string) []byte {
		return detached(aliceHead, text, l.sign(who, text, options...))
	}
	alice := by("alice")
	from := func(header string) []byte { return as(t, alice, "From: Alice <alice@example.com>", header) }
	l.try([]mail{
		{"eve", by("eve"), WrongSender, "", "signed by eve@example.com, not by the sender alice@example.com"},
		{"several mailboxes", by("many"), Verified, FlagCase, ""},
		{"no mailbox", by("nobody"), WrongSender, "", "names no mailbox"},
		{"subject", by("subject"), Verified, FlagSubjectMail, ""},
		{"expired", by("expired"), Untrusted, "", "expired on " + l.at.Add(-day).UTC().Format(time.DateOnly)},
		{"not yet valid", by("early"), Untrusted, "", "not valid before"},
		{"for servers", by("tls"), Untrusted, "", "not for e-mail"},
		{"for encryption", by("cipher"), Untrusted, "", "not for signatures"},
		{"self-signed", by("self"), Untrusted, "", "self-signed"},
		{"short key", by("short"), Weak, "", "1024 bits"},
		{"SHA-1", by("alice", "-md", "sha1"), Weak, "", "SHA-1"},
		{"no attributes", by("alice", "-noattr"), Weak, "", "no signed attributes"},
		{"no certificate", by("alice", "-nocerts"), Incomplete, "", "certificate of the signer is not in the message"},
		{"key identifier", by("alice", "-keyid"), Verified, "", ""},
		{"PSS", by("alice", "-keyopt", "rsa_padding_mode:pss"), Verified, "", ""},
		{"SHA-3", by("alice", "-md", "sha3-256"), Verified, "", ""},
		{"two signers, both good", detached(aliceHead, text, l.two("alice", "many")), Verified, FlagSeveral, ""},
		{"two signers, one another's", detached(aliceHead, text, l.two("alice", "eve")), WrongSender, FlagSeveral, "not by the sender"},
		{"two signers, another's first", detached(aliceHead, text, l.two("eve", "alice")), WrongSender, FlagSeveral, "signer"},
		{"no middle", detached(aliceHead, text, l.cms(text, "-sign", "-signer", "alice.crt", "-inkey", "alice.key")), Incomplete, "", "issuer"},
		{"name is another address", from("From: \"bob@example.com\" <alice@example.com>"), Verified, FlagAddressName, ""},
		{"name is the address", from("From: \"alice@example.com\" <alice@example.com>"), Verified, "", ""},
		{"Sender", from("From: bob@example.com\r\nSender: alice@example.com"), WrongSender, "", "bob@example.com"},
		{"Reply-To", from("From: bob@example.com\r\nReply-To: alice@example.com"), WrongSender, "", "bob@example.com"},
		{"two From", from("From: alice@example.com\r\nFrom: bob@example.com"), WrongSender, "", "more than one From"},
		{"two authors", from("From: alice@example.com, bob@example.com"), WrongSender, "", "more than one sender"},
		{"no From", from("X-From: alice@example.com"), WrongSender, "", "no sender"},
		{"group", from("From: x: alice@example.com;"), WrongSender, "", "group"},
		{"malformed", from("From: bob@example.com <alice@example.com>"), WrongSender, "", "cannot be read"},
		{"subdomain", from("From: alice@sub.example.com"), WrongSender, "", ""},
		{"A-labels", as(t, by("idn"), "From: Alice <alice@example.com>", "From: alice@b\xc3\xbccher.example"), Verified, "", ""},
		{"upper case", from("From: alice@EXAMPLE.com"), Verified, "", ""},
	})
	if got := l.verify(detached(aliceHead, text, l.two("alice", "eve"))); len(got.Signers) != 2 || got.Signers[0].Email != "eve@example.com" || got.Identity != Differs {
		t.Errorf("the signer that decided is not the first: %+v", got)
	}
	if got := l.verify(detached("From: eve@example.com\r\nMIME-Version: 1.0\r\n", text, l.two("alice", "eve"))); len(got.Signers) != 2 || got.Signers[0].Email != "alice@example.com" {
		t.Errorf("the signer that decided is not the first: %+v", got)
	}
	if got := l.verify(by("self")); got.Trust != SelfSigned || got.Signers[0].Name != "" || got.Signers[0].Organization != "" || got.Integrity != Intact {
		t.Errorf("%+v", got)
	}
	if got := l.verify(by("expired")); got.Trust != Expired || got.Signers[0].Name != "" {
		t.Errorf("%+v", got)
	}
}

// TestTimes moves the time of receipt around the time of signing.
func TestTimes(t *testing.T) {
	l := newLab(t)
	raw := detached(aliceHead, text, l.sign("alice", text))
	for _, tt := range []struct {
		after time.Duration
		state State
		flag  string
	}{
		{0, Verified, ""}, {-20 * time.Hour, Verified, ""}, {-26 * time.Hour, Stale, ""}, {29 * 24 * time.Hour, Verified, ""},
		{31 * 24 * time.Hour, Verified, FlagOldSignature}, {300 * 24 * time.Hour, Verified, FlagOldSignature}, {400 * 24 * time.Hour, Untrusted, FlagOldSignature},
	} {
		got := verify(t, l.options(), raw, l.at.Add(tt.after))
		if got.State != tt.state || slices.Contains(got.Flags, FlagOldSignature) != (tt.flag != "") {
			t.Errorf("%s: %s %q %v", tt.after, got.State, got.Reason, got.Flags)
		}
	}
	l.custom("later", newEC(t, elliptic.P256()), func(c *x509.Certificate) {
		c.EmailAddresses, c.NotBefore = []string{"alice@example.com"}, l.at.Add(10*time.Hour)
	})
	raw = detached(aliceHead, text, l.sign("later", text))
	if got := verify(t, l.options(), raw, l.at.Add(11*time.Hour)); got.State != Stale || !strings.Contains(got.Reason, "before its certificate was valid") {
		t.Errorf("%s %q", got.State, got.Reason)
	}
}

// TestRevocation has a CRL in the message and in the store.
func TestRevocation(t *testing.T) {
	l := newLab(t)
	raw := detached(aliceHead, text, l.sign("alice", text))
	with := func(mode RevocationMode, revoked ...*x509.Certificate) Verification {
		store, err := pki.NewStore(false, []string{l.path("root.crt")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if mode != RevocationSkip && revoked != nil {
			for _, crl := range l.lists(revoked) {
				if err := store.AddCRL(crl); err != nil {
					t.Fatal(err)
				}
			}
		}
		o := l.options()
		o.Validator, o.Revocation = pki.New(store, pki.Options{}), mode
		return verify(t, o, raw, l.at)
	}
	for _, tt := range []struct {
		name       string
		got        Verification
		state      State
		revocation Revocation
	}{
		{"off", with(RevocationSkip), Verified, RevocationOff},
		{"soft", with(RevocationSoft), Verified, RevocationUnknown},
		{"hard", with(RevocationHard), Unavailable, RevocationUnknown},
		{"good", with(RevocationHard, l.certs["eve"]), Verified, RevocationGood},
		{"revoked", with(RevocationSoft, l.certs["alice"]), Revoked, RevocationRevoked},
		{"revoked, by default", with("", l.certs["alice"]), Revoked, RevocationRevoked},
	} {
		if tt.got.State != tt.state || tt.got.Revocation != tt.revocation {
			t.Errorf("%s: %s %s %q", tt.name, tt.got.State, tt.got.Revocation, tt.got.Reason)
		}
		checkSound(t, tt.name, tt.got)
	}
}

// TestProtectedHeader compares headers that are signed with those that are shown.
func TestProtectedHeader(t *testing.T) {
	l := newLab(t)
	const inner = "From: Alice <alice@example.com>\r\nSubject: test\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nTo: bob@example.com\r\n"
	const shown = "From: Alice <alice@example.com>\r\nSubject: test\r\nDate: Sat, 21 Nov 2026\r\n 10:00:00 +0000\r\nTo: bob@example.com\r\nMIME-Version: 1.0\r\n"
	const body = "\r\n\r\nDear Bob\r\n"
	hp := func(params, header string) string { return header + "Content-Type: text/plain; " + params + body }
	signed := func(header, entity string) []byte { return detached(header, entity, l.sign("alice", entity)) }
	edit := func(old, new string) string { return strings.Replace(shown, old, new, 1) }
	both := func(name string, header, entity string, state State, flag, words string) []mail {
		return []mail{{name, signed(header, entity), state, flag, words}, {name + ", opaque", opaque(header, l.signOpaque("alice", entity)), state, flag, words}}
	}
	eve := strings.Replace(inner, "alice@", "eve@", 1)
	outer := "HP-Outer: Subject: [...]\r\nHP-Outer: From: alice@example.com\r\nHP-Outer: Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
	l.try(slices.Concat(
		both("the same", shown, hp("hp=clear", inner), Verified, FlagProtected, ""),
		both("draft", shown, hp("protected-headers=\"v1\"", inner), Verified, FlagLegacy, ""),
		both("message", shown, "Content-Type: message/rfc822; forwarded=no\r\n\r\n"+inner+"\r\nDear Bob\r\n", Verified, FlagWrapped, ""),
		both("other subject", edit("test", "pay Eve"), hp("hp=\"clear\"", inner), Verified, "protected-subject-differs", "Subject"),
		both("other date", edit("10:00", "11:00"), hp("hp=clear", inner), Verified, "protected-date-differs", "Date"),
		both("other recipient", edit("bob@", "eve@"), hp("hp=clear", inner), Verified, "protected-to-differs", "To"),
		both("other author", shown, hp("hp=clear", eve), WrongSender, FlagProtected, "eve@example.com"),
		both("other author, draft", shown, hp("protected-headers=v1", eve), WrongSender, FlagProtected, "eve@example.com"),
		both("other author, message", shown, "Content-Type: message/rfc822\r\n\r\n"+eve+"\r\nDear Bob\r\n", WrongSender, FlagProtected, "eve@example.com"),
		both("two authors", shown, hp("hp=clear", inner+"From: eve@example.com\r\n"), WrongSender, FlagProtected, "nobody for certain"),
		both("forwarded", shown, "Content-Type: message/rfc822; forwarded=yes\r\n\r\n"+eve+"\r\nDear Bob\r\n", Verified, "", ""),
		both("not protected", shown, hp("charset=utf-8", eve), Verified, "", ""),
		both("outer subject as sent", edit("test", "[...]"), hp("hp=cipher", inner+outer+"HP-Outer: To: bob@example.com\r\n"), Verified, FlagProtected, ""),
		both("outer subject replaced", edit("test", "pay Eve"), hp("hp=cipher", inner+outer), Verified, "protected-subject-differs", "Subject, To"),
	))
	got := l.verify(signed(shown, hp("hp=clear", inner)))
	if slices.Contains(got.Flags, FlagHeaderDiffers) || got.Reason != "" {
		t.Errorf("%q %v", got.Reason, got.Flags)
	}
}

// TestBareLF has lines that end in LF, as some MTAs hand them over, under a signature of the text with CRLF.
func TestBareLF(t *testing.T) {
	l := newLab(t)
	raw := detached(aliceHead, text, l.sign("alice", text))
	for _, replaced := range []string{strings.ReplaceAll(string(raw), "\r\n", "\n"), strings.Replace(string(raw), "Bob,\r\n", "Bob,\n", 1)} {
		b := message.NewBuilder(message.Limits{})
		b.AddField("From", []byte(" alice@example.com"))
		head, body, _ := strings.Cut(strings.Replace(replaced, "MIME-Version: 1.0\n", "MIME-Version: 1.0\r\n", 1), "\nContent-Type: multipart")
		_ = head
		ctype, body, _ := strings.Cut("Content-Type: multipart"+body, "\n")
		b.AddField("Content-Type", []byte(strings.TrimRight(strings.TrimPrefix(ctype, "Content-Type:"), "\r")))
		body = strings.TrimPrefix(strings.TrimPrefix(body, "\r"), "\n")
		if _, err := b.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		m, err := b.Message(message.Envelope{ReceivedAt: l.at})
		if err != nil {
			t.Fatal(err)
		}
		got := NewVerifier(l.options()).Verify(t.Context(), m, m.Header.Author())
		if got.State != Verified || !slices.Contains(got.Flags, FlagBareLF) {
			t.Errorf("%s %q %v %v", got.State, got.Reason, got.Flags, got.Steps)
		}
		m.Close()
	}
}

// TestWithoutTrust verifies without a Validator, with one that fails, and with a certificate that was known before.
func TestWithoutTrust(t *testing.T) {
	l := newLab(t)
	raw := detached(aliceHead, text, l.sign("alice", text))
	if got := verify(t, Options{}, raw, l.at); got.State != Untrusted || got.Integrity != Intact || got.Signers[0].Name != "" || got.Signers[0].Root != "" {
		t.Errorf("%+v", got)
	}
	got := verify(t, Options{Validator: new(pki.Validator)}, raw, l.at)
	if got.State != Unavailable || got.Result != authres.TempError || len(got.Steps) != 1 {
		t.Errorf("%+v", got)
	}
	checkSound(t, "panic", got)
	o := l.options()
	bare := detached(aliceHead, text, l.sign("alice", text, "-nocerts"))
	if got := verify(t, o, bare, l.at); got.State != Incomplete || got.Result != authres.PermError {
		t.Errorf("%s %s", got.State, got.Reason)
	}
	o.Certificates = []*x509.Certificate{l.certs["eve"], l.certs["alice"]}
	if got := verify(t, o, bare, l.at); got.State != Verified {
		t.Errorf("%s %s", got.State, got.Reason)
	}
	o.DNEmail = pki.DNNever
	l.custom("subject", newEC(t, elliptic.P256()), func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "alice@example.com"}}
	})
	if got := verify(t, o, detached(aliceHead, text, l.sign("subject", text)), l.at); got.State != WrongSender || got.Identity != NoMailbox || !strings.Contains(got.Reason, "in its subject only") {
		t.Errorf("%s %s", got.State, got.Reason)
	}
}

// TestNoContext verifies with a context that is over: nothing is asked, and what is known without is said.
func TestNoContext(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m, err := message.Read(bytes.NewReader(detached(aliceHead, text, l.sign("alice", text))), message.Envelope{ReceivedAt: l.at}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := NewVerifier(l.options()).Verify(ctx, m, m.Header.Author()); got.State != Verified {
		t.Errorf("%s %s", got.State, got.Reason)
	}
}

// TestSpooled verifies a message whose body is in a file, and one whose file is gone.
func TestSpooled(t *testing.T) {
	l := newLab(t)
	raw := detached(aliceHead, text, l.sign("alice", text))
	m, err := message.Read(bytes.NewReader(raw), message.Envelope{ReceivedAt: l.at}, message.Limits{Memory: 1, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	v := NewVerifier(l.options())
	if got := v.Verify(t.Context(), m, m.Header.Author()); got.State != Verified {
		t.Errorf("%s %s", got.State, got.Reason)
	}
	m.Close()
	if got := v.Verify(t.Context(), m, m.Header.Author()); got.State != Unavailable || got.Result != authres.TempError {
		t.Errorf("%s %s", got.State, got.Reason)
	}
}

// TestExceeded does not verify a message that is not there in full.
func TestExceeded(t *testing.T) {
	l := newLab(t)
	raw := detached(aliceHead, text, l.sign("alice", text))
	m, err := message.Read(bytes.NewReader(raw), message.Envelope{ReceivedAt: l.at}, message.Limits{BodyOctets: int64(len(raw)) - 300})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := NewVerifier(l.options()).Verify(t.Context(), m, m.Header.Author()); got.State != Malformed || !strings.Contains(got.Reason, "too large") {
		t.Errorf("%s %s", got.State, got.Reason)
	}
}

// TestZeroValues says that what was not evaluated is not good.
func TestZeroValues(t *testing.T) {
	if v := new(Verification); v.Trust.Good() || v.Identity == Matches || v.Integrity == Intact || v.State == Verified || v.Revocation == RevocationGood {
		t.Errorf("%+v", v)
	}
	if got := NewVerifier(Options{}).Verify(t.Context(), nil, message.Author{}); got.State != Unsigned || got.Result != authres.None {
		t.Errorf("%+v", got)
	}
}
