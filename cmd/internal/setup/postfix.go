package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"assay/milter"
)

// The socket that assay.socket opens, and where units are installed.
const (
	unitSocket = "/var/spool/postfix/assay/milter.sock"
	systemdRun = "/run/systemd/system"
	initScript = "/etc/init.d/assay"
)

// A postfix is one installation.
type postfix struct {
	sys      System
	opt      Options
	raw      map[string]string // parameters as they are written
	value    map[string]string // parameters expanded
	set      map[string]bool   // parameters that main.cf has
	services []service
	report   *Report
	daemon   daemon
}

// A service is a line of master.cf.
type service struct {
	Name, Type, Command string
	Chroot              bool
	Settings            map[string]string // -o, expanded
}

// parameters of main.cf that are looked at.
func parameters() []string {
	return []string{"config_directory", "queue_directory", "mail_version", "myhostname", "smtpd_milters", "non_smtpd_milters", "milter_default_action",
		"milter_protocol", "milter_content_timeout", "inet_interfaces", "mail_spool_directory", "home_mailbox", "mailbox_command", "mailbox_transport",
		"compatibility_level", "alias_maps", "inet_protocols", "mail_owner", "smtpd_milter_maps", "receive_override_options", "multi_instance_directories"}
}

// postconf runs postconf(1) for the installation.
func (p *postfix) postconf(ctx context.Context, args ...string) (string, error) {
	return p.command(ctx, "postconf", args...)
}

// command runs a program of Postfix for the installation.
func (p *postfix) command(ctx context.Context, name string, args ...string) (string, error) {
	if p.opt.Config != "" {
		args = append([]string{"-c", p.opt.Config}, args...)
	}
	return p.sys.Run(ctx, name, args...)
}

// inspect looks at the installation and says what has to be changed.
func (p *postfix) inspect(ctx context.Context) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	p.report.MTA, p.report.Version = "postfix", p.value["mail_version"]
	for _, name := range []string{"mail_version", "config_directory", "queue_directory", "myhostname", "smtpd_milters", "non_smtpd_milters",
		"milter_default_action", "milter_protocol"} {
		p.report.found(name, p.value[name])
	}
	p.describeServices()
	if err := p.choose(ctx); err != nil {
		p.report.Problems = append(p.report.Problems, err.Error())
		return nil
	}
	p.report.Address = p.daemon.endpoint.written
	p.report.found("address of Assay", p.daemon.endpoint.written)
	p.daemon.plan(ctx, p.report)
	if why := p.obstacle(); why != "" {
		p.report.Notes = append(p.report.Notes, why)
	}
	p.planMilters()
	return nil
}

// obstacle says what keeps Postfix from Assay's socket.
func (p *postfix) obstacle() string {
	e, queue := p.daemon.endpoint, p.value["queue_directory"]
	if e.network != "unix" {
		return ""
	}
	if !strings.HasPrefix(e.address, queue+"/") {
		queue = "/"
	}
	return obstacle(e.address, queue, cmp.Or(p.value["mail_owner"], "postfix"))
}

// read reads main.cf and master.cf.
func (p *postfix) read(ctx context.Context) error {
	var err error
	if p.raw, err = p.parameters(ctx); err != nil {
		return err
	}
	if p.value, err = p.parameters(ctx, "-x"); err != nil {
		return err
	}
	written, err := p.postconf(ctx, "-n")
	if err != nil {
		return fmt.Errorf("postconf -n: %w", err)
	}
	p.set = map[string]bool{}
	for name := range settings(written) {
		p.set[name] = true
	}
	lines, err := p.postconf(ctx, "-M")
	if err != nil {
		return fmt.Errorf("postconf -M: %w", err)
	}
	p.services = parseServices(lines, p.value["compatibility_level"])
	overrides, err := p.postconf(ctx, "-x", "-P")
	if err != nil {
		return fmt.Errorf("postconf -P: %w", err)
	}
	override(p.services, settings(overrides))
	return nil
}

// parameters returns the values of parameters.
func (p *postfix) parameters(ctx context.Context, flags ...string) (map[string]string, error) {
	out, err := p.postconf(ctx, append(flags, parameters()...)...)
	if err != nil {
		return nil, fmt.Errorf("postconf: %w", err)
	}
	return settings(out), nil
}

// settings reads what postconf prints: lines of "name = value".
func settings(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, "="); ok {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return values
}

// parseServices reads what "postconf -M" prints, a line for each service (master(5)).
func parseServices(text, level string) []service {
	var services []service
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || strings.HasPrefix(f[0], "#") {
			continue
		}
		// From compatibility level 1 on "-" means no chroot.
		s := service{Name: f[0], Type: f[1], Command: f[7], Settings: map[string]string{}, Chroot: f[4] == "y" || f[4] == "-" && (level == "" || level == "0")}
		services = append(services, s)
	}
	return services
}

// override notes what "postconf -P" prints, lines of "name/type/parameter = value", in the services.
func override(services []service, values map[string]string) {
	for key, value := range values {
		for _, s := range services {
			if name, found := strings.CutPrefix(key, s.Name+"/"+s.Type+"/"); found {
				s.Settings[name] = value
			}
		}
	}
}

// describeServices says what is odd about the services that receive mail.
func (p *postfix) describeServices() {
	var chrooted []string
	for _, s := range p.services {
		if s.Command != "smtpd" && s.Command != "cleanup" {
			continue
		}
		if s.Chroot {
			chrooted = append(chrooted, s.Name)
		}
	}
	p.report.found("services in a chroot", cmp.Or(strings.Join(chrooted, " "), "none"))
}

// noteBypasses says what mail does not pass through Assay.
func (p *postfix) noteBypasses(o own) {
	note := func(format string, args ...any) {
		p.report.Notes = append(p.report.Notes, fmt.Sprintf(format, args...))
	}
	for _, s := range p.services {
		own, set := s.Settings["smtpd_milters"]
		switch {
		case s.Command != "smtpd":
		case set && !o.in(own):
			note("the service %s in master.cf has smtpd_milters=%s of its own: its mail does not pass through Assay unless that names it", s.Name, own)
		case strings.Contains(s.Settings["receive_override_options"], "no_milters"):
			note("the service %s in master.cf has receive_override_options with no_milters: its mail does not pass through Assay", s.Name)
		}
	}
	if strings.Contains(p.value["receive_override_options"], "no_milters") {
		note("main.cf has receive_override_options with no_milters: no mail passes through any milter, except where master.cf says otherwise")
	}
	if maps := p.value["smtpd_milter_maps"]; maps != "" {
		note("smtpd_milter_maps=%s: mail of the clients that it names takes another way", maps)
	}
	if dirs := p.value["multi_instance_directories"]; dirs != "" {
		note("there are further instances of Postfix: %s; \"assay setup --apply --mta-config DIR\" connects one that takes mail from the network", dirs)
	}
}

// chrooted reports whether what connects to a milter is in a chroot.
func (p *postfix) chrooted() bool {
	return slices.ContainsFunc(p.services, func(s service) bool { return s.Chroot && (s.Command == "smtpd" || s.Command == "cleanup") })
}

// choose finds the best place where Postfix can reach Assay: a unix socket in the queue directory, which is the same path in
// and out of a chroot, then TCP.
func (p *postfix) choose(ctx context.Context) error {
	candidates, unfit := p.endpoints(ctx)
	for _, e := range candidates {
		if p.opt.Socket == "" || (p.opt.Socket == "unix") == (e.network == "unix") {
			p.daemon = daemon{sys: p.sys, endpoint: e}
			return nil
		}
	}
	if unfit == "" {
		unfit = "set listen.milter in assay.yaml"
	}
	return fmt.Errorf("no listener of Assay can be reached by Postfix%s: %s", map[bool]string{true: " by " + p.opt.Socket}[p.opt.Socket != ""], unfit)
}

// endpoints returns the places where Assay listens, best first, and why others do not count.
func (p *postfix) endpoints(ctx context.Context) (found []endpoint, unfit string) {
	queue := p.value["queue_directory"]
	if p.sys.systemd() && filepath.Dir(filepath.Dir(unitSocket)) == queue && p.sys.knows(ctx, "assay.socket") {
		found = append(found, endpoint{"unix", unitSocket, "unix:" + relative(unitSocket, queue), true})
	}
	var inet []endpoint
	for _, l := range p.opt.Listeners {
		switch l.Network {
		case "unix":
			inside := strings.HasPrefix(l.Address, queue+"/")
			if !inside && p.chrooted() {
				unfit = fmt.Sprintf("%s is outside of %s, where Postfix's chroot ends; set listen.milter: unix:%s/assay/milter.sock", l.Address, queue, queue)
				continue
			}
			found = append(found, endpoint{"unix", l.Address, "unix:" + relative(l.Address, queue), false})
		case "tcp4", "tcp6":
			host, port, _ := net.SplitHostPort(l.Address)
			host = loopback(host, l.Network)
			inet = append(inet, endpoint{"tcp", net.JoinHostPort(host, port), "inet:" + net.JoinHostPort(host, port), false})
		}
	}
	return append(found, inet...), unfit
}

// relative returns a path as Postfix finds it in and out of a chroot: relative to the queue directory, if it is below it.
func relative(path, queue string) string {
	if rest, inside := strings.CutPrefix(path, queue+"/"); inside {
		return rest
	}
	return path
}

// loopback returns the address under which a listener is reached on this machine. A chroot may have no /etc/hosts.
func loopback(host, network string) string {
	if host == "0.0.0.0" || host == "::" || host == "localhost" || host == "" {
		return map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"}[network]
	}
	return host
}

// own returns Assay's entry. Whatever Postfix does when another milter is away, mail must not pass Assay unchecked.
func (p *postfix) own() own {
	o := own{entry: p.daemon.endpoint.written, last: p.opt.Last, replace: p.opt.Socket != ""}
	var special []string
	if p.anywhere("milter_default_action", func(action string) bool { return action != "tempfail" }) {
		special = append(special, "default_action=tempfail")
	}
	need := max(300*time.Second, p.opt.Budget+time.Minute)
	if p.anywhere("milter_content_timeout", func(value string) bool { return atLeast(value, need) != nil }) {
		special = append(special, fmt.Sprintf("content_timeout=%ds", int(need.Seconds())))
	}
	if p.anywhere("milter_protocol", func(v string) bool { return v != "" && v < "6" }) {
		special = append(special, "protocol=6")
	}
	if len(special) > 0 {
		o.entry = "{ " + o.entry + ", " + strings.Join(special, ", ") + " }"
	}
	queue := p.value["queue_directory"]
	o.addresses = []string{"unix:" + relative(unitSocket, queue), "unix:" + unitSocket, p.daemon.endpoint.written}
	for _, l := range p.opt.Listeners {
		o.addresses = append(o.addresses, p.names(l)...)
	}
	return o
}

// anywhere reports whether something holds for a parameter in main.cf or in a service that calls milters.
func (p *postfix) anywhere(name string, holds func(string) bool) bool {
	return holds(p.value[name]) || slices.ContainsFunc(p.services, func(s service) bool {
		value, set := s.Settings[name]
		return set && (s.Command == "smtpd" || s.Command == "cleanup") && holds(value)
	})
}

// names returns how entries may write a listener.
func (p *postfix) names(l milter.ListenAddress) []string {
	queue := p.value["queue_directory"]
	if l.Network == "unix" {
		return []string{"unix:" + l.Address, "unix:" + relative(l.Address, queue), "unix:/" + relative(l.Address, queue)}
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return nil
	}
	return []string{"inet:" + net.JoinHostPort(loopback(host, l.Network), port), "inet:localhost:" + port, "inet:" + l.Address}
}

// errTooShort is the answer of atLeast.
var errTooShort = errors.New("too short")

// atLeast returns an error if a time of Postfix, such as 300s or 5m, is shorter than need or cannot be read.
func atLeast(value string, need time.Duration) error {
	if value == "" {
		return nil // Postfix's default, 300 s
	}
	if last := value[len(value)-1]; last >= '0' && last <= '9' {
		value += "s"
	}
	d, err := time.ParseDuration(value)
	if err == nil && d < need {
		return errTooShort
	}
	return err
}

// planMilters says how the lists of milters have to change.
func (p *postfix) planMilters() {
	o := p.own()
	if strings.HasPrefix(p.value["mail_version"], "2.") && strings.HasPrefix(o.entry, "{") {
		p.report.Problems = append(p.report.Problems, "Postfix "+p.value["mail_version"]+" knows no settings of a single milter, such as "+o.entry+
			": set them in main.cf first, milter_default_action=tempfail before all")
		return
	}
	p.noteBypasses(o)
	why := "mail from the network passes through Assay"
	if others := splitMilters(p.value["smtpd_milters"]); len(others) > 0 && !o.in(p.value["smtpd_milters"]) {
		why += "; the milters that are there keep their order, and Assay comes first: results that others add in front of it would be taken for forged, " +
			"and whoever signs behind it signs what Assay has changed"
		if p.opt.Last {
			why += " (last, as asked for)"
		}
	}
	p.planList("smtpd_milters", o, why)
	if value := p.raw["non_smtpd_milters"]; !refersTo(value, "smtpd_milters") {
		p.planList("non_smtpd_milters", o, "forged results are taken out of mail that programs on this host send, too")
	}
}

// refersTo reports whether a value takes in that of a parameter: $name, ${name} or $(name).
func refersTo(value, name string) bool {
	for _, entry := range splitMilters(strings.NewReplacer("${", "$", "$(", "$", "}", " ", ")", " ").Replace(value)) {
		if entry == "$"+name {
			return true
		}
	}
	return false
}

// planList says how one list has to change. One that names Assay by way of another parameter is left as it is.
func (p *postfix) planList(name string, o own, why string) {
	from := p.raw[name]
	if o.in(p.value[name]) && !o.in(from) {
		if o.replace && !slices.Contains(addresses(p.value[name]), address(o.entry)) {
			p.report.Notes = append(p.report.Notes, name+" names Assay by way of another parameter, which is not changed")
		}
		p.noteEntry(name)
		return
	}
	if o.with(from) != from {
		p.report.Changes = append(p.report.Changes, Change{name, from, o.with(from), why})
		return
	}
	p.noteEntry(name)
}

// noteEntry says what is odd about an entry of Assay's that was there already.
func (p *postfix) noteEntry(name string) {
	o := p.own()
	for _, entry := range splitMilters(p.value[name]) {
		if !o.is(entry) {
			continue
		}
		set := entrySettings(entry)
		if action := cmp.Or(set["default_action"], p.value["milter_default_action"]); action != "tempfail" {
			p.report.Notes = append(p.report.Notes, fmt.Sprintf("while Assay is away Postfix does with mail of %s what default_action=%s says; "+
				"with tempfail it waits at the sending side", name, action))
		}
		if v := cmp.Or(set["protocol"], p.value["milter_protocol"]); v != "" && v < "6" {
			p.report.Notes = append(p.report.Notes, fmt.Sprintf("Postfix speaks version %s of the milter protocol to Assay in %s, which needs 6: write { %s, protocol=6 }",
				v, name, address(entry)))
		}
	}
}
