package logline

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"assay/cmd/internal/config"
	"assay/milter/filter"
	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/spf"
)

// maxListed bounds the members of a list in a line, and maxHashes those of a list of hashes.
const (
	maxListed = 10
	maxHashes = 3
)

// A Namer gives persons names that do not tell who they are. It is called for each line, concurrently. *pseudonym.Namer is
// one.
type Namer interface {
	Of(address string) string
}

// A View is how much of a message its line shows.
type View struct {
	Privacy config.Privacy
	Names   Namer // of persons at the level domain_only; nil for none
}

// Write logs the line of one message. It is a warning when the message could not be handled, and a debug line when it
// was aborted before there was anything to say about it. A check that panicked has an error line of its own, and a signature
// about which two implementations do not agree a warning: one of them has a flaw, or somebody tries to find one.
func Write(l *slog.Logger, v View, o *filter.Outcome, err error) {
	level := slog.LevelInfo
	switch {
	case o.Aborted:
		level = slog.LevelDebug
	case o.Failure != "" || err != nil:
		level = slog.LevelWarn
	}
	l.LogAttrs(context.Background(), level, "", Attrs(v, o, err)...)
	if slices.Contains(o.Results.SMIME.Flags, smime.FlagDisputed) {
		disputed := &line{View: v}
		disputed.add(queueIDKey, queueID(o))
		disputed.problem("reason", o.Results.SMIME.Reason)
		l.LogAttrs(context.Background(), slog.LevelWarn, "two implementations do not agree about an S/MIME signature", disputed.attrs...)
	}
	for _, f := range o.Results.Faults {
		fault := &line{View: v}
		fault.add(queueIDKey, queueID(o))
		fault.add("check", f.Check)
		fault.problem("cause", f.Cause)
		fault.add("stack", f.Stack)
		l.LogAttrs(context.Background(), slog.LevelError, "a check panicked; this is a bug", fault.attrs...)
	}
}

// queueID returns the MTA's name for a message.
func queueID(o *filter.Outcome) string { return cmp.Or(o.Envelope.QueueID, "NOQUEUE") }

// Attrs returns what the line of a message says, queue id first. What it holds of people and hosts is for the privacy
// level to say.
func Attrs(v View, o *filter.Outcome, err error) []slog.Attr {
	l := &line{View: v}
	l.add(queueIDKey, queueID(o))
	l.envelope(&o.Envelope, o.Results)
	if o.Aborted {
		l.add("aborted", "yes")
		l.problem("error", errorText(err))
		return l.attrs
	}
	if !o.Refused {
		l.results(o.Results)
	}
	l.decision(o, err)
	l.attrs = append(l.attrs, slog.Int64("size", o.Size), slog.Int("parts", o.Parts), slog.Int("dns", len(o.Questions)),
		slog.Int64("ms", o.Elapsed.Milliseconds()))
	l.amendment(o.Amendment)
	l.quarantine(o)
	l.problem("unsealed", o.Unsealed)
	l.problem("failure", o.Failure)
	l.problem("error", errorText(err))
	return l.attrs
}

// A line collects the attributes of one message.
type line struct {
	View
	attrs []slog.Attr
}

// add adds an attribute; an empty value is left out.
func (l *line) add(key, value string) {
	if value != "" {
		l.attrs = append(l.attrs, slog.String(key, value))
	}
}

// problem adds the first line of the text of an error, without addresses unless the level shows them.
func (l *line) problem(key, text string) {
	text, _, _ = strings.Cut(text, "\n")
	switch l.Privacy {
	case config.PrivacyFull:
	case config.PrivacyMinimal:
		text = hideAddresses(text, false)
	default:
		text = hideAddresses(text, true)
	}
	l.add(key, text)
}

// envelope says who sent the message and to whom, as far as the privacy level allows.
func (l *line) envelope(e *message.Envelope, r verify.Results) {
	switch l.Privacy {
	case config.PrivacyFull:
		if e.ClientIP.IsValid() {
			l.add("client", e.ClientIP.Unmap().String())
		}
		l.add("client_name", e.ClientName)
		l.add("helo", e.Helo)
		l.add("user", e.AuthUser)
		l.add("mail_from", "<"+e.MailFrom+">")
	case config.PrivacyMinimal:
	default:
		l.add("client", network(e.ClientIP))
	}
	l.add("tls", cmp.Or(strings.TrimPrefix(e.TLS.Version, "TLSv"), "none"))
	l.people(e, r)
	l.attrs = append(l.attrs, slog.Int("n_rcpt", len(e.RcptTo)))
}

// people adds author and recipients: addresses, domains, or nothing.
func (l *line) people(e *message.Envelope, r verify.Results) {
	var authors, recipients, domains []string
	for _, m := range r.Author.Mailboxes {
		authors, domains = append(authors, m.Local+"@"+m.Domain), append(domains, m.Domain)
	}
	switch l.Privacy {
	case config.PrivacyMinimal:
		return
	case config.PrivacyFull:
		l.add("from", list(authors))
		l.add("rcpt", list(e.RcptTo))
	default:
		for _, rcpt := range e.RcptTo {
			recipients = append(recipients, domainOf(rcpt))
		}
		l.add("from_domain", list(unique(domains)))
		l.add("from_pid", l.pseudonyms(authors))
		l.add("rcpt_domains", list(unique(recipients)))
		l.add("rcpt_pids", l.pseudonyms(e.RcptTo))
		l.add("user_pid", l.pseudonyms([]string{e.AuthUser}))
	}
}

// pseudonyms returns the names of persons in the log, in the order of their addresses.
func (l *line) pseudonyms(addresses []string) string {
	if l.Names == nil {
		return ""
	}
	names := make([]string, min(len(addresses), maxListed))
	for i := range names {
		names[i] = l.Names.Of(addresses[i])
	}
	return joined(names, len(addresses))
}

// hashes adds the SHA-256 of files that were found malicious, and of those that nobody could look into. They lead to reports
// of others about the same file, and to the other mails with it, and say nothing to those who do not have the file.
func (l *line) hashes(objects []scan.Object) {
	if l.Privacy == config.PrivacyMinimal {
		return
	}
	var bad, unscanned []string
	for i := range objects {
		switch o := &objects[i]; {
		case o.SHA256 == "" || o.State == scan.Inspected:
		case o.State == scan.Bad:
			bad = append(bad, o.SHA256)
		default:
			unscanned = append(unscanned, o.SHA256)
		}
	}
	for _, h := range []struct {
		key  string
		sums []string
	}{{"malware_sha256", unique(bad)}, {"unscanned_sha256", unique(unscanned)}} {
		l.add(h.key, joined(h.sums[:min(len(h.sums), maxHashes)], len(h.sums)))
	}
}

// results adds one word for each check.
func (l *line) results(r verify.Results) {
	l.add("author", string(r.Author.Problem))
	if r.Skipped != "" {
		l.add("skipped", skipWord(r.Skipped))
		return
	}
	l.add("spf", spfResult(r.SPF))
	l.add("dkim", dkimResult(r.DKIM))
	l.add("dmarc", string(r.DMARC.Result))
	l.add("policy", string(r.DMARC.Policy))
	l.add("override", r.DMARC.Override)
	l.add("arc", string(r.ARC.Result))
	l.add("iprev", string(r.IPRev.Result))
	l.add("smime", string(r.SMIME.State))
	l.add("opened", openedWord(r.SMIME))
}

// openedWord says that an encrypted message was opened, and whether it is as it was encrypted, as in X-Assay-Result.
func openedWord(v smime.Verification) string {
	switch {
	case !v.Opened:
		return ""
	case v.Opening != nil && v.Opening.Authenticated:
		return "authenticated"
	}
	return "unauthenticated"
}

// quarantine says what was stored, and what comes from there.
func (l *line) quarantine(o *filter.Outcome) {
	l.add("quarantine", o.Quarantined)
	l.add("original_kept", o.OriginalKept)
	l.add("released", o.Released)
	l.problem("not_released", o.Forged)
}

// decision adds what is done about the message. One whose plan could not be sent is deferred by the MTA, whatever had been
// decided.
func (l *line) decision(o *filter.Outcome, err error) {
	disposition := o.Decision.Disposition
	if err != nil {
		disposition = rules.Defer
	}
	var fired, monitored []string
	for _, m := range o.Decision.Rules {
		if m.Enforced {
			fired = append(fired, m.ID)
		} else {
			monitored = append(monitored, m.ID)
		}
	}
	l.add("trust", string(o.Decision.Trust))
	l.add("disposition", disposition.String())
	l.add("rules", list(fired))
	l.add("monitored", list(monitored))
	l.rules(o.Decision)
	if n := len(o.Removed); n > 0 {
		l.attrs = append(l.attrs, slog.Int("removed", n))
	}
	if n := len(o.Report.Findings); n > 0 {
		l.attrs = append(l.attrs, slog.Int("findings", n))
	}
	l.add("unscanned", list(o.Report.Unscanned()))
	l.add("virus", string(o.Report.Virus.State))
	l.add("malware", list(o.Report.Virus.Names))
	l.hashes(o.Report.Objects)
	if n := len(o.Defects); n > 0 {
		l.attrs = append(l.attrs, slog.Int("defects", n))
	}
}

// rules adds what became of rules besides firing.
func (l *line) rules(d rules.Decision) {
	var exempt, failed []string
	for _, e := range d.Exempt {
		exempt = append(exempt, e.Rule+":"+e.Exception)
	}
	for _, f := range d.Errors {
		failed = append(failed, f.Rule)
	}
	l.add("exempt", list(exempt))
	l.add("failed_rules", list(failed))
	if len(d.Errors) > 0 {
		l.problem("rule_error", d.Errors[0].Cause)
	}
	l.add("rule_set", d.Set[:min(len(d.Set), 12)])
}

// amendment adds what is changed in the message, and what a rule wanted changed and stays.
func (l *line) amendment(a filter.Amendment) {
	l.add("changed", list(a.Changed))
	if n := len(a.Kept); n > 0 {
		l.attrs = append(l.attrs, slog.Int("kept", n))
	}
	l.add("original", a.SHA256)
}

// skipWord returns the word for why a message was not checked.
func skipWord(s verify.Skip) string {
	switch s {
	case verify.SkipAuthenticated:
		return "authenticated"
	case verify.SkipLocal:
		return "local"
	case verify.SkipNetwork:
		return "network"
	}
	return string(s)
}

// spfResult returns the result for MAIL FROM, the identity that DMARC uses.
func spfResult(vs []spf.Verification) string {
	for _, v := range vs {
		if v.Identity == spf.MailFrom {
			return string(v.Result)
		}
	}
	if len(vs) > 0 {
		return string(vs[0].Result)
	}
	return ""
}

// dkimResult returns the result of the first signature; passing and aligned ones come first.
func dkimResult(vs []dkim.Verification) string {
	if len(vs) == 0 {
		return string(authres.None)
	}
	return string(vs[0].Result)
}

// network returns the network of an address: /24 for IPv4, /48 for IPv6.
func network(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	bits := 48
	if ip.Is4() || ip.Is4In6() {
		ip, bits = ip.Unmap(), 24
	}
	p, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// domainOf returns the domain of an address in lower case.
func domainOf(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return "-"
	}
	return strings.ToLower(address[i+1:])
}

// unique returns the distinct words of ws in their order.
func unique(ws []string) []string {
	var kept []string
	seen := make(map[string]bool, len(ws))
	for _, w := range ws {
		if !seen[w] {
			seen[w] = true
			kept = append(kept, w)
		}
	}
	return kept
}

// list joins words with commas. Commas inside words are replaced; a long list ends in the number of words left out.
func list(words []string) string {
	shown := slices.Clone(words[:min(len(words), maxListed)])
	for i := range shown {
		shown[i] = strings.ReplaceAll(shown[i], ",", "_")
	}
	return joined(shown, len(words))
}

// joined joins words with commas and says how many of all are not among them.
func joined(shown []string, all int) string {
	text := strings.Join(shown, ",")
	if left := all - len(shown); left > 0 {
		text += ",+" + strconv.Itoa(left)
	}
	return text
}

// hideAddresses takes out of a text what could name a person or a host: quoted text, the local part of everything that
// looks like a mail address, and the host part of IP addresses. What is left of addresses is shown only if asked for.
func hideAddresses(text string, remainders bool) string {
	words := strings.Fields(hideQuoted(clip(text)))
	hidden := func(rest string) string {
		if remainders {
			return rest
		}
		return "*"
	}
	for i, w := range words {
		if at := strings.LastIndexByte(w, '@'); at >= 0 {
			words[i] = hidden("*" + w[at:])
			continue
		}
		bare := strings.Trim(w, "<>()[],;")
		if ip, err := netip.ParseAddr(strings.TrimSuffix(bare, ":")); err == nil {
			words[i] = hidden(network(ip))
		} else if ap, err := netip.ParseAddrPort(strings.TrimSuffix(w, ":")); err == nil {
			words[i] = hidden(network(ap.Addr()))
		}
	}
	return strings.Join(words, " ")
}

// hideQuoted replaces text in double quotes. An open quote hides the rest.
func hideQuoted(text string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, r := range text {
		switch {
		case quoted && escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			if !quoted {
				b.WriteByte('*')
			}
			quoted = !quoted
		case !quoted:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// errorText returns the text of err, "" for nil.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
