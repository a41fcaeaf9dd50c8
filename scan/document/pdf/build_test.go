package pdf_test

import (
	"bytes"
	"compress/zlib"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
)

// page is the first page of every document here, as objects 2 and 3.
const page = "<</Type/Pages/Kids[3 0 R]/Count 1>>"

// document writes a PDF with the catalog entries given and objects from 4 on, and a cross-reference table.
func document(catalog string, objects ...string) []byte {
	return documentWith("", catalog, objects...)
}

// documentWith writes a document with more entries in the trailer.
func documentWith(trailer, catalog string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	all := append([]string{"<</Type/Catalog/Pages 2 0 R" + catalog + ">>", page, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>"}, objects...)
	writeSection(&b, 1, "/Root 1 0 R"+trailer, all...)
	return b.Bytes()
}

// writeSection writes objects from a number on, a table and a trailer.
func writeSection(b *bytes.Buffer, first int, trailer string, objects ...string) {
	var table strings.Builder
	for i, o := range objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", b.Len())
		fmt.Fprintf(b, "%d 0 obj\n%s\nendobj\n", first+i, o)
	}
	start := b.Len()
	fmt.Fprintf(b, "xref\n%d %d\n%strailer\n<</Size %d%s>>\nstartxref\n%d\n%%%%EOF\n", first, len(objects), &table, first+len(objects), trailer, start)
}

// update appends a revision that replaces objects from a number on.
func update(content []byte, first int, objects ...string) []byte {
	b := bytes.NewBuffer(bytes.Clone(content))
	writeSection(b, first, fmt.Sprintf("/Root 1 0 R/Prev %s", lastStart(content)), objects...)
	return b.Bytes()
}

// lastStart returns the number behind the last startxref.
func lastStart(content []byte) string {
	at := bytes.LastIndex(content, []byte("startxref"))
	return strings.Fields(string(content[at:]))[1]
}

// stream writes a stream.
func stream(dict string, data []byte) string {
	return fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
}

// flated writes a stream with FlateDecode.
func flated(dict string, data []byte) string {
	return stream(dict+"/Filter/FlateDecode", deflate(data))
}

// deflate compresses.
func deflate(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(data) // to a buffer
	_ = w.Close()
	return b.Bytes()
}

// objectStream returns the entries and the content of an object stream with objects from a number on.
func objectStream(first int, objects ...string) (dict string, content []byte) {
	var head, body strings.Builder
	for i, o := range objects {
		fmt.Fprintf(&head, "%d %d ", first+i, body.Len())
		body.WriteString(o + "\n")
	}
	return fmt.Sprintf("/Type/ObjStm/N %d/First %d", len(objects), head.Len()), []byte(head.String() + body.String())
}

// A seal encrypts a document of revisions 2 to 7, written from ISO 32000-2 Section 7.6 and ISO/TS 32003.
type seal struct {
	revision, bits int
	clearMetadata  bool
	key            []byte
	dict           string
}

// paddingOctets fill passwords up.
var paddingOctets, _ = hex.DecodeString("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")

// identifier is the first element of ID.
const identifier = "0123456789abcdef"

// newSeal makes the key and the dictionary.
func newSeal(revision, bits int, user, owner string, clearMetadata bool) *seal {
	s := &seal{revision: revision, bits: bits, clearMetadata: clearMetadata}
	if revision >= 5 {
		s.hashed([]byte(user), []byte(owner))
	} else {
		s.padded([]byte(user), []byte(owner))
	}
	return s
}

// pad fills a password up.
func pad(p []byte) []byte { return append(bytes.Clone(p), paddingOctets...)[:32] }

// crypted applies RC4.
func crypted(key, in []byte) []byte {
	out := make([]byte, len(in))
	c, _ := rc4.NewCipher(key) // of 5 to 16 octets
	c.XORKeyStream(out, in)
	return out
}

// rounds applies RC4 twenty times.
func rounds(key, in []byte) []byte {
	for i := range 20 {
		k := bytes.Clone(key)
		for j := range k {
			k[j] ^= byte(i)
		}
		in = crypted(k, in)
	}
	return in
}

// padded makes a dictionary of revisions 2 to 4: Algorithms 2 to 5.
func (s *seal) padded(user, owner []byte) {
	n := s.bits / 8
	sum := md5.Sum(pad(owner))
	for range 50 * min(1, s.revision-2) {
		sum = md5.Sum(sum[:])
	}
	o := crypted(sum[:n], pad(user))
	if s.revision > 2 {
		o = rounds(sum[:n], pad(user))
	}
	in := bytes.Join([][]byte{pad(user), o, {0xfc, 0xff, 0xff, 0xff}, []byte(identifier)}, nil)
	if s.clearMetadata {
		in = append(in, 0xff, 0xff, 0xff, 0xff)
	}
	sum = md5.Sum(in)
	for range 50 * min(1, s.revision-2) {
		sum = md5.Sum(sum[:n])
	}
	s.key = bytes.Clone(sum[:n])
	u := crypted(s.key, paddingOctets)
	if s.revision > 2 {
		sum = md5.Sum(append(bytes.Clone(paddingOctets), identifier...))
		u = append(rounds(s.key, sum[:]), make([]byte, 16)...)
	}
	version, extra := map[int]string{2: "1", 3: "2", 4: "4"}[s.revision], ""
	if s.revision == 4 {
		extra = "/CF<</StdCF<</CFM/AESV2/Length 16>>>>/StmF/StdCF/StrF/StdCF"
	}
	if s.clearMetadata {
		extra += "/EncryptMetadata false"
	}
	s.dict = fmt.Sprintf("<</Filter/Standard/V %s/R %d/Length %d/P -4/O<%x>/U<%x>%s>>", version, s.revision, s.bits, o, u, extra)
}

// hashed makes a dictionary of revisions 5 to 7: Algorithms 8 and 9.
func (s *seal) hashed(user, owner []byte) {
	s.key = bytes.Repeat([]byte("key of the file "), 2)
	salts := []byte("validateencrypt.")
	u := append(s.hash(user, salts[:8], nil), salts...)
	ue := wrap(s.hash(user, salts[8:], nil), s.key)
	o := append(s.hash(owner, salts[:8], u), salts...)
	oe := wrap(s.hash(owner, salts[8:], u), s.key)
	version, cfm := "5", "AESV3"
	if s.revision == 7 {
		version, cfm = "6", "AESV4"
	}
	s.dict = fmt.Sprintf("<</Filter/Standard/V %s/R %d/Length 256/P -4/U<%x>/UE<%x>/O<%x>/OE<%x>/Perms<%032x>/CF<</StdCF<</CFM/%s/AuthEvent/DocOpen>>>>/StmF/StdCF/StrF/StdCF>>",
		version, s.revision, u, ue, o, oe, 1, cfm)
}

// wrap encrypts the key of the file.
func wrap(key, in []byte) []byte {
	block, _ := aes.NewCipher(key) // of 32 octets
	out := make([]byte, len(in))
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out, in)
	return out
}

// hash is Algorithm 2.B, with the remainder taken of the number as it is written.
func (s *seal) hash(password, salt, user []byte) []byte {
	first := sha256.Sum256(bytes.Join([][]byte{password, salt, user}, nil))
	k := first[:]
	for i := 0; s.revision > 5; i++ {
		block, _ := aes.NewCipher(k[:16])
		e := bytes.Repeat(bytes.Join([][]byte{password, k, user}, nil), 64)
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(e, e)
		var sum384 [48]byte
		var sum512 [64]byte
		switch new(big.Int).Mod(new(big.Int).SetBytes(e[:16]), big.NewInt(3)).Int64() {
		case 0:
			sum := sha256.Sum256(e)
			k = sum[:]
		case 1:
			sum384 = sha512.Sum384(e)
			k = sum384[:]
		default:
			sum512 = sha512.Sum512(e)
			k = sum512[:]
		}
		if i >= 63 && int(e[len(e)-1]) <= i-31 {
			break
		}
	}
	return k[:32]
}

// encrypt encrypts octets of an object: Algorithms 1 and 1.A.
func (s *seal) encrypt(num int, in []byte) []byte {
	if s.revision == 7 {
		block, _ := aes.NewCipher(s.key)
		g, _ := cipher.NewGCM(block)
		iv := []byte("twelve bytes")
		return g.Seal(iv, iv, in, nil)
	}
	key := s.key
	if s.revision < 5 {
		b := binary.LittleEndian.AppendUint32(bytes.Clone(key), uint32(num))
		b = append(b[:len(key)+3], 0, 0)
		if s.revision == 4 {
			b = append(b, "sAlT"...)
		}
		sum := md5.Sum(b)
		key = sum[:min(16, len(s.key)+5)]
	}
	if s.revision < 4 {
		return crypted(key, in)
	}
	n := 16 - len(in)%16
	in = append(bytes.Clone(in), bytes.Repeat([]byte{byte(n)}, n)...)
	iv := []byte("sixteen octets..")
	block, _ := aes.NewCipher(key)
	out := make([]byte, len(in))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, in)
	return append(iv, out...)
}

// text writes an encrypted string of an object.
func (s *seal) text(num int, in string) string {
	return fmt.Sprintf("<%x>", s.encrypt(num, []byte(in)))
}

// document writes an encrypted document with a link, an attached file, and JavaScript in an object stream.
func (s *seal) document() []byte {
	dict, content := objectStream(20, "<</S/JavaScript/JS(app.alert\\(1\\))>>", "<</Type/Filespec/F(a.txt)/UF(a.txt)/EF<</F 6 0 R>>>>")
	return documentWith("/Encrypt 7 0 R/ID[("+identifier+")("+identifier+")]", "",
		"<</S/URI/URI"+s.text(4, "https://example.org/")+">>",
		stream(dict+"/Filter/FlateDecode", s.encrypt(5, deflate(content))),
		stream("/Type/EmbeddedFile/Filter/FlateDecode", s.encrypt(6, deflate([]byte("attached")))),
		s.dict)
}
