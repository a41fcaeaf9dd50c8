package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Why an entity cannot take the place of a content.
var (
	// ErrOtherHeader: it has header fields of its own that the message shows in another way, or has some of them twice.
	ErrOtherHeader = errors.New("it has a header of its own, which differs")
	// ErrNotSevenBit: it has long lines or octets that mail servers may change on the way.
	ErrNotSevenBit = errors.New("it has lines or octets that mail servers change")
)

// Adopt returns m with the content of another entity in the place of its own, such as what was encrypted in it: the fields of
// MIME (RFC 2045 Section 9) become those of e, and the body becomes that of e, octet for octet. All other fields of m stay.
// Those of e are lost, so that an e that names another author, subject or recipient (RFC 9788) is ErrOtherHeader. The body of
// e has to be 7bit (RFC 2045 Section 2.7), for nobody has asked the next host for more. The result is valid while both messages
// are.
func (m *Message) Adopt(e *Message) (*Rewritten, error) {
	if m.exceeded != nil || e.exceeded != nil {
		return nil, ErrIncomplete
	}
	for _, name := range [...]string{"From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date"} {
		if e.Header.Count(name) > 0 && !sameTexts(m.Header, e.Header, name) {
			return nil, fmt.Errorf("%w: %s", ErrOtherHeader, name)
		}
	}
	body, err := io.ReadAll(e.Body())
	if err != nil {
		return nil, err
	}
	if shape := examine(body); !shape.fits || shape.high > 0 {
		return nil, ErrNotSevenBit
	}
	r := &Rewritten{original: m, root: true}
	if r.Changes, err = adoptedFields(m.Header, e.Header); err != nil {
		return nil, err
	}
	r.add(piece{text: body})
	return r, nil
}

// sameTexts reports whether two headers show the same in the fields of a name.
func sameTexts(a, b Header, name string) bool {
	var texts [2][]string
	for i, h := range [...]Header{a, b} {
		for f := range h.All(name) {
			texts[i] = append(texts[i], strings.Join(strings.Fields(f.Text()), " "))
		}
	}
	return strings.Join(texts[0], "\n") == strings.Join(texts[1], "\n")
}

// adoptedFields returns the changes that give a header the fields of MIME of another one.
func adoptedFields(old, adopted Header) ([]FieldChange, error) {
	var changes []FieldChange
	given := map[string]string{}
	for _, f := range adopted {
		name := strings.ToLower(f.Name)
		if !isContentField(name) {
			continue
		}
		if _, twice := given[name]; twice {
			return nil, fmt.Errorf("%w: %s is there twice", ErrOtherHeader, f.Name)
		}
		value := strings.TrimLeft(string(bytes.ReplaceAll(f.Value(), []byte("\r\n"), []byte("\n"))), " \t")
		if given[name] = value; value != "" {
			nth := min(old.Count(f.Name), 1)
			changes = append(changes, FieldChange{Name: f.Name, Nth: nth, Value: value})
		}
	}
	for i := len(old) - 1; i >= 0; i-- {
		f := old[i]
		if name := strings.ToLower(f.Name); isContentField(name) && (given[name] == "" || f.Nth > 1) {
			changes = append(changes, FieldChange{Name: f.Name, Nth: f.Nth})
		}
	}
	if old.Count("MIME-Version") == 0 {
		changes = append(changes, FieldChange{Name: "MIME-Version", Value: "1.0"})
	}
	return changes, nil
}

// isContentField reports whether a field, its name in lower case, describes the content (RFC 2045 Section 9).
func isContentField(name string) bool { return strings.HasPrefix(name, "content-") }
