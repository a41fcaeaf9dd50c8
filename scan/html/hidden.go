package html

import (
	"bytes"
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"assay/scan"
	"assay/scan/attach"
	readings "assay/scan/reading"
	"assay/verify/message"
)

// sniffed says whether a leaf that is not called HTML is shown as HTML by readers that look at how it begins: text without
// a file name, XML, and what has no type that says anything. It counts only if something in it acts.
func (p *part) sniffed() place {
	xml := strings.HasSuffix(p.MediaType, "/xml") || strings.HasSuffix(p.MediaType, "+xml")
	untyped := p.MediaType == "application/octet-stream" || p.MediaType == "application/unknown" || strings.HasPrefix(p.MediaType, "text/")
	if !xml && (!untyped || strings.Contains(p.Filename, ".")) {
		return nowhere
	}
	head := make([]byte, 1024)
	n, _ := io.ReadFull(p.m.Content(p.Part), head) // an error comes again when the part is read
	head = head[:n]
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		head = decodeCharset(head, "utf-16")
	}
	if p.MediaType == "text/plain" && !beginsDocument(head) { // talk, or a snippet
		return nowhere
	}
	switch kind := attach.Sniff(head); {
	case kind == "image/svg+xml" || xml && strings.Contains(kind, "html"):
		return asXML
	case kind == "text/html" || kind == "application/xhtml+xml":
		return asUnclear
	case xml && bytes.Contains(head, []byte("http://www.w3.org/1999/xhtml")):
		return asXML
	}
	return nowhere
}

// beginsDocument says whether text begins as a whole HTML document does.
func beginsDocument(head []byte) bool {
	head = bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n\f\x00"))
	for _, mark := range []string{"<!doctype html", "<html", "<head", "<body", "<meta", "<?xml", "<svg"} {
		if bytes.HasPrefix(head, []byte(mark)) {
			return true
		}
	}
	return false
}

// otherCharsets looks at a part that declares more than one charset as readers of the others do. When something acts for
// them, the part is written in UTF-8 with that declared.
func (p *part) otherCharsets(src []byte, level scan.Level, r *Result) {
	for _, other := range p.charsets() {
		seen := Clean(src, other, level, p.scanner.Options)
		if !anyActs(seen.Findings) || anyActs(r.Findings) {
			continue
		}
		r.Findings, r.Taken = merge(r.Findings, seen.Findings), merge(r.Taken, seen.Taken)
		if level != scan.Off && r.Charset == "" {
			doc := read(r.Output, p.Params["charset"])
			r.Output, r.Charset, r.Changed = doc.asUTF8(doc.src), "utf-8", true
		}
	}
}

// charsets returns the charsets that the Content-Type fields of a part name beside the one that counts, at most a few.
func (p *part) charsets() []string {
	var others []string
	for f := range p.Header.All("Content-Type") {
		rest := bytes.ToLower(f.Raw[:min(len(f.Raw), 4096)])
		for len(others) < 4 {
			var found bool
			if _, rest, found = bytes.Cut(rest, []byte("charset")); !found {
				break
			}
			value := bytes.TrimLeft(rest, "*0123456789 \t\r\n")
			if value, found = bytes.CutPrefix(value, []byte("=")); !found {
				continue
			}
			value = bytes.TrimLeft(value, " \t\r\n\"")
			if i := bytes.IndexAny(value, " \t\r\n\";,()"); i >= 0 {
				value = value[:i]
			}
			name := string(value[bytes.LastIndexByte(value, '\'')+1:])
			if name != strings.ToLower(p.Params["charset"]) && !slices.Contains(others, name) {
				others = append(others, name)
			}
		}
	}
	return others
}

// acts says whether a kind of finding is what nobody puts into text by chance.
func acts(k scan.Kind) bool {
	switch k {
	case KindScript, KindHandler, KindForm, KindFrame, KindObject, KindRefresh, KindBase, KindURL, KindCSS, KindSVG, KindLimit:
		return true
	}
	return false
}

// anyActs says whether something acts among findings.
func anyActs(findings []scan.Finding) bool {
	return slices.ContainsFunc(findings, func(f scan.Finding) bool { return acts(f.Kind) })
}

// plainlyActs says whether something acts among the findings of XML in which nobody expects HTML: addresses and styles mean
// other things there.
func plainlyActs(findings []scan.Finding) bool {
	return slices.ContainsFunc(findings, func(f scan.Finding) bool {
		return f.Kind == KindScript || f.Kind == KindHandler || f.Kind == KindFrame || f.Kind == KindObject || f.Kind == KindForm
	})
}

// anyRemote says whether something is loaded among findings.
func anyRemote(findings []scan.Finding) bool {
	return slices.ContainsFunc(findings, func(f scan.Finding) bool { return f.Kind == KindRemote })
}

// A concealed part is one in which some readers see HTML that the strict reading has not.
type concealed struct {
	part     *message.Part
	findings []scan.Finding
	links    []scan.Link
	text     []byte // what is shown of it
	files    bool   // TNEF: it holds more than what is shown
	pieces   bool   // it is between the lines of what the strict reading has
}

// concealed looks at the readings beside the strict one (see package reading) for HTML that acts or loads. left is how many
// octets may be inspected.
func (s *Scanner) concealed(ctx context.Context, m *message.Message, report *scan.Report, left int64) {
	if !severalReadings(m) {
		return
	}
	found := make(map[string]*concealed)
	var order []*concealed
	limits := s.Options.Limits.withDefaults()
	for r := range readings.Readings(m, readings.Limits{Octets: 2 * left, PartOctets: left}) {
		if ctx.Err() != nil {
			break
		}
		if !r.HTML || r.How == readings.OutOfReach {
			continue
		}
		if left -= int64(len(r.Content)); left < 0 {
			report.Findings = append(report.Findings, scan.Finding{Kind: KindLimit, Section: r.Section, Detail: "not inspected", Count: 1})
			break
		}
		seen := Clean(r.Content, "", scan.Remote, s.Options)
		if !anyActs(seen.Findings) && !anyRemote(seen.Findings) {
			continue
		}
		c := found[r.Section]
		if c == nil {
			if c = (&concealed{part: partOf(m.Root, r.Section)}); c.part == nil {
				continue
			}
			found[r.Section] = c
			order = append(order, c)
		}
		c.findings, c.links = merge(c.findings, seen.Findings), append(c.links, seen.Links...)
		c.files = c.files || r.How == readings.TNEF
		c.pieces = c.pieces || r.How == readings.Structure
		if len(c.text) < limits.Text {
			c.text = append(c.text, text(r.Content[:min(len(r.Content), limits.Octets)], "", limits.Text)...)
		}
	}
	for _, c := range order {
		s.reportConcealed(c, m, report)
	}
}

// severalReadings says whether readings beside the strict one could show HTML: readers differ about the message, or it has
// a file that is a message or could be one. An everyday mail has neither, and does not pay for them.
func severalReadings(m *message.Message) bool {
	for _, d := range m.Defects {
		if d.Tier() != message.Info {
			return true
		}
	}
	for leaf := range m.Root.Leaves() {
		major, _, _ := strings.Cut(leaf.MediaType, "/")
		if major != "text" && major != "image" && major != "audio" && major != "video" && leaf.MediaType != "application/pdf" || isMailName(leaf.Filename) {
			return true
		}
	}
	return false
}

// isMailName says whether a file name is that of a message.
func isMailName(name string) bool {
	switch strings.ToLower(path.Ext(strings.TrimRight(name, ". "))) {
	case ".eml", ".mht", ".mhtml", ".nws", ".msg":
		return true
	}
	return false
}

// partOf returns the part with a section, the innermost one if several have it.
func partOf(root *message.Part, section string) *message.Part {
	var found *message.Part
	if root.Section == section {
		found = root
	}
	for _, child := range root.Children {
		if p := partOf(child, section); p != nil {
			found = p
		}
	}
	return found
}

// reportConcealed reports what is concealed in a part, unless the part is known to be active anyway, and proposes how to
// make it safe in place of what was proposed before.
func (s *Scanner) reportConcealed(c *concealed, m *message.Message, report *scan.Report) {
	p := part{scanner: s, m: m, Part: c.part, where: asUnclear}
	known := slices.ContainsFunc(report.Findings, func(f scan.Finding) bool { return f.Section == p.Section && acts(f.Kind) })
	if known || !anyActs(c.findings) && slices.ContainsFunc(report.Findings, func(f scan.Finding) bool { return f.Section == p.Section && f.Kind == KindRemote }) {
		return
	}
	p.finding(report, KindHidden, "")
	p.add(report, c.findings, c.links[:min(len(c.links), s.Options.Limits.withDefaults().Links)])
	before := func(scan.Level) (message.Edit, []scan.Finding, bool) { return message.Edit{}, nil, false }
	report.Remedies = slices.DeleteFunc(report.Remedies, func(r scan.Remedy) bool {
		if r.Section == p.Section {
			before = r.Edit
		}
		return r.Section == p.Section
	})
	p.propose(report, func(level scan.Level) (message.Edit, []scan.Finding, bool) {
		switch {
		case level == scan.Off:
			return message.Edit{}, nil, false
		case (level == scan.Active || level == "") && !anyActs(c.findings):
			return before(level)
		}
		return p.reveal(c), p.own(c.findings), true
	})
}

// reveal replaces a part by the text that is concealed in it. Of a multipart with parts, and of TNEF, too much would be
// lost: the edit then is one of a part that cannot be edited, so the message is held back.
func (p *part) reveal(c *concealed) message.Edit {
	if c.files || strings.HasPrefix(p.MediaType, "multipart/") && len(p.Children) > 0 {
		return message.Edit{Part: &message.Part{Section: p.Section, MediaType: p.MediaType, Encoding: p.Encoding}, MediaType: "text/plain", Replace: true}
	}
	shown := c.text
	if strings.HasPrefix(p.MediaType, "text/") {
		if src, err := p.read(); err == nil {
			limit := p.scanner.Options.Limits.withDefaults().Text
			if outer := []byte(text(withoutFiles(src), p.Params["charset"], limit)); c.pieces && p.Encoding != "base64" {
				shown = outer
			} else if p.MediaType != "text/html" {
				shown = append(append(outer, '\n'), shown...)
			}
		}
	}
	return message.Edit{Part: p.Part, MediaType: "text/plain", Replace: true, Content: shown}
}

// withoutFiles returns text up to the first file between its lines.
func withoutFiles(src []byte) []byte {
	for pos := 0; pos < len(src); {
		line := src[pos:]
		n := bytes.IndexByte(line, '\n') + 1
		if n == 0 {
			n = len(line)
		}
		line = bytes.TrimRight(line[:n], "\r\n")
		run := len(line) >= 40 && bytes.IndexFunc(line, func(c rune) bool { return c >= 0x80 || !isBase64(byte(c)) && c != '=' }) < 0
		if run || bytes.HasPrefix(line, []byte("begin ")) || bytes.HasPrefix(line, []byte("=ybegin ")) || bytes.HasPrefix(line, []byte("(This file must be converted")) {
			return src[:pos]
		}
		pos += n
	}
	return src
}
