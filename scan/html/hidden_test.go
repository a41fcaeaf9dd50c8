package html

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"assay/scan"
	"assay/verify/message"
)

const hostileHTML = "<html><body><p>hello</p><script>alert(1)</script></body></html>\r\n"

// lines encodes in base64.
func lines(text string) string {
	var out strings.Builder
	for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString([]byte(text))), 76) {
		out.Write(chunk)
		out.WriteString("\r\n")
	}
	return out.String()
}

// safe makes a mail safe at a level. held says that the edit cannot be made, so the mail is held back.
func safe(t *testing.T, mail string, level scan.Level) (out string, found []scan.Finding, held bool) {
	t.Helper()
	m, err := message.Read(strings.NewReader(mail), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	report := (&Scanner{}).Scan(t.Context(), m)
	var edits []message.Edit
	for _, r := range report.Remedies {
		edit, _, ok := r.Edit(level)
		switch {
		case !ok:
		case m.Editable(edit.Part) != nil:
			held = true
		default:
			edits = append(edits, edit)
		}
	}
	rewritten, err := m.Rewrite(edits)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := rewritten.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String(), report.Findings, held
}

func hasKind(findings []scan.Finding, kind scan.Kind) bool {
	return slices.ContainsFunc(findings, func(f scan.Finding) bool { return f.Kind == kind })
}

// TestHTMLIsFoundInEveryReading packs active HTML so that a strict reader does not see it. It has to be found, and what is
// delivered must not have it, unless the mail is held back.
func TestHTMLIsFoundInEveryReading(t *testing.T) {
	plain, html := "Content-Type: text/plain\r\n\r\nhello\r\n", "Content-Type: text/html\r\n\r\n"+hostileHTML
	inner := "From: c@example.org\r\nSubject: i\r\nMIME-Version: 1.0\r\n" + html
	tests := []struct{ name, mail string }{
		{"no type", "\r\n" + hostileHTML},
		{"empty type", "Content-Type:\r\n\r\n" + hostileHTML},
		{"text that begins as HTML", "Content-Type: text/plain\r\n\r\n" + hostileHTML},
		{"octets that begin as HTML", "Content-Type: application/octet-stream\r\n\r\n" + hostileHTML},
		{"unknown text type", "Content-Type: text/htm\r\n\r\n" + hostileHTML},
		{"XHTML as XML", "Content-Type: text/xml\r\n\r\n<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><body>hello<script>alert(1)</script></body></html>"},
		{"quoted type", "Content-Type: \"text/html\"\r\n\r\nhi " + hostileHTML},
		{"type in a comment", "Content-Type: text/plain (text/html)\r\n\r\nhi " + hostileHTML},
		{"type as encoded word", "Content-Type: =?utf-8?q?text/html?=\r\n\r\nhi " + hostileHTML},
		{"NUL in the type", "Content-Type: text/ht\x00ml\r\n\r\nhi " + hostileHTML},
		{"type behind a bare CR", "X-A: b\rContent-Type: text/html\r\n\r\nhi " + hostileHTML},
		{"two types, plain first", "Content-Type: text/plain\r\n" + html},
		{"two encodings", "Content-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(hostileHTML)},
		{"base64 in name only", "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n" + hostileHTML},
		{"unknown encoding", "Content-Type: text/html\r\nContent-Transfer-Encoding: x-base64\r\n\r\n" + lines(hostileHTML)},
		{"encoded message", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(inner)},
		{"encoded message in a multipart", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + plain + "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(inner) + "--b--\r\n"},
		{"message as a file", "Content-Type: application/octet-stream; name=x.eml\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(inner)},
		{"partial message", "Content-Type: message/partial; id=x; number=1; total=1\r\n\r\n" + inner},
		{"external body", "Content-Type: message/external-body; access-type=url; url=x\r\n\r\n" + html},
		{"encoded multipart", "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines("--b\r\n"+html+"--b--\r\n")},
		{"no boundary", "Content-Type: multipart/mixed\r\n\r\n--b\r\n" + html + "--b--\r\n"},
		{"two boundaries", "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n" + plain + "--a--\r\n--b\r\n" + html + "--b--\r\n"},
		{"preamble", "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + html + "--b\r\n" + plain + "--b--\r\n"},
		{"epilogue", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + plain + "--b--\r\n--b\r\n" + html + "--b--\r\n"},
		{"indented delimiter", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + plain + " --b\r\n" + html + "--b--\r\n"},
		{"no field in the header of a part", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX y\r\n" + html + "--b--\r\n"},
		{"beyond the limit of parts", "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n"+plain, 1001) + "--b\r\n" + html + "--b--\r\n"},
		{"beyond the limit of fields", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Repeat("X-A: b\r\n", 21000) + html + "--b--\r\n"},
		{"base64 behind text of the same part", "Content-Type: text/plain\r\n\r\nhi\r\nbegin 644 x.html\r\n" + uuencoded(hostileHTML) + "`\r\nend\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mail := "From: a@example.org\r\nTo: b@example.net\r\nMIME-Version: 1.0\r\n" + test.mail
			out, found, held := safe(t, mail, scan.Active)
			if !hasKind(found, KindScript) {
				t.Errorf("not found: %v", found)
			}
			if !held && (strings.Contains(out, "<script") || strings.Contains(out, "PHNjcmlwd") || strings.Contains(out, "xzY3JpcHQ") || strings.Contains(out, "8c2NyaXB0") || strings.Contains(out, "begin 644")) {
				t.Errorf("delivered:\n%s", out)
			}
			if !held && !strings.Contains(out, "hello") && !strings.Contains(out, "aGVsbG8") {
				t.Errorf("the text is gone:\n%s", out)
			}
		})
	}
}

// uuencoded encodes text in lines of uuencode.
func uuencoded(text string) string {
	var out strings.Builder
	for line := range slices.Chunk([]byte(text), 45) {
		out.WriteByte(byte(' ' + len(line)))
		for chunk := range slices.Chunk(line, 3) {
			var c [3]byte
			copy(c[:], chunk)
			for _, v := range []byte{c[0] >> 2, c[0]<<4&0x30 | c[1]>>4, c[1]<<2&0x3c | c[2]>>6, c[2] & 0x3f} {
				out.WriteByte(' ' + v)
			}
		}
		out.WriteString("\r\n")
	}
	return out.String()
}

// TestTextAboutHTMLStays: who writes about HTML, quotes it or sends a file of it in plain text is not disturbed.
func TestTextAboutHTMLStays(t *testing.T) {
	for name, mail := range map[string]string{
		"talk":           "Content-Type: text/plain\r\n\r\nPut <script>alert(1)</script> into the page.\r\n",
		"snippet":        "Content-Type: text/plain\r\n\r\n<b>1</b>\r\n<a href=\"x\">y</a>\r\nerror in <script>\r\n",
		"digression":     "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nPut <script>alert(1)</script> there.\r\n-- \r\nme\r\n",
		"source as file": "Content-Type: text/plain; name=page.txt\r\nContent-Disposition: attachment; filename=page.txt\r\n\r\n" + hostileHTML,
		"harmless HTML":  "Content-Type: text/plain\r\n\r\n<html><body><p>hello</p><img src=\"https://a.test/x.png\"></body></html>\r\n",
		"harmless XML":   "Content-Type: application/xml; name=invoice.xml\r\n\r\n<?xml version=\"1.0\"?><?xml-stylesheet href=\"x.xsl\"?><i:Invoice xmlns:i=\"urn:x\"><i:form href=\"a\">1</i:form></i:Invoice>\r\n",
		"comment ends":   "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>a</p><!-- x\r\n-->\r\n\r\n<p>b</p>\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			mail = "From: a@example.org\r\nTo: b@example.net\r\nMIME-Version: 1.0\r\n" + mail
			for _, level := range []scan.Level{scan.Active, scan.Remote} {
				out, found, held := safe(t, mail, level)
				if held || out != mail {
					t.Errorf("%s: held %v, %v:\n%s", level, held, found, out)
				}
			}
		})
	}
}

// TestHTMLIsFoundInEveryCharset declares charsets in a way that readers differ.
func TestHTMLIsFoundInEveryCharset(t *testing.T) {
	const utf7 = "<p>x</p>+ADw-script+AD4-alert(1)+ADw-/script+AD4-"
	big := make([]byte, 0, 2*len(hostileHTML))
	for _, c := range []byte(hostileHTML) {
		big = append(big, 0, c)
	}
	for name, mail := range map[string]string{
		"two parameters":           "charset=utf-8; charset=utf-7\r\n\r\n" + utf7,
		"RFC 2231":                 "charset=utf-8; charset*=us-ascii''utf-7\r\n\r\n" + utf7,
		"another in meta":          "charset=utf-8\r\n\r\n<meta charset=utf-7>" + utf7,
		"UTF-16 in big endian":     "charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(string(big)),
		"readers without ISO-2022": "charset=iso-2022-jp\r\n\r\n<p title=\"\x1b$B\"><script>alert(1)</script>\x1b(B\"></p>",
	} {
		t.Run(name, func(t *testing.T) {
			out, found, held := safe(t, "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/html; "+mail, scan.Active)
			if held || !hasKind(found, KindScript) {
				t.Errorf("held %v, found %v", held, found)
			}
			if strings.Contains(out, "<script") || strings.Contains(out, "utf-7") || !strings.Contains(out, "charset=utf-8") && !strings.Contains(out, "text/plain") {
				t.Errorf("delivered:\n%s", out)
			}
		})
	}
}
