package html

import (
	"bytes"
	"html"
	"strconv"
	"unicode/utf8"
)

// decode undoes the character references of an attribute value (HTML Standard Section 13.2.5.72 and following), by the
// rule for attributes: a reference without a semicolon in front of "=" or a letter is none.
func decode(v []byte) []byte {
	i := bytes.IndexByte(v, '&')
	if i < 0 {
		return v
	}
	out := make([]byte, 0, len(v)+8)
	for ; i >= 0; i = bytes.IndexByte(v, '&') {
		out = append(out, v[:i]...)
		v = v[i:]
		text, n := reference(v)
		if n == 0 {
			text, n = "&", 1
		}
		out = append(out, text...)
		v = v[n:]
	}
	return append(out, v...)
}

// maxReference is longer than the longest name of a character.
const maxReference = 40

// reference reads one reference at the start of v; n is 0 if there is none.
func reference(v []byte) (text string, n int) {
	if len(v) > 1 && v[1] == '#' {
		return numericReference(v)
	}
	n = 1
	for n < len(v) && n < maxReference && (isLetter(v[n]) || v[n] >= '0' && v[n] <= '9') {
		n++
	}
	if n == 1 {
		return "", 0
	}
	name := string(v[1:n])
	if name == "amp" && (n >= len(v) || v[n] != '=') {
		if n < len(v) && v[n] == ';' {
			n++
		}
		return "&", n
	}
	full := html.UnescapeString("&" + name + ";")
	if full[len(full)-1] == ';' && name != "semi" {
		return "", 0 // no such name
	}
	switch {
	case n < len(v) && v[n] == ';':
		return full, n + 1
	case n < len(v) && v[n] == '=' || html.UnescapeString("&"+name) != full:
		return "", 0
	}
	return full, n
}

// numericReference reads &#106; and &#x6a; with or without the semicolon.
func numericReference(v []byte) (text string, n int) {
	n, base := 2, 10
	if n < len(v) && v[n]|0x20 == 'x' {
		n, base = 3, 16
	}
	from := n
	for n < len(v) && (v[n] >= '0' && v[n] <= '9' || base == 16 && v[n]|0x20 >= 'a' && v[n]|0x20 <= 'f') {
		n++
	}
	if n == from {
		return "", 0
	}
	digits := bytes.TrimLeft(v[from:n], "0")
	code := uint64(utf8.RuneError)
	if len(digits) <= 8 {
		code, _ = strconv.ParseUint("0"+string(digits), base, 64)
	}
	if n < len(v) && v[n] == ';' {
		n++
	}
	return html.UnescapeString("&#" + strconv.FormatUint(min(code, 0x110000), 10) + ";"), n
}

// A scheme is what the scheme of an address means for mail.
type scheme uint8

const (
	schemeNone     scheme = iota // relative, or nothing
	schemeFragment               // "#..." or empty: the document itself
	schemeWeb                    // http and https
	schemeNetwork                // "//host/...": http or file, as the reader takes it
	schemeUNC                    // "\\host\share"
	schemePart                   // cid and mid: another part of the message
	schemeData                   // data
	schemeLink                   // a program for people: mailto, tel, ...
	schemeBad                    // anything else, and what some reader could take for anything else
)

// ignored says whether some reader leaves the character out of an address.
func ignored(r rune) bool {
	return r <= ' ' || r >= 0x7f && r <= 0xa0 || r == 0xad || r == 0x34f || r == 0x61c || r == 0x180e ||
		r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202f || r >= 0x2060 && r <= 0x206f || r == 0xfeff || r == utf8.RuneError
}

// compact returns an address without the characters that some reader ignores; v itself when there are none.
func compact(v []byte) []byte {
	clean := true
	for _, c := range v {
		if c <= ' ' || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); {
		r, n := utf8.DecodeRune(v[i:])
		if r == utf8.RuneError && n == 1 && v[i] > 0xa0 {
			out = append(out, v[i]) // a letter of an 8-bit charset
		} else if !ignored(r) {
			out = append(out, v[i:i+n]...)
		}
		i += n
	}
	return out
}

// schemeOf judges a decoded address. Only a scheme that is known to be harmless is harmless, and an address without one
// has its first "/", "?" or "#" before any colon.
func schemeOf(v []byte) scheme {
	u := compact(v)
	if trimmed := trimControls(v); len(trimmed) == 0 || trimmed[0] == '#' {
		return schemeFragment
	}
	if len(u) == 0 {
		return schemeNone
	}
	if len(u) > 1 && (u[0] == '/' || u[0] == '\\') && (u[1] == '/' || u[1] == '\\') {
		if u[0] == '\\' || u[1] == '\\' {
			return schemeUNC
		}
		return schemeNetwork
	}
	end := delimiter(u[:min(len(u), 64)])
	if end < 0 || u[end] != ':' {
		if bytes.IndexByte(u[:min(len(u), 64)], ':') >= 0 && maybeScheme(u[:max(end, 0)]) {
			return schemeBad
		}
		return schemeNone
	}
	return knownScheme(u[:end], u[end+1:])
}

// trimControls returns v without the blanks around it that no reader keeps.
func trimControls(v []byte) []byte {
	for len(v) > 0 && v[0] <= ' ' {
		v = v[1:]
	}
	for len(v) > 0 && v[len(v)-1] <= ' ' {
		v = v[:len(v)-1]
	}
	return v
}

// delimiter returns the offset of the first octet that ends a scheme or shows that there is none, -1 if there is none.
func delimiter(u []byte) int {
	for i, c := range u {
		if c == ':' || c == '/' || c == '?' || c == '#' || c == '\\' {
			return i
		}
	}
	return -1
}

// maybeScheme says whether text before the first delimiter is written as a reader that undoes another encoding could
// take for a scheme: "javascript%3a", "java&#x73;cript".
func maybeScheme(u []byte) bool {
	return bytes.HasSuffix(bytes.ToLower(u), []byte("script&")) || bytes.Contains(bytes.ToLower(u), []byte("script%3a"))
}

// knownScheme judges a scheme and, for the web, what comes behind the colon.
func knownScheme(name, rest []byte) scheme {
	var buf [12]byte
	if len(name) > len(buf) {
		return schemeBad
	}
	lower := buf[:len(name)]
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	switch string(lower) {
	case "http", "https":
		return schemeWeb
	case "cid", "mid":
		return schemePart
	case "data":
		return schemeData
	case "mailto", "tel", "sms", "ftp", "ftps", "xmpp", "sip", "sips", "news", "nntp", "callto", "webcal", "geo", "im", "skype", "facetime", "whatsapp", "tg", "maps", "bitcoin":
		return schemeLink
	}
	return schemeBad
}

// isRasterData says whether a data: address holds an image that cannot run anything.
func isRasterData(v []byte) bool {
	u := compact(v)
	kind, _, found := bytes.Cut(u[min(len(u), len("data:")):], []byte(","))
	if !found {
		return false
	}
	kind, _, _ = bytes.Cut(kind, []byte(";"))
	if len(kind) > 32 {
		return false
	}
	switch string(bytes.ToLower(kind)) {
	case "image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon", "image/avif":
		return true
	}
	return false
}

// isFontData says whether a data: address holds a font.
func isFontData(v []byte) bool {
	u := bytes.ToLower(compact(v[:min(len(v), 64)]))
	for _, prefix := range []string{"data:font/", "data:application/font", "data:application/x-font"} {
		if bytes.HasPrefix(u, []byte(prefix)) {
			return true
		}
	}
	return false
}
