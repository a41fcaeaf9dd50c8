package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"assay/verify/dns"
)

// maxID bounds a Report-ID. RFC 2046 Section 5.1.1: a boundary, which is made of it, has at most 70 characters.
const maxID = 64

// NewID returns the Report-ID of the report of a receiver about a policy domain and a period. It depends on nothing else, so
// that a report that is sent again has the same (RFC 9990 Section 2.5.2). Node tells the hosts of one receiver apart that
// report for themselves, "" if only one does.
//
// It consists of letters and digits, because Section 2.1.4 asks for one identifier in the document, the Subject and the
// file name, and a file name takes nothing else. It begins with the day, for people.
func NewID(receiver, policyDomain string, p Period, node string) string {
	parts := []string{canonical(receiver), canonical(policyDomain), bounds(p), node}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return p.Begin.UTC().Format("20060102") + hex.EncodeToString(sum[:12])
}

// canonical returns the canonical form of a name, or s if it is none.
func canonical(s string) string {
	if name, err := dns.Canonical(s); err == nil {
		return name
	}
	return s
}

// bounds returns the first and the last second of a period, as a file name has them.
func bounds(p Period) string {
	return strconv.FormatInt(p.begin(), 10) + "!" + strconv.FormatInt(p.end(), 10)
}

// begin returns the first second of the period.
func (p Period) begin() int64 { return p.Begin.Unix() }

// end returns the last second of the period.
func (p Period) end() int64 { return p.End.Unix() - 1 }

// check says what is wrong with a period.
func (p Period) check() error {
	if p.begin() < 0 || p.end() < p.begin() {
		return fmt.Errorf("report: no period: %s to %s", p.Begin, p.End)
	}
	return nil
}

// Filename returns the name of the compressed document (RFC 9990 Section 2.5.2):
// receiver!policy-domain!begin!end!id.xml.gz, or without "!id" if that is "". U-labels become A-labels. The error says which
// part cannot stand in such a name.
func Filename(receiver, policyDomain string, p Period, id string) (string, error) {
	names, err := names(receiver, policyDomain)
	if err != nil {
		return "", err
	}
	if err := p.check(); err != nil {
		return "", err
	}
	if id != "" {
		if !isUnique(id) {
			return "", fmt.Errorf("report: %q cannot stand in a file name", id)
		}
		id = "!" + id
	}
	return names[0] + "!" + names[1] + "!" + bounds(p) + id + ".xml.gz", nil
}

// Subject returns the Subject of the mail (RFC 9990 Section 2.5.2, dmarc-subject), not folded: "Report Domain:
// policy-domain Submitter: receiver Report-ID: <id>".
func Subject(policyDomain, receiver, id string) (string, error) {
	names, err := names(receiver, policyDomain)
	if err != nil {
		return "", err
	}
	if !isReportID(id) {
		return "", fmt.Errorf("report: %q is not a Report-ID", id)
	}
	return "Report Domain: " + names[1] + " Submitter: " + names[0] + " Report-ID: <" + id + ">", nil
}

// names returns the canonical forms of the receiver's name and the policy domain.
func names(receiver, policyDomain string) ([2]string, error) {
	r, err := dns.Canonical(receiver)
	if err != nil {
		return [2]string{}, fmt.Errorf("report: receiver: %w", err)
	}
	p, err := dns.Canonical(policyDomain)
	if err != nil {
		return [2]string{}, fmt.Errorf("report: policy domain: %w", err)
	}
	return [2]string{r, p}, nil
}

// isReportID tells whether s is a Report-ID (RFC 9990 Section 2.5.1, ridfmt).
func isReportID(s string) bool {
	left, right, found := strings.Cut(s, "@")
	return len(s) <= maxID && isDotAtom(left) && (!found || isDotAtom(right))
}

// isUnique tells whether s can be the unique-id of a file name.
func isUnique(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= maxID
}
