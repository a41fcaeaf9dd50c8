package setup

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Times of a probe.
const (
	smtpTime    = 90 * time.Second // Assay may wait for DNS
	seenTime    = 10 * time.Second
	deliverTime = 15 * time.Second
	pause       = 200 * time.Millisecond
)

// maxMailbox is how much of the end of a mailbox is searched for the probe.
const maxMailbox = 4 << 20

// queued is how Postfix and Sendmail end their reply to a message.
var queued = regexp.MustCompile(`queued as ([0-9A-Za-z]+)|([0-9A-Za-z]+) Message accepted for delivery`)

// A prober sends a mail by SMTP to this machine, as from a stranger.
type prober struct {
	sys      System
	to       string
	server   string // "" if the MTA takes no mail by TCP
	mailbox  string // where the mail is delivered, "" if nobody knows
	bypass   string // why mail of this machine may not pass through milters, "" if it has to
	obstacle func() string
}

// run sends a mail. A process of the MTA that was there before the reload may take the first one without Assay; another one is
// sent then.
func (p prober) run(ctx context.Context) Probe {
	last := Probe{}
	for _, patience := range []time.Duration{seenTime / 5, seenTime} {
		last = p.once(ctx, patience)
		if last.State != ProbeUnreachable || ctx.Err() != nil {
			break
		}
	}
	if why := p.obstacle(); last.State == ProbeUnreachable && why != "" {
		last.Reason += "; " + why
	}
	return last
}

// once sends one mail and looks what became of it.
func (p prober) once(ctx context.Context, patience time.Duration) Probe {
	result := Probe{To: p.to}
	if p.server == "" {
		result.State, result.Reason = ProbeUnknown, "the MTA has no service that takes mail by TCP and asks Assay"
		return result
	}
	token := rand.Text()
	result.deliver(ctx, p.server, token)
	if result.QueueID == "" {
		return result
	}
	p.awaitDecision(ctx, &result, patience)
	if result.State == ProbeProven {
		p.awaitMailbox(ctx, &result, token)
	}
	return result
}

// prober implements mta.
func (p *postfix) prober() prober {
	r := prober{sys: p.sys, to: cmp.Or(p.opt.ProbeTo, "root@"+p.value["myhostname"]), server: p.server(), obstacle: p.obstacle}
	// What is delivered below home directories is not ours to read.
	if p.value["home_mailbox"] == "" && p.value["mailbox_command"] == "" && p.value["mailbox_transport"] == "" {
		r.mailbox = mailbox(cmp.Or(p.value["mail_spool_directory"], "/var/mail"), r.to)
	}
	if maps := p.value["smtpd_milter_maps"]; maps != "" {
		r.bypass = "smtpd_milter_maps=" + maps + " may take mail of this machine past it"
	}
	return r
}

// mailbox returns the file of the recipient of an address, "" if he is no user of this machine.
func mailbox(dir, to string) string {
	name, _, _ := strings.Cut(to, "@")
	if _, err := user.Lookup(name); err != nil || strings.ContainsAny(name, "/.") {
		return ""
	}
	return filepath.Join(dir, name)
}

// server returns where Postfix takes mail from this machine: at the port of MXs if it does there.
func (p *postfix) server() string {
	host, other := p.host(), ""
	o := p.own()
	for _, s := range p.services {
		own, set := s.Settings["smtpd_milters"]
		if s.Type != "inet" || s.Command != "smtpd" && s.Command != "postscreen" || set && !o.in(own) ||
			s.Settings["smtpd_tls_wrappermode"] == "yes" || strings.Contains(s.Settings["receive_override_options"], "no_milters") {
			continue
		}
		name, port, err := net.SplitHostPort(s.Name)
		if err != nil {
			name, port = host, s.Name
		}
		at := net.JoinHostPort(strings.Trim(name, "[]"), port)
		if port == "smtp" || port == "25" {
			return at
		}
		other = cmp.Or(other, at)
	}
	return other
}

// host returns the address at which Postfix listens for this machine.
func (p *postfix) host() string {
	names := splitMilters(p.value["inet_interfaces"])
	for _, name := range names {
		switch name {
		case "127.0.0.1", "::1", "[::1]":
			return strings.Trim(name, "[]")
		}
	}
	if len(names) > 0 && !slices.Contains([]string{"all", "loopback-only", "localhost"}, names[0]) {
		return strings.Trim(names[0], "[]")
	}
	if p.value["inet_protocols"] == "ipv6" {
		return "::1"
	}
	return "127.0.0.1"
}

// deliver sends the mail. The reply of the MTA says whether it reaches Assay: with tempfail, it answers 451 or hangs up.
func (r *Probe) deliver(ctx context.Context, server, token string) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", server)
	if err != nil {
		r.State, r.Reason = ProbeUnknown, fmt.Sprintf("no mail server answers at %s: %v; start it and run this again", server, err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(smtpTime))
	c := textproto.NewConn(conn)
	for _, step := range []struct {
		send string
		want int
	}{
		{"", 220}, {"EHLO assay-setup.invalid", 250}, {"MAIL FROM:<>", 250}, {"RCPT TO:<" + r.To + ">", 250}, {"DATA", 354}, {probeMail(r.To, token), 250},
	} {
		if step.send != "" {
			if err := c.PrintfLine("%s", step.send); err != nil {
				r.State, r.Reason = ProbeUnknown, err.Error()
				return
			}
		}
		code, text, err := c.ReadResponse(step.want)
		r.Said = strings.TrimSpace(fmt.Sprintf("%d %s", code, strings.ReplaceAll(text, "\n", " ")))
		if err != nil {
			r.refused(code, step.send, err)
			return
		}
	}
	_ = c.PrintfLine("QUIT")
	if m := queued.FindStringSubmatch(r.Said); m != nil {
		r.QueueID = m[1] + m[2]
		return
	}
	r.State, r.Reason = ProbeUnknown, "the reply names no queue id: "+r.Said
}

// refused says what a refusal means. 451 4.7.1 is what Postfix answers when a milter is away.
func (r *Probe) refused(code int, sent string, err error) {
	command, _, _ := strings.Cut(sent, ":")
	if code == 451 || code == 421 || code == 0 {
		r.State, r.Reason = ProbeUnreachable, fmt.Sprintf("the mail server answered %q: %s", r.Said, cmp.Or(logHint(code), err.Error()))
		return
	}
	if len(command) > 20 {
		command = "the mail"
	}
	r.State, r.Reason = ProbeRefused, fmt.Sprintf("the mail server refused %s: %s; name a recipient that it takes with --probe-to", cmp.Or(command, "the connection"), r.Said)
}

func logHint(code int) string {
	if code == 451 {
		return "that is what it says when it does not reach a milter; its log says why"
	}
	return ""
}

// probeMail is the mail. Its sender is nobody: no domain is asked about it, and no answer can come.
func probeMail(to, token string) string {
	return strings.Join([]string{
		"From: Assay setup <assay-setup@assay-setup.invalid>", "To: <" + to + ">", "Subject: Assay setup: mail passes through Assay",
		"Date: " + time.Now().Format("Mon, 02 Jan 2006 15:04:05 -0700"), "Message-ID: <" + token + "@assay-setup.invalid>",
		"Auto-Submitted: auto-generated", "Assay-Probe: " + token, "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii", "",
		"\"assay setup\" on this machine has sent this mail to see whether mail passes", "through Assay. There is nothing to do; it can be deleted.", "."}, "\r\n")
}

// awaitDecision waits until the daemon knows the message. It has decided before the MTA answers.
func (p prober) awaitDecision(ctx context.Context, r *Probe, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		decision, found, err := p.sys.Seen(ctx, r.QueueID)
		if found {
			r.State, r.Decided = ProbeProven, decision
			return
		}
		if !wait(ctx) {
			if err != nil {
				r.State, r.Reason = ProbeUnknown, "the daemon cannot be asked about it: "+err.Error()
				return
			}
			r.State, r.Reason = ProbeUnreachable, "the mail server took the mail as "+r.QueueID+", and Assay has not seen it"
			if p.bypass != "" {
				r.State, r.Reason = ProbeUnknown, r.Reason+"; "+p.bypass
			}
			return
		}
	}
}

// wait waits a moment and reports whether there is time left.
func wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// awaitMailbox looks for the delivered mail, where it can be read.
func (p prober) awaitMailbox(ctx context.Context, r *Probe, token string) {
	file := p.mailbox
	if file == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deliverTime)
	defer cancel()
	for {
		if header, found := searchMailbox(file, token); found {
			r.Header, r.Mailbox = header, file
			return
		}
		if !wait(ctx) {
			return
		}
	}
}

// searchMailbox returns X-Assay-Result of the message with a token at the end of a mailbox.
func searchMailbox(file, token string) (header string, found bool) {
	f, err := os.Open(file)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxMailbox {
		_, _ = f.Seek(-maxMailbox, io.SeekEnd)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxMailbox)
	for lines.Scan() {
		line := lines.Text()
		name, value, _ := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "From "):
			header = ""
		case strings.HasSuffix(strings.ToLower(name), "-result"):
			header = strings.TrimSpace(value)
		case header != "" && strings.HasPrefix(line, " ") && strings.HasSuffix(header, ";"):
			header += " " + strings.TrimSpace(line)
		case line == "Assay-Probe: "+token:
			return header, true
		}
	}
	return "", false
}
