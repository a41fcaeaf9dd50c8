package rules

import "assay/rules/suggest"

// didYouMean returns " (did you mean "x"?)", or nothing when no candidate is close.
func didYouMean(word string, candidates []string) string { return suggest.Question(word, candidates) }

// clip shortens a word of a file for a message.
func clip(s string) string {
	const longest = 60
	runes := []rune(s)
	if len(runes) > longest {
		return string(runes[:longest]) + "..."
	}
	return s
}
