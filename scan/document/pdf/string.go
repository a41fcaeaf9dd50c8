package pdf

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// longest is how much of a name gets into a detail, in octets.
const longest = 100

// decode returns the text of a string: UTF-16 or UTF-8 with a mark, else PDFDocEncoding (ISO 32000-2 Section 7.9.2.2), which
// is Windows-1252 for nearly all that is printed.
func decode(t text) string {
	switch {
	case bytes.HasPrefix(t, []byte("\xfe\xff")):
		return wide(t[2:], 0)
	case bytes.HasPrefix(t, []byte("\xff\xfe")):
		return wide(t[2:], 1)
	case bytes.HasPrefix(t, []byte("\xef\xbb\xbf")):
		return strings.ToValidUTF8(string(t[3:]), "\ufffd")
	case utf8.Valid(t): // files have it without the mark as well
		return string(t)
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(t)
	if err != nil {
		return strings.ToValidUTF8(string(t), "\ufffd")
	}
	return string(out)
}

// wide decodes UTF-16 whose high octets come first, or second.
func wide(b []byte, high int) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, uint16(b[high])<<8|uint16(b[1-high]))
	}
	return string(utf16.Decode(units))
}

// short cuts a name for a detail.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) <= longest {
		return s
	}
	cut := longest
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
