package message

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// A contentCheck looks at the lines of one leaf for what decoders disagree about. What decoding makes of the leaf is
// for scanners to look at.
type contentCheck struct {
	encoding string
	nested   bool // the leaf is a part of something, and no message whose content begins with fields
	begun    bool // a line that is not empty was seen
	junk     bool // of base64, something outside the alphabet was seen: no length to check any more
	digits   int  // of base64
	padding  int  // of base64
	high     bool // of quoted-printable, an octet above 127 was seen
}

// begin prepares for the body of p.
func (c *contentCheck) begin(p *Part) {
	*c = contentCheck{
		encoding: p.Encoding,
		nested:   p.Parent != nil && !strings.HasPrefix(p.MediaType, "message/"),
	}
}

// line takes a line of the body of p, or a piece of one; first says that a line begins with it.
func (c *contentCheck) line(d *defects, p *Part, line []byte, first bool) {
	text := trimEOL(line)
	if !c.begun && len(text) > 0 {
		c.begun = true
		if c.nested && first && looksLikeMIMEField(bytes.TrimLeft(text, " \t\x00"), false) {
			d.addText(BodyMIME, p.Section, text)
		}
	}
	switch c.encoding {
	case encodingBase64:
		c.base64(d, p, text)
	case encodingQP:
		c.quotedPrintable(d, p, text, len(text) < len(line))
		if !c.high && hasHigh(text) {
			c.high = true
			d.add(QP8Bit, p.Section, "")
		}
	default:
		if first && len(text) > len("begin ") {
			c.inline(d, p, text)
		}
	}
}

// end takes the end of the body of p.
func (c *contentCheck) end(d *defects, p *Part) {
	if c.encoding == encodingBase64 && !c.junk && (c.digits+c.padding)%4 != 0 {
		d.add(Base64Length, p.Section, "")
	}
}

func (c *contentCheck) base64(d *defects, p *Part, text []byte) {
	for i := 0; i < len(text); i++ {
		start := i
		i += base64Run(text[i:])
		c.digits += i - start
		if i > start && c.padding > 0 {
			d.add(Base64Padding, p.Section, "")
		}
		if i == len(text) {
			return
		}
		switch base64Table[text[i]] {
		case base64Pad:
			c.padding++
		case base64Blank:
			if rest := bytes.TrimLeft(text[i:], " \t"); len(rest) > 0 {
				d.add(Base64Blank, p.Section, "")
				i = len(text) - len(rest) - 1
			} else {
				return
			}
		default:
			if !c.junk {
				c.junk = true
				d.addText(Base64Junk, p.Section, text)
			}
		}
	}
}

// base64Run returns how many digits text begins with. Most lines are nothing else, so it takes eight at a time: the
// values of digits are below base64Data, which is a power of two, and those of everything else are not.
func base64Run(text []byte) int {
	n := 0
	for ; n+8 <= len(text); n += 8 {
		t := text[n : n+8 : n+8]
		if (base64Table[t[0]]|base64Table[t[1]]|base64Table[t[2]]|base64Table[t[3]]|
			base64Table[t[4]]|base64Table[t[5]]|base64Table[t[6]]|base64Table[t[7]])&base64Data != 0 {
			break
		}
	}
	for n < len(text) && base64Table[text[n]] < base64Data {
		n++
	}
	return n
}

// quotedPrintable looks at every "=". A line that is a piece of a longer one may end in the middle of an escape.
func (c *contentCheck) quotedPrintable(d *defects, p *Part, text []byte, complete bool) {
	for {
		i := bytes.IndexByte(text, '=')
		if i < 0 {
			return
		}
		text = text[i+1:]
		switch {
		case len(text) < 2 && !complete:
			return
		case len(text) == 0: // soft line break
		case len(text) >= 2 && isHex(text[0]) && isHex(text[1]):
			if text[0] >= 'a' || text[1] >= 'a' {
				d.add(QPLowerHex, p.Section, "")
			}
			text = text[2:]
		case len(bytes.TrimLeft(text, " \t")) == 0:
			d.add(QPSoftBreak, p.Section, "")
			return
		default:
			d.addText(QPEscape, p.Section, text)
		}
	}
}

// hasHigh reports whether text has octets above 127. It looks at eight at a time, the last eight once more.
func hasHigh(text []byte) bool {
	const highs = 0x8080808080808080
	n := len(text)
	if n < 8 {
		for _, c := range text {
			if c >= 0x80 {
				return true
			}
		}
		return false
	}
	all := binary.LittleEndian.Uint64(text[n-8 : n])
	for i := 0; i+8 <= n; i += 8 {
		all |= binary.LittleEndian.Uint64(text[i : i+8])
	}
	return all&highs != 0
}

// inline looks for encodings that are older than MIME and that mail programs still show as attachments.
func (c *contentCheck) inline(d *defects, p *Part, text []byte) {
	switch text[0] {
	case 'b':
		rest, found := bytes.CutPrefix(text, []byte("begin "))
		if !found {
			rest, found = bytes.CutPrefix(text, []byte("begin-base64 "))
		}
		if found && isMode(rest) {
			d.addText(InlineUuencode, p.Section, text)
		}
	case '=':
		if bytes.HasPrefix(text, []byte("=ybegin ")) {
			d.addText(InlineYEnc, p.Section, text)
		}
	case '(':
		if bytes.HasPrefix(text, []byte("(This file must be converted with BinHex")) {
			d.addText(InlineBinHex, p.Section, text)
		}
	}
}

// isMode reports whether text is the permissions and the name of a uuencoded file.
func isMode(text []byte) bool {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '7' {
		n++
	}
	return (n == 3 || n == 4) && len(text) > n+1 && text[n] == ' ' && text[n+1] != ' '
}
