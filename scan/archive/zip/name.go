package zip

import (
	"bytes"
	"hash/crc32"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// names returns the names that programs would show for a header: one, or two if the extra field of Info-ZIP has another one.
func (h *header) names() []string {
	plain := decodeName(h.name, h.flags&flagUTF8 != 0)
	unicode := h.unicodeName()
	switch {
	case unicode == "" || unicode == plain:
		return []string{plain}
	case alike(plain, unicode):
		return []string{unicode}
	}
	return []string{plain, unicode}
}

// decodeName decodes a name in UTF-8 or, as it was before that, CP437 (APPNOTE, Appendix D).
func decodeName(name []byte, declared bool) string {
	text := string(name)
	if !utf8.Valid(name) && !declared {
		if decoded, err := charmap.CodePage437.NewDecoder().Bytes(name); err == nil {
			text = string(decoded)
		}
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), `\`, "/")
}

// unicodeName returns the name of the extra field, "" if there is none or it is of another name (APPNOTE 4.6.9).
func (h *header) unicodeName() string {
	if h.unicode == nil || h.unicode[0] != 1 || le.Uint32(h.unicode[1:]) != crc32.ChecksumIEEE(h.name) || !utf8.Valid(h.unicode[5:]) {
		return ""
	}
	return decodeName(h.unicode[5:], true)
}

// alike reports whether two forms of a name differ only where one charset has letters that the other has not: then they
// are one name. Info-ZIP writes "#U00e4", other programs "?" or "_".
func alike(plain, unicode string) bool { return asciiOnly(plain) == asciiOnly(unicode) }

// asciiOnly leaves out what stands for letters beyond ASCII.
func asciiOnly(name string) string {
	var out strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '#' && escape(name[i:]) > 0:
			i += escape(name[i:]) - 1
		case c >= utf8.RuneSelf, c == '?', c == '_':
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// escape returns the length of an escape of Info-ZIP that s begins with: "#U" and four hexadecimal digits, "#L" and six.
func escape(s string) int {
	n := 6
	if strings.HasPrefix(s, "#L") {
		n = 8
	}
	if len(s) < n || s[1] != 'U' && s[1] != 'L' || strings.Trim(s[2:n], "0123456789abcdefABCDEF") != "" {
		return 0
	}
	return n
}

// isFolder reports whether a name is that of a folder.
func isFolder(name []byte) bool {
	return bytes.HasSuffix(name, []byte("/")) || bytes.HasSuffix(name, []byte(`\`))
}

// place is where a name would be unpacked to: two members with the same place overwrite each other.
func place(name string) string { return path.Clean("/" + name) }

// quote shortens a name for a detail.
func quote(name string) string {
	const most = 80
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "..."
	}
	return `"` + name + `"`
}
