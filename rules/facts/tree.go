// Package facts turns what verify and scan found out about a message into the facts that rules ask for: a tree of plain
// values with a documented name, type and meaning for each. It judges nothing, and it shows rules nothing that the table
// in doc.go does not describe.
//
// Every value is bounded and valid UTF-8, whatever the message holds. The bounds are the Max constants.
package facts

import "time"

// Bounds of the values of facts. What lies beyond is cut off.
const (
	MaxText      = 256 << 10 // octets of text
	MaxString    = 4 << 10   // octets of every other string
	MaxURLs      = 2000      // urls
	MaxObjects   = 1000      // attachments, and objects
	MaxInside    = 1000      // attachments[].inside
	MaxAddresses = 1000      // rcpts, from_all, reply_to
	MaxHeaders   = 1000      // names in headers, and values of one name
	MaxList      = 500       // every other list
)

// A Tree holds every fact. Its fields are the variables of rules.
type Tree struct {
	Conn          Conn                `cel:"conn" yaml:"conn"`
	Skipped       string              `cel:"skipped" yaml:"skipped"`
	MailFrom      Path                `cel:"mail_from" yaml:"mail_from"`
	Rcpts         []Path              `cel:"rcpts" yaml:"rcpts"`
	From          Mailbox             `cel:"from" yaml:"from"`
	FromAll       []Mailbox           `cel:"from_all" yaml:"from_all"`
	FromCount     int                 `cel:"from_count" yaml:"from_count"`
	FromProblem   string              `cel:"from_problem" yaml:"from_problem"`
	ReplyTo       []Mailbox           `cel:"reply_to" yaml:"reply_to"`
	Sender        Mailbox             `cel:"sender" yaml:"sender"`
	Subject       string              `cel:"subject" yaml:"subject"`
	Size          int                 `cel:"size" yaml:"size"`
	ReceivedAt    time.Time           `cel:"received_at" yaml:"received_at"`
	Headers       map[string][]string `cel:"headers" yaml:"headers"`
	MessageID     string              `cel:"message_id" yaml:"message_id"`
	ListID        string              `cel:"list_id" yaml:"list_id"`
	Forwarded     bool                `cel:"forwarded" yaml:"forwarded"`
	AutoSubmitted bool                `cel:"auto_submitted" yaml:"auto_submitted"`
	Text          string              `cel:"text" yaml:"text"`
	HTML          HTML                `cel:"html" yaml:"html"`
	URLs          []URL               `cel:"urls" yaml:"urls"`
	Attachments   []Object            `cel:"attachments" yaml:"attachments"`
	Objects       []Object            `cel:"objects" yaml:"objects"`
	Auth          Auth                `cel:"auth" yaml:"auth"`
	MIME          MIME                `cel:"mime" yaml:"mime"`
	Findings      []Finding           `cel:"findings" yaml:"findings"`
	Limits        Limits              `cel:"limits" yaml:"limits"`
	Virus         Virus               `cel:"virus" yaml:"virus"`
	Upstream      Upstream            `cel:"upstream" yaml:"upstream"`
}

// Conn is the connection that the message came in on.
type Conn struct {
	IP            string `cel:"ip" yaml:"ip"`
	RDNS          string `cel:"rdns" yaml:"rdns"`
	IPRev         string `cel:"iprev" yaml:"iprev"`
	Helo          string `cel:"helo" yaml:"helo"`
	TLS           bool   `cel:"tls" yaml:"tls"`
	TLSVersion    string `cel:"tls_version" yaml:"tls_version"`
	TLSCipher     string `cel:"tls_cipher" yaml:"tls_cipher"`
	TLSBits       int    `cel:"tls_bits" yaml:"tls_bits"`
	TLSClientCert bool   `cel:"tls_client_cert" yaml:"tls_client_cert"`
	SASLUser      string `cel:"sasl_user" yaml:"sasl_user"`
	Local         bool   `cel:"local" yaml:"local"`
	Daemon        string `cel:"daemon" yaml:"daemon"`
}

// A Path is a reverse-path or a forward-path (RFC 5321 Section 4.1.2).
type Path struct {
	Email     string `cel:"email" yaml:"email"`
	Local     string `cel:"local" yaml:"local"`
	Domain    string `cel:"domain" yaml:"domain"`
	OrgDomain string `cel:"org_domain" yaml:"org_domain"`
}

// A Mailbox is an address in a header field (RFC 5322 Section 3.4).
type Mailbox struct {
	Name      string `cel:"name" yaml:"name"`
	Email     string `cel:"email" yaml:"email"`
	Local     string `cel:"local" yaml:"local"`
	Domain    string `cel:"domain" yaml:"domain"`
	OrgDomain string `cel:"org_domain" yaml:"org_domain"`
}

// HTML sums up the HTML parts.
type HTML struct {
	Present  bool     `cel:"present" yaml:"present"`
	Active   []string `cel:"active" yaml:"active"`
	Forms    int      `cel:"forms" yaml:"forms"`
	Scripts  int      `cel:"scripts" yaml:"scripts"`
	Remote   int      `cel:"remote" yaml:"remote"`
	Trackers int      `cel:"trackers" yaml:"trackers"`
}

// A URL is an address that a reader can follow, or that a mail client loads.
type URL struct {
	Href      string `cel:"href" yaml:"href"`
	Scheme    string `cel:"scheme" yaml:"scheme"`
	Host      string `cel:"host" yaml:"host"`
	OrgDomain string `cel:"org_domain" yaml:"org_domain"`
	Text      string `cel:"text" yaml:"text"`
	TextHost  string `cel:"text_host" yaml:"text_host"`
	Mismatch  bool   `cel:"mismatch" yaml:"mismatch"`
	Source    string `cel:"source" yaml:"source"`
	Section   string `cel:"section" yaml:"section"`
}

// An Object is one file: an attachment, or what was found inside of one.
type Object struct {
	Name         string   `cel:"name" yaml:"name"`
	Names        []string `cel:"names" yaml:"names"`
	Ext          string   `cel:"ext" yaml:"ext"`
	Exts         []string `cel:"exts" yaml:"exts"`
	Type         string   `cel:"type" yaml:"type"`
	Sniffed      string   `cel:"sniffed" yaml:"sniffed"`
	Size         int      `cel:"size" yaml:"size"`
	Depth        int      `cel:"depth" yaml:"depth"`
	Section      string   `cel:"section" yaml:"section"`
	Path         string   `cel:"path" yaml:"path"`
	State        string   `cel:"state" yaml:"state"`
	Encrypted    bool     `cel:"encrypted" yaml:"encrypted"`
	Encryption   string   `cel:"encryption" yaml:"encryption"`
	Method       string   `cel:"method" yaml:"method"`
	Opened       string   `cel:"opened" yaml:"opened"`
	HasMacros    bool     `cel:"has_macros" yaml:"has_macros"`
	Active       bool     `cel:"active" yaml:"active"`
	Executable   bool     `cel:"executable" yaml:"executable"`
	HTML         bool     `cel:"html" yaml:"html"`
	DoubleExt    bool     `cel:"double_ext" yaml:"double_ext"`
	RTLO         bool     `cel:"rtlo" yaml:"rtlo"`
	TypeMismatch bool     `cel:"type_mismatch" yaml:"type_mismatch"`
	Traits       []string `cel:"traits" yaml:"traits"`
	Inside       []string `cel:"inside" yaml:"inside"`
	SHA256       string   `cel:"sha256" yaml:"sha256"`
	Inline       bool     `cel:"inline" yaml:"inline"`
}

// Auth holds the outcomes of authentication. A check that was not made reads "none".
type Auth struct {
	SPF   SPF   `cel:"spf" yaml:"spf"`
	DKIM  DKIM  `cel:"dkim" yaml:"dkim"`
	DMARC DMARC `cel:"dmarc" yaml:"dmarc"`
	ARC   ARC   `cel:"arc" yaml:"arc"`
	SMIME SMIME `cel:"smime" yaml:"smime"`
	PGP   PGP   `cel:"pgp" yaml:"pgp"`
}

// SPF is the outcome of RFC 7208.
type SPF struct {
	Result     string `cel:"result" yaml:"result"`
	Domain     string `cel:"domain" yaml:"domain"`
	Aligned    bool   `cel:"aligned" yaml:"aligned"`
	HeloResult string `cel:"helo_result" yaml:"helo_result"`
	Reason     string `cel:"reason" yaml:"reason"`
}

// DKIM sums up the signatures of RFC 6376.
type DKIM struct {
	Result     string      `cel:"result" yaml:"result"`
	Aligned    bool        `cel:"aligned" yaml:"aligned"`
	Signatures []Signature `cel:"signatures" yaml:"signatures"`
}

// A Signature is one DKIM-Signature field.
type Signature struct {
	Result     string `cel:"result" yaml:"result"`
	Domain     string `cel:"domain" yaml:"domain"`
	Selector   string `cel:"selector" yaml:"selector"`
	Identifier string `cel:"identifier" yaml:"identifier"`
	Aligned    bool   `cel:"aligned" yaml:"aligned"`
	Bits       int    `cel:"bits" yaml:"bits"`
	Algorithm  string `cel:"algorithm" yaml:"algorithm"`
	Testing    bool   `cel:"testing" yaml:"testing"`
	Reason     string `cel:"reason" yaml:"reason"`
}

// DMARC is the outcome of RFC 9989.
type DMARC struct {
	Result       string `cel:"result" yaml:"result"`
	Policy       string `cel:"policy" yaml:"policy"`
	Published    string `cel:"published" yaml:"published"`
	Domain       string `cel:"domain" yaml:"domain"`
	OrgDomain    string `cel:"org_domain" yaml:"org_domain"`
	PolicyDomain string `cel:"policy_domain" yaml:"policy_domain"`
	Testing      bool   `cel:"testing" yaml:"testing"`
	Reason       string `cel:"reason" yaml:"reason"`
	Override     string `cel:"override" yaml:"override"`
}

// ARC is the state of the chain of RFC 8617.
type ARC struct {
	Result        string   `cel:"result" yaml:"result"`
	Instance      int      `cel:"instance" yaml:"instance"`
	TrustedSealer bool     `cel:"trusted_sealer" yaml:"trusted_sealer"`
	Sealer        string   `cel:"sealer" yaml:"sealer"`
	Sealers       []string `cel:"sealers" yaml:"sealers"`
	OriginalDMARC string   `cel:"original_dmarc" yaml:"original_dmarc"`
	OriginalFrom  string   `cel:"original_from" yaml:"original_from"`
}

// SMIME is the verdict about the S/MIME protection.
type SMIME struct {
	Signed          bool      `cel:"signed" yaml:"signed"`
	Encrypted       bool      `cel:"encrypted" yaml:"encrypted"`
	Opened          bool      `cel:"opened" yaml:"opened"`
	Result          string    `cel:"result" yaml:"result"`
	State           string    `cel:"state" yaml:"state"`
	Reason          string    `cel:"reason" yaml:"reason"`
	Whole           bool      `cel:"whole" yaml:"whole"`
	SignerEmail     string    `cel:"signer_email" yaml:"signer_email"`
	SignerName      string    `cel:"signer_name" yaml:"signer_name"`
	Organization    string    `cel:"organization" yaml:"organization"`
	Issuer          string    `cel:"issuer" yaml:"issuer"`
	Root            string    `cel:"root" yaml:"root"`
	Trust           string    `cel:"trust" yaml:"trust"`
	Identity        string    `cel:"identity" yaml:"identity"`
	Revocation      string    `cel:"revocation" yaml:"revocation"`
	ValidationLevel string    `cel:"validation_level" yaml:"validation_level"`
	Qualified       string    `cel:"qualified" yaml:"qualified"`
	NotAfter        time.Time `cel:"not_after" yaml:"not_after"`
	SelfSigned      bool      `cel:"self_signed" yaml:"self_signed"`
	Private         bool      `cel:"private" yaml:"private"`
	Flags           []string  `cel:"flags" yaml:"flags"`
}

// PGP says whether OpenPGP (RFC 9580) was used. It is not verified.
type PGP struct {
	Signed    bool `cel:"signed" yaml:"signed"`
	Encrypted bool `cel:"encrypted" yaml:"encrypted"`
}

// MIME describes how the message is built.
type MIME struct {
	Parts   int      `cel:"parts" yaml:"parts"`
	Depth   int      `cel:"depth" yaml:"depth"`
	Defects []string `cel:"defects" yaml:"defects"`
	Tier    string   `cel:"tier" yaml:"tier"`
}

// A Finding is one observation of a scanner.
type Finding struct {
	Kind    string `cel:"kind" yaml:"kind"`
	Section string `cel:"section" yaml:"section"`
	Detail  string `cel:"detail" yaml:"detail"`
	Count   int    `cel:"count" yaml:"count"`
}

// Limits says whether anything was too much to be looked at.
type Limits struct {
	Exceeded bool     `cel:"exceeded" yaml:"exceeded"`
	Names    []string `cel:"names" yaml:"names"`
}

// Virus is what the virus scanners say.
type Virus struct {
	State string   `cel:"state" yaml:"state"`
	Names []string `cel:"names" yaml:"names"`
	Error string   `cel:"error" yaml:"error"`
}

// Upstream is what a spam filter before this one has written into the header.
type Upstream struct {
	SpamFlag  bool    `cel:"spam_flag" yaml:"spam_flag"`
	SpamScore float64 `cel:"spam_score" yaml:"spam_score"`
}
