package message

import (
	"bytes"
	"mime"

	"github.com/emersion/go-message/charset"
)

// Text returns the value unfolded and with encoded words (RFC 2047) decoded.
func (f Field) Text() string {
	v := bytes.ReplaceAll(f.Value(), []byte("\r\n"), nil)
	d := mime.WordDecoder{CharsetReader: charset.Reader}
	s, err := d.DecodeHeader(string(bytes.TrimSpace(v)))
	if err != nil {
		return string(bytes.TrimSpace(v))
	}
	return s
}
