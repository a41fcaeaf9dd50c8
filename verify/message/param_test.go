package message

import (
	"fmt"
	"strings"
	"testing"
)

// partOf describes a leaf with these header fields, written with CRLF.
func partOf(t *testing.T, fields string) (*Part, string) {
	t.Helper()
	h, complete := parseFields([]byte(fields), 100)
	if !complete {
		t.Fatalf("%q has too many fields", fields)
	}
	var d defects
	p := &Part{Header: h, Parent: &Part{MediaType: "multipart/mixed"}}
	d.describe(p, typeText, 100)
	var all []string
	for _, x := range d.list {
		all = append(all, x.Code)
	}
	return p, strings.Join(all, " ")
}

func TestContentType(t *testing.T) {
	tests := []struct{ value, mediaType, params, defects string }{
		{"text/html", "text/html", "map[]", ""},
		{"TEXT/HTML; Charset=UTF-8", "text/html", "map[charset:UTF-8]", ""},
		{"text/plain;charset=a;format=flowed", "text/plain", "map[charset:a format:flowed]", ""},
		{"text/plain; charset=us-ascii (Plain text)", "text/plain", "map[charset:us-ascii]", "mime.field.comment"},
		{"(a) text (b)/ (c) plain (d); (e) charset (f) = (g) x (h)", "text/plain", "map[charset:x]", "mime.field.comment"},
		{"text/plain; charset=\"us-ascii\"", "text/plain", "map[charset:us-ascii]", ""},
		{"a/b; c=\"d \\\" e \\\\ f; g\"; h=i", "a/b", "map[c:d \" e \\ f; g h:i]", ""},
		{"a/b; name=\"C:\\temp\\x.txt\"", "a/b", "map[name:C:\\temp\\x.txt]", ""},
		{"multipart/mixed;\r\n\tboundary=\"a\"", "multipart/mixed", "map[boundary:a]", ""},
		{"\r\n multipart/mixed; boundary=a", "multipart/mixed", "map[boundary:a]", ""},
		{"multipart/mixed\r\n ; boundary=a", "multipart/mixed", "map[boundary:a]", ""},
		{"multipart/\r\n mixed; boundary=a", "multipart/mixed", "map[boundary:a]", "mime.field.folded"},
		{"multipart/mixed; boundary=\"a\r\n b\"", "multipart/mixed", "map[boundary:a b]", "mime.field.folded"},
		{"multipart/mixed; boundary= a", "multipart/mixed", "map[boundary:a]", "mime.param.blank"},
		{"multipart/mixed; boundary =\"a\"", "multipart/mixed", "map[boundary:a]", "mime.param.blank"},
		{"multipart/mixed; boundary=a ; x=y", "multipart/mixed", "map[boundary:a x:y]", "mime.param.blank"},
		{"multipart/mixed; boundary=\"a\" ; x = y", "multipart/mixed", "map[boundary:a x:y]", ""},
		// What package mime of the standard library gives up on.
		{"multipart/mixed; boundary=a; boundary=b", "multipart/mixed", "map[boundary:a]", "mime.param.duplicate"},
		{"multipart/mixed; boundary=a; BOUNDARY=\"a\"", "multipart/mixed", "map[boundary:a]", "mime.param.repeated"},
		{"multipart/mixed; boundary=a=b", "multipart/mixed", "map[boundary:a=b]", "mime.param.invalid"},
		{"text/html; charset=utf-8;;", "text/html", "map[charset:utf-8]", ""},
		{";;", "text/plain", "map[]", "mime.type.invalid"},
		{"text/html; charset", "text/html", "map[]", "mime.param.invalid"},
		{"text/html; charset=", "text/html", "map[charset:]", "mime.param.invalid"},
		{"text/html; =utf-8; a=b", "text/html", "map[a:b]", "mime.param.invalid"},
		{"text/html charset=utf-8", "text/html", "map[charset:utf-8]", "mime.param.invalid"},
		{"text/html, charset=utf-8", "text/html", "map[charset:utf-8]", "mime.param.invalid"},
		{"text/html; charset=utf-8, name=x", "text/html", "map[charset:utf-8, name=x]", "mime.param.invalid"},
		{"text/html; name=my file.pdf; a=b", "text/html", "map[a:b name:my file.pdf]", "mime.param.invalid"},
		{"text/html; name=a(1).pdf", "text/html", "map[name:a(1).pdf]", "mime.param.invalid"},
		{"text/html; name=\"a\" b; c=d", "text/html", "map[c:d name:a]", "mime.param.invalid"},
		{"text/html; name=\"a; b=c", "text/html", "map[name:a; b=c]", "mime.param.invalid"},
		{"text/html; n\"a=b; c=d", "text/html", "map[c:d]", "mime.param.invalid"},
		{"text/html; (unclosed; a=b", "text/html", "map[]", "mime.field.comment"},
		{"text", "text/plain", "map[]", "mime.type.invalid"},
		{"text/", "text/plain", "map[]", "mime.type.invalid"},
		{"/html", "text/plain", "map[]", "mime.param.invalid mime.type.invalid"},
		{"", "text/plain", "map[]", "mime.type.invalid"},
		{"\"text/html\"; a=b", "text/plain", "map[a:b]", "mime.param.invalid mime.type.invalid"},
		// RFC 2231.
		{"a/b; title*=us-ascii'en-us'This%20is%20%2A", "a/b", "map[title:This is *]", ""},
		{"a/b; title*0=\"a \"; title*1=b; title*2=\" c\"", "a/b", "map[title:a b c]", ""},
		{"a/b; title*1=b; title*0*=iso-8859-1''%e4; title*2*=%f6", "a/b", "map[title:äbö]", ""},
		{"a/b; title*0=a; title*2=c", "a/b", "map[title:a]", "mime.param.invalid"},
		{"a/b; title*0=a; title*0=b", "a/b", "map[title:a]", "mime.param.invalid"},
		{"a/b; title*=a'b; c=d", "a/b", "map[c:d title:b]", ""},
		{"a/b; title*=plain", "a/b", "map[title:plain]", ""},
		{"a/b; title*=utf-8''%zz%4", "a/b", "map[title:%zz%4]", ""},
		{"a/b; title*x=y; title**=z; *=q", "a/b", "map[:q title**:z title*x:y]", ""},
		{"a/b; title*99999999999999999999=y", "a/b", "map[title*99999999999999999999:y]", ""},
		{"multipart/mixed; boundary=\"a b\"; boundary*0=x", "multipart/mixed", "map[boundary:a b]", "mime.param.extended"},
		{"multipart/mixed; boundary*=''x", "multipart/mixed", "map[boundary:x]", "mime.param.extended"},
		{"multipart/signed; protocol*0=a; protocol*1=b; micalg=c", "multipart/signed", "map[micalg:c protocol:ab]", "mime.param.extended"},
		{"a/b; name=x.txt; name*=utf-8''%C3%A4.txt", "a/b", "map[name:ä.txt]", "mime.name.both"},
		// RFC 2047.
		{"a/b; name=\"=?utf-8?q?=C3=A4.txt?=\"", "a/b", "map[name:ä.txt]", "mime.name.encoded-word"},
		{"multipart/mixed; boundary=\"=?utf-8?q?a?=\"", "multipart/mixed", "map[boundary:=?utf-8?q?a?=]", "mime.param.encoded-word"},
		{"multipart/mixed; boundary=\"=?a\"", "multipart/mixed", "map[boundary:=?a]", ""},
		{"a/b; name=\"\xe4.txt\"", "a/b", "map[name:\uFFFD.txt]", ""},
	}
	for _, test := range tests {
		p, defects := partOf(t, "Content-Type: "+test.value+"\r\n")
		if got := fmt.Sprint(p.Params); p.MediaType != test.mediaType || got != test.params {
			t.Errorf("%q = %s %s, want %s %s", test.value, p.MediaType, got, test.mediaType, test.params)
		}
		if defects != test.defects {
			t.Errorf("%q: defects %q, want %q", test.value, defects, test.defects)
		}
	}
}

func TestPartDescription(t *testing.T) {
	tests := []struct{ fields, want, defects string }{
		{"", "text/plain 7bit \"\" \"\"", ""},
		{"Content-Transfer-Encoding: BASE64\r\n", "text/plain base64 \"\" \"\"", ""},
		{"Content-Transfer-Encoding: Quoted-Printable (why)\r\n", "text/plain quoted-printable \"\" \"\"", "mime.field.comment"},
		{"Content-Transfer-Encoding: base64;\r\n", "text/plain base64 \"\" \"\"", ""},
		{"Content-Transfer-Encoding:\r\n base64\r\n", "text/plain base64 \"\" \"\"", "mime.encoding.folded"},
		{"Content-Transfer-Encoding:\r\n", "text/plain 7bit \"\" \"\"", "mime.encoding.empty"},
		{"Content-Transfer-Encoding: X-UUencode\r\n", "text/plain x-uuencode \"\" \"\"", "mime.encoding.unknown"},
		{"Content-Transfer-Encoding: base 64\r\n", "text/plain base \"\" \"\"", "mime.param.invalid mime.encoding.unknown"},
		{"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n", "text/plain base64 \"\" \"\"", "mime.field.duplicate"},
		{"Content-Type: a/b\r\ncontent-type:  a/b \r\n", "a/b 7bit \"\" \"\"", "mime.field.repeated"},
		{"Content-Type: a/b\r\ncontent-type: a/b\r\nContent-Type: c/d\r\n", "a/b 7bit \"\" \"\"", "mime.field.repeated mime.field.duplicate"},
		{"Content-Type : a/b\r\n", "a/b 7bit \"\" \"\"", ""},
		{"Content-Disposition: Attachment; FileName=\"a.txt\"\r\n", "text/plain 7bit \"attachment\" \"a.txt\"", ""},
		{"Content-Type: a/b; name=a.txt\r\n", "a/b 7bit \"\" \"a.txt\"", ""},
		{"Content-Type: a/b; name=a.txt\r\nContent-Disposition: inline\r\n", "a/b 7bit \"inline\" \"a.txt\"", ""},
		{"Content-Type: a/b; name=a.txt\r\nContent-Disposition: inline; filename=b.exe\r\n", "a/b 7bit \"inline\" \"b.exe\"", "mime.name.differs"},
		{"Content-Disposition: attachment; filename*=utf-8''%e4%b8%ad.txt; filename=x.txt\r\n", "text/plain 7bit \"attachment\" \"中.txt\"", "mime.name.both"},
		{"Content-Disposition: attachment; filename=\"=?utf-8?B?5Lit?= =?utf-8?B?LnR4dA==?=\"\r\n", "text/plain 7bit \"attachment\" \"中.txt\"", "mime.name.encoded-word"},
		{"Content-Disposition: filename=x.txt\r\n", "text/plain 7bit \"filename\" \"\"", "mime.param.invalid"},
	}
	for _, test := range tests {
		p, defects := partOf(t, test.fields)
		if got := fmt.Sprintf("%s %s %q %q", p.MediaType, p.Encoding, p.Disposition, p.Filename); got != test.want {
			t.Errorf("%q = %s, want %s", test.fields, got, test.want)
		}
		if defects != test.defects {
			t.Errorf("%q: defects %q, want %q", test.fields, defects, test.defects)
		}
	}
}

func TestMIMEVersion(t *testing.T) {
	m := readBytes(t, []byte("Content-Type: text/html\r\n\r\n"), Limits{})
	if got := codes(m); got != "1:mime.version.missing" {
		t.Errorf("defects %q", got)
	}
	m = readBytes(t, []byte("mime-version: 1.0\r\nContent-Type: text/html\r\n\r\n"), Limits{})
	if got := codes(m); got != "" {
		t.Errorf("defects %q", got)
	}
}
