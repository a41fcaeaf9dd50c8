package headers

import (
	"slices"
	"strconv"
	"strings"

	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/authres"
	"assay/verify/smime"
)

// Result builds the field for filters in mail clients and for scripts: "name=value" pairs separated by semicolons. The
// names and their order are stable; new ones are added before id. Values are single words.
func (o Options) Result(s Subject) rules.HeaderField {
	pairs := []string{
		"v=1",
		"trust=" + string(s.Decision.Trust),
		"disposition=" + s.Decision.Disposition.String(),
		"tls=" + tlsWord(s.Envelope.TLS.Version),
	}
	if s.Results.Skipped != "" {
		pairs = append(pairs, "skipped="+skipWord(s.Results.Skipped))
	} else {
		pairs = append(pairs, "spf="+spfWord(s.Results), "dkim="+dkimWord(s.Results), "dmarc="+word(s.Results.DMARC.Result),
			"arc="+word(s.Results.ARC.Result))
		if s.Results.SMIME.Result != "" {
			pairs = append(pairs, "smime="+word(s.Results.SMIME.Result))
		}
		if s.Results.SMIME.Opened {
			pairs = append(pairs, "opened="+openedWord(s.Results.SMIME))
		}
	}
	if s.Virus != scan.VirusOff {
		pairs = append(pairs, "virus="+identifier(string(s.Virus)))
	}
	if len(s.Unscanned) > 0 {
		pairs = append(pairs, "unscanned="+list(s.Unscanned))
	}
	pairs = append(pairs, "changed="+list(s.Changed))
	if s.Original != "" {
		pairs = append(pairs, "original="+identifier(s.Original))
	}
	pairs = append(pairs, "rules="+list(fired(s.Decision)))
	if r := s.Decision.Release; s.Decision.Disposition == rules.Quarantine && (r == rules.ReleaseUser || r == rules.ReleaseNever) {
		pairs = append(pairs, "release="+string(r)) // without it, operators may
	}
	pairs = append(pairs, "id="+identifier(s.Envelope.QueueID))
	return rules.HeaderField{Name: o.prefix() + "-Result", Value: fold(pairs, len(o.prefix())+len("-Result: "))}
}

// Content builds the field about what was taken out of the text, for filters and statistics: stable words and numbers, nothing
// that the message says.
func (o Options) Content(c Content) rules.HeaderField {
	pairs := []string{"html=" + identifier(string(c.Level))}
	if len(c.Removed) > 0 {
		counts := make([]string, 0, len(c.Removed))
		for kind, n := range c.Removed {
			counts = append(counts, identifier(strings.TrimPrefix(string(kind), "html."))+"="+strconv.Itoa(n))
		}
		slices.Sort(counts)
		pairs = append(pairs, `removed="`+list(counts)+`"`)
	}
	if len(c.Sections) > 0 {
		pairs = append(pairs, `parts="`+list(c.Sections)+`"`)
	}
	if c.Files > 0 {
		pairs = append(pairs, "attachments="+strconv.Itoa(c.Files))
	}
	if c.Kept > 0 {
		pairs = append(pairs, "kept="+strconv.Itoa(c.Kept))
	}
	return rules.HeaderField{Name: o.prefix() + "-Content", Value: fold(pairs, len(o.prefix())+len("-Content: "))}
}

// tlsWord is the protocol version without its name: "1.3", or "none".
func tlsWord(version string) string {
	v := identifier(strings.TrimPrefix(strings.TrimPrefix(version, "TLS"), "v"))
	return v
}

func skipWord(s verify.Skip) string {
	switch s {
	case verify.SkipAuthenticated:
		return "authenticated"
	case verify.SkipLocal:
		return "local"
	default:
		return "network"
	}
}

func spfWord(r verify.Results) string {
	if len(r.SPF) == 0 {
		return "none"
	}
	return word(r.SPF[0].Result)
}

// dkimWord is the best result: signatures are sorted that way.
func dkimWord(r verify.Results) string {
	if len(r.DKIM) == 0 {
		return "none"
	}
	return word(r.DKIM[0].Result)
}

// openedWord says whether what was encrypted can be told from what somebody else has made of it.
func openedWord(v smime.Verification) string {
	if authenticated(v) {
		return "authenticated"
	}
	return "unauthenticated"
}

func word(r authres.Result) string {
	if r == "" {
		return "none"
	}
	return string(r)
}

// fired lists the rules that were enforced.
func fired(d rules.Decision) []string {
	var ids []string
	for _, m := range d.Rules {
		if m.Enforced {
			ids = append(ids, identifier(m.ID))
		}
	}
	return ids
}

// maxList bounds a list, so that its line stays below the 998 octets of RFC 5322 Section 2.1.1.
const maxList = 800

// list joins words with commas; one that grows too long ends in "more".
func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, w := range words {
		if b.Len()+len(w) > maxList {
			b.WriteString(",more")
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(w)
	}
	return b.String()
}

// identifier keeps the characters of s that cannot be mistaken for the line's own syntax, at most 64 of them.
func identifier(s string) string {
	kept := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return -1
	}, s)
	if kept == "" {
		return "none"
	}
	return kept[:min(len(kept), 64)]
}

// fold joins pairs with "; " and breaks lines before column 78.
func fold(pairs []string, used int) string {
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte(';')
			used++
			if used+1+len(p) > 76 {
				b.WriteString("\n ")
				used = 1
			} else {
				b.WriteByte(' ')
				used++
			}
		}
		b.WriteString(p)
		used += len(p)
	}
	return b.String()
}
