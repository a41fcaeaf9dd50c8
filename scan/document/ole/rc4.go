package ole

import (
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
)

// A shortKey is that of RC4 with 40 bit ([MS-OFFCRYPTO] 2.3.6).
type shortKey struct {
	salt, verifier, verifierHash []byte // 16 octets each
	base                         []byte // 5 octets
}

// try implements key ([MS-OFFCRYPTO] 2.3.6.2, 2.3.6.4).
func (k *shortKey) try(password string) (bool, error) {
	sum := md5.Sum(utf16le(password))
	h := md5.New()
	for range 16 {
		h.Write(sum[:5])
		h.Write(k.salt)
	}
	k.base = h.Sum(nil)[:5]
	return verify(k.cipher(0), k.verifier, k.verifierHash, func(b []byte) []byte { return digest(md5.New(), b) }), nil
}

// cipher implements streamKey.
func (k *shortKey) cipher(block uint32) *rc4.Cipher {
	c, err := rc4.NewCipher(digest(md5.New(), k.base, le32(block)))
	if err != nil {
		panic(err) // a hash has a length that is allowed
	}
	return c
}

// parseStreamKey reads the description of how streams are encrypted: a version, and what belongs to it ([MS-OFFCRYPTO]
// 2.3.5.1, 2.3.6.1).
func parseStreamKey(b []byte) (k streamKey, method string, err error) {
	if len(b) < 4 {
		return nil, "unknown encryption", errKeyData
	}
	major, minor := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
	switch {
	case major == 1 && minor == 1:
		if len(b) < 52 {
			return nil, "RC4 40 bit", errKeyData
		}
		return &shortKey{salt: b[4:20], verifier: b[20:36], verifierHash: b[36:52]}, "RC4 40 bit", nil
	case major >= 2 && major <= 4 && minor == 2:
		h, err := parseCryptoHeader(b[4:])
		if err != nil {
			return nil, "RC4 (CryptoAPI)", err
		}
		k, err := newCryptoAPI(h)
		if err != nil {
			return nil, h.method("CryptoAPI"), err
		}
		return k, h.method("CryptoAPI"), nil
	}
	return nil, "unknown encryption", errKeyData
}

// decryptBlocks decrypts a stream in place, of which each block of that size has its own key; octets before from stay.
func decryptBlocks(k streamKey, stream []byte, size, from int, check func() error) error {
	skipped := make([]byte, size)
	for at := 0; at < len(stream); at += size {
		if err := check(); err != nil {
			return err
		}
		block := stream[at:min(at+size, len(stream))]
		keep := min(max(0, from-at), len(block))
		c := k.cipher(uint32(at / size))
		c.XORKeyStream(skipped[:keep], skipped[:keep])
		c.XORKeyStream(block[keep:], block[keep:])
	}
	return nil
}
