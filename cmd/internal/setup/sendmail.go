package setup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"assay/milter"
)

// usualMC is where Debian and RPM systems have Sendmail's configuration.
const usualMC = "/etc/mail/sendmail.mc"

// filterName is what Assay is called in Sendmail's configuration.
const filterName = "assay"

// A sendmail is one installation. Its configuration is a program in m4, so setup adds one marked block where every file has the same
// place for it, in front of the mailers, and has sendmail.cf built of it as the machine does it.
type sendmail struct {
	sys    System
	opt    Options
	report *Report
	mc, cf string // paths
	name   string // of the host, $j
	daemon daemon
	block  string // for sendmail.mc
	now    cf     // what sendmail.cf says before the change
	build  build
	served string // the command line of the daemon, once setup had it start anew
}

// newSendmail returns the installation with a sendmail.mc.
func newSendmail(sys System, opt Options, r *Report) *sendmail {
	mc := cmp.Or(opt.Config, usualMC)
	return &sendmail{sys: sys, opt: opt, report: r, mc: mc, cf: strings.TrimSuffix(mc, ".mc") + ".cf"}
}

// The marks around what setup adds.
const (
	markBegin = "dnl BEGIN assay setup; \"assay setup --undo\" takes it out\n"
	markEnd   = "dnl END assay setup\n"
)

// mailers is where the mailers begin, behind every INPUT_MAIL_FILTER.
var mailers = regexp.MustCompile(`(?m)^[ \t]*(MAILER_DEFINITIONS|MAILER\()`)

// sendmailVersion is how Sendmail introduces itself with -d0.1; the programs of other MTAs that are called sendmail do not.
var sendmailVersion = regexp.MustCompile(`(?m)^Version (\S+)`)

// sendmailHost is how it names the host.
var sendmailHost = regexp.MustCompile(`\$j = (\S+)`)

// inspect implements mta.
func (m *sendmail) inspect(ctx context.Context) error {
	text, err := os.ReadFile(m.mc)
	if err != nil {
		return err
	}
	built, err := os.ReadFile(m.cf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.now = parseCF(built)
	m.report.MTA = "sendmail"
	m.identify(ctx)
	m.report.found("configuration", m.mc)
	m.report.found("built", m.cf)
	m.report.found("InputMailFilters", strings.Join(m.now.input, ", "))
	e, err := m.endpoint()
	if err != nil {
		m.report.Problems = append(m.report.Problems, err.Error())
		return nil
	}
	m.daemon = daemon{sys: m.sys, endpoint: e}
	m.report.Address = e.written
	m.report.found("address of Assay", e.written)
	m.daemon.plan(ctx, m.report)
	m.note()
	m.plan(ctx, text, built)
	return nil
}

// identify asks the program what it is.
func (m *sendmail) identify(ctx context.Context) {
	out, err := m.test(ctx)
	version := sendmailVersion.FindStringSubmatch(out)
	if version == nil {
		why := "the program sendmail of this machine is not Sendmail's; --mta names the MTA that is"
		if err != nil && out == "" {
			why = "the program sendmail does not run: " + err.Error()
		}
		m.report.Problems = append(m.report.Problems, why)
		return
	}
	m.report.Version = version[1]
	m.report.found("version", version[1])
	if host := sendmailHost.FindStringSubmatch(out); host != nil {
		m.name = host[1]
		m.report.found("canonical name", m.name)
	}
	if !regexp.MustCompile(`\bMILTER\b`).MatchString(out) {
		m.report.Problems = append(m.report.Problems, "this Sendmail was compiled without MILTER; it can ask no milter")
	}
}

// test has Sendmail read sendmail.cf; what is wrong with it is in the output.
func (m *sendmail) test(ctx context.Context) (string, error) {
	return m.sys.Run(ctx, "sendmail", "-C", m.cf, "-bt", "-d0.1")
}

// note says what an administrator has to know.
func (m *sendmail) note() {
	m.report.Notes = append(m.report.Notes, "mail of programs on this host comes to Sendmail's daemon from the loopback interface; to have it delivered unchecked "+
		"set trust: {networks: [127.0.0.0/8, \"::1/128\"]} in assay.yaml")
	for _, options := range m.now.daemons {
		if list := equate(options, "InputMailFilters"); list != "" && !slices.Contains(listed(list), m.now.named(m.sockets())) {
			m.report.Notes = append(m.report.Notes, fmt.Sprintf("DAEMON_OPTIONS(`%s') has milters of its own: its mail does not pass through Assay unless they name it", options))
		}
	}
	if why := m.obstacle(); why != "" {
		m.report.Notes = append(m.report.Notes, why)
	}
}

// obstacle says what keeps Sendmail from Assay's socket.
func (m *sendmail) obstacle() string {
	if m.daemon.endpoint.network != "unix" {
		return ""
	}
	return unsafe(m.daemon.endpoint.address)
}

// plan says what has to be changed.
func (m *sendmail) plan(ctx context.Context, text, built []byte) {
	m.block = markBegin + m.lines() + markEnd
	in := m.now.named(m.sockets())
	mine, at := bytes.Contains(text, []byte(m.block)), mailers.FindIndex(text)
	switch {
	case in != "":
		if !bytes.Contains(text, []byte(markBegin)) {
			m.report.Notes = append(m.report.Notes, "Sendmail asks Assay already, as the milter "+in+", written by somebody else; it is left as it is")
		}
		return
	case len(effective(built)) == 0:
		m.report.Problems = append(m.report.Problems, "there is no "+m.cf+"; build it of "+m.mc+" first (make -C "+filepath.Dir(m.mc)+") and see that mail flows")
		return
	case !mine && slices.ContainsFunc(m.now.filters, func(f filter) bool { return f.name == filterName }) && !bytes.Contains(text, []byte(markBegin)):
		m.report.Problems = append(m.report.Problems, "Sendmail has a milter called "+filterName+" already, which is not at "+m.daemon.endpoint.written+
			"; give it another name or take it out of "+m.mc)
		return
	case at == nil:
		m.report.Problems = append(m.report.Problems, m.mc+" has no MAILER line, so there is no place that is certain; add yourself, behind the other FEATUREs:\n"+m.block)
		return
	}
	var problem string
	if m.build, problem = m.builder(ctx, text); problem != "" {
		m.report.Problems = append(m.report.Problems, problem)
		return
	}
	if !mine {
		m.report.Changes = append(m.report.Changes, Change{"sendmail.mc", "", m.block, "mail passes through Assay"})
	}
	m.report.Changes = append(m.report.Changes, Change{"sendmail.cf", strings.Join(m.now.input, ", "), strings.Join(m.wanted(), ", "),
		"Sendmail asks its milters in this order; it is built by \"" + m.build.String() + "\""})
}

// wanted returns the milters that Sendmail asks after the change: those that are there keep their order.
func (m *sendmail) wanted() []string {
	input := slices.DeleteFunc(slices.Clone(m.now.input), func(n string) bool { return n == filterName })
	if m.opt.Last {
		return append(input, filterName)
	}
	return append([]string{filterName}, input...)
}

// lines are what sendmail.mc needs. Assay comes first: results that others add in front of it would be taken for forged, and whoever
// signs behind it signs what Assay has changed. F=T has mail wait while Assay is away.
func (m *sendmail) lines() string {
	arguments := "(`" + filterName + "', `S=" + m.daemon.endpoint.written + ", F=T, T=C:30s;S:30s;R:2m;E:5m')dnl\n"
	if m.opt.Last {
		return "INPUT_MAIL_FILTER" + arguments
	}
	return "MAIL_FILTER" + arguments + "ifdef(`confINPUT_MAIL_FILTERS', `define(`confINPUT_MAIL_FILTERS', `" + filterName +
		", 'defn(`confINPUT_MAIL_FILTERS'))', `define(`confINPUT_MAIL_FILTERS', `" + filterName + "')')dnl\n"
}

// endpoint returns where Sendmail reaches Assay.
func (m *sendmail) endpoint() (endpoint, error) {
	for _, l := range m.opt.Listeners {
		if unix := l.Network == "unix"; m.opt.Socket != "" && unix != (m.opt.Socket == "unix") {
			continue
		}
		if network, address, written := sendmailAddress(l); network != "" {
			return endpoint{network: network, address: address, written: written}, nil
		}
	}
	return endpoint{}, errors.New("no listener of Assay can be reached by Sendmail: set listen.milter in assay.yaml")
}

// sendmailAddress returns a listener as Go dials it and as Sendmail writes it: the port comes first.
func sendmailAddress(l milter.ListenAddress) (network, address, written string) {
	if l.Network == "unix" {
		return "unix", l.Address, "local:" + l.Address
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return "", "", ""
	}
	host = loopback(host, l.Network)
	kind := map[string]string{"tcp4": "inet", "tcp6": "inet6"}[l.Network]
	return "tcp", net.JoinHostPort(host, port), kind + ":" + port + "@" + host
}

// sockets returns how the configuration may write Assay's listeners.
func (m *sendmail) sockets() []string {
	var all []string
	for _, l := range m.opt.Listeners {
		_, address, written := sendmailAddress(l)
		all = append(all, written)
		if l.Network == "unix" {
			all = append(all, "unix:"+address, address)
		} else if _, port, err := net.SplitHostPort(address); err == nil {
			all = append(all, "inet:"+port+"@localhost", "inet6:"+port+"@localhost")
		}
	}
	if m.opt.Socket != "" {
		return []string{m.daemon.endpoint.written}
	}
	return all
}

// prober implements mta.
func (m *sendmail) prober() prober {
	to := cmp.Or(m.opt.ProbeTo, "root@"+cmp.Or(m.name, "localhost"))
	return prober{sys: m.sys, to: to, server: m.server(), mailbox: mailbox("/var/mail", to), obstacle: m.obstacle}
}

// server returns where Sendmail takes mail from this machine: at the first daemon that asks the milters and is not for submission.
func (m *sendmail) server() string {
	if len(m.now.daemons) == 0 {
		return "127.0.0.1:25"
	}
	for _, d := range m.now.daemons {
		first := func(names ...string) string { // of the names that an equate has
			for _, n := range names {
				if v := equate(d, n); v != "" {
					return v
				}
			}
			return ""
		}
		list, port := first("InputMailFilters", "I"), cmp.Or(first("Port", "P"), "smtp")
		if list != "" && !slices.Contains(listed(list), filterName) || strings.ContainsAny(first("Modifiers", "Modify", "M"), "as") ||
			port == "587" || port == "submission" {
			continue
		}
		host := strings.Trim(first("Address", "Addr", "A"), "[]")
		family := first("Family", "F")
		if family != "" && !strings.HasPrefix(family, "inet") {
			continue
		}
		if host == "" || host == "0.0.0.0" || host == "::" || host == "INADDR_ANY" {
			host = map[bool]string{true: "::1", false: "127.0.0.1"}[family == "inet6"]
		}
		return net.JoinHostPort(strings.TrimPrefix(host, "IPv6:"), port)
	}
	return ""
}
