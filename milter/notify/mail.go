package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"assay/verify/message"
)

// HeaderName is the field by which the filter knows the notifications of its own host: see Own.
const HeaderName = "X-Assay-Notification"

// ownAge bounds the age of a notification that is still known as one.
const ownAge = 24 * time.Hour

// compose returns a notice as a message with CRLF line ends, and its Message-ID.
func (n *Notifier) compose(to []string, notice Notice) (text []byte, id string) {
	l := languages[n.opt.Language]
	return n.write(letter{channel: notice.Channel, to: to, subject: l.subject(notice), text: l.body(notice)})
}

// A letter is a mail of ours.
type letter struct {
	channel string
	to      []string
	subject string // on one line
	text    string
}

// write returns a letter as a message with CRLF line ends, and its Message-ID.
func (n *Notifier) write(l letter) (text []byte, id string) {
	now := n.opt.Now()
	id = fmt.Sprintf("<%s.%d@%s>", rand.Text(), now.Unix(), n.opt.Hostname)
	var b bytes.Buffer
	for _, field := range [][2]string{
		{"From", "Assay <" + n.opt.From + ">"},
		{"To", strings.Join(l.to, ",\r\n ")},
		{"Subject", mime.QEncoding.Encode("utf-8", l.subject)},
		{"Date", now.Format("Mon, 02 Jan 2006 15:04:05 -0700")},
		{"Message-ID", id},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834 Section 5
		{"X-Auto-Response-Suppress", "All"},  // the same for Exchange
		{HeaderName, n.seal(l.channel, id, now)},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		// Folded where encoded words end, so that no line is longer than RFC 5322 allows.
		fmt.Fprintf(&b, "%s: %s\r\n", field[0], strings.ReplaceAll(field[1], "?= =?", "?=\r\n =?"))
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(l.text)) // a Buffer takes everything
	_ = w.Close()
	return b.Bytes(), id
}

// seal returns the value of the field HeaderName.
func (n *Notifier) seal(channel, id string, at time.Time) string {
	unix := strconv.FormatInt(at.Unix(), 10)
	return channel + " " + unix + " " + n.mac(channel, unix, id)
}

// mac authenticates the parts of the field together with the Message-ID.
func (n *Notifier) mac(channel, unix, id string) string {
	h := hmac.New(sha256.New, n.opt.Key)
	fmt.Fprintf(h, "%s\n%s\n%s", channel, unix, id)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Own says whether a message is a notification of this Notifier, or of one with the same key, which is not to be
// notified about. The field cannot be forged: nobody suppresses notifications about mail of his own by it. It says
// nothing about whether the message is to be checked; it is.
func (n *Notifier) Own(h message.Header) bool {
	if h.Count(HeaderName) != 1 || h.Count("Message-ID") != 1 {
		return false
	}
	parts := strings.Fields(h.Text(HeaderName))
	if len(parts) != 3 {
		return false
	}
	unix, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return false
	}
	want := n.mac(parts[0], parts[1], strings.TrimSpace(h.Text("Message-ID")))
	age := n.opt.Now().Sub(time.Unix(unix, 0))
	return hmac.Equal([]byte(want), []byte(parts[2])) && age < ownAge && age > -ownAge
}

// mail gives a message to the SMTP server, with the null reverse-path, so that nothing is returned if it cannot be
// delivered (RFC 5321 Section 4.5.5).
func (n *Notifier) mail(ctx context.Context, to []string, text []byte, id string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", n.opt.SMTP)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := n.transfer(conn, to, text); err != nil {
		err = fmt.Errorf("notify: %s does not take the mail %s: %w", n.opt.SMTP, id, err)
		if reply := (*textproto.Error)(nil); errors.As(err, &reply) && reply.Code >= 500 {
			return permanent{err}
		}
		return err
	}
	return nil
}

// transfer is one SMTP transaction. Recipients that are refused do not keep the others from being told.
func (n *Notifier) transfer(conn net.Conn, to []string, text []byte) error {
	host, _, _ := net.SplitHostPort(n.opt.SMTP)
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello(n.opt.Hostname); err != nil {
		return err
	}
	if n.opt.StartTLS {
		if err := c.StartTLS(&tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}); err != nil {
			return err
		}
	}
	if err := c.Mail(""); err != nil {
		return err
	}
	var refused []error
	for _, address := range to {
		if err := c.Rcpt(address); err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", address, err))
		}
	}
	if len(refused) == len(to) {
		return errors.Join(refused...)
	}
	if err := data(c, text); err != nil {
		return err
	}
	_ = c.Quit() // the server has the message
	if len(refused) > 0 {
		return permanent{errors.Join(refused...)} // another attempt would tell the others twice
	}
	return nil
}

// data transfers the message itself.
func data(c *smtp.Client, text []byte) error {
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}
