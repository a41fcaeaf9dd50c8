package reading

import (
	"bytes"
	"encoding/binary"
)

// binHexMark begins the line in front of a BinHex 4.0 file (RFC 1741 Section 4.1).
const binHexMark = "(This file must be converted with BinHex"

// binHexed decodes the BinHex 4.0 file whose mark text starts with, maybe behind blanks: its data fork, and as a file of its own the resource
// fork.
func binHexed(text []byte, limit int64) (forks []container, found bool) {
	line, pos := cutLine(text)
	if !bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte(binHexMark)) {
		return nil, false
	}
	for range 10 { // empty lines are allowed between the mark and the file
		line, n := cutLine(text[pos:])
		if len(bytes.TrimSpace(line)) > 0 {
			break
		}
		pos += n
	}
	for pos < len(text) && (text[pos] == ' ' || text[pos] == '\t') {
		pos++
	}
	return binHexBody(text, pos, limit)
}

// unmarkedBinHex decodes the BinHex 4.0 file that text starts with though its mark is missing. A line without blanks and a header
// with a name and the version 0 tell it from other lines with a colon in front; programs do not look at the checksum.
func unmarkedBinHex(text []byte, limit int64) (forks []container, found bool) {
	const digits, header = 200, 100 // more than the header needs
	line, _ := cutLine(text)
	head := expandRuns(binHexDigits(text[:min(len(text), digits)]), header)
	if len(line) < minRun || bytes.IndexByte(line, ' ') >= 0 || len(head) < 2 || head[0] == 0 || head[0] > 63 {
		return nil, false
	}
	nameEnd := 1 + int(head[0])
	if len(head) < nameEnd+binHexFixed || head[nameEnd] != 0 || bytes.ContainsFunc(head[1:nameEnd], isBinary) {
		return nil, false
	}
	return binHexBody(text, 0, limit)
}

// binHexBody decodes what begins with the colon at pos.
func binHexBody(text []byte, pos int, limit int64) (forks []container, found bool) {
	if pos == len(text) || text[pos] != ':' {
		return nil, false
	}
	start := pos + 1
	length := bytes.IndexByte(text[start:], ':')
	end := start + length + 1
	if length < 0 {
		end = len(text)
		length = end - start
	}
	return binHexForks(expandRuns(binHexDigits(text[start:start+length]), limit), end)
}

// binHexFixed is how many octets of the header follow the name: version, type, creator, flags and the lengths of the forks (RFC 1741
// Section 4.2). A CRC is behind them.
const binHexFixed = 1 + 4 + 4 + 2 + 4 + 4

// binHexForks cuts a decoded file into its forks.
func binHexForks(file []byte, end int) (forks []container, found bool) {
	const fixed = binHexFixed
	if len(file) == 0 || len(file) < 1+int(file[0])+fixed+2 {
		return nil, false
	}
	nameEnd := 1 + int(file[0])
	name := string(file[1:nameEnd])
	header := file[nameEnd : nameEnd+fixed]
	rest := file[nameEnd+fixed+2:]
	wrong := !crcFits(file[:nameEnd+fixed], file[nameEnd+fixed:])
	for i, size := range [...]uint32{binary.BigEndian.Uint32(header[11:]), binary.BigEndian.Uint32(header[15:])} {
		c := container{how: BinHex, name: name, damaged: wrong, end: end}
		if i == 1 && size > 0 {
			c.name += " (resource fork)"
		}
		n := min(int(size), len(rest))
		c.content = rest[:n:n]
		rest = rest[n:]
		c.damaged = c.damaged || n < int(size) || !crcFits(c.content, rest)
		rest = rest[min(2, len(rest)):]
		if n > 0 {
			forks = append(forks, c)
		}
	}
	return forks, true
}

// crcFits reports whether the first two octets of rest are the CRC of data, as XMODEM computes it.
func crcFits(data, rest []byte) bool {
	if len(rest) < 2 {
		return false
	}
	crc := uint16(0)
	for _, b := range data {
		crc ^= uint16(b) << 8
		for range 8 {
			high := crc & 0x8000
			crc <<= 1
			if high != 0 {
				crc ^= 0x1021
			}
		}
	}
	return crc == binary.BigEndian.Uint16(rest)
}

// binHexDigits undoes the encoding of three octets in four characters. What is none of them ends nothing.
func binHexDigits(text []byte) []byte {
	const alphabet = "!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
	var values [256]byte
	for i := range len(alphabet) {
		values[alphabet[i]] = byte(i + 1)
	}
	out := make([]byte, 0, len(text)/4*3+3)
	bits, n := uint32(0), 0
	for _, c := range text {
		v := values[c]
		if v == 0 {
			continue
		}
		bits, n = bits<<6|uint32(v-1), n+6
		if n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
		}
	}
	return out
}

// expandRuns undoes the run-length encoding, up to limit octets: 0x90 and a number repeat the octet before, 0x90 and zero
// are 0x90 itself.
func expandRuns(packed []byte, limit int64) []byte {
	const mark = 0x90
	out := make([]byte, 0, len(packed))
	for i := 0; i < len(packed) && int64(len(out)) < limit; i++ {
		switch {
		case packed[i] != mark || i+1 == len(packed):
			out = append(out, packed[i])
		case packed[i+1] == 0:
			out = append(out, mark)
			i++
		default:
			i++
			if len(out) > 0 {
				out = append(out, bytes.Repeat(out[len(out)-1:], int(packed[i])-1)...)
			}
		}
	}
	return out
}
