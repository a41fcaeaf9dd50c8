package compress

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/archive/archivetest"
	"assay/scan/container"
	"assay/verify/vectors"
)

// The files in testdata are hello.txt as gzip 1.12, bzip2 1.0.8, xz 5.4.1 (also --format=lzma), zstd 1.5.4, lz4 1.9.4 (also -l),
// lzip 1.23 and ncompress 5.0 have compressed it with their defaults, and zlib of Python 3.11.

// inspect reads a file and returns what was yielded.
func inspect(t testing.TB, name string, content []byte) (container.Verdict, []container.Member) {
	t.Helper()
	return archivetest.Read(t, Reader{}, &container.File{Name: name, Content: content})
}

// testdata returns the files of testdata and the text that they hold.
func testdata(t testing.TB) (files []string, text []byte) {
	t.Helper()
	text = archivetest.Content(t, "testdata/hello.txt")
	files, err := filepath.Glob("testdata/hello.*")
	if err != nil || len(files) < 10 {
		t.Fatal("testdata is missing", err)
	}
	return slices.DeleteFunc(files, func(f string) bool { return f == filepath.Join("testdata", "hello.txt") }), text
}

func TestEveryFormat(t *testing.T) {
	files, text := testdata(t)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v, members := inspect(t, filepath.Base(path), archivetest.Content(t, path))
			if v.State != scan.Inspected || len(v.Signs) > 0 || len(members) != 1 {
				t.Fatalf("verdict %+v, %d members", v, len(members))
			}
			if m := members[0]; !m.Plain || !bytes.Equal(m.Content, text) || m.Name != strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) {
				t.Errorf("member %q, plain %v, %d octets", m.Name, m.Plain, len(m.Content))
			}
		})
	}
}

// What lies behind the compressed file is yielded, several streams in a row are one file, and each of them is looked at.
func TestBehindAndInARow(t *testing.T) {
	files, text := testdata(t)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			packed := archivetest.Content(t, path)
			ext := filepath.Ext(path)
			if ext != ".Z" && !strings.Contains(path, "legacy") { // these have no end
				v, members := inspect(t, "x", append(bytes.Clone(packed), "something else that follows"...))
				if v.State != scan.Inspected || len(v.Signs) != 1 || v.Signs[0].Trait != scan.Polyglot ||
					len(members) != 2 || string(members[1].Content) != "something else that follows" {
					t.Errorf("verdict %+v, %d members", v, len(members))
				}
			}
			if ext == ".Z" || ext == ".lzma" || ext == ".zz" {
				return
			}
			v, members := inspect(t, "x", append(bytes.Clone(packed), packed...))
			if v.State != scan.Inspected || len(members) == 0 || !bytes.Equal(members[0].Content, append(bytes.Clone(text), text...)) {
				t.Errorf("twice: verdict %+v, %d members", v, len(members))
			}
		})
	}
}

func TestCutOffAndDamaged(t *testing.T) {
	files, text := testdata(t)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			packed := archivetest.Content(t, path)
			v, members := inspect(t, "x", packed[:len(packed)-len(packed)/3])
			if strings.HasSuffix(path, ".Z") { // has neither an end nor a checksum
				return
			}
			if v.State != scan.Uninspectable || len(v.Signs) != 1 || v.Signs[0].Trait != scan.Damaged {
				t.Errorf("cut off: %+v", v)
			}
			for _, m := range members {
				if !bytes.HasPrefix(text, m.Content) {
					t.Errorf("cut off: %d octets that are not the beginning", len(m.Content))
				}
			}
			broken := bytes.Clone(packed)
			broken[len(broken)/2] ^= 0x55
			if v, _ := inspect(t, "x", broken); v.State == scan.Inspected && !strings.HasSuffix(path, "legacy.lz4") && !strings.HasSuffix(path, ".lzma") {
				t.Errorf("damaged: %+v", v)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ name, header, want string }{
		{"a.tar.gz", "", "a.tar"},
		{"A.TGZ", "", "A.tar"},
		{"letter.svgz", "", "letter.svg"},
		{"letter.docx", "", "letter.docx"},
		{".gz", "", ".gz"},
		{"", "", ""},
		{"a.gz", "invoice.exe", "invoice.exe"},
	} {
		_, members := inspect(t, c.name, gz(t, c.header, []byte("x")))
		if len(members) != 1 || members[0].Name != c.want {
			t.Errorf("%q with header %q: %q, want %q", c.name, c.header, members[0].Name, c.want)
		}
	}
}

// gz compresses content.
func gz(t testing.TB, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Name = name
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRefusedDictionaries(t *testing.T) {
	xz := bytes.Clone(archivetest.Content(t, "testdata/hello.txt.xz"))
	at := bytes.Index(xz, []byte{0x21, 0x01})
	xz[at+2] = 40
	zst := []byte("\x28\xb5\x2f\xfd\x00\xf8" + strings.Repeat("\x01\x00\x00", 3))
	for name, b := range map[string][]byte{"dictionary of 4096 MiB": xz, "dictionary of": zst} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v, members := inspect(t, "x", b)
		runtime.ReadMemStats(&after)
		if v.State != scan.Uninspectable || !strings.Contains(v.Method, name) || len(members) != 0 {
			t.Errorf("%s: %+v", name, v)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: %d octets allocated", name, got)
		}
	}
}

func TestBomb(t *testing.T) {
	start := time.Now()
	v, _ := inspect(t, "x", gz(t, "", make([]byte, 100<<20)))
	if v.State != scan.Uninspectable || len(v.Signs) != 1 || v.Signs[0].Trait != scan.Bomb {
		t.Errorf("%+v", v)
	}
	t.Log(time.Since(start))
}

// Twenty thousand empty streams cost little, and more are refused.
func TestManyStreams(t *testing.T) {
	for _, n := range []int{1000, 25000} {
		v, _ := inspect(t, "x", bytes.Repeat(gz(t, "", nil), n))
		if want := n < 20000; (v.State == scan.Inspected) != want {
			t.Errorf("%d streams: %+v", n, v)
		}
	}
}

func TestNotOurs(t *testing.T) {
	for _, b := range []string{"", "\x1f\x8b", "BZh is how it began, this text", "x\x9c is not the beginning of zlib, only two octets",
		"]\x00\x00 text in brackets that is long enough", "LZIP", "\x1f\x9d"} {
		if (Reader{}).Reads(&container.File{Content: []byte(b)}) {
			t.Errorf("%q is claimed", b)
		}
	}
}

func TestVectors(t *testing.T) {
	root := vectors.Path(t, "scan/samples")
	want := map[string]scan.State{"encrypted.zip.gz": scan.Inspected, "gzip-bomb.gz": scan.Uninspectable, "xz-dict-4g.xz": scan.Uninspectable}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f := &container.File{Name: d.Name(), Content: archivetest.Content(t, path), Budget: container.NewBudget(t.Context(), container.Limits{}, nil)}
		if !(Reader{}).Reads(f) {
			if want[d.Name()] != "" {
				t.Errorf("%s: not claimed", d.Name())
			}
			return nil
		}
		v := Reader{}.Read(f, func(container.Member) bool { return true })
		if state, ok := want[d.Name()]; ok && v.State != state || !ok && v.State != scan.Inspected {
			t.Errorf("%s: %+v", d.Name(), v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzRead(f *testing.F) {
	files, _ := testdata(f)
	for _, path := range files {
		b := archivetest.Content(f, path)
		f.Add(b)
		f.Add(append(bytes.Clone(b), b...))
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := container.Limits{Members: 100, Octets: 4 << 20, Member: 1 << 20, Free: 1 << 18, Time: 5 * time.Second}
		start := time.Now()
		file := &container.File{Name: "x.gz", Content: b,
			Budget: container.NewBudget(t.Context(), limits, func() time.Duration { return time.Since(start) })}
		if !(Reader{}).Reads(file) {
			return
		}
		v := Reader{}.Read(file, func(m container.Member) bool {
			if m.Content == nil && m.State == "" {
				t.Error("a member without content and state")
			}
			return true
		})
		if v.State == "" {
			t.Errorf("no state: %+v", v)
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%s for %d octets", took, len(b))
		}
	})
}

func BenchmarkGzip(b *testing.B) {
	packed := gz(b, "a", bytes.Repeat(archivetest.Content(b, "testdata/hello.txt"), 50))
	b.ReportAllocs()
	b.SetBytes(int64(len(packed)))
	for b.Loop() {
		inspect(b, "x", packed)
	}
}
