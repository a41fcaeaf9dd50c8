package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A sendmail is one installation. Its configuration is a program in m4, so setup adds one marked block where every file has
// the same place for it, in front of the mailers; building sendmail.cf and restarting Sendmail stays with the administrator.
type sendmail struct {
	sys    System
	opt    Options
	report *Report
	mc     string
	block  string
}

// The marks around what setup adds.
const (
	markBegin = "dnl BEGIN assay setup; \"assay setup --undo\" takes it out\n"
	markEnd   = "dnl END assay setup\n"
)

// mailers is where the mailers begin, behind every INPUT_MAIL_FILTER.
var mailers = regexp.MustCompile(`(?m)^(MAILER_DEFINITIONS|MAILER\()`)

// filters finds milters that are there.
var filters = regexp.MustCompile("(?m)^[ \t]*(?:INPUT_MAIL_FILTER|MAIL_FILTER)\\(`([^']*)'")

// inspect implements mta.
func (m *sendmail) inspect(ctx context.Context) error {
	text, err := os.ReadFile(m.mc)
	if err != nil {
		return err
	}
	m.report.MTA = "sendmail"
	m.report.found("configuration", m.mc)
	var names []string
	for _, f := range filters.FindAllStringSubmatch(string(text), -1) {
		names = append(names, f[1])
	}
	m.report.found("milters", strings.Join(names, " "))
	m.report.Notes = append(m.report.Notes, "mail of programs on this host comes to Sendmail's daemon from the loopback interface; to have it delivered unchecked "+
		"set trust: {networks: [127.0.0.0/8, \"::1/128\"]} in assay.yaml")
	network, address, written, err := m.listener()
	if err != nil {
		m.report.Problems = append(m.report.Problems, err.Error())
		return nil
	}
	m.report.Address = written
	m.block = markBegin + "INPUT_MAIL_FILTER(`assay', `S=" + written + ", F=T, T=C:30s;S:30s;R:2m;E:5m')dnl\n" + markEnd
	if m.sys.Handshake(ctx, network, address) != nil {
		m.report.Problems = append(m.report.Problems, "no milter answers at "+written+": start Assay first (systemctl enable --now assay, or "+initScript+" start)")
	}
	m.plan(string(text))
	return nil
}

// plan says what has to be changed in a text.
func (m *sendmail) plan(text string) {
	switch {
	case strings.Contains(text, m.block):
	case filters.MatchString(text) && strings.Contains(text, "`assay'"):
		m.report.Notes = append(m.report.Notes, "a milter called assay is there already, written by somebody else; it is left as it is")
	case !mailers.MatchString(text):
		m.report.Problems = append(m.report.Problems, m.mc+" has no MAILER line, so there is no place that is certain; add yourself, behind the other FEATUREs:\n"+m.block)
	default:
		m.report.Changes = append(m.report.Changes, Change{"sendmail.mc", "", m.block, "mail passes through Assay"})
	}
}

// listener returns where Sendmail reaches Assay, as Go dials it and as Sendmail writes it: the port comes first.
func (m *sendmail) listener() (network, address, written string, err error) {
	for _, l := range m.opt.Listeners {
		switch {
		case l.Network == "unix" && m.opt.Socket != "inet":
			return "unix", l.Address, "local:" + l.Address, nil
		case strings.HasPrefix(l.Network, "tcp") && m.opt.Socket != "unix":
			host, port, _ := net.SplitHostPort(l.Address)
			host = loopback(host, l.Network)
			kind := map[string]string{"tcp4": "inet", "tcp6": "inet6"}[l.Network]
			return "tcp", net.JoinHostPort(host, port), kind + ":" + port + "@" + host, nil
		}
	}
	return "", "", "", errors.New("no listener of Assay can be reached by Sendmail: set listen.milter in assay.yaml")
}

// apply implements mta.
func (m *sendmail) apply(context.Context) error {
	root, err := openState(m.opt.State, m.opt.Owner, true)
	if err != nil {
		return err
	}
	defer root.Close()
	text, err := os.ReadFile(m.mc)
	if err != nil {
		return err
	}
	s := state{Version: 1, MTA: "sendmail", Config: m.opt.Config, File: m.mc, Time: m.sys.Now().UTC()}
	if s.Copy, err = keep(root, m.mc, m.sys.Now()); err != nil {
		return err
	}
	at := mailers.FindIndex(text)[0]
	changed := append(append(append([]byte{}, text[:at]...), m.block...), text[at:]...)
	s.After = Hash(changed)
	if err := s.save(root); err != nil {
		return err
	}
	if err := restore(m.mc, changed); err != nil {
		return err
	}
	m.report.Changed, m.report.Kept = true, filepath.Join(m.opt.State, s.Copy)
	return nil
}

// undo implements mta.
func (m *sendmail) undo(_ context.Context, s state, root *os.Root) error {
	text, err := os.ReadFile(s.File)
	if err != nil {
		return err
	}
	if Hash(text) == s.After {
		if text, err = readKept(root, s.Copy, m.opt.Owner); err != nil {
			return err
		}
		return restore(s.File, text)
	}
	m.report.Notes = append(m.report.Notes, s.File+" was changed since; only the marked block is taken out of it")
	begin := strings.Index(string(text), markBegin)
	if begin < 0 {
		return nil
	}
	length := strings.Index(string(text[begin:]), markEnd)
	if length < 0 {
		return fmt.Errorf("%s has the beginning of the marked block and not its end", s.File)
	}
	return restore(s.File, append(append([]byte{}, text[:begin]...), text[begin+length+len(markEnd):]...))
}

// reload implements mta.
func (m *sendmail) reload(context.Context) error { return nil }

// probe implements mta. Sendmail reads the change only after two commands that are not ours to run.
func (m *sendmail) probe(context.Context) Probe {
	return Probe{State: ProbeUnknown, Reason: "Sendmail reads " + m.mc + " only when sendmail.cf was built of it: make -C " + filepath.Dir(m.mc) +
		" && restart Sendmail, then send yourself a mail and look for X-Assay-Result"}
}
