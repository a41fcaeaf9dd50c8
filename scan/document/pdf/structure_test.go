package pdf_test

import (
	"bytes"
	"compress/lzw"
	"context"
	"encoding/ascii85"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/document/pdf"
)

// stopAfterFirst reads a file, takes one member, and returns how many it was offered.
func stopAfterFirst(content []byte) int {
	n := 0
	f := &container.File{Content: content, Budget: container.NewBudget(context.Background(), container.Limits{}, nil)}
	pdf.Reader{}.Read(f, func(container.Member) bool {
		n++
		return false
	})
	return n
}

// TestReads tells PDF files from others.
func TestReads(t *testing.T) {
	body := "%PDF-1.4\n1 0 obj<<>>endobj"
	for _, c := range []struct {
		name, extension, mediaType, content string
		want                                bool
	}{
		{"PDF", "", "", body, true},
		{"header alone", "", "", "%PDF-1.4", true},
		{"FDF", "", "", "%FDF-1.2\n", true},
		{"PostScript and PDF", "", "", "%!PS-Adobe-3.0 PDF-1.4\n", true},
		{"PostScript", "", "", "%!PS-Adobe-3.0\n", false},
		{"behind 700 octets", "", "application/octet-stream", strings.Repeat("x", 700) + body, true},
		{"behind 5000 octets", "", "application/octet-stream", strings.Repeat("x", 5000) + body, false},
		{"behind 5000 octets, by name", "pdf", "application/octet-stream", strings.Repeat("x", 5000) + body, true},
		{"picture in front", "", "image/png", "\x89PNG" + body, true},
		{"tar", "tar", "application/x-tar", strings.Repeat("x", 512) + body, false},
		{"ZIP that is called PDF", "pdf", "application/zip", "PK\x03\x04" + body, true},
		{"text about PDF", "txt", "text/plain", "A file starts with %PDF-1.4.", false},
		{"no header", "pdf", "", "1 0 obj<<>>endobj", false},
		{"empty", "pdf", "", "", false},
	} {
		f := &container.File{Extension: c.extension, Type: c.mediaType, Content: []byte(c.content)}
		if got := (pdf.Reader{}).Reads(f); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestFound reads objects where a naive reader does not look.
func TestFound(t *testing.T) {
	launch := "<</S/Launch/F(a.exe)>>"
	hidden := "\n9 0 obj" + launch + "endobj\n"
	plain := document("", launch)
	table := bytes.LastIndex(plain, []byte("xref\n"))
	pointed := document("", stream("", []byte("x"+hidden+"x")))
	at := bytes.Index(pointed, []byte("9 0 obj"))
	pointed = append(pointed, fmt.Sprintf("xref\n9 1\n%010d 00000 n \ntrailer<</Root 1 0 R>>\nstartxref\n%d\n%%%%EOF", at, len(pointed))...)
	for _, c := range []struct {
		name    string
		content []byte
		traits  string
	}{
		{"in a table", plain, "launch"},
		{"behind other octets", append(bytes.Repeat([]byte{'x'}, 700), plain...), "launch"},
		{"without a table", plain[:bytes.LastIndex(plain[:table+4], []byte("xref"))], "launch"},
		{"not in the table", append([]byte("%PDF-1.4\n"+hidden), document("")[9:]...), "launch"},
		{"behind the end", append(document(""), hidden...), "launch"},
		{"replaced later", update(plain, 4, "null"), "launch"},
		{"replacing", update(document("", "null"), 4, launch), "launch"},
		{"glued", []byte("%PDF-1.4\n4 0obj" + launch + "endobj 5 0 obj<<>>endobj"), "launch"},
		{"without endobj", []byte("%PDF-1.4\n4 0 obj 5 0 obj <</A 1 6 0 obj " + launch), "launch"},
		{"lines of CR", bytes.ReplaceAll(plain, []byte("\n"), []byte("\r")), "launch"},
		{"behind a stream without an end", []byte("%PDF-1.4\n4 0 obj<<>>stream\nxx endobj" + hidden), "launch"},
		{"behind a stream whose length is wrong", document("", "<</Length 9999>>stream\nxx\nendstream", launch), "launch"},
		{"behind a stream of a long length", document("", fmt.Sprintf("<</Length %d>>stream\nxx\nendstream", 1<<40), launch), "launch"},
		{"behind a string without an end", []byte("%PDF-1.4\n4 0 obj (xx \nendobj" + hidden), "launch"},
		{"in a string, if the table is broken", bytes.Replace(document("", "(x endobj"+hidden+")"), []byte("startxref\n"), []byte("startxref\n9"), 1), "launch"},
		{"in a stream, if the table is broken", bytes.Replace(document("", stream("", []byte("endstream endobj"+hidden))), []byte("startxref\n"), []byte("startxref\n9"), 1), "launch"},
		{"in a stream without a table", []byte("%PDF-1.4\n1 0 obj<<>>stream\n9 0 obj" + launch + "endstream"), "launch"},
		{"in a stream, where a table leads", pointed, "ambiguous launch"},
		{"behind a comment, where a table leads", bytes.Replace(plain, []byte("4 0 obj"), []byte("4 %\n 0%\nobj"), 1), "launch"},
		{"in a dictionary without an end", document("", "<</A<</B<</C "+launch), "launch"},
		{"in a deep dictionary", document("", strings.Repeat("<</A", 90)+launch+strings.Repeat(">>", 90)), "launch"},
		{"of a large number", []byte("%PDF-1.4\n999999999 65535 obj" + launch), "launch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := read(t, c.content); r.traits() != c.traits && !strings.HasPrefix(c.name, "behind a stream without") || !r.has(scan.Launch) {
				t.Errorf("%s", r)
			}
		})
	}
}

// TestLeadingOffset reads a cross-reference table whose offsets count from the header.
func TestLeadingOffset(t *testing.T) {
	content := append(bytes.Repeat([]byte{'x'}, 700), document("/OpenAction[3 0 R/Fit]", "(9 0 obj endobj 8 0 obj<</S/Launch>>)")...)
	if r := read(t, content); r.State != scan.Inspected || len(r.Signs) != 0 {
		t.Errorf("%s", r)
	}
}

// TestFilters decodes attached files through every filter.
func TestFilters(t *testing.T) {
	var want bytes.Buffer
	for i := range 3000 {
		fmt.Fprintf(&want, "line %d of many\n", i*i)
	}
	plain := want.Bytes()
	lzwed := encodeLZW(plain, 1)
	var a85 bytes.Buffer
	w := ascii85.NewEncoder(&a85)
	_, _ = w.Write(deflate(plain)) // to a buffer
	_ = w.Close()
	for _, c := range []struct {
		name, dict string
		data       []byte
	}{
		{"none", "", plain},
		{"Flate", "/Filter/FlateDecode", deflate(plain)},
		{"Flate by another name", "/Filter[/Fl]", deflate(plain)},
		{"Flate behind a line end", "/Filter/FlateDecode", append([]byte("\r\n"), deflate(plain)...)},
		{"Flate with a wrong checksum", "/Filter/FlateDecode", append(deflate(plain)[:len(deflate(plain))-4], "xxxx"...)},
		{"LZW", "/Filter/LZWDecode", lzwed},
		{"LZW, late", "/Filter/LZWDecode/DecodeParms<</EarlyChange 0>>", encodeLZW(plain, 0)},
		{"hexadecimal", "/Filter/ASCIIHexDecode", []byte(hex.EncodeToString(plain) + ">")},
		{"base 85", "/Filter[/ASCII85Decode/FlateDecode]", append(a85.Bytes(), "~>"...)},
		{"run lengths", "/Filter/RunLengthDecode", encodeRuns(plain)},
		{"chain", "/Filter[/AHx/LZW]", []byte(hex.EncodeToString(lzwed) + ">")},
		{"PNG", "/Filter/FlateDecode/DecodeParms<</Predictor 15/Columns 50>>", deflate(encodePNG(plain, 50))},
		{"TIFF", "/Filter/FlateDecode/DecodeParms[<</Predictor 2/Columns 50>>]", deflate(encodeTIFF(plain, 50))},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, document("", stream("/Type/EmbeddedFile"+c.dict, c.data)))
			if len(r.members) != 1 || !bytes.Equal(r.members[0].Content, plain) || r.State != scan.Inspected {
				t.Errorf("%.300s", r)
			}
		})
	}
}

// encodeLZW writes LZW as compress/lzw does in TIFF's order, but with the width changed one code early if asked.
func encodeLZW(in []byte, early int) []byte {
	var out []byte
	bits, count, next := uint32(0), 0, 258
	table := map[string]int{}
	emit := func(code int) {
		width := 9
		for width < 12 && next+early > 1<<width {
			width++
		}
		bits, count = bits<<width|uint32(code), count+width
		for count >= 8 {
			out = append(out, byte(bits>>(count-8)))
			count -= 8
		}
	}
	code := func(s string) int {
		if len(s) == 1 {
			return int(s[0])
		}
		return table[s]
	}
	emit(256)
	last := ""
	for _, c := range in {
		if _, known := table[last+string([]byte{c})]; last == "" || known {
			last += string([]byte{c})
			continue
		}
		emit(code(last))
		table[last+string([]byte{c})] = next
		if next++; next == 4094 {
			emit(256)
			next, table = 258, map[string]int{}
		}
		last = string([]byte{c})
	}
	emit(code(last))
	next++
	emit(257)
	return append(out, byte(bits<<(8-count)))
}

// encodeRuns writes literal runs, and one that repeats at the end.
func encodeRuns(in []byte) []byte {
	var out []byte
	for len(in) > 0 {
		same := 1
		for same < len(in) && same < 128 && in[same] == in[0] {
			same++
		}
		if same > 2 {
			out, in = append(out, byte(257-same), in[0]), in[same:]
			continue
		}
		n := min(len(in), 100)
		out, in = append(append(out, byte(n-1)), in[:n]...), in[n:]
	}
	return append(out, 128)
}

// encodePNG writes rows with each filter of PNG in turn.
func encodePNG(in []byte, columns int) []byte {
	var out []byte
	above := make([]byte, columns)
	for row := 0; len(in) > 0; row++ {
		line := in[:min(columns, len(in))]
		in = in[len(line):]
		out = append(out, byte(row%5))
		for i, c := range line {
			a, b, d := 0, int(above[i]), 0
			if i > 0 {
				a, d = int(line[i-1]), int(above[i-1])
			}
			guess := [5]int{0, a, b, (a + b) / 2, nearest(a, b, d)}[row%5]
			out = append(out, c-byte(guess))
		}
		copy(above, line)
	}
	return out
}

// nearest is the predictor of Paeth.
func nearest(a, b, c int) int {
	best, distance := 0, 1<<30
	for _, v := range []int{a, b, c} {
		if d := max(a+b-c-v, v-a-b+c); d < distance {
			best, distance = v, d
		}
	}
	return best
}

// encodeTIFF writes differences to the left.
func encodeTIFF(in []byte, columns int) []byte {
	out := bytes.Clone(in)
	for i := range out {
		if i%columns > 0 {
			out[i] -= in[i-1]
		}
	}
	return out
}

// TestLZW checks the test's own encoder where the standard library has the same format, before codes widen.
func TestLZW(t *testing.T) {
	in := []byte("-----A---B-----A---B-----A---B")
	out := make([]byte, len(in))
	if n, err := lzw.NewReader(bytes.NewReader(encodeLZW(in, 0)), lzw.MSB, 8).Read(out); err != nil || !bytes.Equal(out[:n], in) {
		t.Errorf("%q %v", out[:n], err)
	}
}

// TestDamaged checks that nothing that could not be read is called inspected.
func TestDamaged(t *testing.T) {
	dict, content := objectStream(10, "<</S/Launch/F(a.exe)>>", "("+strings.Repeat("words ", 3000)+")")
	packed := deflate(content)
	for _, c := range []struct {
		name    string
		content []byte
		method  string
		launch  bool
	}{
		{"no object", []byte("%PDF-1.4\nnothing"), "damaged: no readable object", false},
		{"header alone", []byte("%PDF-1.4"), "damaged: no readable object", false},
		{"object stream that is cut off", document("", stream(dict+"/Filter/FlateDecode", packed[:len(packed)-20])), "object stream 4: unexpected EOF", true},
		{"object stream that does not inflate", document("", stream(dict+"/Filter/FlateDecode", []byte("\x78\x9c\xff\xff"))), "object stream 4", false},
		{"object stream with an unknown filter", document("", stream(dict+"/Filter/Foo", packed)), "object stream 4: unknown filter Foo", false},
		{"object stream with too few objects", document("", stream("/Type/ObjStm/N 9/First 5", []byte("10 0 <<>>"))), "object stream 4 is damaged", false},
		{"object stream with many filters", document("", stream(dict+"/Filter["+strings.Repeat("/FlateDecode", 20)+"]", packed)), "object stream 4: too many filters", false},
		{"cut off in a stream", bytes.SplitAfter(document("", stream("", []byte("xx"))), []byte("stream\nx"))[0], "damaged: it is cut off", false},
		{"nested too deeply", document("", strings.Repeat("[", 200)), "objects are nested too deeply", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, c.content)
			if r.State != scan.Uninspectable || !strings.HasPrefix(r.Method, c.method) || !r.has(scan.Damaged) || r.has(scan.Launch) != c.launch {
				t.Errorf("%s", r)
			}
		})
	}
}

// TestForeign reads files that are of another format as well.
func TestForeign(t *testing.T) {
	zip := "PK\x03\x04" + strings.Repeat("x", 40) + "PK\x05\x06"
	noise := strings.Repeat("\x01\x9c\xfe", 3000)
	for _, c := range []struct {
		name    string
		content []byte
		traits  string
		member  string
	}{
		{"ZIP behind", append(document(""), zip...), "polyglot", zip},
		{"ZIP in front", append([]byte(zip), document("")...), "polyglot", zip},
		{"program in front", append([]byte("MZ"+strings.Repeat("x", 100)), document("")...), "polyglot", "MZ" + strings.Repeat("x", 100)},
		{"HTML in front", append([]byte("<!DOCTYPE html><script>x</script>"), document("")...), "polyglot", "<!DOCTYPE html><script>x</script>"},
		{"ZIP between", bytes.Replace(document(""), []byte("2 0 obj"), []byte(zip+"\n2 0 obj"), 1), "polyglot", zip},
		{"noise behind", append(document(""), noise...), "", noise},
		{"a little noise behind", append(document(""), noise[:100]...), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, c.content)
			got := ""
			if len(r.members) > 0 {
				got = string(r.members[0].Content)
			}
			if r.State != scan.Inspected || r.traits() != c.traits || got != c.member || len(r.members) > 1 {
				t.Errorf("%s", r)
			}
		})
	}
}

// TestTwoFilters reads a stream whose dictionary names its filter twice.
func TestTwoFilters(t *testing.T) {
	r := read(t, document("", stream("/Type/EmbeddedFile/Filter/ASCIIHexDecode/Filter/FlateDecode", deflate([]byte("x")))))
	if !r.has(scan.Ambiguous) {
		t.Errorf("%s", r)
	}
}

// TestCrossReferenceStream follows the table in a stream to an object in another stream.
func TestCrossReferenceStream(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("%PDF-1.5\n1 0 obj<</Type/Catalog>>endobj\n")
	b.WriteString("2 0 obj\n" + stream("", []byte("words 3 0 obj<</S/Launch/F(a.exe)>>endobj words")) + "\nendobj\n")
	at := bytes.Index(b.Bytes(), []byte("3 0 obj"))
	rows := encodePNG([]byte{1, byte(at >> 8), byte(at), 0}, 4)
	start := b.Len()
	b.WriteString("4 0 obj\n" + stream("/Type/XRef/W[1 2 1]/Index[3 1]/Size 5/Root 1 0 R/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>", deflate(rows)))
	fmt.Fprintf(&b, "\nendobj\nstartxref\n%d\n%%%%EOF\n", start)
	if r := read(t, b.Bytes()); r.traits() != "ambiguous launch" || r.State != scan.Inspected {
		t.Errorf("%s", r)
	}
}

// TestGolden reads the file that Chromium made with another reader's eyes: its link.
func TestGolden(t *testing.T) {
	content, err := os.ReadFile("testdata/chromium.pdf")
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, content)
	if len(r.Links) != 1 || r.Links[0].URL != "https://example.org/terms?a=1&b=2" {
		t.Errorf("%s", r)
	}
}
