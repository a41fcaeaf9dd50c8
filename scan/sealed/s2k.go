package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/argon2"
	//lint:ignore SA1019 old messages are encrypted so; this only reads
	"golang.org/x/crypto/blowfish"
	//lint:ignore SA1019 old messages are encrypted so; this only reads
	"golang.org/x/crypto/cast5"
	//lint:ignore SA1019 old messages are encrypted so; this only reads
	"golang.org/x/crypto/twofish"
)

// A pgpCipher is a symmetric algorithm (RFC 9580 Section 9.3).
type pgpCipher struct {
	id    byte
	name  string
	key   int // octets; 0 if it is not carried out here
	block func(key []byte) (cipher.Block, error)
}

// pgpCiphers is never written.
var pgpCiphers = [...]pgpCipher{
	{1, "IDEA", 0, nil},
	{2, "3DES", 24, des.NewTripleDESCipher},
	{3, "CAST5", 16, func(key []byte) (cipher.Block, error) { return cast5.NewCipher(key) }},
	{4, "Blowfish", 16, func(key []byte) (cipher.Block, error) { return blowfish.NewCipher(key) }},
	{7, "AES-128", 16, aes.NewCipher},
	{8, "AES-192", 24, aes.NewCipher},
	{9, "AES-256", 32, aes.NewCipher},
	{10, "Twofish", 32, func(key []byte) (cipher.Block, error) { return twofish.NewCipher(key) }},
	{11, "Camellia-128", 0, nil},
	{12, "Camellia-192", 0, nil},
	{13, "Camellia-256", 0, nil},
}

func findCipher(id byte) (pgpCipher, bool) {
	for _, c := range pgpCiphers {
		if c.id == id {
			return c, true
		}
	}
	return pgpCipher{}, false
}

// aeadName names a mode of authenticated encryption (RFC 9580 Section 9.6).
func aeadName(id byte) string {
	switch id {
	case 1:
		return "AEAD EAX"
	case 2:
		return "AEAD OCB"
	case 3:
		return "AEAD GCM"
	}
	return "AEAD"
}

// sessionKeys are the packets with session keys in front of an encrypted packet.
type sessionKeys struct {
	public    int
	passwords int
	skesk     []skesk // the first of them
	cipher    byte    // where it is visible
}

// maxSKESK is how many passwords of one message are tried. Honest messages have one.
const maxSKESK = 4

func (k *sessionKeys) count() int { return k.public + k.passwords }

// add notes a session key under a password.
func (k *sessionKeys) add(body []byte) {
	k.passwords++
	if s, ok := parseSKESK(body); ok && len(k.skesk) < maxSKESK {
		k.skesk = append(k.skesk, s)
		k.cipher = s.cipher
	}
}

// method says in words how the packet is encrypted that follows.
func (k *sessionKeys) method(mode string) string {
	var words []string
	if k.public > 0 {
		words = append(words, "public key")
	}
	if k.passwords > 0 {
		words = append(words, "password")
	}
	parts := []string{"OpenPGP"}
	if len(words) > 0 {
		parts = append(parts, strings.Join(words, " and "))
	}
	if k.public > 1 {
		parts = append(parts, fmt.Sprintf("%d recipients", k.public))
	}
	if c, ok := findCipher(k.cipher); ok {
		parts = append(parts, c.name)
	}
	if mode != "" {
		parts = append(parts, mode)
	}
	if len(parts) == 1 {
		parts = append(parts, "encrypted")
	}
	return strings.Join(parts, ", ")
}

// A skesk is a session key under a password (RFC 9580 Section 5.3).
type skesk struct {
	version byte
	cipher  byte
	aead    byte
	s2k     s2k
	iv      []byte // of versions 5 and 6
	esk     []byte // the encrypted session key, with its tag; nil if the key of the password is the session key
}

func parseSKESK(b []byte) (s skesk, ok bool) {
	if len(b) < 4 {
		return s, false
	}
	s.version = b[0]
	switch s.version {
	case 4:
		s.cipher = b[1]
		s.s2k, b, ok = parseS2K(b[2:])
		s.esk = b
		return s, ok
	case 5: // LibrePGP Section 5.3
		s.cipher, s.aead = b[1], b[2]
		s.s2k, b, ok = parseS2K(b[3:])
	case 6: // RFC 9580 Section 5.3.2
		if len(b) < 6 {
			return s, false
		}
		s.cipher, s.aead = b[2], b[3]
		s.s2k, b, ok = parseS2K(b[5:])
	default:
		return s, false
	}
	size := nonceSize(s.aead)
	if !ok || size == 0 || len(b) < size+tagOctets {
		return s, false
	}
	s.iv, s.esk = b[:size], b[size:]
	return s, true
}

// An s2k says how a password becomes a key (RFC 9580 Section 3.7.1).
type s2k struct {
	kind   byte
	hash   byte
	salt   []byte
	count  int64 // octets that are hashed
	argon2 [3]byte
}

func parseS2K(b []byte) (s s2k, rest []byte, ok bool) {
	if len(b) < 2 {
		return s, nil, false
	}
	s.kind, s.hash = b[0], b[1]
	switch {
	case s.kind == 0:
		return s, b[2:], true
	case s.kind == 1 && len(b) >= 10:
		s.salt = b[2:10]
		return s, b[10:], true
	case s.kind == 3 && len(b) >= 11:
		s.salt = b[2:10]
		s.count = (16 + int64(b[10]&15)) << (b[10]>>4 + 6)
		return s, b[11:], true
	case s.kind == 4 && len(b) >= 20:
		s.salt = b[1:17]
		s.argon2 = [3]byte(b[17:20])
		return s, b[20:], true
	}
	return s, nil, false
}

// newHash returns a hash by its number (RFC 9580 Section 9.5), nil if it is not carried out here.
func newHash(id byte) hash.Hash {
	switch id {
	case 1:
		return md5.New()
	case 2:
		return sha1.New()
	case 8:
		return sha256.New()
	case 9:
		return sha512.New384()
	case 10:
		return sha512.New()
	case 11:
		return sha256.New224()
	case 12:
		return sha3.New256()
	case 14:
		return sha3.New512()
	}
	return nil
}

const (
	// maxHashed bounds the octets that are hashed for the passwords of one file. GnuPG takes as many for each as it can hash
	// in a tenth of a second, but no more than 65,011,712.
	maxHashed = 640 << 20
	// maxArgon2 bounds the memory that Argon2 may use, in KiB. RFC 9106 Section 4 recommends this for machines with little.
	maxArgon2 = 64 << 10
)

// cost is how many octets the key of one password costs to make; ok is false if that is too much or not known.
func (s *s2k) cost(password string, keySize int) (octets int64, ok bool) {
	if s.kind == 4 {
		t, p, m := int64(s.argon2[0]), int64(s.argon2[1]), s.argon2[2]
		if t == 0 || p == 0 || p > 16 || m < 3 || m > 16 {
			return 0, false
		}
		return 1024 * t << m, true // about as slow as that many octets of SHA-256
	}
	h := newHash(s.hash)
	if h == nil {
		return 0, false
	}
	rounds := int64((keySize + h.Size() - 1) / h.Size())
	return rounds * max(s.count, int64(len(s.salt)+len(password))), true
}

// key makes the key of a password. The cost has to be asked for before.
func (s *s2k) key(password string, keySize int) []byte {
	if s.kind == 4 { // RFC 9580 Section 3.7.1.4
		t, p, m := uint32(s.argon2[0]), s.argon2[1], s.argon2[2]
		return argon2.IDKey([]byte(password), s.salt, t, min(uint32(1)<<m, maxArgon2), p, uint32(keySize))
	}
	unit := append(append([]byte(nil), s.salt...), password...)
	count := max(s.count, int64(len(unit)))
	chunk := unit
	for len(chunk) < 16<<10 && int64(len(chunk)) < count && len(unit) > 0 {
		chunk = append(chunk, unit...)
	}
	var key []byte
	for round := 0; len(key) < keySize; round++ {
		h := newHash(s.hash)
		h.Write(make([]byte, round)) // Section 3.7.1.1: each further hash begins with one more zero
		for left := count; left > 0; left -= int64(len(chunk)) {
			h.Write(chunk[:min(int64(len(chunk)), left)])
		}
		key = h.Sum(key)
	}
	return key[:keySize]
}
