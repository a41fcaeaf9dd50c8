package message

import (
	"errors"
	"strings"
)

// A Builder puts a Message together from what a milter receives: header fields one by one, then the body in chunks.
// It belongs to one goroutine. Message or Discard ends its life; one of them must be called.
type Builder struct {
	limits   Limits
	head     []byte      // the header section as far as it is known, without the empty line
	marks    []fieldMark // where its fields are
	names    nameCounter
	header   Header // cache of Header, valid while it has as many fields as marks
	body     body
	exceeded error
	spoolErr error // first error of the spool; final
	defects  defects
}

// A fieldMark says where a field lies in the header section. The section's memory moves while it grows.
type fieldMark struct {
	name       string
	start, end int
	nth        int
}

// NewBuilder returns an empty Builder.
func NewBuilder(l Limits) *Builder {
	return &Builder{
		limits: l.withDefaults(),
		head:   make([]byte, 0, 4<<10), // most messages need no more
		marks:  make([]fieldMark, 0, 32),
	}
}

// AddField appends a header field in the form of the milter protocol: value is everything behind the colon as the MTA
// gave it, including the leading blank (SMFIP_HDR_LEADSPC), with LF or CRLF between lines and none at the end.
func (b *Builder) AddField(name string, value []byte) {
	size := len(name) + len(value) + len(":\r\n")
	if !b.admit(size) {
		return
	}
	start := len(b.head)
	b.head = append(b.head, name...)
	b.head = append(b.head, ':')
	var ends lineEnds
	b.head = ends.convert(b.head, value)
	b.head = append(b.head, '\r', '\n')
	b.mark(start, name)
}

// addRaw appends a header field as it is on the wire, final CRLF included. Its first nameLen octets are the name.
func (b *Builder) addRaw(raw []byte, nameLen int) {
	if !b.admit(len(raw)) {
		return
	}
	start := len(b.head)
	b.head = append(b.head, raw...)
	b.mark(start, string(raw[:nameLen]))
}

// admit reports whether a field of so many octets is within the limits, and notes when it is not.
func (b *Builder) admit(size int) bool {
	switch {
	case len(b.marks) >= b.limits.Fields:
		b.exceed(ErrTooManyFields, LimitFields)
	case len(b.head)+size > b.limits.HeaderOctets:
		b.exceed(ErrHeaderTooLarge, LimitHeader)
	default:
		return true
	}
	return false
}

func (b *Builder) exceed(cause error, code string) {
	if !errors.Is(b.exceeded, cause) {
		b.exceeded = errors.Join(b.exceeded, cause)
		b.defects.add(code, "", strings.TrimPrefix(cause.Error(), "message: "))
	}
}

func (b *Builder) mark(start int, name string) {
	name = strings.TrimRight(name, " \t")
	b.marks = append(b.marks, fieldMark{name, start, len(b.head), b.names.next(name)})
}

// Header returns the fields added so far. It stays valid and unchanged whatever is added later.
func (b *Builder) Header() Header {
	if len(b.header) == len(b.marks) {
		return b.header
	}
	h := make(Header, len(b.marks))
	for i, m := range b.marks {
		h[i] = Field{Name: m.name, Raw: b.head[m.start:m.end:m.end], Nth: m.nth}
	}
	b.header = h
	return h
}

// Write appends body octets as they are. An error says that the temporary file could not be written; it is final.
// Octets beyond the limit are taken and not kept: Exceeded says so.
func (b *Builder) Write(p []byte) (int, error) {
	if b.spoolErr != nil {
		return 0, b.spoolErr
	}
	keep := p
	if room := b.limits.BodyOctets - b.body.size; int64(len(p)) > room {
		b.exceed(ErrBodyTooLarge, LimitBody)
		keep = p[:room]
	}
	if len(keep) == 0 {
		return len(p), nil
	}
	b.spoolErr = b.body.append(keep, b.limits.Memory, b.limits.TempDir)
	if b.spoolErr != nil {
		return 0, b.spoolErr
	}
	return len(p), nil
}

// Exceeded returns nil, or an error that wraps every one of ErrTooManyFields, ErrHeaderTooLarge and ErrBodyTooLarge
// that happened. The message then lacks what was beyond the limit.
func (b *Builder) Exceeded() error { return b.exceeded }

// Message indexes what was added and hands it over; the Builder must not be used afterwards. The caller closes the
// message. An error is one of the temporary file, and then everything is already discarded.
func (b *Builder) Message(env Envelope) (*Message, error) {
	b.head = append(b.head, '\r', '\n')
	return b.message(env)
}

// message is Message for a header section that already is complete.
func (b *Builder) message(env Envelope) (*Message, error) {
	if b.spoolErr != nil {
		b.Discard()
		return nil, b.spoolErr
	}
	m := &Message{
		Envelope:   env,
		Header:     b.Header(),
		headerSize: int64(len(b.head)),
		head:       b.head,
		body:       b.body,
		exceeded:   b.exceeded,
	}
	b.body = body{}
	if err := m.index(b.limits, &b.defects); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Discard gives back what the Builder holds. It may be called at any time, also after Message.
func (b *Builder) Discard() {
	b.body.close() // the file has no name and nothing in it is wanted: an error has no consequence
}
