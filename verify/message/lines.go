package message

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A lineScanner reads a body line by line, from memory or through a window over its file. A line longer than the
// window comes in pieces.
type lineScanner struct {
	body   *body
	offset int64 // of the body in the message
	size   int   // of the window, when the body is in a file

	window    []byte // the whole body, or as much of it as the file's window holds
	low, high int    // the piece in it that was read last, with what ends the line
	read      int64  // octets of the body that are or were in the window

	start     int64 // where the piece starts in the message
	end       int64 // where it ends
	first     bool  // it is the beginning of a line
	endBefore int   // octets of the line end before it, 0 at the start of the body
	last      byte  // last octet of the piece before
	err       error // of the file

	cr, crlf, lf int // CR anywhere; lines that end in CRLF; lines that end in LF alone
	nul          bool
	long         bool // a line is longer than RFC 5322 allows
}

// line returns the piece that was read last. It is valid until the next one is read.
func (s *lineScanner) line() []byte { return s.window[s.low:s.high] }

// next reads the next piece and reports whether there is one.
func (s *lineScanner) next() bool {
	if s.read == 0 {
		s.start, s.end = s.offset, s.offset
	} else {
		s.ended()
	}
	n := bytes.IndexByte(s.window[s.high:], '\n') + 1
	if n == 0 && s.read < s.body.size {
		if s.fill(); s.err != nil {
			return false
		}
		n = bytes.IndexByte(s.window[s.high:], '\n') + 1
	}
	if n == 0 {
		n = len(s.window) - s.high
	}
	s.low, s.high = s.high, s.high+n
	s.start, s.end = s.end, s.end+int64(n)
	return n > 0
}

// skipEmpty makes the last of the empty lines that follow the current one, as far as the window holds them, the current
// one. The lines in between are counted like any other.
func (s *lineScanner) skipEmpty() {
	const pair = "\r\n"
	rest := s.window[s.high:]
	if len(rest) < 2*len(pair) || rest[0] != pair[0] || rest[2] != pair[0] || s.window[s.high-1] != pair[1] {
		return // most lines
	}
	n := emptyLines(rest)
	if n < 2 {
		return
	}
	s.ended()
	s.crlf += n - 1
	s.first, s.endBefore, s.last = true, len(pair), pair[1]
	s.low, s.high = s.high+(n-1)*len(pair), s.high+n*len(pair)
	s.start, s.end = s.end+int64((n-1)*len(pair)), s.end+int64(n*len(pair))
}

// emptyLines returns how many empty lines with CRLF p begins with.
func emptyLines(p []byte) int {
	i := 0
	for ; len(p)-i >= 8 && binary.LittleEndian.Uint64(p[i:i+8]) == 0x0a0d0a0d0a0d0a0d; i += 8 {
	}
	for ; len(p)-i >= 2 && p[i] == '\r' && p[i+1] == '\n'; i += 2 {
	}
	return i / 2
}

// ended looks at the end of the piece before, which decides what the next one is.
func (s *lineScanner) ended() {
	line := s.line()
	n := len(line)
	s.first, s.endBefore = false, 0
	switch {
	case n == 0:
		return
	case line[n-1] != '\n':
	case n > 1 && line[n-2] == '\r', n == 1 && s.last == '\r':
		s.first, s.endBefore = true, 2
		s.crlf++
	default:
		s.first, s.endBefore = true, 1
		s.lf++
	}
	s.last = line[n-1]
	s.long = s.long || n-s.endBefore > maxLine
}

// fill reads on behind what the window holds and nobody has read.
func (s *lineScanner) fill() {
	s.first = s.first || s.read == 0
	if s.body.file == nil {
		s.window, s.read = s.body.mem, s.body.size
		s.examine(s.window)
		return
	}
	if s.window == nil {
		s.window = make([]byte, 0, s.size)
	}
	n := copy(s.window, s.window[s.high:])
	s.low, s.high = 0, 0
	k, err := s.body.file.ReadAt(s.window[n:min(int64(s.size), int64(n)+s.body.size-s.read)], s.read)
	if err != nil && !(err == io.EOF && k > 0) {
		s.err = fmt.Errorf("message: reading the spooled body: %w", err)
		return
	}
	s.read += int64(k)
	s.window = s.window[:n+k]
	s.examine(s.window[n:])
}

// examine looks for octets that are rare, all at once.
func (s *lineScanner) examine(chunk []byte) {
	s.cr += bytes.Count(chunk, []byte{'\r'})
	s.nul = s.nul || bytes.IndexByte(chunk, 0) >= 0
}
