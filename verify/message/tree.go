package message

import (
	"iter"
	"strconv"
	"strings"
)

// Leaves yields p, or of the parts below it those, that have no children, in message order.
func (p *Part) Leaves() iter.Seq[*Part] {
	return func(yield func(*Part) bool) { p.leaves(yield) }
}

// leaves goes no deeper than Limits.Depth let the tree become.
func (p *Part) leaves(yield func(*Part) bool) bool {
	if len(p.Children) == 0 {
		return yield(p)
	}
	for _, c := range p.Children {
		if !c.leaves(yield) {
			return false
		}
	}
	return true
}

func (p *Part) isMultipart() bool { return strings.HasPrefix(p.MediaType, "multipart/") }

// isMessage reports whether a part is a message that a tree can go on in.
func (p *Part) isMessage() bool {
	return p.MediaType == typeRFC822 || p.MediaType == "message/global" // RFC 6532 Section 3.7
}

// depth counts the parts above p.
func (p *Part) depth() int {
	n := 0
	for p.Parent != nil {
		p = p.Parent
		n++
	}
	return n
}

// textSection is what the number of a message/rfc822 is followed by when its body is meant, as IMAP says it.
const textSection = "TEXT"

// sectionOf numbers a part as IMAP does (RFC 3501 Section 6.4.5): the parts of a multipart count from 1, and a message
// that is no multipart has a part 1. A multipart that is the body of a message has no number of its own: it is "" at
// the top, and "3.TEXT" inside the message/rfc822 with the number 3.
func sectionOf(parent *Part, multipart bool) string {
	switch {
	case parent == nil && multipart:
		return ""
	case parent == nil:
		return "1"
	case parent.isMultipart():
		prefix := strings.TrimSuffix(parent.Section, textSection)
		if prefix != "" && prefix[len(prefix)-1] != '.' {
			prefix += "."
		}
		return prefix + strconv.Itoa(len(parent.Children)+1)
	case multipart:
		return parent.Section + "." + textSection
	}
	return parent.Section + ".1"
}

// bodyType reads the media type from a header ahead of its description, "" if there is none.
func bodyType(h Header) string {
	for f := range h.All("Content-Type") {
		return parseStructured(unfold(f.Value()), true, 1).value
	}
	return ""
}
