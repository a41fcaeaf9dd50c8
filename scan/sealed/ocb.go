package sealed

import (
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"math/bits"
)

// ocbNonce are the octets of a nonce of OCB in OpenPGP.
const ocbNonce = 15

// An ocb decrypts with OCB3 and tags of 16 octets (RFC 7253). It implements cipher.AEAD, as far as it is needed.
type ocb struct {
	block  cipher.Block
	star   [16]byte
	dollar [16]byte
	l      [32][16]byte
}

func newOCB(block cipher.Block) *ocb {
	o := &ocb{block: block}
	block.Encrypt(o.star[:], o.star[:])
	o.dollar = double(o.star)
	o.l[0] = double(o.dollar)
	for i := 1; i < len(o.l); i++ {
		o.l[i] = double(o.l[i-1])
	}
	return o
}

// double multiplies by x in GF(2^128) (RFC 7253 Section 2).
func double(b [16]byte) (out [16]byte) {
	carry := b[0] >> 7
	for i := range 15 {
		out[i] = b[i]<<1 | b[i+1]>>7
	}
	out[15] = b[15]<<1 ^ carry*0x87
	return out
}

func xor16(dst *[16]byte, b []byte) { subtle.XORBytes(dst[:], dst[:], b[:16]) }

var errOCB = errors.New("sealed: the key or the content is wrong")

// NonceSize implements cipher.AEAD.
func (o *ocb) NonceSize() int { return ocbNonce }

// Overhead implements cipher.AEAD.
func (o *ocb) Overhead() int { return tagOctets }

// Seal implements cipher.AEAD, but nothing is ever encrypted: it returns dst.
func (o *ocb) Seal(dst, _, _, _ []byte) []byte { return dst }

// Open implements cipher.AEAD (RFC 7253 Section 4.3).
func (o *ocb) Open(dst, nonce, sealed, associated []byte) ([]byte, error) {
	if len(sealed) < tagOctets || len(nonce) != ocbNonce {
		return nil, errOCB
	}
	body, tag := sealed[:len(sealed)-tagOctets], sealed[len(sealed)-tagOctets:]
	offset := o.offset(nonce)
	var sum, pad [16]byte
	start := len(dst)
	for i := uint64(1); len(body) >= 16; i++ {
		xor16(&offset, o.l[bits.TrailingZeros64(i)][:])
		pad = offset
		xor16(&pad, body)
		o.block.Decrypt(pad[:], pad[:])
		xor16(&pad, offset[:])
		xor16(&sum, pad[:])
		dst = append(dst, pad[:]...)
		body = body[16:]
	}
	if len(body) > 0 {
		xor16(&offset, o.star[:])
		o.block.Encrypt(pad[:], offset[:])
		var last [16]byte
		n := subtle.XORBytes(last[:], body, pad[:])
		dst = append(dst, last[:n]...)
		last[n] = 0x80
		xor16(&sum, last[:])
	}
	xor16(&sum, offset[:])
	xor16(&sum, o.dollar[:])
	o.block.Encrypt(sum[:], sum[:])
	hash := o.hash(associated)
	xor16(&sum, hash[:])
	if subtle.ConstantTimeCompare(sum[:], tag) != 1 {
		return dst[:start], errOCB
	}
	return dst, nil
}

// offset is the offset of the first block for a nonce of 15 octets and tags of 16 (RFC 7253 Section 4.2).
func (o *ocb) offset(nonce []byte) (out [16]byte) {
	var top [16]byte
	top[0] = 1 // the length of the tag modulo 128 is 0, and a one stands in front of the nonce
	copy(top[1:], nonce)
	bottom := uint(top[15] & 0x3f)
	top[15] &= 0xc0
	var stretch [24]byte
	o.block.Encrypt(stretch[:16], top[:])
	for i := range 8 {
		stretch[16+i] = stretch[i] ^ stretch[i+1]
	}
	octets, shift := bottom/8, bottom%8
	for i := range out {
		out[i] = byte((uint(stretch[octets+uint(i)])<<8 | uint(stretch[octets+uint(i)+1])) >> (8 - shift))
	}
	return out
}

// hash authenticates what is not encrypted (RFC 7253 Section 4.1).
func (o *ocb) hash(data []byte) (sum [16]byte) {
	var offset, block [16]byte
	for i := uint64(1); len(data) >= 16; i++ {
		xor16(&offset, o.l[bits.TrailingZeros64(i)][:])
		block = offset
		xor16(&block, data)
		o.block.Encrypt(block[:], block[:])
		xor16(&sum, block[:])
		data = data[16:]
	}
	if len(data) > 0 {
		xor16(&offset, o.star[:])
		block = [16]byte{}
		n := copy(block[:], data)
		block[n] = 0x80
		xor16(&block, offset[:])
		o.block.Encrypt(block[:], block[:])
		xor16(&sum, block[:])
	}
	return sum
}
