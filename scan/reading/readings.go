package reading

import (
	"bytes"
	"hash/maphash"
	"io"
	"iter"
	"path"
	"strings"

	"assay/scan/attach"
	"assay/verify/message"
)

const (
	defaultPartOctets = 64 << 20
	defaultOctets     = 256 << 20
	defaultReadings   = 500
	defaultDepth      = 8
)

// withDefaults returns l with every unset limit set.
func (l Limits) withDefaults() Limits {
	if l.PartOctets <= 0 {
		l.PartOctets = defaultPartOctets
	}
	if l.Octets <= 0 {
		l.Octets = defaultOctets
	}
	if l.Readings <= 0 {
		l.Readings = defaultReadings
	}
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	return l
}

// Readings yields what can be found in m beside its strict reading, which is the Content of its leaves: containers in all
// mail, and in mail with a defect that readers understand differently every content that one of them could see. A
// content that was already seen is not repeated. An error of the message's temporary file ends the part it was in, and is
// yielded as OutOfReach.
func Readings(m *message.Message, l Limits) iter.Seq[Reading] {
	return func(yield func(Reading) bool) {
		r := newReader(l, yield)
		r.message(m, nil, 0)
		r.release()
	}
}

func newReader(l Limits, yield func(Reading) bool) *reader {
	l = l.withDefaults()
	return &reader{limits: l, yield: yield, left: l.Octets, seed: maphash.MakeSeed(), seen: make(map[uint64]sighting)}
}

// A reader makes the readings of one message.
type reader struct {
	limits   Limits
	yield    func(Reading) bool
	stopped  bool // by the receiver, or by a limit
	count    int
	left     int64 // octets of readings
	seed     maphash.Seed
	seen     map[uint64]sighting // by the hash of the content
	exceeded map[string]bool     // limits that were reported

	quotations []quotation // to be read when everything else was
	held       int         // octets of them
	bodies     int         // of quotations that were looked at
	plain      int         // of these, what was yielded as it is
}

// A sighting says as what a content was seen.
type sighting struct{ any, html bool }

// message reads m, which lies in the part with the section *outside, nil for the message that is scanned.
func (r *reader) message(m *message.Message, outside *string, depth int) {
	ambiguous := false
	for _, d := range m.Defects {
		ambiguous = ambiguous || d.Tier() != message.Info && !isContainer(d)
	}
	for p := range m.Root.Leaves() {
		section := p.Section
		if outside != nil {
			section = *outside
		}
		r.leaf(m, p, section, ambiguous, outside != nil, depth)
		if r.stopped {
			return
		}
	}
	if ambiguous {
		r.tolerant(m, outside, depth)
	}
}

// isContainer reports whether a defect is nothing but a file between the lines of a text, which is found without any doubt about
// the rest of the message. To decode its lines as quoted-printable would make a broken file of it.
func isContainer(d message.Defect) bool {
	return d.Code == message.InlineUuencode || d.Code == message.InlineYEnc || d.Code == message.InlineBinHex
}

// leaf reads one leaf; nested says that it is no part of the strict reading.
func (r *reader) leaf(m *message.Message, p *message.Part, section string, ambiguous, nested bool, depth int) {
	encodedParent := isComposite(p.MediaType) && !isIdentity(p.Encoding)
	open := func() io.Reader {
		if encodedParent { // the content of a multipart is never decoded
			return message.Decode(m.Open(message.Range{Start: p.BodyOffset, End: p.End}), p.Encoding)
		}
		return m.Content(p)
	}
	const peek = 4 << 10
	head := make([]byte, peek)
	n, err := io.ReadFull(open(), head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		r.outOfReach(section, "file")
		return
	}
	head = head[:n]
	opens := encodedParent || isText(p) || bytes.HasPrefix(head, []byte(tnefMark)) || isMailFile(p.Filename, p.MediaType, head)
	if !opens && !ambiguous && !nested {
		return
	}
	content, whole, err := r.readAll(open())
	switch {
	case err != nil:
		r.outOfReach(section, "file")
		return
	case !whole:
		r.outOfReach(section, "part")
	}
	if nested && !encodedParent {
		r.give(Reading{Section: section, How: Nested, Name: p.Filename, Content: content, Depth: depth, HTML: isHTML(p.MediaType)}, depth)
		return
	}
	if !encodedParent { // what the strict reading does not decode is new
		r.note(content, isHTML(p.MediaType))
	}
	if ambiguous && p.Encoding == "base64" {
		r.base64(m, p, section, depth)
	}
	switch {
	case p.MediaType == "message/external-body" || p.MediaType == "message/partial": // some readers show what is there
		r.nested(content, section, depth)
	case encodedParent:
		r.give(Reading{Section: section, How: Encoding, Name: p.Filename, Content: content, Depth: depth}, depth)
		r.decoded(p, content, section, depth)
	case opens:
		r.expand(p.Filename, p.MediaType, content, section, depth)
		if isHeadless(p) && looksLikeMail(bytes.TrimLeft(content, "\r\n")) {
			r.nested(bytes.TrimLeft(content, "\r\n"), section, depth)
		}
	}
}

// isHeadless reports whether a part is an attached message that begins with an empty line, which some programs pass over.
func isHeadless(p *message.Part) bool {
	return p.Parent != nil && p.Parent.MediaType == "message/rfc822" && p.BodyOffset-p.Offset <= 2
}

// readAll reads up to the limit, and reports whether that was everything.
func (r *reader) readAll(src io.Reader) (content []byte, whole bool, err error) {
	content, err = io.ReadAll(io.LimitReader(src, r.limits.PartOctets+1))
	if int64(len(content)) > r.limits.PartOctets {
		return content[:r.limits.PartOctets], false, err
	}
	return content, true, err
}

func isComposite(mediaType string) bool {
	return strings.HasPrefix(mediaType, "multipart/") || mediaType == "message/rfc822" || mediaType == "message/global"
}

func isIdentity(encoding string) bool {
	return encoding == "7bit" || encoding == "8bit" || encoding == "binary"
}

// isText reports whether a program could look for containers in the lines of a part.
func isText(p *message.Part) bool {
	return strings.HasPrefix(p.MediaType, "text/") || p.Encoding != "base64" && p.Encoding != "quoted-printable" ||
		p.MediaType == "application/mac-binhex40" || p.MediaType == "application/mac-binhex"
}

// isMailFile reports whether a file is opened as a mail: by its name, or because it is no text and begins with the fields
// of one.
func isMailFile(name, mediaType string, head []byte) bool {
	switch strings.ToLower(path.Ext(strings.TrimRight(name, ". "))) {
	case ".eml", ".mht", ".mhtml", ".nws", ".msg":
		return looksLikeMail(head)
	}
	return !strings.HasPrefix(mediaType, "text/") && !strings.HasPrefix(mediaType, "image/") && looksLikeMail(head)
}

// looksLikeMail reports whether text begins as a mail does: with two fields, one of them of a mail.
func looksLikeMail(text []byte) bool {
	fields, ofMail := 0, false
	for range 50 {
		line, n := cutLine(text)
		text = text[n:]
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && fields > 0 {
			continue
		}
		name, ok := fieldName(line)
		if !ok {
			break
		}
		fields++
		switch strings.ToLower(name) {
		case "from", "received", "return-path", "mime-version", "content-type", "subject", "message-id", "date", "to":
			ofMail = true
		}
	}
	return fields >= 2 && ofMail
}

// fieldName returns the name of the field that a line begins.
func fieldName(line []byte) (string, bool) {
	const longest = 100
	i := bytes.IndexByte(line[:min(len(line), longest)], ':')
	if i <= 0 {
		return "", false
	}
	name := bytes.TrimRight(line[:i], " \t")
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return "", false
		}
	}
	return string(name), len(name) > 0
}

// decoded reads a composite part whose transfer encoding was undone: what it holds stands there in plain.
func (r *reader) decoded(p *message.Part, content []byte, section string, depth int) {
	text := content
	if strings.HasPrefix(p.MediaType, "multipart/") {
		head := []byte("MIME-Version: 1.0\r\n")
		for f := range p.Header.All("Content-Type") {
			head = append(head, f.Raw...)
		}
		text = append(append(head, '\r', '\n'), content...)
	}
	r.nested(text, section, depth)
}

// nested reads a message that lies in a part.
func (r *reader) nested(text []byte, section string, depth int) {
	if r.stopped {
		return
	}
	if depth >= r.limits.Depth {
		r.outOfReach(section, "depth")
		return
	}
	// Nothing goes to a file: the text is in memory already.
	limits := message.Limits{Memory: 2*len(text) + 1, BodyOctets: 2*int64(len(text)) + 1}
	m, err := message.Read(bytes.NewReader(text), message.Envelope{}, limits)
	if err != nil {
		r.outOfReach(section, "file")
		return
	}
	defer m.Close()
	r.message(m, &section, depth+1)
}

// base64 yields the readings of base64 that goes on behind its padding.
func (r *reader) base64(m *message.Message, p *message.Part, section string, depth int) {
	raw, _, err := r.readAll(m.Open(message.Range{Start: p.BodyOffset, End: p.End}))
	if err != nil {
		r.outOfReach(section, "file")
		return
	}
	for _, content := range restarts(raw) {
		r.give(Reading{Section: section, How: Base64, Name: p.Filename, Content: content, Depth: depth}, depth)
	}
}

// give yields a reading, unless its content is known, and then what can be found in it.
func (r *reader) give(reading Reading, depth int) {
	embedded := reading.How == Embedded || reading.How == Quoted // which no program shows as HTML
	reading.HTML = !embedded && (reading.HTML || looksLikeHTML(reading.Name, reading.Content))
	if r.stopped {
		return
	}
	var fresh bool
	if reading.Known, fresh = r.note(reading.Content, reading.HTML); !fresh {
		return
	}
	size := int64(len(reading.Content))
	switch {
	case r.count >= r.limits.Readings:
		r.outOfReach(reading.Section, "readings")
		r.stopped = true
	case size > r.left:
		r.outOfReach(reading.Section, "octets")
		r.stopped = true
	default:
		r.count++
		r.left -= size
		content := reading.Content
		if r.stopped = !r.yield(reading); !r.stopped && !reading.Known {
			r.expand(reading.Name, "", content, reading.Section, depth)
		}
	}
}

// looksLikeHTML reports whether a program would take a content for HTML by its name or by how it begins.
func looksLikeHTML(name string, content []byte) bool {
	switch strings.ToLower(path.Ext(strings.TrimRight(name, ". "))) {
	case ".html", ".htm", ".shtml", ".xhtml", ".xht", ".hta", ".svg":
		return true
	}
	return strings.Contains(attach.Sniff(content[:min(len(content), attach.Window)]), "html")
}

// isHTML reports whether a media type is one of HTML or of what browsers show like it.
func isHTML(mediaType string) bool {
	return strings.Contains(mediaType, "html") || strings.Contains(mediaType, "svg")
}

// note remembers a content and whether it is taken for HTML. It reports whether the content was known before, and whether
// that it is seen now, or what it is seen as, is new. Nothing is new about no content.
func (r *reader) note(content []byte, html bool) (known, fresh bool) {
	sum := maphash.Bytes(r.seed, content)
	before := r.seen[sum]
	r.seen[sum] = sighting{any: true, html: before.html || html}
	return before.any, len(content) > 0 && (!before.any || html && !before.html)
}

// outOfReach reports a limit once.
func (r *reader) outOfReach(section, limit string) {
	if r.stopped || r.exceeded[limit] {
		return
	}
	if r.exceeded == nil {
		r.exceeded = make(map[string]bool)
	}
	r.exceeded[limit] = true
	r.stopped = !r.yield(Reading{Section: section, How: OutOfReach, Name: limit})
}

// expand looks for containers in a content.
func (r *reader) expand(name, mediaType string, content []byte, section string, depth int) {
	switch {
	case r.stopped:
	case bytes.HasPrefix(content, []byte(tnefMark)):
		r.containers(openTNEF(content, r.limits.PartOctets), section, depth)
	case isMailFile(name, mediaType, content):
		r.nested(content, section, depth)
	default:
		r.text(content, section, depth)
		if bytes.Count(content, []byte("\r")) > bytes.Count(content, []byte("\n")) {
			r.bareCR(content, section, depth)
		}
	}
}

// containers yields the files of a container.
func (r *reader) containers(files []container, section string, depth int) {
	if depth >= r.limits.Depth {
		r.outOfReach(section, "depth")
		return
	}
	for _, f := range files {
		inside := depth + 1
		if depth == 0 && f.how != TNEF { // a file between the lines of a text is an attachment like any other
			inside = 0
		}
		r.give(Reading{Section: section, How: f.how, Name: f.name, Content: f.content, Depth: inside, Damaged: f.damaged}, depth+1)
	}
}

// bareCR looks for files between the lines of a text as programs do that end lines at CR as well.
func (r *reader) bareCR(text []byte, section string, depth int) {
	for _, end := range []string{"\r\r\n", "\r\n"} {
		text = bytes.ReplaceAll(text, []byte(end), []byte("\n"))
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		r.text(bytes.ReplaceAll(text, []byte("\r"), []byte("\n")), section, depth)
	}
}

// text looks for files between the lines of a text. Every octet of it is decoded at most once, and behind a MIME field once
// more.
func (r *reader) text(text []byte, section string, depth int) {
	field := -1
	for pos := 0; pos < len(text) && !r.stopped; {
		line, n := cutLine(text[pos:])
		if field < 0 && isSloppyMIMEField(line) && !isQuoted(line) {
			field = pos
		}
		files := r.container(line, text[pos:])
		if len(files) == 0 {
			pos += n
			continue
		}
		r.containers(files, section, depth)
		pos += max(files[len(files)-1].end, n)
	}
	if field >= 0 {
		r.hold(quotation{text: text[field:], section: section, depth: depth})
	}
}

// minRun is how many digits the first line of a run of base64 has. Words are shorter.
const minRun = 40

// container decodes what begins with line, the first of text.
func (r *reader) container(line, text []byte) []container {
	if len(line) < len("begin ") {
		return nil
	}
	var c container
	found := false
	switch line[0] {
	case 'b', 'B':
		if c, found = uuencoded(text, r.limits.PartOctets); found {
			return []container{c}
		}
	case '=':
		if c, found = yEncoded(text, r.limits.PartOctets); found {
			return []container{c}
		}
	case ':':
		if files, found := unmarkedBinHex(text, r.limits.PartOctets); found {
			return files
		}
	case '(', ' ', '\t':
		if files, found := binHexed(text, r.limits.PartOctets); found {
			return files
		}
	}
	if len(line) >= minRun && isBase64Line(line) {
		return base64Runs(text)
	}
	return nil
}

// base64Runs decodes the lines of base64 that text begins with: up to the first other line, and where that is empty and base64
// follows, as if it were not there, since programs pass over it.
func base64Runs(text []byte) []container {
	end, broken := 0, 0 // broken is the end of the lines in front of the first empty one
	for at := 0; at < len(text); {
		line, n := cutLine(text[at:])
		switch {
		case len(line) == 0:
		case isBase64Line(line) && (at == end || len(line)%4 == 0): // a word behind an empty line is none
			if at > end && broken == 0 {
				broken = end
			}
			end = at + n
		default:
			n = len(text)
		}
		at += n
	}
	all := container{how: Raw, content: decodeBase64(text[:end]), end: end}
	if broken == 0 {
		return []container{all}
	}
	return []container{{how: Raw, content: decodeBase64(text[:broken]), end: broken}, all}
}
