package html

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"assay/scan"
	"assay/verify/message"
)

// TestGeneratedDocumentsAreMadeSafe is what the Chromium fuzzer generates, judged by the tree parser.
func TestGeneratedDocumentsAreMadeSafe(t *testing.T) {
	n := 3000
	if more, err := strconv.Atoi(os.Getenv("ASSAY_GENERATED")); err == nil {
		n = more
	}
	for _, seed := range []uint64{1, 2} {
		g := generator{rand: rand.New(rand.NewPCG(seed, 2)), vectors: hostile(t)}
		for i := range n {
			c := g.next()
			for _, level := range []scan.Level{scan.Active, scan.Remote} {
				r := Clean(c.src, c.charset, level, Options{})
				mustBeSafe(t, fmt.Sprintf("seed %d case %d (%s) %q", seed, i, c.charset, c.src), r, c.charset, level)
			}
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{
		"<p onclick=x>a</p>", "<!--[if mso]><v:rect href=x><script>1</script></v:rect><![endif]-->", "<style>a{b:url(x);c:expression(1)}</style>",
		"<svg><style><img src=x></style></svg>", "<a href='java&Tab;script:1'>x</a>", "<title><b></title>", "<table><form><input></table>",
		"<!-- <b> --><!doctype html><?xml version=\"1.0\"?>", "\x1b$B<\x1b(B", "<select><template><style></select>",
	} {
		for _, charset := range []string{"utf-8", "iso-2022-jp", "utf-16", ""} {
			f.Add([]byte(seed), charset, true)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, charset string, remote bool) {
		level := scan.Active
		if remote {
			level = scan.Remote
		}
		r := Clean(src, charset, level, Options{})
		if len(r.Output) > 8*len(src)+4096 {
			t.Fatalf("%d octets became %d", len(src), len(r.Output))
		}
		if r.Changed == bytes.Equal(r.Output, src) && r.Charset == "" {
			t.Fatalf("changed %v, and the output is %q", r.Changed, r.Output)
		}
		mustBeSafe(t, strconv.Quote(string(src)), r, charset, level)
	})
}

func FuzzText(f *testing.F) {
	f.Add([]byte("<p>a <b>b</b><br>c<pre> d\n</pre><a href=http://x.test/>e</a>"), "utf-8")
	f.Fuzz(func(t *testing.T, src []byte, charset string) {
		text := Text(src, charset)
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) && charset == "utf-8" {
			t.Fatalf("%q", text)
		}
		if r := Clean(asDocument(text), "utf-8", scan.Remote, Options{}); r.Changed {
			t.Fatalf("as a document it is not safe: %q %v", text, r.Taken)
		}
	})
}

func FuzzCSS(f *testing.F) {
	for _, seed := range []string{"a{b:url(x)}", "@import 'x';", `a:expr/**/ession(1)`, `u\72l(javascript:1)`, "image-set('x' 1x)", "a{behavior:url(#default#VML)}"} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, src []byte, remote bool) {
		if bytes.IndexByte(src, 0) >= 0 {
			return // taken out before
		}
		p := policy{remote: remote}
		before := bytes.Clone(src)
		out, sum := p.css(src)
		if !bytes.Equal(before, src) {
			t.Fatal("the input was written to")
		}
		if !sum.changed && !bytes.Equal(out, src) {
			t.Fatal("changed, and not said so")
		}
		if again, sum := p.css(out); sum.changed {
			t.Fatalf("%q became %q, which became %q", src, out, again)
		}
	})
}

func FuzzInsertNote(f *testing.F) {
	f.Add([]byte("<html><head><title>x</title></head><body>y</body></html>"))
	f.Fuzz(func(t *testing.T, src []byte) {
		out := InsertNote(src, []byte("<p>note</p>"))
		if len(out) != len(src)+len("<p>note</p>") || !bytes.Contains(out, []byte("<p>note</p>")) {
			t.Fatalf("%q", out)
		}
	})
}

func FuzzScan(f *testing.F) {
	for _, mail := range scannerMails() {
		f.Add([]byte(mail))
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		m, err := message.Read(bytes.NewReader(mail), message.Envelope{}, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close() //nolint:errcheck // nothing is read from it any more
		var s Scanner
		for _, r := range s.Scan(context.Background(), m).Remedies {
			for _, level := range []scan.Level{scan.Off, scan.Active, scan.Remote, scan.Text} {
				edit, taken, ok := r.Edit(level)
				if ok != (edit.Part != nil) || !ok && len(taken) > 0 || ok && level == scan.Off {
					t.Fatalf("level %s: %v %v %+v", level, ok, taken, edit)
				}
			}
		}
	})
}
