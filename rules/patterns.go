package rules

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// wrongSlug says what is wrong with an id.
func wrongSlug(s string) string {
	const longest = 80
	fine := len(s) <= longest && !strings.HasPrefix(s, "-") && !strings.HasSuffix(s, "-") && !strings.Contains(s, "--")
	for _, r := range s {
		fine = fine && (r == '-' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	}
	if fine {
		return ""
	}
	message := fmt.Sprintf("%q is no id: use lower-case letters, digits and single dashes, at most %d", clip(s), longest)
	if slug := slugOf(s); slug != "" && slug != s {
		message += fmt.Sprintf(", for example %q", slug)
	}
	return message
}

// slugOf makes an id of a text.
func slugOf(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return clip(strings.Join(words, "-"))
}

// wrongDay says what is wrong with a date.
func wrongDay(s string) string {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return fmt.Sprintf("%q is no date: write year, month and day as in 2027-06-30", clip(s))
	}
	return ""
}

// wrongLevel says what is wrong with a level of the rule language.
func wrongLevel(s string) string {
	switch n, err := strconv.Atoi(s); {
	case err != nil || n < 1:
		return fmt.Sprintf("%q is no level of the rule language: write a whole number such as %d", clip(s), Engine)
	case n > Engine:
		return fmt.Sprintf("the rule needs level %d of the rule language, this version of Assay has %d: update Assay, or take the rule out", n, Engine)
	}
	return ""
}

// wrongAddress says what is wrong with an e-mail address.
func wrongAddress(s string) string {
	if domain, ok := strings.CutPrefix(s, "*@"); ok && isDomain(domain) {
		return fmt.Sprintf("%q: there are no patterns for senders, write sender_domain: %s", clip(s), domain)
	}
	if strings.Contains(s, "*") {
		return fmt.Sprintf("%q: a * stands for itself here, so this is the address of nobody; write the whole address, or a sender_domain", clip(s))
	}
	if i := strings.LastIndexByte(s, '@'); i > 0 && isDomain(s[i+1:]) && !strings.ContainsAny(s, " <>,;") {
		return ""
	}
	if strings.HasPrefix(s, "@") && isDomain(s[1:]) {
		return fmt.Sprintf("%q is a domain: use sender_domain: %s", clip(s), s[1:])
	}
	return fmt.Sprintf("%q is no e-mail address such as news@example.net", clip(s))
}

// wrongDomain says what is wrong with a domain pattern.
func wrongDomain(s string) string {
	switch {
	case isDomain(strings.TrimPrefix(strings.TrimPrefix(s, "*"), ".")) && !(strings.HasPrefix(s, "*") && !strings.HasPrefix(s, "*.")):
		return ""
	case strings.Contains(s, "@"):
		return fmt.Sprintf("%q is an address: write only the domain behind the @", clip(s))
	}
	return fmt.Sprintf("%q is no domain such as example.net, or .example.net for the domains below it", clip(s))
}

// wrongRecipient says what is wrong with a pattern of recipients.
func wrongRecipient(s string) string {
	bare := strings.TrimPrefix(strings.TrimPrefix(s, "*"), "@")
	switch i := strings.LastIndexByte(s, '@'); {
	case strings.HasPrefix(s, "*.") && isDomain(s[2:]):
		return fmt.Sprintf(`%q: write ".%s" for the recipients of the domains below it`, clip(s), s[2:])
	case strings.HasPrefix(s, "*@") && isDomain(bare):
		return fmt.Sprintf(`%q: write "@%s" for all recipients of the domain`, clip(s), bare)
	case strings.Contains(s, "*"):
		return fmt.Sprintf(`%q: a * stands for itself here: write the whole address, "@example.com" for a domain, or ".example.com" for the domains below it`, clip(s))
	case i > 0 && wrongAddress(s) == "", i == 0 && isDomain(s[1:]), i < 0 && strings.HasPrefix(s, ".") && isDomain(s[1:]):
		return ""
	case i < 0 && isDomain(s) && strings.Contains(s, "."):
		return fmt.Sprintf(`%q is a domain: write "@%s" for its recipients, or ".%s" for those of the domains below it`, clip(s), clip(s), clip(s))
	}
	return fmt.Sprintf(`%q is no recipient: write an address, "@example.com" for a domain, or ".example.com" for the domains below it`, clip(s))
}

// wrongPrefix says what is wrong with a network.
func wrongPrefix(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no network such as 192.0.2.0/24 or 2001:db8::/32", clip(s))
	case p != p.Masked():
		return fmt.Sprintf("%q has bits behind the prefix: write %s, or the address without the slash", clip(s), p.Masked())
	}
	return ""
}

// isDomain reports whether s looks like a domain name.
func isDomain(s string) bool {
	if s == "" || len(s) > 253 || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	return !strings.ContainsAny(s, " \t@/\\:*,;<>()[]\"'")
}
