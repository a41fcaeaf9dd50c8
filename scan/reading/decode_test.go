package reading

import (
	"assay/verify/vectors"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"unicode/utf16"
)

// uuencode writes a file as uuencode does.
func uuencode(name string, content []byte) string {
	digit := func(b byte) byte {
		if b == 0 {
			return '`'
		}
		return b + ' '
	}
	var s strings.Builder
	fmt.Fprintf(&s, "begin 644 %s\n", name)
	for len(content) > 0 {
		n := min(45, len(content))
		line := content[:n]
		content = content[n:]
		s.WriteByte(digit(byte(n)))
		for ; len(line) > 0; line = line[min(3, len(line)):] {
			var g [3]byte
			copy(g[:], line)
			s.Write([]byte{digit(g[0] >> 2), digit(g[0]<<4&63 | g[1]>>4), digit(g[1]<<2&63 | g[2]>>6), digit(g[2] & 63)})
		}
		s.WriteByte('\n')
	}
	return s.String() + "`\nend\n"
}

// yEncode writes a file as yEnc does.
func yEncode(name string, content []byte) string {
	var s strings.Builder
	fmt.Fprintf(&s, "=ybegin line=128 size=%d name=%s\r\n", len(content), name)
	for i, b := range content {
		switch b += 42; b {
		case 0, '\n', '\r', '=':
			s.Write([]byte{'=', b + 64})
		default:
			s.WriteByte(b)
		}
		if i%128 == 127 {
			s.WriteString("\r\n")
		}
	}
	fmt.Fprintf(&s, "\r\n=yend size=%d crc32=%08x\r\n", len(content), crc32.ChecksumIEEE(content))
	return s.String()
}

// binHex writes a file as BinHex 4.0 does.
func binHex(name string, data, resource []byte) string {
	file := append([]byte{byte(len(name))}, name...)
	file = append(file, "\x00TEXTttxt\x00\x00"...)
	file = binary.BigEndian.AppendUint32(file, uint32(len(data)))
	file = binary.BigEndian.AppendUint32(file, uint32(len(resource)))
	file = binary.BigEndian.AppendUint16(file, xmodem(file))
	file = binary.BigEndian.AppendUint16(append(file, data...), xmodem(data))
	file = binary.BigEndian.AppendUint16(append(file, resource...), xmodem(resource))
	var packed []byte
	for i := 0; i < len(file); {
		n := 1
		for n < 255 && i+n < len(file) && file[i+n] == file[i] {
			n++
		}
		packed = append(packed, file[i])
		if file[i] == 0x90 {
			packed = append(packed, 0)
		}
		if n > 3 {
			packed = append(packed, 0x90, byte(n))
			i += n
		} else {
			i++
		}
	}
	const alphabet = "!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
	text := base64.NewEncoding(alphabet).WithPadding(base64.NoPadding).EncodeToString(packed)
	var s strings.Builder
	s.WriteString("(This file must be converted with BinHex 4.0)\r\n\r\n:")
	for len(text) > 64 {
		s.WriteString(text[:64] + "\r\n")
		text = text[64:]
	}
	return s.String() + text + ":\r\n"
}

// xmodem is the CRC of BinHex, computed by division.
func xmodem(data []byte) uint16 {
	rest := uint32(0)
	for _, b := range append(bytes.Clone(data), 0, 0) {
		for bit := 7; bit >= 0; bit-- {
			rest = rest<<1 | uint32(b>>bit&1)
			if rest&0x10000 != 0 {
				rest ^= 0x11021
			}
		}
	}
	return uint16(rest)
}

// contents are files of every kind that encoders treat differently.
func contents() [][]byte {
	all := make([]byte, 1000)
	for i := range all {
		all[i] = byte(i * i >> 3)
	}
	return [][]byte{[]byte("a"), []byte("ab"), []byte("abc"), all, bytes.Repeat([]byte{0}, 300), bytes.Repeat([]byte{0x90}, 300),
		bytes.Repeat([]byte{0x90, 1}, 50), []byte("\r\n=.\x00\xff"), bytes.Repeat([]byte("line\n"), 100), all[:45], all[:46]}
}

func TestContainersRoundTrip(t *testing.T) {
	for i, content := range contents() {
		for how, text := range map[How]string{Uuencode: uuencode("a b.txt", content), YEnc: yEncode("a b.txt", content), BinHex: binHex("a b.txt", content, nil)} {
			for _, around := range [][2]string{{"", ""}, {"Hello,\r\nbegin with care\r\n", "\r\nRegards\r\n"}} {
				got := findAll(around[0] + text + around[1])
				if len(got) != 1 || got[0].How != how || got[0].Name != "a b.txt" || got[0].Damaged || !bytes.Equal(got[0].Content, content) {
					t.Errorf("%s of content %d: %d files %+v", how, i, len(got), got)
				}
			}
		}
	}
}

// findAll returns what is found between the lines of text.
func findAll(text string) (all []Reading) {
	r := newReader(Limits{}, func(r Reading) bool {
		all = append(all, r)
		return true
	})
	r.text([]byte(text), "1", 0)
	return all
}

func TestUuencode(t *testing.T) {
	tests := []struct{ name, text, want, file string }{
		{"word in capitals", "BEGIN 644 a\n#86)C\n`\nend\n", "a", "abc"},
		{"tabs", "begin\t644\ta\n#86)C\n`\nend\n", "a", "abc"},
		{"digits of XXencode", "begin 644 a\n1MK7X\n+\nend\n", "a", "abc"},
		{"a sentence in front of a line of capitals", "Begin forwarded message:\n-------\n", "", ""},
		{"a sentence in front of a word", "begin with this:\nword\n", "", ""},
		{"blanks lost", "begin 644 a\n!80\n`\nend\n", "a", "a"},
		{"no end", "begin 644 a\n#86)C\n", "a damaged", "abc"},
		{"blank for zero", "begin 644 a\n#    \n \nend\n", "a", "\x00\x00\x00"},
		{"check character", "begin 644 a\n#86)Cx\n`\nend\n", "a damaged", ""},
		{"no mode", "begin a.exe\n#86)C\n`\nend\n", "a.exe", "abc"},
		{"two blanks", "begin  644 a\n#86)C\n`\nend\n", "644 a", "abc"},
		{"text behind", "begin 644 a\n#86)C\nlower case is none\n", "a damaged", "abc"},
		{"a sentence", "begin 2026 with care\nThen go on.\n", "", ""},
		{"a sentence at the end", "begin 644 a", "", ""},
		{"base64", "begin-base64 644 a.exe\nYWJj\n====\n", "a.exe", "abc"},
		{"base64 without end", "begin-base64 644 a.exe\nYWJj\n", "a.exe damaged", "abc"},
		{"base64 of nothing", "begin-base64 644 a.exe\n====\n", "", ""},
	}
	for _, test := range tests {
		c, found := uuencoded([]byte(test.text), 1000)
		got := c.name
		if c.damaged {
			got += " damaged"
		}
		if test.file == "" {
			if found && len(c.content) > 0 {
				t.Errorf("%s: %q", test.name, c.content)
			}
			continue
		}
		if !found || got != test.want || string(c.content) != test.file {
			t.Errorf("%s: %t %q %q", test.name, found, got, c.content)
		}
	}
	if c, found := uuencoded([]byte(uuencode("a", make([]byte, 100))), 50); !found || !c.damaged || len(c.content) > 50 {
		t.Errorf("beyond the limit: %d octets", len(c.content))
	}
}

func TestYEnc(t *testing.T) {
	good := yEncode("a", []byte("content"))
	tests := []struct {
		name, text string
		damaged    bool
		content    string
	}{
		{"whole", good, false, "content"},
		{"wrong checksum", strings.Replace(good, "crc32=", "crc32=f", 1), true, "content"},
		{"wrong size", strings.Replace(good, "size=7", "size=8", 1), true, "content"},
		{"cut", good[:strings.Index(good, "=yend")], true, "content"},
		{"next one begins", strings.Replace(good, "=yend", "=ybegin", 1), true, "content"},
		{"a part", strings.Replace(strings.Replace(good, " size=7", " part=1 size=99", 1), "name=a\r\n", "name=a\r\n=ypart begin=1 end=7\r\n", 1), false, "content"},
	}
	for _, test := range tests {
		c, found := yEncoded([]byte(test.text), 1000)
		if !found || c.damaged != test.damaged || string(c.content) != test.content || c.name != "a" {
			t.Errorf("%s: %t %+v", test.name, found, c)
		}
	}
	if _, found := yEncoded([]byte("=ybegin of a sentence\r\n"), 1000); found {
		t.Error("a sentence is no file")
	}
}

func TestBinHex(t *testing.T) {
	text := binHex("a", []byte("data"), []byte("resource"))
	forks, found := binHexed([]byte(text), 1000)
	if !found || len(forks) != 2 || string(forks[0].content) != "data" || string(forks[1].content) != "resource" ||
		forks[1].name != "a (resource fork)" || forks[0].damaged || forks[1].damaged {
		t.Errorf("%t %+v", found, forks)
	}
	cut := text[:len(text)-10]
	if forks, found = binHexed([]byte(cut), 1000); !found || string(forks[0].content) != "data" || !forks[1].damaged {
		t.Errorf("cut: %t %+v", found, forks)
	}
	bomb := binHex("a", make([]byte, 1<<20), nil)
	if len(bomb) > 1<<15 {
		t.Fatalf("%d octets", len(bomb))
	}
	if forks, found = binHexed([]byte(bomb), 1000); !found || len(forks[0].content) > 1300 || !forks[0].damaged {
		t.Errorf("beyond the limit: %t", found)
	}
	for _, text := range []string{binHexMark, binHexMark + "\r\n\r\ntext", binHexMark + "\r\n:", binHexMark + "\r\n:!!!!:"} {
		if forks, found := binHexed([]byte(text), 1000); found && len(forks) > 0 {
			t.Errorf("%q has a file", text)
		}
	}
}

// attribute writes one attribute of TNEF.
func attribute(level byte, id uint32, value []byte) []byte {
	out := binary.LittleEndian.AppendUint32([]byte{level}, id)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(value)))
	return binary.LittleEndian.AppendUint16(append(out, value...), checksum(value))
}

// property writes a MAPI property of a type with a length.
func property(kind, id uint16, value []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(id)<<16|uint32(kind))
	out = binary.LittleEndian.AppendUint32(out, 1)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(value)))
	return append(out, append(bytes.Clone(value), make([]byte, -len(value)&3)...)...)
}

func properties(all ...[]byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(all))), bytes.Join(all, nil)...)
}

func wide(text string) (out []byte) {
	for _, u := range append(utf16.Encode([]rune(text)), 0) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// tnef writes a stream.
func tnef(attributes ...[]byte) []byte {
	return append([]byte(tnefMark+"\x01\x00"), bytes.Join(attributes, nil)...)
}

func TestTNEF(t *testing.T) {
	named := binary.LittleEndian.AppendUint32(nil, 0x8000<<16|3)
	named = append(append(named, make([]byte, 16)...), 1, 0, 0, 0, 4, 0, 0, 0, 'a', 0, 0, 0, 9, 0, 0, 0)
	rtf := append(binary.LittleEndian.AppendUint32(make([]byte, 8), rtfUncompressed), append(make([]byte, 4), `{\rtf1 x}`...)...)
	stream := tnef(
		attribute(1, attBody, []byte("body\x00")),
		attribute(1, attMAPIProps, properties(named, []byte("\x0b\x00\x01\x00\x01\x00\x00\x00"), property(typeBinary, propHTML, []byte("<p>")),
			property(typeBinary, propRTF, rtf), property(typeUnicode, propBody, wide("Grüße")))),
		attribute(2, attAttachRendData, make([]byte, 14)),
		attribute(2, attAttachTitle, []byte("SHORT~1.TXT\x00")),
		attribute(2, attAttachData, []byte("one")),
		attribute(2, attAttachment, properties(property(typeUnicode, propAttachLongFilename, wide("ein langer Näme.txt")))),
		attribute(2, attAttachRendData, make([]byte, 14)),
		attribute(2, attAttachTitle, []byte("\xe4.txt")),
		attribute(2, attAttachment, properties(property(typeObject, propAttachData, append(make([]byte, 16), "two"...)))),
	)
	const want = `"":"body\x00" "body.html":"<p>" "body.rtf":"{\\rtf1 x}" "body.txt":"Grüße" "ein langer Näme.txt":"one" "ä.txt":"two"`
	if got := describe(openTNEF(stream, 1000)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := describe(openTNEF(stream[:len(stream)-1], 1000)); got != strings.ReplaceAll(want, "\" \"", "\" damaged \"")+" damaged" {
		t.Errorf("cut: %s", got)
	}
	for n := range stream {
		openTNEF(stream[:n], 1000) // whatever is there of it
	}
}

func describe(files []container) string {
	var all []string
	for _, f := range files {
		s := fmt.Sprintf("%q:%q", f.name, f.content)
		if f.damaged {
			s += " damaged"
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

// The example of MS-OXRTFCP Section 3.1.1, and one that repeats what it has written.
func TestUnpackRTF(t *testing.T) {
	simple := "\x2d\x00\x00\x00\x2b\x00\x00\x00LZFu\xf1\xc5\xc7\xa7\x03\x00\x0a\x00rcpg125B\x32\x0a\xf3 hel\x09\x00 bw\x05\xb0ld}\x0a\x80\x0f\xa0"
	if got, want := string(unpackRTF([]byte(simple), 1000)), "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"; got != want {
		t.Errorf("got %q", got)
	}
	cross := "\x1a\x00\x00\x00\x1c\x00\x00\x00LZFu\xe2\xd4\x4b\x51\x41\x00\x04\x20WXYZ\x0d\x6e\x7d\x01\x0e\xb0"
	if got, want := string(unpackRTF([]byte(cross), 1000)), "{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"; got != want {
		t.Errorf("got %q", got)
	}
	if got := unpackRTF([]byte(cross), 10); len(got) > 30 {
		t.Errorf("%d octets", len(got))
	}
	for _, text := range []string{"", "short", strings.Repeat("x", 20)} {
		if got := unpackRTF([]byte(text), 10); len(got) > 0 {
			t.Errorf("%q is unpacked to %q", text, got)
		}
	}
}

func TestVectorsTNEF(t *testing.T) {
	for name, want := range map[string]string{"winmail-eicar.dat": "eicar.com", "winmail-enczip.dat": ".zip"} {
		data, err := os.ReadFile(vectors.Path(t, "scan/samples/other/"+name))
		if err != nil {
			t.Fatal(err)
		}
		files := openTNEF(data, 1<<20)
		if len(files) == 0 || !strings.HasSuffix(files[0].name, want) || files[0].damaged {
			t.Errorf("%s: %s", name, describe(files))
			continue
		}
		content := files[0].content
		if want == "eicar.com" && string(content) != eicar() || want == ".zip" && !bytes.HasPrefix(content, []byte("PK\x03\x04")) {
			t.Errorf("%s: content %q", name, content[:min(len(content), 100)])
		}
	}
}
