package filter

import (
	"errors"
	"slices"

	"assay/verify/message"
	"assay/verify/smime"
)

// Why a message that was opened is delivered as it was received.
const (
	keptEncrypted       = "the part is encrypted"
	keptUnauthenticated = "opened, but it may have been changed on the way: only what is authenticated is delivered opened"
	keptOtherRecipient  = "opened, but it is not encrypted for every recipient of the message"
	keptOtherHeader     = "opened, but it has a header of its own that would be lost"
	keptNotSevenBit     = "opened, but it has lines or octets that mail servers may change on the way"
	keptUnread          = "opened, but too large or too complex to be delivered so"
)

// errEncrypted is why content that a rule calls dangerous cannot be taken out.
var errEncrypted = errors.New("it is encrypted")

// deliverOpened puts what was inside of an encrypted message in the place of the encryption, if the administrator wants it so. A
// signature inside stays what it is. What was not authenticated is never delivered opened: the mail program would show it like
// any other mail, and whoever had altered the encrypted text would have got it opened. Nor is what was encrypted for one person
// delivered opened to another: else everybody with a mailbox here could have the mail of others opened that he has got hold of.
func (f *Filter) deliverOpened(o *Outcome, m *message.Message) error {
	a, opening := &o.Amendment, o.Results.SMIME.Opening
	if !f.opt.Opened || opening == nil || len(a.Kept) > 0 { // what should have been taken out must not be more in sight than before
		return nil
	}
	keep := func(reason string) error {
		a.Kept = append(a.Kept, Kept{m.Root.Section, reason})
		return nil
	}
	switch {
	case !opening.Authenticated:
		return keep(keptUnauthenticated)
	case len(o.Envelope.RcptTo) == 0, slices.ContainsFunc(o.Envelope.RcptTo, func(rcpt string) bool { return !opening.For(rcpt) }):
		return keep(keptOtherRecipient)
	}
	inner, err := smime.ReadOpened(opening.Entity(), m.Envelope, message.Limits{})
	if err != nil {
		return err
	}
	adopted, err := m.Adopt(inner)
	switch {
	case errors.Is(err, message.ErrOtherHeader):
		return keep(keptOtherHeader)
	case errors.Is(err, message.ErrNotSevenBit):
		return keep(keptNotSevenBit)
	case err != nil:
		return keep(keptUnread)
	}
	a.body = adopted
	a.changed("decrypted")
	a.SHA256, err = digest(m)
	return err
}
