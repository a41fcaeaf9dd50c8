package headers

import (
	"mime"
	"strings"
	"testing"

	"assay/milter/plan"
	"assay/verify/message"
)

func TestTagSubject(t *testing.T) {
	long := strings.Repeat("word ", 40)
	for _, tt := range []struct{ name, raw, prefix, want, shown string }{
		{"plain", "Subject: Hello\r\n", "[extern]", "[extern] Hello", "[extern] Hello"},
		{"umlaut", "Subject: Hello\r\n", "[ungültig]", "=?utf-8?q?[ung=C3=BCltig]?= Hello", "[ungültig] Hello"},
		{"two encoded words keep their blank", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n", "[ungültig]",
			"=?utf-8?q?[ung=C3=BCltig]_?= =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "[ungültig] Grüße"},
		{"folded as it was", "Subject: a\r\n b\r\n", "[x]", "[x] a\n b", "[x] a b"},
		{"begins on the next line", "Subject:\r\n b\r\n", "[x]", "[x] b", "[x] b"},
		{"raw octets", "Subject: Gr\xc3\xbc\xc3\x9fe\r\n", "[x]", "=?utf-8?q?[x]_Gr=C3=BC=C3=9Fe?=", "[x] Grüße"},
		{"raw octets of Windows-1252", "Subject: Gr\xfc\xdfe \x80\r\n", "[x]", "=?utf-8?q?[x]_Gr=C3=BC=C3=9Fe_=E2=82=AC?=", "[x] Grüße €"},
		{"NUL", "Subject: a\x00b\r\n", "[x]", "[x] ab", "[x] ab"},
		{"empty", "Subject:\r\n", "[x]", "[x]", "[x]"},
		{"long", "Subject: " + strings.TrimSpace(long) + "\r\n", "[x]", "[x]\n " + strings.TrimSpace(long), "[x] " + strings.TrimSpace(long)},
	} {
		got := TagSubject(message.Field{Name: "Subject", Raw: []byte(tt.raw)}, tt.prefix)
		shown, err := new(mime.WordDecoder).DecodeHeader(strings.ReplaceAll(got, "\n", ""))
		if got != tt.want || shown != tt.shown || err != nil || !plan.ValidValue(got) {
			t.Errorf("%s: %q, shown as %q (%v)", tt.name, got, shown, err)
		}
	}
}

func TestNewTags(t *testing.T) {
	for _, tt := range []struct {
		tags          []string
		subject, want string
	}{
		{[]string{"[a]", "[b]", "[a]"}, "x", "[a] [b]"},
		{[]string{"[a]", "[b]"}, "[a] x", "[b]"},
		{[]string{"[a]"}, "Re: [a] x", "[a]"},
		{[]string{"[a\r\nb]\x00", ""}, "x", "[a b]"},
		{[]string{"[\u202eb\u2066]"}, "x", "[b]"},
	} {
		if got := NewTags(tt.tags, tt.subject); got != tt.want {
			t.Errorf("%q before %q: %q", tt.tags, tt.subject, got)
		}
	}
}
