// Package quarantine keeps messages that are not to be delivered, and gives them out again. Each message is one file that
// describes itself; an SQLite index beside the files makes them fast to find and can be made again from them at any time.
//
// A message is durable, file and directory, before Keep returns: only then the MTA may be told that it was taken. A crash
// at any point leaves the message with the sender, or in the quarantine, or in both; it never leaves half of one.
//
// What it refuses to do: it never delivers anything by itself. A release hands the original octets to the MTA again, with
// one field on top that makes the filter accept them once (token.go), and every release and every deletion is written to
// an append-only log with the person and the reason before it happens.
package quarantine

import (
	"errors"
	"slices"
	"strings"
	"time"

	"assay/rules"
)

// A Kind says why something is kept.
type Kind string

// The kinds. The zero value is treated as Message.
const (
	Message  Kind = "message"  // kept instead of being delivered
	Original Kind = "original" // as received, of a message that was changed and delivered
)

// A State says what became of an entry.
type State string

// The states.
const (
	Held     State = "held"     // nobody has got it, or not all of its recipients
	Released State = "released" // every recipient has got it
)

// An Entry is one message in the quarantine. Texts in it come from the message and may hold anything.
type Entry struct {
	ID       string    `json:"id"`
	Kind     Kind      `json:"kind"`
	State    State     `json:"state"`
	Received time.Time `json:"received"`

	QueueID    string   `json:"queue_id"` // of the MTA that received it
	Client     string   `json:"client"`   // address, "" for local submission
	ClientName string   `json:"client_name"`
	Helo       string   `json:"helo"`
	MailFrom   string   `json:"mail_from"` // "" is the null reverse-path
	RcptTo     []string `json:"rcpt_to"`
	AuthUser   string   `json:"auth_user"`
	SMTPUTF8   bool     `json:"smtputf8"`

	Author    string   `json:"author"` // the address in From
	Subject   string   `json:"subject"`
	MessageID string   `json:"message_id"`
	Reason    string   `json:"reason"`
	Rules     []string `json:"rules"` // ids of the rules that were enforced

	Class  rules.Release `json:"class"` // who may release it
	Size   int64         `json:"size"`
	SHA256 string        `json:"sha256"` // of the octets as received, lower-case hex

	// Fields are the header fields that Assay would have added, top one first. They are added when it is released, so that
	// a recipient reads what was found when the message arrived.
	Fields []rules.HeaderField `json:"-"`
}

// Options configure a Store.
type Options struct {
	Dir       string
	KeyFile   string        // key of tokens; "" for the file "key" in Dir. Hosts that release for each other share one
	Prefix    string        // of Assay's header fields; default X-Assay
	TokenLife time.Duration // how long a release may take; default 48 h, which covers the queue of an MTA
	Create    bool          // makes the directory if it is missing
	Now       func() time.Time
}

// Defaults of Options.
const (
	defaultPrefix    = "X-Assay"
	defaultTokenLife = 48 * time.Hour
)

// withDefaults returns o with every unset field filled in.
func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.TokenLife <= 0 {
		o.TokenLife = defaultTokenLife
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Errors that callers distinguish.
var (
	ErrNotFound  = errors.New("quarantine: there is no such entry")
	ErrDamaged   = errors.New("quarantine: the file is not what was stored")
	ErrForbidden = errors.New("quarantine: this may not be released")
	ErrReleased  = errors.New("quarantine: it is released already")
	ErrToken     = errors.New("quarantine: the token is not valid")
)

// idAlphabet are the characters of an id: no letter that is mistaken for a digit when an id is read out.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// newID returns the id of an entry: the second it was received in, which sorts, and 30 random bits.
func newID(at time.Time, random uint32) string {
	id := []byte("q0000000-000000")
	unix := at.Unix()
	for i := 7; i >= 1; i-- {
		id[i] = idAlphabet[unix&31]
		unix >>= 5
	}
	for i := len(id) - 1; i > 8; i-- {
		id[i] = idAlphabet[random&31]
		random >>= 5
	}
	return string(id)
}

// ValidID reports whether id can be that of an entry. Only such an id ever becomes part of a path.
func ValidID(id string) bool {
	if len(id) != 15 || id[0] != 'q' || id[8] != '-' {
		return false
	}
	return strings.Trim(id[1:8]+id[9:], idAlphabet) == ""
}

// Has reports whether address is one of the recipients, as far as case in the domain and, as practically everywhere, in
// the local part does not count.
func (e *Entry) Has(address string) bool {
	return slices.ContainsFunc(e.RcptTo, func(r string) bool { return strings.EqualFold(r, address) })
}
