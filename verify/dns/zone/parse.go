package zone

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	mdns "github.com/miekg/dns"
)

// Limits of a zone file.
const (
	maxFile    = 16 << 20
	maxRecords = 200_000
)

// faultType is a record type for private use (RFC 6895 Section 3.1) that carries a fault through the parser of master
// files, which thereby does what $ORIGIN, @ and an omitted owner ask for: one octet Fault, two octets type.
const faultType = 65281

// Parse reads a master file; name stands for it in errors, which have the form "name:line:column: message".
func Parse(r io.Reader, name string) (*Zone, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d octets", name, maxFile)
	}
	marked, err := markFaults(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	parser := mdns.NewZoneParser(strings.NewReader(marked), ".", "")
	parser.SetDefaultTTL(DefaultTTL)
	z := newZone()
	count := 0
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if count++; count > maxRecords {
			return nil, fmt.Errorf("%s: more than %d records", name, maxRecords)
		}
		if c := rr.Header().Class; c != mdns.ClassINET {
			return nil, fmt.Errorf("%s: %s is of class %s, not IN", name, rr.Header().Name, mdns.Class(c))
		}
		if err := z.add(rr); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := parser.Err(); err != nil {
		return nil, errors.New(position(name, err))
	}
	return z, nil
}

// position rewrites "dns: message at line: 3:5", as the parser puts it, to "name:3:5: message".
func position(name string, err error) string {
	text := strings.TrimPrefix(err.Error(), "dns: ")
	if i := strings.LastIndex(text, " at line: "); i >= 0 {
		return name + ":" + text[i+len(" at line: "):] + ": " + text[:i]
	}
	return name + ": " + text
}

// markFaults replaces every line that states a fault by a record of faultType. All other text, and the numbers of the
// lines, stay. The error begins with the line number.
func markFaults(text string) (string, error) {
	var b strings.Builder
	b.Grow(len(text))
	var s scanner
	for line := range strings.Lines(text) {
		s.line++
		inside := s.inside()
		plain := s.scan(line)
		if !inside && plain {
			if marked, ok := markFault(line); ok {
				b.WriteString(marked)
				continue
			}
		}
		b.WriteString(line)
	}
	if s.inside() {
		return "", fmt.Errorf("%d: a quoted string or parenthesis that begins here has no end", s.began)
	}
	return b.String(), nil
}

// A scanner knows whether a line begins inside parentheses or a quoted string.
type scanner struct {
	quoted bool
	depth  int
	line   int // number of the line
	began  int // line where the last quoted string or parenthesis began
}

func (s *scanner) inside() bool { return s.quoted || s.depth > 0 }

// scan reads one line. It reports whether the line holds neither quotes nor parentheses.
func (s *scanner) scan(line string) (plain bool) {
	plain = !s.inside()
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			i++
		case c == '"':
			if s.quoted = !s.quoted; s.quoted && s.depth == 0 {
				s.began = s.line
			}
			plain = false
		case s.quoted:
		case c == ';':
			return plain
		case c == '(':
			if s.depth++; s.depth == 1 {
				s.began = s.line
			}
			plain = false
		case c == ')':
			s.depth = max(s.depth-1, 0)
			plain = false
		}
	}
	return plain
}

// markFault returns the record for a line of the form "[owner] [TTL] [class] [type] FAULT", or with the type behind the
// fault.
func markFault(line string) (string, bool) {
	content := strings.TrimRight(line, "\r\n")
	ending := line[len(content):]
	body, _, _ := strings.Cut(content, ";")
	words := strings.Fields(body)
	if len(words) == 0 || body[0] == '$' {
		return "", false
	}
	owner := ""
	if body[0] != ' ' && body[0] != '\t' {
		owner, words = words[0], words[1:]
	}
	n := 0
	for n < len(words) && (isTTL(words[n]) || strings.EqualFold(words[n], "IN")) {
		n++
	}
	fault, qtype := statement(words[n:])
	if fault == NoFault {
		return "", false
	}
	return fmt.Sprintf("%s %s TYPE%d \\# 3 %02x%04x%s", owner, strings.Join(words[:n], " "), faultType, uint8(fault), qtype, ending), true
}

// statement reads what a line says behind TTL and class. The type is 0 where the line names none.
func statement(words []string) (Fault, uint16) {
	switch len(words) {
	case 1:
		return faultOf(words[0]), 0
	case 2:
		if t, ok := mdns.StringToType[strings.ToUpper(words[0])]; ok && failsWith(t, words[1]) {
			return faultOf(words[1]), t
		}
		if t, ok := mdns.StringToType[strings.ToUpper(words[1])]; ok {
			return faultOf(words[0]), t
		}
	}
	return NoFault, 0
}

// faultOf reads the word for a fault.
func faultOf(word string) Fault {
	for _, f := range []Fault{ServFail, Refused, Timeout} {
		if strings.EqualFold(word, f.String()) {
			return f
		}
	}
	return NoFault
}

// failsWith reports whether a type followed by the word for a fault states a fault rather than a record whose data is a
// name.
func failsWith(qtype uint16, word string) bool {
	switch qtype {
	case mdns.TypeCNAME, mdns.TypeDNAME, mdns.TypeNS:
		return false
	case mdns.TypePTR:
		return word == strings.ToUpper(word)
	}
	return true
}

// isTTL reports whether a word is a TTL as master files have them: seconds, or numbers with units.
func isTTL(word string) bool {
	return word[0] >= '0' && word[0] <= '9' && strings.Trim(word, "0123456789smhdwSMHDW") == ""
}

// readFault reads a record of faultType.
func readFault(rr mdns.RR) (Fault, uint16, error) {
	generic, ok := rr.(*mdns.RFC3597)
	if ok && len(generic.Rdata) == 6 {
		v, err := strconv.ParseUint(generic.Rdata, 16, 32)
		if f := Fault(v >> 16); err == nil && f >= ServFail && f <= Timeout {
			return f, uint16(v), nil
		}
	}
	return NoFault, 0, fmt.Errorf("%s: type %d is for this package's own use", rr.Header().Name, faultType)
}
