package attach

import (
	"bytes"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/emersion/go-message/charset"
)

// rawNames returns the values that lenient readers find for "name" and "filename" in a field: each occurrence, quoted or
// not, with and without its escapes, plain and of RFC 2231, continuations joined. Every octet is looked at a bounded
// number of times.
func rawNames(value string) []string {
	value = strings.NewReplacer("\r\n", "", "\n", "", "\r", "").Replace(value)
	_, rest, _ := strings.Cut(value, ";")
	var out []string
	var pieces []piece
	for range maxParameters {
		if rest == "" {
			break
		}
		var p parameter
		p, rest = nextParameter(rest)
		base, suffix, extended := strings.Cut(p.name, "*")
		if base != "name" && base != "filename" {
			continue
		}
		if !extended {
			out = append(out, p.readings()...)
			continue
		}
		pieces = append(pieces, newPiece(base, suffix, p.value))
	}
	return append(out, joinPieces(pieces)...)
}

// A parameter is one "name=value" as it stands there.
type parameter struct {
	name   string // in lower case
	value  string // of a quoted string what is between the quotes
	quoted bool
}

// nextParameter reads one parameter and returns what follows its semicolon.
func nextParameter(s string) (p parameter, rest string) {
	s = strings.TrimLeft(s, " \t;")
	equals := strings.IndexByte(s, '=')
	semicolon := strings.IndexByte(s, ';')
	if equals < 0 || semicolon >= 0 && semicolon < equals {
		if semicolon < 0 {
			return p, ""
		}
		return p, s[semicolon+1:]
	}
	p.name = strings.ToLower(strings.TrimSpace(s[:equals]))
	s = strings.TrimLeft(s[equals+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		end := quoteEnd(s)
		p.value, p.quoted, s = s[1:end], true, s[min(end+1, len(s)):]
	}
	before, rest, _ := strings.Cut(s, ";")
	if !p.quoted {
		p.value = strings.TrimSpace(before)
	}
	return p, rest
}

// quoteEnd returns where the quoted string that s begins with ends; len(s) if it does not.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(s)
}

// readings are the ways to read a plain value.
func (p parameter) readings() []string {
	out := []string{p.value}
	if p.quoted && strings.Contains(p.value, `\`) {
		out = append(out, unescape(p.value))
	}
	if !p.quoted {
		// A token ends at a blank; many programs read on.
		if word, _, found := strings.Cut(p.value, " "); found && !strings.HasPrefix(word, "=?") {
			out = append(out, word)
		}
		out = append(out, strings.Trim(p.value, `'"`))
	}
	return out
}

// unescape removes the backslashes of a quoted string (RFC 5322 Section 3.2.1).
func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// A piece is one parameter of RFC 2231.
type piece struct {
	base    string
	index   int // -1 for a value that is not continued
	encoded bool
	value   string
}

// newPiece reads what follows the first "*" of the name: "", "0" or "0*".
func newPiece(base, suffix, value string) piece {
	digits, encoded := strings.CutSuffix(suffix, "*")
	index, err := strconv.Atoi(digits)
	if err != nil {
		return piece{base, -1, true, value}
	}
	return piece{base, index, encoded, value}
}

// joinPieces puts continuations together (RFC 2231 Section 3), also those that have gaps, and decodes.
func joinPieces(pieces []piece) []string {
	sort.SliceStable(pieces, func(i, j int) bool {
		if pieces[i].base != pieces[j].base {
			return pieces[i].base < pieces[j].base
		}
		return pieces[i].index < pieces[j].index
	})
	var out []string
	for i := 0; i < len(pieces); {
		if pieces[i].index < 0 {
			out = append(out, decodeExtended(pieces[i].value))
			i++
			continue
		}
		var text strings.Builder
		first, encoded := i, false
		for ; i < len(pieces) && pieces[i].base == pieces[first].base; i++ {
			encoded = encoded || pieces[i].encoded
			text.WriteString(pieces[i].value)
		}
		if encoded {
			out = append(out, decodeExtended(text.String()))
		} else {
			out = append(out, text.String())
		}
	}
	return out
}

// decodeExtended decodes charset'language'text (RFC 2231 Section 4).
func decodeExtended(s string) string {
	name, rest, found := strings.Cut(s, "'")
	if _, text, ok := strings.Cut(rest, "'"); found && ok {
		s = text
	} else {
		name = ""
	}
	text := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				text = append(text, byte(n))
				i += 2
				continue
			}
		}
		text = append(text, s[i])
	}
	if name != "" && !strings.EqualFold(name, "utf-8") {
		if r, err := charset.Reader(name, bytes.NewReader(text)); err == nil {
			if converted, err := io.ReadAll(r); err == nil {
				text = converted
			}
		}
	}
	return string(text)
}
