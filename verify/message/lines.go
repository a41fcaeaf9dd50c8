package message

import (
	"bytes"
	"fmt"
	"io"
)

// A lineScanner reads a body line by line, from memory or through a window over its file. A line longer than the
// window comes in pieces.
type lineScanner struct {
	body   *body
	offset int64 // of the body in the message
	size   int   // of the window, when the body is in a file

	line      []byte // the piece read last, with what ends the line
	start     int64  // where it starts in the message
	end       int64  // where it ends
	first     bool   // it is the beginning of a line
	endBefore int    // octets of the line end before it, 0 at the start of the body
	last      byte   // last octet of the piece before
	err       error  // of the file

	window []byte // what is read and not yet scanned
	buffer []byte // behind window, when the body is in a file
	read   int64  // octets of the body that are or were in the window

	cr, crlf, lf int // CR anywhere; lines that end in CRLF; lines that end in LF alone
	nul          bool
	long         bool // a line is longer than RFC 5322 allows
}

// next reads the next piece and reports whether there is one.
func (s *lineScanner) next() bool {
	if s.read == 0 {
		s.start, s.end = s.offset, s.offset
	} else {
		s.ended()
	}
	i := bytes.IndexByte(s.window, '\n')
	if i < 0 && s.read < s.body.size {
		if s.fill(); s.err != nil {
			return false
		}
		i = bytes.IndexByte(s.window, '\n')
	}
	if i < 0 {
		i = len(s.window) - 1
	}
	s.line, s.window = s.window[:i+1], s.window[i+1:]
	s.start, s.end = s.end, s.end+int64(len(s.line))
	return len(s.line) > 0
}

// ended looks at the end of the piece before, which decides what the next one is.
func (s *lineScanner) ended() {
	n := len(s.line)
	s.first, s.endBefore = false, 0
	switch {
	case n == 0:
		return
	case s.line[n-1] != '\n':
	case n > 1 && s.line[n-2] == '\r', n == 1 && s.last == '\r':
		s.first, s.endBefore = true, 2
		s.crlf++
	default:
		s.first, s.endBefore = true, 1
		s.lf++
	}
	s.last = s.line[n-1]
	s.long = s.long || n-s.endBefore > maxLine
}

// fill reads on behind what is left in the window.
func (s *lineScanner) fill() {
	s.first = s.first || s.read == 0
	if s.body.file == nil {
		s.window, s.read = s.body.mem, s.body.size
		s.examine(s.window)
		return
	}
	if s.buffer == nil {
		s.buffer = make([]byte, s.size)
	}
	n := copy(s.buffer, s.window)
	k, err := s.body.file.ReadAt(s.buffer[n:min(int64(s.size), int64(n)+s.body.size-s.read)], s.read)
	if err != nil && !(err == io.EOF && k > 0) {
		s.err = fmt.Errorf("message: reading the spooled body: %w", err)
		return
	}
	s.read += int64(k)
	s.window = s.buffer[:n+k]
	s.examine(s.buffer[n : n+k])
}

// examine looks for octets that are rare, all at once.
func (s *lineScanner) examine(chunk []byte) {
	s.cr += bytes.Count(chunk, []byte{'\r'})
	s.nul = s.nul || bytes.IndexByte(chunk, 0) >= 0
}
