package reading

import (
	"bytes"
	"strings"
)

// A container is a file that was found inside of text.
type container struct {
	how     How
	name    string
	content []byte
	damaged bool
	end     int // offset in the text behind the container
}

// uuencoded decodes the file whose "begin" line text starts with. It reports false when there is none: the word also
// begins sentences. A program that reads uuencode passes over the case of the word, over a missing mode, over blanks that
// were lost at the end of a line, and over a missing "end". Some read XXencode as well, which has other digits.
func uuencoded(text []byte, limit int64) (container, bool) {
	head, pos := cutLine(text)
	rest, isBase64 := cutWord(head, "begin-base64")
	if !isBase64 {
		var found bool
		if rest, found = cutWord(head, "begin"); !found {
			return container{}, false
		}
	}
	c := container{how: Uuencode, name: uuName(rest)}
	if isBase64 {
		return base64File(c, text, pos, limit)
	}
	digits := digitsOf(text[pos:])
	if first, _ := cutLine(text[pos:]); modeLength(rest) > 0 && !isFirst(digits(bytes.TrimRight(first, "\r"))) {
		pos += junkLength(text[pos:])
		digits = digitsOf(text[pos:])
	}
	for first := true; ; first = false {
		line, n := cutLine(text[pos:])
		line = digits(bytes.TrimRight(line, "\r"))
		count, valid := uuCount(line)
		switch {
		case first && (!valid || count == 0):
			return container{}, false
		case n == 0 || !valid:
			c.damaged = true
			fallthrough
		case count == 0 || string(line) == "end":
			c.end = pos + n
			if !valid { // the line is no part of the file
				c.end = pos
			}
			return c, true
		case int64(len(c.content)+count) > limit:
			c.damaged, c.end = true, pos
			return c, true
		}
		c.content = appendUU(c.content, line[1:], count)
		pos += n
	}
}

// cutWord removes the word that a line begins with, and the blank behind it. Where it is not written as uuencode does, a
// mode has to follow: many a sentence begins with "Begin".
func cutWord(line []byte, word string) (rest []byte, found bool) {
	n := len(word)
	if len(line) <= n || line[n] != ' ' && line[n] != '\t' || !strings.EqualFold(string(line[:n]), word) {
		return nil, false
	}
	rest = line[n+1:]
	return rest, string(line[:n+1]) == word+" " || modeLength(rest) > 0
}

// isFirst reports whether a line can be the first of a uuencoded file.
func isFirst(line []byte) bool {
	count, valid := uuCount(line)
	return valid && count > 0
}

// junkLength returns how many octets the lines take that stand between the "begin" line and the first one of the file: 0 unless
// what follows them can be nothing else. Programs that look for uuencode pass over them.
func junkLength(text []byte) int {
	const most = 5
	pos := 0
	for at := range most {
		line, n := cutLine(text[pos:])
		line = bytes.TrimRight(line, "\r")
		count, _ := uuCount(line)
		_, another := cutWord(line, "begin")
		switch {
		case n == 0 || another || string(line) == "end" || at == 0 && isFirst(line):
			return 0
		case isFirst(line) && len(line)-1 >= (count+2)/3*4-1: // one blank at the end may be lost
			return pos
		}
		pos += n
	}
	return 0
}

// uuLines decodes the lines of uuencode in a text that has no "begin": from the first that is one of a file.
func uuLines(text []byte) []byte {
	var out []byte
	for pos := junkLength(text); pos < len(text); {
		line, n := cutLine(text[pos:])
		count, valid := uuCount(bytes.TrimRight(line, "\r"))
		if !valid || count == 0 {
			break
		}
		out = appendUU(out, line[1:], count)
		pos += n
	}
	return out
}

// digitsOf returns what makes lines of uuencode of the lines of a file: nothing, or where only that fits the first one, the
// digits of XXencode by those of uuencode.
func digitsOf(text []byte) func([]byte) []byte {
	line, _ := cutLine(text)
	line = bytes.TrimRight(line, "\r")
	if count, valid := uuCount(line); valid && len(line)-1 >= (count+2)/3*4 {
		return func(line []byte) []byte { return line }
	}
	return fromXX
}

// fromXX returns a line of XXencode as one of uuencode. One that is none stays as it is: there are no blanks to get lost.
func fromXX(line []byte) []byte {
	const digits = "+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := make([]byte, len(line))
	for i, c := range line {
		n := strings.IndexByte(digits, c)
		if n < 0 || string(line) == "end" {
			return line
		}
		out[i] = ' ' + byte(n)
	}
	if count, valid := uuCount(out); !valid || len(out)-1 < (count+2)/3*4 {
		return line
	}
	return out
}

// uuName returns the name behind the mode of a "begin" line.
func uuName(rest []byte) string {
	return string(bytes.TrimSpace(rest[modeLength(rest):]))
}

// modeLength returns how many digits the mode has that stands here, 0 if it is none.
func modeLength(rest []byte) int {
	mode := 0
	for mode < len(rest) && rest[mode] >= '0' && rest[mode] <= '7' {
		mode++
	}
	if mode >= 3 && mode < len(rest) && (rest[mode] == ' ' || rest[mode] == '\t') {
		return mode
	}
	return 0
}

// uuCount returns how many octets a line stands for, and whether it can be one of a uuencoded file.
func uuCount(line []byte) (int, bool) {
	if string(line) == "end" {
		return 0, true
	}
	if len(line) == 0 {
		return 0, false
	}
	for _, c := range line {
		if c < ' ' || c > '`' {
			return 0, false
		}
	}
	count := int(line[0]-' ') & 63
	want := (count + 2) / 3 * 4
	got := len(line) - 1
	// Blanks at the end are lost on the way, and some programs append a check character.
	return count, got <= want+2 && (got >= want || got >= 1 && count > 0)
}

// appendUU decodes the digits of one line; missing ones are blanks, which are zero.
func appendUU(dst, digits []byte, count int) []byte {
	var group [4]byte
	for count > 0 {
		group = [4]byte{}
		for i := range group {
			if i < len(digits) {
				group[i] = (digits[i] - ' ') & 63
			}
		}
		digits = digits[min(len(group), len(digits)):]
		three := [3]byte{group[0]<<2 | group[1]>>4, group[1]<<4 | group[2]>>2, group[2]<<6 | group[3]}
		n := min(count, len(three))
		dst = append(dst, three[:n]...)
		count -= n
	}
	return dst
}

// base64File decodes the lines of a file that POSIX uuencode -m wrote, up to "====".
func base64File(c container, text []byte, pos int, limit int64) (container, bool) {
	start := pos
	for {
		line, n := cutLine(text[pos:])
		if n == 0 || string(line) == "====" || !isBase64Line(line) {
			c.damaged = string(line) != "===="
			c.content = decodeBase64(text[start:pos])
			if int64(len(c.content)) > limit {
				c.content, c.damaged = c.content[:limit], true
			}
			c.end = pos
			if !c.damaged {
				c.end += n
			}
			return c, pos > start
		}
		pos += n
	}
}

// cutLine returns the first line of text without its end, and how many octets it takes with it.
func cutLine(text []byte) (line []byte, n int) {
	n = bytes.IndexByte(text, '\n') + 1
	if n == 0 {
		n = len(text)
	}
	line = text[:n]
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), n
}
