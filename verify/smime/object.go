package smime

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"assay/verify/message"
	"assay/verify/smime/cms"
)

// An object is one CMS object that was found, and what is known about it.
type object struct {
	place
	state     State
	reason    string
	pending   bool // a later mail may have another answer
	isSigned  bool
	integrity Integrity
	signers   []Signer
	decider   int // index of the signer that state is about
	flags     []string
	whole     bool   // the signature covers the whole body
	partial   string // why the signature is only a part of what a reader would take it for, "" if it is not
	note      string // what is odd about an object that is Verified all the same

	parsed  *cms.Object
	results []cms.SignerResult
}

// decide keeps the state that is decided first, and reports whether it is this one.
func (o *object) decide(s State, reason string) bool {
	if o.state != "" && rank(s) >= rank(o.state) {
		return false
	}
	o.state, o.reason = s, reason
	return true
}

// decideFor is decide for one of the signers.
func (o *object) decideFor(i, signers int, s State, reason string) {
	if signers > 1 {
		reason = fmt.Sprintf("signer %d of %d: %s", i+1, signers, reason)
	}
	if o.decide(s, reason) {
		o.decider = i
	}
}

// isPartial says that the object is only a part of the message. What is wrong with somebody else's mail that was attached
// is no fault of this one.
func (o *object) isPartial() {
	where := "part " + strings.TrimSuffix(o.part.Section, ".TEXT")
	switch {
	case o.isSigned && o.attached:
		o.state, o.reason = Partial, "only the attached message in "+where+" carries a signature"
	case o.isSigned:
		o.decide(Partial, "only "+where+" is signed")
	case o.attached && rank(o.state) < rank(Verified):
		o.state, o.reason = Unsigned, "the S/MIME object in the attached message in "+where+" cannot be read"
	case o.state == Encrypted:
		o.reason = "only " + where + " is encrypted"
	}
}

// check finds out everything about an object that is not inside of another one.
func (r *run) check(p place) *object {
	o := &object{place: p}
	if why := o.formError(); why != "" {
		o.isSigned = o.form == formDetached
		r.signed = r.signed || o.isSigned
		r.layer(o.section(), "malformed", why)
		o.decide(Malformed, why)
		return o
	}
	if !r.open(o) || !r.verify(o) {
		return o
	}
	r.judge(o)
	r.inside(o)
	if o.partial != "" {
		o.decide(Partial, o.partial)
	}
	why := headerDoubt(r.m)
	if why == "" && o.m != r.m {
		why = headerDoubt(o.m)
	}
	if why != "" && o.state == "" {
		o.whole = false
		o.decide(Malformed, why)
	}
	o.decide(Verified, o.note)
	return o
}

// formError is what is wrong with the MIME part.
func (o *object) formError() string {
	if o.form == formDetached {
		return malformedForm(o.m, o.part)
	}
	return ambiguity(o.m, o.part)
}

// open reads the object, and decides about everything that is no signature. It reports whether there is one to verify.
func (r *run) open(o *object) bool {
	if r.room--; r.room < 0 {
		o.decide(Malformed, fmt.Sprintf("more than %d objects are signed or encrypted", r.o.Limits.Objects))
		return false
	}
	part := o.part
	if o.form == formDetached {
		part = part.Children[1]
		o.isSigned, r.signed = true, true
	}
	data, err := r.read(o.m, part)
	if err != nil {
		o.decide(Unavailable, "the message cannot be read")
		return false
	}
	parsed, err := cms.Parse(data, r.limits)
	if err != nil {
		r.layer(o.section(), "malformed", parseReason(err))
		o.isSigned = o.isSigned || isSignatureType(part)
		r.signed = r.signed || o.isSigned
		o.decide(Malformed, parseReason(err))
		return false
	}
	o.parsed = parsed
	o.flags = addFlag(o.flags, encodingOddities(o.m, part)...)
	r.layer(o.section(), string(parsed.Kind), parsed.Detail)
	return r.classify(o)
}

// isSignatureType reports whether a part claims to be a signature.
func isSignatureType(p *message.Part) bool {
	switch p.MediaType {
	case "application/pkcs7-signature", "application/x-pkcs7-signature":
		return true
	}
	return p.Params["smime-type"] == "signed-data"
}

// parseReason says why there is no object.
func parseReason(err error) string {
	switch {
	case errors.Is(err, cms.ErrLimit):
		return "the S/MIME object is too large or too complex to be checked"
	case errors.Is(err, cms.ErrTrailing):
		return "there are octets behind the end of the S/MIME object"
	}
	return "the S/MIME object is damaged: it is not well-formed CMS"
}

// read returns the decoded content of a part, and no more than the limit and one octet, which makes it too large.
func (r *run) read(m *message.Message, p *message.Part) ([]byte, error) {
	limit := int64(r.limits.Size)
	var buf bytes.Buffer
	encoded := p.End - p.BodyOffset
	if p.Encoding == "base64" {
		encoded = encoded / 4 * 3
	}
	buf.Grow(int(min(encoded, limit)) + bytes.MinRead + 4)
	_, err := buf.ReadFrom(io.LimitReader(m.Content(p), limit+1))
	return buf.Bytes(), err
}

// classify decides about objects that are no signature. It reports whether it is one with signers.
func (r *run) classify(o *object) bool {
	kind := o.parsed.Kind
	if o.form == formDetached && kind != cms.Signed {
		if kind == cms.CertsOnly {
			o.decide(Malformed, "nobody signed: the signature has no signer")
		} else {
			o.decide(Malformed, "the second part of the signed multipart is "+string(kind)+" and no signature")
		}
		return false
	}
	switch kind {
	case cms.Signed:
		return r.classifySigned(o)
	case cms.CertsOnly:
		o.decide(CertsOnly, "certificates without a signature")
	case cms.Compressed:
		o.decide(Compressed, "compressed, so content and author are not checked")
	case cms.Enveloped, cms.AuthEnveloped, cms.EncryptedData:
		r.hidden = true
		r.closed++
		o.decide(Encrypted, "encrypted, so content and author are not checked")
	default:
		o.decide(Unsupported, "an S/MIME object of the kind "+string(kind)+" cannot be checked here")
	}
	return false
}

// classifySigned looks for signers, and for what they signed.
func (r *run) classifySigned(o *object) bool {
	o.isSigned, r.signed = true, true
	o.whole = o.part == o.m.Root
	sd := o.parsed.Signed
	switch {
	case len(sd.Signers) == 0:
		o.decide(Malformed, "nobody signed: the signature has no signer")
	case o.form == formOpaque && sd.Detached && o.part.Parent != nil:
		o.flags = addFlag(o.flags, FlagStray)
		o.decide(Partial, "part "+o.part.Section+" is a signature without the text that it belongs to")
	case o.form == formOpaque && sd.Detached:
		o.decide(Malformed, "the signature comes without the text that it belongs to")
	default:
		return true
	}
	return false
}

// verify checks the cryptography of every signer. It reports whether all are intact.
func (r *run) verify(o *object) bool {
	sd := o.parsed.Signed
	if err := r.verifyContent(o); err != nil {
		o.decide(Unavailable, "the message cannot be read")
		return false
	}
	o.integrity = Intact
	for i := range sd.Signers {
		res := o.results[i]
		for _, step := range res.Steps {
			r.step("signer %d: %s", i+1, step)
		}
		o.flags = addFlag(o.flags, res.Flags...)
		s := newSigner(res)
		if res.Integrity != cms.Intact {
			state, integrity := cmsState(res.Integrity)
			s.Reason = clean(r.explain(o, res))
			r.step("signer %d: %s", i+1, s.Reason)
			o.decideFor(i, len(sd.Signers), state, s.Reason)
			if o.integrity != Broken {
				o.integrity = integrity
			}
		}
		o.signers = append(o.signers, s)
	}
	if len(sd.Signers) > 1 {
		o.flags = addFlag(o.flags, FlagSeveral)
	}
	if o.form == formDetached {
		var flags []string
		o.partial, flags = outside(o.m, o.part)
		o.whole = o.whole && o.partial == ""
		o.flags = addFlag(o.flags, append(flags, oddities(o.m, o.part)...)...)
	}
	return o.integrity == Intact
}

// cmsState is the state that a finding about a signer leads to.
func cmsState(i cms.Integrity) (State, Integrity) {
	switch i {
	case cms.Broken:
		return Altered, Broken
	case cms.Unsupported:
		return Unsupported, NotCheckable
	case cms.NoCertificate:
		return Incomplete, NotCheckable
	}
	return Malformed, NotCheckable
}

// verifyContent computes the digests of the signed octets, and checks every signer with them.
func (r *run) verifyContent(o *object) error {
	sd := o.parsed.Signed
	if o.form == formOpaque {
		o.results = r.verifySigners(sd, sd.Embedded())
		return nil
	}
	signed := message.Range{Start: o.part.Children[0].Offset, End: o.part.Children[0].End}
	content := sd.NewContent()
	if _, err := io.Copy(content, o.m.Open(signed)); err != nil {
		return err
	}
	r.step("the signed octets are %d to %d of the message", signed.Start, signed.End)
	o.results = r.verifySigners(sd, content)
	if !anyBroken(o.results) {
		return nil
	}
	// The one repair: the MTA handed over lines that end in LF, and what was signed ends in CRLF (RFC 8551 Section 3.1.1).
	if !slices.ContainsFunc(o.m.Defects, func(d message.Defect) bool { return d.Code == message.LineBareLF }) {
		return nil
	}
	content = sd.NewContent()
	if _, err := io.Copy(&lineEnds{to: content}, o.m.Open(signed)); err != nil {
		return err
	}
	results := r.verifySigners(sd, content)
	if !anyBroken(results) {
		r.step("the signature fits when lines that end in LF end in CRLF")
		o.results, o.flags = results, addFlag(o.flags, FlagBareLF)
	}
	return nil
}

func (r *run) verifySigners(sd *cms.SignedData, content *cms.Content) []cms.SignerResult {
	results := make([]cms.SignerResult, len(sd.Signers))
	for i := range sd.Signers {
		results[i] = sd.VerifySigner(i, content, r.o.Certificates)
	}
	return results
}

func anyBroken(results []cms.SignerResult) bool {
	for _, res := range results {
		if res.Integrity == cms.Broken {
			return true
		}
	}
	return false
}

// pool returns the certificates that came with a signature.
func pool(sd *cms.SignedData) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, c := range sd.Certificates {
		if c.X509 != nil {
			certs = append(certs, c.X509)
		}
	}
	return certs
}

// lineEnds writes what it is given with every line ending in CRLF.
type lineEnds struct {
	to   io.Writer
	last byte
	buf  []byte
}

func (e *lineEnds) Write(p []byte) (int, error) {
	e.buf = e.buf[:0]
	for _, b := range p {
		if b == '\n' && e.last != '\r' {
			e.buf = append(e.buf, '\r')
		}
		e.buf = append(e.buf, b)
		e.last = b
	}
	_, err := e.to.Write(e.buf)
	return len(p), err
}
