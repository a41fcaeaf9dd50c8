package dkim

import (
	"math"
	"strings"
	"time"

	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/message"
)

// A Dialect says in what the tags of a field differ from those of DKIM-Signature. The zero value is DKIM-Signature.
type Dialect struct {
	Instance bool   // there is no v=, and i= is an instance number, which the caller reads
	AnyNames bool   // h= need not hold From, and may hold empty names, which stand for no field
	Unsigned string // lower-case name of the field that h= must not hold, "" for none
}

// A Signature is a parsed signature field. Verification holds what is known about it so far; its Result is "" as long
// as it is undecided.
type Signature struct {
	Verification
	Tags Tags

	dialect   Dialect
	field     message.Field
	header    Canonicalization
	body      Canonicalization
	bodyHash  []byte
	value     []byte // b=
	auid      string // domain of i=
	rank      int    // how close Domain is to a preferred one, 0 is closest
	lookup    *KeyLookup
	digest    *Digest
	explained bool
}

// ParseSignature parses a signature field. What is wrong with it decides its Result.
func ParseSignature(f message.Field, d Dialect, opt Options) *Signature {
	s := &Signature{dialect: d, field: f, explained: opt.Explain}
	s.BodyLength = -1
	s.FieldNth = f.Nth
	opt = opt.withDefaults()
	if len(f.Raw) > opt.MaxField {
		s.decide(problem(authres.Policy, "not evaluated: field of %d octets, more than %d", len(f.Raw), opt.MaxField))
		return s
	}
	s.decide(s.parse(opt))
	if s.Result == "" && opt.Explain {
		s.step("%s %d: a=%s c=%s d=%s s=%s i=%s", f.Name, f.Nth, s.Algorithm, s.Canonicalization, s.Domain, s.Selector,
			s.Identifier)
	}
	return s
}

// decide sets the result, unless there is no problem.
func (s *Signature) decide(p *Problem) {
	if p == nil {
		return
	}
	s.Result, s.Reason = p.Result, p.Reason
	s.step("%s: %s", p.Result, p.Reason)
}

// parse reads the tags in an order that leaves as much as possible known about a signature that is rejected.
func (s *Signature) parse(opt Options) *Problem {
	tags, err := ParseTags(string(s.field.Value()))
	if err != nil {
		return permerror("malformed tag list: %v", err)
	}
	s.Tags = tags
	if v, ok := tags.Get("b"); ok {
		s.SignaturePrefix = prefix(compact(v))
	}
	parts := [...]func(Options) *Problem{
		s.parseDomain, s.parseSelector, s.parseTimes, s.parseLength, s.parseCanonicalization, s.parseVersion,
		s.parseRequired, s.parseIdentity, s.parseAlgorithm, s.parseNames, s.parseMethod, s.parseHashes,
	}
	var first *Problem
	for _, part := range parts {
		if p := part(opt); p != nil && first == nil {
			first = p
		}
	}
	return first
}

// prefix returns the beginning of b= by which signatures are told apart (RFC 6008 Section 4: at least 8 characters).
func prefix(b string) string { return b[:min(len(b), 8)] }

// parseDomain reads d=: domain-name = sub-domain 1*("." sub-domain), or U-labels (RFC 8616 Section 5).
func (s *Signature) parseDomain(Options) *Problem {
	v, ok := s.Tags.Get("d")
	if !ok {
		return nil
	}
	d, err := dns.Canonical(v)
	if err != nil || strings.HasSuffix(v, ".") || !strings.Contains(d, ".") {
		return permerror("d=%q is not a domain name", brief(v))
	}
	s.Domain = d
	s.Identifier, s.auid = "@"+d, d
	return nil
}

// parseSelector reads s=: sub-domain *("." sub-domain).
func (s *Signature) parseSelector(Options) *Problem {
	v, ok := s.Tags.Get("s")
	if !ok {
		return nil
	}
	sel, err := dns.Canonical(v)
	if err != nil || strings.HasSuffix(v, ".") {
		return permerror("s=%q is not a selector", brief(v))
	}
	s.Selector = v
	if sel != strings.ToLower(v) {
		s.Selector = sel // U-labels
	}
	return nil
}

// parseTimes reads t= and x=. RFC 6376 Section 3.5: unsigned decimal numbers, and x= must be greater than t=.
func (s *Signature) parseTimes(Options) *Problem {
	const infinite = 999999999999
	t, signed := s.Tags.Get("t")
	x, expires := s.Tags.Get("x")
	var from, to int64
	if signed {
		if from, signed = number(t, infinite); !signed {
			return permerror("t=%q is not a number", brief(t))
		}
		s.Signed = time.Unix(from, 0).UTC()
	}
	if expires {
		if to, expires = number(x, infinite); !expires {
			return permerror("x=%q is not a number", brief(x))
		}
		s.Expires = time.Unix(to, 0).UTC()
	}
	if signed && expires && to <= from {
		return permerror("x=%d is not greater than t=%d", to, from)
	}
	return nil
}

// parseLength reads l=.
func (s *Signature) parseLength(Options) *Problem {
	v, ok := s.Tags.Get("l")
	if !ok {
		return nil
	}
	n, ok := number(v, math.MaxInt64/16)
	if !ok || len(v) > 76 {
		return permerror("l=%q is not a number", brief(v))
	}
	s.BodyLength = n
	return nil
}

// parseCanonicalization reads c=. RFC 6376 Section 3.5: simple is the default of both, also when only one is named.
func (s *Signature) parseCanonicalization(Options) *Problem {
	v, ok := s.Tags.Get("c")
	header, body := "simple", "simple"
	if ok {
		var both bool
		if header, body, both = strings.Cut(strings.ToLower(v), "/"); !both {
			body = "simple"
		}
	}
	s.header, s.body = header == "relaxed", body == "relaxed"
	if header != s.header.String() || body != s.body.String() {
		return permerror("c=%q is not a known canonicalization", brief(v))
	}
	s.Canonicalization = s.header.String() + "/" + s.body.String()
	return nil
}

// parseVersion reads v=, which must be 1.
func (s *Signature) parseVersion(Options) *Problem {
	if s.dialect.Instance {
		return nil
	}
	v, ok := s.Tags.Get("v")
	if !ok {
		return permerror("v= is missing")
	}
	if v != "1" {
		return permerror("version %q is not supported", brief(v))
	}
	return nil
}

// parseRequired checks that the required tags of RFC 6376 Section 3.5 are there, apart from v=.
func (s *Signature) parseRequired(Options) *Problem {
	for _, name := range [...]string{"a", "b", "bh", "d", "h", "s"} {
		if _, ok := s.Tags.Get(name); !ok {
			return permerror("%s= is missing", name)
		}
	}
	return nil
}

// parseIdentity reads i=: [ Local-part ] "@" domain-name in dkim-quoted-printable, the domain being that of d= or below
// it (RFC 6376 Section 3.5), whichever case or form of label they are written in.
func (s *Signature) parseIdentity(Options) *Problem {
	v, ok := s.Tags.Get("i")
	if !ok || s.dialect.Instance || s.Domain == "" {
		return nil
	}
	auid, err := unquote(v)
	if err != nil {
		return permerror("i=%q: %v", brief(v), err)
	}
	at := strings.LastIndexByte(auid, '@')
	if at < 0 {
		return permerror("i=%q has no @", brief(v))
	}
	domain, err := dns.Canonical(auid[at+1:])
	if err != nil || strings.HasSuffix(auid, ".") || strings.ContainsFunc(auid[:at], isControl) {
		return permerror("i=%q is not an identifier", brief(v))
	}
	if domain != s.Domain && !strings.HasSuffix(domain, "."+s.Domain) {
		return permerror("i=%q is not within d=%s", brief(v), s.Domain)
	}
	s.Identifier, s.auid = auid[:at+1]+domain, domain
	return nil
}

// isControl reports whether no address can hold r.
func isControl(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }

// parseAlgorithm reads a=. Its values are ABNF literals, which are case-insensitive (RFC 5234 Section 2.3).
func (s *Signature) parseAlgorithm(Options) *Problem {
	v, ok := s.Tags.Get("a")
	if !ok {
		return nil
	}
	switch a := strings.ToLower(v); a {
	case "rsa-sha256", "ed25519-sha256":
		s.Algorithm = a
		return nil
	case "rsa-sha1":
		s.Algorithm = a
		return permerror("rsa-sha1 must not be accepted (RFC 8301)")
	}
	return permerror("a=%q is not a known algorithm", brief(v))
}

// parseNames reads h=, which must hold From (RFC 6376 Section 5.4).
func (s *Signature) parseNames(opt Options) *Problem {
	v, ok := s.Tags.Get("h")
	if !ok {
		return nil
	}
	if n := strings.Count(v, ":") + 1; n > opt.MaxNames {
		return problem(authres.Policy, "not evaluated: %d names in h=, more than %d", n, opt.MaxNames)
	}
	names := list(strings.ToLower(v))
	from := false
	for _, name := range names {
		switch {
		case !isFieldName(name) && !(name == "" && s.dialect.AnyNames):
			return permerror("h= holds %q, which is not a field name", brief(name))
		case name != "" && name == s.dialect.Unsigned:
			return permerror("h= holds %s, which must not be signed", name)
		case name == "from":
			from = true
		}
	}
	s.SignedHeaders = names
	if !from && !s.dialect.AnyNames {
		return permerror("From is not signed")
	}
	return nil
}

// isFieldName reports whether s is a field-name of RFC 5322 Section 2.2, in UTF-8 too.
func isFieldName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// parseMethod reads q=. RFC 6376 Section 3.5: unknown query methods are ignored, and dns/txt is the only known one.
func (s *Signature) parseMethod(Options) *Problem {
	if v, ok := s.Tags.Get("q"); ok && !has(v, "dns/txt") {
		return permerror("q=%q is not a known query method", brief(v))
	}
	return nil
}

// parseHashes reads bh= and b=.
func (s *Signature) parseHashes(Options) *Problem {
	v, _ := s.Tags.Get("bh")
	hash, err := DecodeBase64(v)
	if err != nil {
		return permerror("bh= is not base64")
	}
	v, _ = s.Tags.Get("b")
	value, err := DecodeBase64(v)
	if err != nil {
		return permerror("b= is not base64")
	}
	s.bodyHash, s.value = hash, value
	return nil
}
