package report

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"assay/verify/authres"
)

// namespace is that of RFC 9990 Section 5.1.
const namespace = "urn:ietf:params:xml:ns:dmarc-2.0"

// maxErrors bounds the error element in octets: RFC 9990 Section 2.1.5 asks for a text that is not extremely large.
const maxErrors = 1000

// Metadata says who reports about which period (RFC 9990 Section 2.1, report_metadata).
type Metadata struct {
	OrgName      string
	Email        string // whom to ask about reports
	ExtraContact string // such as the address of a page, "" for none
	ID           string // Report-ID, see NewID
	Period       Period
	Errors       []string // problems with the record of the policy domain
	Generator    string   // name and version of the program, "" for none
}

// A Report is what one receiver says about one policy domain and one period.
type Report struct {
	Metadata Metadata
	Policy   Policy   // as it was published last within the period
	Records  []Record // in any order. Their own Row.Policy has no place in a report
}

// The elements of the schema (RFC 9990 Appendix A), in its order.
type (
	xmlMetadata struct {
		XMLName      xml.Name  `xml:"report_metadata"`
		OrgName      string    `xml:"org_name"`
		Email        string    `xml:"email"`
		ExtraContact string    `xml:"extra_contact_info,omitempty"`
		ReportID     string    `xml:"report_id"`
		Range        xmlPeriod `xml:"date_range"`
		Error        string    `xml:"error,omitempty"`
		Generator    string    `xml:"generator,omitempty"`
	}
	xmlPeriod struct {
		Begin int64 `xml:"begin"`
		End   int64 `xml:"end"`
	}
	xmlPolicy struct {
		XMLName   xml.Name `xml:"policy_published"`
		Domain    string   `xml:"domain"`
		P         string   `xml:"p"`
		SP        string   `xml:"sp,omitempty"`
		NP        string   `xml:"np,omitempty"`
		ADKIM     string   `xml:"adkim"`
		ASPF      string   `xml:"aspf"`
		Discovery string   `xml:"discovery_method"`
		FO        string   `xml:"fo,omitempty"`
		Testing   string   `xml:"testing"`
	}
	xmlRecord struct {
		XMLName     xml.Name       `xml:"record"`
		SourceIP    string         `xml:"row>source_ip"`
		Count       int64          `xml:"row>count"`
		Evaluated   xmlEvaluated   `xml:"row>policy_evaluated"`
		Identifiers xmlIdentifiers `xml:"identifiers"`
		Results     xmlResults     `xml:"auth_results"`
	}
	xmlEvaluated struct {
		Disposition string      `xml:"disposition"`
		DKIM        string      `xml:"dkim"`
		SPF         string      `xml:"spf"`
		Reasons     []xmlReason `xml:"reason"`
	}
	xmlReason struct {
		Type    string `xml:"type"`
		Comment string `xml:"comment,omitempty"`
	}
	xmlIdentifiers struct {
		HeaderFrom   string `xml:"header_from"`
		EnvelopeFrom string `xml:"envelope_from,omitempty"`
	}
	xmlResults struct {
		DKIM []xmlDKIM `xml:"dkim"`
		SPF  *xmlSPF   `xml:"spf"`
	}
	xmlDKIM struct {
		Domain   string `xml:"domain"`
		Selector string `xml:"selector"`
		Result   string `xml:"result"`
		Human    string `xml:"human_result,omitempty"`
	}
	xmlSPF struct {
		Domain string `xml:"domain"`
		Scope  string `xml:"scope"`
		Result string `xml:"result"`
		Human  string `xml:"human_result,omitempty"`
	}
)

// WriteXML writes a report as a document of the schema (RFC 9990 Appendix A). The same report gives the same octets, in
// whatever order its records are; records that differ in nothing the document says are one. The error says what in the
// report the schema has no place for, before anything is written, or is that of w.
func WriteXML(w io.Writer, r Report) error {
	if err := r.check(); err != nil {
		return err
	}
	out := &failing{w: w}
	fmt.Fprintf(out, "%s<feedback xmlns=%q>\n  <version>1.0</version>\n", xml.Header, namespace)
	e := xml.NewEncoder(out)
	e.Indent("  ", "  ")
	err := errors.Join(e.Encode(r.Metadata.element()), e.Encode(r.Policy.element()))
	for _, record := range merge(r.Records) {
		if err == nil {
			err = e.Encode(record.element())
		}
	}
	if err == nil {
		_, err = io.WriteString(out, "\n</feedback>\n")
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// A failing writer writes nothing behind its first error.
type failing struct {
	w   io.Writer
	err error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.w.Write(b)
	f.err = err
	return n, err
}

// merge returns the records in the order of the document, those with equal rows as one. RFC 9990 Section 2.1: there is one
// policy in a report and one record for each tuple, so the policies of rows do not tell them apart.
func merge(records []Record) []Record {
	type place struct {
		ip  netip.Addr
		key string
		at  int // in records
	}
	places := make([]place, 0, len(records))
	for i := range records {
		row := records[i].Row
		row.Policy = Policy{}
		places = append(places, place{row.SourceIP, row.key(), i})
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(a.ip.Compare(b.ip), strings.Compare(a.key, b.key)) })
	out := make([]Record, 0, len(records))
	for i, p := range places {
		r := records[p.at]
		if i > 0 && p.key == places[i-1].key {
			out[len(out)-1].Count += r.Count
			continue
		}
		r.Row.Policy = Policy{}
		out = append(out, r)
	}
	return out
}

// key returns what tells rows apart.
func (r Row) key() string {
	b, err := json.Marshal(r)
	if err != nil {
		return "" // cannot be: a Row holds nothing that JSON does not know
	}
	return string(b)
}

// element returns the report_metadata element.
func (m Metadata) element() xmlMetadata {
	return xmlMetadata{
		OrgName: clean(m.OrgName, maxText), Email: clean(m.Email, maxAddress), ExtraContact: clean(m.ExtraContact, maxErrors),
		ReportID: m.ID, Range: xmlPeriod{m.Period.begin(), m.Period.end()},
		Error: clean(strings.Join(m.Errors, "; "), maxErrors), Generator: clean(m.Generator, maxText),
	}
}

// element returns the policy_published element.
func (p Policy) element() xmlPolicy {
	testing := "n"
	if p.Testing {
		testing = "y"
	}
	return xmlPolicy{
		Domain: p.Domain, P: string(p.P), SP: string(p.SP), NP: string(p.NP), ADKIM: p.ADKIM, ASPF: p.ASPF,
		Discovery: p.Discovery, FO: clean(p.FO, maxText), Testing: testing,
	}
}

// element returns the record element.
func (r Record) element() xmlRecord {
	row := r.Row
	out := xmlRecord{
		SourceIP: row.SourceIP.String(), Count: r.Count,
		Evaluated: xmlEvaluated{
			Disposition: string(row.Disposition), DKIM: aligned(row.DKIM), SPF: aligned(row.SPF),
		},
		Identifiers: xmlIdentifiers{HeaderFrom: row.HeaderFrom, EnvelopeFrom: row.EnvelopeFrom},
	}
	for _, reason := range row.Reasons {
		out.Evaluated.Reasons = append(out.Evaluated.Reasons, xmlReason{reason.Type, clean(reason.Comment, maxText)})
	}
	for _, s := range row.Signatures {
		out.Results.DKIM = append(out.Results.DKIM, xmlDKIM{s.Domain, s.Selector, string(s.Result), clean(s.Human, maxText)})
	}
	if s := row.MailFrom; s != nil {
		out.Results.SPF = &xmlSPF{s.Domain, "mfrom", string(s.Result), clean(s.Human, maxText)}
	}
	return out
}

// aligned returns a DMARCResultType.
func aligned(pass bool) string {
	if pass {
		return string(authres.Pass)
	}
	return string(authres.Fail)
}
