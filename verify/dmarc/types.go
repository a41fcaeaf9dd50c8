// Package dmarc evaluates Domain-based Message Authentication, Reporting, and Conformance: is the domain in From the
// one that SPF or DKIM authenticated, and what does its owner ask for? It never applies the policy it finds.
//
// RFC 9989.
package dmarc

import "assay/verify/authres"

// A Policy is what a domain owner asks for when a message fails (RFC 9989, p, sp and np tags).
type Policy string

// The policies a record can ask for. The zero value means that no record was found.
const (
	PolicyNone       Policy = "none"
	PolicyQuarantine Policy = "quarantine"
	PolicyReject     Policy = "reject"
)

// An Evaluation is the outcome for one message. It is a value: what it means is for the rules to say.
type Evaluation struct {
	Result       authres.Result // pass, fail, none, temperror, permerror
	Reason       string         // why, in words; never empty unless Result is pass
	Domain       string         // author domain, A-labels, lower case; "" when From names none
	OrgDomain    string         // organizational domain of Domain
	PolicyDomain string         // where the record was found, "" without a record
	Record       string         // the record as published
	Published    Policy         // the policy that applies to this message before t= (p, sp or np); "" without a record
	Policy       Policy         // what is to be applied if the result is fail, see Evaluate; "" on none, temperror, permerror
	Testing      bool           // t=y
	StrictSPF    bool           // aspf=s
	StrictDKIM   bool           // adkim=s
	SPFAligned   bool           // SPF passed for an aligned MAIL FROM domain
	DKIMAligned  bool           // at least one signature passed for an aligned d=
	DKIMDomain   string         // d= of the signature that aligned first
	Override     string         // why Policy is not Published, with RFC 9990's words; "" when it is, or on pass
	Overrider    string         // the domain of the Override, or the forwarder, that Override is about
	Discovery    string         // "treewalk" or "psl"
	Difference   string         // with Options.Discovery "both": what PSL discovery would have changed, "" for nothing
	ReportURIs   []string       // rua= URIs of the record, syntactically valid ones
	Steps        []string       // every step in words, if Options.Explain
}
