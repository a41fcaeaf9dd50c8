package ole

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// isRemote reports whether a place is on another computer: an address with a scheme, or a network path.
func isRemote(place string) bool {
	p := strings.ToLower(strings.TrimLeft(strings.ReplaceAll(place, `\`, "/"), " \"'"))
	if strings.HasPrefix(p, "//") {
		return len(p) > 2
	}
	scheme, rest, ok := strings.Cut(p, ":")
	if !ok || len(scheme) < 2 || strings.ContainsFunc(scheme, notOfScheme) {
		return false
	}
	if scheme != "file" {
		// What has no slashes may be a path of a Macintosh, or a part of the same mail (cid:).
		return strings.HasPrefix(rest, "//") || strings.HasPrefix(scheme, "ms-") || strings.HasPrefix(scheme, "search") ||
			slices.Contains(schemes[:], scheme)
	}
	// file:///c:/ is here, file://host/ and file:////host/ are not.
	host := strings.TrimLeft(rest, "/")
	slashes := len(rest) - len(host)
	drive := len(host) > 1 && (host[1] == ':' || host[1] == '|')
	return host != "" && !drive && (slashes == 2 || slashes > 3)
}

// schemes are those that lead elsewhere without slashes behind them. The table is never written.
var schemes = [...]string{"http", "https", "ftp", "mhtml", "its", "mk", "script", "javascript", "vbscript", "shell"}

// notOfScheme reports whether a character cannot stand in the scheme of an address (RFC 3986 Section 3.1).
func notOfScheme(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.'
}

// Classes of monikers, as they lie in a file ([MS-OSHARED] 2.3.7).
const (
	urlMoniker  = "\xe0\xc9\xea\x79\xf9\xba\xce\x11\x8c\x82\x00\xaa\x00\x4b\xa9\x0b"
	fileMoniker = "\x03\x03\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
)

// monikers returns the places that the monikers in b name, wherever they stand: composite ones nest, and what comes before
// them differs from format to format.
func monikers(b []byte) []string {
	const most = 8
	var out []string
	for rest := b; len(out) < most; {
		i := bytes.Index(rest, []byte(urlMoniker))
		if i < 0 {
			break
		}
		rest = rest[i+16:]
		if place := urlOf(rest); place != "" {
			out = append(out, place)
		}
	}
	for rest := b; len(out) < most; {
		i := bytes.Index(rest, []byte(fileMoniker))
		if i < 0 {
			break
		}
		rest = rest[i+16:]
		if place := pathOf(rest); place != "" {
			out = append(out, place)
		}
	}
	return out
}

// urlOf reads a URL moniker behind its class ([MS-OSHARED] 2.3.7.6).
func urlOf(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	size := binary.LittleEndian.Uint32(b)
	return fromUTF16(b[4:min(uint64(len(b)), 4+uint64(size), 4+8192)])
}

// pathOf reads a file moniker behind its class: first octets, and mostly the same in UTF-16 ([MS-OSHARED] 2.3.7.8).
func pathOf(b []byte) string {
	if len(b) < 6 {
		return ""
	}
	size := uint64(binary.LittleEndian.Uint32(b[2:]))
	if size > 4096 || 6+size > uint64(len(b)) {
		return ""
	}
	short := string(bytes.TrimRight(b[6:6+size], "\x00"))
	b = b[6+size:]
	const fixed = 24 + 4 // versions and sizes
	if len(b) < fixed+6 || binary.LittleEndian.Uint32(b[24:]) == 0 {
		return short
	}
	size = uint64(binary.LittleEndian.Uint32(b[28:]))
	if size > 8192 || 34+size > uint64(len(b)) {
		return short
	}
	return fromUTF16(b[34 : 34+size])
}
