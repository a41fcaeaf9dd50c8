package tar

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/archive/archivetest"
	"assay/scan/container"
	"assay/verify/vectors"
)

// The files in testdata were made with GNU tar 1.34 (--format=..., -S for the sparse ones), GNU cpio 2.13 (-H ...), ar of binutils
// 2.40 and dpkg-deb 1.21 from a.txt ("hello"), a folder, a link and a file with a long name, and gzip.

// inspect reads a file and returns what was yielded.
func inspect(t testing.TB, content []byte) (container.Verdict, []container.Member) {
	t.Helper()
	return archivetest.Read(t, Reader{}, &container.File{Name: "x.tar", Content: content})
}

// names are the names and beginnings of members.
func names(members []container.Member) string {
	var s []string
	for _, m := range members {
		s = append(s, m.Name+"="+strings.Trim(string(m.Content[:min(len(m.Content), 12)]), "\x00\n "))
	}
	return strings.Join(s, " ")
}

func TestFormats(t *testing.T) {
	const long = "a-name-that-is-longer-than-sixteen.txt=content of a"
	for file, want := range map[string]string{
		"v7.tar.gz": "a.txt=hello " + long, "oldgnu.tar.gz": "a.txt=hello " + long, "gnu.tar.gz": "a.txt=hello " + long,
		"ustar.tar.gz": "a.txt=hello " + long, "posix.tar.gz": "a.txt=hello " + long,
		"bin.cpio.gz": "a.txt=hello link=a.txt " + long, "odc.cpio.gz": "a.txt=hello link=a.txt " + long,
		"newc.cpio.gz": "a.txt=hello link=a.txt " + long, "crc.cpio.gz": "a.txt=hello link=a.txt " + long,
		"hpbin.cpio.gz": "a.txt=hello link=a.txt " + long,
		"gnu.a":         "a.txt=hello " + long,
	} {
		v, members := inspect(t, archivetest.Expanded(t, filepath.Join("testdata", file)))
		if got := names(members); v.State != scan.Inspected || got != want || len(v.Signs) != 0 {
			t.Errorf("%s: %+v %q", file, v, got)
		}
	}
	v, members := inspect(t, archivetest.Expanded(t, "testdata/x.deb"))
	if v.State != scan.Inspected || len(members) != 3 || members[0].Name != "debian-binary" || !strings.HasPrefix(members[2].Name, "data.tar") {
		t.Errorf("x.deb: %+v %q", v, names(members))
	}
}

func TestSparse(t *testing.T) {
	for _, file := range []string{"sparse-gnu.tar.gz", "sparse-posix.tar.gz"} {
		v, members := inspect(t, archivetest.Expanded(t, filepath.Join("testdata", file)))
		if v.State != scan.Inspected || len(members) != 1 || len(v.Signs) != 0 {
			t.Fatalf("%s: %+v, %d members", file, v, len(members))
		}
		if c := members[0].Content; len(c) != 300<<10+3 || !strings.HasSuffix(string(c), "end") {
			t.Errorf("%s: %d octets", file, len(c))
		}
	}
}

// pack writes an archive of files with their names as content.
func pack(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := tar.NewWriter(&b)
	for _, name := range names {
		if err := z.WriteHeader(&tar.Header{Name: name, Size: int64(len(name)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sum sets the checksum of the header at a place.
func sum(b []byte, at int) []byte {
	h := b[at : at+512]
	copy(h[148:], "        ")
	total := 0
	for _, c := range h {
		total += int(c)
	}
	copy(h[148:], "000000\x00 ")
	for i := 5; total > 0; i-- {
		h[148+i] = byte('0' + total&7)
		total >>= 3
	}
	return b
}

func TestOtherReadings(t *testing.T) {
	two := pack(t, "one", "two")
	badSum := bytes.Clone(two)
	badSum[148] ^= 1
	badSum = append(pack(t, "zero")[:1024], badSum...)
	linkSize := sum(func() []byte { b := bytes.Clone(two); b[156] = '2'; return b }(), 0)
	var pax bytes.Buffer
	z := tar.NewWriter(&pax)
	_ = z.WriteHeader(&tar.Header{Name: "x", Size: 3, Format: tar.FormatPAX, PAXRecords: map[string]string{"ASSAY.size": "1"}})
	_, _ = z.Write([]byte("abc"))
	_ = z.Close()
	paxSize := bytes.Replace(pax.Bytes(), []byte("16 ASSAY.size=1\n"), []byte("16 size=0000002\n"), 1)
	for _, c := range []struct {
		name    string
		content []byte
		state   scan.State
		trait   scan.Trait
		want    string
	}{
		{"one behind another", append(bytes.Clone(two), pack(t, "three")...), scan.Inspected, scan.Ambiguous, "one=one two=two three=three"},
		{"something behind", append(bytes.Clone(two), "appended"...), scan.Inspected, scan.Polyglot, "one=one two=two =appended"},
		{"wrong checksum", badSum, scan.Uninspectable, scan.Damaged, "zero=zero =one two=two"},
		{"cut off", two[:1200], scan.Uninspectable, scan.Damaged, "one=one"},
		{"cut off content", two[:514], scan.Uninspectable, scan.Damaged, "one=on"},
		{"link with a size", linkSize, scan.Uninspectable, scan.Ambiguous, "one=one"},
		{"two sizes", paxSize, scan.Inspected, scan.Ambiguous, "x=abc x=ab"},
	} {
		v, members := inspect(t, c.content)
		if got := names(members); v.State != c.state || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %+v %q", c.name, v, got)
		}
		found := false
		for _, s := range v.Signs {
			found = found || s.Trait == c.trait
		}
		if !found {
			t.Errorf("%s: signs %+v", c.name, v.Signs)
		}
	}
}

// A sparse member of a terabyte is a bomb.
func TestSparseBomb(t *testing.T) {
	b := archivetest.Expanded(t, "testdata/sparse-gnu.tar.gz")
	copy(b[483:], "77777777777\x00") // the real size
	copy(b[386+24:], strings.Repeat("\x00", 24))
	sum(b, 0)
	start := time.Now()
	v, _ := inspect(t, b)
	if v.State != scan.Uninspectable {
		t.Errorf("%+v", v)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestManyMembers(t *testing.T) {
	header := pack(t, "x")[:1024]
	v, members := inspect(t, bytes.Repeat(header, 5000))
	if v.State != scan.Uninspectable || len(members) != 2000 {
		t.Errorf("%+v, %d members", v, len(members))
	}
}

func TestRPM(t *testing.T) {
	part := func(data string) []byte {
		h := append([]byte("\x8e\xad\xe8\x01\x00\x00\x00\x00\x00\x00\x00\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(data)))...)
		return append(h, data...)
	}
	b := append([]byte("\xed\xab\xee\xdb"), make([]byte, 92)...)
	b = append(append(b, part("12345678")...), part("scripts")...)
	v, members := inspect(t, append(b, "packed"...))
	if v.State != scan.Inspected || len(members) != 2 || members[1].Name != "payload" || string(members[1].Content) != "packed" {
		t.Errorf("%+v %q", v, names(members))
	}
	if v, _ := inspect(t, b); v.State != scan.Uninspectable {
		t.Errorf("without payload: %+v", v)
	}
}

func TestNotOurs(t *testing.T) {
	for _, b := range []string{"", "070701 is a number", strings.Repeat("\x00", 2048), strings.Repeat("a text ", 200), "!<arch", "\x71\xc7" + strings.Repeat("x", 40)} {
		if (Reader{}).Reads(&container.File{Content: []byte(b)}) {
			t.Errorf("%.20q is claimed", b)
		}
	}
}

// Nothing in the samples that is no archive is taken for one.
func TestVectors(t *testing.T) {
	root := vectors.Path(t, "scan/samples")
	for _, folder := range []string{"7z", "active", "odf", "office", "other", "pdf", "pgp", "rar", "smime", "zip"} {
		files, err := os.ReadDir(filepath.Join(root, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range files {
			b, err := os.ReadFile(filepath.Join(root, folder, d.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if (Reader{}).Reads(&container.File{Content: b}) {
				t.Errorf("%s is claimed", d.Name())
			}
		}
	}
	b := archivetest.Expanded(t, filepath.Join(root, "zip/tgz-with-encrypted-zip.tar.gz"))
	if v, members := inspect(t, b); v.State != scan.Inspected || len(members) != 1 {
		t.Errorf("tar: %+v, %d members", v, len(members))
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		f.Add(archivetest.Expanded(f, path))
	}
	f.Add(pack(f, "one", "two"))
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		file := &container.File{Content: b, Budget: container.NewBudget(t.Context(),
			container.Limits{Members: 100, Octets: 4 << 20, Member: 1 << 20, Free: 1 << 18, Time: 5 * time.Second},
			func() time.Duration { return time.Since(start) })}
		if !(Reader{}).Reads(file) {
			return
		}
		if v := (Reader{}).Read(file, func(m container.Member) bool { return m.Content != nil }); v.State == "" {
			t.Error("no state")
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%s for %d octets", took, len(b))
		}
	})
}
