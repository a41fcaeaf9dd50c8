// Package lookalike tells names that a reader would take for each other: domains one letter apart, letters of other
// scripts that look Latin, the own name with something added. It knows only the two names it is given; whether one of
// them is used by somebody honest is for the rules to say.
//
// Unicode Technical Standard #39 has the idea of skeletons; the table here is smaller and made for names in Latin script.
package lookalike

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxText bounds the names that are looked at, in octets. What lies beyond does not count.
const maxText = 1024

// Fold returns s for comparing without regard to case, accents and blanks: in lower case, compatibility forms replaced by
// ordinary ones (NFKD), accents and characters that cannot be seen removed, blanks collapsed to one and removed at the
// ends. Letters with a stroke or a ligature are written as those they come from: "ø" is "o", "ß" is "ss". At most 1024
// octets of s are looked at.
func Fold(s string) string {
	s = bound(s)
	if plain, ok := foldASCII(s); ok {
		return plain
	}
	var out strings.Builder
	blank := false
	for _, r := range norm.NFKD.String(s) {
		switch {
		case unicode.IsSpace(r):
			blank = true
			continue
		case isUnseen(r):
			continue
		}
		if blank && out.Len() > 0 {
			out.WriteByte(' ')
		}
		blank = false
		// Lower case can be a letter with a mark (U+0130), which is taken apart once more.
		for _, low := range norm.NFKD.String(string(unicode.ToLower(r))) {
			switch base, ok := ligatures[low]; {
			case ok:
				out.WriteString(base)
			case !isUnseen(low):
				out.WriteRune(low)
			}
		}
	}
	return out.String()
}

// bound cuts s, and makes it valid UTF-8.
func bound(s string) string {
	if len(s) > maxText {
		end := maxText
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// foldASCII folds what is only ASCII, the ordinary case; nothing is copied when nothing changes.
func foldASCII(s string) (string, bool) {
	blanks := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf || c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f:
			return "", false
		case c <= ' ':
			blanks = true
		}
	}
	if blanks {
		s = strings.Join(strings.Fields(s), " ")
	}
	return strings.ToLower(s), true
}

// isUnseen reports whether r is an accent, or takes no place on a screen.
func isUnseen(r rune) bool {
	return r >= utf8.RuneSelf && (unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) || unicode.Is(unicode.Cf, r)) ||
		unicode.IsControl(r) || r == '\u3164' || r == '\uffa0' || r == '\u115f' || r == '\u1160'
}

// ligatures are the letters that Unicode does not take apart, in lower case. The table is never written.
var ligatures = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ħ': "h", 'ı': "i", 'ŧ': "t", 'ŋ': "n",
	'ĸ': "k", 'ƶ': "z", 'ɨ': "i", 'ʉ': "u", 'ƀ': "b", 'ɉ': "j", 'ɍ': "r", 'ɏ': "y", 'ȼ': "c", 'ɇ': "e", 'ǥ': "g",
}
