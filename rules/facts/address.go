package facts

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"assay/verify/message"
)

// pathOf reads a reverse-path or forward-path without angle brackets.
func pathOf(path string) Path {
	path = bounded(path)
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return Path{Email: path, Local: path}
	}
	domain := canonical(path[at+1:])
	return Path{Email: path[:at+1] + domain, Local: unquoted(path[:at]), Domain: domain, OrgDomain: orgDomain(domain)}
}

// unquoted returns a local part without quoting (RFC 5321 Section 4.1.2, Quoted-string).
func unquoted(local string) string {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return local
	}
	var out strings.Builder
	for i := 1; i < len(local)-1; i++ {
		if local[i] == '\\' && i+1 < len(local)-1 {
			i++
		}
		out.WriteByte(local[i])
	}
	return out.String()
}

// canonical returns a domain in lower case, as A-labels, and without a final dot. What is no domain name is only put into
// lower case.
func canonical(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
				return ascii
			}
			break
		}
	}
	return domain
}

// orgDomain returns the organizational domain of a canonical domain by the public suffix list: the public suffix and one
// label. The domain itself is returned when it is a public suffix, and "" for what is no domain name.
func orgDomain(domain string) string {
	if domain == "" || domain[0] == '[' || !strings.ContainsFunc(domain, isLetter) {
		return ""
	}
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
}

// OrgDomain returns the organizational domain of a domain in lower case by the public suffix list, as the facts have it.
func OrgDomain(domain string) string { return orgDomain(domain) }

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 0x80 }

// recipients are the accepted forward-paths.
func (f *Facts) recipients() []Path {
	to := f.in.Message.Envelope.RcptTo
	to = to[:min(len(to), MaxAddresses)]
	out := make([]Path, len(to))
	for i, path := range to {
		out[i] = pathOf(path)
	}
	return out
}

// from is the one author of the message. With several mailboxes it is the first, and from_problem says so.
func (f *Facts) from() Mailbox {
	if boxes := f.in.Results.Author.Mailboxes; len(boxes) > 0 {
		return author(boxes[0])
	}
	return Mailbox{}
}

// authors are all mailboxes of all From fields.
func (f *Facts) authors() []Mailbox {
	boxes := f.in.Results.Author.Mailboxes
	boxes = boxes[:min(len(boxes), MaxAddresses)]
	out := make([]Mailbox, len(boxes))
	for i, box := range boxes {
		out[i] = author(box)
	}
	return out
}

func author(m message.Mailbox) Mailbox { return mailbox(m.Name, m.Local, m.Domain) }

// mailbox puts a Mailbox together.
func mailbox(name, local, domain string) Mailbox {
	m := Mailbox{Name: oneLine(bounded(name)), Local: bounded(local), Domain: canonical(bounded(domain))}
	m.OrgDomain = orgDomain(m.Domain)
	m.Email = m.Local
	if m.Domain != "" {
		m.Email += "@" + m.Domain
	}
	return m
}

// oneLine collapses blanks and line ends, which a display name can contain in encoded words.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// mailboxes are the addresses of every field of a name, at most limit. They are read as tolerantly as those of From: what
// looks like an address counts, for a mail client may take it for one.
func (f *Facts) mailboxes(name string, limit int) []Mailbox {
	out := []Mailbox{}
	for field := range f.in.Message.Header.All(name) {
		list := message.Header{{Name: "From", Raw: field.Raw, Nth: 1}}.Author().Mailboxes
		for _, box := range list {
			if len(out) == limit {
				return out
			}
			out = append(out, author(box))
		}
	}
	return out
}

// sender is the first mailbox of Sender (RFC 5322 Section 3.6.2).
func (f *Facts) sender() Mailbox {
	if boxes := f.mailboxes("Sender", 1); len(boxes) > 0 {
		return boxes[0]
	}
	return Mailbox{}
}
