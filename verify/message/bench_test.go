package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// ordinaryMail is a mail of about 30 KB as it is often seen: text, HTML and an attachment, 25 header fields.
func ordinaryMail() (header [][2]string, body []byte) {
	for i := range 5 {
		header = append(header, [2]string{"Received", fmt.Sprintf(" from mx%d.example.net (mx%d.example.net [192.0.2.%d])\r\n"+
			"\tby mail.example.org (Postfix) with ESMTPS id 4XYZ%d\r\n\tfor <bob@example.org>; Sat, 21 Nov 2026 10:00:0%d +0100", i, i, i, i, i)})
	}
	header = append(header, [2]string{"DKIM-Signature", " v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=2026;\r\n" +
		"\th=from:to:subject:date:message-id:mime-version:content-type;\r\n\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=" + strings.Repeat("A", 340)})
	for i := range 12 {
		header = append(header, [2]string{fmt.Sprintf("X-Header-%d", i), " a value that some program has written"})
	}
	header = append(header, [2]string{"From", " \"Smith, Alice\" <alice@example.com>"}, [2]string{"To", " bob@example.org"},
		[2]string{"Subject", " =?UTF-8?Q?Gr=C3=BC=C3=9Fe?="}, [2]string{"Date", " Sat, 21 Nov 2026 10:00:00 +0100"},
		[2]string{"Message-ID", " <1@example.com>"}, [2]string{"MIME-Version", " 1.0"},
		[2]string{"Content-Type", " multipart/mixed;\r\n\tboundary=\"----=_Part_0_1\""})
	var b bytes.Buffer
	b.WriteString("------=_Part_0_1\r\nContent-Type: multipart/alternative;\r\n\tboundary=\"----=_Part_2_3\"\r\n\r\n")
	b.WriteString("------=_Part_2_3\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	b.WriteString(strings.Repeat("Gr=C3=BC=C3=9Fe aus einer Zeile, wie sie in einer Mail =\r\nsteht.\r\n", 100))
	b.WriteString("------=_Part_2_3\r\nContent-Type: text/html; charset=utf-8\r\n\r\n")
	b.WriteString(strings.Repeat("<p>A line as it is in the HTML part of a newsletter, not very long.</p>\r\n", 120))
	b.WriteString("------=_Part_2_3--\r\n------=_Part_0_1\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\n" +
		"Content-Disposition: attachment; filename=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	b.WriteString(strings.Repeat(strings.Repeat("JVBERi0x", 9)+"JVBE\r\n", 180))
	b.WriteString("------=_Part_0_1--\r\n")
	return header, b.Bytes()
}

// BenchmarkBuild is what a milter session does with a message before any check: header fields, body, index.
func BenchmarkBuild(b *testing.B) {
	header, body := ordinaryMail()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		builder := NewBuilder(Limits{})
		for _, f := range header {
			builder.AddField(f[0], []byte(f[1]))
		}
		if _, err := builder.Write(body); err != nil {
			b.Fatal(err)
		}
		m, err := builder.Message(Envelope{})
		if err != nil || len(m.Defects) > 0 || len(m.Root.Children) != 2 {
			b.Fatal(err, m.Defects)
		}
		m.Close()
	}
}

// BenchmarkIndex is the index alone.
func BenchmarkIndex(b *testing.B) {
	header, body := ordinaryMail()
	builder := NewBuilder(Limits{})
	for _, f := range header {
		builder.AddField(f[0], []byte(f[1]))
	}
	builder.Write(body)
	m, err := builder.Message(Envelope{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(m.Size())
	b.ReportAllocs()
	for b.Loop() {
		if err := m.index(builder.limits, &defects{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	header, body := ordinaryMail()
	var raw bytes.Buffer
	for _, f := range header {
		fmt.Fprintf(&raw, "%s:%s\r\n", f[0], f[1])
	}
	raw.WriteString("\r\n")
	raw.Write(body)
	b.SetBytes(int64(raw.Len()))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Read(bytes.NewReader(raw.Bytes()), Envelope{}, Limits{})
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

// BenchmarkSpooled is a body of 20 MB, through the file.
func BenchmarkSpooled(b *testing.B) {
	header, body := ordinaryMail()
	dir := b.TempDir()
	b.SetBytes(int64(700 * len(body)))
	b.ReportAllocs()
	for b.Loop() {
		builder := NewBuilder(Limits{TempDir: dir})
		for _, f := range header {
			builder.AddField(f[0], []byte(f[1]))
		}
		for range 700 {
			builder.Write(body)
		}
		m, err := builder.Message(Envelope{})
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

func BenchmarkAuthor(b *testing.B) {
	header, _ := ordinaryMail()
	builder := NewBuilder(Limits{})
	for _, f := range header {
		builder.AddField(f[0], []byte(f[1]))
	}
	h := builder.Header()
	b.ReportAllocs()
	for b.Loop() {
		if a := h.Author(); a.Problem != "" {
			b.Fatal(a)
		}
	}
}

func BenchmarkContent(b *testing.B) {
	_, body := ordinaryMail()
	m, err := Read(io.MultiReader(strings.NewReader("Content-Type: multipart/mixed; boundary=\"----=_Part_0_1\"\r\n\r\n"), bytes.NewReader(body)), Envelope{}, Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		for p := range m.Root.Leaves() {
			if _, err := io.Copy(io.Discard, m.Content(p)); err != nil {
				b.Fatal(err)
			}
		}
	}
}
