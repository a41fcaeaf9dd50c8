package rules

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"assay/rules/facts"
	"assay/rules/lookalike"
)

// Bounds of what is looked at in a text that a sender writes.
const (
	maxShownWords     = 64
	maxShownAddresses = 10
)

// wordsOf returns the words of a name as a reader sees them: letters that look alike are the same.
func wordsOf(name string) []string {
	words := strings.FieldsFunc(lookalike.Skeleton(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return words[:min(len(words), maxShownWords)]
}

// addName enters an entry by its longest word, which few others share.
func (l *list) addName(entry string) {
	words := wordsOf(entry)
	if len(words) == 0 {
		return
	}
	key := slices.MaxFunc(words, func(a, b string) int { return len(a) - len(b) })
	if l.names == nil {
		l.names = map[string][][]string{}
	}
	l.names[key] = append(l.names[key], words)
}

// showsName reports whether a text holds all words of an entry, in any order and among others.
func (l *list) showsName(text string) bool {
	words := wordsOf(text)
	has := func(word string) bool { return slices.Contains(words, word) }
	for _, word := range words {
		for _, entry := range l.names[word] {
			if !slices.ContainsFunc(entry, func(w string) bool { return !has(w) }) {
				return true
			}
		}
	}
	return false
}

// showsAddress reports whether a text shows an address of a listed domain, of one below it, or of one that looks like it.
func (l *list) showsAddress(text string) bool {
	for _, domain := range shownDomains(text) {
		if l.has(domain) || l.has(facts.OrgDomain(domain)) || l.like(domain) {
			return true
		}
	}
	return false
}

// shownDomains returns the domains behind the first characters in a text that look like @.
func shownDomains(text string) []string {
	text = strings.ToLower(norm.NFKC.String(text[:min(len(text), facts.MaxString)]))
	pieces := strings.Split(visibleOnly(text), "@")
	var domains []string
	for _, piece := range pieces[1:min(len(pieces), maxShownAddresses+1)] {
		piece = strings.TrimLeft(piece, " ")
		end := strings.IndexFunc(piece, func(r rune) bool {
			return r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		})
		if end >= 0 {
			piece = piece[:end]
		}
		if domain, ok := facts.DomainForm.Normal(strings.Trim(piece, ".-_")); ok {
			domains = append(domains, domain)
		}
	}
	return domains
}

// visibleOnly removes what takes no place on a screen.
func visibleOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || r == '\u034f' {
			return -1
		}
		return r
	}, s)
}
