package sealed

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// small is a budget that no input of a fuzzer may exceed by much.
func small() *container.Budget {
	return container.NewBudget(context.Background(), container.Limits{
		Members: 50, Octets: 1 << 20, Member: 256 << 10, Ratio: 50, Free: 64 << 10, Guesses: 3,
	}, nil)
}

// fuzz asks one Reader about anything: it answers in time, yields no more than it may, and calls nothing clean by mistake.
func fuzz(f *testing.F, r container.Reader) {
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if content, err := os.ReadFile(name); err == nil && len(content) < 8<<10 {
			f.Add(content, "secret")
		}
	}
	f.Add(pubkeyMessage(), "")
	f.Add(compressedOf(compressedOf(literalOf("a.txt", "hello"))), "")
	f.Add(compressedCMS(f, []byte("hello")), "")
	f.Add([]byte(`<form><input type=password></form><script>crypto.subtle.decrypt("`+wrap(noise(1, 300))+`")</script>`), "")
	f.Add(noise(3, 600), "")
	f.Fuzz(func(t *testing.T, content []byte, password string) {
		before := bytes.Clone(content)
		file := &container.File{Name: "a.p7m", Type: attach.Sniff(content), Content: content, Passwords: []string{"no", password}, Budget: small()}
		if !r.Reads(file) {
			return
		}
		start, octets, members := time.Now(), 0, 0
		v := r.Read(file, func(m container.Member) bool {
			octets += len(m.Content)
			members++
			if m.Content == nil && m.State == "" {
				t.Errorf("a member without content and state: %+v", m)
			}
			return true
		})
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s", took)
		}
		if members > 50 || octets > 2<<20+50*len(content) {
			t.Errorf("%d members, %d octets", members, octets)
		}
		if v.State == scan.Encrypted && (v.Class == "" || v.Method == "") || len(v.Method) > 300 {
			t.Errorf("%+v", v)
		}
		if file.Budget.Over() != nil && v.State == scan.Inspected {
			t.Errorf("a limit was exceeded: %+v", v)
		}
		if !bytes.Equal(before, content) {
			t.Error("the content was changed")
		}
	})
}

func FuzzOpenPGP(f *testing.F) { fuzz(f, OpenPGP{}) }
func FuzzCMS(f *testing.F)     { fuzz(f, CMS{}) }
func FuzzPKCS12(f *testing.F)  { fuzz(f, PKCS12{}) }
func FuzzOther(f *testing.F)   { fuzz(f, Other{}) }
func FuzzHTML(f *testing.F)    { fuzz(f, HTML{}) }
func FuzzEntropy(f *testing.F) { fuzz(f, Entropy{}) }

func FuzzInline(f *testing.F) {
	f.Add(testdata(f, "sym.asc"))
	f.Add([]byte("> " + armored("PGP MESSAGE", pubkeyMessage())))
	f.Fuzz(func(t *testing.T, text []byte) {
		if found, method := Inline(text); found != (method != "") {
			t.Errorf("%v %q", found, method)
		}
	})
}

// BenchmarkReads is what a file costs that is of no format of ours: a photo, a text, a page.
func BenchmarkReads(b *testing.B) {
	for name, content := range map[string][]byte{
		"binary": append([]byte("\xff\xd8\xff\xe0"), noise(1, 1<<20)...),
		"text":   bytes.Repeat([]byte("A line of a text that says nothing.\n"), 1<<15),
		"page":   append([]byte("<html><script>var x=1</script>"), bytes.Repeat([]byte("<p>A line of a page.</p>\n"), 1<<15)...),
		"random": noise(2, 1<<20),
	} {
		b.Run(name, func(b *testing.B) {
			f := fileOf("x", content)
			b.ReportAllocs()
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				for _, r := range readers {
					r.reader.Reads(f)
				}
			}
		})
	}
}
