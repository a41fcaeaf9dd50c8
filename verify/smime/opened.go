package smime

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"assay/verify/message"
	"assay/verify/smime/cms"
	"assay/verify/smime/envelope"
	"assay/verify/smime/pki"
)

// An Opening is what became of a message that was encrypted as a whole and that a key of the gateway has opened.
type Opening struct {
	Algorithm    string // of the content: "aes-256-gcm"
	KeyAlgorithm string // of its key: "rsa-oaep"
	// Authenticated says that the content is what somebody has encrypted, and not what somebody else has made of it: it was
	// encrypted with AES-GCM, or what is inside is signed as a whole and Verified. Only the second says who that is.
	Authenticated bool
	Legacy        bool // the content is encrypted with 3DES

	entity []byte
	opened *envelope.Opened
}

// For reports whether the message is encrypted for a mailbox as well: for a certificate that names it, or its domain (RFC 3183
// Section 3.1), and with a key that is known here. Only its holder may be given what is inside. It is not safe for concurrent
// use.
func (o *Opening) For(address string) bool {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return false
	}
	local, domain := address[:at], address[at+1:]
	return o.opened.For(func(c *x509.Certificate) bool {
		return slices.ContainsFunc(pki.Mailboxes(c, true), func(b pki.Mailbox) bool {
			return b.Matches(local, domain) != pki.NoMatch || strings.EqualFold(b.Local, domainAuthority) && b.Matches(b.Local, domain) != pki.NoMatch
		})
	})
}

// domainAuthority is the local part in the certificate of a whole domain (RFC 3183 Section 3.1).
const domainAuthority = "domain-confidentiality-authority"

// Entity returns the MIME entity that was encrypted, header and body, as it was in there. It is confidential, and it must not
// be changed.
func (o *Opening) Entity() []byte { return o.entity }

// Open opens a message that is encrypted as a whole, as Verify does, for those who look into it. It never fails and never
// panics.
func (v *Verifier) Open(m *message.Message) (entity []byte, ok bool) {
	defer func() {
		if recover() != nil {
			entity, ok = nil, false
		}
	}()
	if v == nil || v.o.Keys.Len() == 0 || m == nil || m.Root == nil || formOf(m, m.Root) != formOpaque {
		return nil, false
	}
	r := run{o: &v.o, m: m, limits: v.o.Limits.CMS, room: v.o.Limits.Objects}
	r.limits.Work = new(cms.Work)
	o := &object{place: place{m: m, part: m.Root, form: formOpaque}}
	if o.formError() != "" || r.open(o) {
		return nil, false
	}
	opened := r.unlock(o)
	if opened == nil {
		return nil, false
	}
	return opened.Content, true
}

// unlock opens an object that is the whole body of the message with whatever key fits, nil if none does. What is only a part
// of a message stays closed: who puts somebody else's encrypted text between parts of his own gets it opened in a text that
// sends it to him (Poddebniak et al., "Efail", 2018).
func (r *run) unlock(o *object) *envelope.Opened {
	if r.o.Keys.Len() == 0 || o.state != Encrypted || o.m != r.m || o.part != r.m.Root {
		return nil
	}
	if why := headerDoubt(r.m); why != "" {
		o.reason = "encrypted, and not opened here: " + why
		return nil
	}
	opened, err := r.o.Keys.Open(o.parsed)
	switch {
	case errors.Is(err, envelope.ErrNoKey):
		o.reason = "encrypted for others than this mail system, so content and author are not checked"
	case errors.Is(err, envelope.ErrUnsupported):
		o.reason = clean("encrypted, and not opened here (" + err.Error() + "), so content and author are not checked")
	case err != nil:
		o.reason = "encrypted, and cannot be opened here, so content and author are not checked"
	}
	if err != nil {
		return nil
	}
	r.step("part %s was opened: %s, key by %s", o.section(), opened.Algorithm, opened.KeyAlgorithm)
	return opened
}

// checkWhole checks the object that is the whole message, or, when it is encrypted and can be opened, what is inside of it:
// whoever signs and encrypts does it in this order (RFC 8551 Section 3.7).
func (r *run) checkWhole(p place) []*object {
	o := r.check(p)
	opened := r.unlock(o)
	if opened == nil {
		return []*object{o}
	}
	r.closed--
	r.opening = &Opening{Algorithm: opened.Algorithm, KeyAlgorithm: opened.KeyAlgorithm, Legacy: opened.Legacy,
		Authenticated: opened.Authenticated, entity: opened.Content, opened: opened}
	m, err := ReadOpened(opened.Content, message.Envelope{ReceivedAt: r.at}, r.o.Limits.Message)
	if err != nil {
		o.state, o.reason = Unavailable, "what is encrypted cannot be read"
		return []*object{o}
	}
	defer m.Close()
	places := find(m, m.Root, o.section()+"/", r.o.Limits.Objects+1)
	if len(places) == 0 {
		o.reason = "encrypted for this mail system and opened here, and nobody has signed what is inside"
		return []*object{o}
	}
	return r.checkAll(m, places)
}

// ReadOpened reads an entity that was opened as a message of its own. It stays in memory, whatever its size: nothing that was
// encrypted is ever written to a file.
func ReadOpened(entity []byte, env message.Envelope, l message.Limits) (*message.Message, error) {
	// Lines that end in LF get a CR.
	l.Memory = max(l.Memory, len(entity)+bytes.Count(entity, []byte("\n"))+1)
	return message.Read(bytes.NewReader(entity), env, l)
}

// reportOpening says in a Verification what became of the encryption.
func (r *run) reportOpening(out *Verification) {
	if r.opening == nil || r.closed > 0 { // what is encrypted again inside was not checked
		return
	}
	out.Opened, out.Opening = true, r.opening
	out.Opening.Authenticated = out.Opening.Authenticated || out.State == Verified && out.Whole
	if out.Opening.Legacy {
		out.Flags = addFlag(out.Flags, FlagLegacyCipher)
	}
	if !out.Opening.Authenticated {
		out.Flags = addFlag(out.Flags, FlagNotAuthenticated)
		if out.State == Encrypted {
			out.Reason += ", and it may have been changed on the way"
		}
	}
}
