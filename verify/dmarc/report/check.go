package report

import (
	"errors"
	"fmt"
	"slices"

	"assay/verify/dmarc"
	"assay/verify/dns"
)

// check says what keeps a report from being a document of the schema. Rows that NewRow has made are as they have to be, but
// reports are made of what was stored.
func (r Report) check() error {
	if err := r.Metadata.check(); err != nil {
		return err
	}
	if err := r.Policy.check(); err != nil {
		return fmt.Errorf("report: policy: %w", err)
	}
	if len(r.Records) == 0 {
		return errors.New("report: there are no records") // RFC 9990 Section 2.1: at least one
	}
	for i, record := range r.Records {
		if record.Count <= 0 {
			return fmt.Errorf("report: record %d: count of %d", i+1, record.Count)
		}
		if err := record.Row.check(); err != nil {
			return fmt.Errorf("report: record %d: %w", i+1, err)
		}
	}
	return nil
}

// check says what is wrong with the metadata.
func (m Metadata) check() error {
	switch {
	case clean(m.OrgName, maxText) == "":
		return errors.New("report: the name of the organization is missing")
	case clean(m.Email, maxAddress) == "":
		return errors.New("report: the address of the organization is missing")
	case !isReportID(m.ID):
		return fmt.Errorf("report: %q is not a Report-ID", m.ID)
	}
	return m.Period.check()
}

// check says what is wrong with a policy.
func (p Policy) check() error {
	for _, policy := range []dmarc.Policy{p.P, p.SP, p.NP} {
		switch policy {
		case "", dmarc.PolicyNone, dmarc.PolicyQuarantine, dmarc.PolicyReject:
		default:
			return fmt.Errorf("policy %q", policy)
		}
	}
	modes := []string{"r", "s"}
	methods := []string{string(dmarc.TreeWalk), string(dmarc.PSL)}
	switch {
	case p.P == "":
		return errors.New("there is none")
	case !slices.Contains(modes, p.ADKIM) || !slices.Contains(modes, p.ASPF):
		return fmt.Errorf("alignment %q, %q", p.ADKIM, p.ASPF)
	case !slices.Contains(methods, p.Discovery):
		return fmt.Errorf("discovery %q", p.Discovery)
	}
	return checkNames(p.Domain)
}

// check says what is wrong with a row.
func (r Row) check() error {
	if !r.SourceIP.IsValid() || r.SourceIP.Zone() != "" || r.SourceIP != r.SourceIP.Unmap() {
		return fmt.Errorf("address %s", r.SourceIP)
	}
	if !slices.Contains([]Disposition{None, Pass, Quarantine, Reject}, r.Disposition) {
		return fmt.Errorf("disposition %q", r.Disposition)
	}
	for _, reason := range r.Reasons {
		if reason.Type != reasonType(reason.Type) {
			return fmt.Errorf("reason %q", reason.Type)
		}
	}
	if err := r.checkResults(); err != nil {
		return err
	}
	if r.EnvelopeFrom == "" {
		return checkNames(r.HeaderFrom)
	}
	return checkNames(r.HeaderFrom, r.EnvelopeFrom)
}

// checkResults says what is wrong with the results of SPF and DKIM.
func (r Row) checkResults() error {
	if len(r.Signatures) > maxSignatures {
		return fmt.Errorf("%d signatures", len(r.Signatures))
	}
	for _, s := range r.Signatures {
		if !validDKIM(s.Result) {
			return fmt.Errorf("DKIM result %q", s.Result)
		}
		if !isSelector(s.Selector) {
			return fmt.Errorf("selector %q", s.Selector)
		}
		if err := checkNames(s.Domain); err != nil {
			return err
		}
	}
	if r.MailFrom == nil {
		return nil
	}
	if !validSPF(r.MailFrom.Result) {
		return fmt.Errorf("SPF result %q", r.MailFrom.Result)
	}
	return checkNames(r.MailFrom.Domain)
}

// checkNames says which of the names is not a domain name in A-labels and lower case.
func checkNames(names ...string) error {
	for _, name := range names {
		if canonical, err := dns.Canonical(name); err != nil || canonical != name {
			return fmt.Errorf("domain %q", name)
		}
	}
	return nil
}
