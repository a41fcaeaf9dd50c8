package sealed

import (
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"io"
	"strings"
)

// The packets of OpenPGP (RFC 9580 Section 5) that are spoken of here.
const (
	tagPKESK      = 1 // a session key, encrypted to a public key
	tagSignature  = 2
	tagSKESK      = 3 // a session key, encrypted with a password
	tagOnePass    = 4
	tagSecretKey  = 5
	tagPublicKey  = 6
	tagSecretSub  = 7
	tagCompressed = 8
	tagSED        = 9 // encrypted, without protection of integrity
	tagMarker     = 10
	tagLiteral    = 11
	tagTrust      = 12
	tagUserID     = 13
	tagPublicSub  = 14
	tagAttribute  = 17
	tagSEIPD      = 18 // encrypted, with protection of integrity
	tagMDC        = 19
	tagAEAD       = 20 // encrypted with OCB as LibrePGP does
	tagPadding    = 21
	tagPrivate    = 60 // to 63
	oldFormat     = 0x40
)

// A packet is one packet of OpenPGP.
type packet struct {
	tag  int
	body []byte // of partial body lengths the chunks that were asked for
	open bool   // its length is indeterminate
	cut  bool   // it is longer than what is there
}

// cutPacket reads the packet that data begins with (RFC 9580 Section 4.2). With whole, the chunks of partial body lengths
// are put together; else body is only the first of them. It is linear in the length of the packet.
func cutPacket(data []byte, whole bool) (p packet, rest []byte, ok bool) {
	if len(data) < 2 || data[0]&0x80 == 0 {
		return p, nil, false
	}
	if data[0]&oldFormat == 0 {
		return cutOldPacket(data)
	}
	p.tag = int(data[0] & 0x3f)
	rest, first := data[1:], true
	for {
		n, size, partial, ok := newLength(rest)
		if !ok {
			p.cut = true
			return p, nil, !first
		}
		rest = rest[size:]
		if n > len(rest) {
			n, p.cut = len(rest), true
		}
		switch {
		case first && !(partial && whole):
			p.body = rest[:n:n]
		case first:
			p.body = append([]byte(nil), rest[:n]...)
		case whole:
			p.body = append(p.body, rest[:n]...)
		}
		rest, first = rest[n:], false
		if !partial || p.cut {
			return p, rest, true
		}
	}
}

// cutOldPacket reads a packet with a header of the old format (RFC 9580 Section 4.2.2).
func cutOldPacket(data []byte) (p packet, rest []byte, ok bool) {
	p.tag = int(data[0] >> 2 & 0xf)
	size := 1 << (data[0] & 3)
	if size == 8 {
		p.body, p.open = data[1:], true
		return p, nil, true
	}
	if len(data) < 1+size {
		return p, nil, false
	}
	n := 0
	for _, c := range data[1 : 1+size] {
		n = n<<8 | int(c)
	}
	rest = data[1+size:]
	if n > len(rest) {
		n, p.cut = len(rest), true
	}
	p.body = rest[:n:n]
	return p, rest[n:], true
}

// newLength reads a length of the new format (RFC 9580 Section 4.2.1).
func newLength(b []byte) (n, size int, partial, ok bool) {
	switch {
	case len(b) == 0:
		return 0, 0, false, false
	case b[0] < 192:
		return int(b[0]), 1, false, true
	case b[0] < 224 && len(b) >= 2:
		return int(b[0]-192)<<8 + int(b[1]) + 192, 2, false, true
	case b[0] == 255 && len(b) >= 5:
		return int(binary.BigEndian.Uint32(b[1:])), 5, false, true
	case b[0] >= 224 && b[0] < 255:
		return 1 << (b[0] & 0x1f), 1, true, true
	}
	return 0, 0, false, false
}

// plausible reports whether a packet can be what its tag says, by the octets at its beginning.
func (p packet) plausible() bool {
	b := p.body
	if len(b) < 2 {
		return p.tag == tagTrust || p.tag == tagPadding || p.tag == tagUserID
	}
	switch p.tag {
	case tagPKESK: // RFC 9580 Section 5.1
		return (b[0] == 2 || b[0] == 3) && len(b) >= 10 && isPublicAlgorithm(b[9]) || b[0] == 6 && len(b) >= 3
	case tagSKESK: // Section 5.3
		return len(b) >= 4 && (b[0] == 4 && isCipher(b[1]) && isS2K(b[2]) || b[0] == 5 && isCipher(b[1]) || b[0] == 6 && isCipher(b[2]))
	case tagSEIPD: // Section 5.13
		return b[0] == 1 && len(b) > 20 || b[0] == 2 && len(b) > 36 && isCipher(b[1])
	case tagAEAD:
		return b[0] == 1 && len(b) > 20 && isCipher(b[1]) && b[2] >= 1 && b[2] <= 3
	case tagSED:
		return len(b) >= 12
	case tagSignature: // Section 5.2
		return len(b) >= 6 && (b[0] <= 3 && b[0] >= 2 && b[1] == 5 || b[0] >= 4 && b[0] <= 6 && isPublicAlgorithm(b[2]) && isHash(b[3]))
	case tagOnePass: // Section 5.4
		return len(b) >= 13 && (b[0] == 3 || b[0] == 6) && isHash(b[2]) && isPublicAlgorithm(b[3])
	case tagSecretKey, tagPublicKey, tagSecretSub, tagPublicSub: // Section 5.5
		return len(b) >= 8 && (b[0] == 2 || b[0] == 3 && isPublicAlgorithm(b[7]) || b[0] >= 4 && b[0] <= 6 && isPublicAlgorithm(b[5]))
	case tagCompressed:
		return isCompressed(b)
	case tagMarker:
		return string(b) == "PGP"
	case tagLiteral: // Section 5.9
		return strings.IndexByte("btul1m", b[0]) >= 0 && len(b) >= 6+int(b[1])
	}
	return p.tag == tagUserID || p.tag == tagTrust || p.tag == tagAttribute || p.tag == tagPadding || p.tag == tagMDC || p.tag >= tagPrivate
}

// The numbers of algorithms (RFC 9580 Section 9).
func isPublicAlgorithm(c byte) bool {
	return c >= 1 && c <= 3 || c >= 16 && c <= 35 || c >= 100 && c <= 110
}
func isCipher(c byte) bool { return c >= 1 && c <= 13 || c >= 100 && c <= 110 }
func isHash(c byte) bool   { return c >= 1 && c <= 14 }
func isS2K(c byte) bool    { return c <= 4 || c >= 100 && c <= 110 }

// begins reports whether a packet can be the first of a message, a key or a signature.
func (p packet) begins() bool {
	switch p.tag {
	case tagPKESK, tagSKESK, tagSEIPD, tagAEAD, tagSED, tagSignature, tagOnePass, tagSecretKey, tagPublicKey, tagCompressed, tagMarker,
		tagLiteral:
		return p.plausible()
	}
	return false
}

// isCompressed reports whether the body of a compressed packet unpacks to a packet, as far as a little of it tells.
func isCompressed(body []byte) bool {
	r, name := decompressor(body)
	switch {
	case r == nil:
		return false
	case name == "bzip2": // a block of it costs too much for a question
		return bytes.HasPrefix(body[1:], []byte("BZh"))
	}
	head := make([]byte, 512)
	n, _ := io.ReadFull(r, head)
	p, _, ok := cutPacket(head[:n], false)
	return ok && (p.tag == tagCompressed || p.begins())
}

// decompressor returns what unpacks the body of a compressed packet (RFC 9580 Sections 5.6 and 9.4), nil for an algorithm
// that is not known.
func decompressor(body []byte) (r io.Reader, name string) {
	if len(body) == 0 {
		return nil, ""
	}
	packed := bytes.NewReader(body[1:])
	switch body[0] {
	case 0:
		return packed, "uncompressed"
	case 1:
		return flate.NewReader(packed), "zip"
	case 2:
		z, err := zlib.NewReader(packed)
		if err != nil {
			return nil, ""
		}
		return z, "zlib"
	case 3:
		return bzip2.NewReader(packed), "bzip2"
	}
	return nil, ""
}

// maxLooked is how many packets are looked at to tell whether a file is of OpenPGP.
const maxLooked = 16

// isOpenPGP reports whether a binary file is of OpenPGP. The octet it begins with says little, so what follows has to fit:
// a whole chain of packets up to the end, or a beginning that nothing else has.
func isOpenPGP(data []byte) bool {
	p, rest, ok := cutPacket(data, false)
	if !ok || !p.begins() {
		return false
	}
	switch p.tag {
	case tagPKESK, tagSKESK, tagMarker:
		next, _, ok := cutPacket(rest, false)
		return len(rest) == 0 || ok && next.plausible() || len(rest) < 2
	case tagCompressed:
		return true
	case tagSEIPD, tagAEAD:
		return !p.cut || len(p.body) > 64
	}
	if p.cut || p.open && p.tag == tagSED {
		return false
	}
	for range maxLooked {
		if len(rest) == 0 {
			return true
		}
		if p, rest, ok = cutPacket(rest, false); !ok || !p.plausible() {
			return false
		}
	}
	return true
}
