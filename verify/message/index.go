package message

import (
	"bytes"
	"strings"
)

// index builds the tree of m and collects its defects. It reads the body once, line by line, and compares every line
// that could be a delimiter with the boundaries of all open multiparts: time is linear in the size of the message, and
// memory is bounded by the limits even when the body is in a file.
func (m *Message) index(l Limits, d *defects) error {
	d.checkFields(m.Header, "")
	d.checkSingles(m.Header)
	x := indexer{
		limits:     l,
		defects:    d,
		lines:      lineScanner{body: &m.body, offset: m.headerSize, size: l.window},
		fieldsLeft: 10 * l.Fields,
		octetsLeft: l.HeaderOctets,
	}
	m.Root = &Part{
		Section: sectionOf(nil, strings.HasPrefix(bodyType(m.Header), "multipart/")),
		Header:  m.Header,
	}
	x.part, x.parts = m.Root, 1
	x.describe(m.Root, typeText, l.Parameters)
	x.openBody(m.headerSize)
	for x.lines.next() {
		x.line()
		if x.place != inHeader { // elsewhere an empty line has no meaning
			x.lines.skipEmpty()
		}
	}
	if x.lines.err != nil {
		return x.lines.err
	}
	x.end(m.Size())
	m.Defects = d.list
	return nil
}

// A place says what the line that is read next belongs to.
type place int

const (
	inLeaf     place = iota // the body of part
	inHeader                // the header of part
	inPreamble              // the preamble of part, the innermost open multipart
	inEpilogue              // the epilogue of it
	inExcess                // a part of it beyond the limit, which is not indexed
)

// An indexer walks through a body. Its part is the innermost one that the current line belongs to.
type indexer struct {
	*defects
	limits     Limits
	lines      lineScanner
	part       *Part
	place      place
	open       []multipart // from the outermost to the innermost
	parts      int         // so far
	fieldsLeft int         // of all part headers together
	octetsLeft int         // of all part headers together

	headerStart int64  // of part, while in its header
	headerText  []byte // the header so far, when the body is in a file
	content     contentCheck
}

// A multipart is one whose end has not been reached.
type multipart struct {
	part      *Part
	delimiter []byte // "--" and the boundary
	started   bool   // a delimiter line was seen
	closed    bool   // the closing one was seen
	start     int64  // behind the last delimiter line
}

// line takes the line, or the piece of a long line, that the scanner has read.
func (x *indexer) line() {
	if x.lines.first && len(x.open) > 0 && x.delimiter() {
		return
	}
	for x.place == inHeader {
		if x.headerLine() {
			return
		}
		if x.place == inPreamble && x.lines.first && x.delimiter() { // of a multipart that this line has opened
			return
		}
	}
	line := x.lines.line()
	switch x.place {
	case inLeaf:
		x.content.line(x.defects, x.part, line, x.lines.first)
	case inPreamble:
		if x.lines.first && looksLikeMIMEField(line, false) {
			x.addText(PreambleMIME, x.part.Section, line)
		}
	case inEpilogue:
		if x.lines.first && looksLikeMIMEField(line, false) {
			x.addText(EpilogueMIME, x.part.Section, line)
		}
	}
}

// delimiter takes the line if it is a delimiter of an open multipart, the outermost that it fits (RFC 2046 Section
// 5.1.2: an outer delimiter ends everything inside).
func (x *indexer) delimiter() bool {
	line := x.lines.line()
	if len(line) < 2 || line[0] != '-' || line[1] != '-' {
		if line[0] == ' ' || line[0] == '\t' || line[0] == 0 {
			x.indented(line)
		}
		return false
	}
	line = trimEOL(line)
	garbage := -1
	for i := range x.open {
		c := &x.open[i]
		if !bytes.HasPrefix(line, c.delimiter) {
			continue
		}
		rest := bytes.TrimRight(line[len(c.delimiter):], " \t")
		closing := string(rest) == "--"
		switch {
		case len(rest) > 0 && !closing:
			garbage = i
			continue
		case c.closed:
			x.addText(EpilogueBoundary, c.part.Section, line)
			continue
		case len(c.delimiter)+len(rest) < len(line):
			x.addText(BoundaryBlanks, c.part.Section, line)
		}
		x.delimit(i, closing)
		return true
	}
	if garbage >= 0 {
		x.addText(BoundaryGarbage, x.open[garbage].part.Section, line)
	}
	return false
}

// indented records a line that a tolerant reader takes for a delimiter.
func (x *indexer) indented(line []byte) {
	text := bytes.TrimLeft(line, " \t\x00")
	if !bytes.HasPrefix(text, []byte("--")) {
		return
	}
	for i := range x.open {
		if bytes.HasPrefix(text, x.open[i].delimiter) {
			x.addText(BoundaryIndented, x.open[i].part.Section, line)
		}
	}
}

// delimit ends what is inside multipart i of open, at the CRLF before the current line, and begins what follows it.
func (x *indexer) delimit(i int, closing bool) {
	x.endInside(i, x.lines.start-int64(x.lines.endBefore))
	c := &x.open[i]
	c.started, c.start = true, x.lines.end
	x.part = c.part
	if closing {
		c.closed, c.part.Closed = true, true
		c.part.Epilogue = Range{x.lines.end, x.lines.end}
		x.place = inEpilogue
		return
	}
	x.newPart(c.part, x.lines.end)
}

// newPart begins a part below parent, at offset.
func (x *indexer) newPart(parent *Part, offset int64) {
	if x.parts == x.limits.Parts {
		x.add(LimitParts, "", "more parts than are indexed")
		x.part, x.place = parent, inExcess
		return
	}
	x.parts++
	x.part = &Part{Parent: parent, Offset: offset, BodyOffset: offset}
	x.place = inHeader
	x.headerStart, x.headerText = offset, x.headerText[:0]
}

// headerLine takes a line of the header of part. It reports false when the line belongs to what is behind the header.
func (x *indexer) headerLine() bool {
	if !x.lines.first {
		x.keepHeader()
		return true
	}
	kind, _ := classify(x.lines.line())
	switch {
	case kind == lineField, kind == lineFold && x.lines.start > x.headerStart:
		x.keepHeader()
		return true
	case kind == lineEmpty:
		x.endHeader("")
		x.openBody(x.lines.end)
		return true
	case kind == lineFold:
		x.endHeader(HeaderLeadingBlank)
	default:
		x.endHeader(HeaderNoColon)
	}
	x.openBody(x.lines.start)
	return false
}

// keepHeader copies the line when the body is in a file; from memory the header is cut when it is complete.
func (x *indexer) keepHeader() {
	if x.lines.body.file != nil && len(x.headerText) <= x.octetsLeft {
		x.headerText = append(x.headerText, x.lines.line()...)
	}
}

// endHeader cuts the header of part, which ends before the current line, into fields and describes the part by them.
// The code is that of the defect that ended the header, "" if it has none.
func (x *indexer) endHeader(code string) {
	section := x.headerText
	if x.lines.body.file == nil {
		section = x.lines.body.mem[x.headerStart-x.lines.offset : x.lines.start-x.lines.offset]
	} else {
		section = bytes.Clone(section)
	}
	limited := len(section) > x.octetsLeft
	if limited {
		section = section[:x.octetsLeft]
	}
	x.octetsLeft -= len(section)
	h, complete := parseFields(section, x.fieldsLeft)
	x.fieldsLeft -= len(h)

	p := x.part
	p.Header = h
	fallback := typeText
	if p.Parent.MediaType == "multipart/digest" { // RFC 2046 Section 5.1.5
		fallback = typeRFC822
	}
	p.Section = sectionOf(p.Parent, p.Parent.isMessage() && strings.HasPrefix(bodyType(h), "multipart/"))
	p.Parent.Children = append(p.Parent.Children, p)
	if code != "" {
		x.addText(code, p.Section, x.lines.line())
	}
	if limited {
		x.add(LimitHeader, p.Section, "part headers too large")
	}
	if !complete {
		x.add(LimitFields, p.Section, "too many fields in part headers")
	}
	x.checkFields(h, p.Section)
	x.describe(p, fallback, x.limits.Parameters)
}

// openBody enters the body of part, which begins at offset start.
func (x *indexer) openBody(start int64) {
	p := x.part
	p.BodyOffset = start
	x.place = inLeaf
	boundary, named := p.Params["boundary"]
	switch {
	case p.isMultipart():
		if p.Encoding == encodingBase64 || p.Encoding == encodingQP {
			x.add(MIMEEncodingMultipart, p.Section, quote(p.Encoding))
		}
		if x.admitBoundary(p, boundary) && x.admitDepth(p) {
			x.open = append(x.open, multipart{part: p, delimiter: []byte("--" + strings.TrimRight(boundary, " \t"))})
			x.place = inPreamble
		}
	case named:
		x.add(BoundaryLeaf, p.Section, quote(boundary))
	}
	if p.isMessage() {
		if p.Encoding == encodingBase64 || p.Encoding == encodingQP {
			x.add(MIMEEncodingMessage, p.Section, quote(p.Encoding))
		} else if x.admitDepth(p) {
			x.newPart(p, start)
		}
	}
	if x.place == inLeaf {
		x.openLeaf(p)
	}
}

// admitBoundary reports whether a multipart can be opened, and records what is wrong with its boundary.
func (x *indexer) admitBoundary(p *Part, boundary string) bool {
	trimmed := strings.TrimRight(boundary, " \t") // RFC 2046 Section 5.1.1: it does not end in white space
	if trimmed == "" {
		x.add(BoundaryMissing, p.Section, quote(p.MediaType))
		return false
	}
	if !validBoundary(boundary) {
		x.add(BoundaryInvalid, p.Section, quote(boundary))
	}
	for i := range x.open {
		outer := string(x.open[i].delimiter[len("--"):])
		switch {
		case outer == trimmed:
			x.add(BoundaryReused, p.Section, quote(boundary))
		case strings.HasPrefix(outer, trimmed), strings.HasPrefix(trimmed, outer):
			x.add(BoundaryPrefix, p.Section, quote(boundary))
		}
	}
	return true
}

// validBoundary reports whether boundary is one of RFC 2046 Section 5.1.1. Blanks, which that section allows inside,
// are refused: readers do not agree on them.
func validBoundary(boundary string) bool {
	for i := range len(boundary) {
		c := boundary[i]
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case strings.IndexByte("'()+_,-./:=?", c) >= 0:
		default:
			return false
		}
	}
	return len(boundary) <= 70
}

func (x *indexer) admitDepth(p *Part) bool {
	if p.depth() < x.limits.Depth {
		return true
	}
	x.add(LimitDepth, p.Section, "nested deeper than is indexed")
	return false
}

func (x *indexer) openLeaf(p *Part) {
	switch p.MediaType {
	case "message/partial":
		x.add(MIMEMessagePartial, p.Section, "the content is spread over several mails")
	case "message/external-body":
		x.add(MIMEMessageExternal, p.Section, "the content is elsewhere")
	}
	x.content.begin(p)
}

// endInside ends every part below multipart i of open, at offset end, and drops the multiparts among them.
func (x *indexer) endInside(i int, end int64) {
	c := &x.open[i]
	if x.part == c.part && x.place == inPreamble {
		c.part.Preamble = Range{c.part.BodyOffset, max(end, c.part.BodyOffset)}
	}
	end = max(end, c.start) // a delimiter right behind another one leaves no CRLF between them
	x.endParts(c.part, end)
}

// endParts ends every part from the current one up to, and without, stop.
func (x *indexer) endParts(stop *Part, end int64) {
	switch {
	case x.place == inHeader:
		x.endHeader("")
		x.part.BodyOffset = end
		x.add(HeaderUnended, x.part.Section, "the part is nothing but a header")
	case x.place == inLeaf && x.part != stop:
		x.content.end(x.defects, x.part)
	}
	for p := x.part; p != stop; p = p.Parent {
		p.End = end
		p.BodyOffset = min(p.BodyOffset, end)
		p.Offset = min(p.Offset, end)
		if n := len(x.open) - 1; n >= 0 && x.open[n].part == p {
			x.endMultipart(&x.open[n], end)
			x.open = x.open[:n]
		}
	}
}

// endMultipart fills in what is known of a multipart at its end.
func (x *indexer) endMultipart(c *multipart, end int64) {
	p := c.part
	switch {
	case c.closed:
		p.Epilogue = Range{min(p.Epilogue.Start, end), end}
		if len(p.Children) == 0 {
			x.add(MIMEMultipartEmpty, p.Section, "")
		}
		return
	case c.started:
		x.addText(BoundaryUnclosed, p.Section, c.delimiter)
	default:
		p.Preamble = Range{p.BodyOffset, end}
		x.addText(BoundaryAbsent, p.Section, c.delimiter)
	}
}

// end ends the message, and records what concerns its lines as a whole.
func (x *indexer) end(size int64) {
	x.endParts(nil, size)
	l := &x.lines
	if l.nul {
		x.add(LineNUL, "", "in the body")
	}
	if l.cr > l.crlf {
		x.add(LineBareCR, "", "in the body")
	}
	if l.lf > 0 {
		x.add(LineBareLF, "", "in the body")
	}
	if l.long {
		x.add(LineLong, "", "in the body")
	}
}
