package inspect

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// card reads calendar entries and address cards (RFC 5545, RFC 6350): what they make a program load or start. The HTML in
// them is for web.
type card struct{}

// Reads implements container.Reader.
func (card) Reads(f *container.File) bool {
	switch f.Type {
	case "text/calendar", "text/vcard", "text/x-vcard", "text/directory":
		return true
	}
	switch f.Extension {
	case "ics", "ical", "ifb", "vcs", "vcf", "vcard":
		return true
	}
	return false
}

// Read implements container.Reader.
func (card) Read(f *container.File, _ func(container.Member) bool) container.Verdict {
	v := container.Verdict{State: scan.Inspected}
	for rest := f.Content; len(rest) > 0; {
		if err := f.Budget.Check(); err != nil {
			return container.Limited(err, v.Signs...)
		}
		line, n := unfolded(rest)
		rest = rest[n:]
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			continue
		}
		property, _, _ := strings.Cut(strings.ToUpper(string(name)), ";")
		property = property[strings.LastIndexByte(property, '.')+1:] // groups of cards: item1.URL
		v.Signs = append(v.Signs, acts(property, strings.ToLower(string(bytes.TrimSpace(value))))...)
	}
	v.Signs = v.Signs[:min(len(v.Signs), maxFindings)]
	return v
}

// longestLine bounds how much of a line is looked at.
const longestLine = 4 << 10

// unfolded returns the beginning of a line without its folding (RFC 5545 Section 3.1), and how many octets it has.
func unfolded(text []byte) (line []byte, n int) {
	for n < len(text) {
		end := bytes.IndexByte(text[n:], '\n')
		if end < 0 {
			end = len(text) - n - 1
		}
		piece := bytes.TrimRight(text[n:n+end+1], "\r\n")
		if len(line) > 0 && len(piece) > 0 {
			piece = piece[1:]
		}
		if n += end + 1; len(line) < longestLine {
			line = append(line, piece[:min(len(piece), longestLine)]...)
		}
		if n >= len(text) || text[n] != ' ' && text[n] != '\t' {
			break
		}
	}
	return line, n
}

// acts returns what a property makes a program do. A link over the Web is for a person to follow.
func acts(property, value string) []container.Sign {
	switch {
	case property == "ACTION" && value == "procedure": // RFC 2445 Section 4.8.6.1; RFC 5545 has dropped it
		return []container.Sign{{Trait: scan.Launch, Detail: "an alarm that starts a program"}}
	case strings.HasPrefix(value, "file:"), strings.HasPrefix(value, `\\`), strings.HasPrefix(value, "smb:"), strings.HasPrefix(value, "search-ms:"),
		strings.HasPrefix(value, "ms-"):
		return []container.Sign{{Trait: scan.RemoteObject, Detail: property + " leads to a file or a program"}}
	case strings.HasPrefix(value, "javascript:"), strings.HasPrefix(value, "vbscript:"), strings.HasPrefix(value, "data:text/html"):
		return []container.Sign{{Trait: scan.ActiveHTML, Detail: property + " holds a script"}}
	}
	return nil
}
