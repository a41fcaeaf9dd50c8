package inspect

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// card reads calendar entries and address cards (RFC 5545, RFC 6350): what they make a program load or start, and the files in
// them. The HTML in them is for web.
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
func (card) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	v := container.Verdict{State: scan.Inspected}
	for rest := f.Content; len(rest) > 0; {
		if err := f.Budget.Check(); err != nil {
			return container.Limited(err, v.Signs...)
		}
		line, n := unfolded(rest)
		whole := rest[:n]
		rest = rest[n:]
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			continue
		}
		property, parameters, _ := strings.Cut(strings.ToUpper(string(name)), ";")
		property = property[strings.LastIndexByte(property, '.')+1:] // groups of cards: item1.URL
		if more, err := filesOf(f, parameters, whole, yield); err != nil || !more {
			return stopped(err, v)
		}
		v.Signs = append(v.Signs, acts(property, strings.ToLower(string(bytes.TrimSpace(value))))...)
	}
	v.Signs = v.Signs[:min(len(v.Signs), maxFindings)]
	return v
}

// filesOf yields the files in one property, which whole is with its name and folding, and reports whether more are wanted.
func filesOf(f *container.File, parameters string, whole []byte, yield func(container.Member) bool) (more bool, err error) {
	_, value, _ := bytes.Cut(whole, []byte(":"))
	more = true
	switch {
	case isBase64Value(parameters):
		return enclosed(f, fileNameOf(parameters), "", decodeBase64(value), yield)
	case hasDataURL(value):
		DataURLs(joined(whole), func(mediaType string, content []byte) bool {
			more, err = enclosed(f, "data", mediaType, content, yield)
			return more
		})
	}
	return more, err
}

// isBase64Value reports whether the parameters of a property say that its value is base64 (RFC 5545 Section 3.2.7, RFC 2426
// Section 2.4.1, vCard 2.1).
func isBase64Value(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		switch strings.ReplaceAll(strings.ReplaceAll(p, " ", ""), `"`, "") {
		case "ENCODING=BASE64", "ENCODING=B", "BASE64", "B", "VALUE=BINARY":
			return true
		}
	}
	return false
}

// hasDataURL reports whether a value is an address with a file in it.
func hasDataURL(value []byte) bool {
	value = bytes.TrimSpace(value)
	return len(value) > len("data:") && strings.EqualFold(string(value[:len("data:")]), "data:")
}

// fileNameOf returns the name that a calendar program saves an attachment under.
func fileNameOf(parameters string) string {
	for p := range strings.SplitSeq(parameters, ";") {
		for _, key := range []string{"X-FILENAME=", "FILENAME=", "X-APPLE-FILENAME="} {
			if value, found := strings.CutPrefix(p, key); found {
				return strings.ToLower(strings.Trim(value, `"`))
			}
		}
	}
	return "data"
}

// stopped is the verdict of a reader that could not yield everything.
func stopped(err error, v container.Verdict) container.Verdict {
	if err != nil {
		return container.Limited(err, v.Signs...)
	}
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

// joined returns the lines of one property without their folding.
func joined(whole []byte) []byte {
	for _, fold := range []string{"\n ", "\n\t"} {
		whole = bytes.ReplaceAll(whole, []byte("\r"+fold), nil)
		whole = bytes.ReplaceAll(whole, []byte(fold), nil)
	}
	return whole
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
