package mtatest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// replyTimeout is how long a reply may take: longer than every timeout of an MTA towards its milter in the tests.
const replyTimeout = 3 * time.Minute

// maxReplyLines bounds a reply, so that a broken server cannot fill the memory.
const maxReplyLines = 1000

// A Client speaks SMTP (RFC 5321) octet by octet. It is for one goroutine.
type Client struct {
	Greeting Reply
	conn     net.Conn
	r        *bufio.Reader
}

// A Reply is one SMTP reply (RFC 5321 Section 4.2).
type Reply struct {
	Code  int
	Lines []string // texts behind the code, enhanced status codes included
}

// String returns the reply with one line per line of text.
func (r Reply) String() string {
	return fmt.Sprintf("%d %s", r.Code, strings.Join(r.Lines, "\n    "))
}

// QueueID returns the queue identifier in the reply to an accepted message, or "".
func (r Reply) QueueID() string {
	text := strings.Join(r.Lines, " ")
	if _, id, ok := strings.Cut(text, "queued as "); ok {
		return strings.Fields(id + " ")[0] // Postfix: 2.0.0 Ok: queued as 4XyZ
	}
	if id, _, ok := strings.Cut(text, " Message accepted for delivery"); ok {
		return id[strings.LastIndexByte(id, ' ')+1:] // Sendmail: 2.0.0 6ALMxx Message accepted for delivery
	}
	return ""
}

// Dial connects to an MTA and reads its greeting. A valid local address is the one to connect from: every address in
// 127.0.0.0/8 belongs to the loopback interface, so that a test can be many clients.
func Dial(addr string, local netip.Addr) (*Client, error) {
	dialer := net.Dialer{Timeout: patience}
	if local.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: local.AsSlice()}
	}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, r: bufio.NewReader(conn)}
	if c.Greeting, err = c.Reply(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	return c, nil
}

// Close drops the connection without QUIT.
func (c *Client) Close() error { return c.conn.Close() }

// Write sends octets as they are.
func (c *Client) Write(p []byte) (int, error) {
	if err := c.conn.SetWriteDeadline(time.Now().Add(replyTimeout)); err != nil {
		return 0, err
	}
	return c.conn.Write(p)
}

// Reply reads one reply.
func (c *Client) Reply() (Reply, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(replyTimeout)); err != nil {
		return Reply{}, err
	}
	var reply Reply
	for range maxReplyLines {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return reply, fmt.Errorf("reply: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 3 {
			return reply, fmt.Errorf("reply: %q is too short", line)
		}
		if reply.Code, err = strconv.Atoi(line[:3]); err != nil {
			return reply, fmt.Errorf("reply: %q has no code", line)
		}
		reply.Lines = append(reply.Lines, strings.TrimLeft(line[3:], "- "))
		if len(line) == 3 || line[3] != '-' {
			return reply, nil
		}
	}
	return reply, errors.New("reply: too many lines")
}

// Command sends a line and reads the reply.
func (c *Client) Command(format string, args ...any) (Reply, error) {
	if _, err := c.Write([]byte(fmt.Sprintf(format, args...) + "\r\n")); err != nil {
		return Reply{}, err
	}
	return c.Reply()
}

// Expect is Command, and an error unless the reply has that code.
func (c *Client) Expect(code int, format string, args ...any) error {
	reply, err := c.Command(format, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	}
	if reply.Code != code {
		return fmt.Errorf("%s: %s", fmt.Sprintf(format, args...), reply)
	}
	return nil
}

// StartTLS begins TLS (RFC 3207) without looking at the certificate: the tests make their own.
func (c *Client) StartTLS() error {
	if err := c.Expect(220, "STARTTLS"); err != nil {
		return err
	}
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		return err
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
	return nil
}

// An Envelope is what is said before DATA. Addresses are without angle brackets.
type Envelope struct {
	From   string
	To     []string
	Params string // ESMTP parameters of MAIL, such as "SMTPUTF8"
}

// Send sends one message over the connection. The reply is the one that decided: that of the end of DATA, or the first
// refusal before it, which also ends the transaction. A refused recipient does not end it unless it was the only one.
func (c *Client) Send(env Envelope, message []byte) (Reply, error) {
	line := "MAIL FROM:<" + env.From + ">"
	if env.Params != "" {
		line += " " + env.Params
	}
	reply, err := c.Command("%s", line)
	if err != nil || reply.Code != 250 {
		return c.giveUp(reply, err)
	}
	accepted := 0
	for _, to := range env.To {
		if reply, err = c.Command("RCPT TO:<%s>", to); err != nil {
			return reply, err
		}
		if reply.Code == 250 {
			accepted++
		}
	}
	if accepted == 0 {
		return c.giveUp(reply, nil)
	}
	if reply, err = c.Command("DATA"); err != nil || reply.Code != 354 {
		return c.giveUp(reply, err)
	}
	if _, err = c.Write(Stuff(message)); err != nil {
		return Reply{}, err
	}
	return c.Reply()
}

// giveUp ends a transaction that was refused, and returns the refusal.
func (c *Client) giveUp(reply Reply, err error) (Reply, error) {
	if err == nil && reply.Code != 421 {
		err = c.Expect(250, "RSET")
	}
	return reply, err
}

// Stuff returns what is sent after DATA: the message with its dots doubled, and the final dot (RFC 5321 Section 4.5.2).
// A line break is added only where a last line has none, because the final dot stands on a line of its own.
func Stuff(message []byte) []byte {
	stuffed := bytes.ReplaceAll(message, []byte("\r\n."), []byte("\r\n.."))
	if bytes.HasPrefix(stuffed, []byte(".")) {
		stuffed = append([]byte("."), stuffed...)
	}
	if len(stuffed) > 0 && !bytes.HasSuffix(stuffed, []byte("\r\n")) {
		stuffed = append(stuffed, "\r\n"...)
	}
	return append(stuffed[:len(stuffed):len(stuffed)], ".\r\n"...)
}
