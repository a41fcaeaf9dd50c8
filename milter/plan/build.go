package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of Build. Each one refuses the whole plan.
var (
	// ErrCapability means that the MTA did not grant a modification the plan needs.
	ErrCapability = errors.New("plan: the MTA did not grant a needed modification")
	// ErrInvalid means that an operation could damage the message.
	ErrInvalid = errors.New("plan: invalid operation")
)

// Build orders ops, checks each of them, and returns the plan that accepts the message with these modifications. The
// order is the one that both MTAs carry out alike: deletes descending per name, because Postfix renumbers after each;
// then changes, then inserts, so that deleting never hits a field that was just inserted; then recipients, new ones
// first, so that there is always one; then the body in one piece; then the quarantine. On error the plan is the zero Plan, which refuses temporarily.
func Build(ops []Op, caps Capabilities) (Plan, error) {
	for _, op := range ops {
		if err := op.check(caps); err != nil {
			return Plan{}, err
		}
	}
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, compare)
	for i := range ops[:max(0, len(ops)-1)] {
		if err := conflict(ops[i], ops[i+1]); err != nil {
			return Plan{}, err
		}
	}
	return Plan{Ops: ops, Verdict: Accept}, nil
}

// Discarding returns the plan that takes a message which is already durable elsewhere.
func Discarding() Plan { return Plan{Verdict: Discard} }

// Refusal returns the plan that refuses the message and changes nothing. Code decides between TempFail and Refuse. A
// reply that cannot be built becomes the zero Plan, which refuses temporarily with DefaultReply.
func Refusal(code int, enhancedCode, text string) Plan {
	reply, err := Reply(code, enhancedCode, text)
	if err != nil {
		return Plan{}
	}
	if code < 500 {
		return Plan{Verdict: TempFail, Reply: reply}
	}
	return Plan{Verdict: Refuse, Reply: reply}
}

// rank is the position of each kind of operation in a plan.
func rank(k Kind) int {
	return slices.Index([]Kind{DeleteHeader, ChangeHeader, InsertHeader, AddRecipient, DeleteRecipient, ReplaceBody, Hold}, k)
}

func compare(a, b Op) int {
	if d := rank(a.Kind) - rank(b.Kind); d != 0 {
		return d
	}
	if a.Kind != DeleteHeader && a.Kind != ChangeHeader {
		return 0
	}
	if d := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); d != 0 {
		return d
	}
	return b.Nth - a.Nth
}

// conflict reports neighbours of the sorted list that contradict each other.
func conflict(a, b Op) error {
	if a.Kind != b.Kind {
		return nil
	}
	switch a.Kind {
	case DeleteHeader, ChangeHeader:
		if a.Nth == b.Nth && strings.EqualFold(a.Name, b.Name) {
			return fmt.Errorf("%w: %s %s #%d twice", ErrInvalid, a.Kind, a.Name, a.Nth)
		}
	case ReplaceBody, Hold:
		return fmt.Errorf("%w: %s twice", ErrInvalid, a.Kind)
	}
	return nil
}

// check validates one operation against what the MTA granted.
func (o Op) check(caps Capabilities) error {
	granted := map[Kind]bool{
		DeleteHeader: caps.ChangeHeaders, ChangeHeader: caps.ChangeHeaders, InsertHeader: caps.AddHeaders,
		ReplaceBody: caps.ChangeBody, Hold: caps.Quarantine, AddRecipient: caps.AddRecipients, DeleteRecipient: caps.DeleteRecipients,
	}
	ok, known := granted[o.Kind]
	switch {
	case !known:
		return fmt.Errorf("%w: kind %q", ErrInvalid, o.Kind)
	case !ok:
		return fmt.Errorf("%w: %s", ErrCapability, o.Kind)
	}
	return o.valid()
}

// valid checks the values of an operation.
func (o Op) valid() error {
	switch o.Kind {
	case DeleteHeader, ChangeHeader:
		// An unknown occurrence is appended by both MTAs instead of being refused.
		if o.Nth < 1 {
			return fmt.Errorf("%w: %s %q #%d", ErrInvalid, o.Kind, o.Name, o.Nth)
		}
		// Names of received fields may be anything the MTA let pass; they are only compared.
		if o.Kind == ChangeHeader && (o.Value == "" || !ValidValue(o.Value)) {
			return fmt.Errorf("%w: value of %q", ErrInvalid, o.Name)
		}
	case InsertHeader:
		if !ValidName(o.Name) || !ValidValue(o.Value) {
			return fmt.Errorf("%w: field %q: %q", ErrInvalid, o.Name, o.Value)
		}
	case AddRecipient, DeleteRecipient:
		if !ValidRecipient(o.Value) {
			return fmt.Errorf("%w: %s %q", ErrInvalid, o.Kind, o.Value)
		}
	case ReplaceBody:
		if o.Body == nil {
			return fmt.Errorf("%w: no body", ErrInvalid)
		}
	case Hold:
		if !ValidValue(o.Value) {
			return fmt.Errorf("%w: quarantine reason %q", ErrInvalid, o.Value)
		}
	}
	return nil
}
