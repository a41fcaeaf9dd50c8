package sevenzip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/archive/archivetest"
	"assay/scan/container"
)

// The archives in testdata were made with 7-Zip 16.02 (p7zip) from a.txt ("hello") and 500 numbered lines: -m0=..., -psecret,
// -mhe=on; mixed.7z by adding to a plain archive with a password.

// lines is the longer file.
func lines() string {
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, "line %d of a text that is packed\n", i+1)
	}
	return b.String()
}

func TestMethods(t *testing.T) {
	for _, method := range []string{"Copy", "LZMA", "LZMA2", "PPMd", "BZip2", "Deflate"} {
		v, members := inspect(t, "a.7z", archivetest.Content(t, filepath.Join("testdata", method+".7z")))
		if v.State != scan.Inspected || len(v.Signs) > 0 || len(members) != 2 || string(members[0].Content) != "hello\n" || string(members[1].Content) != lines() {
			t.Errorf("%s: %+v, %d members", method, v, len(members))
		}
	}
	v, members := inspect(t, "a.7z", archivetest.Content(t, "testdata/deflate64.7z"))
	if v.State != scan.Uninspectable || v.Method != "7z, unknown compression method 040109" || len(members) != 1 || members[0].State != scan.Uninspectable {
		t.Errorf("Deflate64: %+v %+v", v, members)
	}
}

func TestEncrypted(t *testing.T) {
	for _, c := range []struct {
		file            string
		closed, opened  int // members with a content
		total, unlocked int // members
		method          string
	}{
		{"content.7z", 0, 2, 2, 2, "7z AES-256"},
		{"header.7z", 0, 2, 0, 2, "7z AES-256, names hidden"},
		{"copy-content.7z", 0, 1, 1, 1, "7z AES-256"}, // a wrong password gives garbage without an error
		{"mixed.7z", 1, 2, 2, 2, "7z AES-256"},
	} {
		b := archivetest.Content(t, filepath.Join("testdata", c.file))
		for _, passwords := range [][]string{nil, {"wrong", "Secret"}} {
			v, members := inspect(t, c.file, b, passwords...)
			if v.State != scan.Encrypted || v.Class != scan.ClassArchive || v.Method != c.method || len(members) != c.total || readable(members) != c.closed {
				t.Errorf("%s: %+v, %d of %d members", c.file, v, readable(members), len(members))
			}
		}
		v, members := inspect(t, c.file, b, "wrong", "secret")
		if v.State != scan.Inspected || v.Class != scan.ClassArchive || len(members) != c.unlocked || readable(members) != c.opened ||
			len(v.Signs) != 1 || v.Signs[0].Trait != scan.OpenedPassword {
			t.Errorf("%s: opened %+v, %d of %d members", c.file, v, readable(members), len(members))
		}
	}
}

// readable counts the members that have a content.
func readable(members []container.Member) (n int) {
	for _, m := range members {
		if m.Content != nil && m.State == "" {
			n++
		}
	}
	return n
}

func TestWhereItBegins(t *testing.T) {
	a := archivetest.Content(t, "testdata/Copy.7z")
	program := append([]byte("MZ"), make([]byte, 3000)...)
	for _, c := range []struct {
		name, file string
		content    []byte
		state      scan.State
		trait      scan.Trait
		members    int
	}{
		{"in a program", "a.exe", append(bytes.Clone(program), a...), scan.Inspected, "", 2},
		{"something behind", "a.7z", append(bytes.Clone(a), "appended"...), scan.Inspected, scan.Polyglot, 3},
		{"two", "a.7z", append(bytes.Clone(a), a...), scan.Inspected, scan.Ambiguous, 4},
		{"cut off", "a.7z", a[:len(a)-20], scan.Uninspectable, scan.Damaged, 0},
		{"first volume", "a.7z.001", a[:len(a)-20], scan.Uninspectable, scan.SplitVolume, 0},
		{"second volume", "a.7z.002", a[50:], scan.Uninspectable, scan.SplitVolume, 0},
		{"only a signature", "a.7z", []byte(signature + "and nothing that would be an archive"), scan.Uninspectable, scan.Damaged, 0},
	} {
		v, members := inspect(t, c.file, c.content)
		if v.State != c.state || len(members) != c.members || c.trait != "" && (len(v.Signs) != 1 || v.Signs[0].Trait != c.trait) {
			t.Errorf("%s: %+v, %d members", c.name, v, len(members))
		}
	}
	for _, f := range []container.File{{Content: append(program, signature+"text"...)}, {Content: append([]byte("PK\x03\x04"), a...), Type: "application/zip"}, {Name: "a.7z.txt"}} {
		if (Reader{}).Reads(&f) {
			t.Errorf("%q is claimed", f.Content[:min(10, len(f.Content))])
		}
	}
}

// plain writes an archive with one folder of one coder.
func plain(method string, properties, packed []byte, size uint64) []byte {
	p := plan{coders: []coder{{id: method, in: 1, out: 1, properties: properties}}, packs: [][]byte{packed}, sizes: []uint64{size}}
	return bytes.Join(p.archive().parts, nil)
}

// What asks for a lot costs nothing.
func TestRefused(t *testing.T) {
	aes := func(power byte) []byte { return plain(methodAES, []byte{power}, make([]byte, 64), 64) }
	for _, c := range []struct {
		name    string
		content []byte
		state   scan.State
		method  string
	}{
		{"LZMA of 4 GiB", plain(methodLZMA, []byte{0x5d, 0xff, 0xff, 0xff, 0xff}, make([]byte, 64), 1<<40), scan.Uninspectable, "7z, dictionary of 4096 MiB"},
		{"LZMA2 of 4 GiB", plain(methodLZMA2, []byte{40}, make([]byte, 64), 1<<40), scan.Uninspectable, "7z, dictionary of 4096 MiB"},
		{"PPMd of 3 GiB", plain(methodPPMd, []byte{6, 0, 0, 0, 0xc0}, make([]byte, 64), 1<<20), scan.Uninspectable, "7z, dictionary of 3072 MiB"},
		{"2^62 rounds", aes(62), scan.Encrypted, "7z AES-256"},
		{"2^25 rounds", aes(25), scan.Encrypted, "7z AES-256"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		v, _ := inspect(t, "a.7z", c.content, "one", "two", "three")
		runtime.ReadMemStats(&after)
		if v.State != c.state || v.Method != c.method {
			t.Errorf("%s: %+v", c.name, v)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 || time.Since(start) > time.Second {
			t.Errorf("%s: %d octets, %s", c.name, got, time.Since(start))
		}
	}
}

// Headers that announce more than they hold set no memory aside.
func TestAnnounced(t *testing.T) {
	for _, raw := range []string{
		"\x01\x05\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"\x01\x04\x06\x00\xff\xff\xff\xff\x0f\x00\x00\x00\x00\x09",
		"\x01\x04\x07\x0b\xe0\xff\xff\xff\x00\x01",
		"\x01\x04\x07\x0b\x01\x00\x7f",
		"\x17\x06\x00\x01\x09\x10\x00\x07\x0b\x01\x00\x01\x00\x0c\x10\x00\x00",
		"\x01", "\x02", "",
	} {
		start := binary.LittleEndian.AppendUint64(nil, 0)
		start = binary.LittleEndian.AppendUint64(start, uint64(len(raw)))
		start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE([]byte(raw)))
		b := binary.LittleEndian.AppendUint32([]byte(signature+"\x00\x04"), crc32.ChecksumIEEE(start))
		v, _ := inspect(t, "a.7z", append(append(b, start...), raw...))
		if want := raw == ""; (v.State == scan.Inspected) != want {
			t.Errorf("%q: %+v", raw, v)
		}
	}
}

// A panic of the library is damage.
func TestPanic(t *testing.T) {
	if err := guard(func() error { panic("index out of range") }); err != errDamaged {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.7z")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		f.Add(archivetest.Content(f, path), true)
		f.Add(archivetest.Content(f, path)[startLength:], false)
	}
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		if !whole { // a header, with the right checksums around it
			b = wrap(b)
		}
		start := time.Now()
		file := &container.File{Name: "x.7z", Content: b, Passwords: []string{"a", "secret"}, Budget: container.NewBudget(t.Context(),
			container.Limits{Members: 100, Octets: 4 << 20, Member: 1 << 20, Free: 1 << 18, Time: 5 * time.Second, Guesses: 2},
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

// wrap makes an archive whose header is the second half of b.
func wrap(b []byte) []byte {
	raw := b[len(b)/2:]
	start := binary.LittleEndian.AppendUint64(nil, uint64(len(b)-len(raw)))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(raw)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(raw))
	head := binary.LittleEndian.AppendUint32([]byte(signature+"\x00\x04"), crc32.ChecksumIEEE(start))
	return append(append(head, start...), b...)
}
