package headers

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"assay/rules"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/iprev"
	"assay/verify/message"
	"assay/verify/spf"
)

// maxSignatures is how many DKIM results are written.
const maxSignatures = 10

// maxReason bounds the words written behind a result, in octets.
const maxReason = 120

// AuthenticationResults builds the one Authentication-Results field of a message (RFC 8601). When no check applied it
// says "none".
func (o Options) AuthenticationResults(s Subject) (rules.HeaderField, error) {
	value, err := o.Results(s).Format()
	if err != nil {
		return rules.HeaderField{}, fmt.Errorf("headers: %w", err)
	}
	return rules.HeaderField{Name: "Authentication-Results", Value: value}, nil
}

// Results returns what the Authentication-Results field of a message says. Others than AuthenticationResults need it to
// say the same in another field.
func (o Options) Results(s Subject) authres.Header {
	return authres.Header{ID: o.authservID(s.Envelope), Clauses: clauses(s.Envelope, s.Results)}
}

// authservID returns the configured authserv-id or the name of the MTA. Mail clients trust a field whose id is not a
// dotted name although they were told whom to trust, so a bare host name is completed, and what is no host
// name, such as an address literal, is replaced.
func (o Options) authservID(env *message.Envelope) string {
	const unnamed = "localhost.localdomain"
	name := cmp.Or(o.AuthservID, env.ReceiverMTA, unnamed)
	if !strings.Contains(name, ".") {
		name += ".localdomain"
	}
	if id, ok := authres.CanonicalID(name); ok {
		return id
	}
	return unnamed
}

// clauses lists the results in the order clients expect: SPF, DKIM, DMARC, ARC, iprev.
func clauses(env *message.Envelope, r verify.Results) []authres.Clause {
	var out []authres.Clause
	if r.Auth.Result == authres.Pass {
		out = append(out, authres.Clause{Method: "auth", Result: authres.Pass, Comment: string(r.Skipped),
			Properties: properties("smtp", "auth", r.Auth.User)})
	}
	if r.Skipped != "" {
		return out
	}
	if len(r.SPF) > 0 {
		out = append(out, spfClause(r.SPF[0], env))
	}
	out = append(out, dkimClauses(r.DKIM)...)
	out = append(out, dmarcClause(r.DMARC), arcClause(r.ARC, env.ClientIP), iprevClause(r.IPRev))
	evaluated := out[:0]
	for _, c := range out {
		if c.Result != "" { // the zero Result is never written: the check is switched off
			evaluated = append(evaluated, c)
		}
	}
	return evaluated
}

func spfClause(v spf.Verification, env *message.Envelope) authres.Clause {
	c := clause("spf", v.Result, v.Reason)
	// RFC 7208 Section 2.4: with the null reverse-path the HELO identity was checked. An empty smtp.mailfrom makes
	// strict parsers drop the whole field.
	if env.MailFrom == "" {
		c.Properties = properties("smtp", "helo", env.Helo)
	} else {
		c.Properties = properties("smtp", "mailfrom", reversePath(env.MailFrom, v))
	}
	return c
}

// reversePath is the reverse-path in ASCII: with the domain as A-labels, and without a local part that has no ASCII form
// (RFC 6531). RFC 8601 Section 2.7.2 allows the domain alone.
func reversePath(path string, v spf.Verification) string {
	if isASCII(path) {
		return path
	}
	at := strings.LastIndexByte(path, '@')
	switch {
	case v.Domain == "" || !isASCII(v.Domain):
		return path
	case at > 0 && isASCII(path[:at]):
		return path[:at+1] + v.Domain
	}
	return v.Domain
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7f }) < 0
}

func dkimClauses(signatures []dkim.Verification) []authres.Clause {
	if len(signatures) == 0 {
		return []authres.Clause{{Method: "dkim", Result: authres.None}}
	}
	var out []authres.Clause
	for _, v := range signatures[:min(len(signatures), maxSignatures)] {
		c := clause("dkim", v.Result, v.Reason)
		if v.Result == authres.Pass {
			c.Comment = keyComment(v)
		}
		c.Properties = append(properties("header", "d", v.Domain), properties("header", "i", v.Identifier)...)
		c.Properties = append(c.Properties, properties("header", "s", v.Selector)...)
		c.Properties = append(c.Properties, properties("header", "a", v.Algorithm)...)
		c.Properties = append(c.Properties, properties("header", "b", v.SignaturePrefix)...)
		out = append(out, c)
	}
	return out
}

// keyComment says how strong the key is, and whether its owner is only testing.
func keyComment(v dkim.Verification) string {
	kind, _, _ := strings.Cut(v.Algorithm, "-")
	text := fmt.Sprintf("%d-bit %s key", v.KeyBits, kind)
	if v.Testing {
		text += ", testing"
	}
	return text
}

func dmarcClause(e dmarc.Evaluation) authres.Clause {
	c := clause("dmarc", e.Result, e.Reason)
	c.Properties = append(properties("header", "from", e.Domain), properties("policy", "dmarc", string(e.Policy))...)
	return c
}

func arcClause(v arc.Verification, client netip.Addr) authres.Clause {
	c := clause("arc", v.Result, v.Reason)
	if v.Result == authres.Pass {
		c.Properties = properties("header", "oldest-pass", strconv.Itoa(v.OldestPass))
		if client.IsValid() {
			c.Properties = append(properties("smtp", "remote-ip", client.String()), c.Properties...)
		}
	}
	return c
}

func iprevClause(v iprev.Verification) authres.Clause {
	c := clause("iprev", v.Result, v.Reason)
	if v.IP.IsValid() {
		c.Properties = properties("policy", "iprev", v.IP.String())
	}
	return c
}

// clause begins a clause. The words are given for every result that a reader would ask about.
func clause(method string, result authres.Result, reason string) authres.Clause {
	c := authres.Clause{Method: method, Result: result}
	if result != authres.Pass && result != authres.None {
		c.Comment = reason[:min(len(reason), maxReason)]
	}
	return c
}

// properties returns one property, or none for an empty value.
func properties(ptype, name, value string) []authres.Property {
	if value == "" {
		return nil
	}
	return []authres.Property{{Type: ptype, Name: name, Value: value}}
}
