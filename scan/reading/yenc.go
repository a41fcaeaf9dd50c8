package reading

import (
	"bytes"
	"hash/crc32"
	"strconv"
	"strings"
)

// yEncoded decodes the yEnc file, or the part of one, whose "=ybegin" line text starts with (yEnc draft 1.3).
func yEncoded(text []byte, limit int64) (container, bool) {
	head, pos := cutLine(text)
	fields, found := bytes.CutPrefix(head, []byte("=ybegin "))
	if !found || !bytes.Contains(fields, []byte("line=")) {
		return container{}, false
	}
	c := container{how: YEnc, damaged: true}
	before, name, _ := strings.Cut(string(fields), "name=") // it is the last one, and may have blanks
	c.name = strings.TrimSpace(name)
	size := yNumber(before, "size=")
	if line, n := cutLine(text[pos:]); bytes.HasPrefix(line, []byte("=ypart ")) {
		pos += n
		size = -1 // of the whole file; the trailer has that of this part
	}
	for {
		line, n := cutLine(text[pos:])
		switch {
		case n == 0, bytes.HasPrefix(line, []byte("=ybegin ")), int64(len(c.content)+len(line)) > limit:
			c.end = pos
			return c, true
		case bytes.HasPrefix(line, []byte("=yend")):
			c.end = pos + n
			c.damaged = !yComplete(c.content, string(line), size)
			return c, true
		}
		c.content = appendYEnc(c.content, line)
		pos += n
	}
}

// appendYEnc decodes one line.
func appendYEnc(dst, line []byte) []byte {
	for i := 0; i < len(line); i++ {
		b := line[i]
		switch {
		case b == '\r':
			continue
		case b == '=' && i+1 < len(line):
			i++
			b = line[i] - 64
		}
		dst = append(dst, b-42)
	}
	return dst
}

// yComplete compares a file with the numbers of its trailer.
func yComplete(content []byte, trailer string, size int64) bool {
	n := yNumber(trailer, " size=")
	if n != int64(len(content)) || size >= 0 && size != n {
		return false
	}
	for _, name := range [...]string{" pcrc32=", " crc32="} {
		if _, value, found := strings.Cut(trailer, name); found {
			digits, _, _ := strings.Cut(strings.TrimSpace(value), " ")
			sum, err := strconv.ParseUint(digits, 16, 32)
			return err == nil && uint32(sum) == crc32.ChecksumIEEE(content)
		}
	}
	return true
}

// yNumber returns the number behind name, -1 if there is none.
func yNumber(fields, name string) int64 {
	_, value, found := strings.Cut(fields, name)
	if !found {
		return -1
	}
	digits, _, _ := strings.Cut(strings.TrimSpace(value), " ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
