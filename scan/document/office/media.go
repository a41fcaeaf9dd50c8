package office

import (
	"bytes"
	"encoding/binary"
	"strings"

	"assay/scan/container"
)

// mediaType tells what documents hold besides XML that acts in no way and that nothing else knows: so that an ordinary document is
// not called uninspectable for it. It returns "" for anything else.
func mediaType(f *container.File) string {
	b := f.Content
	if bytes.Contains(b, []byte("PK\x03\x04")) || bytes.Contains(b, []byte("PK\x05\x06")) {
		return "" // an archive in disguise: what is claimed here is not read as a ZIP file
	}
	switch {
	case bytes.HasPrefix(b, []byte("II\xbc\x01")): // ITU-T T.832 Annex A
		return "image/vnd.ms-photo"
	case bytes.HasPrefix(b, []byte("\x01\x00\x09\x00\x00\x03")), bytes.HasPrefix(b, []byte("\x02\x00\x09\x00\x00\x03")): // [MS-WMF] Section 2.3.2.2
		return "image/wmf"
	case bytes.HasPrefix(b, []byte("VCLMTF")): // the metafiles of StarView
		return "image/x-svm"
	case len(b) > 36 && string(b[34:36]) == "LP" && binary.LittleEndian.Uint32(b) == uint32(len(b)): // Embedded OpenType
		return "application/vnd.ms-fontobject"
	case isPrinter(b):
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.printersettings"
	case f.Extension == "odttf" && isObfuscatedFont(b):
		return "application/vnd.openxmlformats-officedocument.obfuscatedfont"
	case f.Name == "layout-cache" && len(b) < 64<<10 && len(b) > 4 && b[1] == 0: // of LibreOffice Writer: where the pages end
		return "application/x-layout-cache"
	}
	return ""
}

// isPrinter reports whether a content is the settings of a printer: DEVMODE in Unicode, as long as it says ([MS-RPRN] Section 2.2.2.1).
func isPrinter(b []byte) bool {
	const fixed = 72
	if len(b) < fixed || len(b) > 1<<20 {
		return false
	}
	version, size, extra := binary.LittleEndian.Uint16(b[64:]), binary.LittleEndian.Uint16(b[68:]), binary.LittleEndian.Uint16(b[70:])
	if version < 0x0300 || version > 0x0600 || int(size) < fixed {
		return false
	}
	rest := len(b) - int(size) - int(extra)
	return rest >= 0 && rest < 8 && b[1] == 0
}

// isObfuscatedFont reports whether a content is a font of a document whose first 32 octets are hidden (ECMA-376 Part 1 Section
// 17.8.1): the directory of tables shows from the third on.
func isObfuscatedFont(b []byte) bool {
	const third, entry = 44, 16
	if len(b) < third+2*entry {
		return false
	}
	for at := third; at < third+2*entry; at += entry {
		for _, c := range b[at : at+4] {
			if c < ' ' || c > '~' {
				return false
			}
		}
		offset, size := binary.BigEndian.Uint32(b[at+8:]), binary.BigEndian.Uint32(b[at+12:])
		if int64(offset)+int64(size) > int64(len(b))+3 {
			return false
		}
	}
	return true
}

// isFontName reports whether a part has the name of a font.
func isFontName(name string) bool {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "ttf", "otf", "woff", "woff2", "ttc":
		return true
	}
	return false
}
