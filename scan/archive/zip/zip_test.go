package zip

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/vectors"
)

// short is the content of the archives in testdata, which zip 3.0, 7-Zip 26 and jar of OpenJDK 17 have made; the password of
// the encrypted ones is "secret".
const short = "a short text, a short text, a short text\na short text, a short text, a short text\na short text, a short text, a short text\n"

// What common programs write is read, and nothing about it is odd.
func TestPrograms(t *testing.T) {
	tests := []struct{ file, name, method string }{
		{"aes128.zip", "short.txt", "WinZip AES-128"},
		{"aes192.zip", "short.txt", "WinZip AES-192"},
		{"aes256.zip", "short.txt", "WinZip AES-256"},
		{"aes256-lzma.zip", "short.txt", "WinZip AES-256"},
		{"zipcrypto.zip", "short.txt", "ZipCrypto"},
		{"zip-password.zip", "short.txt", "ZipCrypto"},
		{"zip-password-stored.zip", "short.txt", "ZipCrypto"},
		{"zip-password-stream.zip", "-", "ZipCrypto"},
		{"bzip2.zip", "short.txt", ""},
		{"deflate64.zip", "short.txt", ""},
		{"lzma.zip", "short.txt", ""},
		{"zip-stream.zip", "-", ""},
		{"zip-stream-zip64.zip", "-", ""},
		{"zip-comment.zip", "short.txt", ""},
		{"zip-folder.zip", "d/Übergrößen.txt", ""},
		{"zip-unicode.zip", "d/Übergrößen.txt", ""},
		{"java.jar", "short.txt", ""},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata", test.file))
			if err != nil {
				t.Fatal(err)
			}
			members, verdict := read(t, file(test.file, b, "wrong", "secret"))
			if got := contents(members)[test.name]; got != short {
				t.Errorf("%s is %q", test.name, got)
			}
			if verdict.State != scan.Inspected || verdict.Method != test.method {
				t.Errorf("verdict %+v", verdict)
			}
			if test.method == "" && len(verdict.Signs) > 0 || test.method != "" && (len(verdict.Signs) != 1 || !hasSign(verdict, "opened-password")) {
				t.Errorf("signs %v", verdict.Signs)
			}
			if test.method == "" {
				return
			}
			members, verdict = read(t, file(test.file, b, "wrong"))
			want := container.Member{Name: test.name, Size: int64(len(short)), State: scan.Encrypted, Class: scan.ClassArchive, Method: test.method}
			if len(members) != 1 || !sameMember(members[0], want) {
				t.Errorf("without the password %+v", members)
			}
			if verdict.State != scan.Encrypted || verdict.Class != scan.ClassArchive || verdict.Method != test.method || len(verdict.Signs) > 0 {
				t.Errorf("without the password %+v", verdict)
			}
		})
	}
}

func sameMember(a, b container.Member) bool {
	return a.Name == b.Name && a.Size == b.Size && a.State == b.State && a.Class == b.Class && a.Method == b.Method && bytes.Equal(a.Content, b.Content)
}

// Deflate64 goes further back than DEFLATE: 7-Zip has packed 70,000 octets, twice.
func TestDeflate64(t *testing.T) {
	b, err := os.ReadFile("testdata/deflate64-far.zip")
	if err != nil {
		t.Fatal(err)
	}
	members, verdict := read(t, file("a.zip", b))
	if len(members) != 1 || verdict.State != scan.Inspected || len(verdict.Signs) > 0 {
		t.Fatalf("%+v", verdict)
	}
	content := members[0].Content
	if !bytes.Equal(content[:len(content)/2], content[len(content)/2:]) || crc32.ChecksumIEEE(content) != le.Uint32(b[14:]) {
		t.Errorf("%d wrong octets", len(content))
	}
}

// Methods that archivers rarely use.
func TestMethods(t *testing.T) {
	var xzed bytes.Buffer
	x, err := xz.NewWriter(&xzed)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = x.Write([]byte(short))
	_ = x.Close()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zstded := z.EncodeAll([]byte(short), nil)
	tests := []struct {
		method uint16
		data   string
		why    string
	}{
		{methodXZ, xzed.String(), ""},
		{methodZstd, string(zstded), ""},
		{methodZstdOld, string(zstded), ""},
		{98, "whatever", "compression method 98 (PPMd)"},
		{1, "whatever", "compression method 1 (shrink)"},
		{6, "whatever", "compression method 6 (implode)"},
		{4711, "whatever", "unknown compression method 4711"},
		{methodLZMA, "what", "damaged: corrupt LZMA data"},
		{methodXZ, "whatever", "damaged: corrupt xz data"},
		{methodZstd, "whatever", "damaged: corrupt zstd data"},
		{methodBzip2, "whatever", "damaged: corrupt bzip2 data"},
		{methodDeflate, "\xff\xff", "damaged: corrupt deflate data"},
		{methodDeflate64, "\xff\xff", "damaged: corrupt deflate64 data"},
	}
	for _, test := range tests {
		p := member("a.txt", short, 0)
		p.data = test.data
		p = marked(p, test.method, uint32(len(short)))
		p.local.packed, p.entries[0].packed = uint32(len(test.data)), uint32(len(test.data))
		members, verdict := read(t, file("a.zip", built{pieces: []piece{p}}.octets()))
		if test.why == "" && (len(members) != 1 || string(members[0].Content) != short || verdict.State != scan.Inspected || len(verdict.Signs) > 0) {
			t.Errorf("method %d: %+v %+v", test.method, members, verdict)
		}
		if test.why != "" && (verdict.State != scan.Uninspectable || verdict.Method != test.why) {
			t.Errorf("method %d: %+v %+v", test.method, members, verdict)
		}
	}
}

// The ways to say that a member is encrypted.
func TestEncryption(t *testing.T) {
	aes := extra(extraAES, "\x02\x00AE\x02\x08\x00")
	strong := extra(extraStrong, "\x02\x00\x0e\x66\x80\x00\x01\x00")
	tests := []struct {
		change func(r *record)
		want   string
	}{
		{func(r *record) { r.flags = 1 }, "ZipCrypto"},
		{func(r *record) { r.flags = 0x41 }, "PKWARE strong encryption"},
		{func(r *record) { r.flags, r.extra = 0x41, strong }, "PKWARE strong encryption (AES-128)"},
		{func(r *record) { r.flags, r.extra = 1, strong }, "PKWARE strong encryption (AES-128)"},
		{func(r *record) { r.flags = 0x2041 }, "PKWARE central directory encryption"},
		{func(r *record) { r.flags, r.method = 1, 99 }, "WinZip AES"},
		{func(r *record) { r.flags, r.method, r.extra = 1, 99, aes }, "WinZip AES-192"},
	}
	for _, test := range tests {
		p := member("a.txt", strings.Repeat("not plain ", 10), 0)
		p = marked(p, 0, 90)
		test.change(p.local)
		test.change(&p.entries[0])
		members, verdict := read(t, file("a.zip", built{pieces: []piece{p, member("b.txt", "plain", 0)}}.octets(), "one", "two"))
		if len(members) != 2 || members[0].State != scan.Encrypted || members[0].Method != test.want || string(members[1].Content) != "plain" {
			t.Errorf("%s: %+v", test.want, members)
		}
		if verdict.State != scan.Encrypted || verdict.Class != scan.ClassArchive || verdict.Method != test.want || len(verdict.Signs) > 0 {
			t.Errorf("%s: %+v", test.want, verdict)
		}
	}
}

// Every try of a password is counted, except for one that has opened another member.
func TestGuesses(t *testing.T) {
	b, err := os.ReadFile("testdata/zipcrypto.zip")
	if err != nil {
		t.Fatal(err)
	}
	passwords := make([]string, 300)
	for i := range passwords {
		passwords[i] = strings.Repeat("x", i+1)
	}
	f := file("a.zip", b, append(passwords, "secret")...)
	_, verdict := read(t, f)
	if verdict.State != scan.Encrypted || f.Budget.Guesses != f.Budget.Limits.Guesses+1 {
		t.Errorf("%d guesses, %+v", f.Budget.Guesses, verdict)
	}
	twice := file("a.zip", slices.Concat(b, b), "wrong", "secret")
	members, _ := read(t, twice)
	if len(members) != 2 || string(members[1].Content) != short || twice.Budget.Guesses != 2 {
		t.Errorf("%d guesses, %d members", twice.Budget.Guesses, len(members))
	}
}

// Names are as people see them.
func TestNames(t *testing.T) {
	unicodePath := func(of, name string) string {
		return extra(extraUnicode, "\x01"+u32(int(crc32.ChecksumIEEE([]byte(of))))+name)
	}
	tests := []struct {
		name, extra string
		flags       uint16
		want        []string
		ambiguous   bool
	}{
		{name: "a.txt", want: []string{"a.txt"}},
		{name: `a\..\b.exe`, want: []string{"a/../b.exe"}},
		{name: "../../etc/x", want: []string{"../../etc/x"}},
		{name: "a\u202efdp.exe", flags: flagUTF8, want: []string{"a\u202efdp.exe"}},
		{name: "größe.txt", want: []string{"größe.txt"}},
		{name: "gr\x94\xe1e.txt", want: []string{"größe.txt"}}, // CP437
		{name: "gr\x94\xe1e.txt", flags: flagUTF8, want: []string{"gr\uFFFDe.txt"}},
		{name: "gr#U00f6#U00dfe.txt", extra: unicodePath("gr#U00f6#U00dfe.txt", "größe.txt"), want: []string{"größe.txt"}},
		{name: "gr__e.txt", extra: unicodePath("gr__e.txt", "größe.txt"), want: []string{"größe.txt"}},
		{name: "a.txt", extra: unicodePath("a.txt", "a.exe"), want: []string{"a.txt", "a.exe"}, ambiguous: true},
		{name: "a.txt", extra: unicodePath("b.txt", "a.exe"), want: []string{"a.txt"}},
	}
	for _, test := range tests {
		p := member(test.name, "x", 0)
		p.local.flags, p.entries[0].flags, p.local.extra, p.entries[0].extra = test.flags, test.flags, test.extra, test.extra
		members, verdict := read(t, file("a.zip", built{pieces: []piece{p}}.octets()))
		var names []string
		for _, m := range members {
			names = append(names, m.Name)
		}
		if !slices.Equal(names, test.want) || hasSign(verdict, "ambiguous") != test.ambiguous {
			t.Errorf("%q: %q, %+v", test.name, names, verdict)
		}
	}
}

// Volumes of split archives are known by what is in them or, where that tells nothing, by their names.
func TestVolumes(t *testing.T) {
	random := make([]byte, 1000)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(random)
	locked := member("a.bin", string(random), 0)
	locked.local.flags = 1
	firstVolume := sigDescr + string(locked.local.local()) + string(random[:500])
	tests := []struct {
		name, content string
		reads         bool
		state         scan.State
		method        string
	}{
		{"a.z02", string(random), true, scan.Uninspectable, "volume 2 of a split archive"},
		{"a.zx02", string(random), true, scan.Uninspectable, "volume 2 of a split archive"},
		{"A.Z02", string(random), true, scan.Uninspectable, "volume 2 of a split archive"},
		{"a.zip.003", string(random), true, scan.Uninspectable, "volume 3 of a split archive"},
		{"a.z01", firstVolume, true, scan.Encrypted, "ZipCrypto"},
		{"renamed", firstVolume, true, scan.Encrypted, "ZipCrypto"},
		{"a.zip.001", whole("a.txt", "x", 0)[:50], true, scan.Uninspectable, "volume 1 of a split archive"},
		{"a.7z.002", string(random), false, "", ""},
		{"a.z", string(random), false, "", ""},
		{"a.zip", string(random), false, "", ""},
	}
	for _, test := range tests {
		f := file(test.name, []byte(test.content))
		if (Reader{}).Reads(f) != test.reads {
			t.Errorf("%s is recognized: %v", test.name, !test.reads)
		}
		if !test.reads {
			continue
		}
		_, verdict := read(t, f)
		if verdict.State != test.state || verdict.Method != test.method || !hasSign(verdict, "split-volume") {
			t.Errorf("%s: %+v", test.name, verdict)
		}
	}
}

// Readers of documents see every reading of a part, and nothing is unpacked for them before they ask.
func TestMembers(t *testing.T) {
	z := built{pieces: []piece{member("word/document.xml", "shown", 8), member("word/document.xml", "hidden", 8), member("word/", "", 0)}}
	z.pieces[1].entries = nil
	f := file("a.docx", z.octets())
	members, err := Members(f)
	if err != nil || len(members) != 2 {
		t.Fatalf("%v %v", members, err)
	}
	if f.Budget.Octets != 0 || f.Budget.Members != 0 {
		t.Error("something was spent")
	}
	for i, want := range []string{"shown", "hidden"} {
		m := members[i]
		content, err := m.Open(f.Budget)
		if m.Name != "word/document.xml" || string(content) != want || err != nil || m.Encrypted || m.Method != "deflate" || m.Size != int64(len(want)) {
			t.Errorf("%+v %q %v", m, content, err)
		}
	}
	if _, err := Members(file("a.zip", []byte("no archive"))); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	b, err := os.ReadFile("testdata/aes256.zip")
	if err != nil {
		t.Fatal(err)
	}
	f = file("a.zip", b)
	members, err = Members(f)
	if err != nil || len(members) != 1 || !members[0].Encrypted || members[0].Method != "WinZip AES-256" {
		t.Fatalf("%+v %v", members, err)
	}
	if content, err := members[0].Open(f.Budget); content != nil || !errors.Is(err, ErrEncrypted) {
		t.Errorf("%q %v", content, err)
	}
	p := marked(member("a", "x", 0), 98, 1)
	f = file("a.zip", built{pieces: []piece{p}}.octets())
	members, _ = Members(f)
	if _, err := members[0].Open(f.Budget); !errors.Is(err, ErrMethod) {
		t.Error(err)
	}
}

// Reading stops when nobody wants more.
func TestStop(t *testing.T) {
	b := built{pieces: []piece{member("a", "1", 0), member("b", "2", 0), member("c", "3", 0)}}.octets()
	n := 0
	Reader{}.Read(file("a.zip", b), func(container.Member) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("%d members", n)
	}
}

// An archive by Go, with everything that it does, is read as Go reads it.
func TestGo(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_ = w.SetComment("a comment")
	for i, name := range []string{"folder/", "folder/a.txt", "b.bin", "empty"} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 || i == 2 {
			_, _ = io.WriteString(f, strings.Repeat(name, 1000*i))
		}
	}
	_ = w.Close()
	members, verdict := read(t, file("a.zip", b.Bytes()))
	got := contents(members)
	if len(got) != 3 || got["folder/a.txt"] != strings.Repeat("folder/a.txt", 1000) || got["empty"] != "" || verdict.State != scan.Inspected || len(verdict.Signs) > 0 {
		t.Errorf("%d contents, %+v", len(got), verdict)
	}
}

// Random octets are no archive.
func TestRandom(t *testing.T) {
	size := 50 << 20
	if testing.Short() {
		size = 1 << 20
	}
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b)
	for at := 1000; at+10 < len(b); at += 5000 { // more signatures than there would be
		copy(b[at:], []string{sigLocal, sigCentral, sigEnd, sigDescr}[at/5000%4])
	}
	if (Reader{}).Reads(file("a.bin", b)) {
		t.Error("random octets are taken for an archive")
	}
}

// samples reads the list of the samples: path, type, whether it is encrypted.
func samples(t *testing.T) (string, [][]string) {
	root := vectors.Path(t, "scan/samples")
	list, err := os.Open(filepath.Join(root, "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	r := csv.NewReader(list)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return root, rows
}

// The samples of others are told apart as their list says.
func TestSamples(t *testing.T) {
	root, rows := samples(t)
	seen := 0
	for _, row := range rows {
		b, err := os.ReadFile(filepath.Join(root, row[0]))
		if err != nil || len(row) < 3 {
			continue
		}
		f := file(filepath.Base(row[0]), b)
		isZIP := strings.HasPrefix(row[0], "zip/") && !strings.HasSuffix(row[0], ".gz") || row[1] == "jar" || strings.Contains(row[1], "zip") && row[1] != "gzip" || strings.HasSuffix(row[0], ".zip")
		reads := Reader{}.Reads(f)
		if isZIP && !reads && !strings.HasSuffix(row[0], ".gz") {
			t.Errorf("%s is not recognized", row[0])
		}
		if !reads {
			continue
		}
		seen++
		_, verdict := read(t, f)
		state := verdict.State
		switch {
		case row[2] == "no" && state != scan.Inspected && row[1] != "?",
			isZIP && (row[2] == "yes" || row[2] == "partly") && state == scan.Inspected,
			isZIP && row[2] == "partly" && state != scan.Encrypted:
			t.Errorf("%s (%s): %+v", row[0], row[2], verdict)
		}
		odd := row[0] == "zip/two-eocd-concatenated.zip" || row[0] == "other/strelka-test_overlay_zip.exe"
		if row[2] == "no" && (len(verdict.Signs) > 0) != odd {
			t.Errorf("%s: signs %v", row[0], verdict.Signs)
		}
	}
	if seen < 60 {
		t.Errorf("only %d samples", seen)
	}
}

// The sample with a virus in it is opened by its password.
func TestSampleOpened(t *testing.T) {
	root, _ := samples(t)
	for _, name := range []string{"zip/zipcrypto-eicar.zip", "zip/zipcrypto-stored.zip", "zip/sfx-prefix-encrypted.zip", "zip/polyglot-png-encrypted.zip.png"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		members, verdict := read(t, file(filepath.Base(name), b, "no", "secret"))
		if verdict.State != scan.Inspected || !hasSign(verdict, "opened-password") || len(members) == 0 || len(members[0].Content) == 0 {
			t.Errorf("%s: %+v", name, verdict)
		}
	}
}

// What programs write is not called ambiguous because of how they encrypt.
func TestEncryptedByPrograms(t *testing.T) {
	encrypted := func(data string, r record) piece {
		local := r
		return piece{local: &local, data: data, entries: []record{r}}
	}
	head := "twelve bytes"
	late := encrypted(head+strings.Repeat("not plain ", 10), record{flags: 9, time: 0x2bf3, crc: 0x97673d00, packed: 112, size: 350, name: "a.txt", method: 8, offset: -1})
	late.local.crc, late.local.packed = 0x2bf30000, 0
	for name, p := range map[string]piece{
		"an empty file":                     encrypted(head, record{flags: 1, packed: 12, name: "a.txt", offset: -1}),
		"an empty file, compressed":         encrypted(head+"\x03\x00", record{flags: 1, packed: 14, name: "a.txt", method: 8, offset: -1}),
		"the time in the place of the CRC":  late,
		"an empty file, sizes behind, zero": encrypted(head, record{flags: 9, packed: 12, name: "a.txt", offset: -1}),
	} {
		members, v := read(t, file("a.zip", built{pieces: []piece{p, member("b.txt", "plain", 0)}}.octets()))
		if len(members) != 2 || members[0].State != scan.Encrypted || v.State != scan.Encrypted || len(v.Signs) > 0 {
			t.Errorf("%s: %+v, members %+v", name, v, members)
		}
	}
}

// PowerPoint keeps ZIP files in streams, whose sectors may lie anywhere: what is torn there is not damaged.
func TestTornInCompoundFile(t *testing.T) {
	torn := []byte(built{pieces: []piece{member("a.xml", "whole", 0), member("b.xml", strings.Repeat("torn asunder ", 50), 8)}}.octets())
	i := bytes.Index(torn, []byte("b.xml")) + 5
	torn[i+12] ^= 0x55
	b := append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 504)...)
	b = append(append(b, torn...), make([]byte, 512)...)
	members, v := read(t, file("a.ppt", b))
	if got := contents(members); len(members) != 1 || got["a.xml"] != "whole" || v.State != scan.Inspected || len(v.Signs) > 0 {
		t.Errorf("%+v, members %q", v, got)
	}
	if members, _ := read(t, file("a.zip", b)); len(members) < 2 {
		t.Errorf("named a ZIP file, it has only %q", contents(members))
	}
}

// A directory that names places behind the end of the file is read like any other. Where a descriptor would be is one of them.
func TestBeyondTheEnd(t *testing.T) {
	for _, packed := range []uint32{100, 2000, 1 << 31} {
		first, second := member("a.txt", marker, methodStored), member("b.txt", "other", methodStored)
		first.local.flags, first.local.crc, first.local.packed, first.local.size = 1<<3, 0, 0, 0
		first.entries[0].flags, first.entries[0].packed, first.entries[0].size = 1<<3, packed, packed
		second.local, second.data, second.entries[0].offset = nil, "", 0x80008
		f := file("a.zip", built{pieces: []piece{first, second}}.octets())
		if _, verdict := read(t, f); verdict.State == scan.Inspected && len(verdict.Signs) == 0 {
			t.Errorf("%d octets: %+v", packed, verdict)
		}
		if !within(f, marker, 4) {
			t.Errorf("%d octets: the marker is not found", packed)
		}
	}
}
