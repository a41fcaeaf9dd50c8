package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"assay/rules/facts"
)

// authenticatedMacro is the macro that says whether the sender of a message is authenticated.
const authenticatedMacro = "authenticated"

// An exception is one message shape that a rule does not apply to.
type exception struct {
	info          ExceptionInfo
	sender        string
	senderDomain  string
	recipients    []string
	client        netip.Prefix
	authenticated bool
}

// loadExceptions reads the exceptions of a rule. Ids are unique within a rule.
func (l *loader) loadExceptions(rule string, list item, before []*exception) []*exception {
	var all []*exception
	for _, it := range list.all() {
		x := &exception{
			sender: strings.ToLower(it.get("sender").text()), senderDomain: trimDomain(it.get("sender_domain").text()),
			recipients: lowered(it.get("recipients").texts()), client: prefixOf(it.get("client").text()),
			authenticated: it.get("authenticated").truth(true),
		}
		x.info = ExceptionInfo{Rule: rule, ID: it.get("id").text(), Reason: it.get("reason").text(), Owner: it.get("owner").text(),
			Expires: endOfDay(it.get("expires").text()), Origin: it.position()}
		x.info.Applies = x.words()
		l.checkException(it, x, slices.Concat(before, all))
		all = append(all, x)
	}
	return all
}

// checkException reports what the shape of an exception cannot tell.
func (l *loader) checkException(it item, x *exception, others []*exception) {
	for _, o := range others {
		if id := it.get("id"); id.has() && o.info.ID == x.info.ID {
			id.report("exception %q is already in %s: the ids of the exceptions of a rule are unique", x.info.ID, o.info.Origin)
		}
	}
	chosen := false
	for _, name := range []string{"sender", "sender_domain", "recipients", "client"} {
		chosen = chosen || hasKey(it, name)
	}
	if !chosen {
		it.report("the exception does not say what it applies to, so the rule would never fire: add sender, sender_domain, recipients or client")
	}
	if recipients := it.get("recipients"); recipients.has() && len(recipients.texts()) == 0 && recipients.n.Kind == sequenceNode && len(recipients.n.Content) == 0 {
		recipients.report("the list of recipients is empty: name at least one, or remove the key")
	}
	l.warnOpen(it, x)
	if now := l.opt.Now; !now.IsZero() && !x.info.Expires.IsZero() && !now.Before(x.info.Expires) {
		expires := it.get("expires")
		expires.d.warn(expires.n, "exception %q has expired and does not apply any more: remove it, or give it a new date", x.info.ID)
	}
}

// warnOpen warns of an exception that anybody can make use of.
func (l *loader) warnOpen(it item, x *exception) {
	if domain := strings.TrimPrefix(strings.TrimPrefix(x.senderDomain, "*"), "."); x.senderDomain != "" && !strings.Contains(domain, ".") {
		at := it.get("sender_domain")
		at.d.warn(at.n, "sender_domain %s is the domain of very many people: name one in which only those meant can get a mailbox", x.senderDomain)
	}
	if x.client.IsValid() && x.client.Bits() < 8 {
		at := it.get("client")
		at.d.warn(at.n, "client %s covers a large part of the Internet: name the network of those who are meant", x.client)
	}
	if (x.sender != "" || x.senderDomain != "") && !x.authenticated && !x.client.IsValid() {
		at := it.get("authenticated")
		at.d.warn(at.n, "anybody can write this sender into From, so anybody gets the exception: remove \"authenticated: false\", or name the client too")
	}
}

// hasKey reports whether an object has a key, be its value usable or not.
func hasKey(it item, name string) bool {
	for i := 0; i+1 < len(it.n.Content); i += 2 {
		if it.n.Content[i].Value == name {
			return true
		}
	}
	return false
}

// lowered returns texts in lower case.
func lowered(texts []string) []string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = strings.ToLower(t)
	}
	return all
}

// prefixOf reads a network or an address.
func prefixOf(s string) netip.Prefix {
	if p, err := netip.ParsePrefix(s); err == nil {
		return unmapped(p)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.Prefix{}
}

// unmapped returns the IPv4 network of an IPv4-mapped IPv6 one.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// words says to whom the exception applies.
func (x *exception) words() string {
	var words []string
	if x.sender != "" {
		words = append(words, "From is "+x.sender)
	}
	if x.senderDomain != "" {
		words = append(words, "the domain in From is "+x.senderDomain)
	}
	if len(x.recipients) > 0 {
		words = append(words, "every recipient is among "+strings.Join(x.recipients, ", "))
	}
	if x.client.IsValid() {
		words = append(words, "the client is in "+x.client.String())
	}
	if x.authenticated {
		words = append(words, "the sender is authenticated")
	}
	return strings.Join(words, " and ")
}

// applies reports whether the exception applies to a message, and why or why not.
func (x *exception) applies(ev *evaluation) (bool, string) {
	switch now := fact[time.Time](ev, "received_at"); {
	case !now.Before(x.info.Expires):
		return false, "it has expired"
	case x.sender != "" && !x.isSender(ev):
		return false, fmt.Sprintf("From is not %s", x.sender)
	case x.senderDomain != "" && !x.isSenderDomain(ev):
		return false, fmt.Sprintf("the domain in From is not %s", x.senderDomain)
	case x.client.IsValid() && !x.isClient(ev):
		return false, fmt.Sprintf("the client is not in %s", x.client)
	case len(x.recipients) > 0:
		if other, ok := x.stranger(ev); ok {
			return false, fmt.Sprintf("the recipient %s is not among its recipients", other)
		}
	}
	if x.authenticated && !ev.authenticated() {
		return false, "the sender is not authenticated"
	}
	return true, x.words()
}

// isSender reports whether the message has one author, who is the sender of the exception.
func (x *exception) isSender(ev *evaluation) bool {
	return fact[string](ev, "from_problem") == "" && strings.EqualFold(fact[facts.Mailbox](ev, "from").Email, x.sender)
}

// isSenderDomain reports whether the message has one author, who is of the domain of the exception.
func (x *exception) isSenderDomain(ev *evaluation) bool {
	return fact[string](ev, "from_problem") == "" && matchesDomain(x.senderDomain, fact[facts.Mailbox](ev, "from").Domain)
}

// isClient reports whether the client is in the network of the exception.
func (x *exception) isClient(ev *evaluation) bool {
	ip, err := netip.ParseAddr(fact[facts.Conn](ev, "conn").IP)
	return err == nil && x.client.Contains(ip.Unmap().WithZone(""))
}

// stranger returns a recipient that the exception does not cover. A message without recipients has one.
func (x *exception) stranger(ev *evaluation) (string, bool) {
	recipients := fact[[]facts.Path](ev, "rcpts")
	if len(recipients) == 0 || len(recipients) >= facts.MaxAddresses {
		return "that is not known", true // beyond the bound there may be others
	}
	for _, r := range recipients {
		if !slices.ContainsFunc(x.recipients, func(p string) bool { return matchesRecipient(p, r.Email) }) {
			return r.Email, true
		}
	}
	return "", false
}

// matchesDomain reports whether a domain matches a pattern: itself, or with a dot in front what lies below it.
func matchesDomain(pattern, domain string) bool {
	domain = trimDomain(domain)
	if below, ok := strings.CutPrefix(strings.TrimPrefix(pattern, "*"), "."); ok {
		return strings.HasSuffix(domain, "."+below)
	}
	return domain == pattern && domain != ""
}

// matchesRecipient reports whether an address matches a pattern: an address, "@domain" or ".domain". Both are in lower
// case or are compared so.
func matchesRecipient(pattern, address string) bool {
	address = strings.ToLower(address)
	domain := address[strings.LastIndexByte(address, '@')+1:]
	switch {
	case strings.HasPrefix(pattern, "@"):
		return domain == pattern[1:] && strings.Contains(address, "@")
	case strings.HasPrefix(pattern, "."):
		return strings.HasSuffix(domain, pattern)
	}
	return address == pattern
}

// A recipientGroup has a key of its own for split_recipients.
type recipientGroup struct {
	name     string
	patterns []string
}

// loadGroups reads the recipient groups.
func (l *loader) loadGroups() {
	first := map[string]item{}
	for _, f := range l.files {
		f.top.get("recipient_groups").entries(func(name, value item) {
			if other, twice := first[name.text()]; twice {
				name.report("recipient group %q is already defined in %s: choose another name", name.text(), other.position())
				return
			}
			first[name.text()] = name
			l.groups = append(l.groups, recipientGroup{name.text(), lowered(value.texts())})
		})
	}
}

// recipientPatterns returns everything that tells recipients apart.
func recipientPatterns(rules []*rule, groups []recipientGroup) []recipientGroup {
	all := slices.Clone(groups)
	for _, r := range rules {
		for _, x := range r.exceptions {
			if r.mode != Off && len(x.recipients) > 0 {
				all = append(all, recipientGroup{r.info.ID + "/" + x.info.ID, x.recipients})
			}
		}
	}
	return all
}

// Group returns a key for a recipient: recipients with the same key are treated alike by every recipient pattern of the
// set, so they may share one transaction.
func (s *Set) Group(recipient string) string {
	var names []string
	for _, g := range s.patterns {
		if slices.ContainsFunc(g.patterns, func(p string) bool { return matchesRecipient(p, recipient) }) {
			names = append(names, g.name)
		}
	}
	return strings.Join(names, " ")
}
