package filter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"assay/milter/headers"
	"assay/milter/plan"
	"assay/milter/quarantine"
	"assay/rules"
	"assay/verify"
	"assay/verify/message"
)

// A Place says where quarantined mail is kept. The zero value is PlaceHold.
type Place string

// The places.
const (
	PlaceHold    Place = "hold"    // the MTA's own queue
	PlaceStore   Place = "store"   // a Store; the MTA discards it
	PlaceMailbox Place = "mailbox" // a mailbox, with the envelope in header fields
)

// A Store keeps messages. It is called concurrently. *quarantine.Store is one.
type Store interface {
	// Keep returns the id under which a message was made durable, or an error: then the message is deferred.
	Keep(ctx context.Context, m io.WriterTo, e quarantine.Entry) (string, error)
	// Redeem spends the token of a message that claims to be released. An error that wraps quarantine.ErrToken means that it
	// is a message like any other one; with another error it is deferred.
	Redeem(ctx context.Context, value, sum string) (*quarantine.Redeemed, error)
	// Restore makes a token good again whose message the MTA did not get.
	Restore(ctx context.Context, r *quarantine.Redeemed) error
}

// A Quarantine says what becomes of quarantined mail. The zero value holds it in the queue of the MTA.
type Quarantine struct {
	Place     Place
	Mailbox   string        // for PlaceMailbox
	Release   rules.Release // who may release mail about which no rule says so; "" means operators
	Store     Store         // for PlaceStore, Originals and released mail; nil for none
	Originals bool          // also keep the original of every message whose body is changed
}

// release returns who may release a message.
func (q Quarantine) release(d rules.Decision) rules.Release {
	return cmp.Or(d.Release, q.Release, rules.ReleaseOperator)
}

// isolate plans what becomes of a message that is quarantined elsewhere than in the queue of the MTA. What is kept is the
// message as it was received.
func (f *Filter) isolate(ctx context.Context, o *Outcome, m *message.Message, caps plan.Capabilities) plan.Plan {
	o.Amendment = Amendment{Kept: o.Amendment.Kept}
	if f.opt.Quarantine.Place == PlaceMailbox {
		return f.redirect(o, caps)
	}
	id, err := f.keep(ctx, o, m)
	if err != nil {
		return o.fail("%v", err)
	}
	o.Quarantined, o.Headers, o.Removed = id, nil, nil
	return plan.Discarding()
}

// keep stores a message, together with the fields that it gets when it is released.
func (f *Filter) keep(ctx context.Context, o *Outcome, m *message.Message) (string, error) {
	if f.opt.Quarantine.Store == nil {
		return "", errors.New("there is no store for quarantined mail")
	}
	released := *o
	released.Decision.Disposition = rules.Deliver
	if err := f.fields(&released); err != nil {
		return "", err
	}
	e := f.entry(o, m)
	e.Kind, e.Fields = quarantine.Message, released.Headers
	return f.opt.Quarantine.Store.Keep(ctx, m, e)
}

// keepOriginal stores the original of a message whose body is changed, if that is wanted.
func (f *Filter) keepOriginal(ctx context.Context, o *Outcome, m *message.Message) (err error) {
	if !f.keepsOriginals() || o.Amendment.body == nil {
		return nil
	}
	e := f.entry(o, m)
	e.Kind = quarantine.Original
	o.OriginalKept, err = f.opt.Quarantine.Store.Keep(ctx, m, e)
	return err
}

// keepsOriginals reports whether originals are kept.
func (f *Filter) keepsOriginals() bool {
	return f.opt.Quarantine.Originals && f.opt.Quarantine.Store != nil
}

// entry describes a message.
func (f *Filter) entry(o *Outcome, m *message.Message) quarantine.Entry {
	env := &o.Envelope
	e := quarantine.Entry{
		Received: env.ReceivedAt, QueueID: env.QueueID, ClientName: env.ClientName, Helo: env.Helo, MailFrom: env.MailFrom,
		RcptTo: env.RcptTo, AuthUser: env.AuthUser, SMTPUTF8: env.SMTPUTF8, Subject: m.Header.Text("Subject"),
		MessageID: strings.TrimSpace(m.Header.Text("Message-ID")), Reason: o.Decision.Reason, Class: f.opt.Quarantine.release(o.Decision),
	}
	if env.ClientIP.IsValid() {
		e.Client = env.ClientIP.String()
	}
	if boxes := m.Header.Author().Mailboxes; len(boxes) > 0 {
		e.Author = boxes[0].Local + "@" + boxes[0].Domain
	}
	for _, match := range o.Decision.Rules {
		if match.Enforced {
			e.Rules = append(e.Rules, match.ID)
		}
	}
	return e
}

// redirect sends a message to the quarantine mailbox instead of its recipients. Who they were stands in its header.
func (f *Filter) redirect(o *Outcome, caps plan.Capabilities) plan.Plan {
	if err := f.fields(o); err != nil {
		return o.fail("%v", err)
	}
	o.Headers = append(o.Headers, f.envelopeFields(o)...)
	p, err := plan.Build(append(f.headerOps(o), f.recipientOps(o)...), caps)
	if err != nil {
		return o.fail("%v", err)
	}
	return p
}

// recipientOps replace the recipients by the quarantine mailbox. If it is one of them, it stays.
func (f *Filter) recipientOps(o *Outcome) []plan.Op {
	var ops []plan.Op
	stays, seen := false, map[string]bool{}
	for _, r := range o.Envelope.RcptTo {
		switch {
		case strings.EqualFold(r, f.opt.Quarantine.Mailbox):
			stays = true
		case !seen[r]:
			seen[r] = true
			ops = append(ops, plan.Op{Kind: plan.DeleteRecipient, Value: r})
		}
	}
	if !stays {
		ops = append(ops, plan.Op{Kind: plan.AddRecipient, Value: f.opt.Quarantine.Mailbox})
	}
	return ops
}

// maxEnvelopeField bounds one of the fields that name recipients, in octets; further ones follow.
const maxEnvelopeField = 16 << 10

// envelopeFields returns the fields that say what the message was before it was redirected.
func (f *Filter) envelopeFields(o *Outcome) []rules.HeaderField {
	prefix := cmp.Or(f.opt.Headers.Prefix, headers.DefaultPrefix) + "-Quarantine-"
	all := []rules.HeaderField{
		{Name: prefix + "Reason", Value: headers.Text(prefix+"Reason", cmp.Or(o.Decision.Reason, "quarantined by policy"))},
		{Name: prefix + "Release", Value: string(f.opt.Quarantine.release(o.Decision))},
	}
	if ip := o.Envelope.ClientIP; ip.IsValid() {
		all = append(all, rules.HeaderField{Name: prefix + "Client", Value: ip.String()})
	}
	all = append(all, rules.HeaderField{Name: prefix + "From", Value: path(o.Envelope.MailFrom)})
	list := ""
	for _, r := range o.Envelope.RcptTo {
		one := path(r)
		if list != "" && len(list)+len(one) > maxEnvelopeField {
			all, list = append(all, rules.HeaderField{Name: prefix + "To", Value: list}), ""
		}
		if list != "" {
			list += ",\n "
		}
		list += one
	}
	return append(all, rules.HeaderField{Name: prefix + "To", Value: list})
}

// path writes an address as SMTP does, in angle brackets and in ASCII. What could end the brackets or the field is \xHH, as
// is a backslash itself.
func path(address string) string {
	var b strings.Builder
	b.WriteByte('<')
	for i := range len(address) {
		switch c := address[i]; {
		case c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '\\':
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('>')
	return b.String()
}

// redeem looks whether a message comes from the quarantine. One that only claims so is a message like any other one, and
// loses the field. Only the topmost field counts: a release puts the token on top, and a field of that name in the mail of the
// sender must not keep operators from releasing it.
func (t *Transaction) redeem(ctx context.Context, m *message.Message) error {
	store := t.filter.opt.Quarantine.Store
	name := quarantine.TokenField(cmp.Or(t.filter.opt.Headers.Prefix, headers.DefaultPrefix))
	if store == nil {
		return nil
	}
	for i, field := range m.Header {
		if !strings.EqualFold(field.Name, name) {
			continue
		}
		sum, err := quarantine.SumBelow(m, i)
		if err != nil {
			return err
		}
		t.redeemed, err = store.Redeem(ctx, field.Text(), sum)
		if errors.Is(err, quarantine.ErrToken) || errors.Is(err, quarantine.ErrNotFound) {
			t.outcome.Forged = err.Error()
			return nil
		}
		return err
	}
	return nil
}

// giveBack makes the token good again if the MTA has not taken the message.
func (t *Transaction) giveBack(err error) {
	if t.redeemed == nil || err == nil && t.outcome.Plan.Verdict == plan.Accept {
		return
	}
	// The message's own context may have ended.
	if failed := t.filter.opt.Quarantine.Store.Restore(context.Background(), t.redeemed); failed != nil && t.outcome.Failure == "" {
		t.outcome.Failure = failed.Error()
	}
}

// released plans the delivery of a message from the quarantine: as it was received, with the fields about what was found
// when it came. Nothing of it is judged again: somebody has decided.
func (t *Transaction) released(m *message.Message, caps plan.Capabilities) plan.Plan {
	f, o, e := t.filter, t.outcome, t.redeemed.Entry
	o.Released = e.ID
	o.Results = verify.Results{Author: m.Header.Author(), Skipped: verify.SkipNetwork}
	o.Decision = rules.Decision{Disposition: rules.Deliver, Trust: rules.Unverified, Reason: "released from the quarantine"}
	// What is removed is what was forged when the message came in.
	then := o.Envelope
	then.ClientIP, _ = netip.ParseAddr(e.Client)
	removed, err := f.opt.Headers.Removals(headers.Subject{Envelope: &then, Decision: o.Decision}, m.Header)
	if err != nil {
		return o.fail("%v", err)
	}
	o.Removed = removed
	o.Headers = append([]rules.HeaderField{}, e.Fields...)
	prefix := cmp.Or(f.opt.Headers.Prefix, headers.DefaultPrefix)
	o.Headers = append(o.Headers, rules.HeaderField{Name: prefix + "-Released", Value: e.ID})
	p, err := plan.Build(f.headerOps(o), caps)
	if err != nil {
		return o.fail("%v", err)
	}
	return p
}
