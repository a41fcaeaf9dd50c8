package smime

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"assay/verify/message"
)

// ambiguity returns why readers may not agree on what the part is, in words, "" if they do. The header of a signed
// multipart is not signed: whoever can make readers take another boundary can show another text under the signature.
func ambiguity(m *message.Message, p *message.Part) string {
	if err := m.Exceeded(); err != nil {
		return "the message is too large to be checked"
	}
	folded, comment := false, false
	for _, d := range m.Defects {
		switch d.Code {
		case message.LimitDefects:
			return "the message has too many defects to be checked"
		case message.LimitParts:
			return "the message has too many parts to be checked"
		}
		if d.Section != p.Section {
			continue
		}
		switch d.Code {
		case message.MIMEFieldDuplicate, message.MIMEParamDuplicate, message.MIMEParamRepeated:
			return "a MIME header field or parameter is there twice: readers do not agree on which one counts"
		case message.MIMEParamExtended, message.MIMEParamEncodedWord:
			return "a MIME parameter is encoded in a way that readers do not agree on"
		case message.MIMETypeInvalid, message.MIMEParamInvalid, message.LimitParameters, message.HeaderFoldMIME:
			return "the Content-Type is not well-formed: readers do not agree on what it means"
		case message.MIMEEncodingMultipart:
			return "the signed multipart has a transfer encoding: readers do not agree on its parts"
		case message.LimitDepth:
			return "the message is nested too deeply to be checked"
		case message.BoundaryReused:
			return "the boundary is that of another multipart around it"
		case message.EpilogueBoundary, message.EpilogueMIME:
			return "there are parts behind the end of the signed multipart"
		case message.MIMEFieldFolded:
			folded = true
		case message.MIMEFieldComment:
			comment = true
		}
	}
	if comment && hidesType(p) {
		return "the Content-Type has a comment that readers do not agree on"
	}
	if p.MediaType == "multipart/signed" {
		return boundaryDoubts(p, folded, comment)
	}
	return ""
}

// headerDoubt returns why readers may not agree on the fields of the message itself, which nobody signed, "" if they do. A
// field that only some readers see can give the whole body another type, or name another author.
func headerDoubt(m *message.Message) string {
	for _, d := range m.Defects {
		if d.Section != "" {
			continue
		}
		switch d.Code {
		case message.HeaderBareCR:
			return "the header has CR without LF: readers do not agree on its fields"
		case message.HeaderFoldBlank:
			return "the header has a line of nothing but blanks: readers do not agree on where it ends"
		case message.HeaderNUL:
			return "the header has NUL: readers do not agree on its fields"
		case message.HeaderNoColon, message.HeaderLeadingBlank, message.HeaderFoldInvalid:
			return "the header has a line that is no field: readers do not agree on where it ends"
		case message.HeaderNameBlank, message.HeaderNameInvalid:
			return "the header has a field whose name is not well-formed: readers do not agree on its fields"
		case message.HeaderFoldMIME:
			return "the header has a folded line that looks like a field of its own: readers do not agree on its fields"
		case message.LimitFields, message.LimitHeader:
			return "the header is too large to be checked"
		}
	}
	return ""
}

// hidesType reports whether a comment stands before the end of the media type: readers that know no comments take another
// type from it, or none.
func hidesType(p *message.Part) bool {
	for f := range p.Header.All("Content-Type") {
		mediaType, _, _ := strings.Cut(string(f.Value()), ";")
		if before, _, found := strings.Cut(mediaType, "("); found && !strings.EqualFold(strings.TrimSpace(before), p.MediaType) {
			return true
		}
	}
	return false
}

// malformedForm returns what is wrong with a multipart/signed (RFC 1847 Section 2.1), "" if nothing is.
func malformedForm(m *message.Message, p *message.Part) string {
	if why := ambiguity(m, p); why != "" {
		return why
	}
	switch n := len(p.Children); {
	case !p.Closed:
		return "the signed multipart has no end"
	case n < 2:
		return "the signed multipart has no signature"
	case n > 2:
		return fmt.Sprintf("the signed multipart has %d parts instead of 2", n)
	}
	if !isSignature(m, p.Children[1]) {
		return "the second part of the signed multipart is no signature"
	}
	if hidesBoundary(m, p) {
		return "the boundary of the signed multipart stands inside of the signature: readers do not agree on the parts"
	}
	return ""
}

// boundaryDoubts says why readers may not take the same boundary from the Content-Type, "" if they do.
func boundaryDoubts(p *message.Part, folded, comment bool) string {
	boundary := p.Params["boundary"]
	for _, c := range []byte(boundary) {
		if c < ' ' || c > '~' || c == '\\' || c == '"' {
			return "the boundary has characters that readers do not agree on"
		}
	}
	if folded && strings.ContainsAny(boundary, " \t") {
		return "the boundary is folded: readers do not agree on it"
	}
	if !comment {
		return ""
	}
	for f := range p.Header.All("Content-Type") {
		before, after, found := strings.Cut(strings.ToLower(string(f.Value())), "boundary")
		comments := before[:strings.LastIndexByte(before, ')')+1]
		if !found || strings.ContainsAny(comments, "\"\\;=") || strings.ContainsAny(after, "()") || strings.Contains(after, "boundary") {
			return "the Content-Type has a comment that readers do not agree on"
		}
	}
	return ""
}

// hidesBoundary reports whether the signature, which has room for what nobody signed, holds the boundary in any form that
// some reader could take for a delimiter: indented, with more behind it, or after a bare CR.
func hidesBoundary(m *message.Message, p *message.Part) bool {
	delimiter := []byte("--" + strings.TrimRight(p.Params["boundary"], " \t"))
	signature := p.Children[1]
	reader := m.Open(message.Range{Start: signature.Offset, End: signature.End})
	buf := make([]byte, 0, 16<<10+len(delimiter))
	for {
		n, err := io.ReadFull(reader, buf[len(buf):len(buf)+16<<10])
		buf = buf[:len(buf)+n]
		if bytes.Contains(buf, delimiter) {
			return true
		}
		if err != nil {
			return false
		}
		keep := min(len(buf), len(delimiter)-1)
		buf = buf[:copy(buf, buf[len(buf)-keep:])]
	}
}

// oddities are flags for what is unusual about the form and does no harm.
func oddities(m *message.Message, p *message.Part) []string {
	var flags []string
	for _, d := range m.Defects {
		if d.Section != p.Section && (d.Code != message.BoundaryPrefix || d.Section != p.Children[0].Section) {
			continue
		}
		switch d.Code {
		case message.BoundaryPrefix, message.BoundaryGarbage, message.BoundaryIndented, message.BoundaryInvalid:
			flags = addFlag(flags, FlagBoundary)
		case message.MIMEFieldRepeated, message.MIMEFieldComment, message.MIMEParamBlank:
			flags = addFlag(flags, FlagContentType)
		}
	}
	return flags
}

// encodingOddities is a flag for text that nobody signed and that decoders pass over, in the part with the CMS object.
func encodingOddities(m *message.Message, p *message.Part) []string {
	for _, d := range m.Defects {
		if d.Section == p.Section && (d.Code == message.Base64Junk || d.Code == message.Base64Padding) {
			return []string{FlagEncoding}
		}
	}
	return nil
}

// addFlag adds a flag that is not there yet.
func addFlag(flags []string, names ...string) []string {
	for _, name := range names {
		if !slices.Contains(flags, name) {
			flags = append(flags, name)
		}
	}
	return flags
}

// maxOutside is how much text before the first or behind the last delimiter is enough to know that it is no note.
const maxOutside = 400

// knownPreambles are what programs write for readers that know no MIME, as letters has it.
func knownPreambles() []string {
	return []string{
		"thisisansmimesignedmessage",                        // OpenSSL
		"thisisacryptographicallysignedmessageinmimeformat", // Thunderbird
		"thisisamultipartmessageinmimeformat",               // Outlook and others
		"thisisamimeencapsulatedmessage",                    // Sendmail
		"thisisamimeformattedmessage",
	}
}

// outside looks at what a signed multipart has outside of its parts, which nobody signed. partial says that there is
// text, flag that there is a note of the sender's program.
func outside(m *message.Message, p *message.Part) (partial string, flags []string) {
	if text := visible(m, p.Epilogue); text != "" {
		return "there is text behind the signed part that nobody signed", []string{FlagEpilogue}
	}
	text := visible(m, p.Preamble)
	switch {
	case text == "" || slices.Contains(knownPreambles(), letters(text)):
		return "", nil
	case isNote(text):
		return "", []string{FlagPreamble}
	}
	return "there is text before the signed part that nobody signed", []string{FlagPreamble}
}

// isNote reports whether a preamble is a short note about the format: programs write it in the language of their user. It
// names MIME and nothing that a reader could follow or pay.
func isNote(text string) bool {
	return len(text) <= 120 && strings.Contains(strings.ToUpper(text), "MIME") && !strings.ContainsAny(text, ":@<>=&%$0123456789") && !strings.Contains(text, "--")
}

// visible returns the beginning of the text of a range, with single blanks between words.
func visible(m *message.Message, r message.Range) string {
	if r.End <= r.Start {
		return ""
	}
	reader := m.Open(r)
	var chunk [4 << 10]byte
	var text []byte
	gap := false
	for len(text) < maxOutside {
		n, err := reader.Read(chunk[:])
		for _, b := range chunk[:n] {
			if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
				gap = len(text) > 0
				continue
			}
			if gap {
				text = append(text, ' ')
			}
			text, gap = append(text, b), false
		}
		if err != nil {
			break
		}
	}
	return string(text)
}

// letters returns a text without ASCII punctuation and blanks, in lower case.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r < utf8.RuneSelf:
			return -1
		}
		return r
	}, text)
}
