package ruletest

import "assay/rules/suggest"

// didYouMean returns " (did you mean "x"?)", or nothing when no candidate is close.
func didYouMean(word string, candidates []string) string { return suggest.Question(word, candidates) }
