package ole

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"assay/scan"
)

// A letter is a document of Word in the making.
type letter struct {
	pieces   []string // each is UTF-16 if it begins with a U+FEFF
	template string
	flags    uint16
	lKey     uint32
	head     []byte // of the table stream
	others   []*node
	pointer  func(piece int, at uint32) uint32
}

// streams makes "WordDocument" and "1Table".
func (l letter) streams() (main, table []byte) {
	le := binary.LittleEndian
	main = make([]byte, 1024)
	le.PutUint16(main, 0xa5ec)
	le.PutUint16(main[2:], 0xc1)
	le.PutUint16(main[0x0a:], flagTable1|l.flags)
	le.PutUint32(main[0x0e:], l.lKey)
	le.PutUint16(main[32:], 14)
	le.PutUint16(main[62:], 22)
	le.PutUint16(main[152:], 93)
	cps, pcds := []uint32{0}, []byte{}
	for i, p := range l.pieces {
		at, count, octets := uint32(len(main))*2|1<<30, len(p), []byte(p)
		if rest, ok := strings.CutPrefix(p, "\ufeff"); ok {
			octets = wide(rest)
			at, count = uint32(len(main)), len(octets)/2
		}
		if l.pointer != nil {
			at = l.pointer(i, at)
		}
		main = append(main, octets...)
		cps = append(cps, cps[i]+uint32(count))
		pcds = append(append(append(pcds, 0, 0), numbers([]uint32{at})...), 0, 0)
	}
	plc := append(numbers(cps), pcds...)
	table = append([]byte(nil), l.head...)
	le.PutUint32(main[154+8*indexClx:], uint32(len(table)))
	clx := join([]byte{1}, le16(3), []byte("prc"), []byte{2}, numbers([]uint32{uint32(len(plc))}), plc)
	le.PutUint32(main[154+8*indexClx+4:], uint32(len(clx)))
	table = append(table, clx...)
	strs := join([]byte("\xff\xff\x12\x00\x00\x00\x00\x00"), le16(len(wide(l.template))/2), wide(l.template))
	le.PutUint32(main[154+8*indexAssociated:], uint32(len(table)))
	le.PutUint32(main[154+8*indexAssociated+4:], uint32(len(strs)))
	return main, append(table, strs...)
}

// build makes the file.
func (l letter) build() []byte {
	main, table := l.streams()
	return build(append([]*node{stream("WordDocument", main), stream("1Table", table)}, l.others...)...)
}

func TestWordFields(t *testing.T) {
	type C = struct {
		pieces []string
		traits string
		link   string
	}
	for name, c := range map[string]C{
		"no field":         {[]string{"how DDEAUTO works, and HYPERLINK too"}, "", ""},
		"an ordinary one":  {[]string{"\x13 PAGE \x141\x15 of \x13NUMPAGES\x14 2\x15"}, "", ""},
		"dde":              {[]string{"a\x13 DDEAUTO c:\\\\windows\\\\cmd.exe \"/k calc\" \x14x\x15b"}, "dde", ""},
		"lower case":       {[]string{"\x13ddeauto excel x\x15"}, "dde", ""},
		"dde in UTF-16":    {[]string{"\ufeffä \x13 DDE cmd x \x14x\x15"}, "dde", ""},
		"over pieces":      {[]string{"text \x13 DDE", "\ufeffAU", "TO cmd x\x14\x15"}, "dde", ""},
		"in quotes":        {[]string{"\x13 \"DDE\"\"AUTO\" cmd x\x15"}, "dde", ""},
		"not ended":        {[]string{"\x13 DDEAUTO cmd x"}, "dde", ""},
		"by numbers":       {[]string{"\x13 \x13 QUOTE 68 68 69 65 85 84 79 \x15 \x13 QUOTE 99 109 100 \x15\x15"}, "dde", ""},
		"by hexadecimal":   {[]string{"\x13\x13QUOTE 0x44 0x44 0x45\x15 cmd x\x15"}, "dde", ""},
		"by a name":        {[]string{"\x13 SET c \"DDEAUTO cmd /k\" \x15 some text \x13 \x13 REF c \x15 \x15"}, "dde", ""},
		"by a bare name":   {[]string{"\x13 SET c DDEAUTO\x15\x13 \x13c\x15 cmd x \x15"}, "dde", ""},
		"by what is shown": {[]string{"\x13 \x13 MERGEFIELD x \x14DDEAUTO\x15 cmd x \x15"}, "dde", ""},
		"in another field": {[]string{"\x13 IF 1=1 \x13 DDEAUTO cmd x \x14\x15 \x14\x15"}, "dde", ""},
		"remote picture":   {[]string{"\x13 INCLUDEPICTURE \"http://evil.example/a.png\" \\* MERGEFORMAT \\d \x14\x01\x15"}, "remote-object", "http://evil.example/a.png"},
		"network picture":  {[]string{"\x13 INCLUDEPICTURE \\\\\\\\evil\\\\share\\\\a.png \x15"}, "remote-object", `\\evil\share\a.png`},
		"local picture":    {[]string{"\x13 INCLUDEPICTURE \"C:\\\\Pictures\\\\a.png\" \x15"}, "", ""},
		"remote text":      {[]string{"\x13 INCLUDETEXT \"https://evil.example/a.doc\" \x15"}, "remote-object", "https://evil.example/a.doc"},
		"link":             {[]string{"\x13 LINK Word.Document.8 \"https://evil.example/a.doc\" \"\" \\a \\p \x15"}, "remote-object", "https://evil.example/a.doc"},
		"hyperlink":        {[]string{"\x13 HYPERLINK \\l \"x\" \"https://example.org/\" \x14shown\x15"}, "", "https://example.org/"},
		"bookmark":         {[]string{"\x13 HYPERLINK \\l \"x\" \x14shown\x15"}, "", ""},
		"control":          {[]string{"\x13 CONTROL Forms.CommandButton.1 \\s \x14\x15"}, "activex", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := look(t, letter{pieces: c.pieces}.build())
			want(t, v, scan.Inspected, "", c.traits)
			got := ""
			if len(v.Links) > 0 {
				got = v.Links[0].URL
			}
			if got != c.link {
				t.Errorf("link %q, want %q", got, c.link)
			}
		})
	}
}

func TestWordTemplate(t *testing.T) {
	for template, traits := range map[string]string{
		"Normal.dot": "", `C:\Templates\x.dot`: "", "": "", "file:///C:/x.dot": "",
		"http://evil.example/x.dotm": "remote-template", `\\evil\share\x.dot`: "remote-template", "file://evil/x.dot": "remote-template",
	} {
		v, _ := look(t, letter{pieces: []string{"text"}, template: template}.build())
		want(t, v, scan.Inspected, "", traits)
		if traits != "" && (len(v.Links) != 1 || v.Links[0].Source != scan.FromRemote || v.Links[0].URL != template) {
			t.Errorf("%q: %v", template, v.Links)
		}
	}
}

// What cannot be read in full is not called inspected.
func TestWordBroken(t *testing.T) {
	whole := letter{pieces: []string{strings.Repeat("text ", 2000)}}
	main, table := whole.streams()
	deep := strings.Repeat("\x13", 100) + "DDE cmd x" + strings.Repeat("\x15", 100)
	shared, sharedTable := letter{pieces: slices.Repeat([]string{strings.Repeat("text ", 2000)}, 10),
		pointer: func(int, uint32) uint32 { return 2048 | 1<<30 }}.streams()
	for name, c := range map[string]struct {
		file   []byte
		method string
	}{
		"cut off":       {build(stream("WordDocument", main[:40])), "the document of Word is cut off"},
		"no document":   {build(stream("WordDocument", make([]byte, 100))), "not a document of Word, despite its name"},
		"no table":      {build(stream("WordDocument", main)), "the text of the document cannot be found"},
		"no text":       {build(stream("WordDocument", main[:1024]), stream("1Table", table)), "a piece of the text is missing"},
		"too deep":      {letter{pieces: []string{deep}}.build(), "too many fields, or nested too deep"},
		"overlapping":   {build(stream("WordDocument", shared[:11024]), stream("1Table", sharedTable)), "pieces of the text overlap"},
		"of Word 95":    {build(stream("WordDocument", join([]byte("\xdc\xa5\x68\x00"), main[4:]))), "a document of Word 6 or 95, which does not tell about macros"},
		"another table": {build(stream("WordDocument", main), stream("1Table", bytes.Repeat([]byte{3}, 500))), "the table of the text is broken"},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := look(t, c.file)
			if v.State != scan.Uninspectable || v.Method != c.method {
				t.Errorf("%s %q, want %q", v.State, v.Method, c.method)
			}
		})
	}
}

// short40 describes RC4 with 40 bit for a password ([MS-OFFCRYPTO] 2.3.6.1).
func short40(password string) (*shortKey, []byte) {
	k := &shortKey{salt: []byte("0123456789abcdef"), verifier: make([]byte, 16), verifierHash: make([]byte, 16)}
	_, _ = k.try(password)
	c := k.cipher(0)
	c.XORKeyStream(k.verifier, []byte("a random number."))
	sum := md5.Sum([]byte("a random number."))
	c.XORKeyStream(k.verifierHash, sum[:])
	return k, join([]byte("\x01\x00\x01\x00"), k.salt, k.verifier, k.verifierHash)
}

// cryptoAPI128 describes RC4 of the CryptoAPI for a password ([MS-OFFCRYPTO] 2.3.5.1).
func cryptoAPI128(password string, keyBits int) (*cryptoAPI, []byte) {
	k := &cryptoAPI{cryptoHeader: &cryptoHeader{algorithm: algorithmRC4, bits: keyBits, salt: []byte("0123456789abcdef"), verifier: make([]byte, 16), verifierHash: make([]byte, 20)}}
	_, _ = k.try(password)
	c := k.cipher(0)
	c.XORKeyStream(k.verifier, []byte("a random number."))
	sum := sha1.Sum([]byte("a random number."))
	c.XORKeyStream(k.verifierHash, sum[:])
	header := append(numbers([]uint32{4, 0, algorithmRC4, 0x8004, uint32(keyBits), 1, 0, 0}), wide("Provider\x00")...)
	return k, join([]byte("\x02\x00\x02\x00"), numbers([]uint32{4, uint32(len(header))}), header,
		numbers([]uint32{16}), k.salt, k.verifier, numbers([]uint32{20}), k.verifierHash)
}

// never is a budget's check that never fails.
func never() error { return nil }

// Fields are found in documents that are encrypted with a password that can be known; macros in all of them.
func TestWordEncrypted(t *testing.T) {
	text := strings.Repeat("text ", 500) + "\x13 DDEAUTO cmd x \x15"
	for name, describe := range map[string]func(password string) (streamKey, []byte){
		"RC4 40 bit":              func(p string) (streamKey, []byte) { k, d := short40(p); return k, d },
		"RC4 128 bit (CryptoAPI)": func(p string) (streamKey, []byte) { k, d := cryptoAPI128(p, 128); return k, d },
		"RC4 40 bit (CryptoAPI)":  func(p string) (streamKey, []byte) { k, d := cryptoAPI128(p, 40); return k, d },
	} {
		for password, trait := range map[string]string{"VelvetSweatshop": "opened-default", "": "opened-empty", "geheim": "opened-password", "other": ""} {
			k, description := describe(password)
			main, table := letter{pieces: []string{text}, flags: flagEncrypted, lKey: uint32(len(description)), head: description}.streams()
			_ = decryptBlocks(k, main, 512, plainFIB, never)
			_ = decryptBlocks(k, table, 512, len(description), never)
			v, signs, _ := deep(t, build(stream("WordDocument", main), stream("1Table", table), folder("Macros", project())), "wrong", "geheim")
			if trait == "" {
				want(t, v, scan.Encrypted, name, "macros")
				continue
			}
			want(t, v, scan.Inspected, name, "macros "+trait)
			if got := traits(signs); got != "dde macros "+trait {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}

// The exclusive or of Word, with the key in either half.
func TestWordObfuscated(t *testing.T) {
	pw := []byte("geheim")
	key, verifier := uint32(xorKey(pw)), uint32(xorVerifier(pw))
	mask := append(append([]byte{}, pw...), padding[:10]...)
	for i := range mask {
		mask[i] = bits.RotateLeft8(mask[i]^[]byte{byte(key), byte(key >> 8)}[i&1], 7)
	}
	for _, lKey := range []uint32{key<<16 | verifier, verifier<<16 | key} {
		main, table := letter{pieces: []string{"\x13 DDEAUTO cmd x \x15"}, flags: flagEncrypted | flagObfuscated, lKey: lKey}.streams()
		hide := func(b []byte, from int) {
			for i := from; i < len(b); i++ {
				if c := b[i] ^ mask[i&15]; b[i] != 0 && c != 0 {
					b[i] = c
				}
			}
		}
		hide(main, plainFIB)
		hide(table, 0)
		file := build(stream("WordDocument", main), stream("1Table", table))
		v, signs, _ := deep(t, file, "geheim")
		want(t, v, scan.Inspected, "XOR obfuscation", "opened-password")
		if got := traits(signs); got != "dde opened-password" {
			t.Errorf("%q", got)
		}
		v, _ = look(t, file)
		want(t, v, scan.Encrypted, "XOR obfuscation", "")
	}
}
