package ole

import (
	"encoding/binary"
	"math/bits"
)

// padding fills up a password for obfuscation ([MS-OFFCRYPTO] 2.3.7.2).
const padding = "\xbb\xff\xff\xba\xff\xff\xb9\x80\x00\xbe\x0f\x00\xbf\x0f\x00"

// An obfuscation is what Excel 5 to 2003 and Word 95 call encryption: an exclusive or ([MS-OFFCRYPTO] 2.3.7).
type obfuscation struct {
	key, verifier uint16
	rotation      int // of each octet of the mask: 2 in Excel, 7 in Word
	mask          [16]byte
}

// try implements key.
func (o *obfuscation) try(password string) (bool, error) {
	pw := passwordBytes(password)
	if xorVerifier(pw) != o.verifier || xorKey(pw) != o.key {
		return false, nil
	}
	n := copy(o.mask[:], pw)
	copy(o.mask[n:], padding)
	var k [2]byte
	binary.LittleEndian.PutUint16(k[:], o.key)
	for i := range o.mask {
		o.mask[i] = bits.RotateLeft8(o.mask[i]^k[i&1], o.rotation)
	}
	return true, nil
}

// passwordBytes are the octets of at most 15 characters: the lower half of each, or the upper one if that is zero.
func passwordBytes(password string) []byte {
	wide := utf16le(password)
	var out []byte
	for i := 0; i+1 < len(wide) && len(out) < 15; i += 2 {
		c := wide[i]
		if c == 0 {
			c = wide[i+1]
		}
		out = append(out, c)
	}
	return out
}

// xorVerifier is the hash of a password ([MS-OFFCRYPTO] 2.3.7.1).
func xorVerifier(pw []byte) uint16 {
	var v uint16
	rotate := func() { v = v<<1&0x7fff | v>>14&1 }
	for i := len(pw) - 1; i >= 0; i-- {
		v ^= uint16(pw[i])
		rotate()
	}
	return v ^ uint16(len(pw)) ^ 0xce4b
}

// xorKey is the key that follows from a password. [MS-OFFCRYPTO] 2.3.7.2 has it as two tables; they are the states of a
// shift register, one step for each bit of each character from the last one on.
func xorKey(pw []byte) uint16 {
	if len(pw) == 0 {
		return 0
	}
	step := func(r uint16) uint16 {
		r = bits.RotateLeft16(r, 1)
		if r&1 != 0 {
			r ^= 0x1020
		}
		return r
	}
	key, row, initial := uint16(0), uint16(0x8000), uint16(0xffff)
	for i := len(pw) - 1; i >= 0; i-- {
		for bit := range 8 {
			row, initial = step(row), step(initial)
			if bit < 7 && pw[i]>>bit&1 != 0 {
				key ^= row
			}
		}
	}
	return key ^ initial
}

// decryptExcel decrypts the content of a record in place; at is where in the stream it lies.
func (o *obfuscation) decryptExcel(record []byte, at int) {
	index := at + len(record)
	for i, c := range record {
		record[i] = bits.RotateLeft8(c, 3) ^ o.mask[(index+i)&15]
	}
}

// decryptWord decrypts a stream in place; octets before from stay. Zeros, and what would become zero, are as they were.
func (o *obfuscation) decryptWord(stream []byte, from int) error {
	for i := from; i < len(stream); i++ {
		if plain := stream[i] ^ o.mask[i&15]; stream[i] != 0 && plain != 0 {
			stream[i] = plain
		}
	}
	return nil
}
