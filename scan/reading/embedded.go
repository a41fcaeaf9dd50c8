package reading

import (
	"bytes"
	"strings"

	"assay/scan/attach"
)

// Programs that search a mail for files take a MIME field wherever it stands, also between the lines of a text, and decode
// what follows, whatever is mixed into it. Lines of a header are quoted as well, in bounces, forwarded mails and digests, so what
// comes to light here is reported only where it is a file beyond doubt (see Doubtful).

const (
	// maxHeld bounds the octets of texts that wait until everything else was read.
	maxHeld = 32 << 20
	// maxPlain bounds how many bodies that are not encoded are yielded: they are in the text that is scanned as a whole.
	maxPlain = 20
	// maxBodies bounds how many bodies are decoded.
	maxBodies = 20000
)

// A quotation is a text from its first line that is a MIME field.
type quotation struct {
	text    []byte
	section string
	depth   int
}

// hold keeps a quotation for later, so that what it has in common with another reading is reported as that.
func (r *reader) hold(q quotation) {
	if r.held+len(q.text) > maxHeld {
		r.embedded(q)
		return
	}
	r.held += len(q.text)
	r.quotations = append(r.quotations, q)
}

// release reads the texts that were kept, and those that these bring to light.
func (r *reader) release() {
	for len(r.quotations) > 0 && !r.stopped {
		q := r.quotations[0]
		r.quotations = r.quotations[1:]
		r.held -= len(q.text)
		r.embedded(q)
	}
}

// embedded reads a text as tolerant reads a message, but takes nothing for encoded that no field says is.
func (r *reader) embedded(q quotation) {
	s := splitter{text: q.text, quotation: true}
	for s.next() && !r.stopped {
		body := q.text[s.start:s.end]
		if r.bodies++; r.bodies > maxBodies {
			r.outOfReach(q.section, "readings")
			return
		}
		give := func(how How, content []byte) {
			r.give(Reading{Section: q.section, How: how, Name: s.name, Content: content, Depth: q.depth}, q.depth)
		}
		if s.base64 {
			for _, content := range embeddedBase64(body) {
				give(Embedded, content)
			}
		}
		if s.uuencode {
			give(Embedded, uuLines(body))
		}
		if looksLikeQP(body) || s.quoted && bytes.IndexByte(body, '=') >= 0 {
			give(Embedded, decode(body, "quoted-printable"))
		}
		if r.plain++; r.plain <= maxPlain {
			give(Quoted, body)
		}
	}
}

// embeddedBase64 returns what a body can be decoded to: as a whole, up to the first empty line, and started anew behind padding.
func embeddedBase64(body []byte) (all [][]byte) {
	pieces := [][]byte{decodeBase64(body)}
	for at, inside := 0, false; at < len(body); {
		line, n := cutLine(body[at:])
		if blank := len(bytes.TrimSpace(line)) == 0; blank && inside {
			pieces = append(pieces, decodeBase64(body[:at]))
			break
		} else if !blank {
			inside = true
		}
		at += n
	}
	for _, content := range append(pieces, restarts(body)...) {
		if sniff(content) != attach.Unknown || isMixed(body) {
			all = append(all, content)
		}
	}
	return all
}

// isMixed reports whether the letters of a text are mixed as in base64. In prose there are few capitals and digits.
func isMixed(text []byte) bool {
	capitals, figures, all := 0, 0, 0
	for _, c := range text {
		if !isBase64Digit(rune(c)) {
			continue
		}
		all++
		switch {
		case c >= 'A' && c <= 'Z':
			capitals++
		case c < 'A': // a digit, + or /
			figures++
		}
	}
	return capitals*10 >= all && figures*33 >= all
}

// Doubtful reports whether a reading is none that a file can be named after: what stands behind MIME fields that a text quotes, and
// has not the form of anything but a text. Virus scanners see it, and nothing else is said of it.
func (r Reading) Doubtful() bool {
	if r.How != Embedded && r.How != Quoted {
		return false
	}
	return isNoFile(sniff(r.Content)) || r.How == Quoted && !bytes.ContainsFunc(r.Content, isBinary)
}

// isNoFile reports whether a media type is that of a text, as it stands in a mail anyway, or of nothing known.
func isNoFile(mediaType string) bool {
	if mediaType == attach.Unknown || mediaType == "message/rfc822" || strings.HasPrefix(mediaType, "text/") {
		return true
	}
	for _, form := range []string{"/xml", "xhtml", "json", "pgp-", "pem-file", "mimearchive"} {
		if strings.Contains(mediaType, form) {
			return true
		}
	}
	return false
}

func sniff(content []byte) string { return attach.Sniff(content[:min(len(content), attach.Window)]) }

// isBinary reports whether an octet is in no text.
func isBinary(c rune) bool {
	return c < ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\f' && c != 0x1b
}
