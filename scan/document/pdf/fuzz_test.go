package pdf_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/document/pdf"
)

// small are limits that a fuzzer meets.
var small = container.Limits{Members: 50, Octets: 8 << 20, Member: 2 << 20, Free: 1 << 20, Guesses: 4, Time: 5 * time.Second}

// FuzzRead reads any file: it neither panics nor takes long, and a verdict is complete.
func FuzzRead(f *testing.F) {
	chromium, err := os.ReadFile("testdata/chromium.pdf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chromium)
	f.Add(document("/OpenAction<</S/JavaScript/JS(x)>>/AcroForm<</XFA[(a)4 0 R]>>", flated("", []byte("<script/>"))))
	dict, content := objectStream(10, "<</S/Launch/F(a.exe)>>", "[1 2 (x) <41> 3 0 R true null -.5]")
	f.Add(document("/AA<</O 10 0 R>>", flated(dict, content)))
	for r := 2; r <= 7; r++ {
		f.Add(newSeal(r, map[bool]int{true: 40, false: 128}[r == 2], "", "owner", false).document())
	}
	f.Add(update(document("", stream("/Type/EmbeddedFile", []byte("x"))), 4, "<</Type/Filespec/F(x)/EF<</F 4 0 R>>>>"))
	f.Fuzz(func(t *testing.T, content []byte) { check(t, append([]byte("%PDF-1.7\n"), content...)) })
}

// check reads a file within small limits and looks at the shape of the verdict.
func check(t *testing.T, content []byte) {
	t.Helper()
	start := time.Now()
	r := readWithin(t, small, content, "user", "é")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	switch r.State {
	case scan.Inspected:
	case scan.Encrypted, scan.Uninspectable:
		if r.Method == "" {
			t.Errorf("%s", r)
		}
	default:
		t.Errorf("%s", r)
	}
	for _, s := range r.Signs {
		if s.Trait == "" || len(s.Detail) > 1000 {
			t.Errorf("%s", r)
		}
	}
	for _, m := range r.members {
		if (m.Content == nil) != (m.State != "") {
			t.Errorf("%s", r)
		}
	}
}

// FuzzFilters decodes any octets through any chain of filters.
func FuzzFilters(f *testing.F) {
	for _, filters := range []string{"Fl", "LZW", "RL", "A85", "AHx", "A85 Fl", "AHx LZW RL", "Crypt Fl"} {
		f.Add(filters, int64(1), int64(1), []byte("some octets"))
	}
	f.Add("Fl", int64(15), int64(4), deflate(encodePNG([]byte("some octets of a picture"), 4)))
	f.Add("LZW", int64(2), int64(4), encodeLZW([]byte("some octets of a picture"), 1))
	f.Fuzz(func(t *testing.T, filters string, predictor, columns int64, data []byte) {
		chain := "/" + strings.Join(strings.Fields(filters), "/")
		check(t, document("", stream("/Type/EmbeddedFile/Filter["+chain+"]/DecodeParms<</Predictor "+itoa(predictor)+"/Columns "+itoa(columns)+">>", data)))
	})
}

// FuzzEncrypt reads any encryption dictionary.
func FuzzEncrypt(f *testing.F) {
	for r := 2; r <= 7; r++ {
		f.Add(newSeal(r, map[bool]int{true: 40, false: 128}[r == 2], "user", "owner", false).dict, []byte("sixteen octets..sixteen octets.."))
	}
	f.Add("<</Filter/Adobe.PubSec/V 4>>", []byte("x"))
	f.Fuzz(func(t *testing.T, dict string, data []byte) {
		check(t, documentWith("/Encrypt 4 0 R/ID[(x)]", "", dict, stream("/Type/ObjStm/N 1/First 4", data), stream("/Type/EmbeddedFile", data)))
	})
}

// BenchmarkTypical reads a letter of 100 KB: pages, fonts and a picture.
func BenchmarkTypical(b *testing.B) { benchmark(b, letter(20, 80<<10)) }

// BenchmarkLarge reads 5 MB with 20 pictures and 3000 objects.
func BenchmarkLarge(b *testing.B) { benchmark(b, letter(1000, 4800<<10)) }

// BenchmarkObjectStreams reads a document whose 20000 objects are in object streams.
func BenchmarkObjectStreams(b *testing.B) {
	var objects []string
	for range 100 {
		dict, content := objectStream(1000, strings.Split(strings.Repeat("<</Type/StructElem/S/P/P 3 0 R/K[0 1 2]/Pg 3 0 R>>\n", 200), "\n")...)
		objects = append(objects, flated(dict, content))
	}
	benchmark(b, document("", objects...))
}

// letter makes a document of pages with as many octets of pictures.
func letter(pages, octets int) []byte {
	picture := []byte(strings.Repeat("\x9c\x01(<[\xfe)\r obj", octets/20/12))
	var objects []string
	for i := range pages {
		objects = append(objects, flated("", []byte(strings.Repeat("BT /F1 12 Tf (words) Tj ET\n", 50))),
			"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 5 0 R>>/XObject<</I 6 0 R>>>>/Contents 4 0 R>>",
			"<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(https://example.org/"+itoa(int64(i))+")>>>>")
	}
	for range 20 {
		objects = append(objects, stream("/Subtype/Image/Filter/DCTDecode", picture))
	}
	return document("", objects...)
}

// benchmark reads a file.
func benchmark(b *testing.B, content []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		f := &container.File{Content: content, Budget: container.NewBudget(context.Background(), container.Limits{}, nil)}
		v := pdf.Reader{}.Read(f, func(container.Member) bool { return true })
		if v.State != scan.Inspected {
			b.Fatal(v.Method)
		}
	}
}
