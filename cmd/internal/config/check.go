package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// at reports a problem with the value of a key, at the place the value comes from.
func (r *reader) at(path, format string, args ...any) {
	message := path + ": " + fmt.Sprintf(format, args...)
	o, set := r.origins[path]
	switch {
	case set && o.line > 0:
		r.reportAt(o.line, o.column, message)
	case set:
		r.problems = append(r.problems, Problem{File: "environment", Message: o.name + ": " + message})
	default:
		r.problems = append(r.problems, Problem{File: r.name, Message: message})
	}
}

// check reports values that are wrong beside each other. It runs when every value is right by itself.
func (r *reader) check() {
	c := r.config
	if len(c.Listen.Milter) == 0 {
		r.at("listen.milter", "is empty: Assay would listen nowhere")
	}
	if _, set := r.origins["limits.dns_time"]; !set {
		c.Limits.DNSTime = min(c.Limits.DNSTime, c.Limits.Time/2)
	}
	if c.Limits.DNSTime >= c.Limits.Time {
		r.at("limits.dns_time", "%s must be shorter than limits.time, %s: otherwise slow DNS defers mail instead of giving temperror",
			showDuration(c.Limits.DNSTime), showDuration(c.Limits.Time))
	}
	if len(c.Headers.StripIDs) > 0 && c.Headers.Strip != StripList {
		r.at("headers.strip_ids", "has an effect only with strip_authentication_results: list")
	}
	if c.Headers.Strip == StripList && len(c.Headers.StripIDs) == 0 {
		r.at("headers.strip_authentication_results", "list needs authserv-ids in headers.strip_ids (own removes only our own)")
	}
	if (len(c.Trust.Upstream) > 0) != (len(c.Trust.AuthservIDs) > 0) {
		path, other := "trust.upstream", "trust.authserv_ids"
		if len(c.Trust.Upstream) == 0 {
			path, other = other, path
		}
		r.at(path, "has an effect only together with %s", other)
	}
	r.checkSeal()
	r.checkDecryption()
	r.checkQuarantine()
	r.checkReports()
}

// warn reports what is allowed but probably not meant.
func (r *reader) warn() {
	c := r.config
	if _, set := r.origins["format"]; !set && r.name != "" {
		r.at("format", "is not set: write format: 1")
	}
	for _, p := range c.Trust.Networks {
		if p.Bits() == 0 {
			r.at("trust.networks", "%s trusts every client: nothing from outside would be checked", p)
		}
	}
	for _, l := range c.Listen.Milter {
		if host, _, err := net.SplitHostPort(l.Address); err == nil && strings.HasPrefix(l.Network, "tcp") && exposed(host) {
			r.at("listen.milter", "%s can be reached from other hosts, and the milter protocol has no authentication", l)
		}
	}
	if host, _, err := net.SplitHostPort(c.Listen.Metrics); err == nil && exposed(host) {
		r.at("listen.metrics", "%s can be reached from other hosts, and metrics have no authentication", c.Listen.Metrics)
	}
	if s := c.Verify.SMIME; !s.PublicRoots && len(s.Roots) == 0 {
		r.at("verify.smime.public_roots", "is false and verify.smime.roots is empty: no S/MIME signature can be trusted")
	}
	if c.Log.Privacy == PrivacyFull {
		r.at("log.privacy", "full writes addresses of senders and recipients to the log")
	}
}

// System returns warnings about what the configuration names and this system does not have, and about decisions of the
// institution that it leaves open. They are right only on the system on which Assay runs.
func (l *Loaded) System() Problems {
	c, r := l.Config, *l.reader
	r.problems = nil
	if missing := c.Scan.Unscanned.undecided(); len(missing) > 0 {
		r.at("scan.unscanned", "no decision about %s: APP.5.3.A4 asks what happens to mail that nobody can look into; until then it is delivered "+
			"unless a rule says otherwise", strings.Join(missing, ", "))
	}
	if g := c.Listen.SocketGroup; g != "" && !isDigits(g) {
		if _, err := user.LookupGroup(g); err != nil {
			r.at("listen.socket_group", "there is no group %q on this system", g)
		}
	}
	for _, a := range c.Listen.Milter {
		if a.Network != "unix" {
			continue
		}
		if info, err := os.Stat(filepath.Dir(a.Address)); err != nil || !info.IsDir() {
			r.at("listen.milter", "there is no directory %s on this system", filepath.Dir(a.Address))
		}
	}
	if !slices.Contains(c.Rules.Dirs, Shipped) && !slices.Contains(c.Rules.Dirs, VendorRules) {
		r.at("rules.dirs", "leaves out the rules that come with Assay; the word %s stands for them", Shipped)
	}
	for _, dir := range c.Rules.Dirs {
		if dir == Shipped || dir == VendorRules || dir == LocalRules {
			continue
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			r.at("rules.dirs", "there is no directory %s on this system", dir)
		}
	}
	for path, dir := range map[string]string{"scan.templates": c.Scan.Templates, "verify.smime.harvest": c.Verify.SMIME.Harvest} {
		if info, err := os.Stat(dir); dir != "" && (err != nil || !info.IsDir()) {
			r.at(path, "there is no directory %s on this system", dir)
		}
	}
	r.warnSeal()
	r.warnDecryption()
	r.warnReports()
	r.problems.sort()
	return r.problems
}

// exposed says whether a listener on host can be reached from other hosts.
func exposed(host string) bool {
	if host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}
