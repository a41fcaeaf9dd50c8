package main

import (
	"cmp"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"assay/milter"
)

// A snippet is what the text for an MTA depends on.
type snippet struct {
	listener milter.ListenAddress
	queueDir string // of Postfix
	budget   time.Duration
}

// postfix returns the commands about Postfix.
func (a *app) postfix() *cobra.Command {
	return group("postfix", "Connect Postfix", "", a.snippetCommand("main.cf", snippet.postfix))
}

// sendmail returns the commands about Sendmail.
func (a *app) sendmail() *cobra.Command {
	return group("sendmail", "Connect Sendmail", "", a.snippetCommand("sendmail.mc", snippet.sendmail))
}

// snippetCommand returns "snippet", which prints lines for a file of the MTA.
func (a *app) snippetCommand(file string, text func(snippet) string) *cobra.Command {
	c := &cobra.Command{
		Use:   "snippet",
		Short: "Print the lines for " + file + " that send mail through Assay, from the first listener",
		Args:  args(0, 0),
	}
	path := configFlag(c)
	queueDir := c.Flags().String("queue-directory", "/var/spool/postfix", "Postfix's queue_directory, a `DIR` into which it may be chrooted")
	address := c.Flags().String("address", "", "`LISTENER` to use instead of the first one, such as the address of a systemd socket")
	c.RunE = func(*cobra.Command, []string) error {
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		s := snippet{listener: loaded.Config.Listen.Milter[0], queueDir: strings.TrimRight(*queueDir, "/"), budget: loaded.Config.Limits.Time}
		if *address != "" {
			if s.listener, err = milter.ParseListen(*address); err != nil {
				return usageError{err}
			}
		}
		if s.listener.Network == "fd" {
			return fmt.Errorf("listen.milter is %s, a socket that systemd opens: say where with --address, "+
				"as in --address unix:/var/spool/postfix/assay/milter.sock", s.listener)
		}
		_, err = fmt.Fprint(a.out, text(s))
		return err
	}
	return c
}

// postfix returns lines for main.cf.
func (s snippet) postfix() string {
	address, notes := s.postfixAddress()
	var b strings.Builder
	b.WriteString("# Add to /etc/postfix/main.cf, then run: postfix reload\n")
	for _, n := range notes {
		b.WriteString("# " + n + "\n")
	}
	fmt.Fprintf(&b, "smtpd_milters = %s\n", address)
	b.WriteString("non_smtpd_milters = $smtpd_milters\n")
	b.WriteString("# While Assay is away mail waits at the sending side. \"accept\" would deliver it unchecked.\n")
	b.WriteString("milter_default_action = tempfail\n")
	b.WriteString("milter_protocol = 6\n")
	fmt.Fprintf(&b, "# Assay answers within %ds and reports progress meanwhile.\n", seconds(s.budget))
	fmt.Fprintf(&b, "milter_content_timeout = %ds\n", seconds(max(300*time.Second, s.budget+60*time.Second)))
	return b.String()
}

// postfixAddress returns the listener in Postfix's notation, and what to know about it.
func (s snippet) postfixAddress() (address string, notes []string) {
	if s.listener.Network != "unix" {
		host, port, _ := net.SplitHostPort(s.listener.Address)
		return "inet:" + net.JoinHostPort(reachable(host, s.listener.Network), port), []string{"Works with and without chroot."}
	}
	if relative, inside := strings.CutPrefix(s.listener.Address, s.queueDir+"/"); inside {
		return "unix:" + relative, []string{
			"The path is relative to queue_directory, so it works with and without chroot.",
			"Set listen.socket_group: postfix; the directory needs group postfix and mode 2750 or 2710."}
	}
	return "unix:" + s.listener.Address, []string{
		"The socket is outside of " + s.queueDir + ": Debian's smtpd runs in a chroot there and will NOT find it.",
		"Either listen on unix:" + s.queueDir + "/assay/milter.sock, or set chroot to n for smtpd and cleanup in master.cf."}
}

// sendmail returns lines for sendmail.mc.
func (s snippet) sendmail() string {
	var b strings.Builder
	b.WriteString("dnl Add to /etc/mail/sendmail.mc, then build sendmail.cf and restart Sendmail.\n")
	b.WriteString("dnl F=T: while Assay is away mail waits at the sending side. Without F= it would be delivered unchecked.\n")
	fmt.Fprintf(&b, "dnl T=: Assay answers within %ds; Sendmail's default of 10s for R is too short.\n", seconds(s.budget))
	if s.listener.Network == "unix" {
		b.WriteString("dnl Sendmail demands that no directory of the path is writable by group or others.\n")
	}
	b.WriteString("dnl Mail of programs on this host comes from the loopback interface. To have it delivered unchecked set in\n")
	b.WriteString("dnl assay.yaml: trust: {networks: [127.0.0.0/8, \"::1/128\"]}\n")
	fmt.Fprintf(&b, "INPUT_MAIL_FILTER(`assay', `S=%s, F=T, T=C:30s;S:30s;R:2m;E:5m')dnl\n", s.sendmailAddress())
	return b.String()
}

// sendmailAddress returns the listener in Sendmail's notation, port before host.
func (s snippet) sendmailAddress() string {
	if s.listener.Network == "unix" {
		return "local:" + s.listener.Address
	}
	host, port, _ := net.SplitHostPort(s.listener.Address)
	kind := "inet"
	if s.listener.Network == "tcp6" {
		kind = "inet6"
	}
	return fmt.Sprintf("%s:%s@%s", kind, port, reachable(host, s.listener.Network))
}

// reachable returns the address under which an MTA on the same host finds a listener.
func reachable(host, network string) string {
	switch host {
	case "0.0.0.0", "::":
		return map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"}[network]
	case "localhost":
		return map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"}[network]
	}
	return cmp.Or(host, "127.0.0.1")
}

// seconds returns a duration in whole seconds, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
