package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/message"
)

// A Checker checks the signatures of one message against its header and body: those in DKIM-Signature fields, and those
// in other fields of the same form. It is not safe for concurrent use.
type Checker struct {
	at     time.Time
	opt    Options
	bodies *Bodies
	index  *index
	keys   keyring
	buf    []byte
}

// NewChecker returns a Checker of a message with that header, whose body will be written to b. Expiry is judged at the
// instant at. No lookup of it outlives ctx.
func NewChecker(ctx context.Context, r dns.Resolver, h message.Header, at time.Time, opt Options, b *Bodies) *Checker {
	opt = opt.withDefaults()
	return &Checker{at: at, opt: opt, bodies: b, index: newIndex(h), keys: keyring{ctx: ctx, resolver: r, opt: opt}}
}

// Fetch starts the lookup of a key, once per name.
func (c *Checker) Fetch(selector, domain string) *KeyLookup { return c.keys.fetch(selector, domain) }

// Begin starts what the check of s needs: the key lookup, and the hash of the body, no octet of which may have been
// written. It does nothing if the result is decided.
func (c *Checker) Begin(s *Signature) {
	if s.Result == "" {
		s.decide(c.checkTimes(s))
	}
	if s.Result != "" {
		return
	}
	s.lookup = c.Fetch(s.Selector, s.Domain)
	s.digest = c.bodies.Digest(s.body, s.BodyLength)
}

// checkTimes checks x= against the clock (RFC 6376 Section 6.1.1: PERMFAIL, signature expired).
func (c *Checker) checkTimes(s *Signature) *Problem {
	if !s.Expires.IsZero() && c.at.After(s.Expires.Add(c.opt.skew())) {
		return permerror("expired on %s", s.Expires.Format(time.RFC3339))
	}
	return nil
}

// End completes the check that Begin started, after the whole body was written, and decides the result. It waits for
// the key.
func (c *Checker) End(s *Signature) {
	if s.Result != "" {
		return
	}
	p := c.verify(s)
	if p == nil {
		p = c.accept(s)
	}
	if p == nil {
		s.Result = authres.Pass
		s.step("pass")
		return
	}
	s.decide(p)
}

// verify tries each key.
func (c *Checker) verify(s *Signature) *Problem {
	if s.explained {
		s.step("key asked at %s", s.lookup.name)
	}
	keys, p := s.lookup.Wait()
	if p != nil {
		return p
	}
	s.KeySecure = s.lookup.secure
	sum, octets, err := s.digest.Sum()
	if err != nil {
		return problem(authres.TempError, "the body could not be read: %v", err)
	}
	s.stepBody(sum[:], octets)
	if s.BodyLength > octets {
		// RFC 6376 Section 3.5: l= must not be larger than the canonical body.
		return permerror("l=%d is more than the %d octets of the canonical body", s.BodyLength, octets)
	}
	var header []byte
	var first *Problem
	for _, k := range keys {
		p := s.suits(k)
		if p == nil && header == nil {
			header = c.hashHeader(s)
		}
		if p == nil {
			p = s.compare(k, sum[:], header)
		}
		if first == nil || p == nil {
			s.KeyBits, s.Testing = k.Bits, k.Testing
			first = p
		}
		s.stepKey(k, p)
		if p == nil {
			return nil
		}
	}
	return first
}

// suits checks that the key may be used for the signature (RFC 6376 Sections 3.6.1 and 6.1.2).
func (s *Signature) suits(k *Key) *Problem {
	switch {
	case s.Algorithm != k.Type+"-sha256":
		return permerror("a=%s with a key of type %s", s.Algorithm, k.Type)
	case !k.SHA256:
		return permerror("the key does not allow SHA-256")
	case !k.Email:
		return permerror("the key is not for email")
	case k.Strict && !s.dialect.Instance && s.auid != s.Domain:
		// RFC 6376 Section 3.6.1: with t=s the domain of i= must be that of d=.
		return permerror("the key forbids subdomains (t=s), but i= is in %s", s.auid)
	}
	return nil
}

// compare checks both hashes. When the body differs, the signature is still looked at if steps are wanted, because it
// tells what else was changed.
func (s *Signature) compare(k *Key, body, header []byte) *Problem {
	same := bytes.Equal(body, s.bodyHash)
	valid := (same || s.explained) && k.Verify(s.Algorithm, header, s.value)
	switch {
	case !same && valid:
		s.step("the header fields are as signed, so only the body was changed")
		return problem(authres.Fail, "body hash mismatch")
	case !same:
		return problem(authres.Fail, "body hash mismatch")
	case !valid:
		s.step("the body is as signed, so header fields were changed, or the key is another one")
		return problem(authres.Fail, "signature mismatch")
	}
	return nil
}

// hashHeader returns the hash that was signed (RFC 6376 Section 3.7).
func (c *Checker) hashHeader(s *Signature) []byte {
	if c.buf == nil {
		c.buf = make([]byte, 0, 2<<10)
	}
	buf := c.buf[:0]
	c.index.pick(s.SignedHeaders, s.field, func(f message.Field) {
		if s.explained {
			s.step("hashed: %s %d", f.Name, f.Nth)
		}
		buf = AppendField(buf, f.Raw, s.header)
	})
	buf = AppendOwnField(buf, s.field.Raw, s.header)
	c.buf = buf
	sum := sha256.Sum256(buf)
	if s.explained {
		s.step("header hash: %s, %d octets", s.header, len(buf))
	}
	return sum[:]
}

// accept applies local policy to a valid signature.
func (c *Checker) accept(s *Signature) *Problem {
	switch _, octets, _ := s.digest.Sum(); {
	case s.KeyBits < c.opt.MinRSABits && s.Algorithm == "rsa-sha256":
		return problem(authres.Policy, "RSA key of %d bits, less than %d", s.KeyBits, c.opt.MinRSABits)
	case s.BodyLength >= 0 && c.opt.Length == LengthPolicy:
		return problem(authres.Policy, "signs only part of the body: l=%d of %d octets", s.BodyLength, octets)
	case s.BodyLength >= 0 && c.opt.Length == LengthWhole && s.BodyLength < octets:
		return problem(authres.Policy, "signs only part of the body: l=%d of %d octets", s.BodyLength, octets)
	case c.opt.Future == FuturePolicy && s.Signed.After(c.at.Add(c.opt.skew())):
		return problem(authres.Policy, "signed in the future, on %s", s.Signed.Format(time.RFC3339))
	}
	if c.opt.Duplicates == DuplicatesPolicy {
		return c.Duplicated(s)
	}
	return nil
}

// Duplicated looks for unique fields of which the signature covers one instance and leaves another to anyone.
func (c *Checker) Duplicated(s *Signature) *Problem {
	// RFC 5322 Section 3.6, and RFC 2045 for MIME: the fields that a message has at most once.
	for _, name := range [...]string{
		"from", "subject", "date", "to", "sender", "reply-to", "cc", "bcc", "message-id", "in-reply-to", "references",
		"content-type", "content-transfer-encoding", "mime-version",
	} {
		n := c.index.Count(name)
		if n < 2 {
			continue
		}
		signed := 0
		for _, h := range s.SignedHeaders {
			if h == name {
				signed++
			}
		}
		if signed > 0 && signed < n {
			return problem(authres.Policy, "the message has %d %s fields, of which %d are signed", n, name, signed)
		}
	}
	return nil
}

// step notes one step, if steps are wanted. Where every signature comes by, the caller asks first, because arguments
// cost an allocation each.
func (s *Signature) step(format string, args ...any) {
	if s.explained {
		s.Steps = append(s.Steps, fmt.Sprintf(format, args...))
	}
}

// stepBody notes the body hash.
func (s *Signature) stepBody(sum []byte, octets int64) {
	if !s.explained {
		return
	}
	of := octets
	if s.BodyLength >= 0 {
		of = min(octets, s.BodyLength)
	}
	match := "is"
	if !bytes.Equal(sum, s.bodyHash) {
		match = "is not"
	}
	s.step("body hash: %s, %d of %d canonical octets, %x, which %s bh=", s.body, of, octets, sum, match)
}

// stepKey notes what a key was good for.
func (s *Signature) stepKey(k *Key, p *Problem) {
	if !s.explained {
		return
	}
	outcome := "verifies"
	if p != nil {
		outcome = p.Reason
	}
	s.step("%s key of %d bits: %s", k.Type, k.Bits, outcome)
}
