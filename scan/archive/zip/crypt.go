package zip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// cipherName says in words how a header says that a member is encrypted.
func (h *header) cipherName() string {
	switch {
	case h.flags&flagMasked != 0:
		return "PKWARE central directory encryption"
	case h.method == methodAES && h.aes.strength >= 1 && h.aes.strength <= 3:
		return fmt.Sprintf("WinZip AES-%d", 64+64*int(h.aes.strength))
	case h.method == methodAES:
		return "WinZip AES"
	case h.strong != 0:
		return "PKWARE strong encryption (" + algorithmName(h.strong) + ")"
	case h.flags&flagStrong != 0:
		return "PKWARE strong encryption"
	}
	return "ZipCrypto"
}

// algorithmName returns the name of an algorithm of the strong encryption (APPNOTE 7.2.3.2).
func algorithmName(id uint16) string {
	switch id {
	case 0x6601:
		return "DES"
	case 0x6602, 0x6702:
		return "RC2"
	case 0x6603:
		return "3DES-168"
	case 0x6609:
		return "3DES-112"
	case 0x660e:
		return "AES-128"
	case 0x660f:
		return "AES-192"
	case 0x6610:
		return "AES-256"
	case 0x6720:
		return "Blowfish"
	case 0x6721:
		return "Twofish"
	case 0x6801:
		return "RC4"
	}
	return fmt.Sprintf("algorithm 0x%04x", id)
}

// zipCrypto is the state of the traditional encryption (APPNOTE 6.1): three keys.
type zipCrypto [3]uint32

// zipCryptoHead is how many octets are in front of the content (APPNOTE 6.1.3).
const zipCryptoHead = 12

func newZipCrypto(password string) *zipCrypto {
	z := &zipCrypto{0x12345678, 0x23456789, 0x34567890}
	for i := range len(password) {
		z.update(password[i])
	}
	return z
}

// update takes an octet of plain text into the keys (APPNOTE 6.1.5).
func (z *zipCrypto) update(c byte) {
	z[0] = crc32.IEEETable[byte(z[0])^c] ^ z[0]>>8
	z[1] = (z[1]+z[0]&0xff)*134775813 + 1
	z[2] = crc32.IEEETable[byte(z[2])^byte(z[1]>>24)] ^ z[2]>>8
}

// decrypt writes the plain text of in to out (APPNOTE 6.1.6).
func (z *zipCrypto) decrypt(out, in []byte) {
	for i, c := range in {
		t := z[2]&0xffff | 2
		c ^= byte(t * (t ^ 1) >> 8)
		z.update(c)
		out[i] = c
	}
}

// openZipCrypto returns the packed content if the password may be the right one. One wrong password of 256 passes, or two:
// the check octet is of the CRC or, where that was not known yet, of the time (APPNOTE 6.1.6).
func openZipCrypto(raw []byte, password string, checks [2]byte) ([]byte, bool) {
	if len(raw) < zipCryptoHead {
		return nil, false
	}
	z := newZipCrypto(password)
	var head [zipCryptoHead]byte
	z.decrypt(head[:], raw[:zipCryptoHead])
	if c := head[zipCryptoHead-1]; c != checks[0] && c != checks[1] {
		return nil, false
	}
	out := make([]byte, len(raw)-zipCryptoHead)
	z.decrypt(out, raw[zipCryptoHead:])
	return out, true
}

// WinZip's encryption (AE-1 and AE-2 of "AES Encryption Information", winzip.com): salt, two octets that check the password,
// the content, and ten octets of HMAC-SHA1.
const (
	aesRounds = 1000
	aesVerify = 2
	aesMAC    = 10
)

// openAES returns the packed content if the password is right.
func openAES(raw []byte, password string, strength byte) ([]byte, bool) {
	if strength < 1 || strength > 3 {
		return nil, false
	}
	keyLen := 8 + 8*int(strength)
	saltLen := keyLen / 2
	if len(raw) < saltLen+aesVerify+aesMAC {
		return nil, false
	}
	keys, err := pbkdf2.Key(sha1.New, password, raw[:saltLen], aesRounds, 2*keyLen+aesVerify)
	if err != nil || subtle.ConstantTimeCompare(keys[2*keyLen:], raw[saltLen:saltLen+aesVerify]) != 1 {
		return nil, false
	}
	content, sum := raw[saltLen+aesVerify:len(raw)-aesMAC], raw[len(raw)-aesMAC:]
	mac := hmac.New(sha1.New, keys[keyLen:2*keyLen])
	mac.Write(content)
	if !hmac.Equal(mac.Sum(nil)[:aesMAC], sum) {
		return nil, false
	}
	block, err := aes.NewCipher(keys[:keyLen])
	if err != nil {
		return nil, false
	}
	return littleEndianCTR(block, content), true
}

// littleEndianCTR decrypts with a counter that begins at one and whose first octet counts fastest, unlike cipher.NewCTR's.
func littleEndianCTR(block cipher.Block, in []byte) []byte {
	out := make([]byte, len(in))
	var counter, stream [aes.BlockSize]byte
	for i, n := 0, uint64(1); i < len(in); i, n = i+aes.BlockSize, n+1 {
		binary.LittleEndian.PutUint64(counter[:], n)
		block.Encrypt(stream[:], counter[:])
		subtle.XORBytes(out[i:], in[i:], stream[:])
	}
	return out
}
