package files

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"strings"
)

// The documents of this file are made as common programs make them, of about 100 KB, and always the same.

// A pdf is a document in the making.
type pdf struct {
	bytes.Buffer
	offsets []int
	random  *rand.Rand
}

// newPDF returns one of a version.
func newPDF(version string) *pdf {
	d := &pdf{random: rand.New(rand.NewPCG(1, 2))}
	fmt.Fprintf(d, "%%PDF-%s\n%%\xb5\xed\xae\xfb\n", version)
	return d
}

// object appends the next object.
func (d *pdf) object(text string) {
	d.offsets = append(d.offsets, d.Len())
	fmt.Fprintf(d, "%d 0 obj\n%s\nendobj\n", len(d.offsets), text)
}

// next is the number of the next object.
func (d *pdf) next() int { return len(d.offsets) + 1 }

// stream is a stream of octets that are packed already.
func stream(entries string, packed []byte) string {
	return fmt.Sprintf("<< /Length %d %s >>\nstream\n%s\nendstream", len(packed), entries, packed)
}

// flated is a stream that is packed here.
func flated(entries string, content []byte) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(content) // to a buffer
	_ = w.Close()
	return stream(entries+" /Filter /FlateDecode", b.Bytes())
}

// table ends a document with a cross-reference table.
func (d *pdf) table() []byte {
	start := d.Len()
	fmt.Fprintf(d, "xref\n0 %d\n0000000000 65535 f \n", d.next())
	for _, at := range d.offsets {
		fmt.Fprintf(d, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(d, "trailer\n<< /Size %d /Root 1 0 R /ID [<%s> <%[2]s>] >>\nstartxref\n%d\n%%%%EOF\n", d.next(), strings.Repeat("0a", 16), start)
	return d.Bytes()
}

// noise is what does not compress, such as the outlines of a font.
func (d *pdf) noise(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(d.random.Uint32()) & 0x7f
	}
	return out
}

// text is what a page shows, as a content stream.
func (d *pdf) text(lines int) []byte {
	words := strings.Fields("Rechnung payment of the invoice and terms which are due within thirty days from our delivery to Stuttgart 4711 0.19 Euro")
	var b bytes.Buffer
	b.WriteString("0.1 w\nq 0 0.028 595.302 841.889 re\nW* n\n")
	for i := range lines {
		fmt.Fprintf(&b, "BT\n%d.%d %d Td /F%d 11 Tf[<", 56, i%10, 785-14*i, 1+i%2)
		for range 9 {
			b.WriteString(hex.EncodeToString([]byte(words[d.random.IntN(len(words))])) + ">" + fmt.Sprint(d.random.IntN(9)) + "<")
		}
		b.WriteString(">]TJ\nET\n")
	}
	b.WriteString("Q")
	return b.Bytes()
}

// pages appends the catalog, the tree of pages and pages, each with its text; the resources come behind them.
func (d *pdf) pages(count, lines int, catalog, page string) (resources int) {
	var kids strings.Builder
	for i := range count {
		fmt.Fprintf(&kids, "%d 0 R ", 3+2*i)
	}
	resources = 3 + 2*count
	d.object("<< /Type /Catalog /Pages 2 0 R /OpenAction [3 0 R /XYZ null null 0] /Lang (de-DE) " + catalog + " >>")
	d.object(fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d /MediaBox [0 0 595 841] >>", &kids, count))
	for range count {
		d.object(fmt.Sprintf("<< /Type /Page /Parent 2 0 R /Resources %d 0 R /MediaBox [0 0 595.303 841.889] /Contents %d 0 R "+
			"/Group << /S /Transparency /CS /DeviceRGB /I true >> %s >>", resources, d.next()+1, page))
		d.object(flated("", d.text(lines)))
	}
	return resources
}

// fonts appends resources with embedded fonts of some octets altogether.
func (d *pdf) fonts(count, octets int) {
	var list strings.Builder
	for i := range count {
		fmt.Fprintf(&list, "/F%d %d 0 R ", i+1, d.next()+1+4*i)
	}
	d.object("<< /Font << " + list.String() + ">> /ProcSet [/PDF /Text] >>")
	for i := range count {
		n := d.next()
		d.object(fmt.Sprintf("<< /Type /Font /Subtype /TrueType /BaseFont /BAAAAA+LiberationSerif%d /FirstChar 0 /LastChar 60 /Widths [%s] "+
			"/FontDescriptor %d 0 R /ToUnicode %d 0 R >>", i, strings.Repeat("777 500 277 610 ", 15), n+1, n+2))
		d.object(fmt.Sprintf("<< /Type /FontDescriptor /FontName /BAAAAA+LiberationSerif%d /Flags 4 /FontBBox [-543 -303 1277 981] "+
			"/ItalicAngle 0 /Ascent 891 /Descent -216 /CapHeight 981 /StemV 80 /FontFile2 %d 0 R >>", i, n+3))
		d.object(flated("", []byte("/CIDInit/ProcSet findresource begin\n"+strings.Repeat("<0141> <0041>\n<0243> <0156>\n", 30))))
		d.object(flated(fmt.Sprintf("/Length1 %d", octets/count), d.noise(octets/count)))
	}
}

// written is a document as LibreOffice writes it: text, embedded fonts, a table.
func written() []byte {
	d := newPDF("1.7")
	d.pages(12, 45, "", "")
	d.fonts(6, 92<<10)
	return d.table()
}

// photographed is a document of a scanner: a picture for each page.
func photographed() []byte {
	d := newPDF("1.4")
	picture := image.NewRGBA(image.Rect(0, 0, 330, 470))
	for y := range 470 {
		for x := range 330 {
			grey := uint8(200 + d.random.IntN(50))
			if x/7%5 == 0 && y/11%2 == 0 {
				grey = 30
			}
			picture.Set(x, y, color.RGBA{grey, grey, grey - 9, 255})
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, picture, &jpeg.Options{Quality: 60}) // to a buffer
	d.pages(2, 1, "", "")
	d.object(fmt.Sprintf("<< /XObject << /Im1 %d 0 R /Im2 %d 0 R >> >>", d.next()+1, d.next()+2))
	for range 2 {
		d.object(stream("/Type /XObject /Subtype /Image /Width 330 /Height 470 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode", b.Bytes()))
	}
	return d.table()
}

// tagged is a document as Word writes it: what every word is for lies there in the clear, in thousands of objects.
func tagged() []byte {
	d := newPDF("1.7")
	d.pages(4, 45, "/MarkInfo << /Marked true >>", "/Tabs /S /StructParents 0")
	d.fonts(3, 24<<10)
	first := d.next()
	for i := range 500 {
		d.object(fmt.Sprintf("<< /P %d 0 R /S /Span /Type /StructElem /ActualText (Zeile %d) /K [%d %d] /Pg %d 0 R >>", first-1, i, i, i+1, 3+2*(i%4)))
	}
	return d.table()
}

// typesetObjects is how many objects lie in the object streams of typeset.
const typesetObjects = 1200

// typeset is a document as pdfTeX writes it: its objects lie in object streams, with links and places to go to.
func typeset() []byte {
	d := newPDF("1.5")
	d.pages(10, 45, "/Names << /Dests 3 0 R >>", "/Annots [40 0 R 41 0 R]")
	d.fonts(4, 60<<10)
	type place struct{ within, index int }
	var places []place
	first := d.next()
	const streams = 12
	const each = typesetObjects / streams
	numbers := first + streams
	for s := range streams {
		var head, body strings.Builder
		for i := range each {
			fmt.Fprintf(&head, "%d %d ", numbers+len(places), body.Len())
			fmt.Fprintf(&body, "<</Type/Annot/Subtype/Link/Border[0 0 0]/H/I/C[1 0 0]/Rect[%d.%d %d.3 300.1 400.%d]/A<</S/GoTo/D(section.%d.%d)>>>>\n",
				d.random.IntN(500), i, d.random.IntN(500), i, s, i)
			places = append(places, place{first + s, i})
		}
		d.object(flated(fmt.Sprintf("/Type /ObjStm /N %d /First %d", each, head.Len()), []byte(head.String()+body.String())))
	}
	start, size := d.Len(), first+streams+len(places)+1
	table := []byte{0, 0, 0, 0, 0}
	for _, at := range d.offsets {
		table = append(table, 1, byte(at>>16), byte(at>>8), byte(at), 0)
	}
	for _, p := range places {
		table = append(table, 2, 0, byte(p.within>>8), byte(p.within), byte(p.index))
	}
	table = append(table, 1, byte(start>>16), byte(start>>8), byte(start), 0)
	d.offsets = append(d.offsets, make([]int, len(places))...)
	d.object(flated(fmt.Sprintf("/Type /XRef /Size %d /W [1 3 1] /Root 1 0 R", size), table))
	fmt.Fprintf(d, "startxref\n%d\n%%%%EOF\n", start)
	return d.Bytes()
}

// manyPages is a document of 920 KB.
func manyPages(fonts int) []byte {
	d := newPDF("1.7")
	d.pages(120, 45, "", "")
	d.fonts(6+fonts, 760<<10)
	return d.table()
}
