package sevenzip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"unicode/utf16"

	"assay/scan/container"
)

// maxRounds is how many rounds of key derivation one archive may cost, about half a second. 7-Zip writes 2^19, and uses one salt
// for a whole archive.
const maxRounds = 1 << 24

// A keyring derives keys and remembers them.
type keyring struct {
	budget *container.Budget
	keys   map[string][]byte // by password, rounds and salt
	rounds uint64            // made so far
}

// An encryption is what the properties of an AES coder say (7-Zip's 7zAES.cpp, SetDecoderProperties2).
type encryption struct {
	power uint // the rounds are a power of two
	salt  []byte
	iv    [16]byte
}

// parseEncryption reads the properties.
func parseEncryption(p []byte) (e encryption, err error) {
	if len(p) == 0 {
		return e, errHeader
	}
	e.power = uint(p[0] & 0x3f)
	if p[0]&0xc0 == 0 {
		return e, nil
	}
	if len(p) < 2 {
		return e, errHeader
	}
	salt := int(p[0]>>7&1) + int(p[1]>>4)
	iv := int(p[0]>>6&1) + int(p[1]&0xf)
	if len(p) < 2+salt+iv {
		return e, errHeader
	}
	e.salt = p[2 : 2+salt]
	copy(e.iv[:], p[2+salt:2+salt+iv])
	return e, nil
}

// decrypt decrypts a packed stream with a password.
func (k *keyring) decrypt(c coder, pack []byte, size uint64, password string) ([]byte, error) {
	e, err := parseEncryption(c.properties)
	if err != nil {
		return nil, err
	}
	key, err := k.key(e, password)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(pack)&^15)
	cipher.NewCBCDecrypter(block, e.iv[:]).CryptBlocks(plain, pack[:len(plain)])
	return plain[:min(uint64(len(plain)), size)], nil
}

// key derives a key: SHA-256 over the salt, the password in UTF-16LE and a counter of eight octets, as often as the power says;
// the power 63 takes them as they are.
func (k *keyring) key(e encryption, password string) ([]byte, error) {
	id := fmt.Sprintf("%d %x %s", e.power, e.salt, password)
	if key := k.keys[id]; key != nil {
		return key, nil
	}
	secret := append([]byte{}, e.salt...)
	for _, u := range utf16.Encode([]rune(password)) {
		secret = binary.LittleEndian.AppendUint16(secret, u)
	}
	key := make([]byte, 32)
	if e.power == 63 {
		copy(key, secret)
	} else if err := k.stretch(key, secret, e.power); err != nil {
		return nil, err
	}
	if k.keys == nil {
		k.keys = make(map[string][]byte)
	}
	k.keys[id] = key
	return key, nil
}

// stretch makes the rounds.
func (k *keyring) stretch(key, secret []byte, power uint) error {
	if power > 24 {
		return refusal(fmt.Sprintf("key derivation of 2^%d rounds", power))
	}
	if k.rounds += 1 << power; k.rounds > maxRounds {
		return refusal("too many rounds of key derivation")
	}
	h := sha256.New()
	n := len(secret)
	secret = append(secret, make([]byte, 8)...)
	for i := range uint64(1) << power {
		if i&4095 == 0 {
			if err := k.budget.Check(); err != nil {
				return err
			}
		}
		binary.LittleEndian.PutUint64(secret[n:], i)
		_, _ = h.Write(secret)
	}
	h.Sum(key[:0])
	return nil
}
