// Package submit hands mail of ours to the MTA: by sendmail(1), or by SMTP.
package submit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"os/exec"
	"strings"
	"time"
)

// A Mail is a message that is handed to the MTA.
type Mail struct {
	From     string // "" is the null reverse-path
	To       []string
	SMTPUTF8 bool
	Octets   io.Reader // with CRLF line ends
}

// A Submitter hands mail to the MTA. When it returns without an error the MTA has taken responsibility for it. An error that
// wraps a *textproto.Error is what an SMTP server said.
type Submitter func(ctx context.Context, m Mail) error

// Sendmail returns a Submitter that runs sendmail(1). command is the program and arguments in front of ours.
func Sendmail(command ...string) Submitter {
	return func(ctx context.Context, m Mail) error {
		// -G: a message that comes through a gateway. The MTA completes and rewrites nothing in its header.
		args := append(command[1:len(command):len(command)], "-G", "-i", "-f", reversePath(m.From), "--")
		cmd := exec.CommandContext(ctx, command[0], append(args, m.To...)...)
		cmd.Stdin = &localLines{in: bufio.NewReader(m.Octets)}
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w: %s", command[0], err, strings.TrimSpace(said.String()))
		}
		return nil
	}
}

// reversePath is how sendmail(1) is told the sender.
func reversePath(from string) string {
	if from == "" {
		return "<>"
	}
	return from
}

// localLines turns CRLF into LF, as sendmail(1) reads lines. A CR elsewhere stays.
type localLines struct {
	in   *bufio.Reader
	rest []byte
}

// Read implements io.Reader.
func (l *localLines) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		line, err := l.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if err = nil; line[len(line)-1] == '\r' { // its LF may come next
				line = line[:len(line)-1]
				_ = l.in.UnreadByte()
			}
		}
		if line, found := bytes.CutSuffix(line, []byte("\r\n")); found {
			l.rest = append(line, '\n')
		} else {
			l.rest = line
		}
		if err != nil && len(l.rest) == 0 {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// smtpTime is how long an SMTP server may take for one message (RFC 5321 Section 4.5.3.2.6 allows it 10 minutes).
const smtpTime = 10 * time.Minute

// SMTP returns a Submitter that speaks to the SMTP server at addr, HOST:PORT. hostname is what it calls itself.
func SMTP(addr, hostname string) Submitter {
	return func(ctx context.Context, m Mail) error {
		ctx, cancel := context.WithTimeout(ctx, smtpTime)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("%w", err)
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		if err := transfer(conn, addr, hostname, m); err != nil {
			return fmt.Errorf("%s does not take the message: %w", addr, err)
		}
		return nil
	}
}

// transfer is one SMTP transaction. All recipients get the message, or none.
func transfer(conn net.Conn, addr, hostname string, m Mail) error {
	host, _, _ := net.SplitHostPort(addr)
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello(hostname); err != nil {
		return err
	}
	if utf8, _ := c.Extension("SMTPUTF8"); m.SMTPUTF8 && !utf8 {
		return errors.New("it does not offer SMTPUTF8, which the message needs")
	}
	if err := reverse(c, m); err != nil {
		return err
	}
	for _, r := range m.To {
		if err := c.Rcpt(r); err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, m.Octets); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the server has the message
	return nil
}

// reverse sends MAIL. net/smtp would ask for SMTPUTF8 wherever it is offered, which mail in ASCII does not need and not every
// next host can have.
func reverse(c *smtp.Client, m Mail) error {
	if strings.ContainsAny(m.From, "\r\n") {
		return errors.New("the reverse-path has a line end")
	}
	command := "MAIL FROM:<" + m.From + ">"
	if eight, _ := c.Extension("8BITMIME"); eight {
		command += " BODY=8BITMIME"
	}
	if m.SMTPUTF8 {
		command += " SMTPUTF8"
	}
	id, err := c.Text.Cmd("%s", command)
	if err != nil {
		return err
	}
	c.Text.StartResponse(id)
	defer c.Text.EndResponse(id)
	_, _, err = c.Text.ReadResponse(250)
	return err
}
