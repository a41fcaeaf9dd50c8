package ole

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"strings"

	"assay/scan/container"
)

// errKeyData says that the description of the encryption makes no sense.
var errKeyData = errors.New("the description of the encryption is broken")

// The labels of what is derived from a password ([MS-OFFCRYPTO] 2.3.4.13, 2.3.4.14).
const (
	labelVerifierInput = "\xfe\xa7\xd2\x76\x3b\x4b\x9e\x79"
	labelVerifierHash  = "\xd7\xaa\x0f\x6d\x30\x61\x34\x4e"
	labelKey           = "\x14\x6e\x0b\xe7\xab\xac\xd0\xd6"
	labelMACKey        = "\x5f\xb2\xad\x01\x0c\xb9\xe1\xf6"
	labelMAC           = "\xa0\x67\x7f\x02\xb2\x2c\x84\x33"
)

// A binaryValue is an attribute in base64.
type binaryValue []byte

// UnmarshalXMLAttr implements xml.UnmarshalerAttr.
func (v *binaryValue) UnmarshalXMLAttr(attr xml.Attr) error {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(attr.Value), ""))
	*v = b
	return err
}

// keyData says how something is encrypted ([MS-OFFCRYPTO] 2.3.4.10).
type keyData struct {
	SaltSize  int         `xml:"saltSize,attr"`
	BlockSize int         `xml:"blockSize,attr"`
	KeyBits   int         `xml:"keyBits,attr"`
	Cipher    string      `xml:"cipherAlgorithm,attr"`
	Chaining  string      `xml:"cipherChaining,attr"`
	Hash      string      `xml:"hashAlgorithm,attr"`
	Salt      binaryValue `xml:"saltValue,attr"`
}

// passwordKey is keyData of the key that a password encrypts.
type passwordKey struct {
	keyData
	Spins         int         `xml:"spinCount,attr"`
	VerifierInput binaryValue `xml:"encryptedVerifierHashInput,attr"`
	VerifierHash  binaryValue `xml:"encryptedVerifierHashValue,attr"`
	Key           binaryValue `xml:"encryptedKeyValue,attr"`
}

// agileInfo is the description of agile encryption.
type agileInfo struct {
	Data      keyData `xml:"keyData"`
	Integrity *struct {
		Key   binaryValue `xml:"encryptedHmacKey,attr"`
		Value binaryValue `xml:"encryptedHmacValue,attr"`
	} `xml:"dataIntegrity"`
	Encryptors []struct {
		URI string      `xml:"uri,attr"`
		Key passwordKey `xml:"encryptedKey"`
	} `xml:"keyEncryptors>keyEncryptor"`
}

// An agile key opens a package that is encrypted as [MS-OFFCRYPTO] 2.3.4.10 to 2.3.4.15 describe.
type agile struct {
	spinner
	info      agileInfo
	passwords []passwordKey
	secret    []byte // the key of the package, once a password was right
	// hasPassword says that a password opens the package, perhaps in a way that is not known here.
	hasPassword bool
}

// parseAgile reads the description of agile encryption.
func parseAgile(description []byte, budget *container.Budget) (*agile, error) {
	const limit = 256 << 10
	a := &agile{spinner: spinner{budget: budget}}
	if len(description) > limit || xml.Unmarshal(description, &a.info) != nil {
		return a, errKeyData
	}
	for _, e := range a.info.Encryptors {
		if !strings.HasSuffix(e.URI, "/keyEncryptor/password") {
			continue
		}
		a.hasPassword = true
		if e.Key.check() == nil && e.Key.Spins >= 0 {
			a.passwords = append(a.passwords, e.Key)
		}
	}
	return a, a.info.Data.check()
}

// method names the encryption.
func (a *agile) method() string {
	if !a.hasPassword && len(a.info.Encryptors) > 0 {
		return "certificate (agile)"
	}
	d := a.info.Data
	switch d.Cipher {
	case "AES", "RC2", "DES", "DESX":
		return fmt.Sprintf("%s-%d (agile)", d.Cipher, d.KeyBits)
	case "RC4", "3DES", "3DES_112":
		return d.Cipher + " (agile)"
	}
	return "unknown cipher (agile)"
}

// check reports whether something that is so encrypted can be decrypted.
func (d *keyData) check() error {
	bits := d.KeyBits == 128 || d.KeyBits == 192 || d.KeyBits == 256
	chaining := d.Chaining == "ChainingModeCBC" || d.Chaining == "ChainingModeCFB"
	if !bits || !chaining || d.Cipher != "AES" || d.hash() == nil || d.SaltSize < 1 || d.SaltSize > len(d.Salt) {
		return errKeyData
	}
	return nil
}

// hash returns the function that is named, nil if it is unknown.
func (d *keyData) hash() func() hash.Hash {
	switch d.Hash {
	case "MD5":
		return md5.New
	case "SHA1", "SHA-1":
		return sha1.New
	case "SHA256", "SHA-256":
		return sha256.New
	case "SHA384", "SHA-384":
		return sha512.New384
	case "SHA512", "SHA-512":
		return sha512.New
	}
	return nil
}

// decrypt decrypts whole blocks; what is behind them is dropped.
func (d *keyData) decrypt(key, iv, in []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errKeyData
	}
	out := make([]byte, len(in)/aes.BlockSize*aes.BlockSize)
	if d.Chaining == "ChainingModeCFB" {
		decryptCFB8(block, iv, in, out)
		return out, nil
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, in[:len(out)])
	return out, nil
}

// decryptCFB8 decrypts with a feedback of eight bits, as the library of Windows does without being told otherwise.
func decryptCFB8(block cipher.Block, iv, in, out []byte) {
	register := append([]byte(nil), iv...)
	var mask [aes.BlockSize]byte
	for i := range out {
		block.Encrypt(mask[:], register)
		out[i] = in[i] ^ mask[0]
		copy(register, register[1:])
		register[len(register)-1] = in[i]
	}
}

// vector makes an initialization vector of a salt, or of the hash of it and a label ([MS-OFFCRYPTO] 2.3.4.12).
func (d *keyData) vector(label []byte) []byte {
	if label == nil {
		return fit(d.Salt, aes.BlockSize)
	}
	return fit(digest(d.hash()(), d.Salt, label), aes.BlockSize)
}

// fit cuts b, or fills it up ([MS-OFFCRYPTO] 2.3.4.11).
func fit(b []byte, size int) []byte {
	out := append([]byte(nil), b[:min(size, len(b))]...)
	for len(out) < size {
		out = append(out, 0x36)
	}
	return out
}

// digest hashes all parts.
func digest(h hash.Hash, parts ...[]byte) []byte {
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// try implements key.
func (a *agile) try(password string) (bool, error) {
	for i := range a.passwords {
		k := &a.passwords[i]
		if err := a.spin(k.Spins); err != nil {
			return false, err
		}
		secret, ok, err := k.unwrap(password, a.budget)
		if err != nil {
			return false, err
		}
		if ok && len(secret) >= a.info.Data.KeyBits/8 {
			a.secret = secret[:a.info.Data.KeyBits/8]
			return true, nil
		}
	}
	return false, nil
}

// unwrap returns the key that a password encrypts, if it is the right one ([MS-OFFCRYPTO] 2.3.4.13).
func (k *passwordKey) unwrap(password string, budget *container.Budget) (secret []byte, ok bool, err error) {
	h := k.hash()()
	base, err := spinHash(h, append(append([]byte(nil), k.Salt...), utf16le(password)...), k.Spins, budget)
	if err != nil {
		return nil, false, err
	}
	open := func(label string, in []byte) []byte {
		h.Reset()
		out, _ := k.decrypt(fit(digest(h, base, []byte(label)), k.KeyBits/8), k.vector(nil), in)
		return out
	}
	input, want := open(labelVerifierInput, k.VerifierInput), open(labelVerifierHash, k.VerifierHash)
	if len(input) < k.SaltSize || len(want) < h.Size() {
		return nil, false, errKeyData
	}
	h.Reset()
	if subtle.ConstantTimeCompare(digest(h, input[:k.SaltSize]), want[:h.Size()]) != 1 {
		return nil, false, nil
	}
	return open(labelKey, k.Key), true, nil
}

// spinHash hashes first, and then often what came out with the number of the turn.
func spinHash(h hash.Hash, first []byte, times int, budget *container.Budget) ([]byte, error) {
	h.Reset()
	h.Write(first)
	buf := make([]byte, 4, 4+h.Size())
	sum := h.Sum(nil)
	for i := range times {
		if i%16 == 0 {
			if err := budget.Check(); err != nil {
				return nil, err
			}
		}
		buf[0], buf[1], buf[2], buf[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		h.Reset()
		h.Write(buf)
		h.Write(sum)
		sum = h.Sum(sum[:0])
	}
	return sum, nil
}

// open decrypts the package, which is encrypted in segments ([MS-OFFCRYPTO] 2.3.4.15).
func (a *agile) open(body []byte) ([]byte, error) {
	const segment = 4096
	out := make([]byte, 0, len(body))
	for n := uint32(0); len(body) > 0; n++ {
		if err := a.budget.Check(); err != nil {
			return nil, err
		}
		part := body[:min(segment, len(body))]
		body = body[len(part):]
		plain, err := a.info.Data.decrypt(a.secret, a.info.Data.vector(le32(n)), part)
		if err != nil {
			return nil, err
		}
		out = append(out, plain...)
	}
	return out, nil
}

// intact reports whether the checksum over the encrypted package is right ([MS-OFFCRYPTO] 2.3.4.14), or missing.
func (a *agile) intact(stream []byte) bool {
	d, i := &a.info.Data, a.info.Integrity
	if i == nil {
		return true
	}
	key, err1 := d.decrypt(a.secret, d.vector([]byte(labelMACKey)), i.Key)
	want, err2 := d.decrypt(a.secret, d.vector([]byte(labelMAC)), i.Value)
	size := d.hash()().Size()
	if err1 != nil || err2 != nil || len(key) < size || len(want) < size {
		return false
	}
	mac := hmac.New(d.hash(), key[:size])
	mac.Write(stream)
	return hmac.Equal(mac.Sum(nil), want[:size])
}
