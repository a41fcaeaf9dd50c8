package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestAdopt puts the content of one entity in the place of another's, and keeps everything else octet for octet.
func TestAdopt(t *testing.T) {
	const outer = "Received: x\r\nFrom: a@b.example\r\nSUBJECT:  odd \r\nmime-version: 1.0\r\nContent-Type: application/pkcs7-mime;\r\n name=smime.p7m\r\n" +
		"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\ncontent-type: x/y\r\n\r\nMAA=\r\n"
	kept := "Received: x\r\nFrom: a@b.example\r\nSUBJECT:  odd \r\n"
	for _, test := range []struct{ name, outer, inner, want string }{
		{"a multipart", outer, "Content-Type: multipart/signed;\r\n\tboundary=b\r\n\r\n--b\r\n--b--\r\n",
			kept + "mime-version: 1.0\r\nContent-Type: multipart/signed;\r\n\tboundary=b\r\n\r\n--b\r\n--b--\r\n"},
		{"an encoding of its own", outer, "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Language: de\r\n\r\n=C3=A4",
			kept + "mime-version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Language: de\r\n\r\n=C3=A4"},
		{"no type at all", outer, "MIME-Version: 1.0\r\n\r\nhi\r\n", kept + "mime-version: 1.0\r\n\r\nhi\r\n"},
		{"a message without MIME-Version", "From: a@b.example\r\n\r\nx", "Content-Type: text/html\r\n\r\n<p>", "From: a@b.example\r\nContent-Type: text/html\r\nMIME-Version: 1.0\r\n\r\n<p>"},
		{"the same subject inside", outer, "Subject: odd\r\nX-Other: gone\r\nContent-Type: text/plain\r\n\r\nhi\r\n", kept + "mime-version: 1.0\r\nContent-Type: text/plain\r\n\r\nhi\r\n"},
		{"nothing in it", outer, "Content-Type: text/plain\r\n\r\n", kept + "mime-version: 1.0\r\nContent-Type: text/plain\r\n\r\n"},
	} {
		r, err := readBytes(t, []byte(test.outer), Limits{}).Adopt(readBytes(t, []byte(test.inner), Limits{}))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got bytes.Buffer
		if _, err := r.WriteTo(&got); err != nil || got.String() != test.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", test.name, err, &got, test.want)
		}
		if _, body, _ := strings.Cut(test.inner, "\r\n\r\n"); r.Size() != int64(len(body)) {
			t.Errorf("%s: %d octets", test.name, r.Size())
		}
	}
	for _, test := range []struct {
		name, inner string
		want        error
	}{
		{"another subject", "Subject: real\r\nContent-Type: text/plain\r\n\r\n", ErrOtherHeader},
		{"another author", "From: c@d.example\r\nContent-Type: text/plain\r\n\r\n", ErrOtherHeader},
		{"8bit", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\r\n", ErrNotSevenBit},
		{"a long line", "Content-Type: text/plain\r\n\r\n" + strings.Repeat("x", 1200) + "\r\n", ErrNotSevenBit},
		{"NUL", "Content-Type: text/plain\r\n\r\n\x00\r\n", ErrNotSevenBit},
		{"two types", "Content-Type: text/plain\r\nContent-type: text/html\r\n\r\n", ErrOtherHeader},
	} {
		if r, err := readBytes(t, []byte(outer), Limits{}).Adopt(readBytes(t, []byte(test.inner), Limits{})); r != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	short, err := Read(strings.NewReader(outer), Envelope{}, Limits{BodyOctets: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := short.Adopt(readBytes(t, []byte(outer), Limits{})); !errors.Is(err, ErrIncomplete) {
		t.Errorf("of an incomplete message: %v", err)
	}
	if _, err := readBytes(t, []byte(outer), Limits{}).Adopt(short); !errors.Is(err, ErrIncomplete) {
		t.Errorf("an incomplete entity: %v", err)
	}
}
