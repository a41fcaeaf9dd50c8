// Package suggest guesses what a misspelt word was meant to be.
package suggest

import "strings"

// Closest returns the candidate that word most likely stands for, "" if none is close.
func Closest(word string, candidates []string) string {
	const longest = 64 // nobody means a name by a word that is longer, or has one; it bounds the work
	if len(word) > longest {
		return ""
	}
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if len(c) > longest {
			continue
		}
		if d := distance(plainWord(word), plainWord(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	for _, c := range candidates { // the beginning of a longer word, or a longer word
		if strings.HasPrefix(plainWord(c), plainWord(word)) || len(c) > 2 && strings.HasPrefix(plainWord(word), plainWord(c)) {
			return c
		}
	}
	return ""
}

// plainWord folds the differences that nobody remembers.
func plainWord(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "-", "_"))
}

// distance is the optimal string alignment distance: insertions, deletions, substitutions and transpositions of
// neighbours count one each.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Question returns " (did you mean "x"?)", or nothing when no candidate is close.
func Question(word string, candidates []string) string {
	if s := Closest(word, candidates); s != "" {
		return ` (did you mean "` + s + `"?)`
	}
	return ""
}
