package arc

import (
	"fmt"
	"strconv"
	"strings"

	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/message"
)

// The three fields of a set, in lower case (RFC 8617 Section 4.1).
const (
	resultsName   = "arc-authentication-results"
	signatureName = "arc-message-signature"
	sealName      = "arc-seal"
)

// maxInstance is the highest instance number (RFC 8617 Section 4.2.1).
const maxInstance = 50

// A set is what one sealer added (RFC 8617 Section 4.2).
type set struct {
	results   message.Field
	claims    string // value of results behind the instance tag
	signature *dkim.Signature
	message   message.Field // the field of signature
	seal      *seal
}

// A seal is a parsed ARC-Seal (RFC 8617 Section 4.1.3).
type seal struct {
	field     message.Field
	algorithm string
	domain    string
	selector  string
	cv        string
	value     []byte // b=
	lookup    *dkim.KeyLookup
}

// A chain is the sets of a message in order; sets[0] is instance 1.
type chain struct {
	sets    []*set
	highest int
}

// newChain collects the sets of a header and checks their structure (RFC 8617 Section 5.2, steps 1 to 3). The error says
// in what it is broken; the chain then is what could be read of it.
func newChain(h message.Header, opt Options) (*chain, error) {
	for _, name := range []string{resultsName, signatureName, sealName} {
		if n := h.Count(name); n > maxInstance {
			return &chain{highest: n}, fmt.Errorf("%d %s fields, more than %d", n, name, maxInstance)
		}
	}
	c := &chain{}
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for f := range h.All(resultsName) {
		note(c.addResults(f))
	}
	for f := range h.All(signatureName) {
		note(c.addSignature(f, opt))
	}
	for f := range h.All(sealName) {
		note(c.addSeal(f, opt))
	}
	note(c.check())
	return c, first
}

// at returns the set of an instance, new if it is the first field of it.
func (c *chain) at(i int) *set {
	for len(c.sets) < i {
		c.sets = append(c.sets, &set{})
	}
	c.highest = max(c.highest, i)
	return c.sets[i-1]
}

// instance reads the value of i=.
func instance(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n < 1 || n > maxInstance || len(s) > 2 {
		return 0, fmt.Errorf("instance %.20q is not a number from 1 to %d", s, maxInstance)
	}
	return int(n), nil
}

// addResults adds an ARC-Authentication-Results field (RFC 8617 Section 4.1.1): an instance tag, a semicolon, and what
// Authentication-Results has.
func (c *chain) addResults(f message.Field) error {
	tag, claims, ok := strings.Cut(string(f.Value()), ";")
	name, v, isTag := strings.Cut(tag, "=")
	if !ok || !isTag || strings.Trim(name, " \t\r\n") != "i" || strings.Trim(claims, " \t\r\n") == "" {
		return fmt.Errorf("malformed %s", f.Name)
	}
	i, err := instance(strings.Trim(v, " \t\r\n"))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	s := c.at(i)
	if s.claims != "" {
		return fmt.Errorf("two %s fields of instance %d", f.Name, i)
	}
	s.results, s.claims = f, claims
	return nil
}

// addSignature adds an ARC-Message-Signature field: a DKIM-Signature with some differences.
func (c *chain) addSignature(f message.Field, opt Options) error {
	// RFC 8617 Section 4.1.2: an instance number instead of i=, no v=, and it must not sign seals. That From is signed
	// matters to who speaks for an author, and a sealer does not; the test suite of the ARC authors also expects an h=
	// with empty names to verify.
	dialect := dkim.Dialect{Instance: true, AnyNames: true, Unsigned: sealName}
	sig := dkim.ParseSignature(f, dialect, opt.dkim())
	v, ok := sig.Tags.Get("i")
	if !ok {
		return fmt.Errorf("%s without instance: %s", f.Name, sig.Reason)
	}
	i, err := instance(v)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	s := c.at(i)
	if s.signature != nil {
		return fmt.Errorf("two %s fields of instance %d", f.Name, i)
	}
	s.signature, s.message = sig, f
	return nil
}

// addSeal adds an ARC-Seal field.
func (c *chain) addSeal(f message.Field, opt Options) error {
	if len(f.Raw) > opt.MaxField {
		return fmt.Errorf("%s of %d octets, more than %d", f.Name, len(f.Raw), opt.MaxField)
	}
	tags, err := dkim.ParseTags(string(f.Value()))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	v, _ := tags.Get("i")
	i, err := instance(v)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	s := c.at(i)
	if s.seal != nil {
		return fmt.Errorf("two %s fields of instance %d", f.Name, i)
	}
	if s.seal, err = parseSeal(f, tags); err != nil {
		return fmt.Errorf("%s of instance %d: %w", f.Name, i, err)
	}
	return nil
}

// parseSeal reads the tags of a seal. The seal is returned with an error, too.
func parseSeal(f message.Field, tags dkim.Tags) (*seal, error) {
	s := &seal{field: f}
	for _, name := range []string{"a", "b", "cv", "d", "s"} {
		if _, ok := tags.Get(name); !ok {
			return s, fmt.Errorf("%s= is missing", name)
		}
	}
	// RFC 8617 Section 4.1.3: what a seal covers is fixed, and h= makes it invalid.
	if _, ok := tags.Get("h"); ok {
		return s, fmt.Errorf("h= must not be there")
	}
	v, _ := tags.Get("a")
	s.algorithm = strings.ToLower(v)
	if s.algorithm != "rsa-sha256" && s.algorithm != "ed25519-sha256" {
		return s, fmt.Errorf("a=%.20q is not a known algorithm", v)
	}
	var err error
	v, _ = tags.Get("d")
	if s.domain, err = dns.Canonical(v); err != nil {
		return s, fmt.Errorf("d=%.60q is not a domain name", v)
	}
	v, _ = tags.Get("s")
	if s.selector, err = dns.Canonical(v); err != nil {
		return s, fmt.Errorf("s=%.60q is not a selector", v)
	}
	if v, ok := tags.Get("t"); ok && strings.Trim(v, "0123456789") != "" {
		return s, fmt.Errorf("t=%.20q is not a number", v)
	}
	v, _ = tags.Get("b")
	if s.value, err = dkim.DecodeBase64(v); err != nil {
		return s, fmt.Errorf("b= is not base64")
	}
	v, _ = tags.Get("cv")
	s.cv = strings.ToLower(v)
	return s, nil
}

// check checks that every set is complete and that each sealer found the chain in order (RFC 8617 Section 5.2, step 3).
func (c *chain) check() error {
	for i, s := range c.sets {
		switch {
		case s.claims == "":
			return fmt.Errorf("instance %d has no valid ARC-Authentication-Results", i+1)
		case s.signature == nil:
			return fmt.Errorf("instance %d has no valid ARC-Message-Signature", i+1)
		case s.seal == nil:
			return fmt.Errorf("instance %d has no valid ARC-Seal", i+1)
		case i == 0 && s.seal.cv != "none", i > 0 && s.seal.cv != "pass":
			return fmt.Errorf("seal %d says cv=%.20s", i+1, s.seal.cv)
		}
	}
	return nil
}

// sealers returns d= of the seals, as far as they are known.
func (c *chain) sealers() []string {
	var domains []string
	for _, s := range c.sets {
		if s.seal != nil && s.seal.domain != "" {
			domains = append(domains, s.seal.domain)
		}
	}
	return domains
}
