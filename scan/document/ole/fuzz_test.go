package ole

import (
	"context"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
)

// limits are those of a fuzzed file: small, so that nothing takes long.
var limits = container.Limits{Members: 100, Octets: 8 << 20, Member: 4 << 20, Free: 1 << 20, Guesses: 3}

// fuzzed is a file with little to spend.
func fuzzed(content []byte) *container.File {
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) }
	l := limits
	l.Time = 2 * time.Second
	return &container.File{Name: "a", Content: content, Passwords: []string{"geheim"}, Budget: container.NewBudget(context.Background(), l, clock)}
}

// read reads a file and what comes out of it, and fails if that takes long or says nothing.
func read(t *testing.T, content []byte) {
	t.Helper()
	f := fuzzed(content)
	start := time.Now()
	files := [][]byte{content}
	for n := 0; n < len(files) && n < 20; n++ {
		f.Content = files[n]
		if !(Reader{}).Reads(f) {
			continue
		}
		v := Reader{}.Read(f, func(m container.Member) bool { files = append(files, m.Content); return true })
		if v.State != scan.Inspected && v.Method == "" {
			t.Errorf("%s, and nothing says why", v.State)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("%v for %d octets", took, len(content))
	}
}

// seeds are files of each kind.
func seeds() [][]byte {
	k, description := short40(defaultPassword)
	main, table := letter{pieces: []string{"\x13 DDEAUTO cmd x \x15"}, flags: flagEncrypted, head: description, lKey: uint32(len(description))}.streams()
	_ = decryptBlocks(k, main, 512, plainFIB, never)
	_ = decryptBlocks(k, table, 512, len(description), never)
	document, user, _ := slides(0, nil, atom(1, recordStorage, squeeze(build(folder("VBA", project("a", "Sub AutoOpen()").children...)))))
	return [][]byte{
		letter{pieces: []string{"\x13 DDEAUTO cmd x \x15", "\ufeff\x13 INCLUDEPICTURE http://a/b \x15"}, template: `\\a\b`}.build(),
		build(stream("WordDocument", main), stream("1Table", table)),
		build(stream("Workbook", globals(sheet("Macro1", 1, 1), supBook("cmd\x03x"))), folder("_VBA_PROJECT_CUR", project("a", "Sub Workbook_Open()"))),
		showFile(document, user),
		build(message(property("10090102", []byte(compressedRTF)), attached("0", property("3707001F", wide("a")), property(dataBinary, []byte("MZ"))))...),
		build(folder("ObjectPool", folder("_1", stream("\x01Ole10Native", packager("a", "b", 3, "c", "d"))))),
		encryptAgile([]byte("PK\x03\x04 a package"), agileSpec{password: defaultPassword, bits: 128, hash: "SHA1", spins: 10}),
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(read)
}

func FuzzWorkbook(f *testing.F) {
	f.Add(globals(sheet("Macro1", 1, 1), supBook("cmd\x03x"), record(recordExternName, le16(0x10))))
	f.Add(globals(record(recordFilePass, le16(0), le16(0xb359), le16(0x9a0a)), sheet("Macro1", 1, 1)))
	_, description := short40(defaultPassword)
	f.Add(globals(record(recordFilePass, le16(1), description), sheet("Macro1", 1, 1)))
	f.Fuzz(func(t *testing.T, book []byte) { read(t, build(stream("Workbook", book))) })
}

func FuzzWord(f *testing.F) {
	main, table := letter{pieces: []string{"\x13 DDEAUTO cmd x \x15", "\ufeff\x13 QUOTE 68 \x15"}, template: `\\a\b`}.streams()
	f.Add(main, table)
	f.Add(join([]byte("\xdc\xa5\x68\x00"), main[4:]), table)
	f.Fuzz(func(t *testing.T, main, table []byte) {
		read(t, build(stream("WordDocument", main), stream("1Table", table)))
	})
}

func FuzzFields(f *testing.F) {
	f.Add("\x13 SET c \"DDEAUTO cmd /k\" \x15 some text \x13 \x13 REF c \x15 \x15 \x13 HYPERLINK \\l x \"http://a\" \x14text\x15")
	f.Fuzz(func(t *testing.T, text string) {
		r := fieldReader{report: func(words []string, _ string) {
			if len(words) == 0 {
				t.Error("a field without a word")
			}
			for _, w := range words {
				if len(w) > 4*maxFieldCode {
					t.Errorf("a word of %d octets", len(w))
				}
			}
		}}
		for _, c := range text {
			r.char(c)
		}
		r.end()
		if len(r.stack) != 0 {
			t.Error("fields are left")
		}
	})
}

func FuzzPowerPoint(f *testing.F) {
	document, user, _ := slides(0, make([]byte, 5), atom(1, recordStorage, squeeze(build(folder("VBA", project().children...)))), holder(0x0409, holder(recordHyperlink, atom(1, recordString, wide("http://a")))))
	f.Add(document, user)
	_, description := cryptoAPI128(defaultPassword, 40)
	document, user, _ = slides(2, nil, atom(0, 1, make([]byte, 40)), holder(recordSession, description))
	f.Add(document, user)
	f.Fuzz(func(t *testing.T, document, user []byte) { read(t, showFile(document, user)) })
}

func FuzzEncryptionInfo(f *testing.F) {
	f.Add([]byte("\x04\x00\x04\x00\x40\x00\x00\x00<encryption xmlns=\"http://schemas.microsoft.com/office/2006/encryption\"><keyData saltSize=\"16\" keyBits=\"128\" "+
		"cipherAlgorithm=\"AES\" cipherChaining=\"ChainingModeCBC\" hashAlgorithm=\"SHA1\" saltValue=\"MDEyMzQ1Njc4OWFiY2RlZg==\"/></encryption>"), make([]byte, 100))
	f.Add([]byte("\x03\x00\x02\x00\x24\x00\x00\x00\x20\x00\x00\x00"), make([]byte, 8))
	f.Fuzz(func(t *testing.T, info, body []byte) {
		read(t, build(stream("EncryptionInfo", info), stream("EncryptedPackage", body)))
	})
}

func FuzzDecompressVBA(f *testing.F) {
	f.Add([]byte("\x01\x03\xb0\x02\x61\x45\x00"))
	f.Add(compressVBA("Attribute VB_Name = \"a\"\r\nSub AutoOpen()\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b := budget(limits)
		out, _ := decompressVBA(in, b)
		if len(out) > len(in)*4096 || int64(len(out)) > b.Octets {
			t.Errorf("%d octets of %d, %d spent", len(out), len(in), b.Octets)
		}
		_ = parseModules(out)
		_ = appendAutos(nil, out)
	})
}

func FuzzOutlook(f *testing.F) {
	f.Add([]byte(compressedRTF), numbers([]uint32{0x851f, 0x50004}))
	f.Fuzz(func(t *testing.T, rtf, names []byte) {
		read(t, build(message(property("10090102", rtf), folder("__nameid_version1.0", property("00030102", names)),
			attached("0", property(dataBinary, rtf), property("3707001F", names)))...))
	})
}

func FuzzNative(f *testing.F) {
	f.Add(packager("a", "b", 3, "c", "d"), []byte("\x01\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, native, link []byte) {
		read(t, build(folder("x", stream("\x01Ole10Native", native), stream("\x01Ole", append(link, urlMoniker+"\x08\x00\x00\x00\x00\x00"...)))))
	})
}
