package worker

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/inspect"
)

// A frame is its kind, the length of its body in four octets with the most significant one first, and the body. Contents
// follow their frame as they are.
const (
	headSize = 5
	maxFrame = 8 << 20 // octets of a body
)

// The kinds of frames.
const (
	kindSetup   = 'i' // setup: to the worker, the first one
	kindHello   = 'h' // Status: the answer to it
	kindOrder   = 'j' // order: to the worker, then the content of the file
	kindStop    = 's' // nothing: to the worker, the sink wants no more of this job
	kindContent = 'c' // discovery: from the worker, then the content that came to light
	kindReply   = 'r' // reply: from the worker, the last one of a job
)

// setup is what a worker has to know before it has a sandbox.
type setup struct {
	Memory int64
	CPU    time.Duration // of its whole life
}

// An order is a job without the content.
type order struct {
	Object    scan.Object
	Passwords []string
	Limits    container.Limits
	Size      int64 // of the content that follows
	Sink      bool  // contents are wanted
	CPU       time.Duration
}

// maxContents is how many contents a worker may send for an order, and maxOctets how long they may be altogether. Readers
// count members and octets exactly; what they see twice, such as two readings of the same file, may come to light twice.
func (o *order) maxContents() int { return 2*o.Limits.Members + 64 }
func (o *order) maxOctets() int64 { return 2*o.Limits.Octets + o.Size }

// maxContent is how long one content may be.
func (o *order) maxContent() int64 { return max(o.Limits.Member, o.Size) }

// A discovery announces a content that came to light.
type discovery struct {
	Path string
	Size int64
}

// A reply ends a job.
type reply struct {
	Result   inspect.Result
	Failed   bool
	Error    string // of the engine
	Resident int64  // octets that the worker occupies now
}

// appendFrame appends a frame to out.
func appendFrame(out []byte, kind byte, body any) ([]byte, error) {
	start := len(out)
	out = append(out, kind, 0, 0, 0, 0)
	if body != nil {
		var err error
		if out, err = encode(out, body); err != nil {
			return nil, err
		}
	}
	size := len(out) - start - headSize
	if size > maxFrame {
		return nil, errTooLarge
	}
	binary.BigEndian.PutUint32(out[start+1:], uint32(size))
	return out, nil
}

// readFrame reads the next frame, the body into buffer if it is large enough. io.EOF says that the other side has ended.
func readFrame(r io.Reader, buffer []byte) (kind byte, body []byte, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head[1:]))
	if size > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d octets", errGarbage, size)
	}
	if size > cap(buffer) {
		buffer = make([]byte, size)
	}
	body = buffer[:size]
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, unexpected(err)
	}
	return head[0], body, nil
}

// unexpected makes the end of the stream an error where it must not be.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
