package message

import "errors"

// Limits bound what a message may cost. The zero value means the documented defaults. Exceeding a limit never fails:
// what lies beyond it is not kept, Exceeded names it, and the message carries a Defect of the limit.* family.
type Limits struct {
	Fields       int    // top-level header fields; default 2,000; all part headers together may have ten times as many
	HeaderOctets int    // octets of the top-level header section, and again of all part headers together; default 1 MiB
	BodyOctets   int64  // octets of the body; default 256 MiB
	Memory       int    // octets of a body kept in memory; a longer one goes to a temporary file; default 1 MiB
	TempDir      string // directory of that file; default is the operating system's
	Depth        int    // nested multiparts and messages; default 20, at most 100
	Parts        int    // parts of the whole tree; default 1,000
	Parameters   int    // parameters of one Content-Type or Content-Disposition field; default 100

	window int // octets of a spooled body in memory at a time; tests make it small
}

// MaxMailboxes is how many mailboxes an Author lists. From fields with more are AuthorSeveral all the same.
const MaxMailboxes = 100

const (
	defaultFields       = 2000
	defaultHeaderOctets = 1 << 20
	defaultBodyOctets   = 256 << 20
	defaultMemory       = 1 << 20
	defaultDepth        = 20
	defaultParts        = 1000
	defaultParameters   = 100
	defaultWindow       = 64 << 10

	// Every line that begins with "--" is compared with the boundary of every open multipart, so the cost of a message
	// grows with this number.
	maxDepth = 100
)

// The limits that make a message incomplete, as Exceeded reports them.
var (
	ErrTooManyFields  = errors.New("message: too many header fields")
	ErrHeaderTooLarge = errors.New("message: header section too large")
	ErrBodyTooLarge   = errors.New("message: body too large")
)

// withDefaults returns l with every unset limit set.
func (l Limits) withDefaults() Limits {
	setDefault(&l.Fields, defaultFields)
	setDefault(&l.HeaderOctets, defaultHeaderOctets)
	setDefault(&l.BodyOctets, defaultBodyOctets)
	setDefault(&l.Memory, defaultMemory)
	setDefault(&l.Depth, defaultDepth)
	setDefault(&l.Parts, defaultParts)
	setDefault(&l.Parameters, defaultParameters)
	setDefault(&l.window, defaultWindow)
	l.Depth = min(l.Depth, maxDepth)
	return l
}

func setDefault[T int | int64](limit *T, value T) {
	if *limit <= 0 {
		*limit = value
	}
}
