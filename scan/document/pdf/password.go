package pdf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"crypto/sha512"
	"slices"

	"assay/scan"

	"golang.org/x/text/unicode/norm"
)

// padding fills passwords up: ISO 32000-2 Algorithm 2.
const padding = "\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A"

// open tries the empty password, which every viewer tries by itself, and then the candidates.
func (c *crypt) open(f *file, passwords []string) {
	if c.handler != "Standard" || c.broken {
		return
	}
	t := c.trial(f)
	if c.key = t.try(nil); c.key != nil {
		c.opened = scan.OpenedEmpty
		return
	}
	for _, p := range passwords {
		for _, octets := range t.encodings(p) {
			if !f.budget.Guess() {
				return
			}
			if c.key = t.try(octets); c.key != nil {
				c.opened = scan.OpenedPassword
				return
			}
		}
	}
}

// A trial is what passwords are tried on.
type trial struct {
	revision     int64
	o, u, oe, ue []byte
	permissions  []byte
	ids          [][]byte
	lengths      []int // of the key, in octets
	metadata     bool  // is encrypted as well
	check        func() error
}

// trial returns what passwords for an encryption are tried on.
func (c *crypt) trial(f *file) trial {
	t := trial{revision: c.revision, o: f.text(c.dict.get("O")), u: f.text(c.dict.get("U")), ids: c.ids, check: f.budget.Check,
		oe: f.text(c.dict.get("OE")), ue: f.text(c.dict.get("UE")), permissions: littleEndian(f.number(c.dict, "P", 0))}
	clear, ok := f.resolve(c.dict.get("EncryptMetadata")).(bool)
	t.metadata = !ok || clear
	t.lengths = []int{int(c.bits / 8)}
	for _, n := range []int{16, 5} { // files lie about the length
		if !slices.Contains(t.lengths, n) && c.revision > 2 && c.revision < 5 {
			t.lengths = append(t.lengths, n)
		}
	}
	return t
}

// encodings returns the octets that a password may stand for: those of PDFDocEncoding, which is Latin-1 for nearly all
// passwords, up to revision 4; UTF-8 after a normalization from revision 5 on (ISO 32000-2 Section 7.6.4.3.2).
func (t trial) encodings(password string) [][]byte {
	utf8 := []byte(password)
	other := []byte(norm.NFKC.String(password))
	if t.revision < 5 {
		other = other[:0]
		for _, r := range password {
			if r > 0xff {
				return [][]byte{utf8}
			}
			other = append(other, byte(r))
		}
	}
	if bytes.Equal(utf8, other) {
		return [][]byte{utf8}
	}
	return [][]byte{other, utf8}
}

// try returns the key of the file if a password is that of the user or of the owner.
func (t trial) try(password []byte) []byte {
	if t.check() != nil {
		return nil
	}
	if t.revision >= 5 {
		return t.tryHashed(password[:min(len(password), 127)])
	}
	for _, n := range t.lengths {
		for _, user := range [][]byte{password, t.owned(password, n)} {
			for _, id := range t.ids {
				if key := t.fileKey(user, id, n); t.opens(key, id) {
					return key
				}
			}
		}
	}
	return nil
}

// padded fills a password up to 32 octets.
func padded(password []byte) []byte {
	return append(slices.Clone(password), padding...)[:32]
}

// fileKey derives the key of the file from the password of the user: ISO 32000-2 Algorithm 2.
func (t trial) fileKey(password, id []byte, n int) []byte {
	b := slices.Concat(padded(password), t.o[:32], t.permissions, id)
	if t.revision >= 4 && !t.metadata {
		b = append(b, 0xff, 0xff, 0xff, 0xff)
	}
	sum := md5.Sum(b)
	if t.revision >= 3 {
		for range 50 {
			sum = md5.Sum(sum[:n])
		}
	}
	return sum[:n]
}

// opens reports whether a key is the right one: ISO 32000-2 Algorithms 4, 5 and 6.
func (t trial) opens(key, id []byte) bool {
	if t.revision == 2 {
		return len(t.u) >= 32 && bytes.Equal(xor(key, []byte(padding), 0), t.u[:32])
	}
	sum := md5.Sum(append([]byte(padding), id...))
	out := sum[:]
	for i := range 20 {
		out = xor(key, out, byte(i))
	}
	return bytes.Equal(out, t.u[:16])
}

// xor applies RC4 with a key all of whose octets are changed by one.
func xor(key, in []byte, by byte) []byte {
	k := slices.Clone(key)
	for i := range k {
		k[i] ^= by
	}
	out := make([]byte, len(in))
	if r, err := rc4.NewCipher(k); err == nil {
		r.XORKeyStream(out, in)
	}
	return out
}

// owned returns the password of the user that is encrypted with that of the owner: ISO 32000-2 Algorithm 7.
func (t trial) owned(password []byte, n int) []byte {
	sum := md5.Sum(padded(password))
	out := t.o[:32]
	if t.revision == 2 {
		return xor(sum[:n], out, 0)
	}
	for range 50 {
		sum = md5.Sum(sum[:])
	}
	for i := 19; i >= 0; i-- {
		out = xor(sum[:n], out, byte(i))
	}
	return out
}

// tryHashed is try for revision 5 and later: ISO 32000-2 Algorithm 2.A.
func (t trial) tryHashed(password []byte) []byte {
	u := t.u[:48]
	if bytes.Equal(t.hash(password, u[32:40], nil), u[:32]) {
		return unwrap(t.hash(password, u[40:48], nil), t.ue)
	}
	if bytes.Equal(t.hash(password, t.o[32:40], u), t.o[:32]) && len(t.oe) >= 32 {
		return unwrap(t.hash(password, t.o[40:48], u), t.oe)
	}
	return nil
}

// unwrap decrypts the key of the file.
func unwrap(key, in []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	out := make([]byte, 32)
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(out, in[:32])
	return out
}

// hash is ISO 32000-2 Algorithm 2.B; revision 5 has only its first step. It ends after 64 to 287 rounds: the last octet, at
// most 255, is compared with the number of the round less 32.
func (t trial) hash(password, salt, user []byte) []byte {
	first := sha256.Sum256(slices.Concat(password, salt, user))
	k := first[:]
	if t.revision == 5 {
		return k
	}
	buf := make([]byte, 0, 64*(len(password)+sha512.Size+len(user)))
	for round := 1; ; round++ {
		e := buf
		for range 64 {
			e = append(append(append(e, password...), k...), user...)
		}
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(e, e)
		sum := 0
		for _, c := range e[:16] { // 256 is 1 modulo 3, so the number is its digits modulo 3
			sum += int(c)
		}
		k = digest(sum%3, e)
		if round >= 64 && int(e[len(e)-1]) <= round-32 {
			return k[:32]
		}
	}
}

// digest is the hash that a remainder chooses.
func digest(remainder int, b []byte) []byte {
	switch remainder {
	case 0:
		sum := sha256.Sum256(b)
		return sum[:]
	case 1:
		sum := sha512.Sum384(b)
		return sum[:]
	}
	sum := sha512.Sum512(b)
	return sum[:]
}
