package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/spf"
)

// The bounds of what one row can hold, whatever the message and the records of its domains are like.
const (
	maxSignatures = 100 // RFC 9990 Section 2.1.3
	maxURIs       = 10  // as many as dmarc.Destinations looks at
	maxURI        = 1000
	maxReasons    = 5
	maxText       = 200 // octets of a text for people
)

// An Input is what is known about one message whose checks are done and whose fate is decided.
type Input struct {
	ClientIP   netip.Addr
	MailFrom   string // reverse-path without angle brackets, "" for the null reverse-path
	Evaluation dmarc.Evaluation
	SPF        []spf.Verification
	DKIM       []dkim.Verification

	// Disposition is what was done because the message failed DMARC: "", None, Quarantine or Reject. What was done for
	// other causes, such as a virus, does not belong into a report. It has no meaning for messages that pass.
	Disposition Disposition
	// Reasons are those of the receiver's own rules. They are reported if Disposition is not what the record asks for.
	Reasons []Reason
}

// NewRow returns what a report says about a message, and false if no report says anything about it:
//
//   - no policy record applies (none), or there is no single author domain (permerror): nobody asks for a report.
//   - the record names no address that mail can be sent to. Nothing is kept that cannot be sent.
//   - an answer of the DNS was missing (temperror). A report states for SPF and for DKIM that they are aligned or that they
//     are not (RFC 9990 Section 2.1, policy_evaluated), and neither is known. Such mail usually comes again.
//   - the client has no address that means anything to others: it is not known, or on this link. One on this host
//     is as good as any other: whoever trusts it does not have its mail checked.
func NewRow(in Input) (Row, bool) {
	ev := in.Evaluation
	ip := in.ClientIP.Unmap().WithZone("")
	nowhere := !ip.IsValid() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast()
	if nowhere || ev.Result != authres.Pass && ev.Result != authres.Fail {
		return Row{}, false
	}
	policy, ok := newPolicy(ev)
	from, err := dns.Canonical(ev.Domain)
	if !ok || err != nil {
		return Row{}, false
	}
	row := Row{
		Policy: policy, SourceIP: ip, HeaderFrom: from, EnvelopeFrom: mailDomain(in.MailFrom),
		DKIM: ev.DKIMAligned, SPF: ev.SPFAligned,
		Signatures: signatures(ev, in.DKIM), MailFrom: mailFrom(in.SPF),
	}
	row.Disposition, row.Reasons = in.disposition()
	return row, true
}

// newPolicy returns the policy that was published, with its defaults, and false if it asks for no report by mail.
func newPolicy(ev dmarc.Evaluation) (Policy, bool) {
	domain, err := dns.Canonical(ev.PolicyDomain)
	if err != nil {
		return Policy{}, false
	}
	record, err := dmarc.ParseRecord(ev.Record)
	if err != nil {
		return Policy{}, false
	}
	// RFC 9989 Section 4.10.1: without a valid p tag it counts as p=none, because there is an address for reports.
	record, ok := record.Effective()
	var uris []string
	for _, uri := range record.RUA[:min(len(record.RUA), maxURIs)] {
		if len(uri) <= maxURI {
			uris = append(uris, uri)
		}
	}
	if !ok || len(Addresses(uris)) == 0 {
		return Policy{}, false
	}
	p := Policy{
		Domain: domain, P: record.P, ADKIM: mode(record.StrictDKIM), ASPF: mode(record.StrictSPF),
		Discovery: string(dmarc.TreeWalk), FO: record.FO, Testing: record.Testing, URIs: uris,
	}
	if ev.Discovery == string(dmarc.PSL) {
		p.Discovery = ev.Discovery
	}
	// RFC 9989 Section 4.7: the default of sp is p, that of np is sp.
	p.SP = cmp.Or(record.SP, record.P)
	p.NP = cmp.Or(record.NP, p.SP)
	return p, true
}

// mode returns the value of an alignment tag.
func mode(strict bool) string {
	if strict {
		return "s"
	}
	return "r"
}

// disposition returns what was done because of DMARC, and why it is not what was asked for.
func (in Input) disposition() (Disposition, []Reason) {
	ev := in.Evaluation
	if ev.Result == authres.Pass {
		// RFC 9989 Section 3.2 (Enforcement): it is any policy but "none", t=y or not.
		if ev.Published == dmarc.PolicyQuarantine || ev.Published == dmarc.PolicyReject {
			return Pass, nil
		}
		return None, nil
	}
	done := None
	if in.Disposition == Quarantine || in.Disposition == Reject {
		done = in.Disposition
	}
	if string(done) == string(ev.Published) {
		return done, nil
	}
	return done, in.reasons(done)
}

// reasons says why a failing message was not treated as its domain's owner asks for. There is at least one (RFC 9990
// Section 2.1, policy_evaluated).
func (in Input) reasons(done Disposition) []Reason {
	ev := in.Evaluation
	var out []Reason
	add := func(r Reason) {
		r.Type = reasonType(r.Type)
		if r.Comment = clean(r.Comment, maxText); strings.Contains(r.Comment, "@") {
			r.Comment = "" // RFC 9990 Section 6.2: no addresses of persons
		}
		if !slices.Contains(out, r) && len(out) < maxReasons {
			out = append(out, r)
		}
	}
	if ev.Override != "" && string(done) == string(ev.Policy) {
		r := Reason{Type: ev.Override}
		if ev.Override == dmarc.OverrideTrustedForwarder && ev.Overrider != "" {
			r.Comment = "forwarded by " + ev.Overrider
		}
		add(r)
	}
	for _, r := range in.Reasons {
		add(r)
	}
	if len(out) == 0 {
		add(Reason{Type: dmarc.OverrideLocalPolicy})
	}
	return out
}

// reasonType returns a type of the schema.
func reasonType(s string) string {
	switch s {
	case dmarc.OverrideLocalPolicy, dmarc.OverrideMailingList, dmarc.OverridePolicyTestMode, dmarc.OverrideTrustedForwarder:
		return s
	}
	return dmarc.OverrideOther
}

// mailDomain returns the domain of a reverse-path, "" if it has none that is a name.
func mailDomain(path string) string {
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return ""
	}
	domain, err := dns.Canonical(path[at+1:])
	if err != nil {
		return ""
	}
	return domain
}

// mailFrom returns the result of SPF for MAIL FROM, the only identity that DMARC looks at. For the null reverse-path that
// is postmaster at the name of HELO (RFC 7208 Section 2.4). nil if no domain was checked.
func mailFrom(checks []spf.Verification) *SPFResult {
	i := slices.IndexFunc(checks, func(v spf.Verification) bool { return v.Identity == spf.MailFrom })
	if i < 0 || !validSPF(checks[i].Result) {
		return nil
	}
	v := checks[i]
	domain, err := dns.Canonical(v.Domain)
	if err != nil {
		return nil
	}
	r := &SPFResult{Domain: domain, Result: v.Result}
	switch v.Result {
	case authres.TempError, authres.PermError:
		r.Human = impersonal(clean(v.Reason, maxText), v.Sender)
	case authres.Fail, authres.SoftFail, authres.Neutral:
		// The directive is as it is published, while the place of the record may be made of its macros.
		if at := impersonal(cmp.Or(v.RecordAt, domain), v.Sender); v.Mechanism != "" && at != "" {
			r.Human = clean(v.Mechanism+" of "+at+" matches", maxText)
		}
	}
	return r
}

// signatures returns the results of the signatures that can be named, the more important ones first. Their order within
// a priority does not depend on the message, so that messages with the same signatures have the same row.
func signatures(ev dmarc.Evaluation, checks []dkim.Verification) []Signature {
	var out []Signature
	for _, v := range checks {
		domain, err := dns.Canonical(v.Domain)
		if err != nil || !isSelector(v.Selector) || !validDKIM(v.Result) {
			continue // RFC 9990 Section 2.1: domain and selector are required
		}
		s := Signature{Domain: domain, Selector: v.Selector, Result: v.Result}
		if v.Result != authres.Pass && v.Result != authres.None {
			s.Human = clean(lasting(v.Reason), maxText)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Signature) int {
		return cmp.Or(priority(ev, a)-priority(ev, b), compareSignatures(a, b))
	})
	return out[:min(len(out), maxSignatures)]
}

// priority orders signatures by RFC 9990 Section 2.1.3. It takes a domain for aligned that is in the organization of the
// author as far as names tell; to know would need the DNS.
func priority(ev dmarc.Evaluation, s Signature) int {
	switch {
	case s.Result != authres.Pass:
		return 3
	case s.Domain == ev.Domain:
		return 0
	case s.Domain == ev.DKIMDomain || !ev.StrictDKIM && within(s.Domain, ev.OrgDomain):
		return 1
	}
	return 2
}

// compareSignatures orders signatures of one priority.
func compareSignatures(a, b Signature) int {
	return cmp.Or(
		strings.Compare(a.Domain, b.Domain), strings.Compare(a.Selector, b.Selector),
		strings.Compare(string(a.Result), string(b.Result)), strings.Compare(a.Human, b.Human),
	)
}

// isSelector tells whether s is a selector in A-labels, in whatever case it was signed.
func isSelector(s string) bool {
	name, err := dns.Canonical(s)
	return err == nil && strings.EqualFold(s, name)
}

// within tells whether name is domain or below it. Both are canonical.
func within(name, domain string) bool {
	return domain != "" && (name == domain || strings.HasSuffix(name, "."+domain))
}

// validDKIM tells whether the schema knows a result of DKIM (RFC 8601 Section 2.7.1).
func validDKIM(r authres.Result) bool {
	switch r {
	case authres.None, authres.Pass, authres.Fail, authres.Policy, authres.Neutral, authres.TempError, authres.PermError:
		return true
	}
	return false
}

// validSPF tells whether the schema knows a result of SPF (RFC 8601 Section 2.7.2).
func validSPF(r authres.Result) bool { return r == authres.SoftFail || validDKIM(r) }
