package config

import "assay/rules/suggest"

// DidYouMean returns " (did you mean "x"?)", or nothing when no candidate is close.
func DidYouMean(word string, candidates []string) string { return suggest.Question(word, candidates) }
