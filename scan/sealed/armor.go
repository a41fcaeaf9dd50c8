package sealed

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// A block is what stands between a line "-----BEGIN label-----" and the line "-----END ...-----" that follows, or the next
// beginning or the end of the text if there is none (RFC 9580 Section 6.2, RFC 7468 Section 2).
type block struct {
	label  string // "PGP MESSAGE"
	text   []byte // the lines between, with headers
	closed bool
}

var (
	beginMark = []byte("-----BEGIN ") // never written, like endMark
	endMark   = []byte("-----END ")
)

// blocks calls visit for every block of a text whose beginning stands at the start of a line, until it returns false. What
// a reply quotes begins with "> " and is none. It is linear in the length of the text.
func blocks(text []byte, visit func(block) bool) {
	if !bytes.Contains(text, beginMark) {
		return
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // editors of Windows begin a text with it
	open, start := "", 0
	emit := func(end int, closed bool) bool {
		if open == "" {
			return true
		}
		b := block{label: open, text: text[start:end], closed: closed}
		open = ""
		return visit(b)
	}
	for at := 0; at < len(text); {
		line, next := nextLine(text, at)
		switch label, ok := beginLabel(line); {
		case ok:
			if !emit(at, false) {
				return
			}
			open, start = label, next
		case bytes.HasPrefix(line, endMark):
			if !emit(at, true) {
				return
			}
		}
		at = next
	}
	emit(len(text), false)
}

// nextLine returns the line that begins at an offset, without its end, and where the next one begins. Lines end in CR, LF
// or both.
func nextLine(text []byte, at int) (line []byte, next int) {
	rest := text[at:]
	n := bytes.IndexAny(rest, "\r\n")
	switch {
	case n < 0:
		return rest, len(text)
	case rest[n] == '\r' && n+1 < len(rest) && rest[n+1] == '\n':
		return rest[:n], at + n + 2
	}
	return rest[:n], at + n + 1
}

// beginLabel returns the label of a line that begins a block. Nothing but blanks may follow.
func beginLabel(line []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(line, beginMark)
	if !ok || len(rest) > 100 {
		return "", false
	}
	label, ok := strings.CutSuffix(strings.TrimRight(string(rest), " \t"), "-----")
	return label, ok && label != ""
}

// header returns the value of a header field of a block, and whether it has that field.
func (b block) header(name string) (string, bool) {
	for at, n := 0, 0; at < len(b.text) && n < 20; n++ {
		line, next := nextLine(b.text, at)
		key, value, ok := strings.Cut(string(line[:min(len(line), 200)]), ":")
		if !ok {
			return "", false
		}
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value), true
		}
		at = next
	}
	return "", false
}

// data decodes the base64 of a block, as far as it goes. Header fields and the checksum of OpenPGP are left out.
func (b block) data() []byte {
	var buf bytes.Buffer
	for at := 0; at < len(b.text); {
		line, next := nextLine(b.text, at)
		at = next
		line = bytes.TrimSpace(line)
		if buf.Len() == 0 && bytes.IndexByte(line, ':') >= 0 {
			continue
		}
		if len(line) > 0 && line[0] == '=' {
			break // RFC 9580 Section 6.1: a checksum
		}
		buf.Write(line)
	}
	return decodeBase64(buf.Bytes())
}

// decodeBase64 decodes the longest part from the beginning that is base64, with or without padding at its end. Octets that
// are not of the alphabet are left out.
func decodeBase64(text []byte) []byte {
	clean := make([]byte, 0, len(text))
	for _, c := range text {
		if c == '=' {
			break
		}
		if isBase64(c) {
			clean = append(clean, c)
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, _ := base64.RawStdEncoding.Decode(out, clean)
	return out[:n]
}

func isBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

// isText reports whether the beginning of a content could be text: no control characters but those of text.
func isText(content []byte) bool {
	for _, c := range content[:min(len(content), 4096)] {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b {
			return false
		}
	}
	return len(content) > 0
}

// trimText removes blanks and the byte order mark in front of a text.
func trimText(content []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), " \t\r\n")
}

// allBase64 reports whether a content is nothing but base64 in lines, from the first octet to the last.
func allBase64(content []byte) bool {
	body := bytes.TrimRight(content, "= \t\r\n\x00")
	for _, c := range body {
		if !isBase64(c) && c != '\r' && c != '\n' && c != ' ' && c != '\t' {
			return false
		}
	}
	return len(body) > 0
}
