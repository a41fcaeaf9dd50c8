package pdf_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/container"
)

// inStream is a document whose fourth object is an object stream with objects from 10 on.
func inStream(catalog string, objects ...string) []byte {
	dict, content := objectStream(10, objects...)
	return document(catalog, flated(dict, content))
}

// TestActive reads what acts, however it is written.
func TestActive(t *testing.T) {
	js := "<</S/JavaScript/JS(app.alert\\(1\\))>>"
	for _, c := range []struct {
		name    string
		content []byte
		traits  string
	}{
		{"JavaScript at the start", document("/OpenAction 4 0 R", js), "javascript open-action"},
		{"JavaScript in the catalog", document("/OpenAction" + js), "javascript open-action"},
		{"hexadecimal string", document("", "<</S/JavaScript/JS<6170702e616c657274283129>>>"), "javascript"},
		{"escaped names", document("/#4fpen#41ction<</#53/#4a#61vaScript/#4A#53(x)>>"), "javascript open-action"},
		{"kind in another object", document("", "<</S 5 0 R/JS(x)>>", "/JavaScript"), "javascript"},
		{"kind that a later revision hides", update(document("", "<</S 5 0 R>>", "/Launch"), 5, "/GoTo"), "launch"},
		{"script in another object", document("", "<</S/JavaScript/JS 5 0 R>>", "(x)"), "javascript"},
		{"script in a stream that claims to be a picture", document("", "<</S/JavaScript/JS 5 0 R>>", stream("/Type/XObject/Subtype/Image", []byte("x"))), "javascript"},
		{"script that is missing", document("", "<</S/JavaScript/JS 99 0 R>>"), "javascript"},
		{"script of a key twice", document("", "<</S/JavaScript/JS(x)/JS null/S/GoTo>>"), "javascript"},
		{"names", document("/Names<</JavaScript<</Kids[4 0 R]>>>>", "<</Names[(x)5 0 R]>>", js), "javascript"},
		{"in an object stream", inStream("/OpenAction 10 0 R", js), "javascript open-action"},
		{"object stream without a type", document("", func() string { d, c := objectStream(10, js); return flated(strings.TrimPrefix(d, "/Type/ObjStm"), c) }()), "javascript"},
		{"page action", document("", "<</Type/Page/AA<</O "+js+">>>>"), "javascript open-action"},
		{"page action in other objects", document("", "<</AA 5 0 R>>", "<</C 6 0 R>>", "<</S/URI/URI(http://x.test)>>"), "open-action"},
		{"second action", document("/OpenAction<</S/GoTo/D[3 0 R/Fit]/Next[<</S/GoTo/Next 4 0 R>>]>>", "<</S/Launch/F(a.exe)>>"), "launch open-action"},
		{"print at the start", document("/OpenAction<</S/Named/N/Print>>"), "open-action"},
		{"address at the start", document("/OpenAction<</S/URI/URI(http://x.test)>>"), "open-action"},
		{"unknown action at the start", document("/OpenAction<</S/Foo>>"), "open-action"},
		{"endless chain", document("/OpenAction 4 0 R", "<</S/GoTo/Next 4 0 R>>"), "open-action"},
		{"launch for Windows", document("", "<</S/Launch/Win<</F(cmd.exe)/P(/c calc)>>>>"), "launch"},
		{"form", document("", "<</S/SubmitForm/F<</FS/URL/F(http://x.test/form)>>>>"), "submit-form"},
		{"import", document("", "<</S/ImportData/F(x.fdf)>>"), "submit-form"},
		{"other file", document("", "<</S/GoToR/F(\\\\\\\\host\\\\share\\\\x.pdf)/D[0/Fit]>>"), "remote-goto"},
		{"thread of another file", document("", "<</S/Thread/F(\\\\\\\\host\\\\share\\\\x.pdf)/D0>>"), "remote-goto"},
		{"thread", document("", "<</S/Thread/D 0>>"), ""},
		{"film", document("", "<</Type/Annot/Subtype/Screen>>", "<</S/Rendition/R<</Type/Rendition/S/MR>>/OP 0>>"), "rich-media"},
		{"sound", document("", "<</S/Sound/Sound 5 0 R>>"), "rich-media"},
		{"3D", document("", "<</Type/Annot/Subtype/3D/3DD 5 0 R>>", stream("/Type/3D/Subtype/U3D", []byte("x"))), "rich-media"},
		{"XFA", document("/AcroForm<</XFA[(template)4 0 R]>>", stream("", []byte("<template><field/></template>"))), "xfa"},
		{"XFA with script", document("/AcroForm<</XFA 4 0 R>>", flated("", []byte("<x:template><x:script contentType='application/x-javascript'>x</x:script></x:template>"))), "javascript xfa"},
		{"XFA with a script in two streams", document("/AcroForm<</XFA[(a)4 0 R(b)5 0 R]>>", stream("", []byte("<template><scr")), flated("", []byte("ipt>x</script></template>"))), "javascript xfa"},
		{"XFA that is sent", document("/AcroForm<</XFA 4 0 R>>", stream("", []byte("<template><submit target='http://x.test'/></template>"))), "submit-form xfa"},
		{"data elsewhere", document("", stream("/F(\\\\\\\\host\\\\share)", []byte("x"))), "remote-object"},
		{"address with script", document("", "<</S/URI/URI(java\nscript:alert\\(1\\))>>"), "javascript"},
		{"annotation with a file that is missing", document("", "<</Type/Annot/Subtype/FileAttachment/FS 99 0 R>>"), "embedded-file"},
		{"FDF", []byte("%FDF-1.2\n1 0 obj<</FDF<</JavaScript<</Before(x)>>>>>>endobj trailer<</Root 1 0 R>>\n%%EOF"), "javascript"},
		{"header of PostScript", bytes.Replace(document("/OpenAction"+js), []byte("%PDF-1.7"), []byte("%!PS-Adobe-3.0 PDF-1.4"), 1), "javascript open-action"},
		{"comments everywhere", document("/OpenAction%(\n<<%x\n/S%<<\n/JavaScript%>>\n/JS%\n(x)>>"), "javascript open-action"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := read(t, c.content); r.State != scan.Inspected || r.traits() != c.traits {
				t.Errorf("want %s; %s", c.traits, r)
			}
		})
	}
}

// TestQuiet reads ordinary documents: nothing may be seen in them.
func TestQuiet(t *testing.T) {
	// Chromium 156 printed "<h1>Invoice 42</h1>", a link, and text that speaks of PDF; for this test.
	chromium, err := os.ReadFile("testdata/chromium.pdf")
	if err != nil {
		t.Fatal(err)
	}
	words := "/JS (x) /JavaScript /OpenAction /Launch /Encrypt /EmbeddedFile /XFA /RichMedia << /S /Launch >>"
	object := "endstream endobj 9 0 obj<</S/JavaScript/JS(x)>>endobj"
	for _, c := range []struct {
		name    string
		content []byte
	}{
		{"Chromium", chromium},
		{"empty", document("")},
		{"destination", document("/OpenAction[3 0 R/XYZ null null 0]")},
		{"destination in an object", document("/OpenAction 4 0 R", "[3 0 R/Fit]")},
		{"named destination", document("/OpenAction(chapter)")},
		{"destination as an action", document("/OpenAction<</S/GoTo/D[3 0 R/Fit]>>")},
		{"destination with a dictionary", document("/OpenAction<</D[3 0 R/Fit]>>")},
		{"page navigation", document("/OpenAction<</S/Named/N/NextPage>>")},
		{"page navigation on a page", document("", "<</AA<</O<</S/GoTo/D[3 0 R/Fit]/Next<</S/Hide/T(x)>>>>>>>>")},
		{"empty lists", document("/Names<</JavaScript<</Names[]>>/EmbeddedFiles<</Names[]>>>>/AA<<>>/AcroForm<</Fields[]/XFA null>>")},
		{"words in a string", document("/Lang("+words+")", "("+object+")")},
		{"words in a hexadecimal string", document("", fmt.Sprintf("<</T<%x>>>", words))},
		{"words in a comment", document("%"+words+"\n", "%"+object+"\nnull")},
		{"words in a stream", document("", stream("", []byte(words+" "+object)))},
		{"words as a name", document("", "<</Title/#2FJS>>")},
		{"names of fonts and pictures", document("", "<</Font<</JS 5 0 R>>/XObject<</JS 6 0 R>>>>", "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", stream("/Subtype/Image", []byte("x")))},
		{"tags", document("", "<</Type/StructElem/S/Sound/P 3 0 R/K 0>>")},
		{"revisions", update(update(document("", "null"), 4, "(a)"), 4, "(b)")},
		{"object streams", inStream("", "<</Type/Page>>", "(x)", "12", "null")},
		{"end with blanks", append(document(""), bytes.Repeat([]byte("\r\n\x00 "), 4000)...)},
		{"abbreviated end", bytes.Replace(document("", "(x)"), []byte("%%EOF\n"), nil, 1)},
		{"odd length", document("", "<</Length 5 0 R>>stream\nBT (endobj) Tj ET\nendstream", "17")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := read(t, c.content); r.State != scan.Inspected || r.Method != "" || r.Class != "" || len(r.Signs) != 0 || len(r.members) != 0 {
				t.Errorf("%s", r)
			}
		})
	}
}

// TestLinks reads addresses in every encoding.
func TestLinks(t *testing.T) {
	r := read(t, document("/URI<</Base(https://base.test/)>>",
		"<</S/URI/URI(https://example.org/a?b=\\(c\\))>>", "<</S/URI/URI<FEFF0068007400740070003A002F002F00FC002E0074006500730074>>>",
		"<</S/URI/URI 7 0 R>>", "(http://other\\\n.test/ x)", "<</S/URI/URI(https://example.org/a?b=\\(c\\))>>",
		"<</S/SubmitForm/F(mailto:a@b.test)>>", "<</S/GoToR/F<</FS/URL/F(http://files.test/a.pdf)>>>>"))
	want := []container.Link{
		{URL: "https://example.org/a?b=(c)", Source: scan.FromAnchor}, {URL: "http://ü.test", Source: scan.FromAnchor},
		{URL: "http://other.test/x", Source: scan.FromAnchor}, {URL: "mailto:a@b.test", Source: scan.FromForm},
		{URL: "http://files.test/a.pdf", Source: scan.FromAnchor},
	}
	if !slices.Equal(r.Links, want) {
		t.Errorf("%s", r)
	}
}

// TestDetails checks that details name the object and what is started, and never quote a script.
func TestDetails(t *testing.T) {
	r := read(t, document("", "<</S/Launch/F(cmd.exe)>>", "<</S/JavaScript/JS(secret words)>>", "<</S/Launch/F("+strings.Repeat("x", 1000)+")>>"))
	s := r.String()
	if !strings.Contains(s, "launch x2: object 4: cmd.exe; object 6: xxx") || strings.Contains(s, "secret") || strings.Contains(s, strings.Repeat("x", 101)) {
		t.Errorf("%s", s)
	}
}

// TestAttachments reads attached files: their names, types and contents.
func TestAttachments(t *testing.T) {
	content := document("/Names<</EmbeddedFiles<</Names[(a)4 0 R(b)6 0 R]>>>>",
		"<</Type/Filespec/F(a.txt)/UF<FEFF00FC002E007400780074>/EF<</F 5 0 R/UF 5 0 R>>>>", flated("/Type/EmbeddedFile/Subtype/text#2Fplain", []byte("one")),
		"<</Type/Filespec/UF(b.txt)/F(b.exe)/EF<</F 7 0 R>>/RF<</F[(c)8 0 R]>>>>", stream("", []byte("two")), stream("", []byte("three")),
		stream("/Type/EmbeddedFile", []byte("four")), stream("/Type/EmbeddedFile/Filter/FlateDecode", []byte("\x78\x9c broken")))
	content = update(content, 5, stream("/Type/EmbeddedFile", []byte("five")))
	r := read(t, content)
	var got []string
	for _, m := range r.members {
		got = append(got, fmt.Sprintf("%s|%s|%s|%s", m.Name, m.Declared, m.Content, m.State))
	}
	want := []string{"ü.txt|text/plain|one|", "ü.txt||five|", "b.txt||two|", "b.exe||two|", "||three|", "||four|", "|||uninspectable"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if r.State != scan.Uninspectable || !r.has(scan.Damaged) || !r.has(scan.EmbeddedFile) {
		t.Errorf("%s", r)
	}
}

// TestStop checks that nothing is yielded once the caller has enough.
func TestStop(t *testing.T) {
	content := document("", stream("/Type/EmbeddedFile", []byte("a")), stream("/Type/EmbeddedFile", []byte("b")))
	if n := stopAfterFirst(content); n != 1 {
		t.Errorf("%d members", n)
	}
}
