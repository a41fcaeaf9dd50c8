package office

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// flatName is the name of the one part of a document in one XML file. No part of a package has it.
const flatName = "*"

// isFlat reports whether a content is a document in one XML file.
func isFlat(content []byte) bool {
	if !looksXML(content) {
		return false
	}
	head := string(content[:min(len(content), 8192)])
	if strings.IndexByte(head[:min(len(head), 64)], 0) >= 0 {
		head = strings.ReplaceAll(head, "\x00", "")
	}
	lower := strings.ToLower(head)
	for _, mark := range []string{
		"schemas.microsoft.com/office/2006/xmlpackage", "schemas.microsoft.com/office/word/2003/wordml", "urn:schemas-microsoft-com:office:spreadsheet",
		"urn:oasis:names:tc:opendocument:xmlns:office", "progid=\"word.document\"", "progid=\"excel.sheet\"", "progid=\"powerpoint.show\"",
		"progid='word.document'", "progid='excel.sheet'", "schemas.microsoft.com/visio/2003", "openoffice.org/2000/office", "schemas.microsoft.com/office/visio",
		"schemas.openxmlformats.org/wordprocessingml", "schemas.openxmlformats.org/spreadsheetml", "schemas.openxmlformats.org/presentationml",
		"purl.oclc.org/ooxml/",
	} {
		if strings.Contains(lower, mark) {
			return !strings.Contains(lower, "<html") || strings.Contains(lower, "progid=")
		}
	}
	return false
}

// flat reads a document in one XML file.
func (d *document) flat() {
	d.form = openXML
	p := part{name: flatName, shown: d.file.Name, content: d.file.Content}
	text, err := decodeXML(p.content, d.budget)
	if err != nil {
		d.failPart("document", err)
		return
	}
	i := inspector{doc: d, part: p}
	info, err := parse(text, false, d.budget, &i)
	i.close()
	if err != nil {
		d.failPart("document", err)
	}
	if info.doctype && !strings.Contains(info.attrs, "openoffice.org/") {
		d.sign(scan.Ambiguous, "a document type declaration")
	}
}

// flatPart judges a part of a package in one file by its name and type.
func (d *document) flatPart(p part) { d.named(p) }

// decodeBase64 decodes what is base64, tolerantly: what belongs to no alphabet is skipped, and what is cut off is read as far as it goes.
func decodeBase64(text []byte) []byte {
	digits := make([]byte, 0, len(text))
	for _, c := range text {
		if isBase64(c) {
			digits = append(digits, c)
		}
	}
	digits = digits[:len(digits)-btoi(len(digits)%4 == 1)]
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, _ := base64.RawStdEncoding.Decode(out, digits) // only bits that are left over can be wrong
	return out[:n]
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// activeMime inflates the form in which Word 2003 XML and HTML have objects and macros: a head that begins with "ActiveMime" and has
// a zlib stream at an offset that varies, commonly 0x32.
func activeMime(content []byte, b *container.Budget) ([]byte, bool) {
	if !bytes.HasPrefix(content, []byte("ActiveMime")) {
		return nil, false
	}
	for at := 10; at < min(len(content)-2, 2048); at++ {
		if content[at] != 0x78 || (int(content[at])<<8|int(content[at+1]))%31 != 0 { // RFC 1950 Section 2.2
			continue
		}
		z, err := zlib.NewReader(bytes.NewReader(content[at:]))
		if err != nil {
			continue
		}
		plain, err := b.ReadAll(z, int64(len(content)))
		if len(plain) > 0 || err == nil {
			return plain, true
		}
	}
	return content, true
}

// mashup returns the package with the queries of Power Query ([MS-QDEFF] Section 2.2): version, length, a ZIP file.
func mashup(content []byte) ([]byte, bool) {
	if len(content) < 12 || string(content[8:10]) != "PK" {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(content[4:])
	if int64(n) > int64(len(content)-8) {
		return nil, false
	}
	return content[8 : 8+n], true
}
