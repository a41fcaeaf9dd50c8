package sealed

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/vectors"
)

// pkt is a packet of the new format with a length of five octets.
func pkt(tag int, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0xc0 | byte(tag), 255}, uint32(len(body))), body...)
}

func literalOf(name, content string) []byte {
	return pkt(tagLiteral, append([]byte{'b', byte(len(name))}, name+"\x00\x00\x00\x00"+content...)...)
}

func compressedOf(content []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	_, _ = w.Write(content)
	_ = w.Close()
	return pkt(tagCompressed, append([]byte{1}, b.Bytes()...)...)
}

func armored(label string, data []byte) string {
	return "-----BEGIN " + label + "-----\nComment: made for a test\n\n" + wrap(data) + "=AAAA\n-----END " + label + "-----\n"
}

func wrap(data []byte) string {
	text := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	for len(text) > 64 {
		b.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	return b.String() + text + "\n"
}

// pubkeyMessage is a message to a public key: a session key and some octets.
func pubkeyMessage() []byte {
	esk := append([]byte{3, 1, 2, 3, 4, 5, 6, 7, 8, 1}, bytes.Repeat([]byte{0x5a}, 40)...)
	return append(pkt(tagPKESK, esk...), pkt(tagSEIPD, append([]byte{1}, bytes.Repeat([]byte{0xa5}, 60)...)...)...)
}

func TestArmor(t *testing.T) {
	message := armored("PGP MESSAGE", pubkeyMessage())
	signed := armored("PGP MESSAGE", append(literalOf("inside.txt", "readable"), []byte{}...))
	key := string(testdata(t, "public.asc"))
	const pk = "OpenPGP, public key"
	for _, c := range []struct {
		name, text, by string
		state          scan.State
		method         string
		members        int
	}{
		{"message", message, "openpgp", scan.Encrypted, pk, 0},
		{"crlf", strings.ReplaceAll(message, "\n", "\r\n"), "openpgp", scan.Encrypted, pk, 0},
		{"cr", strings.ReplaceAll(message, "\n", "\r"), "openpgp", scan.Encrypted, pk, 0},
		{"byte order mark and text before", "\xef\xbb\xbfHello,\n\n" + message + "\nBye", "openpgp", scan.Encrypted, pk, 0},
		{"blanks behind the line", strings.Replace(message, "MESSAGE-----\n", "MESSAGE-----  \t\n", 1), "openpgp", scan.Encrypted, pk, 0},
		{"no headers, no blank line", "-----BEGIN PGP MESSAGE-----\n" + wrap(pubkeyMessage()) + "-----END PGP MESSAGE-----", "openpgp", scan.Encrypted, pk, 0},
		{"no end", strings.Split(message, "=AAAA")[0], "openpgp", scan.Encrypted, pk, 0},
		{"key and message", key + message, "openpgp", scan.Encrypted, pk, 0},
		{"message and key", message + key, "openpgp", scan.Encrypted, pk, 0},
		{"readable, twice", signed + signed, "openpgp", scan.Inspected, "", 2},
		{"readable and not", signed + message, "openpgp", scan.Encrypted, pk, 1},
		{"armored file", armored("PGP ARMORED FILE", pubkeyMessage()), "openpgp", scan.Encrypted, pk, 0},
		{"one of several parts", armored("PGP MESSAGE, PART 2/3", bytes.Repeat([]byte{7}, 99)), "openpgp", scan.Encrypted, "OpenPGP message in several parts", 0},
		{"random octets", armored("PGP MESSAGE", bytes.Repeat([]byte{7, 99, 3}, 50)), "openpgp", scan.Encrypted, methodDamaged, 0},
		{"an example in a text", "Write\n-----BEGIN PGP MESSAGE-----\n...\n-----END PGP MESSAGE-----\n", "openpgp", scan.Inspected, "", 0},
		{"quoted", "> " + strings.ReplaceAll(message, "\n", "\n> "), "", "", "", 0},
		{"indented", strings.ReplaceAll(" "+message, "\n", "\n "), "", "", "", 0},
		{"in a sentence", "The line -----BEGIN PGP MESSAGE----- begins it.", "", "", "", 0},
		{"text behind the line", "-----BEGIN PGP MESSAGE----- is what begins it", "", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, "x.txt", []byte(c.text))
			if r.by != c.by || r.verdict.State != c.state || r.verdict.Method != c.method || len(r.members) != c.members {
				t.Errorf("got %q %s %q, %d members", r.by, r.verdict.State, r.verdict.Method, len(r.members))
			}
			found, method := Inline([]byte(c.text))
			if found != (c.state == scan.Encrypted) && !strings.Contains(c.name, "parts") || found && method != c.method {
				t.Errorf("Inline: %v %q", found, method)
			}
		})
	}
}

// TestCleartext: a signed text is read without the dashes that hide lines of it.
func TestCleartext(t *testing.T) {
	content := testdata(t, "clear-dash.asc")
	r := read(t, "x.asc", content)
	if r.verdict.State != scan.Inspected || len(r.members) != 1 || !strings.Contains(string(r.members[0].Content), "\n- dash\n-----BEGIN PGP MESSAGE-----\nplain") {
		t.Errorf("%+v", r)
	}
	if found, _ := Inline(content); found {
		t.Error("the dashed line counts")
	}
}

// TestInlineQuoted: what a reply quotes is no encrypted message.
func TestInlineQuoted(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(vectors.Path(t, "scan/samples"), "pgp/inline-quoted.eml"))
	if err != nil {
		t.Fatal(err)
	}
	if found, method := Inline(content); found {
		t.Errorf("found %q", method)
	}
}

func TestPackets(t *testing.T) {
	lit := literalOf("a.txt", "hello plain text\n")
	partial := append([]byte{0xc0 | tagLiteral, 0xe4}, lit[6:22]...) // 16 octets, then the rest
	partial = append(append(partial, byte(len(lit)-22)), lit[22:]...)
	old := append([]byte{0x80 | tagLiteral<<2 | 3}, lit[6:]...)
	nested := lit
	for range 4 {
		nested = compressedOf(nested)
	}
	deep := lit
	for range maxNested + 2 {
		deep = compressedOf(deep)
	}
	unknown := pkt(39, []byte("what is this?")...)
	for _, c := range []struct {
		name   string
		data   []byte
		state  scan.State
		method string
		member string
	}{
		{"literal", lit, scan.Inspected, "", "hello plain text\n"},
		{"partial lengths", partial, scan.Inspected, "", "hello plain text\n"},
		{"indeterminate length", old, scan.Inspected, "", "hello plain text\n"},
		{"marker", append(pkt(tagMarker, 'P', 'G', 'P'), lit...), scan.Inspected, "", "hello plain text\n"},
		{"compressed four times", nested, scan.Inspected, "", "hello plain text\n"},
		{"compressed too often", deep, scan.Uninspectable, "OpenPGP packets nested more than 8 deep", ""},
		{"unknown packet", append(bytes.Clone(lit), unknown...), "", "", ""},
		{"compressed and encrypted", compressedOf(pubkeyMessage()), scan.Encrypted, "OpenPGP, public key", ""},
		{"a literal and something encrypted", compressedOf(append(bytes.Clone(lit), pubkeyMessage()...)), scan.Encrypted, "OpenPGP, public key", "hello plain text\n"},
		{"a session key alone", pubkeyMessage()[:56], scan.Encrypted, "OpenPGP, public key", ""},
		{"cut off", pubkeyMessage()[:90], scan.Encrypted, "OpenPGP, public key", ""},
		{"junk behind", append(compressedOf(lit), "and more"...), scan.Inspected, "", "hello plain text\n"},
		{"unknown packet inside", compressedOf(append(bytes.Clone(lit), unknown...)), scan.Uninspectable, "unknown OpenPGP packet 39", "hello plain text\n"},
		{"AEAD of LibrePGP", append(pubkeyMessage()[:56], pkt(tagAEAD, append([]byte{1, 9, 2, 10}, make([]byte, 60)...)...)...), scan.Encrypted, "OpenPGP, public key, AES-256, AEAD OCB", ""},
		{"version 2", append(pubkeyMessage()[:56], pkt(tagSEIPD, append([]byte{2, 9, 3, 10}, make([]byte, 60)...)...)...), scan.Encrypted, "OpenPGP, public key, AES-256, AEAD GCM", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, "", c.data)
			if r.verdict.State != c.state || r.verdict.Method != c.method {
				t.Errorf("got %q %s %q", r.by, r.verdict.State, r.verdict.Method)
			}
			if c.member != "" && (len(r.members) == 0 || string(r.members[0].Content) != c.member || r.members[0].Name != "a.txt") {
				t.Errorf("members %+v", r.members)
			}
		})
	}
}

// TestBombs: what unpacks to too much ends with a limit, not with the memory of the machine.
func TestBombs(t *testing.T) {
	bomb := compressedOf(literalOf("zeros", string(make([]byte, 40<<20))))
	r := read(t, "", bomb)
	if r.verdict.State != scan.Uninspectable || !strings.Contains(r.verdict.Method, "unpack") {
		t.Errorf("%+v", r.verdict)
	}
	many := bytes.Repeat(compressedOf(literalOf("", "x")), 50_000) // packets of some octets, each of which costs a decompressor
	if r := read(t, "", many); r.by != "openpgp" || r.verdict.State != scan.Uninspectable {
		t.Errorf("%+v", r.verdict)
	}
}

// TestS2KBound: a message whose passwords cost too much is left closed instead of costing too much.
func TestS2KBound(t *testing.T) {
	content := testdata(t, "sym-max.gpg")
	var passwords []string
	for i := range 60 {
		passwords = append(passwords, strings.Repeat("x", i+1))
	}
	r := pgpRun{f: fileOf("", content, passwords...), yield: func(container.Member) bool { return true }}
	r.packets(content, 0)
	if v := r.verdict(); v.State != scan.Encrypted || r.hashed > maxHashed || r.hashed < maxHashed/2 {
		t.Errorf("%+v, %d octets hashed", v, r.hashed)
	}
}

// unhex decodes hex with blanks in it.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	out, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLibrePGP opens the sample of the LibrePGP draft, Appendix "Complete OCB encrypted packet sequence".
func TestLibrePGP(t *testing.T) {
	content := unhex(t, `
		c3 3d 05 07 02 03 08 9f 0b 7d a3 e5 ea 64 77 90 99 e3 26 e5 40 0a 90 93 6c ef b4 e8 eb a0 8c 67
		73 71 6d 1f 27 14 54 0a 38 fc ac 52 99 49 da c5 29 d3 de 31 e1 5b 4a eb 72 9e 33 00 33 db ed
		d4 49 01 07 02 0e 5e d2 bc 1e 47 0a be 8f 1d 64 4c 7a 6c 8a 56 7b 0f 77 01 19 66 11 a1 54 ba 9c
		25 74 cd 05 62 84 a8 ef 68 03 5c 62 3d 93 cc 70 8a 43 21 1b b6 ea f2 b2 7f 7c 18 d5 71 bc d8 3b
		20 ad d3 a0 8b 73 af 15 b9 a0 98`)
	r := read(t, "", content, "no", "password")
	if r.verdict.State != scan.Inspected || len(r.members) != 1 || string(r.members[0].Content) != "Hello, world!\n" {
		t.Errorf("%+v", r)
	}
	read(t, "", content, "no").want(t, "openpgp", scan.Encrypted, "OpenPGP, password, AES-128, AEAD OCB", nil)
}

// TestAEADMessages seals with both modes what is then opened, and not any more when it is damaged.
func TestAEADMessages(t *testing.T) {
	for _, aead := range []byte{2, 3} {
		key := sha256.Sum256([]byte("a session key"))
		plain := compressedOf(literalOf("a.txt", strings.Repeat("hello plain text\n", 20)))
		salt := bytes.Repeat([]byte{0x17}, 32)
		head := []byte{2, 9, aead, 0}
		info := append([]byte{0xc0 | tagSEIPD}, head...)
		size := nonceSize(aead)
		derived, err := hkdf.Key(sha256.New, key[:], salt, string(info), 32+size-8)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := aes.NewCipher(derived[:32])
		seal := sealerOf(t, aead, block)
		nonce := func(i uint64) []byte {
			n := make([]byte, size)
			copy(n, derived[32:])
			binary.BigEndian.PutUint64(n[size-8:], i)
			return n
		}
		body := append(bytes.Clone(head), salt...)
		i, total := uint64(0), uint64(len(plain))
		for ; len(plain) > 0; i++ {
			n := min(len(plain), 64)
			body = append(body, seal(nonce(i), plain[:n], info)...)
			plain = plain[n:]
		}
		body = append(body, seal(nonce(i), nil, binary.BigEndian.AppendUint64(bytes.Clone(info), total))...)
		c, _ := findCipher(9)
		out, ok := sessionKey{c, key[:]}.openSEIPD2(body)
		if !ok || !isOpenPGP(out) {
			t.Errorf("mode %d: not opened", aead)
		}
		body[len(body)-1] ^= 1
		if _, ok := (sessionKey{c, key[:]}).openSEIPD2(body); ok {
			t.Errorf("mode %d: opened although it is damaged", aead)
		}
	}
}

// sealerOf encrypts. For OCB it is written down once more, and slower, from RFC 7253 Section 4.2.
func sealerOf(t *testing.T, aead byte, block cipher.Block) func(nonce, plain, info []byte) []byte {
	if aead == 3 {
		mode, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		return func(nonce, plain, info []byte) []byte { return mode.Seal(nil, nonce, plain, info) }
	}
	return func(nonce, plain, info []byte) []byte { return sealOCB(block, nonce, plain, info) }
}

func sealOCB(block cipher.Block, nonce, plain, info []byte) []byte {
	o := newOCB(block)
	offset := o.offset(nonce)
	var sum [16]byte
	var out []byte
	ntz := func(i int) int {
		n := 0
		for ; i&1 == 0; i >>= 1 {
			n++
		}
		return n
	}
	for i := 1; len(plain) >= 16; i++ {
		xor16(&offset, o.l[ntz(i)][:])
		xor16(&sum, plain)
		b := [16]byte(plain[:16])
		xor16(&b, offset[:])
		block.Encrypt(b[:], b[:])
		xor16(&b, offset[:])
		out = append(out, b[:]...)
		plain = plain[16:]
	}
	if len(plain) > 0 {
		xor16(&offset, o.star[:])
		var pad, last [16]byte
		block.Encrypt(pad[:], offset[:])
		for i, c := range plain {
			out = append(out, c^pad[i])
		}
		copy(last[:], plain)
		last[len(plain)] = 0x80
		xor16(&sum, last[:])
	}
	xor16(&sum, offset[:])
	xor16(&sum, o.dollar[:])
	block.Encrypt(sum[:], sum[:])
	hash := o.hash(info)
	xor16(&sum, hash[:])
	return append(out, sum[:]...)
}
