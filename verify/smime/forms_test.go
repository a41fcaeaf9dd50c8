package smime

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"assay/verify/authres"
)

// A mail is a message and what is to be said about it.
type mail struct {
	name  string
	raw   []byte
	state State
	flag  string // "" for none in particular
	words string // part of the reason
}

// try verifies the mails.
func (l *lab) try(mails []mail) {
	l.t.Helper()
	for _, m := range mails {
		got := l.verify(m.raw)
		if got.State != m.state || !strings.Contains(got.Reason, m.words) || m.flag != "" && !slices.Contains(got.Flags, m.flag) {
			l.t.Errorf("%s: %s %q %v, want %s %q %s\n%s", m.name, got.State, got.Reason, got.Flags, m.state, m.words, m.flag, strings.Join(got.Steps, "\n"))
		}
		checkSound(l.t, m.name, got)
	}
}

// checkSound checks what holds for every verification.
func checkSound(t testing.TB, name string, v Verification) {
	t.Helper()
	switch {
	case v.Result == "" || v.State == "":
		t.Errorf("%s: no verdict", name)
	case (v.Result == authres.Pass) != (v.State == Verified):
		t.Errorf("%s: %s %s", name, v.Result, v.State)
	case v.Reason == "" && v.State != Verified && v.State != Unsigned:
		t.Errorf("%s: %s without a reason", name, v.State)
	case v.State == Verified && (!v.Whole || !v.Signed || v.Integrity != Intact || !v.Trust.Good() || v.Identity != Matches || v.Section == "" || len(v.Signers) == 0):
		t.Errorf("%s: verified, but %+v", name, v)
	}
	for _, text := range append(v.Steps, v.Reason) {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: %q is not printable", name, text)
		}
	}
}

// entityOpaque returns the header and body of an opaque object as an entity.
func entityOpaque(der []byte) string { return string(opaque("", der)) }

// entityDetached returns a multipart/signed as an entity with its own boundary.
func entityDetached(text string, der []byte, boundary string) string {
	return strings.NewReplacer("\"b1\"", "\""+boundary+"\"", "--b1", "--"+boundary).Replace(string(detached("", text, der)))
}

// as replaces a text in a message, which has to be there.
func as(t testing.TB, raw []byte, pairs ...string) []byte {
	t.Helper()
	s := string(raw)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("no %q in the message", pairs[i])
		}
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return []byte(s)
}

// TestForms verifies one signature in every form in which S/MIME may come (RFC 8551 Section 3.9).
func TestForms(t *testing.T) {
	l := newLab(t)
	det, opq := detached(aliceHead, text, l.sign("alice", text)), opaque(aliceHead, l.signOpaque("alice", text))
	mails := []mail{
		{"detached", det, Verified, "", ""},
		{"opaque", opq, Verified, "", ""},
		{"streamed", opaque(aliceHead, l.signOpaque("alice", text, "-stream")), Verified, "", ""},
		{"no micalg", as(t, det, " micalg=sha-256;", ""), Verified, "", ""},
		{"wrong micalg", as(t, det, "micalg=sha-256", "micalg=md5"), Verified, "", ""},
		{"no MIME-Version", as(t, det, "MIME-Version: 1.0\r\n", ""), Verified, "", ""},
		{"lines end in LF", []byte(strings.ReplaceAll(string(det), "\r\n", "\n")), Verified, "", ""},
		{"comment in Content-Type", as(t, det, "multipart/signed;", "multipart/signed (S/MIME);"), Verified, FlagContentType, ""},
		{"inner boundary begins as the outer", l.withInner("b1-2"), Verified, FlagBoundary, ""},
		{"signature is quoted-printable", detachedQP(text, l.sign("alice", text)), Verified, "", ""},
	}
	for _, protocol := range []string{"application/x-pkcs7-signature", "APPLICATION/PKCS7-SIGNATURE", "application/pkcs7-mime", "application/octet-stream"} {
		mails = append(mails, mail{"protocol " + protocol, as(t, det, "protocol=\"application/pkcs7-signature\"", "protocol=\""+protocol+"\""), Verified, "", ""})
	}
	mails = append(mails, mail{"no protocol", as(t, det, " protocol=\"application/pkcs7-signature\";", ""), Verified, "", ""})
	for _, typ := range []string{"application/x-pkcs7-signature", "application/pkcs7-mime", "application/octet-stream"} {
		mails = append(mails, mail{"signature is " + typ, as(t, det, "Content-Type: application/pkcs7-signature", "Content-Type: "+typ), Verified, "", ""},
			mail{"no protocol, signature is " + typ, as(t, det, "Content-Type: application/pkcs7-signature", "Content-Type: "+typ, " protocol=\"application/pkcs7-signature\";", ""), Verified, "", ""})
	}
	for _, typ := range []string{"application/x-pkcs7-mime; smime-type=signed-data", "application/pkcs7-mime", "application/pkcs7-mime; smime-type=enveloped-data",
		"application/pkcs7-mime; smime-type=certs-only", "application/pkcs7-signature", "application/octet-stream", "application/octet-stream; smime-type=signed-data"} {
		for _, name := range []string{"smime.p7m", "smime.p7s", "X.P7M", "smime.p7c"} {
			mails = append(mails, mail{typ + " " + name, as(t, opq, "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", typ+"; name="+name), Verified, "", ""})
		}
	}
	for _, typ := range []string{"text/html", "text/plain", "image/png", "application/xhtml+xml"} { // which readers show
		mails = append(mails, mail{"signature is " + typ, as(t, det, "Content-Type: application/pkcs7-signature", "Content-Type: "+typ), Malformed, "", "no signature"},
			mail{"opaque is " + typ, as(t, opq, "application/pkcs7-mime; smime-type=signed-data", typ), Unsigned, "", ""})
	}
	l.try(mails)
	if got := l.verify(det); got.Section != "2" || len(got.Layers) != 1 || got.Layers[0].Section != "2" || got.Signers[0].Email != "alice@example.com" ||
		got.Signers[0].Certificate == nil || !got.Signers[0].Certificate.Equal(l.certs["alice"]) || got.Signers[0].Algorithm != "rsa-sha256" ||
		got.Signers[0].Organization != "Lab" || got.Signers[0].Root != "Lab Root" || len(got.Signers[0].Path) != 3 || got.Revocation != RevocationUnknown {
		t.Errorf("%+v", got)
	}
	if got := l.verify(opq); got.Section != "1" {
		t.Errorf("%+v", got)
	}
}

// withInner signs a multipart with a boundary of its own.
func (l *lab) withInner(boundary string) []byte {
	inner := fmt.Sprintf("Content-Type: multipart/mixed; boundary=%q\r\n\r\n--%[1]s\r\n\r\none\r\n--%[1]s--\r\n", boundary)
	inner = strings.ReplaceAll(inner, "--\""+boundary+"\"", "--"+boundary)
	return detached(aliceHead, inner, l.sign("alice", inner))
}

// detachedQP has the signature in quoted-printable.
func detachedQP(text string, der []byte) []byte {
	var qp strings.Builder
	for i, b := range der {
		fmt.Fprintf(&qp, "=%02X", b)
		if i%20 == 19 {
			qp.WriteString("=\r\n")
		}
	}
	s := string(detached(aliceHead, text, der))
	return []byte(strings.NewReplacer(encode(der), qp.String(), "Encoding: base64", "Encoding: quoted-printable").Replace(s))
}
