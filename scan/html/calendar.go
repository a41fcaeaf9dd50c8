package html

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"assay/scan"
	"assay/verify/message"
)

// calendar cleans the HTML in the properties of a calendar entry (RFC 5545; X-ALT-DESC of Outlook, STYLED-DESCRIPTION of
// RFC 9073, and any other with FMTTYPE=text/html). Every other line stays as it is.
func (p *part) calendar(src []byte, level scan.Level) made {
	c := calendar{level: level, opt: p.scanner.Options, charset: p.Params["charset"]}
	if doc := read(src, c.charset); doc.convert {
		src, c.charset, c.decoded = doc.src, "utf-8", true
	}
	limit := c.opt.Limits.withDefaults().Octets
	if len(src) > limit {
		c.add(Result{Findings: []scan.Finding{{Kind: KindLimit, Detail: "octets", Count: 1}}})
		src, c.changed = src[:limit], true
	}
	for len(src) > 0 {
		n := logicalLine(src)
		c.line(src[:n])
		src = src[n:]
	}
	x := made{ok: c.changed, html: c.html, findings: c.findings, taken: c.taken, links: c.links}
	if x.ok {
		x.edit = message.Edit{Part: p.Part, Content: c.out}
		if c.decoded {
			x.edit.MediaType = p.MediaType
		}
	}
	return x
}

// A calendar is an entry being cleaned.
type calendar struct {
	level   scan.Level
	opt     Options
	charset string
	decoded bool

	out             []byte
	changed, html   bool
	findings, taken []scan.Finding
	links           []scan.Link
}

// logicalLine returns the octets of the first line with its continuations (RFC 5545 Section 3.1).
func logicalLine(src []byte) int {
	for n := 0; ; {
		i := bytes.IndexByte(src[n:], '\n')
		if i < 0 {
			return len(src)
		}
		if n += i + 1; n >= len(src) || src[n] != ' ' && src[n] != '\t' {
			return n
		}
	}
}

func (c *calendar) add(r Result) {
	c.findings, c.taken, c.links = merge(c.findings, r.Findings), merge(c.taken, r.Taken), append(c.links, r.Links...)
}

// line cleans one property.
func (c *calendar) line(raw []byte) {
	line := unfold(raw)
	colon := valueStart(line)
	if colon < 0 || !isHTMLProperty(line[:colon]) {
		c.out = append(c.out, raw...)
		return
	}
	c.html = true
	name := line[:colon]
	if bytes.HasPrefix(bytes.ToUpper(name), []byte("ATTACH")) || altrep(name) {
		// A file, or a document in an address: clients open it as they like.
		c.add(Result{Findings: []scan.Finding{{Kind: KindURL, Detail: "calendar", Count: 1}}})
		if c.level == scan.Off {
			c.out = append(c.out, raw...)
			return
		}
		c.add(Result{Taken: []scan.Finding{{Kind: KindURL, Detail: "calendar", Count: 1}}})
		c.changed = true
		return
	}
	r := Clean(unescapeText(line[colon+1:]), c.charset, c.level, c.opt)
	c.add(r)
	switch {
	case !r.Changed:
		c.out = append(c.out, raw...)
		return
	case c.level != scan.Text:
		c.out = append(c.out, fold(append(append(bytes.Clone(name), ':'), escapeText(r.Output)...))...)
	}
	c.changed = true
}

// unfold joins the lines of a property.
func unfold(raw []byte) []byte {
	line := bytes.TrimRight(raw, "\r\n")
	for _, end := range []string{"\r\n ", "\r\n\t", "\n ", "\n\t"} {
		line = bytes.ReplaceAll(line, []byte(end), nil)
	}
	return line
}

// valueStart returns the offset of the colon in front of the value, which is not inside of quotation marks.
func valueStart(line []byte) int {
	quoted := false
	for i, b := range line {
		switch {
		case b == '"':
			quoted = !quoted
		case b == ':' && !quoted:
			return i
		}
	}
	return bytes.IndexByte(line, ':')
}

// isHTMLProperty says whether the value of a property is HTML, by its name and parameters.
func isHTMLProperty(name []byte) bool {
	upper := strings.ToUpper(string(name))
	return strings.HasPrefix(upper, "X-ALT-DESC") || strings.Contains(upper, "TEXT/HTML") || strings.Contains(upper, "XHTML") ||
		strings.Contains(upper, "SVG") || altrep(name)
}

// altrep says whether an alternative representation runs code or is a document by itself.
func altrep(name []byte) bool {
	_, v, ok := strings.Cut(strings.ToUpper(string(name)), "ALTREP=")
	if !ok {
		return false
	}
	switch schemeOf([]byte(strings.Trim(v, `"`))) {
	case schemeBad, schemeData, schemeUNC:
		return true
	}
	return false
}

// unescapeText undoes the escapes of a text value (RFC 5545 Section 3.3.11).
func unescapeText(v []byte) []byte {
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			if i++; v[i] == 'n' || v[i] == 'N' {
				out = append(out, '\n')
				continue
			}
		}
		out = append(out, v[i])
	}
	return out
}

// escapeText escapes a text value.
func escapeText(v []byte) []byte {
	out := make([]byte, 0, len(v)+16)
	for _, b := range v {
		switch b {
		case '\r':
		case '\n':
			out = append(out, `\n`...)
		case '\\', ',', ';':
			out = append(out, '\\', b)
		default:
			out = append(out, b)
		}
	}
	return out
}

// fold writes a line so that no line of it is longer than 75 octets (RFC 5545 Section 3.1).
func fold(line []byte) []byte {
	out := make([]byte, 0, len(line)+len(line)/24)
	for room := 75; len(line) > room; room = 74 {
		n := room
		for n > 1 && !utf8.RuneStart(line[n]) {
			n--
		}
		out = append(append(out, line[:n]...), "\r\n "...)
		line = line[n:]
	}
	return append(append(out, line...), "\r\n"...)
}
