package cms

import (
	"bytes"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
)

// maxCandidates is how many different certificates may claim to be that of one signer. Anybody can add certificates to a
// mail, so the one that was meant must be found among others of the same issuer and serial number; and every one of them
// costs a verification.
const maxCandidates = 4

// VerifySigner checks the signer with the index i: the rules for its attributes, the digest of the content, and the
// signature with every certificate that fits its identifier, of the object first and then of more. The content comes
// from Embedded, or from NewContent after everything was written to it; nil is a signature about nothing, which is
// Malformed. It never fails and never panics: a result that is not Intact proves nothing but what it says.
func (sd *SignedData) VerifySigner(i int, content *Content, more []*x509.Certificate) SignerResult {
	if i < 0 || i >= len(sd.Signers) {
		return SignerResult{Integrity: Malformed, Reason: "there is no such signer"}
	}
	s := &sd.Signers[i]
	c := check{sd: sd, signer: s, content: content, more: more}
	c.result.SignedAttributes = s.HasAttributes
	c.result.Algorithm = s.name(nil)
	f := c.run()
	c.result.Integrity, c.result.Reason = f.integrity, f.reason
	return c.result
}

// A check is the verification of one signer.
type check struct {
	sd      *SignedData
	signer  *Signer
	content *Content
	more    []*x509.Certificate

	digest     digest
	hash       bool // digest is known
	candidates []*x509.Certificate
	unreadable error // why a certificate that fits was not understood
	result     SignerResult
}

func (c *check) step(text string) { c.result.Steps = append(c.result.Steps, text) }

func (c *check) flag(name string) { c.result.Flags = append(c.result.Flags, name) }

func (c *check) weak(name string) { c.result.Weak = append(c.result.Weak, name) }

// run makes every check in order and returns the first finding that is not ok. What can be said for certain comes first:
// a broken rule, then a digest that differs, and only then that an algorithm is not supported.
func (c *check) run() finding {
	c.digest, c.hash = findDigest(c.signer.DigestAlgorithm.OID)
	c.findCertificates()
	c.describeCertificate()
	for _, part := range []func() finding{c.checkForm, c.checkContent, c.checkSignature} {
		if f := part(); !f.ok() {
			return f
		}
	}
	return intact
}

// findCertificates collects the certificates that fit the signer's identifier.
func (c *check) findCertificates() {
	for _, cert := range c.sd.Certificates {
		switch {
		case cert.X509 != nil && c.signer.ID.Matches(cert.X509):
			c.addCandidate(cert.X509)
		case cert.X509 == nil && c.unreadable == nil && c.signer.ID.matchesRaw(cert.Raw):
			c.unreadable = cert.Err
		}
	}
	for _, cert := range c.more {
		if c.signer.ID.Matches(cert) {
			c.addCandidate(cert)
		}
	}
}

func (c *check) addCandidate(cert *x509.Certificate) {
	if !slices.ContainsFunc(c.candidates, cert.Equal) {
		c.candidates = append(c.candidates, cert)
	}
}

// describeCertificate tells what is known of the signer before the signature is checked.
func (c *check) describeCertificate() {
	if len(c.candidates) > 0 {
		c.use(c.candidates[0])
	}
	if len(c.candidates) > 1 {
		c.flag(FlagSeveral)
	}
	if c.signer.DigestAlgorithm.OID.Equal(oidSHA1) {
		c.weak(WeakSHA1)
	}
	if !c.signer.HasAttributes {
		c.weak(WeakNoAttributes)
	}
	if !c.sd.ContentType.Equal(oidData) {
		c.flag(FlagOtherContent)
	}
}

// use makes cert the certificate of the result.
func (c *check) use(cert *x509.Certificate) {
	key, _ := publicKey(cert)
	c.result.Certificate = cert
	c.result.KeyBits = keyBits(key)
	c.result.Algorithm = c.signer.name(key)
}

// checkForm checks the rules of RFC 5652 that do not need the content.
func (c *check) checkForm() finding {
	listed := func(a Algorithm) bool { return a.OID.Equal(c.signer.DigestAlgorithm.OID) }
	if !slices.ContainsFunc(c.sd.Digests, listed) && !c.signer.SignatureAlgorithm.OID.Equal(oidEd25519) {
		// RFC 5652 Section 5.1: one may refuse it, and mail clients do. With Ed25519 the digest is given by the algorithm
		// (RFC 8419 Section 3), and there are senders that list another one.
		return malformed("the signer's digest algorithm is not among those of the object")
	}
	if c.signer.HasAttributes {
		return c.checkAttributes()
	}
	// RFC 5652 Section 5.3: they must be there unless the content is id-data.
	if !c.sd.ContentType.Equal(oidData) {
		return malformed("signed attributes are missing although the content is not id-data")
	}
	c.step("there are no signed attributes")
	return finding{}
}

// checkContent compares the content with what the signer says about it.
func (c *check) checkContent() finding {
	switch {
	case c.content == nil:
		return malformed("there is no content")
	case !c.content.equalsEmbedded():
		return broken("the content inside of the signature is not the text beside it")
	case c.content.compare:
		c.flag(FlagEmbedded)
		c.step("the content inside of the signature is the text beside it")
	}
	if !c.hash {
		return unsupported("the digest algorithm %s is not supported", digestName(c.signer.DigestAlgorithm.OID))
	}
	if !c.signer.HasAttributes {
		return c.checkDirect()
	}
	// RFC 5652 Section 5.6
	if subtle.ConstantTimeCompare(c.content.sum(c.digest.hash), c.messageDigest()) != 1 {
		return broken("the message digest does not fit the content")
	}
	c.step("the message digest fits the content (" + c.digest.name + ")")
	return finding{}
}

// checkDirect checks a content that is signed without signed attributes.
func (c *check) checkDirect() finding {
	if c.content.startsLikeAttributes() {
		return malformed("the content is the signed attributes of another signature")
	}
	if c.content.size > int64(c.content.limit) {
		return unsupported("a content of more than %d octets without signed attributes is not supported", c.content.limit)
	}
	return finding{}
}

// checkSignature checks the signature with every certificate.
func (c *check) checkSignature() finding {
	v, f := c.verifier()
	switch {
	case !f.ok():
		return f
	case len(c.candidates) > maxCandidates:
		return malformed("%d different certificates claim to be the signer's", len(c.candidates))
	case len(c.candidates) == 0 && c.unreadable != nil:
		return unsupported("the signer's certificate is not understood: %s", printable(c.unreadable.Error()))
	case len(c.candidates) == 0:
		return finding{NoCertificate, "no certificate at hand is the signer's"}
	}
	forms := c.signedForms()
	best := finding{}
	for _, cert := range c.candidates {
		f := c.try(v, cert, forms)
		if f.integrity == Intact || f.integrity == Disputed {
			return f
		}
		best = worse(best, f)
	}
	if c.unreadable != nil {
		best = worse(best, unsupported("the signer's certificate is not understood: %s", printable(c.unreadable.Error())))
	}
	if best.integrity == Broken && secondOpinion(v, c.candidates[0], forms[0]) == nil {
		return finding{Disputed, "the signature is broken, but not for the second implementation"}
	}
	return best
}

// verifier finds the algorithm of the signature.
func (c *check) verifier() (verifier, finding) {
	oid := c.signer.SignatureAlgorithm.OID
	sc, ok := findScheme(oid)
	if !ok {
		return verifier{}, unsupported("the signature algorithm %s is not supported", nameOf(oid))
	}
	if sc.hash != 0 && sc.hash != c.digest.hash {
		// RFC 5652 Section 5.4 wants one digest for both; implementations differ in which one they take.
		return verifier{}, unsupported("the digests of content and signature are not the same")
	}
	return verifier{signer: c.signer, scheme: sc, digest: c.digest}, finding{}
}

// try checks the signature with one certificate, in every form in which the attributes may have been signed.
func (c *check) try(v verifier, cert *x509.Certificate, forms []signed) finding {
	if f := c.checkBinding(cert); !f.ok() {
		return f
	}
	var first finding
	key, _ := publicKey(cert)
	for i, form := range forms {
		if !c.sd.limits.Work.Allow(key) {
			return malformed("to check all signatures of the message would take too long")
		}
		f := v.check(cert, form)
		if f.integrity != Intact {
			if i == 0 {
				first = f
			}
			continue
		}
		c.use(cert)
		c.step("the signature fits the key of the certificate with the serial number " + serialOf(cert))
		c.describeForm(i, forms)
		c.describeKey(cert)
		return c.secondOpinion(v, cert, form)
	}
	return first
}

// serialOf returns the serial number in hexadecimal.
func serialOf(cert *x509.Certificate) string { return printable(fmt.Sprintf("%X", cert.SerialNumber)) }

// describeForm flags attributes that were not signed as DER, or not sent so.
func (c *check) describeForm(i int, forms []signed) {
	switch {
	case i > 0:
		c.flag(FlagResorted)
	case len(forms) > 1:
		c.flag(FlagUnsorted)
	}
}

// describeKey tells what is weak about the key that verified.
func (c *check) describeKey(cert *x509.Certificate) {
	key, _ := publicKey(cert)
	k, ok := key.(*rsa.PublicKey)
	if !ok {
		return
	}
	if k.N.BitLen() < strongRSABits {
		c.weak("rsa-" + strconv.Itoa(k.N.BitLen()))
	}
	if k.E < usualExponent {
		c.flag(FlagSmallExponent)
	}
}

// secondOpinion asks the other implementation about a signature that is intact.
func (c *check) secondOpinion(v verifier, cert *x509.Certificate, form signed) finding {
	if !v.hasSecondOpinion(cert) {
		c.step("there is no second implementation for " + c.result.Algorithm)
		return intact
	}
	if err := secondOpinion(v, cert, form); err != nil {
		return finding{Disputed, "the signature is intact, but not for the second implementation: " + printable(err.Error())}
	}
	c.step("a second implementation agrees")
	return intact
}

// worse returns the finding that says less against the signer: as long as one certificate cannot be checked, nothing is
// known, and a key that does not fit the algorithm says nothing about one that does.
func worse(a, b finding) finding {
	rank := func(f finding) int {
		return slices.Index([]Integrity{"", Malformed, Broken, Unsupported}, f.integrity)
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// signedForms returns what the signature may be about, first as sent. Signed attributes are to be signed as the DER of a
// SET OF (RFC 5652 Section 5.4), which sorts them; some senders sort for the signature only, others not at all.
func (c *check) signedForms() []signed {
	if !c.signer.HasAttributes {
		return []signed{{octets: c.content.octets, digest: c.content.sum(c.digest.hash)}}
	}
	forms := []signed{c.form(c.signer.signed)}
	raws := make([][]byte, len(c.signer.SignedAttributes))
	for i, a := range c.signer.SignedAttributes {
		raws[i] = a.Raw
	}
	if slices.IsSortedFunc(raws, bytes.Compare) {
		return forms
	}
	slices.SortFunc(raws, bytes.Compare)
	return append(forms, c.form(raws...))
}

// form encodes a SET OF Attribute.
func (c *check) form(attributes ...[]byte) signed {
	octets := appendElement(nil, tagSet, attributes...)
	state := c.digest.hash.New()
	state.Write(octets)
	return signed{octets: octets, digest: state.Sum(nil)}
}
