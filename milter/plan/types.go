// Package plan turns a decision into the exact milter operations that carry it out. It is pure: it talks to nobody, and
// the same plan is executed by a milter session or applied to a file. A plan is complete or refused; there is no half.
package plan

import (
	"bytes"
	"io"
)

// Capabilities are the message modifications that the MTA granted during option negotiation.
type Capabilities struct {
	AddHeaders    bool // SMFIF_ADDHDRS: insert header fields
	ChangeHeaders bool // SMFIF_CHGHDRS: change and delete header fields
	ChangeBody    bool // SMFIF_CHGBODY
	Quarantine    bool // SMFIF_QUARANTINE
	AddRecipients bool // SMFIF_ADDRCPT
	// DeleteRecipients is SMFIF_DELRCPT.
	DeleteRecipients bool
}

// A Kind names an operation.
type Kind string

// The operations, in the only order in which a plan may hold them.
const (
	DeleteHeader Kind = "delete_header" // Name, Nth; descending per name
	ChangeHeader Kind = "change_header" // Name, Nth, Value
	InsertHeader Kind = "insert_header" // Name, Value at the top; the last one inserted ends on top
	// AddRecipient and DeleteRecipient have the address in Value, without angle brackets. One that is deleted is written as
	// the client wrote it, for MTAs compare it with that.
	AddRecipient    Kind = "add_recipient"
	DeleteRecipient Kind = "delete_recipient"
	ReplaceBody     Kind = "replace_body" // Body
	Hold            Kind = "quarantine"   // Value is the reason
)

// An Op is one modification of the message.
type Op struct {
	Kind  Kind   `json:"op"`
	Name  string `json:"name,omitempty"`
	Nth   int    `json:"nth,omitempty"`   // 1-based occurrence among fields of that name
	Value string `json:"value,omitempty"` // header values: folded with LF and blank, without leading blank
	Body  Body   `json:"-"`
}

// A Body is a new message body. It is valid until the message it was made from is closed.
type Body interface {
	// Open returns the octets from the first one, with CRLF line ends. It may be called more than once.
	Open() io.Reader
	// Size returns the number of octets.
	Size() int64
}

// A Bytes is a Body in memory.
type Bytes []byte

// Open implements Body.
func (b Bytes) Open() io.Reader { return bytes.NewReader(b) }

// Size implements Body.
func (b Bytes) Size() int64 { return int64(len(b)) }

// A Verdict is the final answer to the MTA. The zero value is TempFail.
type Verdict int

// The verdicts.
const (
	TempFail Verdict = iota // Reply is 4yz
	Accept                  // the message is delivered with the modifications
	Refuse                  // Reply is 5yz
	// Discard takes the message from the client without delivering it. It is right only for a message that has been made
	// durable elsewhere, in the quarantine.
	Discard
)

// A Plan is what will be done to the message: modifications, then one verdict. A message that is refused or
// discarded has no modifications.
// The zero Plan refuses temporarily.
type Plan struct {
	Ops     []Op
	Verdict Verdict
	Reply   string // complete SMTP reply for TempFail and Refuse, built by Reply; "" stands for DefaultReply
}
