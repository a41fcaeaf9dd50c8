package office

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	//lint:ignore SA1019 ODF up to 1.1 encrypts with Blowfish (ODF 1.1 Section 17.3)
	"golang.org/x/crypto/blowfish"
)

// An encryption is how one part of an OpenDocument package is encrypted (ODF 1.4 Part 2 Section 4.8).
type encryption struct {
	algorithm, derivation, startKey string

	checksum, iv, salt []byte
	keySize            int
	turns              int // of PBKDF2
	argonTime          int
	argonMemory        int // KiB
	argonLanes         int
}

// Bounds on what a key may cost, because the file says how much.
const (
	maxTurns  = 2_400_000 // of all keys of a document together: less than a second
	maxMemory = 64 << 10  // KiB
)

// set takes an element inside of manifest:encryption-data.
func (c *encryption) set(e element) {
	switch string(e.name) {
	case "algorithm":
		c.algorithm, c.iv = e.attr("algorithm-name"), binaryAttr(e, "initialisation-vector")
	case "start-key-generation":
		c.startKey = e.attr("start-key-generation-name")
	case "key-derivation":
		c.derivation, c.salt = e.attr("key-derivation-name"), binaryAttr(e, "salt")
		c.keySize, c.turns = numberAttr(e, "key-size"), numberAttr(e, "iteration-count")
		c.argonTime, c.argonMemory, c.argonLanes = numberAttr(e, "argon2-iterations"), numberAttr(e, "argon2-memory"), numberAttr(e, "argon2-lanes")
	}
}

// method names the method for people.
func (c *encryption) method() string {
	out := "OpenDocument"
	for _, s := range []string{c.algorithm, c.derivation} {
		if s != "" {
			out += ", " + clip(s[strings.LastIndexAny(s, "#/:")+1:])
		}
	}
	return out
}

// binaryAttr decodes an attribute in base64.
func binaryAttr(e element, name string) []byte {
	out, _ := base64.StdEncoding.DecodeString(e.attr(name))
	return out
}

// numberAttr reads a number, 0 if it is none.
func numberAttr(e element, name string) int {
	n, _ := strconv.ParseUint(e.attr(name), 10, 31)
	return int(n)
}

// unlock decrypts a part with the password that has opened another, or with one of the candidates. When none opens the first
// part, none is tried on the others.
func (d *document) unlock(c *encryption, content []byte) ([]byte, bool) {
	candidates := d.file.Passwords
	switch {
	case d.password != "":
		candidates = []string{d.password}
	case d.hopeless:
		return nil, false
	}
	for _, password := range candidates {
		if !d.budget.Guess() {
			break
		}
		key, ok := d.key(c, password)
		if !ok {
			break
		}
		if plain, ok := c.decrypt(key, content); ok {
			return d.inflated(plain, password)
		}
	}
	d.hopeless = d.hopeless || d.password == ""
	return nil, false
}

// inflated undoes the compression in front of the encryption: raw deflate (RFC 1951).
func (d *document) inflated(packed []byte, password string) ([]byte, bool) {
	content, err := d.budget.ReadAll(flate.NewReader(bytes.NewReader(packed)), int64(len(packed)))
	if err != nil {
		if len(content) > 0 {
			d.failPart("behind the encryption", err)
		}
		return nil, false
	}
	d.password = password
	return content, true
}

// key derives the key from a password. It reports false when that would cost too much or is not known how.
func (d *document) key(c *encryption, password string) ([]byte, bool) {
	start := sha256.Sum256([]byte(password))
	secret := start[:]
	if c.startKey == "" || strings.HasSuffix(strings.ToLower(c.startKey), "sha1") {
		old := sha1.Sum([]byte(password))
		secret = old[:]
	}
	size := c.keySize
	if size == 0 {
		size = 16
	}
	if size > 64 {
		return nil, false
	}
	if strings.HasSuffix(c.derivation, "argon2id") {
		if c.argonMemory > maxMemory || c.argonTime < 1 || c.argonTime > 8 || c.argonLanes < 1 || c.argonLanes > 64 {
			return nil, false
		}
		if d.work += 3 * c.argonTime * c.argonMemory; d.work > maxTurns { // a KiB costs about three turns
			return nil, false
		}
		return argon2.IDKey(secret, c.salt, uint32(c.argonTime), uint32(c.argonMemory), uint8(c.argonLanes), uint32(size)), true
	}
	cost := c.turns * ((size + sha1.Size - 1) / sha1.Size)
	if d.work += cost; !strings.HasSuffix(c.derivation, "PBKDF2") || c.turns < 1 || d.work > maxTurns {
		return nil, false
	}
	key, err := pbkdf2.Key(sha1.New, string(secret), c.salt, c.turns, size)
	return key, err == nil
}

// decrypt decrypts a part, and reports whether the key is the right one.
func (c *encryption) decrypt(key, content []byte) ([]byte, bool) {
	name := strings.ToLower(c.algorithm)
	if strings.Contains(name, "blowfish") {
		block, err := blowfish.NewCipher(key)
		if err != nil || len(c.iv) != block.BlockSize() {
			return nil, false
		}
		plain := feedback(block, c.iv, content)
		return plain, c.fits(plain)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false
	}
	if strings.HasSuffix(name, "-gcm") {
		return c.opened(block, content)
	}
	if len(c.iv) != aes.BlockSize || len(content) == 0 || len(content)%aes.BlockSize != 0 {
		return nil, false
	}
	plain := make([]byte, len(content))
	cipher.NewCBCDecrypter(block, c.iv).CryptBlocks(plain, content)
	n := int(plain[len(plain)-1])
	if n < 1 || n > aes.BlockSize {
		return nil, false
	}
	plain = plain[:len(plain)-n]
	return plain, c.fits(plain)
}

// feedback decrypts in the mode CFB with whole blocks (NIST SP 800-38A Section 6.3).
func feedback(block cipher.Block, iv, content []byte) []byte {
	plain := make([]byte, len(content))
	size := block.BlockSize()
	pad := make([]byte, size)
	for at := 0; at < len(content); at += size {
		block.Encrypt(pad, iv)
		n := subtle.XORBytes(plain[at:], content[at:], pad)
		iv = content[at : at+n]
		if n < size {
			break
		}
	}
	return plain
}

// opened decrypts AES-GCM, with the initialisation vector in front of the content as XML Encryption 1.1 Section 5.2.4 has it.
func (c *encryption) opened(block cipher.Block, content []byte) ([]byte, bool) {
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(c.iv) != gcm.NonceSize() {
		return nil, false
	}
	plain, err := gcm.Open(nil, c.iv, bytes.TrimPrefix(content, c.iv), nil)
	return plain, err == nil
}

// fits reports whether the checksum of the first 1024 octets is right. Without one, deflate has to tell.
func (c *encryption) fits(plain []byte) bool {
	head := plain[:min(len(plain), 1024)]
	switch len(c.checksum) {
	case sha1.Size:
		sum := sha1.Sum(head)
		return subtle.ConstantTimeCompare(sum[:], c.checksum) == 1
	case sha256.Size:
		sum := sha256.Sum256(head)
		return subtle.ConstantTimeCompare(sum[:], c.checksum) == 1
	}
	return true
}
