package pdf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"assay/scan"
)

// A method is how octets are encrypted: ISO 32000-2 Table 25, and ISO/TS 32003 for GCM. The zero value leaves them as they
// are.
type method string

// The methods.
const (
	identity method = ""
	viaRC4   method = "RC4"
	viaCBC   method = "AES-128"
	viaCBC5  method = "AES-256"
	viaGCM   method = "AES-256-GCM"
)

// A crypt is the encryption of a file: its dictionary, and the key once a password has opened it.
type crypt struct {
	dict                       dict
	handler                    name
	version, revision          int64
	bits                       int64 // length of the key
	streams, strings, embedded method
	filters                    map[name]method
	ids                        [][]byte // first elements of ID of all trailers
	key                        []byte   // nil while no password has opened it
	opened                     scan.Trait
	broken                     bool // the dictionary makes no sense
}

// errKey says that a stream cannot be decrypted.
var errKey = errors.New("encrypted")

// encrypted reports whether a trailer names an encryption dictionary.
func (f *file) encrypted() bool {
	return slices.ContainsFunc(f.trailers, func(t trailer) bool { return t.dict.has("Encrypt") })
}

// findCrypt reads the encryption dictionaries of all trailers and tries to open one. Of several, one that stays closed
// counts.
func (f *file) findCrypt(passwords []string) {
	var seen []dict
	for _, t := range f.trailers {
		for _, e := range t.dict {
			if e.key == "Encrypt" && e.value != nil && len(seen) < 4 {
				seen = f.addCrypt(seen, e.value)
			}
		}
	}
	ids := f.ids()
	for _, d := range seen {
		c := f.newCrypt(d, ids)
		c.open(f, passwords)
		if f.crypt == nil || f.crypt.key != nil && c.key == nil {
			f.crypt = c
		}
	}
	if len(seen) > 0 {
		f.revisionsDiffer(len(seen))
	}
}

// addCrypt adds the dictionaries that a value of Encrypt may mean.
func (f *file) addCrypt(seen []dict, v any) []dict {
	var found []dict
	switch v := v.(type) {
	case dict:
		found = []dict{v}
	case ref:
		if len(f.revisions(v)) == 0 {
			f.openStreams() // it may not be in an object stream: ISO 32000-1 Section 7.5.7
		}
		for _, o := range f.revisions(v) {
			o.clear = true
			if d := o.dict(); d != nil {
				found = append(found, d)
			}
		}
	}
	if len(found) == 0 {
		found = []dict{{}} // of no sense
	}
	for _, d := range found {
		if !slices.ContainsFunc(seen, func(s dict) bool { return f.same(s, d) }) {
			seen = append(seen, d)
		}
	}
	return seen
}

// same reports whether two encryption dictionaries are of the same key.
func (f *file) same(a, b dict) bool {
	for _, key := range []name{"O", "U", "OE", "UE"} {
		if !bytes.Equal(f.text(a.get(key)), f.text(b.get(key))) {
			return false
		}
	}
	return f.resolve(a.get("Filter")) == f.resolve(b.get("Filter"))
}

// text returns a string, nil if the value is none.
func (f *file) text(v any) text {
	t, _ := f.resolve(v).(text)
	return t
}

// ids returns the first elements of the file identifiers: ISO 32000-1 Section 14.4. Files without one count as if it were
// empty.
func (f *file) ids() [][]byte {
	out := [][]byte{nil}
	for _, t := range f.trailers {
		a, _ := f.resolve(t.dict.get("ID")).(array)
		if len(a) == 0 || len(out) > 4 {
			continue
		}
		if id := f.text(a[0]); !slices.ContainsFunc(out, func(b []byte) bool { return bytes.Equal(b, id) }) {
			out = append(out, id)
		}
	}
	slices.Reverse(out)
	return out
}

// revisionsDiffer notes where one revision is encrypted and another is not, or in another way.
func (f *file) revisionsDiffer(dicts int) {
	if dicts > 1 {
		f.ambiguous("revisions are encrypted in different ways")
		return
	}
	for _, t := range f.trailers {
		// A trailer without a root only completes another: ISO 32000-1 Annex F.3.4, and Section 7.5.8.4 for the hybrid ones.
		if t.dict.has("Root") && !t.dict.has("Encrypt") && !slices.Contains(f.hybrid, t.at-f.start) && !slices.Contains(f.hybrid, t.at) {
			f.ambiguous("one revision is encrypted and another is not")
			return
		}
	}
}

// newCrypt reads an encryption dictionary: ISO 32000-2 Section 7.6.2.
func (f *file) newCrypt(d dict, ids [][]byte) *crypt {
	c := &crypt{dict: d, ids: ids, filters: map[name]method{}}
	c.handler, _ = f.resolve(d.get("Filter")).(name)
	c.version, c.revision = f.number(d, "V", 0), f.number(d, "R", 0)
	c.bits = f.number(d, "Length", 40)
	if c.bits >= 5 && c.bits <= 16 {
		c.bits *= 8 // counted in octets by mistake
	}
	switch c.version {
	case 0, 1:
		c.bits = 40
		fallthrough
	case 2, 3:
		c.streams, c.strings, c.embedded = viaRC4, viaRC4, viaRC4
	default:
		f.cryptFilters(c)
	}
	c.broken = c.handler == "" || c.handler == "Standard" && !c.sound(f)
	return c
}

// cryptFilters reads which crypt filters are for what: ISO 32000-2 Section 7.6.6.
func (f *file) cryptFilters(c *crypt) {
	all, _ := f.resolve(c.dict.get("CF")).(dict)
	for _, e := range all {
		d, _ := f.resolve(e.value).(dict)
		switch cfm, _ := f.resolve(d.get("CFM")).(name); cfm {
		case "V2":
			c.filters[e.key] = viaRC4
		case "AESV2":
			c.filters[e.key] = viaCBC
		case "AESV3":
			c.filters[e.key] = viaCBC5
		case "AESV4":
			c.filters[e.key] = viaGCM
		}
	}
	of := func(key name) method {
		n, _ := f.resolve(c.dict.get(key)).(name)
		return c.filters[n]
	}
	c.streams, c.strings, c.embedded = of("StmF"), of("StrF"), of("StmF")
	if c.dict.has("EFF") {
		c.embedded = of("EFF")
	}
	if c.version == 4 {
		c.bits = 128
	} else {
		c.bits = 256
	}
}

// sound reports whether the dictionary of the standard handler has what a password can be tried on.
func (c *crypt) sound(f *file) bool {
	o, u := len(f.text(c.dict.get("O"))), len(f.text(c.dict.get("U")))
	if c.revision >= 5 {
		return c.revision <= 7 && o >= 48 && u >= 48 && len(f.text(c.dict.get("UE"))) >= 32
	}
	_, permissions := f.resolve(c.dict.get("P")).(int64)
	return c.revision >= 2 && o >= 32 && u >= 16 && permissions && c.bits >= 40 && c.bits <= 128
}

// cipher names the encryption: "AES-256", "RC4-40".
func (c *crypt) cipher() string {
	for _, m := range []method{c.streams, c.strings, c.embedded} {
		switch m {
		case identity:
		case viaRC4:
			return fmt.Sprintf("RC4-%d", c.bits)
		default:
			return string(m)
		}
	}
	return "no cipher"
}

// attachmentsOnly reports whether nothing but attached files is encrypted.
func (c *crypt) attachmentsOnly() bool {
	return c.streams == identity && c.strings == identity && c.embedded != identity
}

// method names the encryption of a file that was opened, or why it stays closed.
func (c *crypt) method() string {
	if c.key != nil {
		return fmt.Sprintf("%s R%d", c.cipher(), c.revision)
	}
	switch c.handler {
	case "Standard":
	case "":
		return "damaged encryption dictionary"
	case "Adobe.PubSec", "Adobe.PPKLite", "Entrust.PPKEF":
		return "certificate"
	case "MicrosoftIRMServices":
		return "Microsoft rights management"
	default:
		return "handler " + short(string(c.handler))
	}
	switch {
	case c.broken:
		return "damaged encryption dictionary"
	case c.attachmentsOnly():
		return fmt.Sprintf("%s (R%d), attachments only, user password", c.cipher(), c.revision)
	}
	return fmt.Sprintf("%s (R%d), user password", c.cipher(), c.revision)
}

// decrypt returns the octets of a stream in clear: ISO 32000-2 Section 7.6.3.
func (f *file) decrypt(o *object, c *crypt, filters []name, params []dict) ([]byte, error) {
	if c == nil {
		return o.packed, nil
	}
	m := c.streams
	if o.attached {
		m = c.embedded
	}
	for i, filter := range filters {
		if filter == "Crypt" { // ISO 32000-1 Section 7.4.10: identity is the default
			n, _ := f.resolve(params[i].get("Name")).(name)
			m = c.filters[n]
			break
		}
	}
	if m != identity {
		if err := f.budget.Spend(int64(len(o.packed))); err != nil {
			return nil, err
		}
	}
	return c.clear(m, o, o.packed)
}

// clear decrypts octets of an object.
func (c *crypt) clear(m method, o *object, in []byte) ([]byte, error) {
	switch {
	case m == identity:
		return in, nil
	case c.key == nil:
		return nil, errKey
	}
	switch m {
	case viaRC4:
		out := make([]byte, len(in))
		r, err := rc4.NewCipher(c.objectKey(o, false))
		if err != nil {
			return nil, err
		}
		r.XORKeyStream(out, in)
		return out, nil
	case viaCBC:
		return decryptCBC(c.objectKey(o, true), in)
	case viaCBC5:
		return decryptCBC(c.key, in)
	}
	return decryptGCM(c.key, in)
}

// objectKey derives the key of one object: ISO 32000-2 Algorithm 1.
func (c *crypt) objectKey(o *object, salted bool) []byte {
	b := append(slices.Clone(c.key), byte(o.num), byte(o.num>>8), byte(o.num>>16), byte(o.gen), byte(o.gen>>8))
	if salted {
		b = append(b, "sAlT"...)
	}
	sum := md5.Sum(b)
	return sum[:min(len(c.key)+5, 16)]
}

// decryptCBC decrypts octets behind an initialization vector, and takes the padding off. A last block that was cut off is
// left out.
func decryptCBC(key, in []byte) ([]byte, error) {
	if len(in) < 2*aes.BlockSize {
		return nil, nil // nothing but padding, or less
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	iv, in := in[:aes.BlockSize], in[aes.BlockSize:]
	out := make([]byte, len(in)/aes.BlockSize*aes.BlockSize)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, in[:len(out)])
	if n := int(out[len(out)-1]); n >= 1 && n <= aes.BlockSize {
		out = out[:len(out)-n]
	}
	return out, nil
}

// decryptGCM decrypts octets between an initialization vector of 12 octets and a tag: ISO/TS 32003 Section 5.2.
func decryptGCM(key, in []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	g, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	if len(in) < g.NonceSize() {
		return nil, errKey
	}
	return g.Open(nil, in[:g.NonceSize()], in[g.NonceSize():], nil)
}

// littleEndian returns the permissions as they are hashed. Files have them signed or not.
func littleEndian(p int64) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(p)) }
