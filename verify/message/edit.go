package message

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// An Edit replaces one part of a message. Every octet outside of edited parts is copied as it was received, and in an
// edited part every header field that the edit does not name.
type Edit struct {
	Part *Part // of the message that is rewritten: a leaf, or a multipart or message that is replaced as a whole
	// MediaType is the new media type, "" to keep the Content-Type field as it is. A text type is written with
	// charset=utf-8, so Content then is UTF-8. Other parameters stay when the type stays, and a file name always.
	MediaType string
	// Replace makes another thing of the part: its Content-Disposition, Content-ID, Content-Description, Content-Location,
	// Content-MD5 and file names go, as when an attachment becomes a notice. Otherwise the part stays what it is, and only
	// its content changes.
	Replace bool
	// Retype changes nothing but the media type of a multipart, which stays a multipart with the same boundary and the same
	// parts: what held a signature becomes a multipart/mixed. Content is not used.
	Retype bool
	// Content is the new content before transfer encoding, which the rewriter chooses. The lines of text end in CRLF
	// afterwards; everything else keeps its octets.
	Content []byte
}

// A FieldChange is one change of the top-level header that goes with a rewritten body.
type FieldChange struct {
	Name  string
	Nth   int    // occurrence among the fields of that name; 0 adds a field
	Value string // new value, folded with LF; "" removes the field
}

// The reasons why an edit cannot be made. An EditError wraps one of them.
var (
	// ErrIncomplete: octets or header fields of the message are beyond a limit and so are not there to be copied.
	ErrIncomplete = errors.New("the message is not there in full")
	// ErrForeignPart: the part is nil or belongs to another message.
	ErrForeignPart = errors.New("the part does not belong to the message")
	// ErrEncodedParent: the part lies in a multipart or message with a transfer encoding (against RFC 2045 Section 6.4),
	// in whose decoded form other readers find other parts.
	ErrEncodedParent = errors.New("the part lies in an encoded multipart or message")
	// ErrMediaType: the media type is not type/subtype, or the part would be, or would remain, a multipart or a message.
	ErrMediaType = errors.New("an edited part is a leaf with a media type")
	// ErrConflict: two edits replace the same part, or two edits change the content of the same part.
	ErrConflict = errors.New("two edits of the same part")
)

// An EditError says which edit cannot be made.
type EditError struct {
	Index   int    // of the edit among those given to Rewrite, -1 from Editable
	Section string // of its part
	Err     error  // wraps one of the sentinels
}

func (e *EditError) Error() string {
	return fmt.Sprintf("message: editing part %q: %v", e.Section, e.Err)
}

// Unwrap returns the reason.
func (e *EditError) Unwrap() error { return e.Err }

// Editable returns nil when part p of m can be edited, and else an EditError with the reason.
func (m *Message) Editable(p *Part) error {
	if err := m.editable(p); err != nil {
		return &EditError{Index: -1, Section: sectionText(p), Err: err}
	}
	return nil
}

func (m *Message) editable(p *Part) error {
	switch {
	case p == nil:
		return ErrForeignPart
	case m.exceeded != nil:
		return ErrIncomplete
	}
	root := p
	for root.Parent != nil {
		root = root.Parent
		if !isIdentity(root.Encoding) {
			return ErrEncodedParent
		}
	}
	switch {
	case root != m.Root:
		return ErrForeignPart
	case p.Parent != nil && !m.headerComplete(p):
		return ErrIncomplete
	}
	return nil
}

func sectionText(p *Part) string {
	if p == nil {
		return ""
	}
	return p.Section
}

// headerComplete reports whether the fields of p are all that stands in its header: those beyond a limit are not kept.
func (m *Message) headerComplete(p *Part) bool {
	n := int64(0)
	for i := range p.Header {
		n += int64(len(p.Header[i].Raw))
	}
	return p.BodyOffset-p.Offset-n <= int64(len("\r\n"))
}

// valid checks what an edit asks for, apart from its part.
func (e *Edit) valid() error {
	if e.Retype {
		return e.validRetype()
	}
	mediaType := e.MediaType
	if mediaType == "" {
		mediaType = e.Part.MediaType
	} else if s := parseStructured(mediaType, true, 1); s.value != strings.ToLower(mediaType) {
		return fmt.Errorf("%w: %q is none", ErrMediaType, mediaType)
	}
	major, _, _ := strings.Cut(strings.ToLower(mediaType), "/")
	if major == "multipart" || major == "message" {
		return fmt.Errorf("%w, not %q", ErrMediaType, mediaType)
	}
	return nil
}

// validRetype checks an edit that only changes the type of a multipart.
func (e *Edit) validRetype() error {
	s := parseStructured(e.MediaType, true, 1)
	if s.value != strings.ToLower(e.MediaType) || !strings.HasPrefix(s.value, "multipart/") || e.Replace ||
		!strings.HasPrefix(e.Part.MediaType, "multipart/") || e.Part.Params["boundary"] == "" {
		return fmt.Errorf("%w: a multipart stays a multipart, not %q", ErrMediaType, e.MediaType)
	}
	return nil
}

// admit checks all edits and returns those that are to be made, in the order of their parts. All that cannot be made are
// in the error.
func (m *Message) admit(edits []Edit) ([]Edit, error) {
	var errs []error
	byPart := make(map[*Part]int, len(edits))
	for i := range edits {
		e := &edits[i]
		err := m.editable(e.Part)
		if err == nil {
			err = e.valid()
		}
		if err == nil {
			other, again := byPart[e.Part]
			switch {
			case !again || e.Replace && !edits[other].Replace:
				byPart[e.Part] = i
			case e.Replace == edits[other].Replace:
				err = ErrConflict
			}
		}
		if err != nil {
			errs = append(errs, &EditError{Index: i, Section: sectionText(e.Part), Err: err})
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	var admitted []Edit
	for p, i := range byPart {
		if !hasAncestor(p, byPart, edits) {
			admitted = append(admitted, edits[i])
		}
	}
	slices.SortFunc(admitted, func(a, b Edit) int { return cmp.Compare(a.Part.Offset, b.Part.Offset) })
	return admitted, nil
}

// hasAncestor reports whether a part above p is replaced as a whole.
func hasAncestor(p *Part, edited map[*Part]int, edits []Edit) bool {
	for p = p.Parent; p != nil; p = p.Parent {
		if i, found := edited[p]; found && !edits[i].Retype {
			return true
		}
	}
	return false
}
