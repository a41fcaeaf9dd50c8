package ole

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"testing"

	"assay/scan"
)

// record makes one record of a workbook.
func record(id int, body ...[]byte) []byte {
	b := join(body...)
	return join(le16(id), le16(len(b)), b)
}

// bof begins a part of a workbook.
func bof(version, kind int) []byte {
	return record(recordBOF, le16(version), le16(kind), make([]byte, 12))
}

// sheet is a line of the list of sheets in BIFF8.
func sheet(name string, hidden, kind byte) []byte {
	return record(recordSheet, numbers([]uint32{0x1234}), []byte{hidden, kind, byte(len(name)), 0}, []byte(name))
}

// eof ends a part of a workbook.
var eof = record(0x000a)

// supBook is a link to somewhere.
func supBook(path string) []byte {
	return record(recordSupBook, le16(0), le16(len(path)), []byte{0}, []byte(path))
}

// a globals part of BIFF8, and one sheet.
func globals(records ...[]byte) []byte {
	return join(bof(0x0600, 5), join(records...), eof, bof(0x0600, 0x10), record(0x0203, make([]byte, 14)), eof)
}

func TestExcel(t *testing.T) {
	hyperlink := record(recordLink, make([]byte, 8), []byte("\xd0\xc9\xea\x79\xf9\xba\xce\x11\x8c\x82\x00\xaa\x00\x4b\xa9\x0b"), numbers([]uint32{2, 3}),
		[]byte(urlMoniker), numbers([]uint32{48}), wide("http://example.org/page\x00"))
	autoOpen := record(recordName, le16(0x20), []byte{0, 1}, le16(0), le16(0), le16(1), make([]byte, 4), []byte{0, 1})
	for name, c := range map[string]struct {
		stream string
		body   []byte
		traits string
		detail string
		links  int
	}{
		"plain":       {"Workbook", globals(sheet("Sheet1", 0, 0), hyperlink), "", "", 1},
		"macro sheet": {"Workbook", globals(sheet("Macro1", 0, 1), autoOpen), "xlm-macros", "macro sheet Macro1, starts by itself: Auto_Open", 0},
		"hidden":      {"Workbook", globals(sheet("Macro1", 1, 1)), "xlm-macros", "macro sheet Macro1 (hidden)", 0},
		"very hidden": {"Workbook", globals(sheet("Macro1", 2, 1)), "xlm-macros", "macro sheet Macro1 (very hidden)", 0},
		"not in the list": {"Workbook", join(globals(sheet("Sheet1", 0, 0)), bof(0x0600, 0x40), eof), "xlm-macros",
			"a macro sheet that is not in the list of sheets", 0},
		"BIFF5": {"Book", join(bof(0x0500, 5), record(recordSheet, make([]byte, 4), []byte{2, 1, 3}, []byte("Mac")), eof), "xlm-macros",
			"macro sheet Mac (very hidden)", 0},
		"dde":              {"Workbook", globals(supBook("cmd\x03/k calc"), record(recordExternName, le16(2), make([]byte, 4), []byte("\x02\x00A0"))), "dde", "link to cmd|/k calc", 0},
		"dde without name": {"Workbook", globals(supBook("cmd\x03/k calc")), "dde", "link to cmd|/k calc", 0},
		"dde in UTF-16":    {"Workbook", globals(record(recordSupBook, le16(0), le16(5), []byte{1}, wide("cmd\x03x"))), "dde", "link to cmd|x", 0},
		"dde in BIFF5":     {"Book", join(bof(0x0500, 5), record(recordExternal, []byte{5}, []byte("cmd\x03x")), eof), "dde", "link to cmd|x", 0},
		"linked object": {"Workbook", globals(supBook("Word.Document\x03http://evil.example/a.doc"), record(recordExternName, le16(0x10), make([]byte, 4))),
			"remote-object", "linked Word.Document: http://evil.example/a.doc", 1},
		"linked local object": {"Workbook", globals(supBook("Word.Document\x03C:\\a.doc"), record(recordExternName, le16(0x10), make([]byte, 4))), "", "", 0},
		"remote workbook":     {"Workbook", globals(supBook("\x01\x05\x1ehttp://evil.example/a.xls")), "remote-object", "link to another workbook: http://evil.example/a.xls", 1},
		"network workbook":    {"Workbook", globals(supBook("\x01\x01@evil\x03share\x03a.xls")), "remote-object", `link to another workbook: \\evil\share\a.xls`, 1},
		"local workbook":      {"Workbook", globals(supBook("\x01\x01Cdata\x03a.xls")), "", "", 0},
		"this workbook":       {"Workbook", globals(record(recordSupBook, le16(3), le16(0x0401))), "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := look(t, build(stream(c.stream, c.body)))
			want(t, v, scan.Inspected, "", c.traits)
			if c.detail != "" && (len(v.Signs) == 0 || v.Signs[0].Detail != c.detail) || len(v.Links) != c.links {
				t.Errorf("%v %v", v.Signs, v.Links)
			}
		})
	}
	v, _ := look(t, build(stream("Workbook", globals()), stream("Ctls", []byte("x")), folder("MBD0001234F", stream("\x01CompObj", make([]byte, 40)))))
	want(t, v, scan.Inspected, "", "activex embedded-object")
}

func TestExcelBroken(t *testing.T) {
	whole := globals(sheet("Macro1", 0, 1))
	for name, c := range map[string]struct {
		body   []byte
		method string
	}{
		"cut off":     {whole[:len(whole)-10], "the workbook is cut off"},
		"no workbook": {[]byte("something else"), "not a workbook of Excel, despite its name"},
		"empty":       {nil, "not a workbook of Excel, despite its name"},
		"rubbish":     {append(append([]byte{}, whole...), 1, 2, 3), "the workbook is cut off"},
	} {
		v, _ := look(t, build(stream("Workbook", c.body)))
		if v.State != scan.Uninspectable || v.Method != c.method {
			t.Errorf("%s: %s %q", name, v.State, v.Method)
		}
	}
	v, _ := look(t, build(stream("Workbook", append(whole, make([]byte, 99)...))))
	want(t, v, scan.Inspected, "", "xlm-macros")
}

// hide encrypts the records behind FILEPASS that are encrypted ([MS-XLS] 2.2.10).
func hide(book []byte, encrypt func(book []byte)) []byte {
	out := append([]byte(nil), book...)
	encrypt(out)
	on := false
	for at := 0; at+4 <= len(book); {
		id, size := int(binary.LittleEndian.Uint16(book[at:])), int(binary.LittleEndian.Uint16(book[at+2:]))
		plain := 4
		switch {
		case !on, id == recordBOF:
			plain += size
		case id == recordSheet:
			plain += 4
		}
		on = on || id == recordFilePass
		copy(out[at:], book[at:at+plain])
		at += 4 + size
	}
	return out
}

// xorRecords obfuscates the contents of all records with a password ([MS-OFFCRYPTO] 2.3.7.2, [MS-XLS] 2.2.10).
func xorRecords(book, pw []byte) {
	mask := append(append([]byte{}, pw...), padding...)[:16]
	for i := range mask {
		mask[i] = bits.RotateLeft8(mask[i]^le16(int(xorKey(pw)))[i&1], 2)
	}
	for at := 0; at+4 <= len(book); {
		size := int(binary.LittleEndian.Uint16(book[at+2:]))
		for i := range size {
			book[at+4+i] = bits.RotateLeft8(book[at+4+i]^mask[(at+4+size+i)&15], 5)
		}
		at += 4 + size
	}
}

// sealedBooks are workbooks with a macro sheet and a link that starts a program, encrypted in all ways there are.
func sealedBooks(password string) map[string][]byte {
	rest := [][]byte{sheet("Macro1", 2, 1), supBook("cmd\x03/k calc"), record(0x00fc, bytes.Repeat([]byte("text"), 1000))}
	pw := []byte(password)
	k40, d40 := short40(password)
	k128, d128 := cryptoAPI128(password, 128)
	verifiers := join(le16(int(xorKey(pw))), le16(int(xorVerifier(pw))))
	xor := func(book []byte) { xorRecords(book, pw) }
	book := func(pass ...[]byte) []byte {
		return globals(append([][]byte{record(recordFilePass, pass...)}, rest...)...)
	}
	old := join(bof(0x0500, 5), record(recordFilePass, verifiers), record(recordSheet, make([]byte, 4), []byte{2, 1, 3}, []byte("Mac")),
		record(recordExternal, []byte{5}, []byte("cmd\x03x")), eof)
	return map[string][]byte{
		"RC4 40 bit":              hide(book(le16(1), d40), func(b []byte) { _ = decryptBlocks(k40, b, 1024, 0, never) }),
		"RC4 128 bit (CryptoAPI)": hide(book(le16(1), d128), func(b []byte) { _ = decryptBlocks(k128, b, 1024, 0, never) }),
		"XOR obfuscation":         hide(book(le16(0), verifiers), xor),
		"XOR obfuscation BIFF5":   hide(old, xor),
	}
}

// Macro sheets and links are found in a workbook that opens without being asked for the password.
func TestExcelEncrypted(t *testing.T) {
	for password, trait := range map[string]string{defaultPassword: "opened-default", "geheim": "opened-password", "other": ""} {
		for name, book := range sealedBooks(password) {
			method := strings.TrimSuffix(name, " BIFF5")
			v, signs, _ := deep(t, build(stream("Workbook", book)), "geheim")
			if trait == "" {
				want(t, v, scan.Encrypted, method, "")
				continue
			}
			want(t, v, scan.Inspected, method, trait)
			if got := traits(signs); got != "dde "+trait+" xlm-macros" {
				t.Errorf("%s %s: %q", password, name, got)
			}
		}
	}
}

// What is encrypted in a way that nobody knows is encrypted, and what stands before that is told.
func TestExcelUnknownEncryption(t *testing.T) {
	v, _ := look(t, build(stream("Workbook", globals(sheet("Macro1", 0, 1), record(recordFilePass, le16(7))))))
	want(t, v, scan.Encrypted, "unknown encryption", "xlm-macros")
	v, _ = look(t, build(stream("Workbook", globals(record(recordFilePass, le16(7), make([]byte, 60))))))
	want(t, v, scan.Encrypted, "unknown encryption", "")
	if !strings.Contains(v.Class, "document") {
		t.Error(v.Class)
	}
}
