package attach

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// maxMembers bounds how many members of a ZIP file are looked at for its type.
const maxMembers = 200

// A zipKind is what the names of the members of a ZIP file tell.
type zipKind struct {
	word, sheet, slides, visio bool // folders of Office Open XML
	types                      bool // [Content_Types].xml
	manifest                   bool // META-INF/MANIFEST.MF
	android                    bool // AndroidManifest.xml, classes.dex
	appx                       bool // AppxManifest.xml
	macros                     bool // vbaProject.bin
}

// sniffZIP tells files that are ZIP files inside by the names of their first members (APPNOTE.TXT Section 4.3.7).
func sniffZIP(head []byte) string {
	var kind zipKind
	for i := range maxMembers {
		m, next, ok := nextMember(head)
		if !ok {
			break
		}
		// OpenDocument and EPUB: the first member is the type, not compressed.
		if i == 0 && m.name == "mimetype" && m.method == 0 && len(m.content) > 0 && len(m.content) < 100 {
			return strings.ToLower(strings.TrimSpace(string(m.content)))
		}
		kind.member(m.name)
		head = head[next:]
	}
	return kind.mediaType()
}

// A member is one member of a ZIP file.
type member struct {
	name    string
	method  uint16
	content []byte // as far as it is in the window and its length is known
}

// nextMember reads the local file header that head begins with, and says where the next one begins.
func nextMember(head []byte) (m member, next int, ok bool) {
	const size = 30
	if len(head) < size || string(head[:4]) != "PK\x03\x04" {
		return m, 0, false
	}
	flags := binary.LittleEndian.Uint16(head[6:])
	compressed := int64(binary.LittleEndian.Uint32(head[18:]))
	nameLen, extraLen := int(binary.LittleEndian.Uint16(head[26:])), int(binary.LittleEndian.Uint16(head[28:]))
	start := size + nameLen + extraLen
	if size+nameLen > len(head) {
		return m, 0, false
	}
	m.name = string(head[size : size+nameLen])
	m.method = binary.LittleEndian.Uint16(head[8:])
	start = min(start, len(head))
	rest := head[start:]
	if flags&8 == 0 && compressed <= int64(len(rest)) {
		m.content = rest[:compressed]
		rest = rest[compressed:]
	}
	i := bytes.Index(rest, []byte("PK\x03\x04"))
	if i < 0 {
		return m, len(head), true
	}
	return m, len(head) - len(rest) + i, true
}

// member takes note of one name.
func (k *zipKind) member(name string) {
	lower := strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
	switch {
	case lower == "[content_types].xml", lower == "_rels/.rels":
		k.types = true
	case lower == "meta-inf/manifest.mf":
		k.manifest = true
	case lower == "androidmanifest.xml", lower == "classes.dex":
		k.android = true
	case lower == "appxmanifest.xml":
		k.appx = true
	}
	folder, file, _ := strings.Cut(lower, "/")
	switch folder {
	case "word":
		k.word = true
	case "xl":
		k.sheet = true
	case "ppt":
		k.slides = true
	case "visio":
		k.visio = true
	}
	k.macros = k.macros || strings.HasSuffix(file, "vbaproject.bin")
}

// mediaType names the type. A document with macros has one of its own.
func (k *zipKind) mediaType() string {
	const openXML = "application/vnd.openxmlformats-officedocument."
	switch {
	case k.android:
		return typeAPK
	case k.appx:
		return "application/appx"
	case k.word && k.types && k.macros:
		return "application/vnd.ms-word.document.macroenabled.12"
	case k.sheet && k.types && k.macros:
		return "application/vnd.ms-excel.sheet.macroenabled.12"
	case k.slides && k.types && k.macros:
		return "application/vnd.ms-powerpoint.presentation.macroenabled.12"
	case k.word && k.types:
		return openXML + "wordprocessingml.document"
	case k.sheet && k.types:
		return openXML + "spreadsheetml.sheet"
	case k.slides && k.types:
		return openXML + "presentationml.presentation"
	case k.visio && k.types:
		return "application/vnd.ms-visio.drawing"
	case k.manifest:
		return typeJava
	case k.types:
		return "application/vnd.openxmlformats-package"
	}
	return typeZIP
}

// oleMarks are names of streams in compound files ([MS-CFB]) that tell what made them. They stand in the directory in
// UTF-16. The table is never written.
var oleMarks = [...]struct{ stream, mediaType string }{
	{"EncryptedPackage", "application/x-ole-encrypted-package"},
	{"WordDocument", "application/msword"},
	{"PowerPoint Document", "application/vnd.ms-powerpoint"},
	{"Workbook", "application/vnd.ms-excel"},
	{"Book", "application/vnd.ms-excel"},
	{"VisioDocument", "application/vnd.visio"},
	{"__properties_version1.0", "application/vnd.ms-outlook"},
	{"__nameid_version1.0", "application/vnd.ms-outlook"},
}

// sniffOLE tells what a compound file is by the directory, as far as that is in the window.
func sniffOLE(head []byte) string {
	if len(head) < 512 {
		return typeOLE
	}
	shift := binary.LittleEndian.Uint16(head[30:])
	first := int64(binary.LittleEndian.Uint32(head[48:]))
	if shift != 9 && shift != 12 {
		return typeOLE
	}
	at := (first + 1) << shift
	if at+128 <= int64(len(head)) && isInstaller(head[at+80:at+96]) {
		return "application/x-msi"
	}
	for i := range oleMarks {
		// A name ends in a zero, and so does not match the beginning of a longer one.
		if bytes.Contains(head, wide(oleMarks[i].stream+"\x00")) {
			return oleMarks[i].mediaType
		}
	}
	return typeOLE
}

// isInstaller reports whether the class of the root storage is that of Windows Installer: packages, patches, transforms.
func isInstaller(class []byte) bool {
	const tail = "\x10\x0c\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
	return (class[0] == 0x84 || class[0] == 0x86 || class[0] == 0x82) && string(class[1:]) == tail
}

// wide returns ASCII as UTF-16.
func wide(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		out = append(out, s[i], 0)
	}
	return out
}
