package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Read reads a message from a file. Lines that end in LF alone are read as if they ended in CRLF.
func Read(r io.Reader, env Envelope, l Limits) (*Message, error) {
	b := NewBuilder(l)
	br := bufio.NewReader(r)
	var field []byte
	for {
		line, err := br.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			b.Discard()
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && field != nil {
			field = append(append(field, "\r\n"...), line...)
			continue
		}
		if field != nil {
			n := bytes.IndexByte(field, ':')
			b.AddField(string(field[:n]), field[n+1:])
			field = nil
		}
		if len(line) == 0 || bytes.IndexByte(line, ':') < 0 {
			break
		}
		field = line
	}
	for {
		line, err := br.ReadBytes('\n')
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = append(bytes.TrimRight(line, "\r\n"), "\r\n"...)
		}
		if _, werr := b.Write(line); werr != nil {
			b.Discard()
			return nil, werr
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				b.Discard()
				return nil, err
			}
			return b.Message(env)
		}
	}
}
