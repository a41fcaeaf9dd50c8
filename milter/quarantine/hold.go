package quarantine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"assay/rules"
	"assay/verify/message"
)

// A Queue is the queue of an MTA in which messages are held. Its methods run the programs of the MTA, as the user that calls
// them: only root may release and delete.
type Queue interface {
	// Held lists the messages that this filter has held, which is known by the field that it has added to them. Messages
	// that somebody else has held are not among them.
	Held(ctx context.Context) ([]*Entry, error)
	// Header writes the header of a message, Message all of it.
	Header(ctx context.Context, id string, w io.Writer) error
	Message(ctx context.Context, id string, w io.Writer) error
	// Release has a message delivered, Delete removes it.
	Release(ctx context.Context, id string) error
	Delete(ctx context.Context, id string) error
}

// ErrNoQueue means that this host has neither of the MTAs, or their programs are somewhere else.
var ErrNoQueue = errors.New("quarantine: neither postqueue(1) of Postfix nor mailq(1) of Sendmail can be run here")

// FindQueue returns the queue of the MTA of this host. Header fields of the filter begin with prefix.
func FindQueue(prefix, sendmail string) (Queue, error) {
	prefix = cmp.Or(prefix, defaultPrefix)
	if path, err := lookPath("postqueue"); err == nil {
		return &postfixQueue{prefix: prefix, dir: strings.TrimSuffix(path, "postqueue")}, nil
	}
	if sendmail != "" {
		if _, err := exec.LookPath(sendmail); err == nil {
			return SendmailQueue(sendmail), nil
		}
	}
	return nil, ErrNoQueue
}

// lookPath finds a program of the MTA, which ordinary users do not have in their PATH.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

// run runs a program and returns what it writes.
func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("quarantine: %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// queueID is what ids of queues look like: nothing else is ever an argument of a program.
var queueID = regexp.MustCompile(`^[A-Za-z0-9]{5,32}$`)

// checkID refuses what is no id.
func checkID(id string) error {
	if !queueID.MatchString(id) {
		return fmt.Errorf("%w: %.40q", ErrNotFound, id)
	}
	return nil
}

// A postfixQueue is the hold queue of Postfix. MAIL_CONFIG in the environment names the configuration of another instance.
type postfixQueue struct {
	prefix string
	dir    string // of the programs, with a slash
}

// postfixEntry is one line of postqueue -j.
type postfixEntry struct {
	Queue      string `json:"queue_name"`
	ID         string `json:"queue_id"`
	Arrival    int64  `json:"arrival_time"`
	Size       int64  `json:"message_size"`
	Sender     string `json:"sender"`
	Recipients []struct {
		Address string `json:"address"`
	} `json:"recipients"`
}

// Held implements Queue.
func (q *postfixQueue) Held(ctx context.Context) ([]*Entry, error) {
	out, err := run(ctx, q.dir+"postqueue", "-j")
	if err != nil {
		return nil, err
	}
	var all []*Entry
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p postfixEntry
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("quarantine: postqueue: %w", err)
		case p.Queue != "hold":
			continue
		}
		e := &Entry{ID: p.ID, QueueID: p.ID, Kind: Message, State: Held, Received: time.Unix(p.Arrival, 0).UTC(), Size: p.Size, MailFrom: p.Sender}
		if e.MailFrom == "MAILER-DAEMON" {
			e.MailFrom = ""
		}
		for _, r := range p.Recipients {
			e.RcptTo = append(e.RcptTo, r.Address)
		}
		if ours, err := q.describe(ctx, e); err != nil {
			return nil, err
		} else if ours {
			all = append(all, e)
		}
	}
}

// describe completes an entry from the header of the message, and reports whether the filter has held it.
func (q *postfixQueue) describe(ctx context.Context, e *Entry) (bool, error) {
	var header bytes.Buffer
	if err := q.Header(ctx, e.ID, &header); err != nil {
		if strings.Contains(err.Error(), "No such file or directory") {
			return false, nil // it was released meanwhile
		}
		return false, err
	}
	m, err := message.Read(&header, message.Envelope{}, message.Limits{})
	if err != nil {
		return false, err
	}
	defer m.Close()
	return e.describe(q.prefix, m.Header), nil
}

// describe takes over what the header of a held message says, and reports whether this filter has held it.
func (e *Entry) describe(prefix string, h message.Header) bool {
	result := resultOf(h.Text(prefix + "-Result"))
	if result["disposition"] != rules.Quarantine.String() {
		return false
	}
	e.Class = rules.Release(result["release"])
	if ids := result["rules"]; ids != "" && ids != "none" {
		e.Rules = strings.Split(ids, ",")
	}
	if boxes := h.Author().Mailboxes; len(boxes) > 0 {
		e.Author = boxes[0].Local + "@" + boxes[0].Domain
	}
	e.Subject, e.MessageID = h.Text("Subject"), strings.TrimSpace(h.Text("Message-ID"))
	return true
}

// resultOf returns the pairs of the field PREFIX-Result.
func resultOf(value string) map[string]string {
	pairs := map[string]string{}
	for part := range strings.SplitSeq(value, ";") {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		pairs[name] = text
	}
	return pairs
}

// Header implements Queue.
func (q *postfixQueue) Header(ctx context.Context, id string, w io.Writer) error {
	return q.cat(ctx, "-hq", id, w)
}

// Message implements Queue.
func (q *postfixQueue) Message(ctx context.Context, id string, w io.Writer) error {
	return q.cat(ctx, "-hbq", id, w)
}

// cat runs postcat(1).
func (q *postfixQueue) cat(ctx context.Context, what, id string, w io.Writer) error {
	if err := checkID(id); err != nil {
		return err
	}
	out, err := run(ctx, q.dir+"postcat", what, id)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// Release implements Queue.
func (q *postfixQueue) Release(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if _, err := run(ctx, q.dir+"postsuper", "-H", id); err != nil {
		return err
	}
	_, err := run(ctx, q.dir+"postqueue", "-i", id) // now, and not with the next run of the queue
	return err
}

// Delete implements Queue.
func (q *postfixQueue) Delete(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	_, err := run(ctx, q.dir+"postsuper", "-d", id, "hold")
	return err
}

// A sendmailQueue is the quarantine in the queue of Sendmail. Sendmail quarantines nothing but what a milter, an operator or a
// ruleset of its configuration asks for; it keeps the reason, but has no program that prints or deletes a message.
type sendmailQueue struct{ program string }

// SendmailQueue returns the queue of Sendmail, which is worked on by its program.
func SendmailQueue(program string) Queue { return &sendmailQueue{program} }

// mailqLine is the first line of an entry of mailq -qQ: id, size, day and time, sender.
var mailqLine = regexp.MustCompile(`^([A-Za-z0-9]{5,32})[*+?X-]? +(\d+) +(\w{3} \w{3} +\d+ \d\d:\d\d) +(.*)$`)

// Held implements Queue.
func (q *sendmailQueue) Held(ctx context.Context) ([]*Entry, error) {
	out, err := run(ctx, q.program, "-bp", "-qQ")
	if err != nil {
		return nil, err
	}
	return parseMailq(string(out), time.Now()), nil
}

// parseMailq reads the output of mailq -qQ. Its times have no year: they are in the past.
func parseMailq(text string, now time.Time) (all []*Entry) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := mailqLine.FindStringSubmatch(line); m != nil {
			e := &Entry{ID: m[1], QueueID: m[1], Kind: Message, State: Held, MailFrom: strings.Trim(m[4], "<> ")}
			_, _ = fmt.Sscan(m[2], &e.Size)
			if at, err := time.ParseInLocation("Mon Jan _2 15:04", m[3], now.Location()); err == nil {
				e.Received = at.AddDate(now.Year(), 0, 0)
				if e.Received.After(now.Add(24 * time.Hour)) {
					e.Received = e.Received.AddDate(-1, 0, 0)
				}
			}
			all = append(all, e)
			continue
		}
		last := len(all) - 1
		rest := strings.TrimSpace(line)
		switch {
		case last < 0 || line == rest: // a heading or the sum at the end
		case strings.HasPrefix(rest, "QUARANTINE:"):
			all[last].Reason = strings.TrimSpace(strings.TrimPrefix(rest, "QUARANTINE:"))
		case strings.HasPrefix(rest, "<") || strings.Contains(rest, "@"):
			all[last].RcptTo = append(all[last].RcptTo, strings.Trim(rest, "<>"))
		}
	}
	return all
}

// errSendmail means that Sendmail has no way to do something.
var errSendmail = errors.New("quarantine: Sendmail has no program for that; the message is in the files df and hf of its queue directory")

// Header implements Queue.
func (q *sendmailQueue) Header(context.Context, string, io.Writer) error { return errSendmail }

// Message implements Queue.
func (q *sendmailQueue) Message(context.Context, string, io.Writer) error { return errSendmail }

// Release implements Queue.
func (q *sendmailQueue) Release(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if _, err := run(ctx, q.program, "-qQ", "-qI"+id, "-Q"); err != nil {
		return err
	}
	_, err := run(ctx, q.program, "-qI"+id)
	return err
}

// Delete implements Queue.
func (q *sendmailQueue) Delete(context.Context, string) error { return errSendmail }
