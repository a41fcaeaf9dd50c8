// Package message is Assay's model of one email: the octets exactly as the MTA handed them over, and an index into
// them. It never re-serialises: whoever needs octets gets the received ones, by offset. Parsing never rejects a
// message; what cannot be understood is recorded as a Defect for the rules to judge.
//
// A message comes from a Builder, which takes what a milter receives, or from Read, which takes a file. Both keep to
// documented Limits. Long bodies lie in a temporary file without a name, which is the one effect this package has.
//
// RFC 5321 (envelope), RFC 5322 (header and body), RFC 2045 to 2049 (MIME), RFC 3501 Section 6.4.5 (section numbers),
// RFC 6532 (internationalised headers).
package message

import (
	"net/netip"
	"time"
)

// An Envelope is what SMTP said about a message (RFC 5321), completed by what the MTA knows of the connection.
type Envelope struct {
	QueueID     string     // the MTA's name for the message, "" if it gave none
	ClientIP    netip.Addr // unmapped; the zero Addr when the MTA named none (unix socket, unknown)
	ClientName  string     // PTR name as reported by the MTA, "" or "unknown" when there is none
	Helo        string     // argument of HELO or EHLO as given
	MailFrom    string     // reverse-path without angle brackets; "" is the null reverse-path
	RcptTo      []string   // forward-paths without angle brackets, as given, in order; only the accepted ones
	SMTPUTF8    bool       // MAIL FROM carried the SMTPUTF8 parameter (RFC 6531)
	AuthUser    string     // SASL identity, "" if the client did not authenticate (RFC 4954)
	AuthMethod  string     // SASL mechanism, "" if unknown
	Local       bool       // submitted on this host through sendmail(1), no SMTP client
	TLS         TLSInfo    // the zero value means that the hop was not encrypted
	ReceiverMTA string     // name of the receiving MTA (its j macro), "" if it gave none
	Daemon      string     // the MTA's daemon or service name ({daemon_name} macro), "" if it gave none
	ReceivedAt  time.Time  // the instant every check of this message is evaluated at
}

// TLSInfo describes the transport encryption of the last hop.
type TLSInfo struct {
	Version     string // "TLSv1.3"; "" means that the hop was not encrypted
	Cipher      string // IANA or OpenSSL name as the MTA reports it
	Bits        int    // secret bits of the cipher, 0 if unknown
	CertSubject string // client certificate's subject as the MTA reports it
	CertIssuer  string // client certificate's issuer as the MTA reports it
	Verified    bool   // the MTA verified the client certificate
}

// A Message is one complete email and the envelope it arrived in. It is immutable and safe for concurrent use until
// Close. Parsing never rejects a message: what cannot be understood is recorded in Defects for the rules to judge.
type Message struct {
	Envelope Envelope
	Header   Header   // top-level header section, in wire order
	Root     *Part    // MIME tree; a non-MIME message is a single text/plain leaf
	Defects  []Defect // departures from RFC 5322 and MIME, in message order

	headerSize int64  // octets of the header section including the empty line that ends it
	head       []byte // those octets; the fields of Header are slices of it
	body       body   // the octets behind it
	exceeded   error  // the limits beyond which octets are missing
}

// A Header is a header section in wire order (RFC 5322 Section 2.2).
type Header []Field

// A Field is one header field, unmodified.
type Field struct {
	Name string // field name as written, without blanks before the colon
	Raw  []byte // "Name: value" with folding and final CRLF
	Nth  int    // 1-based occurrence among fields of the same name, as the milter protocol counts
}

// A Part is one node of the MIME tree. Offsets count octets from the first octet of the message.
type Part struct {
	Section     string            // IMAP section (RFC 3501): "1", "1.2"; of a multipart as body "" at the top, else "3.TEXT"
	Parent      *Part             // nil for the root
	Children    []*Part           // parts of a multipart, or the one message inside a message/rfc822
	Header      Header            // the part's own header fields; for the root those of the message
	MediaType   string            // lower-case "type/subtype" with the defaults of RFC 2045 Section 5.2
	Params      map[string]string // Content-Type parameters, names in lower case, RFC 2231 decoded
	Encoding    string            // Content-Transfer-Encoding in lower case, "7bit" by default
	Disposition string            // Content-Disposition type in lower case, "" if absent
	Filename    string            // decoded file name from Content-Disposition or Content-Type, "" if none
	Offset      int64             // first octet of the part's header
	BodyOffset  int64             // first octet of the part's body
	End         int64             // first octet behind the body; the CRLF before a delimiter is not part of it
	Preamble    Range             // of a multipart: text before the first delimiter line
	Epilogue    Range             // of a multipart: text behind the closing delimiter line
	Closed      bool              // of a multipart: the closing delimiter was found
}

// A Range is a half-open interval of octets, counted from the first octet of the message.
type Range struct{ Start, End int64 }

// A Defect is one departure from the standards that a parser could be confused by. Codes are stable.
type Defect struct {
	Code    string // "mime.boundary.missing", "header.nul", ...
	Section string // section of the part; "" for the fields of the top-level header and for the message as a whole
	Detail  string // for people; may quote the message, so it is escaped wherever it is shown
}

// An Author is what the RFC 5322 From fields of a message say. Exactly one field with exactly one mailbox is what
// DMARC and S/MIME need; every other shape is named in Problem, and never ends as "no author".
type Author struct {
	Mailboxes []Mailbox     // every mailbox found, in order of appearance over all From fields
	Fields    int           // number of From fields
	Problem   AuthorProblem // "" when there is exactly one field with exactly one valid mailbox
}

// An AuthorProblem says why a message has no single author.
type AuthorProblem string

// The problems an author can have. When several apply, the first of this list is reported.
const (
	AuthorMissing       AuthorProblem = "missing"        // no From field, or an empty one
	AuthorSeveralFields AuthorProblem = "several-fields" // more than one From field
	AuthorMalformed     AuthorProblem = "malformed"      // not an RFC 5322 mailbox-list
	AuthorSeveral       AuthorProblem = "several"        // more than one mailbox
	AuthorGroup         AuthorProblem = "group"          // group syntax (RFC 6854)
)

// A Mailbox is one RFC 5322 mailbox.
type Mailbox struct {
	Name   string // decoded display name, "" if absent
	Local  string // local part with quoting removed
	Domain string // in lower case and as A-labels (RFC 5890)
}
