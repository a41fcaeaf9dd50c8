package smime

import (
	"bytes"
	"fmt"

	"assay/verify/message"
)

// An entity is what was signed, as MIME.
type entity struct {
	m      *message.Message
	part   *message.Part
	prefix string // sections of the objects around it
	own    bool   // m was made from an eContent
}

func (e entity) close() {
	if e.own {
		e.m.Close()
	}
}

// entityOf reads what an object has signed.
func (r *run) entityOf(o *object) (entity, error) {
	if o.form == formDetached {
		return entity{m: o.m, part: o.part.Children[0], prefix: o.prefix}, nil
	}
	env := message.Envelope{ReceivedAt: r.at}
	m, err := message.Read(bytes.NewReader(o.parsed.Signed.Content), env, r.o.Limits.Message)
	if err != nil {
		return entity{}, err
	}
	return entity{m: m, part: m.Root, prefix: o.section() + "/", own: true}, nil
}

// inside looks at what was signed: its copy of the header, and signatures and encryption inside of it (triple wrapping,
// RFC 8551 Section 3.7). What it finds decides about outer, the object around all of it; o is the one right around.
func (r *run) inside(outer *object) { r.descend(outer, outer, 1) }

func (r *run) descend(outer, o *object, depth int) {
	e, err := r.entityOf(o)
	if err != nil {
		outer.decide(Unavailable, "the signed text cannot be read")
		return
	}
	defer e.close()
	r.compareHeader(outer, e.part)
	form := formOf(e.m, e.part)
	if form == formNone {
		r.list(e)
		return
	}
	if depth >= r.o.Limits.Layers {
		outer.decide(Malformed, fmt.Sprintf("more than %d signatures or encryptions inside one another", r.o.Limits.Layers))
		return
	}
	inner := &object{place: place{m: e.m, part: e.part, form: form, prefix: e.prefix}}
	r.checkInner(outer, inner, depth)
}

// checkInner checks an object that is all of what another one signed. Who signed inside is not asked: the outer signer
// vouches for the whole. But mail programs show the layers together, and none as good over one that is not.
func (r *run) checkInner(outer, inner *object, depth int) {
	if why := inner.formError(); why != "" {
		r.layer(inner.section(), "malformed", why)
		outer.innerBroken(inner)
		return
	}
	if !r.open(inner) {
		outer.unsignedInside(inner)
		return
	}
	switch {
	case r.verify(inner):
		outer.flags = addFlag(outer.flags, FlagInnerSigned)
	case inner.state == Altered || inner.state == Malformed:
		outer.innerBroken(inner)
	default:
		outer.flags = addFlag(outer.flags, FlagInnerUnknown)
	}
	r.descend(outer, inner, depth+1)
}

// unsignedInside says what it means that an object inside is no signature that can be verified.
func (o *object) unsignedInside(inner *object) {
	switch inner.state {
	case Encrypted:
		// Anybody can take another's encrypted content and sign it: mail programs do not show such a signature.
		o.partial = "signed from outside over an encrypted content: who wrote that is unknown"
	case Compressed:
		o.flags = addFlag(o.flags, FlagCompressed)
	case Malformed:
		o.innerBroken(inner)
	}
}

// innerBroken says that a signature inside is not good.
func (o *object) innerBroken(inner *object) {
	o.flags = addFlag(o.flags, FlagInnerBroken)
	if o.partial == "" {
		o.partial = "signed over a text whose own signature (part " + inner.section() + ") is not good"
	}
}

// list names the objects among the signed parts. They are covered by the signature like any attachment, so only what they
// are is said.
func (r *run) list(e entity) {
	for _, p := range find(e.m, e.part, e.prefix, max(r.room, 0)) {
		o := &object{place: p}
		if o.formError() == "" {
			r.open(o)
		}
	}
}
