package envelope

import (
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"errors"

	"assay/verify/smime/cms"
)

// maxHolders is how many recipients of one object there may be keys for, and how many private keys For uses.
const maxHolders = 32

// maxTries is how many private keys are used to open one object: an object that names the same recipient again and again must not
// cost more than an honest one, and has nothing more to offer.
const maxTries = 4

// Fits reports whether an object is for one of the keys, as far as can be told without using any.
func (k *Keys) Fits(o *cms.Object) bool {
	e, err := parseObject(o)
	return err == nil && len(k.candidates(e)) > 0
}

// Open opens an object with whatever key fits. The memory it takes is twice the content. An error wraps one of ErrNoKey,
// ErrUnsupported, ErrSyntax and ErrClosed.
func (k *Keys) Open(o *cms.Object) (*Opened, error) {
	e, err := parseObject(o)
	if err != nil {
		return nil, err
	}
	candidates := k.candidates(e)
	if len(candidates) == 0 {
		return nil, e.closedTo()
	}
	if cms.KindOf(e.inner) != cms.Data {
		return nil, unsupported("a content that is not MIME")
	}
	s, err := e.content()
	if err != nil {
		return nil, err
	}
	var cause error
	for n, c := range candidates[:min(len(candidates), maxTries)] {
		opened, err := c.open(s)
		if err == nil {
			opened.hold(candidates, n)
			return opened, nil
		}
		if cause == nil || errors.Is(err, ErrClosed) {
			cause = err
		}
	}
	return nil, cause
}

// parseObject reads an object of the kinds that can be opened.
func parseObject(o *cms.Object) (*envelope, error) {
	if o == nil || o.Encryption == nil || o.Kind != cms.Enveloped && o.Kind != cms.AuthEnveloped {
		return nil, unsupported("an object that is not for recipients")
	}
	return parse(o.Encryption.DER, o.Kind == cms.AuthEnveloped)
}

// closedTo is why an object is for none of the keys.
func (e *envelope) closedTo() error {
	for _, i := range e.recipients {
		if i.kind != keyTransport && i.kind != keyAgreement {
			return unsupported("encrypted with " + string(i.kind))
		}
	}
	return ErrNoKey
}

// A candidate is a recipient of the message for whom there is a key.
type candidate struct {
	info      *info
	recipient *recipient
}

// candidates returns the recipients that there are keys for, in the order of the message, but no more than maxHolders.
func (k *Keys) candidates(e *envelope) []candidate {
	if k == nil {
		return nil
	}
	var found []candidate
	for n := range e.recipients {
		i := &e.recipients[n]
		for _, r := range k.byID[identifier(i.id)] {
			usable := i.kind == keyTransport && r.rsa != nil || i.kind == keyAgreement && r.ecdh != nil
			if usable && len(found) < maxHolders {
				found = append(found, candidate{i, r})
			}
		}
	}
	return found
}

// identifier is the key of an identifier in Keys. Of no identifier it is that of no certificate.
func identifier(id cms.SignerID) string {
	if id.Serial == nil {
		return "key " + string(id.SubjectKeyID)
	}
	return "serial " + id.Serial.String() + " " + string(id.Issuer)
}

// open opens the content with the key of one recipient. A key of the content that cannot be had is replaced by a random one,
// which then does not open the content: from outside, both are the same.
func (c candidate) open(s *sealed) (*Opened, error) {
	key, name, err := c.contentKey(s.cipher.size)
	if err != nil {
		return nil, err
	}
	content, ok := s.open(key)
	if !ok {
		return nil, ErrClosed
	}
	return &Opened{
		Content: content, Algorithm: s.cipher.name, KeyAlgorithm: name, Authenticated: s.cipher.mode == modeGCM, Legacy: s.cipher.old,
		key: key,
	}, nil
}

// contentKey returns the key of the content, of so many octets, or a random one, and the name of the algorithm. The error is
// about algorithms only.
func (c candidate) contentKey(size int) (key []byte, name string, err error) {
	key = make([]byte, size)
	if _, err := rand.Read(key); err != nil {
		return nil, "", ErrClosed
	}
	if c.info.kind == keyTransport {
		name, err = transport(c.info, c.recipient.rsa, key)
	} else {
		name, err = agree(c.info, c.recipient.ecdh, key)
	}
	return key, name, err
}

// hold keeps for whom the object is, of whom the one with this index has opened it.
func (o *Opened) hold(all []candidate, opened int) {
	for n, c := range all {
		o.holders = append(o.holders, holder{c, n == opened, n == opened})
	}
}

// For reports whether the content is encrypted for somebody with a certificate that is accepted, too: that a key which is known
// here opens it. It is not enough that the object names him. Whoever has got hold of somebody else's encrypted mail can send it
// to himself, and put his own name into it, but not with the key of the content. For is not safe for concurrent use.
func (o *Opened) For(accept func(*x509.Certificate) bool) bool {
	for n := range o.holders {
		h := &o.holders[n]
		if !accept(h.recipient.certificate) {
			continue
		}
		if !h.asked {
			key, _, err := h.contentKey(len(o.key))
			h.asked, h.opens = true, err == nil && subtle.ConstantTimeCompare(key, o.key) == 1
		}
		if h.opens {
			return true
		}
	}
	return false
}
