package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const signedMail = "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" +
	"X-Other: 1\r\nContent-Type: multipart/signed; micalg=sha-256;\r\n protocol=\"application/pkcs7-signature\"; boundary=\"i \\\" x\"\r\n\r\n" +
	"--i \" x\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--i \" x\r\nContent-Type: application/pkcs7-signature\r\n\r\nAAAA\r\n--i \" x--\r\n" +
	"--o--\r\n"

// A multipart changes its type and nothing else, and its parts can be edited at the same time.
func TestRetype(t *testing.T) {
	for _, text := range []string{signedMail, strings.Replace(strings.Split(signedMail, "--o\r\n")[1], "X-Other", "From: a@b.example\r\nMIME-Version", 1)} {
		text = strings.TrimSuffix(text, "--o--\r\n")
		if strings.HasPrefix(text, "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed") {
			text += "--o--\r\n"
		}
		m, err := Read(strings.NewReader(text), Envelope{}, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		signed := m.Root
		if signed.MediaType == "multipart/mixed" {
			signed = m.Root.Children[0]
		}
		r, err := m.Rewrite([]Edit{
			{Part: signed.Children[1], MediaType: "text/plain", Replace: true, Content: []byte("gone")},
			{Part: signed, MediaType: "multipart/mixed", Retype: true},
			{Part: signed.Children[0], Content: []byte("<i>y</i>")},
		})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := r.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&out, Envelope{}, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		mixed := again.Root
		if signed != m.Root {
			mixed = again.Root.Children[0]
		}
		if mixed.MediaType != "multipart/mixed" || mixed.Params["boundary"] != `i " x` || mixed.Params["micalg"] != "" || len(mixed.Children) != 2 ||
			mixed.Children[1].MediaType != "text/plain" || r.Size() != again.Size()-again.headerSize {
			t.Errorf("%+v", mixed)
		}
		content := new(bytes.Buffer)
		content.ReadFrom(again.Content(mixed.Children[0]))
		if !strings.HasPrefix(content.String(), "<i>y</i>") {
			t.Errorf("%q", content)
		}
		m.Close()
		again.Close()
	}
}

func TestRetypeOfSomethingElse(t *testing.T) {
	m, err := Read(strings.NewReader(signedMail), Envelope{}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, e := range []Edit{
		{Part: m.Root, MediaType: "text/plain", Retype: true},
		{Part: m.Root, MediaType: "multipart/mixed; x=y", Retype: true},
		{Part: m.Root.Children[0].Children[0], MediaType: "multipart/mixed", Retype: true},
		{Part: m.Root, MediaType: "multipart/mixed", Retype: true, Replace: true},
	} {
		if _, err := m.Rewrite([]Edit{e}); !errors.Is(err, ErrMediaType) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}
