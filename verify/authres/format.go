package authres

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What the writer cuts off. The caps keep every line below the 998 octets of RFC 5322 Section 2.1.1.
const (
	maxValue   = 320 // octets of a property's value: a reverse-path at its longest (RFC 5321 Section 4.5.3.1)
	maxComment = 200 // octets of a comment or a reason
	maxLine    = 78  // octets of a line where there is a place to fold (RFC 5322 Section 2.1.1)
)

// Causes for which the writer refuses. They are mistakes of the caller: nothing a message contains leads to them.
var (
	// ErrID means that the authserv-id is not a dotted host name.
	ErrID = errors.New("authres: invalid authserv-id")
	// ErrClause means that a method, result, ptype or property is not one the writer may write.
	ErrClause = errors.New("authres: invalid clause")
)

// Format writes the value of an Authentication-Results field: no leading blank, no trailing newline, no version number,
// no trailing semicolon. Each clause begins a line of its own, and a line that would be longer than 78 octets is folded
// between properties. Lines end with a bare LF, as the milter protocol wants them.
//
// Clauses whose Result is the zero value were not evaluated and are left out, as are properties without a value. When no
// clause is left, the header says "none".
//
// Text that may come from a message (comment, reason, values) can never make Format fail or add anything to the header;
// what does not belong there is replaced, see sanitize. Everything else is validated, and an error means that the caller
// passed something no header may hold.
func (h Header) Format() (string, error) {
	id, ok := CanonicalID(h.ID)
	if !ok {
		return "", fmt.Errorf("%w: %q is not a dotted host name", ErrID, h.ID)
	}
	var w writer
	w.line = len("Authentication-Results: ") + len(id) + 1
	w.WriteString(id)
	for _, c := range h.Clauses {
		if c.Result == "" {
			continue
		}
		if err := w.clause(c); err != nil {
			return "", err
		}
	}
	if !w.wrote {
		w.WriteString("; none")
	}
	return w.String(), nil
}

// A writer builds one header value and knows how long the current line is.
type writer struct {
	strings.Builder
	line  int
	wrote bool // a clause has been written
}

// clause writes one resinfo of RFC 8601 Section 2.2 on a line of its own.
func (w *writer) clause(c Clause) error {
	if err := c.validate(); err != nil {
		return err
	}
	w.wrote = true
	w.WriteString(";\n\t")
	w.line = 1
	w.piece("", c.Method+"="+string(c.Result))
	if s := sanitizeComment(c.Comment); s != "" {
		w.piece(" ", "("+s+")")
	}
	if s := sanitizeReason(c.Reason); s != "" {
		w.piece(" ", "reason="+quote(s))
	}
	for _, p := range c.Properties {
		if s := sanitizeValue(p.Value); s != "" {
			w.piece(" ", p.Type+"."+p.Name+"="+value(s))
		}
	}
	return nil
}

// piece writes s behind sep, or on a new line when this one would become too long. The semicolon that may follow is
// counted.
func (w *writer) piece(sep, s string) {
	if sep != "" && w.line+len(sep)+len(s)+1 > maxLine {
		sep = "\n\t "
		w.line = -1
	}
	w.WriteString(sep)
	w.WriteString(s)
	w.line += len(sep) + len(s)
}

// validate checks everything about c that the program chose and not the message.
func (c Clause) validate() error {
	if !knownMethod(c.Method) {
		return fmt.Errorf("%w: method %q is not registered and does not begin with \"x-\"", ErrClause, c.Method)
	}
	if !knownResult(c.Method, c.Result) {
		return fmt.Errorf("%w: %q is not a result of %q", ErrClause, c.Result, c.Method)
	}
	for _, p := range c.Properties {
		if !knownPtype(p.Type) {
			return fmt.Errorf("%w: ptype %q is not registered", ErrClause, p.Type)
		}
		if !isKeyword(p.Name) {
			return fmt.Errorf("%w: %q is not a property name", ErrClause, p.Name)
		}
	}
	return nil
}

// knownMethod tells whether the writer may write a method: those of the IANA registry "Email Authentication Methods",
// and private ones.
func knownMethod(m string) bool {
	switch m {
	case "arc", "auth", "dkim", "dkim-adsp", "dkim-atps", "dmarc", "dnswl", "domainkeys", "iprev", "rrvs", "sender-id",
		"smime", "spf", "vbr":
		return true
	}
	return len(m) > 2 && strings.HasPrefix(m, "x-") && isKeyword(m)
}

// knownResult tells whether r is a result of RFC 8601 Section 2.7, or one that the registry "Email Authentication Result
// Names" has for the method alone.
func knownResult(method string, r Result) bool {
	switch r {
	case None, Pass, Fail, SoftFail, Neutral, Policy, TempError, PermError:
		return true
	case "discard", "nxdomain", "unknown": // RFC 5617 Section 5.4
		return method == "dkim-adsp"
	}
	return false
}

// knownPtype tells whether t is in the IANA registry "Email Authentication Property Types".
func knownPtype(t string) bool {
	switch t {
	case "body", "dns", "header", "policy", "smtp":
		return true
	}
	return false
}

// isKeyword tells whether s is a Keyword of RFC 5321 Section 4.1.2 in lower case: letters, digits and inner hyphens.
func isKeyword(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// value writes a property's value bare if no reader could take it for anything else: a dot-atom of letters, digits, "-"
// and "_", as domains, selectors and numbers are, or an address whose local part is a dot-atom, or "@" and a domain.
// Everything else, IPv6 addresses and base64 in particular, is a quoted-string: readers drop the whole field otherwise.
func value(s string) string {
	local, domain, found := strings.Cut(s, "@")
	switch {
	case !found && isDotted(s, isLabelByte):
		return s
	case found && isDotted(domain, isLabelByte) && (local == "" || isDotted(local, isAtext)):
		return s
	}
	return quote(s)
}

// quote writes s as a quoted-string (RFC 5322 Section 3.2.4). s holds printable ASCII only.
func quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// isDotted tells whether s is atoms of bytes that ok accepts, separated by single dots.
func isDotted(s string, ok func(byte) bool) bool {
	dot := true // a dot may not come next
	for i := range len(s) {
		switch {
		case s[i] == '.' && dot:
			return false
		case s[i] == '.':
			dot = true
		case ok(s[i]):
			dot = false
		default:
			return false
		}
	}
	return !dot
}

// isLabelByte tells whether c may be in a label of a domain name as email uses them.
func isLabelByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}

// isAtext tells whether c is atext (RFC 5322 Section 3.2.3).
func isAtext(c byte) bool {
	return isLabelByte(c) || c != 0 && strings.IndexByte("!#$%&'*+/=?^`{|}~", c) >= 0
}

// sanitizeValue makes a value printable ASCII: every control character and every character outside ASCII becomes "?",
// because a client that reads UTF-8 badly drops the whole field. Domains should be A-labels before they come here.
//
// Readers exist that split at ";" without regard to quotes, and mail rules that look for the words "dmarc=pass"
// anywhere in the field. Therefore ";" becomes "?", and so does the "=" of such words.
func sanitizeValue(s string) string {
	return clip(disarm(sanitize(s, func(c byte) byte {
		if c < ' ' || c == ';' {
			return '?'
		}
		return c
	})), maxValue)
}

// disarm replaces each "=" that stands between the name of a method and the word "pass". Other addresses that hold "=pass",
// such as VERP's user=passau.example, stay as they are.
func disarm(s string) string {
	if strings.IndexByte(s, '=') < 0 {
		return s
	}
	b := []byte(s)
	for i := range b {
		if b[i] != '=' {
			continue
		}
		before := strings.ToLower(strings.TrimRight(s[max(0, i-16):i], ` )"\`))
		after := strings.TrimLeft(s[i+1:min(len(s), i+16)], ` ("\`)
		if len(after) >= 4 && strings.EqualFold(after[:4], "pass") && endsInMethod(before) {
			b[i] = '?'
		}
	}
	return string(b)
}

// endsInMethod reports whether a reader could take the end of s, in lower case, for a method whose result counts. A blank
// name is one: nobody knows what a reader makes of it.
func endsInMethod(s string) bool {
	for _, method := range [...]string{"spf", "dkim", "dmarc", "arc", "auth", "iprev", "smime", "bimi", "sender-id", "domainkeys", "dnswl", "vbr", "rrvs", "dkim-atps", "dkim-adsp"} {
		if strings.HasSuffix(s, method) {
			return true
		}
	}
	return s == ""
}

// sanitizeReason makes a reason printable ASCII without ";" and "=", for the sake of readers that do not know
// quoted-strings.
func sanitizeReason(s string) string {
	return clip(strings.Join(strings.Fields(sanitize(s, func(c byte) byte {
		switch {
		case c < ' ':
			return ' '
		case c == ';':
			return ','
		case c == '=':
			return ':'
		}
		return c
	})), " "), maxComment)
}

// sanitizeComment does the same for a comment, which cannot be quoted: Exchange and others stop at ";" or "=" inside
// one, and parentheses and the backslash have a meaning (RFC 5322 Section 3.2.2).
func sanitizeComment(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '(':
			return '['
		case ')':
			return ']'
		case '\\':
			return '/'
		case '"':
			return '\''
		}
		return r
	}, sanitizeReason(s))
}

// sanitize replaces every character outside ASCII, every octet that is no UTF-8 and DEL by "?", and passes the rest
// through replace. It looks at no more octets than could be written.
func sanitize(s string, replace func(byte) byte) string {
	s = s[:min(len(s), 4*(maxValue+1))]
	clean := 0
	for clean < len(s) && s[clean] < 0x7f && replace(s[clean]) == s[clean] {
		clean++
	}
	if clean == len(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r >= utf8.RuneSelf || r == 0x7f {
			b = append(b, '?')
			continue
		}
		b = append(b, replace(byte(r)))
	}
	return string(b)
}

// clip shortens s to at most n octets and shows that it did. What remains is no domain and no address.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n-3] + "..."
}
