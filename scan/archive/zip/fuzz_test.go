package zip

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
)

// seed adds everything that the other tests build.
func seed(f *testing.F) {
	f.Helper()
	paths, err := filepath.Glob("testdata/*.*")
	if err != nil || len(paths) == 0 {
		f.Fatal("no testdata")
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, v := range append(differences, arrangements...) {
		if b := v.make(); len(b) < 10000 {
			f.Add(b)
		}
	}
}

// small makes a file whose limits are small.
func small(b []byte) *container.File {
	f := file("a.zip", b, "wrong", "secret")
	f.Budget = container.NewBudget(context.Background(), container.Limits{
		Members: 200, Octets: 4 << 20, Member: 1 << 20, Free: 1 << 20, Guesses: 20, Time: 5 * time.Second,
	}, nil)
	return f
}

// Whatever the octets are, reading ends within the limits, and a verdict that says that all was read is one.
func FuzzRead(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		file := small(b)
		claimed := Reader{}.Reads(file)
		n, unread := 0, false
		verdict := Reader{}.Read(file, func(m container.Member) bool {
			n++
			unread = unread || m.State != ""
			if m.Content == nil && m.State == "" {
				t.Errorf("%q has no content and no state", m.Name)
			}
			return true
		})
		if n > 200 {
			t.Errorf("%d members", n)
		}
		if claimed && verdict.State == scan.Inspected && (unread || file.Budget.Over() != nil) {
			t.Errorf("inspected, although not all of it: %+v", verdict)
		}
		members, err := Members(small(b))
		if err == nil && n > 0 && verdict.State == scan.Inspected && len(members) == 0 {
			t.Error("no members for readers of documents")
		}
	})
}

// Whatever Go reads in a file is among what is found in it.
func FuzzDifferential(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		theirs := readGo(b)
		if len(theirs) == 0 {
			return
		}
		file := small(b)
		if !(Reader{}).Reads(file) {
			t.Fatal("not recognized")
		}
		ours, limited := gather(file, 4)
		for _, content := range theirs {
			if !limited && !ours[content] {
				t.Errorf("not found: %q of %q", content, b)
			}
		}
	})
}

// readGo returns the contents that archive/zip reads without an error, except for empty ones.
func readGo(b []byte) []string {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil
	}
	var out []string
	for _, f := range z.File[:min(len(z.File), 20)] {
		r, err := f.Open()
		if err != nil {
			continue
		}
		content, err := io.ReadAll(io.LimitReader(r, 1<<18))
		if err == nil && len(content) > 0 && len(content) < 1<<18 {
			out = append(out, string(content))
		}
	}
	return out
}

// gather returns the contents in a file and in what is in it, and whether a limit has kept it from finding all.
func gather(f *container.File, depth int) (map[string]bool, bool) {
	found, limited := map[string]bool{}, false
	verdict := Reader{}.Read(f, func(m container.Member) bool {
		found[string(m.Content)] = true
		inner := small(m.Content)
		inner.Budget = f.Budget
		if depth > 1 && (Reader{}).Reads(inner) {
			more, cut := gather(inner, depth-1)
			limited = limited || cut
			for content := range more {
				found[content] = true
			}
		}
		return true
	})
	return found, limited || f.Budget.Over() != nil || hasSign(verdict, "bomb")
}

// Without matches of 258 octets, Deflate64 is DEFLATE; and whatever the octets are, unpacking them ends.
func FuzzInflate64(f *testing.F) {
	f.Add([]byte(short))
	f.Add([]byte("abcabcabcabcabcabcabcabcabcabcabcabcabcabc"))
	f.Add([]byte("\x01\x03\x00\xfc\xffabc"))
	f.Add([]byte(pack(string(bytes.Repeat([]byte("abc"), 1000)), methodDeflate)))
	f.Fuzz(func(t *testing.T, b []byte) {
		text := b[:min(len(b), 257)]
		got, err := io.ReadAll(newInflate64(bytes.NewReader([]byte(pack(string(text), methodDeflate)))))
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%q, want %q: %v", got, text, err)
		}
		// A code of one bit makes 65538 octets of 33 bits.
		n, _ := io.Copy(io.Discard, newInflate64(bytes.NewReader(b)))
		if n > int64(len(b)+1)*65538 {
			t.Errorf("%d octets of %d", n, len(b))
		}
	})
}
