// Package report shows what Assay found out about one message: as JSON, an interface that scripts rely on, and as text
// for people.
//
// The JSON is stable: within version 1 members are added, never renamed, removed or changed in meaning. Every array is
// present, [] when empty; a time that is unknown is null. packaging/explain-json.md documents it.
package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"assay/milter/filter"
	"assay/milter/plan"
	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/iprev"
	"assay/verify/message"
	"assay/verify/spf"
)

// Version is the version of the JSON.
const Version = 1

// A Report is everything that was found out and decided about one message.
type Report struct {
	Version   int        `json:"version"`
	Envelope  Envelope   `json:"envelope"`
	Size      int64      `json:"size"`
	Parts     int        `json:"parts"`
	Results   Results    `json:"results"`
	Objects   []Object   `json:"objects"`
	Virus     Virus      `json:"virus"`
	Findings  []Finding  `json:"findings"`
	Defects   []Defect   `json:"defects"`
	Decision  Decision   `json:"decision"`
	Plan      []Op       `json:"plan"`
	Headers   []Header   `json:"headers"`
	Removed   []Removed  `json:"removed"`
	Amendment Amendment  `json:"amendment"`
	Traces    []Trace    `json:"traces"`
	Facts     any        `json:"facts"`
	Diff      string     `json:"diff"`
	DNS       []Question `json:"dns"`
	Faults    []Fault    `json:"faults"`
	ElapsedMS float64    `json:"elapsed_ms"`
	Failure   string     `json:"failure"`
}

// An Envelope is what SMTP said about the message.
type Envelope struct {
	QueueID    string   `json:"queue_id"`
	ClientIP   string   `json:"client_ip"`
	ClientName string   `json:"client_name"`
	Helo       string   `json:"helo"`
	MailFrom   string   `json:"mail_from"`
	RcptTo     []string `json:"rcpt_to"`
	AuthUser   string   `json:"auth_user"`
	TLSVersion string   `json:"tls_version"`
	ReceivedAt string   `json:"received_at"`
}

// Results are the outcomes of every check.
type Results struct {
	Author  Author  `json:"author"`
	Skipped string  `json:"skipped"`
	Auth    Auth    `json:"auth"`
	SPF     []SPF   `json:"spf"`
	DKIM    []DKIM  `json:"dkim"`
	ARC     ARC     `json:"arc"`
	DMARC   DMARC   `json:"dmarc"`
	SMIME   []SMIME `json:"smime"`
	IPRev   IPRev   `json:"iprev"`
}

// Author is what From says.
type Author struct {
	Mailboxes []Mailbox `json:"mailboxes"`
	Fields    int       `json:"fields"`
	Problem   string    `json:"problem"`
}

// A Mailbox is one mailbox in From.
type Mailbox struct {
	Name   string `json:"name"`
	Local  string `json:"local"`
	Domain string `json:"domain"`
}

// Auth is the SMTP authentication of the client.
type Auth struct {
	Result authres.Result `json:"result"`
	Reason string         `json:"reason"`
	User   string         `json:"user"`
}

// SPF is one SPF check.
type SPF struct {
	Result      authres.Result `json:"result"`
	Reason      string         `json:"reason"`
	Identity    string         `json:"identity"`
	Domain      string         `json:"domain"`
	Sender      string         `json:"sender"`
	Mechanism   string         `json:"mechanism"`
	Record      string         `json:"record"`
	RecordAt    string         `json:"record_at"`
	Explanation string         `json:"explanation"`
	Lookups     int            `json:"lookups"`
	Voids       int            `json:"voids"`
	Queries     int            `json:"queries"`
	Steps       []string       `json:"steps"`
}

// DKIM is one DKIM signature.
type DKIM struct {
	Result           authres.Result `json:"result"`
	Reason           string         `json:"reason"`
	Domain           string         `json:"domain"`
	Selector         string         `json:"selector"`
	Identifier       string         `json:"identifier"`
	Algorithm        string         `json:"algorithm"`
	Canonicalization string         `json:"canonicalization"`
	KeyBits          int            `json:"key_bits"`
	KeySecure        bool           `json:"key_secure"`
	SignedHeaders    []string       `json:"signed_headers"`
	BodyLength       *int64         `json:"body_length"`
	Signed           *time.Time     `json:"signed"`
	Expires          *time.Time     `json:"expires"`
	Testing          bool           `json:"testing"`
	Signature        string         `json:"signature"`
	Nth              int            `json:"nth"`
	Steps            []string       `json:"steps"`
}

// ARC is the ARC chain.
type ARC struct {
	Result     authres.Result `json:"result"`
	Reason     string         `json:"reason"`
	Instance   int            `json:"instance"`
	OldestPass int            `json:"oldest_pass"`
	Sealers    []string       `json:"sealers"`
	Trusted    bool           `json:"trusted"`
	DMARC      authres.Result `json:"dmarc"`
	DMARCFrom  string         `json:"dmarc_from"`
	Steps      []string       `json:"steps"`
}

// DMARC is the DMARC evaluation.
type DMARC struct {
	Result       authres.Result `json:"result"`
	Reason       string         `json:"reason"`
	Domain       string         `json:"domain"`
	OrgDomain    string         `json:"org_domain"`
	PolicyDomain string         `json:"policy_domain"`
	Policy       string         `json:"policy"`
	Published    string         `json:"published"`
	Testing      bool           `json:"testing"`
	Record       string         `json:"record"`
	StrictSPF    bool           `json:"strict_spf"`
	StrictDKIM   bool           `json:"strict_dkim"`
	SPFAligned   bool           `json:"spf_aligned"`
	DKIMAligned  bool           `json:"dkim_aligned"`
	DKIMDomain   string         `json:"dkim_domain"`
	Override     string         `json:"override"`
	Overrider    string         `json:"overrider"`
	Discovery    string         `json:"discovery"`
	Difference   string         `json:"difference"`
	ReportURIs   []string       `json:"report_uris"`
	Steps        []string       `json:"steps"`
}

// IPRev is the check of the client's name.
type IPRev struct {
	Result authres.Result `json:"result"`
	Reason string         `json:"reason"`
	IP     string         `json:"ip"`
	Name   string         `json:"name"`
	Names  []string       `json:"names"`
	Steps  []string       `json:"steps"`
}

// A Finding is one observation about the content.
type Finding struct {
	Kind    string `json:"kind"`
	Section string `json:"section"`
	Detail  string `json:"detail"`
	Count   int    `json:"count"`
}

// A Defect is one departure from the standards.
type Defect struct {
	Code    string `json:"code"`
	Section string `json:"section"`
	Detail  string `json:"detail"`
}

// A Decision is what the rules decided.
type Decision struct {
	Disposition string            `json:"disposition"`
	Reply       string            `json:"reply"`
	Reason      string            `json:"reason"`
	Trust       string            `json:"trust"`
	Rules       []Match           `json:"rules"`
	Exempt      []rules.Exemption `json:"exempt"`
	Errors      []rules.Failure   `json:"errors"`
	Tags        []string          `json:"tags"`
	Notes       []string          `json:"notes"`
	Notify      []string          `json:"notify"`
	Set         string            `json:"set"`
}

// An Op is one modification of the message.
type Op struct {
	Op    string `json:"op"`
	Name  string `json:"name"`
	Nth   int    `json:"nth"`
	Value string `json:"value"`
}

// A Header is one field that is added, folded with LF.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Removed is one inbound field that is taken out.
type Removed struct {
	Name   string `json:"name"`
	Nth    int    `json:"nth"`
	Reason string `json:"reason"`
}

// A Question is one DNS question.
type Question struct {
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Answer     []string `json:"answer"`
	Error      string   `json:"error"`
	TTL        int64    `json:"ttl"`
	DurationMS float64  `json:"duration_ms"`
	Asked      int      `json:"asked"`
	Cached     bool     `json:"cached"`
	Secure     bool     `json:"secure"`
	Stale      bool     `json:"stale"`
}

// A Fault is a check that panicked, which is a bug; its result is permerror.
type Fault struct {
	Check string `json:"check"`
	Cause string `json:"cause"`
}

// New returns the report of an outcome, whose message is still open.
func New(o *filter.Outcome) Report {
	r := Report{
		Version: Version, Envelope: NewEnvelope(&o.Envelope), Size: o.Size, Parts: o.Parts,
		Results:   NewResults(o.Results),
		Objects:   each(o.Report.Objects, newObject),
		Virus:     newVirus(o.Report.Virus),
		Findings:  each(o.Report.Findings, newFinding),
		Defects:   each(o.Defects, func(d message.Defect) Defect { return Defect{d.Code, d.Section, d.Detail} }),
		Decision:  newDecision(o),
		Plan:      each(o.Plan.Ops, func(p plan.Op) Op { return Op{string(p.Kind), p.Name, p.Nth, p.Value} }),
		Headers:   each(o.Headers, func(h rules.HeaderField) Header { return Header(h) }),
		Removed:   newRemoved(o),
		Amendment: newAmendment(o.Amendment),
		Traces:    each(o.Traces, newTrace),
		DNS:       NewQuestions(o.Questions),
		Faults:    each(o.Results.Faults, func(f verify.Fault) Fault { return Fault{f.Check, f.Cause} }),
		ElapsedMS: milliseconds(o.Elapsed),
		Failure:   o.Failure,
	}
	if o.Facts != nil {
		r.Facts = o.Facts.Dump()
	}
	return r
}

func newFinding(f scan.Finding) Finding {
	return Finding{string(f.Kind), f.Section, f.Detail, max(f.Count, 1)}
}

// NewEnvelope returns the report of an envelope.
func NewEnvelope(e *message.Envelope) Envelope {
	r := Envelope{QueueID: e.QueueID, ClientName: e.ClientName, Helo: e.Helo, MailFrom: e.MailFrom, RcptTo: present(e.RcptTo),
		AuthUser: e.AuthUser, TLSVersion: e.TLS.Version}
	if e.ClientIP.IsValid() {
		r.ClientIP = e.ClientIP.String()
	}
	if !e.ReceivedAt.IsZero() {
		r.ReceivedAt = e.ReceivedAt.UTC().Format(time.RFC3339)
	}
	return r
}

// NewResults returns the report of all checks. A check that was not made has the result none, and says why.
func NewResults(r verify.Results) Results {
	out := Results{
		Author: NewAuthor(r.Author), Skipped: string(r.Skipped),
		Auth: Auth{Result: orNone(r.Auth.Result), User: r.Auth.User},
		SPF:  NewSPF(r.SPF), DKIM: NewDKIM(r.DKIM), ARC: NewARC(r.ARC), DMARC: NewDMARC(r.DMARC), SMIME: NewSMIME(r.SMIME),
		IPRev: NewIPRev(r.IPRev),
	}
	if r.Skipped != "" {
		reason := "not checked: " + string(r.Skipped)
		out.ARC.Reason, out.DMARC.Reason, out.IPRev.Reason = reason, reason, reason
	}
	return out
}

// NewAuthor returns the report of what From says.
func NewAuthor(a message.Author) Author {
	return Author{Fields: a.Fields, Problem: string(a.Problem),
		Mailboxes: each(a.Mailboxes, func(m message.Mailbox) Mailbox { return Mailbox(m) })}
}

// NewSPF returns the report of SPF checks.
func NewSPF(vs []spf.Verification) []SPF {
	return each(vs, func(v spf.Verification) SPF {
		return SPF{Result: orNone(v.Result), Reason: v.Reason, Identity: string(v.Identity), Domain: v.Domain, Sender: v.Sender,
			Mechanism: v.Mechanism, Record: v.Record, RecordAt: v.RecordAt, Explanation: v.Explanation, Lookups: v.Lookups,
			Voids: v.Voids, Queries: v.Queries, Steps: present(v.Steps)}
	})
}

// NewDKIM returns the report of DKIM signatures.
func NewDKIM(vs []dkim.Verification) []DKIM {
	return each(vs, func(v dkim.Verification) DKIM {
		d := DKIM{Result: orNone(v.Result), Reason: v.Reason, Domain: v.Domain, Selector: v.Selector, Identifier: v.Identifier,
			Algorithm: v.Algorithm, Canonicalization: v.Canonicalization, KeyBits: v.KeyBits, KeySecure: v.KeySecure,
			SignedHeaders: present(v.SignedHeaders), Signed: instant(v.Signed), Expires: instant(v.Expires), Testing: v.Testing,
			Signature: v.SignaturePrefix, Nth: v.FieldNth, Steps: present(v.Steps)}
		if v.BodyLength >= 0 {
			d.BodyLength = &v.BodyLength
		}
		return d
	})
}

// NewARC returns the report of a chain.
func NewARC(v arc.Verification) ARC {
	return ARC{Result: orNone(v.Result), Reason: v.Reason, Instance: v.Instance, OldestPass: v.OldestPass,
		Sealers: present(v.Sealers), Trusted: v.Trusted, DMARC: v.DMARC, DMARCFrom: v.DMARCFrom, Steps: present(v.Steps)}
}

// NewDMARC returns the report of an evaluation.
func NewDMARC(v dmarc.Evaluation) DMARC {
	return DMARC{Result: orNone(v.Result), Reason: v.Reason, Domain: v.Domain, OrgDomain: v.OrgDomain,
		PolicyDomain: v.PolicyDomain, Policy: string(v.Policy), Published: string(v.Published), Testing: v.Testing,
		Record: v.Record, StrictSPF: v.StrictSPF, StrictDKIM: v.StrictDKIM, SPFAligned: v.SPFAligned,
		DKIMAligned: v.DKIMAligned, DKIMDomain: v.DKIMDomain, Override: v.Override,
		Overrider: v.Overrider, Discovery: v.Discovery, Difference: v.Difference,
		ReportURIs: present(v.ReportURIs), Steps: present(v.Steps)}
}

// NewIPRev returns the report of the check of the client's name.
func NewIPRev(v iprev.Verification) IPRev {
	r := IPRev{Result: orNone(v.Result), Reason: v.Reason, Name: v.Name, Names: present(v.Names), Steps: present(v.Steps)}
	if v.IP.IsValid() {
		r.IP = v.IP.String()
	}
	return r
}

// NewQuestions returns the report of DNS questions, by name and type: they are asked side by side, so their order in time
// says nothing and differs from run to run.
func NewQuestions(qs []dns.Question) []Question {
	qs = slices.SortedStableFunc(slices.Values(qs), func(a, b dns.Question) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return each(qs, func(q dns.Question) Question {
		return Question{Name: q.Name, Type: q.Type, Answer: present(q.Answer), Error: q.Err, TTL: int64(q.TTL / time.Second),
			DurationMS: milliseconds(q.Duration), Asked: q.Asked, Cached: q.Cached, Secure: q.Secure, Stale: q.Stale}
	})
}

// newDecision returns the report of the decision; the reply is what the client is told.
func newDecision(o *filter.Outcome) Decision {
	return Decision{Disposition: o.Decision.Disposition.String(), Reply: strings.ReplaceAll(o.Plan.Text(), "\r\n", "\n"),
		Reason: o.Decision.Reason, Trust: string(o.Decision.Trust), Rules: each(o.Decision.Rules, newMatch),
		Exempt: present(o.Decision.Exempt), Errors: present(o.Decision.Errors), Tags: present(o.Decision.Tags), Notes: present(o.Decision.Notes),
		Notify: each(o.Decision.Notify, func(n rules.Notification) string { return n.Channel }), Set: o.Decision.Set}
}

// newRemoved returns the report of removed fields.
func newRemoved(o *filter.Outcome) []Removed {
	out := make([]Removed, len(o.Removed))
	for i, r := range o.Removed {
		out[i] = Removed{Name: r.Name, Nth: r.Nth, Reason: r.Reason}
	}
	return out
}

// each maps a slice; the result is never nil.
func each[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

// present returns a slice that is not nil.
func present[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

// instant returns a pointer to a time, nil for the zero Time.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// orNone returns none for a check that was not made.
func orNone(r authres.Result) authres.Result {
	if r == "" {
		return authres.None
	}
	return r
}

// milliseconds returns a duration in milliseconds, to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
