package quarantine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"assay/rules"
)

// A file of the quarantine is a header block that describes the message, an empty line, and the octets of the message
// exactly as they were received:
//
//	Assay-Quarantine: 1
//	Id: q1m5k2c7-x8d2pq
//	Received: 2026-11-22T05:19:18.123456789Z
//	From: "sender@example.net"
//	To: "erika@example.com"
//	...
//	Size: 4711
//	Sha256: 3b1f...
//
//	Received: from ...
//
// Lines end in LF. Whatever a client or a message chose is a Go string literal in ASCII, so that every octet survives and
// nothing breaks out of its line.
const (
	recordMagic = "Assay-Quarantine: 1"
	// maxRecord bounds the header block: far above what limits.recipients allows.
	maxRecord = 16 << 20
	// maxLine bounds a line of it: an address, a reason or a header field.
	maxLine = 256 << 10
)

// errRecord means that a file does not begin with a header block.
var errRecord = errors.New("quarantine: the file has no valid header block")

// record returns the header block of an entry, its empty line included.
func (e *Entry) record() []byte {
	var b bytes.Buffer
	b.WriteString(recordMagic + "\n")
	line := func(key, value string) { fmt.Fprintf(&b, "%s: %s\n", key, value) }
	quoted := func(key, value string) {
		if value != "" {
			line(key, strconv.QuoteToASCII(value))
		}
	}
	line("Id", e.ID)
	line("Kind", string(e.Kind))
	line("Received", e.Received.UTC().Format(time.RFC3339Nano))
	quoted("Queue-Id", e.QueueID)
	quoted("Client", e.Client)
	quoted("Client-Name", e.ClientName)
	quoted("Helo", e.Helo)
	line("From", strconv.QuoteToASCII(e.MailFrom)) // the null reverse-path is one, too
	for _, r := range e.RcptTo {
		quoted("To", r)
	}
	quoted("User", e.AuthUser)
	if e.SMTPUTF8 {
		line("Smtputf8", "true")
	}
	quoted("Author", e.Author)
	quoted("Subject", e.Subject)
	quoted("Message-Id", e.MessageID)
	quoted("Reason", e.Reason)
	for _, id := range e.Rules {
		quoted("Rule", id)
	}
	line("Class", string(e.Class))
	for _, f := range e.Fields {
		line("Field", strconv.QuoteToASCII(f.Name)+" "+strconv.QuoteToASCII(f.Value))
	}
	line("Size", strconv.FormatInt(e.Size, 10))
	line("Sha256", e.SHA256)
	b.WriteByte('\n')
	return b.Bytes()
}

// readRecord reads the header block at the beginning of a file. The second result is how many octets it takes, that is,
// where the message begins. Keys that a newer version may have written are passed over.
func readRecord(r io.Reader) (*Entry, int64, error) {
	in := bufio.NewReader(r)
	e, used := &Entry{Kind: Message, State: Held}, int64(0)
	for first := true; ; first = false {
		text, err := readLine(in)
		used += int64(len(text)) + 1
		switch {
		case err != nil:
			return nil, 0, fmt.Errorf("%w: %w", errRecord, err)
		case used > maxRecord:
			return nil, 0, fmt.Errorf("%w: it is too long", errRecord)
		case first && text != recordMagic:
			return nil, 0, fmt.Errorf("%w: it does not begin with %q", errRecord, recordMagic)
		case first:
			continue
		case text == "":
			return e, used, e.complete()
		}
		key, value, found := strings.Cut(text, ": ")
		if !found {
			return nil, 0, fmt.Errorf("%w: %.80q is not a line of it", errRecord, text)
		}
		if err := e.set(key, value); err != nil {
			return nil, 0, fmt.Errorf("%w: %s: %w", errRecord, key, err)
		}
	}
}

// readLine returns the next line without its end.
func readLine(in *bufio.Reader) (string, error) {
	var line []byte
	for {
		piece, err := in.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case len(line) > maxLine:
			return "", errors.New("a line is too long")
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return "", io.ErrUnexpectedEOF
		case err != nil:
			return "", err
		}
		return string(line[:len(line)-1]), nil
	}
}

// set takes over one line of a header block.
func (e *Entry) set(key, value string) (err error) {
	texts := map[string]*string{
		"Queue-Id": &e.QueueID, "Client": &e.Client, "Client-Name": &e.ClientName, "Helo": &e.Helo, "From": &e.MailFrom,
		"User": &e.AuthUser, "Author": &e.Author, "Subject": &e.Subject, "Message-Id": &e.MessageID, "Reason": &e.Reason,
	}
	if text, known := texts[key]; known {
		*text, err = strconv.Unquote(value)
		return err
	}
	switch key {
	case "Id":
		e.ID = value
	case "Kind":
		e.Kind = Kind(value)
	case "Received":
		e.Received, err = time.Parse(time.RFC3339Nano, value)
	case "To":
		e.RcptTo, err = appendQuoted(e.RcptTo, value)
	case "Rule":
		e.Rules, err = appendQuoted(e.Rules, value)
	case "Smtputf8":
		e.SMTPUTF8 = value == "true"
	case "Class":
		e.Class = rules.Release(value)
	case "Field":
		err = e.setField(value)
	case "Size":
		e.Size, err = strconv.ParseInt(value, 10, 64)
	case "Sha256":
		e.SHA256 = value
	}
	return err
}

// appendQuoted appends a string literal.
func appendQuoted(all []string, literal string) ([]string, error) {
	text, err := strconv.Unquote(literal)
	return append(all, text), err
}

// setField takes over a header field: two string literals.
func (e *Entry) setField(value string) error {
	first, err := strconv.QuotedPrefix(value)
	if err != nil {
		return err
	}
	name, err := strconv.Unquote(first)
	if err != nil {
		return err
	}
	text, err := strconv.Unquote(strings.TrimPrefix(value[len(first):], " "))
	e.Fields = append(e.Fields, rules.HeaderField{Name: name, Value: text})
	return err
}

// complete reports what a header block lacks.
func (e *Entry) complete() error {
	switch {
	case !ValidID(e.ID):
		return fmt.Errorf("%w: %.40q is not an id", errRecord, e.ID)
	case e.Kind != Message && e.Kind != Original:
		return fmt.Errorf("%w: kind %.40q", errRecord, e.Kind)
	case !e.Class.Valid():
		return fmt.Errorf("%w: class %.40q", errRecord, e.Class)
	case e.Received.IsZero():
		return fmt.Errorf("%w: no time", errRecord)
	case e.Size < 0 || len(e.SHA256) != 64 || strings.Trim(e.SHA256, "0123456789abcdef") != "":
		return fmt.Errorf("%w: no size or hash", errRecord)
	}
	return nil
}
