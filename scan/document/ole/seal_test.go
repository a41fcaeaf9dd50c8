package ole

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
)

// An agileSpec says how a test encrypts a package.
type agileSpec struct {
	password string
	bits     int
	hash     string
	spins    int
	cfb      bool
	badMAC   bool
	noMAC    bool
	uri      string // "" for that of a password
	claimed  int    // spins that the description claims, if they are others
}

// hashes are those that a description can name.
var hashes = map[string]func() hash.Hash{"SHA1": sha1.New, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New}

// An agileWriter encrypts a package as [MS-OFFCRYPTO] 2.3.4.10 to 2.3.4.15 have it. It shares nothing with what is tested.
type agileWriter struct {
	agileSpec
	salt, dataSalt, secret, base []byte
}

// encryptAgile encrypts a package.
func encryptAgile(plain []byte, s agileSpec) []byte {
	w := agileWriter{agileSpec: s, salt: []byte("0123456789abcdef"), dataSalt: []byte("fedcba9876543210"), secret: bytes.Repeat([]byte("k"), s.bits/8)}
	w.base = w.sum(w.salt, wide(s.password))
	for i := range s.spins {
		w.base = w.sum(binary.LittleEndian.AppendUint32(nil, uint32(i)), w.base)
	}
	body := binary.LittleEndian.AppendUint64(nil, uint64(len(plain)))
	for i := 0; i*4096 < len(plain); i++ {
		iv := w.vector(binary.LittleEndian.AppendUint32(nil, uint32(i)))
		body = append(body, w.encrypt(w.secret, iv, plain[i*4096:min(len(plain), i*4096+4096)])...)
	}
	return build(stream("EncryptionInfo", []byte(w.description(body))), stream("EncryptedPackage", body))
}

// sum hashes.
func (w *agileWriter) sum(parts ...[]byte) []byte {
	h := hashes[w.hash]()
	h.Write(join(parts...))
	return h.Sum(nil)
}

// cut makes a hash as long as a key or a vector.
func (w *agileWriter) cut(b []byte, n int) []byte {
	return append(b, bytes.Repeat([]byte{0x36}, 64)...)[:n]
}

// vector is that of a segment or a part of the checksum.
func (w *agileWriter) vector(label []byte) []byte { return w.cut(w.sum(w.dataSalt, label), 16) }

// encrypt encrypts what is filled up with zeros.
func (w *agileWriter) encrypt(key, iv, in []byte) []byte {
	in = pad(in, 16, 0)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(in))
	if !w.cfb {
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, in)
		return out
	}
	register := append([]byte(nil), iv...)
	for i := range in {
		mask := make([]byte, 16)
		block.Encrypt(mask, register)
		out[i] = in[i] ^ mask[0]
		register = append(register[1:], out[i])
	}
	return out
}

// sealed is something encrypted by what follows from the password and a label, in base64.
func (w *agileWriter) sealed(label string, in []byte) string {
	key := w.cut(w.sum(w.base, []byte(label)), w.bits/8)
	return base64.StdEncoding.EncodeToString(w.encrypt(key, w.salt, in))
}

// integrity describes the checksum.
func (w *agileWriter) integrity(body []byte) string {
	if w.noMAC {
		return ""
	}
	key := bytes.Repeat([]byte("m"), hashes[w.hash]().Size())
	mac := hmac.New(hashes[w.hash], key)
	mac.Write(body)
	if w.badMAC {
		mac.Write([]byte{0})
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`<dataIntegrity encryptedHmacKey="%s" encryptedHmacValue="%s"/>`,
		b64(w.encrypt(w.secret, w.vector([]byte("\x5f\xb2\xad\x01\x0c\xb9\xe1\xf6")), key)),
		b64(w.encrypt(w.secret, w.vector([]byte("\xa0\x67\x7f\x02\xb2\x2c\x84\x33")), mac.Sum(nil))))
}

// description is the stream that tells how the package is encrypted.
func (w *agileWriter) description(body []byte) string {
	const uri = "http://schemas.microsoft.com/office/2006/keyEncryptor/password"
	b64 := base64.StdEncoding.EncodeToString
	common := fmt.Sprintf(`saltSize="16" blockSize="16" keyBits="%d" hashSize="%d" cipherAlgorithm="AES" cipherChaining="%s" hashAlgorithm="%s"`,
		w.bits, hashes[w.hash]().Size(), map[bool]string{false: "ChainingModeCBC", true: "ChainingModeCFB"}[w.cfb], w.hash)
	input := []byte("a random number.")
	return "\x04\x00\x04\x00\x40\x00\x00\x00" + `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<encryption xmlns="http://schemas.microsoft.com/office/2006/encryption" xmlns:p="` + uri + `">` +
		fmt.Sprintf(`<keyData %s saltValue="%s"/>%s<keyEncryptors><keyEncryptor uri="%s"><p:encryptedKey spinCount="%d" %s saltValue="%s" `,
			common, b64(w.dataSalt), w.integrity(body), cmp.Or(w.uri, uri), cmp.Or(w.claimed, w.spins), common, b64(w.salt)) +
		fmt.Sprintf(`encryptedVerifierHashInput="%s" encryptedVerifierHashValue="%s" encryptedKeyValue="%s"/></keyEncryptor></keyEncryptors></encryption>`,
			w.sealed("\xfe\xa7\xd2\x76\x3b\x4b\x9e\x79", input),
			w.sealed("\xd7\xaa\x0f\x6d\x30\x61\x34\x4e", w.sum(input)),
			w.sealed("\x14\x6e\x0b\xe7\xab\xac\xd0\xd6", w.secret))
}

// aPackage stands for a document; its size is no multiple of anything.
var aPackage = append([]byte("PK\x03\x04"), bytes.Repeat([]byte("document "), 1237)...)

func TestAgile(t *testing.T) {
	for name, c := range map[string]struct {
		spec   agileSpec
		state  scan.State
		method string
		traits string
	}{
		"default password":                  {agileSpec{password: "VelvetSweatshop", bits: 256, hash: "SHA512", spins: 1000}, scan.Inspected, "AES-256 (agile)", "opened-default"},
		"empty password":                    {agileSpec{password: "", bits: 128, hash: "SHA1", spins: 1000}, scan.Inspected, "AES-128 (agile)", "opened-empty"},
		"SHA-256":                           {agileSpec{password: "geheim", bits: 192, hash: "SHA256", spins: 1000}, scan.Inspected, "AES-192 (agile)", "opened-password"},
		"SHA-384":                           {agileSpec{password: "geheim", bits: 256, hash: "SHA384", spins: 1000}, scan.Inspected, "AES-256 (agile)", "opened-password"},
		"not ASCII":                         {agileSpec{password: "gehäim 🔑", bits: 256, hash: "SHA512", spins: 1000}, scan.Inspected, "AES-256 (agile)", "opened-password"},
		"feedback":                          {agileSpec{password: "geheim", bits: 128, hash: "SHA1", spins: 1000, cfb: true}, scan.Inspected, "AES-128 (agile)", "opened-password"},
		"not hashed":                        {agileSpec{password: "geheim", bits: 128, hash: "SHA1", spins: 0}, scan.Inspected, "AES-128 (agile)", "opened-password"},
		"no checksum":                       {agileSpec{password: "geheim", bits: 128, hash: "SHA1", spins: 1, noMAC: true}, scan.Inspected, "AES-128 (agile)", "opened-password"},
		"wrong checksum":                    {agileSpec{password: "geheim", bits: 256, hash: "SHA512", spins: 1, badMAC: true}, scan.Uninspectable, "the checksum of the encrypted package is wrong", "damaged opened-password"},
		"unknown password":                  {agileSpec{password: "other", bits: 256, hash: "SHA512", spins: 1000}, scan.Encrypted, "AES-256 (agile)", ""},
		"certificate":                       {agileSpec{password: "geheim", bits: 256, hash: "SHA512", spins: 1, uri: "http://schemas.microsoft.com/office/2006/keyEncryptor/certificate"}, scan.Encrypted, "certificate (agile)", ""},
		"hashed far too often":              {agileSpec{password: "geheim", bits: 256, hash: "SHA512", spins: 1, claimed: 10_000_000}, scan.Encrypted, "AES-256 (agile)", ""},
		"hashed a negative number of times": {agileSpec{password: "geheim", bits: 256, hash: "SHA512", spins: 1, claimed: -5}, scan.Encrypted, "AES-256 (agile)", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, members := look(t, encryptAgile(aPackage, c.spec), "wrong", "geheim", "gehäim 🔑")
			want(t, v, c.state, c.method, c.traits)
			if v.Class != scan.ClassDocument {
				t.Errorf("class %q", v.Class)
			}
			opened := strings.Contains(c.traits, "opened")
			if opened != (len(members) == 1) || opened && (!members[0].Plain || !bytes.Equal(members[0].Content, aPackage)) {
				t.Errorf("%d members", len(members))
			}
		})
	}
}

// However often the sender has had the key hashed, and however many candidates there are, the work ends.
func TestAgileCost(t *testing.T) {
	file := encryptAgile(aPackage, agileSpec{password: "other", bits: 256, hash: "SHA512", spins: 1, claimed: 1_000_000})
	var passwords []string
	for i := range 200 {
		passwords = append(passwords, fmt.Sprint(i))
	}
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) }
	b := container.NewBudget(t.Context(), container.Limits{Time: 200 * time.Millisecond}, clock)
	v := Reader{}.Read(&container.File{Content: file, Passwords: passwords, Budget: b}, func(container.Member) bool { return true })
	if v.State != scan.Encrypted || b.Over() == nil || b.Over().Limit != "time" {
		t.Errorf("%s %q %v", v.State, v.Method, b.Over())
	}
	var s spinner
	total := 0
	for s.spin(maxSpins) == nil {
		total += maxSpins
	}
	if total != spinsPerFile || s.spin(maxSpins+1) == nil {
		t.Errorf("%d", total)
	}
}

// encryptStandard encrypts a package as [MS-OFFCRYPTO] 2.3.4.5 to 2.3.4.9 have it.
func encryptStandard(plain []byte, password string, bits int) []byte {
	sum := func(parts ...[]byte) []byte { s := sha1.Sum(join(parts...)); return s[:] }
	salt := []byte("0123456789abcdef")
	base := sum(salt, wide(password))
	for i := range 50000 {
		base = sum(binary.LittleEndian.AppendUint32(nil, uint32(i)), base)
	}
	base = pad(sum(base, make([]byte, 4)), 64, 0)
	mix := func(with byte) []byte {
		out := bytes.Repeat([]byte{with}, 64)
		for i := range out {
			out[i] ^= base[i]
		}
		return sum(out)
	}
	block, err := aes.NewCipher(append(mix(0x36), mix(0x5c)...)[:bits/8])
	if err != nil {
		panic(err)
	}
	encrypt := func(in []byte) []byte {
		in = pad(in, 16, 0)
		for i := 0; i < len(in); i += 16 {
			block.Encrypt(in[i:], in[i:])
		}
		return in
	}
	verifier := []byte("a random number.")
	provider := wide("Microsoft Enhanced RSA and AES Cryptographic Provider\x00")
	header := join(numbers([]uint32{0x24, 0, map[int]uint32{128: 0x660e, 192: 0x660f, 256: 0x6610}[bits], 0x8004, uint32(bits), 0x18, 0, 0}), provider)
	info := join([]byte("\x04\x00\x02\x00"), numbers([]uint32{0x24, uint32(len(header))}), header,
		numbers([]uint32{16}), salt, encrypt(verifier), numbers([]uint32{20}), encrypt(sum(verifier)))
	return build(stream("EncryptionInfo", info),
		stream("EncryptedPackage", append(binary.LittleEndian.AppendUint64(nil, uint64(len(plain))), encrypt(plain)...)))
}

func TestStandard(t *testing.T) {
	for _, bits := range []int{128, 192, 256} {
		for password, trait := range map[string]string{"VelvetSweatshop": "opened-default", "": "opened-empty", "geheim": "opened-password", "other": ""} {
			v, members := look(t, encryptStandard(aPackage, password, bits), "geheim")
			state := scan.Inspected
			if trait == "" {
				state = scan.Encrypted
			}
			want(t, v, state, fmt.Sprintf("AES-%d (standard)", bits), trait)
			if trait != "" && (len(members) != 1 || !bytes.Equal(members[0].Content, aPackage)) {
				t.Errorf("%d members", len(members))
			}
		}
	}
}

// What is encrypted in a way that nobody here knows is encrypted all the same.
func TestOtherEncryption(t *testing.T) {
	sealed := stream("EncryptedPackage", make([]byte, 5000))
	info := func(s string) *node { return stream("EncryptionInfo", []byte(s)) }
	for name, c := range map[string]struct {
		nodes  []*node
		method string
	}{
		"extensible":      {[]*node{info("\x04\x00\x03\x00\x10\x00\x00\x00"), sealed}, "extensible encryption"},
		"unknown version": {[]*node{info("\x09\x00\x09\x00\x10\x00\x00\x00"), sealed}, "unknown encryption"},
		"no description":  {[]*node{sealed}, "unknown encryption"},
		"no XML":          {[]*node{info("\x04\x00\x04\x00\x40\x00\x00\x00<encryption"), sealed}, "unknown cipher (agile)"},
		"cut off":         {[]*node{info("\x03\x00\x02\x00\x24\x00\x00\x00\xff\xff\xff\xff"), sealed}, "standard"},
		"rights management": {[]*node{sealed, folder("\x06DataSpaces", folder("TransformInfo",
			folder("DRMEncryptedTransform", stream("\x06Primary", []byte("x")))))}, "rights management"},
		"rights management of old": {[]*node{stream("\x09DRMContent", make([]byte, 100))}, "rights management"},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := look(t, build(c.nodes...))
			want(t, v, scan.Encrypted, c.method, "")
			if v.Class != scan.ClassDocument {
				t.Errorf("class %q", v.Class)
			}
		})
	}
}

// A package that claims to be longer than it is was not read in full.
func TestPackageCutOff(t *testing.T) {
	file := encryptAgile(aPackage, agileSpec{password: "", bits: 128, hash: "SHA1", spins: 1, noMAC: true})
	i := bytes.Index(file, binary.LittleEndian.AppendUint64(nil, uint64(len(aPackage))))
	binary.LittleEndian.PutUint64(file[i:], 1<<60)
	v, members := look(t, file)
	want(t, v, scan.Uninspectable, "the encrypted package is cut off", "damaged opened-empty")
	if len(members) != 1 {
		t.Errorf("%d members", len(members))
	}
}

// The two verifiers of obfuscation, for passwords that other programs have been given.
func TestObfuscation(t *testing.T) {
	for password, want := range map[string][2]uint16{
		"VelvetSweatshop": {0xb359, 0x9a0a}, // what Excel writes into a workbook that is merely protected
		"":                {0, 0xce4b},
	} {
		if got := [2]uint16{xorKey([]byte(password)), xorVerifier([]byte(password))}; got != want {
			t.Errorf("%q: %04x", password, got)
		}
	}
	k := obfuscation{key: xorKey([]byte("abc")), verifier: xorVerifier([]byte("abc")), rotation: 2}
	if ok, err := k.try("abd"); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if ok, err := k.try("abc"); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
}
