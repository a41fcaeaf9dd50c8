package report

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"time"
)

// A Mail is a report on its way to one address.
type Mail struct {
	From      string    // whose domain passes DMARC for this mail (RFC 9990 Section 2.5.2)
	To        string    // see Addresses
	Date      time.Time // when it is sent
	MessageID string    // without angle brackets; "" means one that is the same whenever this report is sent to To
	Receiver  string    // the name of the reporting mail receiver, the Submitter
	Report    Report
}

// Compose returns the mail with a report as a complete message with CRLF (RFC 9990 Section 2.5.2): a text for people, and the
// document compressed by gzip. The same Mail gives the same octets. No line has more than 998 octets, and all are US-ASCII.
func Compose(m Mail) ([]byte, error) {
	header, err := m.header()
	if err != nil {
		return nil, err
	}
	id := m.Report.Metadata.ID
	name, err := Filename(m.Receiver, m.Report.Policy.Domain, m.Report.Metadata.Period, id)
	if err != nil {
		return nil, err
	}
	document, err := m.Report.Compress()
	if err != nil {
		return nil, err
	}
	boundary := "=_" + id // neither text nor base64 has a line that begins with "--"
	var b bytes.Buffer
	b.WriteString(header)
	fmt.Fprintf(&b, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%q\r\n\r\n", boundary)
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n", boundary)
	b.WriteString("Content-Transfer-Encoding: quoted-printable\r\n\r\n")
	text := quotedprintable.NewWriter(&b)
	_, _ = text.Write([]byte(m.text())) // a Buffer takes everything
	_ = text.Close()
	fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: application/gzip;\r\n name=%q\r\n", boundary, name)
	fmt.Fprintf(&b, "Content-Disposition: attachment;\r\n filename=%q\r\n", name)
	b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
	writeBase64(&b, document)
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes(), nil
}

// header returns the fields that do not depend on the content.
func (m Mail) header() (string, error) {
	from, ok := parseAddress(m.From)
	if !ok {
		return "", fmt.Errorf("report: From: %q is not an address", m.From)
	}
	to, ok := parseAddress(m.To)
	if !ok {
		return "", fmt.Errorf("report: To: %q is not an address", m.To)
	}
	id := m.Report.Metadata.ID
	subject, err := Subject(m.Report.Policy.Domain, m.Receiver, id)
	if err != nil {
		return "", err
	}
	if m.Date.IsZero() {
		return "", errors.New("report: there is no date")
	}
	messageID := m.MessageID
	if messageID == "" {
		// RFC 9990 Section 2.5.2: the Report-ID may be part of it. One message goes to one address.
		sum := sha256.Sum256([]byte(to))
		messageID = id + "." + hex.EncodeToString(sum[:4]) + "@" + canonical(m.Receiver)
	}
	left, right, found := strings.Cut(messageID, "@")
	if !found || !isDotAtom(left) || !isDotAtom(right) || len(messageID) > 2*maxAddress {
		return "", fmt.Errorf("report: %q is not a message identifier", messageID)
	}
	// RFC 5322 Section 2.2.3: lines are folded at the white space of the Subject's grammar.
	subject = strings.NewReplacer(" Submitter:", "\r\n Submitter:", " Report-ID:", "\r\n Report-ID:").Replace(subject)
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nSubject: %s\r\nMessage-ID: <%s>\r\nAuto-Submitted: auto-generated\r\n",
		from, to, m.Date.Format(time.RFC1123Z), subject, messageID), nil
}

// text returns what people read.
func (m Mail) text() string {
	meta := m.Report.Metadata
	var messages, passed int64
	for _, r := range m.Report.Records {
		messages += r.Count
		if r.Row.DKIM || r.Row.SPF {
			passed += r.Count
		}
	}
	period := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
	var b strings.Builder
	fmt.Fprintf(&b, "This is an aggregate report of DMARC (RFC 9990) for the domain\n\n    %s\n\n", m.Report.Policy.Domain)
	fmt.Fprintf(&b, "from %s (%s).\n\n", clean(meta.OrgName, maxText), canonical(m.Receiver))
	fmt.Fprintf(&b, "From:     %s\nTo:       %s\n", period(meta.Period.Begin), period(meta.Period.End.Add(-time.Second)))
	fmt.Fprintf(&b, "Messages: %d, of which %d passed DMARC and %d failed\n", messages, passed, messages-passed)
	fmt.Fprintf(&b, "Records:  %d\nReport:   %s\n\n", len(merge(m.Report.Records)), meta.ID)
	b.WriteString("The report is attached. It is sent because the DMARC policy record of the\n")
	b.WriteString("domain asks for such reports at this address (tag rua).\n\n")
	fmt.Fprintf(&b, "Questions about it: %s\n", clean(meta.Email, maxAddress))
	if extra := clean(meta.ExtraContact, maxErrors); extra != "" {
		b.WriteString(extra + "\n")
	}
	return strings.ReplaceAll(b.String(), "\n", "\r\n")
}

// Compress returns the document compressed by gzip (RFC 1952), without a time in it: the same report gives the same octets.
func (r Report) Compress() ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if err := WriteXML(z, r); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b.Bytes(), nil
}

// base64Line is how many octets make a line of 76 characters (RFC 2045 Section 6.8).
const base64Line = 57

// writeBase64 writes lines of base64.
func writeBase64(b *bytes.Buffer, data []byte) {
	for len(data) > 0 {
		n := min(len(data), base64Line)
		b.Write(base64.StdEncoding.AppendEncode(nil, data[:n]))
		b.WriteString("\r\n")
		data = data[n:]
	}
}
