// Package password finds what could be the password of an attachment in the text of the mail that brings it. People write
// it there although they should not; Assay tries it, only to look into the file. What it finds is never shown, logged or
// stored.
package password

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxText   = 256 << 10 // octets of each text that are looked at
	maxTexts  = 16        // texts that are looked at
	maxLength = 64        // octets of a candidate
	maxNear   = 2000      // places that speak of a password
)

// Ranks of candidates, the best first.
const (
	rankQuoted   = iota // in quotes, or alone behind a colon
	rankBehind          // the word behind a colon, an equals sign or "is"
	rankNextLine        // the first word of the line that follows
	rankNear            // another word of the same line that has a digit or a sign in it
	rankLoose           // such a word of the lines around it
	rankBare            // the one word behind, when nothing else says so
)

// Candidates returns words of a subject and of texts that could be passwords, the likeliest first, without repetitions and
// at most limit of them; texts are plain, not HTML. Time is linear in the length of the texts.
func Candidates(subject string, texts []string, limit int) []string {
	c := collector{seen: map[string]int{}}
	c.text(subject)
	for _, text := range texts[:min(len(texts), maxTexts)] {
		c.text(text)
	}
	slices.SortStableFunc(c.found, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	var out []string
	for _, f := range c.found[:min(len(c.found), max(limit, 0))] {
		out = append(out, f.word)
	}
	return out
}

// A candidate is a word with its rank.
type candidate struct {
	word string
	rank int
}

// A collector collects candidates.
type collector struct {
	found []candidate
	seen  map[string]int // index into found
	near  int
}

// plain makes line ends and blanks what they are in most texts. It is never changed.
var plain = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u00a0", " ", "\u200b", "", "\u2028", "\n")

// text looks at one text.
func (c *collector) text(text string) {
	text = text[:min(len(text), maxText)]
	text = norm.NFC.String(strings.ToValidUTF8(text, "\ufffd"))
	text = plain.Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.TrimSpace(strings.TrimLeft(line, "> \t")) // also what a reply quotes
		found := mentions(line)
		for _, at := range found {
			if c.near++; c.near > maxNear {
				return
			}
			c.mention(line, at, lines[i+1:])
		}
		if len(found) > 0 {
			c.around(lines, i)
		}
	}
}

// A span is where a line speaks of a password.
type span struct{ start, end int }

// nouns are what a password is called, in lower case, longest first where one begins another. They may be parts of words:
// "Archivpasswort", "ZIP-Kennwort". The table is never written.
var nouns = []string{
	"passwort", "passwört", "passwd", "password", "passcode", "passphrase", "pass phrase", "pass-phrase", "kennwort", "kennwört", "losung",
	"zugangscode", "zugriffscode", "schlüssel", "schluessel", "mot de passe", "contraseña", "contrasena", "clave", "senha", "wachtwoord",
	"parola", "hasło", "haslo", "heslo", "lösenord", "losenord", "adgangskode", "salasana", "passord", "jelszó", "пароль", "密码", "密碼",
	"パスワード", "şifre", "codice", "mdp",
}

// nounsByOctet are the nouns by the octet they begin with: most octets of a text begin none. It is never written.
var nounsByOctet = func() (table [256][]string) {
	for _, n := range nouns {
		table[n[0]] = append(table[n[0]], n)
	}
	return table
}()

// words are short, so they have to be whole words. The table is never written.
var words = []string{"pass", "pw", "pwd", "pin", "code", "kode", "key", "psw", "passw", "pword"}

// begins says which octets begin a noun or a word. It is never written.
var begins = func() (table [256]bool) {
	for _, n := range slices.Concat(nouns, words) {
		table[n[0]] = true
	}
	return table
}()

// mentions returns where a line speaks of a password.
func mentions(line string) []span {
	lower := strings.ToLower(line)
	if len(lower) != len(line) { // offsets would not fit
		lower = asciiLower(line)
	}
	var out []span
	for at := 0; at < len(lower); {
		if c := lower[at]; c < utf8.RuneSelf && !begins[c] {
			at++
			continue
		}
		n := nounAt(lower, at)
		if n == 0 {
			_, size := utf8.DecodeRuneInString(lower[at:])
			at += size
			continue
		}
		out = append(out, span{at, at + n})
		at += n
		if len(out) == 20 {
			break
		}
	}
	return out
}

func asciiLower(s string) string {
	out := []byte(s)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c | 0x20
		}
	}
	return string(out)
}

// nounAt returns the length of the noun at an offset with the rest of its word, 0 if there is none.
func nounAt(lower string, at int) int {
	rest := lower[at:]
	for _, n := range nounsByOctet[rest[0]] {
		if strings.HasPrefix(rest, n) {
			return len(n) + wordEnd(rest[len(n):])
		}
	}
	if before, _ := utf8.DecodeLastRuneInString(lower[:at]); at > 0 && isLetter(before) {
		return 0
	}
	for _, w := range words {
		if strings.HasPrefix(rest, w) {
			if after, _ := utf8.DecodeRuneInString(rest[len(w):]); len(rest) == len(w) || !isLetter(after) {
				return len(w)
			}
		}
	}
	return 0
}

// wordEnd returns how long the rest of a word is: "Passwortes", "passwords". It is no more than a few letters.
func wordEnd(rest string) int {
	n := 0
	for i, r := range rest {
		if !unicode.IsLetter(r) || i > 12 {
			return i
		}
		n = i + utf8.RuneLen(r)
	}
	return n
}

func isLetter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// links are words between the noun and the password that say nothing. The table is never written.
var links = map[string]bool{
	"ist": true, "lautet": true, "is": true, "est": true, "es": true, "è": true, "war": true, "the": true, "für": true, "for": true, "zum": true,
	"das": true, "die": true, "der": true, "den": true, "dem": true, "archiv": true, "archive": true, "file": true, "datei": true, "zip": true,
	"dokument": true, "document": true, "attachment": true, "anhang": true, "to": true, "open": true, "öffnen": true, "zu": true, "will": true,
	"be": true, "wie": true, "folgt": true, "follows": true, "as": true, "your": true, "ihr": true, "wird": true, "sein": true, "hier": true,
	"here": true, "it": true, "below": true, "this": true, "dieses": true, "diese": true, "nr": true, "no": true, "and": true, "und": true,
	"heißt": true, "heisst": true, "bleibt": true, "wieder": true, "again": true, "still": true, "same": true, "pdf": true, "de": true, "para": true,
	"el": true, "la": true, "le": true, "von": true, "of": true, "in": true, "im": true, "on": true, "bitte": true, "please": true, "use": true,
	"verwenden": true, "sie": true, "you": true, "with": true, "mit": true, "can": true, "kann": true, "word": true, "wort": true, "was": true,
	"set": true, "protected": true, "geschützt": true, "encrypted": true, "verschlüsselt": true, "needed": true, "required": true,
}

// mention collects what stands around one mention of a password.
func (c *collector) mention(line string, at span, following []string) {
	behind := line[at.end:]
	before := line[:at.start]
	c.quoted(behind)
	c.quoted(before)
	if tail, ok := afterSign(behind); ok {
		c.behind(tail)
	} else {
		c.bare(behind)
	}
	if rest := strings.Trim(behind, " :=.-–—*_>\t"); len(strings.Fields(rest)) <= 4 {
		c.nextLine(following)
	}
	// "hunter2 ist das Passwort", "use hunter2 as the password"
	c.fields(before, rankNear)
	c.fields(behind, rankNear)
}

// quotes are pairs of quotation marks. The table is never written.
var quotes = [...][2]string{
	{`"`, `"`}, {"'", "'"}, {"„", "“"}, {"„", "”"}, {"“", "”"}, {"‚", "‘"}, {"‘", "’"}, {"»", "«"}, {"«", "»"}, {"›", "‹"}, {"`", "`"}, {"[", "]"},
	{"<", ">"}, {"(", ")"}, {"*", "*"}, {"{", "}"}, {"「", "」"},
}

// quoted collects what stands in quotation marks. A password may have blanks there.
func (c *collector) quoted(s string) {
	s = s[:min(len(s), 1000)]
	for _, q := range quotes {
		rest := s
		for range 4 {
			_, after, ok := strings.Cut(rest, q[0])
			inside, tail, closed := strings.Cut(after, q[1])
			if !ok || !closed {
				break
			}
			rank := rankQuoted
			if q[0] == "(" || q[0] == "*" || q[0] == "<" || q[0] == "[" {
				rank = rankNear
			}
			c.exact(inside, rank)
			rest = tail
		}
	}
}

// afterSign returns what stands behind the sign or the verb that announces a password. Few words may be between.
func afterSign(behind string) (string, bool) {
	head := behind[:min(len(behind), 120)]
	best, size := -1, 0
	for _, sign := range []string{":", "=", "->", "=>", "→", " lautet ", " ist ", " is ", " est ", " es ", " é ", " è ", "：", " heißt ", " heisst "} {
		if i := strings.Index(strings.ToLower(head), sign); i >= 0 && i+len(sign) <= len(behind) && (best < 0 || i < best) {
			best, size = i, len(sign)
		}
	}
	if best < 0 {
		return "", false
	}
	tail := strings.TrimSpace(behind[best+size:])
	for { // "is: x", "lautet wie folgt: x"
		trimmed := strings.TrimLeft(tail, ":=>-–— \t")
		word, rest, _ := strings.Cut(trimmed, " ")
		if clean := strings.ToLower(strings.Trim(word, ":.,")); links[clean] && rest != "" {
			tail = rest
			continue
		}
		return trimmed, trimmed != ""
	}
}

// behind collects what follows a sign: the whole rest if it is short, and the first word of it.
func (c *collector) behind(tail string) {
	fields := strings.Fields(tail[:min(len(tail), 400)])
	if len(fields) == 0 {
		return
	}
	rank := rankBehind
	if len(fields) == 1 {
		rank = rankQuoted
	}
	c.word(fields[0], rank)
	if len(fields) > 1 && len(fields) <= 6 {
		c.exact(strings.Join(fields, " "), rankNextLine) // a phrase
	}
	for _, f := range fields[1:min(len(fields), 12)] {
		if hasSigns(f) {
			c.word(f, rankNear)
		}
	}
}

// bare collects the first word that is no link when nothing announces the password: "PW hunter2".
func (c *collector) bare(behind string) {
	for _, f := range strings.Fields(behind[:min(len(behind), 200)]) {
		clean := strings.ToLower(strings.Trim(f, ".,:;!?-–()"))
		if clean == "" || links[clean] {
			continue
		}
		rank := rankBare
		if hasSigns(f) {
			rank = rankBehind
		}
		c.word(f, rank)
		return
	}
}

// nextLine collects the next line that is not empty, if it is one word or announces none.
func (c *collector) nextLine(following []string) {
	for _, line := range following[:min(len(following), 4)] {
		line = strings.TrimSpace(strings.TrimLeft(line, "> \t"))
		if line == "" {
			continue
		}
		fields := strings.Fields(line[:min(len(line), 200)])
		switch {
		case len(fields) == 1:
			c.word(fields[0], rankBehind)
		case len(fields) <= 6:
			c.exact(line, rankNextLine)
			c.word(fields[0], rankNear)
		}
		c.quoted(line)
		return
	}
}

// around collects words with digits or signs of the lines around a mention.
func (c *collector) around(lines []string, i int) {
	for _, k := range []int{i + 1, i + 2, i - 1, i - 2, i + 3} {
		if k >= 0 && k < len(lines) {
			c.fields(lines[k], rankLoose)
		}
	}
}

// fields collects the words of a line that have digits or signs in them.
func (c *collector) fields(line string, rank int) {
	count := 0
	for f := range strings.FieldsSeq(line[:min(len(line), 400)]) {
		if count++; count > 40 {
			return
		}
		if hasSigns(f) {
			c.word(f, rank)
		}
	}
}

// hasSigns reports whether a word looks like a password rather than a word: digits, letters of both cases after the first,
// or signs inside of it.
func hasSigns(word string) bool {
	trimmed := strings.Trim(word, ".,:;!?\"'()<>[]„“”‚‘’»«*_")
	if len(trimmed) < 4 || strings.Contains(trimmed, "://") || strings.Contains(trimmed, "@") && strings.Contains(trimmed, ".") {
		return false
	}
	digits, signs, uppers, lowers := 0, 0, 0, 0
	for i, r := range trimmed {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsUpper(r):
			if i > 0 {
				uppers++
			}
		case unicode.IsLower(r):
			lowers++
		case strings.ContainsRune("!$%&#?+*=@^~_|§€", r):
			signs++
		}
	}
	return digits > 0 || signs > 0 || uppers > 0 && lowers > 0
}

// trailing are marks that may follow a password in a sentence, or belong to it.
const trailing = ".,;:!?)]}>\"'“”’»«*"

// word collects a word, and without the marks around it.
func (c *collector) word(word string, rank int) {
	open := strings.TrimLeft(word, "\"'„“‚‘»«(<[`*")
	bare := strings.TrimRight(open, trailing+"`")
	// A full stop or comma is of the sentence; an exclamation mark may be of the password, so both are tried.
	tight := strings.TrimRight(open, ".,;:\"'“”’»«>)]`")
	if tight != bare && tight != "" {
		c.exact(tight, rank)
	}
	c.exact(bare, rank)
	if open != tight {
		c.exact(open, max(rank, rankNear))
	}
	if word != open {
		c.exact(word, rankBare)
	}
}

// exact collects a word as it is.
func (c *collector) exact(word string, rank int) {
	word = strings.TrimSpace(word)
	lower := strings.ToLower(word)
	if len(word) < 3 || len(word) > maxLength || !utf8.ValidString(word) || strings.ContainsRune(word, utf8.RuneError) {
		return
	}
	if links[lower] || isNoun(lower) {
		rank = rankBare
	}
	if strings.IndexFunc(word, unicode.IsControl) >= 0 {
		return
	}
	if i, ok := c.seen[word]; ok {
		c.found[i].rank = min(c.found[i].rank, rank)
		return
	}
	if len(c.found) >= 4*maxNear {
		return
	}
	c.seen[word] = len(c.found)
	c.found = append(c.found, candidate{word, rank})
}

// isNoun reports whether a word is what passwords are called.
func isNoun(lower string) bool {
	return lower != "" && nounAt(lower, 0) == len(lower)
}
