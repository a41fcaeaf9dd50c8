package ole

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rc4"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"assay/scan/container"
)

// A cryptoHeader is an EncryptionHeader with its EncryptionVerifier ([MS-OFFCRYPTO] 2.3.2, 2.3.3).
type cryptoHeader struct {
	algorithm    uint32
	bits         int
	salt         []byte // 16 octets
	verifier     []byte // 16 octets
	verifierHash []byte // 20 octets, or 32 for AES
}

// The algorithms of a cryptoHeader.
const (
	algorithmRC4    = 0x6801
	algorithmAES128 = 0x660e
	algorithmAES256 = 0x6610
)

// parseCryptoHeader reads what follows the version: flags, the size of the header, header and verifier.
func parseCryptoHeader(b []byte) (*cryptoHeader, error) {
	const fixed, verifier = 32, 40 // the header without its name, the verifier without the hash
	if len(b) < 8 {
		return nil, errKeyData
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size < fixed || uint64(size)+8+verifier+20 > uint64(len(b)) {
		return nil, errKeyData
	}
	head, tail := b[8:8+size], b[8+size:]
	h := &cryptoHeader{
		algorithm: binary.LittleEndian.Uint32(head[8:]), bits: int(binary.LittleEndian.Uint32(head[16:]) & 0xffff),
		salt: tail[4:20], verifier: tail[20:36], verifierHash: tail[verifier:min(len(tail), verifier+32)],
	}
	const flagAES = 0x20
	switch {
	case h.algorithm == 0 && head[0]&flagAES != 0: // 2.3.2: the flags decide
		h.algorithm = algorithmAES128
	case h.algorithm == 0:
		h.algorithm = algorithmRC4
	}
	if h.bits == 0 && h.algorithm == algorithmRC4 {
		h.bits = 40 // 2.3.2: as if it were 0x28
	}
	return h, nil
}

// aes reports whether the algorithm is AES.
func (h *cryptoHeader) aes() bool {
	return h.algorithm >= algorithmAES128 && h.algorithm <= algorithmAES256
}

// method names the encryption.
func (h *cryptoHeader) method(kind string) string {
	switch {
	case h.aes():
		return fmt.Sprintf("AES-%d (%s)", h.bits, kind)
	case h.algorithm == algorithmRC4:
		return fmt.Sprintf("RC4 %d bit (%s)", h.bits, kind)
	}
	return "unknown cipher (" + kind + ")"
}

// A standard key opens a package that is encrypted as [MS-OFFCRYPTO] 2.3.4.5 to 2.3.4.9 describe.
type standard struct {
	spinner
	*cryptoHeader
	block cipher.Block
}

// newStandard returns a key for a package.
func newStandard(h *cryptoHeader, budget *container.Budget) (*standard, error) {
	if !h.aes() || h.bits != 128 && h.bits != 192 && h.bits != 256 || len(h.verifierHash) < 32 {
		return nil, errKeyData
	}
	return &standard{spinner: spinner{budget: budget}, cryptoHeader: h}, nil
}

// try implements key ([MS-OFFCRYPTO] 2.3.4.7, 2.3.4.9).
func (s *standard) try(password string) (bool, error) {
	const spins = 50000
	if err := s.spin(spins); err != nil {
		return false, err
	}
	sum, err := spinHash(sha1.New(), append(append([]byte(nil), s.salt...), utf16le(password)...), spins, s.budget)
	if err != nil {
		return false, err
	}
	sum = digest(sha1.New(), sum, le32(0))
	var inner, outer [64]byte
	for i := range inner {
		inner[i], outer[i] = 0x36, 0x5c
	}
	subtle.XORBytes(inner[:], inner[:], sum)
	subtle.XORBytes(outer[:], outer[:], sum)
	derived := append(digest(sha1.New(), inner[:]), digest(sha1.New(), outer[:])...)
	if s.block, err = aes.NewCipher(derived[:s.bits/8]); err != nil {
		return false, errKeyData
	}
	want := s.decrypt(s.verifierHash)[:sha1.Size]
	return subtle.ConstantTimeCompare(digest(sha1.New(), s.decrypt(s.verifier)), want) == 1, nil
}

// decrypt decrypts whole blocks, each on its own.
func (s *standard) decrypt(in []byte) []byte {
	out := make([]byte, len(in)/aes.BlockSize*aes.BlockSize)
	for i := 0; i < len(out); i += aes.BlockSize {
		s.block.Decrypt(out[i:], in[i:])
	}
	return out
}

// open decrypts the package.
func (s *standard) open(body []byte) ([]byte, error) { return s.decrypt(body), nil }

// intact reports true: nothing tells.
func (s *standard) intact([]byte) bool { return true }

// A streamKey makes the key stream of one block of a stream.
type streamKey interface {
	key
	cipher(block uint32) *rc4.Cipher
}

// A cryptoAPI key is that of RC4 as [MS-OFFCRYPTO] 2.3.5 describes it.
type cryptoAPI struct {
	*cryptoHeader
	base []byte
}

// newCryptoAPI returns a key for a stream.
func newCryptoAPI(h *cryptoHeader) (*cryptoAPI, error) {
	if h.algorithm != algorithmRC4 || h.bits < 40 || h.bits > 128 || h.bits%8 != 0 || len(h.verifierHash) < sha1.Size {
		return nil, errKeyData
	}
	return &cryptoAPI{cryptoHeader: h}, nil
}

// try implements key ([MS-OFFCRYPTO] 2.3.5.6).
func (k *cryptoAPI) try(password string) (bool, error) {
	k.base = digest(sha1.New(), k.salt, utf16le(password))
	return verify(k.cipher(0), k.verifier, k.verifierHash[:sha1.Size], func(b []byte) []byte { return digest(sha1.New(), b) }), nil
}

// cipher implements streamKey ([MS-OFFCRYPTO] 2.3.5.2).
func (k *cryptoAPI) cipher(block uint32) *rc4.Cipher {
	key := digest(sha1.New(), k.base, le32(block))[:k.bits/8]
	if k.bits == 40 {
		key = append(key[:5:5], make([]byte, 11)...)
	}
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic(err) // the length was checked
	}
	return c
}

// verify reports whether a verifier and its hash belong together.
func verify(c *rc4.Cipher, verifier, hash []byte, sum func([]byte) []byte) bool {
	plain, want := make([]byte, len(verifier)), make([]byte, len(hash))
	c.XORKeyStream(plain, verifier)
	c.XORKeyStream(want, hash)
	return subtle.ConstantTimeCompare(sum(plain), want) == 1
}
