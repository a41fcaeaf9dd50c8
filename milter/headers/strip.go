package headers

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"assay/rules"
	"assay/verify"
	"assay/verify/authres"
	"assay/verify/message"
)

// ErrTooMany means that a message carries more fields to remove than the MTA can delete in reasonable time.
var ErrTooMany = errors.New("headers: too many forged header fields")

// A Removal is one inbound field that may not stay.
type Removal struct {
	Name   string
	Nth    int
	Reason string
}

// Removals lists the inbound fields that could be mistaken for what Assay, or a system the reader trusts, has written.
// On ErrTooMany the message is hostile and the list is cut. Authentication-Results fields are counted apart from the
// others.
func (o Options) Removals(s Subject, header message.Header) ([]Removal, error) {
	limit := o.MaxRemovals
	if limit <= 0 {
		limit = DefaultMaxRemovals
	}
	var out []Removal
	results, others := 0, 0
	for _, f := range header {
		reason := o.remove(s, f)
		if reason == "" {
			continue
		}
		count := &others
		if strings.EqualFold(f.Name, authenticationResults) {
			count = &results
		}
		if *count++; *count > limit {
			return out, fmt.Errorf("%w: more than %d", ErrTooMany, limit)
		}
		out = append(out, Removal{f.Name, f.Nth, reason})
	}
	return out, nil
}

// authenticationResults is the name of the field of RFC 8601.
const authenticationResults = "Authentication-Results"

// remove says why f may not stay, "" if it may.
func (o Options) remove(s Subject, f message.Field) string {
	name, skipped := strings.ToLower(f.Name), s.Results.Skipped
	switch {
	case strings.EqualFold(name, authenticationResults):
		return o.removeResults(s.Envelope, f, skipped)
	case strings.HasPrefix(name, strings.ToLower(o.prefix())+"-"):
		return "claims to be written by this filter"
	case skipped == verify.SkipNetwork || skipped == verify.SkipLocal:
		return ""
	case name == "received-spf":
		return "SPF result of somebody else"
	case name == "bimi-indicator", name == "bimi-location":
		return "BIMI logo that was not verified here"
	case s.Decision.Disposition == rules.Junk && spamField(name) && !contains(o.Upstream, s.Envelope.ClientIP):
		return "says something else about spam than the rules"
	}
	return ""
}

// spamField reports whether filters in mail clients look for junk in the field of a name, which is in lower case. Only one
// statement may stand beside that of a rule. On other messages these fields stay: a spam filter on this system may have
// written them before us, and what a sender says there harms only himself.
func spamField(name string) bool {
	switch name {
	case "x-spam-flag", "x-spam-status", "x-spam-level", "x-spam-score":
		return true
	}
	return false
}

// removeResults says why an Authentication-Results field may not stay.
func (o Options) removeResults(env *message.Envelope, f message.Field, skipped verify.Skip) string {
	id, ok := authres.Identify(string(f.Value()))
	switch {
	case authres.SameID(id, o.authservID(env)):
		return "claims our authserv-id"
	case contains(o.Upstream, env.ClientIP) && sameAny(id, o.UpstreamIDs):
		return "" // such as "relay.example (amavisd-new); ...": odd, but the relay is known
	case !ok:
		return "authserv-id cannot be read with certainty"
	}
	switch {
	case o.Strip == StripOwn:
		return ""
	case o.Strip == StripList:
		if sameAny(id, o.StripIDs) {
			return "authserv-id is on the list"
		}
		return ""
	case skipped == verify.SkipNetwork || skipped == verify.SkipLocal:
		return "" // a trusted client: RFC 8601 Section 5 asks only for our own id
	}
	return "written outside our trust boundary"
}

func (o Options) prefix() string {
	if o.Prefix == "" {
		return DefaultPrefix
	}
	return o.Prefix
}

func contains(nets []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func sameAny(id string, ids []string) bool {
	return slices.ContainsFunc(ids, func(other string) bool { return authres.SameID(id, other) })
}
