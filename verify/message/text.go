package message

import (
	"bytes"
	"io"
	"strings"

	"github.com/emersion/go-message/charset"
)

// Text returns the value for people: unfolded, without blanks around it, encoded words (RFC 2047) decoded, and valid
// UTF-8. What cannot be decoded stays as it is. The text may contain any character, control characters included.
func (f Field) Text() string {
	text, _ := decodeWords(strings.Trim(unfold(f.Value()), " \t\r\n"))
	return strings.ToValidUTF8(text, "\uFFFD")
}

// decodeWords decodes the encoded words of s and reports whether there were any. Words beside each other are joined
// before their charset is decoded: senders cut characters in two (against RFC 2047 Section 5). Time is linear.
func decodeWords(s string) (string, bool) {
	if !strings.Contains(s, "=?") {
		return s, false
	}
	d := wordDecoder{}
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, n := parseWord(s[i:])
		if n == 0 {
			d.plain(s[:i+2])
			s = s[i+2:]
			continue
		}
		d.word(s[:i], w)
		s = s[i+n:]
	}
	d.plain(s)
	return d.out.String(), d.found
}

// An encodedWord is one "=?charset?encoding?text?=".
type encodedWord struct {
	charset  string // without language (RFC 2231 Section 5)
	encoding byte   // 'b' or 'q'
	text     string
}

// parseWord reads the encoded word that s, which starts with "=?", begins with; n is 0 if it is none. It never looks
// beyond the next "=?", so a text full of beginnings is not read again and again.
func parseWord(s string) (w encodedWord, n int) {
	end := strings.IndexByte(s[2:], '?')
	if end <= 0 || 2+end+3 > len(s) || s[2+end+2] != '?' {
		return w, 0
	}
	w.charset, _, _ = strings.Cut(s[2:2+end], "*")
	w.encoding = s[2+end+1] | 0x20
	if strings.ContainsAny(w.charset, " \t\r\n=") || w.charset == "" || w.encoding != 'b' && w.encoding != 'q' {
		return w, 0
	}
	start := 2 + end + 3
	for i := start; i+1 < len(s); i++ {
		switch {
		case s[i] == '?' && s[i+1] == '=':
			w.text = s[start:i]
			return w, i + 2
		case s[i] == '=' && s[i+1] == '?' && !strings.HasPrefix(s[i+2:], "="), s[i] == '?' && w.encoding == 'b':
			return w, 0
		}
	}
	return w, 0
}

// decode undoes the encoding. What is not encoded as it should be is kept.
func (w encodedWord) decode() []byte {
	if w.encoding == 'b' {
		var q base64Quantum
		return q.flush(q.decode(make([]byte, 0, len(w.text)), []byte(w.text)))
	}
	out := make([]byte, 0, len(w.text))
	for i := 0; i < len(w.text); i++ {
		c := w.text[i]
		if c == '_' {
			c = ' '
		} else if c == '=' && i+2 < len(w.text) && isHex(w.text[i+1]) && isHex(w.text[i+2]) {
			c = unhex(w.text[i+1])<<4 | unhex(w.text[i+2])
			i += 2
		}
		out = append(out, c)
	}
	return out
}

// A wordDecoder writes decoded text.
type wordDecoder struct {
	out     strings.Builder
	charset string // of pending
	pending []byte // decoded words that are not converted yet
	after   bool   // the last thing was an encoded word
	found   bool
}

// word takes an encoded word and the text before it. Blanks between two words are not text (RFC 2047 Section 6.2).
func (d *wordDecoder) word(before string, w encodedWord) {
	if !d.after || strings.Trim(before, " \t\r\n") != "" {
		d.plain(before)
	}
	if !strings.EqualFold(d.charset, w.charset) {
		d.flush()
	}
	d.charset = w.charset
	d.pending = append(d.pending, w.decode()...)
	d.after, d.found = true, true
}

func (d *wordDecoder) plain(text string) {
	d.flush()
	d.out.WriteString(text)
	d.after = false
}

func (d *wordDecoder) flush() {
	if len(d.pending) == 0 {
		return
	}
	d.out.WriteString(toUTF8(d.pending, d.charset))
	d.pending = d.pending[:0]
}

// toUTF8 converts text to UTF-8. Text of an unknown charset is taken for UTF-8.
func toUTF8(text []byte, name string) string {
	if !strings.EqualFold(name, "utf-8") && !strings.EqualFold(name, "us-ascii") {
		if r, err := charset.Reader(name, bytes.NewReader(text)); err == nil {
			if converted, err := io.ReadAll(r); err == nil {
				text = converted
			}
		}
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
