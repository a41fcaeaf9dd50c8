package html

import (
	"bytes"
	"context"
	"io"
	"path"
	"strings"

	"assay/scan"
	"assay/verify/message"
)

// A Scanner looks at the HTML of a message: bodies and alternatives at any depth, AMP parts, files, calendar entries, and
// all that in forwarded messages. It reports what is in there and proposes, part by part, how to make it safe. The zero
// value is ready.
type Scanner struct {
	Options Options
	Octets  int64 // octets of HTML inspected in one message; default 64 MiB. Further parts have the finding limit.html
}

// A place is where HTML is used.
type place string

const (
	nowhere    place = ""
	asBody     place = "body"     // shown by mail clients
	asAMP      place = "amp"      // shown by some clients, with scripts of its own
	asFile     place = "html"     // saved, then opened by a browser
	asXML      place = "xml"      // SVG and XHTML, which are XML
	asArchive  place = "mhtml"    // a whole mail as a file
	asCalendar place = "calendar" // in properties of a calendar entry
	asUnclear  place = "unclear"  // shown as HTML by some readers only
)

// Scan implements scan.Scanner.
func (s *Scanner) Scan(ctx context.Context, m *message.Message) scan.Report {
	var report scan.Report
	left := s.Octets
	if left <= 0 {
		left = 64 << 20
	}
	for leaf := range m.Root.Leaves() {
		p := part{scanner: s, m: m, Part: leaf, where: placeOf(leaf)}
		if p.where == nowhere {
			p.where = p.sniffed()
			p.doubtful = true
		}
		if p.where == nowhere {
			continue
		}
		size := leaf.End - leaf.BodyOffset
		if left -= size; left < 0 || ctx.Err() != nil {
			p.unread(&report)
			continue
		}
		p.report(&report)
	}
	s.concealed(ctx, m, &report, max(left, 0))
	return report
}

// placeOf says where the HTML of a leaf is used, if it is HTML.
func placeOf(p *message.Part) place {
	ext := strings.TrimPrefix(strings.ToLower(path.Ext(strings.TrimRight(p.Filename, " ."))), ".")
	switch p.MediaType {
	case "text/x-amp-html":
		return asAMP
	case "text/calendar":
		return asCalendar
	case "image/svg+xml", "application/xhtml+xml", "image/svg", "image/svg-xml", "application/vnd.wap.xhtml+xml":
		return asXML
	case "application/x-mimearchive", "message/x-mhtml":
		return asArchive
	}
	switch ext {
	case "mht", "mhtml":
		return asArchive
	case "svg", "xhtml", "xht":
		return asXML
	case "ics":
		return asCalendar
	}
	if p.MediaType == "text/html" && isBody(p) {
		return asBody
	}
	switch ext {
	case "html", "htm", "shtml", "shtm", "htt", "hta":
		return asFile
	}
	if p.MediaType == "text/html" {
		return asFile
	}
	return nowhere
}

// isBody says whether mail clients show a text/html part with the message. Where the clients differ it is a file, which
// is the stricter reading.
func isBody(p *message.Part) bool {
	if p.Disposition == "attachment" {
		return false
	}
	if p.Filename == "" || p.Parent == nil {
		return true
	}
	switch parent := p.Parent; parent.MediaType {
	case "multipart/alternative":
		return true
	case "multipart/related":
		return len(parent.Children) > 0 && parent.Children[0] == p
	default:
		return strings.HasPrefix(parent.MediaType, "message/")
	}
}

// isSigned says whether a part lies under a signature or inside of encryption.
func isSigned(p *message.Part) bool {
	for ; p != nil; p = p.Parent {
		switch p.MediaType {
		case "multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted":
			return true
		}
	}
	return false
}

// A part is one leaf with HTML.
type part struct {
	scanner *Scanner
	m       *message.Message
	*message.Part
	where    place
	doubtful bool // it is not called HTML, so it counts only if something in it acts
}

// read returns the content, one octet more than the limit if it is longer than that.
func (p *part) read() ([]byte, error) {
	limit := p.scanner.Options.Limits.withDefaults().Octets
	return io.ReadAll(io.LimitReader(p.m.Content(p.Part), int64(limit)+1))
}

// unread reports a part that was not looked at. It can be made safe all the same.
func (p *part) unread(report *scan.Report) {
	p.finding(report, KindLimit, "not inspected")
	p.propose(report, p.edit)
}

func (p *part) finding(report *scan.Report, k scan.Kind, detail string) {
	report.Findings = append(report.Findings, scan.Finding{Kind: k, Section: p.Section, Detail: detail, Count: 1})
}

func (p *part) propose(report *scan.Report, edit func(scan.Level) (message.Edit, []scan.Finding, bool)) {
	report.Remedies = append(report.Remedies, scan.Remedy{Section: p.Section, Signed: isSigned(p.Part), Edit: edit})
}

// add appends findings and links of a document of this part.
func (p *part) add(report *scan.Report, findings []scan.Finding, links []scan.Link) {
	for _, f := range findings {
		f.Section = p.Section
		report.Findings = append(report.Findings, f)
	}
	for _, l := range links {
		l.Section = p.Section
		report.Links = append(report.Links, l)
	}
}

// report looks at the part once. What level active makes of it is kept for the remedy.
func (p *part) report(report *scan.Report) {
	src, err := p.read()
	if err != nil {
		p.unread(report)
		return
	}
	active := p.made(src, scan.Active)
	if p.where == asCalendar && !active.html || p.doubtful && !active.ok {
		return
	}
	p.kind(report)
	p.add(report, active.findings, active.links)
	active.findings, active.links = nil, nil
	p.propose(report, func(level scan.Level) (message.Edit, []scan.Finding, bool) {
		if level == scan.Active || level == "" {
			return active.edit, p.own(active.taken), active.ok
		}
		return p.edit(level)
	})
}

// kind reports what sort of part it is.
func (p *part) kind(report *scan.Report) {
	p.finding(report, KindPart, string(p.where))
	switch p.where {
	case asAMP:
		p.finding(report, KindAMP, "")
	case asFile, asXML, asArchive:
		p.finding(report, KindFile, p.MediaType)
	case asCalendar:
		p.finding(report, KindCalendar, "")
	}
}

// edit makes the edit for a level.
func (p *part) edit(level scan.Level) (message.Edit, []scan.Finding, bool) {
	if level == scan.Off {
		return message.Edit{}, nil, false
	}
	src, err := p.read()
	if err != nil {
		return message.Edit{}, nil, false
	}
	made := p.made(src, level)
	return made.edit, p.own(made.taken), made.ok
}

// own puts the section into findings.
func (p *part) own(findings []scan.Finding) []scan.Finding {
	list := make([]scan.Finding, len(findings))
	for i, f := range findings {
		f.Section = p.Section
		list[i] = f
	}
	return list
}

// A made is what a level makes of a part.
type made struct {
	edit     message.Edit
	ok       bool // edit changes something
	html     bool // there is HTML at all
	findings []scan.Finding
	taken    []scan.Finding
	links    []scan.Link
}

// made makes a part safe in the way of its place.
func (p *part) made(src []byte, level scan.Level) made {
	switch p.where {
	case asCalendar:
		return p.calendar(src, level)
	case asXML:
		r := inspectXML(src, p.Params["charset"], level, p.scanner.Options)
		r.Changed = r.Changed && (!p.doubtful || plainlyActs(r.Findings))
		return p.neutralise(src, level, r)
	case asArchive:
		return p.archive(src, level)
	}
	r := Clean(src, p.Params["charset"], level, p.scanner.Options)
	p.otherCharsets(src, level, &r)
	switch {
	case p.where == asFile:
		return p.neutralise(src, level, r)
	case p.where == asUnclear:
		r.Changed = r.Changed && anyActs(r.Findings)
		return p.neutralise(src, level, r)
	case p.where == asAMP:
		r.Changed = true // clients that know AMP run scripts for it: dropped, the text is left for the others
		return p.neutralise(src, level, r)
	}
	x := made{ok: r.Changed, html: true, findings: r.Findings, taken: r.Taken, links: r.Links}
	if !r.Changed {
		return x
	}
	x.edit = message.Edit{Part: p.Part, Content: r.Output}
	switch {
	case level == scan.Text:
		x.edit.MediaType = "text/plain"
	case r.Charset != "":
		x.edit.MediaType = p.MediaType
	}
	return x
}

// neutralise makes a text of a file with active content. A file is not cleaned and given on: who opens it takes it for
// what the sender wrote. A file without active content stays.
func (p *part) neutralise(src []byte, level scan.Level, r Result) made {
	x := made{html: true, findings: r.Findings, links: r.Links}
	if !r.Changed && level != scan.Text {
		return x
	}
	x.ok, x.taken = true, r.Taken
	limits := p.scanner.Options.Limits.withDefaults()
	x.edit = message.Edit{
		Part: p.Part, MediaType: "text/plain", Replace: true,
		Content: []byte(text(src[:min(len(src), limits.Octets)], p.Params["charset"], limits.Text)),
	}
	return x
}

// archive looks into a mail that is a file. HTML in it is treated as a file.
func (p *part) archive(src []byte, level scan.Level) made {
	r := Result{}
	inner, err := message.Read(bytes.NewReader(src), message.Envelope{}, message.Limits{})
	if err != nil {
		r.Findings = []scan.Finding{{Kind: KindLimit, Detail: "not inspected", Count: 1}}
		r.Changed = true
		return p.neutralise(nil, level, r)
	}
	defer inner.Close() //nolint:errcheck // nothing is read from it any more
	var shown []byte
	for leaf := range inner.Root.Leaves() {
		where := placeOf(leaf)
		if where != asBody && where != asFile && where != asXML && where != asAMP {
			continue
		}
		q := part{scanner: p.scanner, m: inner, Part: leaf, where: where}
		content, err := q.read()
		if err != nil {
			r.Changed = true
			continue
		}
		x := q.made(content, level)
		r.Findings, r.Taken, r.Links = merge(r.Findings, x.findings), merge(r.Taken, x.taken), append(r.Links, x.links...)
		r.Changed = r.Changed || x.ok
		if shown == nil {
			shown = []byte(Text(content, leaf.Params["charset"]))
		}
	}
	x := p.neutralise(nil, level, r)
	if x.ok {
		x.edit.Content = shown
	}
	return x
}

// merge adds findings to findings of the same kind.
func merge(list, more []scan.Finding) []scan.Finding {
next:
	for _, f := range more {
		for i := range list {
			if list[i].Kind == f.Kind {
				list[i].Count += f.Count
				continue next
			}
		}
		list = append(list, f)
	}
	return list
}
