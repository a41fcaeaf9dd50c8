package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
)

// decoded returns the content of a leaf with this encoding, and the defects of the message.
func decoded(t *testing.T, encoding, body string) (string, string) {
	t.Helper()
	m := build(t, Limits{}, [][2]string{{"MIME-Version", " 1.0"}, {"Content-Transfer-Encoding", " " + encoding}}, body)
	got, err := io.ReadAll(m.Content(m.Root))
	if err != nil {
		t.Fatal(err)
	}
	slow, err := io.ReadAll(iotest.OneByteReader(m.Content(m.Root)))
	if err != nil || !bytes.Equal(got, slow) {
		t.Errorf("%q read octet by octet gives %q, %v; at once %q", body, slow, err, got)
	}
	return string(got), codes(m)
}

func TestContent(t *testing.T) {
	tests := []struct{ encoding, body, want, defects string }{
		{"7bit", "a=20b\r\n", "a=20b\r\n", ""},
		{"8bit", "\xe4", "\xe4", ""},
		{"x-unknown", "YQ==", "YQ==", "1:mime.encoding.unknown"},
		{"base64", "", "", ""},
		{"base64", "SGVsbG8gd29ybGQ=\r\n", "Hello world", ""},
		{"base64", "SGVs\r\nbG8gd29ybGQ=\r\n", "Hello world", ""},
		{"base64", "SGVsbG8gd29ybGQ= \t\r\n", "Hello world", ""},
		{"base64", "SGVs bG8gd29ybGQ=\r\n", "Hello world", "1:mime.base64.blank"},
		{"base64", "SGVs*bG8g!d29ybGQ=\r\n", "Hello world", "1:mime.base64.junk"},
		{"base64", "SGVsbG8=IHdvcmxk\r\n", "Hello world", "1:mime.base64.padding"},
		{"base64", "SGVsbG8=\r\nIHdvcmxk\r\n", "Hello world", "1:mime.base64.padding"},
		{"base64", "SGVsbG8gd29ybGQ", "Hello world", "1:mime.base64.length"},
		{"base64", "SGVsb", "Hel", "1:mime.base64.length"},
		{"base64", "SGVsbG8gd29ybGQ==", "Hello world", "1:mime.base64.length"},
		{"base64", "SGVsbG8gd29ybGQ=\r\n-- \r\n", "Hello world", "1:mime.base64.junk"},
		{"quoted-printable", "Gr=C3=BC=C3=9Fe\r\n", "Grüße\r\n", ""},
		{"quoted-printable", "a=\r\nb", "ab", ""},
		{"quoted-printable", "a=\nb", "ab", ":line.bare-lf"},
		{"quoted-printable", "a= \t\r\nb", "ab", "1:mime.qp.soft-break"},
		{"quoted-printable", "a \t\r\nb ", "a\r\nb", ""},
		{"quoted-printable", "a=20\r\nb", "a \r\nb", ""},
		{"quoted-printable", "Gr\xc3\xbc\xc3\x9fe in a longer line", "Gr\xc3\xbc\xc3\x9fe in a longer line", "1:mime.qp.8bit"},
		{"quoted-printable", "a longer line\xe4", "a longer line\xe4", "1:mime.qp.8bit"},
		{"quoted-printable", "\xe4", "\xe4", "1:mime.qp.8bit"},
		{"quoted-printable", "=c3=bC", "\xc3\xbc", "1:mime.qp.lower-hex"},
		{"quoted-printable", "a=b=3", "a=b=3", "1:mime.qp.escape"},
		{"quoted-printable", "a=zz=3D=", "a=zz=", "1:mime.qp.escape"},
		{"quoted-printable", "==3D\r\n", "==\r\n", "1:mime.qp.escape"},
	}
	for _, test := range tests {
		got, defects := decoded(t, test.encoding, test.body)
		if got != test.want {
			t.Errorf("%s %q = %q, want %q", test.encoding, test.body, got, test.want)
		}
		if defects != test.defects {
			t.Errorf("%s %q: defects %q, want %q", test.encoding, test.body, defects, test.defects)
		}
	}
}

// What the encoders of the standard library write is read back, for all lengths and lines longer than any buffer.
func TestContentRoundTrip(t *testing.T) {
	all := make([]byte, 0, 20000)
	for i := range cap(all) {
		all = append(all, byte(i*i>>3))
	}
	for _, n := range []int{0, 1, 2, 3, 4, 5, 57, 100, 3071, 3072, 3073, 4095, 4096, 4097, 9999, 20000} {
		encoded := base64.StdEncoding.EncodeToString(all[:n])
		if got, _ := decoded(t, "base64", encoded); got != string(all[:n]) {
			t.Errorf("base64 of %d octets in one line", n)
		}
		var lines strings.Builder
		for i := 0; i < len(encoded); i += 76 {
			lines.WriteString(encoded[i:min(i+76, len(encoded))] + "\r\n")
		}
		if got, defects := decoded(t, "base64", lines.String()); got != string(all[:n]) || defects != "" {
			t.Errorf("base64 of %d octets in lines: %q", n, defects)
		}
		var qp bytes.Buffer
		w := quotedprintable.NewWriter(&qp)
		w.Binary = true
		w.Write(all[:n])
		w.Close()
		if got, defects := decoded(t, "quoted-printable", qp.String()); got != string(all[:n]) || defects != "" {
			t.Errorf("quoted-printable of %d octets: %q", n, defects)
		}
		joined := strings.ReplaceAll(qp.String(), "=\r\n", "")
		if got, _ := decoded(t, "quoted-printable", joined); got != string(all[:n]) {
			t.Errorf("quoted-printable of %d octets in one line", n)
		}
	}
}

func TestContentOfMultipartIsNotDecoded(t *testing.T) {
	const body = "--b\r\n\r\nYQ==\r\n--b--\r\n"
	m := build(t, Limits{}, [][2]string{{"Content-Type", " multipart/mixed; boundary=b"}, {"Content-Transfer-Encoding", " base64"}}, body)
	got, err := io.ReadAll(m.Content(m.Root))
	if err != nil || string(got) != body {
		t.Errorf("content %q, %v", got, err)
	}
}

func TestText(t *testing.T) {
	tests := []struct{ value, want string }{
		{" plain ", "plain"},
		{"\r\n folded\r\n\tvalue", "folded\tvalue"},
		{" =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"},
		{" =?utf-8?b?R3LDvMOfZQ==?=", "Grüße"},
		{" =?utf-8?b?R3LDvMOfZQ?=", "Grüße"},
		{" =?iso-8859-1*de?q?Gr=FC=DFe?=", "Grüße"},
		{" =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本"},
		{" =?utf-8?q?a_b?= =?utf-8?q?c?=", "a bc"},
		{" =?utf-8?q?a?=\r\n =?iso-8859-1?q?=E4?=", "aä"},
		{" =?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"},
		{" a =?utf-8?q?b?= c =?utf-8?q?d?=", "a b c d"},
		{" =?utf-8?q?a?=b=?utf-8?q?c?=", "abc"},
		{" =?utf-8?q?what??=", "what?"},
		{" =?utf-8?q?a=?=", "a="},
		{" =?utf-8?q?a=zz?=", "a=zz"},
		{" =?utf-8?q??=", ""},
		{" =?x-none?q?a=FF?=", "a\uFFFD"},
		{" =?utf-8?q?a", "=?utf-8?q?a"},
		{" =?utf-8?x?a?=", "=?utf-8?x?a?="},
		{" =?utf-8?q", "=?utf-8?q"},
		{" =??q?a?=", "=??q?a?="},
		{" =?a b?q?a?=", "=?a b?q?a?="},
		{" =?utf-8?b?a?b?=", "=?utf-8?b?a?b?="},
		{" =?=?utf-8?q?a?=", "=?a"},
		{" \xe4", "\uFFFD"},
		{" ä", "ä"},
		{"", ""},
	}
	for _, test := range tests {
		b := NewBuilder(Limits{})
		b.AddField("Subject", []byte(test.value))
		if got := b.Header().Text("Subject"); got != test.want {
			t.Errorf("%q = %q, want %q", test.value, got, test.want)
		}
	}
}

// The zero tier is the one to be careful with, and codes that nobody has sorted are in it.
func TestTier(t *testing.T) {
	for code, want := range map[string]Tier{"": Ambiguous, "unheard.of": Ambiguous, LimitDepth: Ambiguous, BoundaryPrefix: Ambiguous,
		Base64Length: Suspicious, LineBareLF: Info} {
		if got := (Defect{Code: code}).Tier(); got != want {
			t.Errorf("%q is in tier %d, want %d", code, got, want)
		}
	}
	var zero Tier
	if zero != Ambiguous {
		t.Error("the zero tier is not the careful one")
	}
}

func TestDefectsAreFew(t *testing.T) {
	var d defects
	for range 3 {
		for i := range 2 * maxDefects {
			d.add(LineNUL, strings.Repeat("1", i+1), "")
		}
	}
	if len(d.list) != maxDefects+1 || d.list[maxDefects].Code != LimitDefects {
		t.Errorf("%d defects, the last is %v", len(d.list), d.list[len(d.list)-1])
	}
	d = defects{}
	d.addText(LineNUL, "", bytes.Repeat([]byte("x"), 1000))
	if got := d.list[0].Detail; len(got) > maxDetail+10 {
		t.Errorf("detail of %d octets", len(got))
	}
}
