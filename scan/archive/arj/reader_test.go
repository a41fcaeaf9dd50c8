package arj

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
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

// The files in testdata hold a.txt ("hello") and 2000 numbered lines, and were made with arj 3.10 (-m0 to -m4, -gsecret) and
// jlha 1.14 (-o5 to -o7).

// inspect reads a file and returns what was yielded.
func inspect(t testing.TB, content []byte) (container.Verdict, []container.Member) {
	t.Helper()
	return archivetest.Read(t, Reader{}, &container.File{Name: "x.arj", Content: content})
}

// lines is the long file.
func lines() string {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "line %d of a text that is packed\n", i+1)
	}
	return b.String()
}

func TestMethods(t *testing.T) {
	files, err := filepath.Glob("testdata/*[1-35-7].*")
	if err != nil || len(files) < 3 {
		t.Fatal("testdata is missing", err)
	}
	for _, path := range files {
		v, members := inspect(t, archivetest.Content(t, path))
		if v.State != scan.Inspected || len(members) != 2 || string(members[0].Content) != "hello\n" || string(members[1].Content) != lines() {
			t.Errorf("%s: %+v, %d members", path, v, len(members))
		}
	}
	if v, members := inspect(t, archivetest.Content(t, "testdata/m0.arj")); v.State != scan.Inspected || string(members[0].Content) != "hello\n" {
		t.Errorf("stored: %+v", v)
	}
}

// lzh writes a header of level 0 with its content.
func lzh(method, name, content string) []byte {
	b := append([]byte(method), make([]byte, 15)...)
	binary.LittleEndian.PutUint32(b[5:], uint32(len(content)))
	binary.LittleEndian.PutUint32(b[9:], uint32(len(content)))
	b[19-2] = 0x20
	b = append(append(b[:19], byte(len(name))), name...)
	b = binary.LittleEndian.AppendUint16(b, crc16([]byte(content)))
	return append(append([]byte{byte(len(b)), checksum(b)}, b...), content...)
}

// ace writes a block.
func ace(kind byte, flags uint16, fields string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{kind}, flags)
	b = append(b, fields...)
	head := binary.LittleEndian.AppendUint16(nil, uint16(^crc32.ChecksumIEEE(b)))
	return append(binary.LittleEndian.AppendUint16(head, uint16(len(b))), b...)
}

// aceFile writes an archive with one member.
func aceFile(mainFlags, flags uint16, method byte, content string) []byte {
	f := binary.LittleEndian.AppendUint32(nil, uint32(len(content)))
	f = binary.LittleEndian.AppendUint32(f, uint32(len(content)))
	f = append(f, 0, 0, 0, 0, 0, 0, 0, 0)
	f = binary.LittleEndian.AppendUint32(f, ^crc32.ChecksumIEEE([]byte(content)))
	f = append(f, method, 3, 0, 0, 0, 0, 5, 0, 'a', '.', 't', 'x', 't')
	return append(append(ace(0, mainFlags, "**ACE**\x14\x14\x02\x00"), ace(1, flags|1, string(f))...), content...)
}

func TestStates(t *testing.T) {
	arj := archivetest.Content(t, "testdata/m0.arj")
	for _, c := range []struct {
		name    string
		content []byte
		state   scan.State
		method  string
		trait   scan.Trait
	}{
		{"garbled", archivetest.Content(t, "testdata/garbled.arj"), scan.Encrypted, "ARJ garble", ""},
		{"method 4", archivetest.Content(t, "testdata/m4.arj"), scan.Uninspectable, "ARJ compression", ""},
		{"cut off", arj[:len(arj)-8], scan.Uninspectable, "damaged archive", scan.Damaged},
		{"something behind", append(bytes.Clone(arj), "appended"...), scan.Inspected, "", scan.Polyglot},
		{"LHA", lzh("-lh0-", "a.txt", "hello"), scan.Inspected, "", ""},
		{"LHA lh1", lzh("-lh1-", "a.txt", "hello"), scan.Uninspectable, "LHA compression lh1", ""},
		{"LHA damaged", lzh("-lh5-", "a.txt", "hello"), scan.Uninspectable, "damaged archive", scan.Damaged},
		{"ACE", aceFile(0, 0, 0, "hello"), scan.Inspected, "", ""},
		{"ACE packed", aceFile(0, 0, 2, "hello"), scan.Uninspectable, "ACE compression", ""},
		{"ACE encrypted", aceFile(0, 0x4000, 0, "hello"), scan.Encrypted, "ACE Blowfish", ""},
		{"ACE volume", aceFile(0x0800, 0x2000, 0, "hello"), scan.Uninspectable, "a volume of a split archive", scan.SplitVolume},
	} {
		v, members := inspect(t, c.content)
		if v.State != c.state || v.Method != c.method || len(members) == 0 {
			t.Errorf("%s: %+v, %d members", c.name, v, len(members))
		}
		if c.trait != "" && (len(v.Signs) != 1 || v.Signs[0].Trait != c.trait) {
			t.Errorf("%s: signs %+v", c.name, v.Signs)
		}
		if c.state == scan.Inspected && string(members[0].Content) != "hello" && string(members[0].Content) != "hello\n" {
			t.Errorf("%s: %q", c.name, members[0].Content)
		}
	}
}

func TestNotOurs(t *testing.T) {
	for _, b := range []string{"", "\x60\xea\x22\x00 is how an ARJ archive begins", "a -lh5- in a text is no header of an archive", "1234567**ACE** is a text"} {
		if (Reader{}).Reads(&container.File{Content: []byte(b)}) {
			t.Errorf("%q is claimed", b)
		}
	}
}

func TestVectors(t *testing.T) {
	root := vectors.Path(t, "scan/samples")
	found := 0
	for line := range strings.Lines(string(archivetest.Content(t, filepath.Join(root, "MANIFEST.tsv")))) {
		column := strings.Split(line, "\t")
		b, err := os.ReadFile(filepath.Join(root, column[0]))
		if err != nil || !(Reader{}).Reads(&container.File{Content: b}) {
			continue
		}
		found++
		if v, _ := inspect(t, b); !strings.HasSuffix(column[0], ".arj") || column[2] == "yes" && v.State != scan.Encrypted {
			t.Errorf("%s: %+v", column[0], v)
		}
	}
	t.Log(found, "samples")
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		f.Add(archivetest.Content(f, path))
	}
	f.Add(lzh("-lh5-", "a.txt", "hello"))
	f.Add(aceFile(0, 0, 0, "hello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		file := &container.File{Content: b, Budget: container.NewBudget(t.Context(),
			container.Limits{Members: 100, Octets: 4 << 20, Member: 1 << 20, Free: 1 << 18, Time: 5 * time.Second},
			func() time.Duration { return time.Since(start) })}
		if !(Reader{}).Reads(file) {
			return
		}
		if v := (Reader{}).Read(file, func(container.Member) bool { return true }); v.State == "" {
			t.Error("no state")
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%s for %d octets", took, len(b))
		}
	})
}
