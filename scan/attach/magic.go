package attach

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Media types by content that the rest of the package speaks of.
const (
	Unknown   = "application/octet-stream"
	typeText  = "text/plain"
	typeZIP   = "application/zip"
	typeOLE   = "application/x-ole-storage"
	typeHTML  = "text/html"
	typeXHTML = "application/xhtml+xml"
	typeSVG   = "image/svg+xml"
	typeXML   = "application/xml"
	typeMHTML = "application/x-mimearchive"
	typeMail  = "message/rfc822"
	typeCMS   = "application/pkcs7-mime"
	typePE    = "application/vnd.microsoft.portable-executable"
	typeJava  = "application/java-archive"
	typeAPK   = "application/vnd.android.package-archive"
)

// A magic is octets at a place that tell a type.
type magic struct {
	at        int
	octets    string
	mediaType string
}

// magics are looked at in order. What needs more than octets at a place has a function in sniffers. The table is never
// written.
var magics = [...]magic{
	{0, "%PDF-", "application/pdf"},
	{0, "\x89PNG\r\n\x1a\n", "image/png"},
	{0, "\xff\xd8\xff", "image/jpeg"},
	{0, "GIF87a", "image/gif"},
	{0, "GIF89a", "image/gif"},
	{0, "II*\x00", "image/tiff"},
	{0, "II+\x00", "image/tiff"},
	{0, "MM\x00+", "image/tiff"},
	{0, "MM\x00*", "image/tiff"},
	{0, "\x00\x00\x01\x00", "image/x-icon"},
	{0, "8BPS", "image/vnd.adobe.photoshop"},
	{0, "\xd7\xcd\xc6\x9a", "image/wmf"},
	{40, " EMF", "image/emf"},
	{0, "\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"},
	{0, "\x00\x00\x00\x0cJXL ", "image/jxl"},
	{0, "{\\rt", "application/rtf"},
	{0, "Rar!\x1a\x07", "application/vnd.rar"},
	{0, "7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"},
	{0, "\x1f\x8b", "application/gzip"},
	{0, "BZh", "application/x-bzip2"},
	{0, "\xfd7zXZ\x00", "application/x-xz"},
	{0, "\x28\xb5\x2f\xfd", "application/zstd"},
	{0, "\x04\x22\x4d\x18", "application/x-lz4"},
	{0, "LZIP", "application/x-lzip"},
	{0, "\x1f\x9d", "application/x-compress"},
	{0, "MSCF", "application/vnd.ms-cab-compressed"},
	{0, "ISc(", "application/x-installshield"},
	{257, "ustar", "application/x-tar"},
	{7, "**ACE**", "application/x-ace-compressed"},
	{0, "\x60\xea", "application/x-arj"},
	{2, "-lh", "application/x-lzh-compressed"},
	{0, "xar!", "application/x-xar"},
	{0, "!<arch>\ndebian", "application/vnd.debian.binary-package"},
	{0, "\xed\xab\xee\xdb", "application/x-rpm"},
	{0, "Cr24", "application/x-chrome-extension"},
	{0, "\x7fELF", "application/x-elf"},
	{0, "\xfe\xed\xfa\xce", "application/x-mach-binary"},
	{0, "\xfe\xed\xfa\xcf", "application/x-mach-binary"},
	{0, "\xce\xfa\xed\xfe", "application/x-mach-binary"},
	{0, "\xcf\xfa\xed\xfe", "application/x-mach-binary"},
	{0, "\x00asm", "application/wasm"},
	{0, "dex\n", "application/x-dex"},
	{0, "L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"},
	{0, "ITSF\x03", "application/vnd.ms-htmlhelp"},
	{0, "?_\x03\x00", "application/winhlp"},
	{32769, "CD001", "application/x-iso9660-image"},
	{32769, "BEA01", "application/x-udf-image"},
	{32769, "NSR0", "application/x-udf-image"},
	{0, "conectix", "application/x-vhd"},
	{0, "vhdxfile", "application/x-vhdx"},
	{0, "KDMV", "application/x-vmdk"},
	{0, "QFI\xfb", "application/x-qcow2"},
	{0, "LUKS\xba\xbe", "application/x-luks"},
	{0, "\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5", "application/x-keepass2"},
	{0, "age-encryption.org/v1", "application/x-age-encrypted"},
	{0, "Salted__", "application/x-openssl-encrypted"},
	{0, "\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "application/onenote"},
	{0, "\xa1\x2f\xff\x43\xd9\xef\x76\x4c\x9e\xe2\x10\xea\x57\x22\x76\x5f", "application/onenote"},
	{0, "\x00\x01\x00\x00Standard Jet DB", "application/x-msaccess"},
	{0, "\x00\x01\x00\x00Standard ACE DB", "application/x-msaccess"},
	{0, "SQLite format 3\x00", "application/vnd.sqlite3"},
	{0, "\x78\x9f\x3e\x22", "application/vnd.ms-tnef"},
	{0, "!BDN", "application/vnd.ms-outlook-pst"},
	{0, "%!PS", "application/postscript"},
	{0, "FWS", "application/x-shockwave-flash"},
	{0, "CWS", "application/x-shockwave-flash"},
	{0, "ZWS", "application/x-shockwave-flash"},
	{0, "ID3", "audio/mpeg"},
	{0, "\xff\xfa", "audio/mpeg"},
	{0, "\xff\xfb", "audio/mpeg"},
	{0, "\xff\xf2", "audio/mpeg"},
	{0, "\xff\xf3", "audio/mpeg"},
	{0, "\xff\xf1", "audio/aac"},
	{0, "\xff\xf9", "audio/aac"},
	{0, "OggS", "audio/ogg"},
	{0, "fLaC", "audio/flac"},
	{0, "MThd", "audio/midi"},
	{0, "#!AMR", "audio/amr"},
	{0, "\x1a\x45\xdf\xa3", "video/x-matroska"},
	{0, "\x00\x00\x01\xba", "video/mpeg"},
	{0, "\x00\x00\x01\xb3", "video/mpeg"},
	{0, "FLV\x01", "video/x-flv"},
	{0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"},
	{0, "wOFF", "font/woff"},
	{0, "wOF2", "font/woff2"},
	{0, "OTTO", "font/otf"},
	{0, "ttcf", "font/collection"},
	{0, "\x00\x01\x00\x00\x00", "font/ttf"},
}

// Sniff returns the media type of a file by its beginning, Unknown if nothing tells it. The type is what the programs are
// likely to take it for that people open files with, also where several would be true.
func Sniff(head []byte) string {
	if len(head) == 0 {
		return Unknown
	}
	for _, sniffer := range []func([]byte) string{sniffProgram, sniffContainer, sniffMedia} {
		if t := sniffer(head); t != "" {
			return t
		}
	}
	for i := range magics {
		m := &magics[i]
		if len(head) >= m.at+len(m.octets) && string(head[m.at:m.at+len(m.octets)]) == m.octets {
			return m.mediaType
		}
	}
	if t := sniffASN1(head); t != "" {
		return t
	}
	return sniffText(head)
}

// sniffProgram recognizes programs of Windows, of macOS for several processors, and Java classes.
func sniffProgram(head []byte) string {
	switch {
	case len(head) >= 2 && head[0] == 'M' && head[1] == 'Z':
		return sniffMZ(head)
	case len(head) >= 8 && string(head[:4]) == "\xca\xfe\xba\xbe":
		// A fat Mach-O file has a count of processors here, a class its version, which began at 45.
		if binary.BigEndian.Uint32(head[4:]) < 43 {
			return "application/x-mach-binary"
		}
		return "application/java-vm"
	}
	return ""
}

// sniffMZ tells a program of Windows from one of DOS, and from a text that begins with "MZ".
func sniffMZ(head []byte) string {
	if len(head) >= 64 {
		at := int64(binary.LittleEndian.Uint32(head[60:]))
		if at+4 <= int64(len(head)) && string(head[at:at+4]) == "PE\x00\x00" {
			return typePE
		}
	}
	if !hasBinaryStart(head) {
		return ""
	}
	if len(head) < 64 {
		return "application/x-dosexec"
	}
	return typePE // also NE and LE, and a PE header beyond the window: Windows loads them all
}

// sniffContainer recognizes containers by what they contain.
func sniffContainer(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")), bytes.HasPrefix(head, []byte("PK\x07\x08")):
		return sniffZIP(head)
	case bytes.HasPrefix(head, []byte("PK00PK\x03\x04")):
		return sniffZIP(head[4:])
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return sniffOLE(head)
	case bytes.HasPrefix(head, []byte("RIFF")) && len(head) >= 12:
		return sniffRIFF(string(head[8:12]))
	}
	// Readers of PDF look for the header in the first 1024 octets (ISO 32000-1, Annex H).
	if bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")) && hasPDFStart(head) {
		return "application/pdf"
	}
	return ""
}

// hasPDFStart tells a PDF with something in front of it from a text that mentions one: the header begins a line.
func hasPDFStart(head []byte) bool {
	i := bytes.Index(head, []byte("%PDF-"))
	if i == 0 {
		return true
	}
	digit := i+5 < len(head) && head[i+5] >= '0' && head[i+5] <= '9'
	return digit && (head[i-1] == '\n' || head[i-1] == '\r' || head[i-1] == 0 || head[i-1] >= 0x80)
}

func sniffRIFF(form string) string {
	switch form {
	case "WEBP":
		return "image/webp"
	case "WAVE":
		return "audio/wav"
	case "AVI ":
		return "video/x-msvideo"
	case "ACON":
		return "image/x-ani"
	}
	return ""
}

// sniffMedia recognizes images and films whose mark is weak or has many forms.
func sniffMedia(head []byte) string {
	switch {
	case len(head) >= 26 && head[0] == 'B' && head[1] == 'M' && binary.LittleEndian.Uint32(head[6:]) == 0 && head[15] == 0 && head[16] == 0:
		return "image/bmp"
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		return sniffBrand(string(head[8:12]))
	}
	return ""
}

// sniffBrand tells the files of ISO/IEC 14496-12 by their major brand.
func sniffBrand(brand string) string {
	switch brand {
	case "heic", "heix", "hevc", "mif1", "msf1":
		return "image/heic"
	case "avif", "avis":
		return "image/avif"
	case "qt  ":
		return "video/quicktime"
	case "M4A ", "M4B ":
		return "audio/mp4"
	}
	return "video/mp4"
}

// sniffASN1 recognizes what is written in DER or BER: CMS (RFC 5652), certificates (RFC 5280), PKCS #12 (RFC 7292).
func sniffASN1(head []byte) string {
	body, ok := sequence(head)
	if !ok {
		return ""
	}
	const pkcs7 = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07" // 1.2.840.113549.1.7
	const smime = "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01"
	switch {
	case bytes.HasPrefix(body, []byte(pkcs7)), bytes.HasPrefix(body, []byte(smime)):
		return typeCMS
	case bytes.HasPrefix(body, []byte("\x02\x01\x03\x30")):
		return "application/pkcs12"
	}
	if inner, ok := sequence(body); ok && bytes.HasPrefix(inner, []byte("\xa0\x03\x02\x01")) {
		return "application/pkix-cert"
	}
	return ""
}

// sequence returns what is behind the head of an ASN.1 sequence.
func sequence(b []byte) ([]byte, bool) {
	if len(b) < 4 || b[0] != 0x30 {
		return nil, false
	}
	switch n := int(b[1]); {
	case n <= 0x80: // short, or indefinite
		return b[2:], true
	case n <= 0x84 && len(b) > 2+n-0x80:
		return b[2+n-0x80:], true
	}
	return nil, false
}

// hasBinaryStart reports whether there are control characters at the beginning that no text has.
func hasBinaryStart(head []byte) bool {
	for _, c := range head[:min(len(head), 512)] {
		if isControl(c) {
			return true
		}
	}
	return false
}

// isControl reports whether c is a control character that text does not have. ESC begins a change of the charset in
// ISO-2022.
func isControl(c byte) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b
}

// sniffText tells kinds of text, and text from what is none.
func sniffText(head []byte) string {
	text := asciiOf(head)
	if text == "" {
		return Unknown
	}
	trimmed := strings.TrimLeft(text, " \t\r\n\f")
	for i := range textMarks {
		m := &textMarks[i]
		if len(trimmed) >= len(m.start) && strings.EqualFold(trimmed[:len(m.start)], m.start) {
			return m.mediaType
		}
	}
	switch {
	case strings.HasPrefix(trimmed, "#!") && strings.Contains(trimmed[:min(len(trimmed), 40)], "/"):
		return "text/x-script"
	case strings.HasPrefix(trimmed, "<"):
		return sniffMarkup(trimmed)
	case isMailHeader(trimmed):
		return sniffMail(trimmed)
	}
	return typeText
}

// asciiOf returns the beginning of a text in a form that ASCII can be looked for in, "" if it is no text. Text in UTF-16
// is recognized by its mark, or by every other octet being zero.
func asciiOf(head []byte) string {
	head = head[:min(len(head), 4096)]
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")) && len(head) > 2:
		return narrow(head[2:], 0)
	case bytes.HasPrefix(head, []byte("\xfe\xff")) && len(head) > 2:
		return narrow(head[2:], 1)
	case len(head) >= 8 && head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0 && head[5] == 0 && head[7] == 0:
		return narrow(head, 0)
	case len(head) >= 8 && head[0] == 0 && head[1] != 0 && head[2] == 0 && head[4] == 0 && head[6] == 0:
		return narrow(head, 1)
	}
	if hasBinaryStart(head) {
		return ""
	}
	return string(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
}

// narrow takes the low octets of UTF-16; whatever is not ASCII becomes "?".
func narrow(head []byte, low int) string {
	out := make([]byte, 0, len(head)/2)
	for i := 0; i+1 < len(head); i += 2 {
		c := head[i+low]
		if head[i+1-low] != 0 {
			c = '?'
		}
		if isControl(c) {
			return ""
		}
		out = append(out, c)
	}
	return string(out)
}

// textMarks are the beginnings of kinds of text, compared without regard to case. The table is never written.
var textMarks = [...]struct{ start, mediaType string }{
	{"{\\rt", "application/rtf"},
	{"[InternetShortcut", "application/internet-shortcut"},
	{"[{000214A0-0000-0000-C000-000000000046}]", "application/internet-shortcut"},
	{"[Desktop Entry]", "application/x-desktop"},
	{"[Shell]", "application/x-ms-scf"},
	{"REGEDIT4", "text/x-ms-regedit"},
	{"Windows Registry Editor", "text/x-ms-regedit"},
	{"WEB\r\n1", "text/x-ms-iqy"},
	{"WEB\n1", "text/x-ms-iqy"},
	{"ID;P", "application/x-sylk"},
	{"BEGIN:VCALENDAR", "text/calendar"},
	{"BEGIN:VCARD", "text/vcard"},
	{"-----BEGIN PGP MESSAGE", "application/pgp-encrypted"},
	{"-----BEGIN PGP SIGNED MESSAGE", "text/x-pgp-signed"},
	{"-----BEGIN PGP SIGNATURE", "application/pgp-signature"},
	{"-----BEGIN PGP PUBLIC KEY", "application/pgp-keys"},
	{"-----BEGIN PGP PRIVATE KEY", "application/pgp-keys"},
	{"-----BEGIN AGE ENCRYPTED FILE", "application/x-age-encrypted"},
	{"-----BEGIN PKCS7", "application/x-pem-file"},
	{"-----BEGIN CMS", "application/x-pem-file"},
	{"-----BEGIN ", "application/x-pem-file"},
	{"begin 6", "text/x-uuencode"},
	{"begin 7", "text/x-uuencode"},
}

// htmlMarks are the beginnings by which programs take a text for HTML (WHATWG MIME Sniffing Standard, Section 7.1), and
// more that mail with HTML in it begins with.
var htmlMarks = [...]string{
	"<!doctype html", "<html", "<head", "<script", "<iframe", "<h1", "<h2", "<div", "<font", "<table", "<a", "<style", "<title",
	"<b", "<body", "<br", "<p", "<meta", "<img", "<form", "<center", "<span", "<link", "<base", "<object", "<embed", "<frameset",
}

// sniffMarkup tells kinds of markup by their first element.
func sniffMarkup(text string) string {
	rest, isXML := text, false
	for range 50 {
		rest = strings.TrimLeft(rest, " \t\r\n\f")
		var found bool
		switch {
		case strings.HasPrefix(rest, "<?"):
			isXML = isXML || hasPrefixFold(rest, "<?xml")
			_, rest, found = strings.Cut(rest, ">")
		case strings.HasPrefix(rest, "<!--"):
			_, rest, found = strings.Cut(rest, "-->")
		case hasPrefixFold(rest, "<!doctype svg"):
			return typeSVG
		case hasPrefixFold(rest, "<!doctype") && !hasPrefixFold(rest, "<!doctype html"):
			isXML = true
			_, rest, found = strings.Cut(rest, ">")
		default:
			return sniffElement(rest, isXML)
		}
		if !found {
			break
		}
	}
	if isXML {
		return typeXML
	}
	return typeHTML // a comment alone is HTML to a browser
}

// sniffElement tells kinds of markup by the element they begin with.
func sniffElement(text string, isXML bool) string {
	switch {
	case hasElement(text, "<svg"), hasElement(text, "<svg:svg"):
		return typeSVG
	case hasPrefixFold(text, "<!doctype html") && isXML, hasElement(text, "<html") && isXML:
		return typeXHTML
	case hasElement(text, "<jnlp"):
		return "application/x-java-jnlp-file"
	case hasElement(text, "<libraryDescription"), hasElement(text, "<persistedQuery"), hasElement(text, "<AppInstaller"),
		hasElement(text, "<PCSettings"), hasElement(text, "<scriptlet"), hasElement(text, "<package") && strings.Contains(strings.ToLower(text), "<script"),
		hasElement(text, "<job"):
		return "application/x-ms-active-xml"
	}
	if !isXML {
		for _, mark := range htmlMarks {
			if hasElement(text, mark) {
				return typeHTML
			}
		}
	}
	if isXML || strings.Contains(text[:min(len(text), 300)], "xmlns") {
		return typeXML
	}
	return typeText
}

// hasElement reports whether text begins with a tag, or a declaration, and not with a longer name.
func hasElement(text, tag string) bool {
	if !hasPrefixFold(text, tag) {
		return false
	}
	if len(text) == len(tag) {
		return true
	}
	c := text[len(tag)]
	return c == ' ' || c == '>' || c == '/' || c == '\t' || c == '\r' || c == '\n' || c == '\f'
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// isMailHeader reports whether a text begins with a header field that messages begin with.
func isMailHeader(text string) bool {
	for _, field := range []string{
		"From:", "Received:", "Return-Path:", "MIME-Version:", "Date:", "Message-ID:", "Delivered-To:", "Subject:", "DKIM-Signature:", "X-Mailer:",
	} {
		if hasPrefixFold(text, field) {
			return true
		}
	}
	return false
}

// sniffMail tells an archived web page (RFC 2557) from a message and from a text with a colon in it.
func sniffMail(text string) string {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(lower, "multipart/related"):
		return typeMHTML
	case strings.Contains(lower, "\nmime-version:"), strings.Contains(lower, "\nmessage-id:"), strings.Contains(lower, "\nto:"), strings.Contains(lower, "\nsubject:"),
		strings.HasPrefix(lower, "mime-version:"), strings.HasPrefix(lower, "received:"):
		return typeMail
	}
	return typeText
}
