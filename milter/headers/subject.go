package headers

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"assay/milter/plan"
	"assay/verify/message"
)

// maxSubject bounds, in characters, a subject that has to be written anew.
const maxSubject = 2000

// NewTags joins those tags that a subject does not begin with already, each once, separated by blanks. Control characters
// are left out.
func NewTags(tags []string, subject string) string {
	var add []string
	seen := map[string]bool{}
	for _, tag := range tags {
		tag = oneLine(tag)
		if tag == "" || seen[tag] || strings.HasPrefix(subject, tag) {
			continue
		}
		seen[tag] = true
		add = append(add, tag)
	}
	return strings.Join(add, " ")
}

// TagSubject returns the value of a Subject field with prefix in front of it. What the sender wrote stays as it is written,
// folding and encoded words included, unless it holds octets that an MTA must not be given; then it is encoded anew.
func TagSubject(subject message.Field, prefix string) string {
	const used = len("Subject: ")
	old := strings.TrimLeft(strings.ReplaceAll(string(subject.Value()), "\r\n", "\n"), " \t\n")
	old = strings.TrimRight(old, " \t\n")
	if !plan.ValidValue(old) {
		return encode(cutRunes(oneLine(prefix+" "+guessed(subject).Text()), maxSubject), used)
	}
	if old == "" {
		return encode(prefix, used)
	}
	// Blanks between two encoded words are not shown (RFC 2047 Section 6.2).
	head := encode(prefix, used)
	if strings.HasSuffix(head, "?=") && strings.HasPrefix(old, "=?") {
		head = encode(prefix+" ", used)
	}
	last := head[strings.LastIndexByte(head, '\n')+1:]
	first, _, _ := strings.Cut(old, "\n")
	if len(last)+1+len(first)+used > 76 && strings.TrimSpace(first) != "" {
		return head + "\n " + old
	}
	return head + " " + old
}

// guessed returns a field whose octets are not UTF-8 as what mail programs take it for, Windows-1252, so that tagging it
// takes no letter away.
func guessed(f message.Field) message.Field {
	if utf8.Valid(f.Raw) {
		return f
	}
	if raw, err := charmap.Windows1252.NewDecoder().Bytes(f.Raw); err == nil {
		f.Raw = raw
	}
	return f
}

// Text returns text as the value of a field of a name: as it is when it is ASCII, else as encoded words, folded. Control
// characters are left out.
func Text(name, text string) string {
	return encode(cutRunes(oneLine(text), maxSubject), len(name)+2)
}

// oneLine joins the words of s with single blanks and leaves out what is not shown, and what turns the direction of writing.
func oneLine(s string) string {
	visible := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(visible), " ")
}

// cutRunes returns at most n characters of s.
func cutRunes(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}
