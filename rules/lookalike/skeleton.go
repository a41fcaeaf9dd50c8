package lookalike

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Skeleton returns what a domain or a name looks like: two with the same skeleton can be taken for each other. A-labels
// are decoded; accents go; letters of other scripts become the Latin ones they look like, digits the letters ("0" is "o",
// "1" and "i" are "l"); pairs that look like one letter become it ("rn" is "m", "vv" is "w", "cl" is "d"). A skeleton is
// for comparing only. At most 1024 octets of s are looked at.
func Skeleton(s string) string {
	var flat strings.Builder
	blank := false
	for _, r := range norm.NFKD.String(bound(unicodeName(bound(s)))) {
		switch {
		case unicode.IsSpace(r):
			blank = true
			continue
		case isUnseen(r):
			continue
		}
		if blank && flat.Len() > 0 {
			flat.WriteByte(' ')
		}
		blank = false
		flat.WriteString(prototype(r))
	}
	return merge(flat.String())
}

// unicodeName decodes the A-labels of a domain (RFC 5890). What is none stays.
func unicodeName(s string) string {
	if !strings.Contains(strings.ToLower(s), "xn--") {
		return s
	}
	labels := strings.Split(strings.ToLower(s), ".")
	for i, label := range labels {
		if decoded, err := idna.Punycode.ToUnicode(label); err == nil {
			labels[i] = decoded
		}
	}
	return strings.Join(labels, ".")
}

// prototype is what a character looks like, in lower case.
func prototype(r rune) string {
	if r < utf8.RuneSelf {
		switch r {
		case '0':
			return "o"
		case '1', '|':
			return "l"
		case '_':
			return "-"
		}
		return lowerASCII[r : r+1]
	}
	if p, ok := confusables[r]; ok { // capitals that look like other letters than their small ones
		return p
	}
	low := unicode.ToLower(r)
	if p, ok := confusables[low]; ok {
		return p
	}
	if p, ok := ligatures[low]; ok {
		return p
	}
	if p, ok := fromCherokee(low); ok {
		return p
	}
	return string(low)
}

// lowerASCII has each character of ASCII at its place, in lower case.
var lowerASCII = strings.ToLower(asciiTable())

func asciiTable() string {
	var table [utf8.RuneSelf]byte
	for i := range table {
		table[i] = byte(i)
	}
	return string(table[:])
}

// merge joins pairs that look like one letter, and then takes "i" for "l". This order keeps "ci" from being "d".
func merge(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		pair := ""
		if i+1 < len(s) {
			pair = s[i : i+2]
		}
		switch pair {
		case "rn":
			out = append(out, 'm')
			i++
		case "vv":
			out = append(out, 'w')
			i++
		case "cl":
			out = append(out, 'd')
			i++
		default:
			c := s[i]
			if c == 'i' {
				c = 'l'
			}
			out = append(out, c)
		}
	}
	return string(out)
}

// fromCherokee maps the letters of Cherokee that look Latin. Go's lower case of them is a second alphabet.
func fromCherokee(r rune) (string, bool) {
	const small, capital = 0xAB70, 0x13A0
	if r >= small && r < small+0x50 {
		r += capital - small
	}
	p, ok := cherokee[r]
	return p, ok
}

// cherokee has the capital letters. The table is never written.
var cherokee = map[rune]string{
	'Ꭰ': "d", 'Ꭱ': "r", 'Ꭲ': "t", 'Ꭺ': "a", 'Ꭻ': "j", 'Ꭼ': "e", 'Ꮃ': "w", 'Ꮇ': "m", 'Ꮋ': "h", 'Ꮐ': "g", 'Ꮓ': "z", 'Ꮞ': "4",
	'Ꮩ': "v", 'Ꮪ': "s", 'Ꮮ': "l", 'Ꮯ': "c", 'Ꮲ': "p", 'Ꮶ': "k", 'Ᏼ': "b", 'Ꮢ': "r", 'Ꮷ': "d",
}

// confusables are characters that look like ASCII ones and that NFKD does not map to them. The table is never written.
var confusables = map[rune]string{
	// Cyrillic
	'а': "a", 'в': "b", 'ь': "b", 'с': "c", 'ԁ': "d", 'е': "e", 'ҽ': "e", 'ԍ': "g", 'һ': "h", 'н': "h", 'ӊ': "h", 'ң': "h", 'і': "i", 'ј': "j", 'к': "k",
	'қ': "k", 'ӄ': "k", 'ӏ': "l", 'м': "m", 'п': "n", 'о': "o", 'ө': "o", 'р': "p", 'ԛ': "q", 'г': "r", 'ѕ': "s", 'т': "t", 'ҭ': "t", 'ц': "u", 'ѵ': "v",
	'ԝ': "w", 'ѡ': "w", 'ш': "w", 'х': "x", 'ҳ': "x", 'у': "y", 'ү': "y", 'ұ': "y", 'ӡ': "3", 'з': "3", 'ӕ': "ae", 'ґ': "r", 'Ԍ': "g", 'Ү': "y", 'ҫ': "c", 'б': "6",
	// Greek
	'α': "a", 'β': "b", 'ϲ': "c", 'ς': "c", 'δ': "d", 'ε': "e", 'η': "n", 'ι': "i", 'ϳ': "j", 'κ': "k", 'μ': "u", 'ν': "v", 'ο': "o", 'σ': "o", 'ρ': "p",
	'τ': "t", 'υ': "u", 'χ': "x", 'γ': "y", 'ω': "w", 'Ε': "e", 'Ζ': "z", 'Η': "h", 'Ν': "n", 'Μ': "m", 'Υ': "y", 'Τ': "t", 'Χ': "x",
	// Armenian
	'օ': "o", 'ո': "n", 'ս': "u", 'հ': "h", 'ց': "g", 'զ': "q", 'յ': "j", 'լ': "l", 'ք': "p", 'պ': "w", 'ռ': "n",
	// Coptic
	'ⲁ': "a", 'ⲃ': "b", 'ⲥ': "c", 'ⲉ': "e", 'ⲓ': "i", 'ⲕ': "k", 'ⲙ': "m", 'ⲛ': "n", 'ⲟ': "o", 'ⲣ': "p", 'ⲧ': "t", 'ⲩ': "y", 'ⲭ': "x", 'ⲏ': "h", 'ⲍ': "z",
	// Latin letters beyond the alphabet
	'ɑ': "a", 'ɐ': "a", 'ƅ': "b", 'ɓ': "b", 'ƈ': "c", 'ɕ': "c", 'ɖ': "d", 'ɗ': "d", 'ǝ': "e", 'ə': "e", 'ɛ': "e", 'ƒ': "f", 'ɡ': "g", 'ɠ': "g", 'ɦ': "h",
	'ɩ': "i", 'ɪ': "i", 'ʝ': "j", 'ƙ': "k", 'ɫ': "l", 'ɬ': "l", 'ɭ': "l", 'ƚ': "l", 'ǀ': "l", 'ɱ': "m", 'ɲ': "n", 'ɳ': "n", 'ƞ': "n", 'ɔ': "o", 'ɵ': "o", 'ƥ': "p",
	'ƿ': "p", 'ʠ': "q", 'ɋ': "q", 'ɼ': "r", 'ɽ': "r", 'ɾ': "r", 'ʂ': "s", 'ƽ': "s", 'ƭ': "t", 'ʈ': "t", 'ʋ': "v", 'ʊ': "u", 'ɯ': "w", 'ɰ': "w", 'ʏ': "y", 'ƴ': "y",
	'ʐ': "z", 'ʑ': "z", 'ȥ': "z",
	// small capitals
	'ᴀ': "a", 'ʙ': "b", 'ᴄ': "c", 'ᴅ': "d", 'ᴇ': "e", 'ꜰ': "f", 'ɢ': "g", 'ʜ': "h", 'ᴊ': "j", 'ᴋ': "k", 'ʟ': "l", 'ᴍ': "m", 'ɴ': "n", 'ᴏ': "o", 'ᴘ': "p", 'ʀ': "r",
	'ꜱ': "s", 'ᴛ': "t", 'ᴜ': "u", 'ᴠ': "v", 'ᴡ': "w", 'ᴢ': "z",
	// Lisu
	'ꓮ': "a", 'ꓐ': "b", 'ꓚ': "c", 'ꓓ': "d", 'ꓰ': "e", 'ꓝ': "f", 'ꓖ': "g", 'ꓧ': "h", 'ꓲ': "i", 'ꓙ': "j", 'ꓗ': "k", 'ꓡ': "l", 'ꓟ': "m", 'ꓠ': "n", 'ꓳ': "o",
	'ꓑ': "p", 'ꓣ': "r", 'ꓢ': "s", 'ꓔ': "t", 'ꓴ': "u", 'ꓦ': "v", 'ꓪ': "w", 'ꓫ': "x", 'ꓬ': "y", 'ꓜ': "z",
	// digits, hyphens, dots and slashes of other scripts
	'٥': "o", '۵': "o", '०': "o", '০': "o", '߀': "o", '๐': "o", '١': "l", '۱': "l", '‐': "-", '‑': "-", '‒': "-", '–': "-", '—': "-", '−': "-", '⁃': "-", 'ー': "-",
	'。': ".", '·': ".", '⁄': "/", '∕': "/", '╱': "/",
}
