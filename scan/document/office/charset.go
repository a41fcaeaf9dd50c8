package office

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"assay/scan/container"
)

// decodeXML returns a part in UTF-8, without its byte order mark (XML 1.0 Section 4.3.3 and Appendix F). What is in UTF-8
// already is returned as it is.
func decodeXML(content []byte, b *container.Budget) ([]byte, error) {
	name := charsetOf(content)
	if name == "utf-8" {
		return bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), nil
	}
	if err := b.Spend(int64(len(content)) * 2); err != nil {
		return nil, err
	}
	switch name {
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Bytes(content)
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder().Bytes(content)
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM).NewDecoder().Bytes(content)
	case "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM).NewDecoder().Bytes(content)
	case "utf-7":
		return decodeUTF7(content), nil
	}
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || enc == nil {
		return nil, fmt.Errorf("unknown character encoding %q", clip(name))
	}
	return enc.NewDecoder().Bytes(content)
}

// charsetOf tells the character encoding: by a mark, by the zeros between the characters, by the declaration.
func charsetOf(content []byte) string {
	head := content[:min(len(content), 256)]
	for _, mark := range []struct{ start, name string }{
		{"\xef\xbb\xbf", "utf-8"},
		{"\xff\xfe\x00\x00", "utf-32le"}, {"\x00\x00\xfe\xff", "utf-32be"}, {"<\x00\x00\x00", "utf-32le"}, {"\x00\x00\x00<", "utf-32be"},
		{"\xff\xfe", "utf-16le"}, {"\xfe\xff", "utf-16be"}, {"<\x00", "utf-16le"}, {"\x00<", "utf-16be"},
	} {
		if bytes.HasPrefix(head, []byte(mark.start)) {
			return mark.name
		}
	}
	if bytes.HasPrefix(head, []byte("+ADw")) || bytes.HasPrefix(head, []byte("+/v")) {
		return "utf-7"
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	if !bytes.HasPrefix(head, []byte("<?xml")) {
		return "utf-8"
	}
	end := bytes.Index(head, []byte("?>"))
	at := bytes.Index(head[:max(0, end)], []byte("encoding"))
	if at < 0 {
		return "utf-8"
	}
	value := strings.TrimLeft(string(head[at+len("encoding"):end]), " \t\r\n=")
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return "utf-8"
	}
	name, _, _ := strings.Cut(value[1:], value[:1])
	return normalCharset(strings.ToLower(strings.TrimSpace(name)))
}

// normalCharset maps what is UTF-8 to a reader of markup to that. An octet stream that is declared as UTF-16 and begins
// with a readable declaration is none.
func normalCharset(name string) string {
	switch name {
	case "", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be", "ucs-2", "iso-10646-ucs-2", "utf-32":
		return "utf-8"
	case "utf7", "unicode-1-1-utf-7", "csutf7":
		return "utf-7"
	}
	return name
}

// decodeUTF7 decodes RFC 2152, tolerantly: what is no shift stays as it is.
func decodeUTF7(content []byte) []byte {
	out := make([]byte, 0, len(content))
	for len(content) > 0 {
		i := bytes.IndexByte(content, '+')
		if i < 0 {
			return append(out, content...)
		}
		out = append(out, content[:i]...)
		content = content[i+1:]
		n := 0
		for n < len(content) && isBase64(content[n]) {
			n++
		}
		if n == 0 {
			out = append(out, '+')
		} else {
			out = appendShift(out, content[:n])
		}
		content = bytes.TrimPrefix(content[n:], []byte("-"))
	}
	return out
}

func isBase64(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

// appendShift appends the characters of a shifted sequence: UTF-16 in base64 without padding.
func appendShift(out, shift []byte) []byte {
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(shift)))
	n, _ := base64.RawStdEncoding.Decode(raw, shift) // bits that are left over do not matter
	units := make([]uint16, 0, n/2)
	for i := 0; i+1 < n; i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

// clip bounds a text that is quoted in a Detail.
func clip(s string) string {
	const limit = 100
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
