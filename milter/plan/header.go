package plan

import "strings"

// maxFieldValue bounds a header value that is added: far above what Assay writes, far below Postfix's 60,000 octets, at
// which Postfix cuts silently.
const maxFieldValue = 32 << 10

// ValidName reports whether name may be sent to the MTA as a field name: RFC 5322 Section 3.6.8 ftext, at most 76
// octets. Both MTAs write a bad name into the message as it is given.
func ValidName(name string) bool {
	if name == "" || len(name) > 76 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c < 33 || c > 126 || c == ':' {
			return false
		}
	}
	return true
}

// ValidValue reports whether value may be sent to the MTA as a field body: printable ASCII and blanks, and LF only as
// folding, that is, followed by a blank and by something visible in that line. A NUL makes Postfix drop the connection
// and Sendmail drop the edit; CR is doubled.
func ValidValue(value string) bool {
	if len(value) > maxFieldValue {
		return false
	}
	for i, line := range strings.Split(value, "\n") {
		if i > 0 && (line == "" || line[0] != ' ' && line[0] != '\t' || strings.Trim(line, " \t") == "") {
			return false
		}
		for j := range len(line) {
			if c := line[j]; c != '\t' && (c < ' ' || c > 126) {
				return false
			}
		}
	}
	return true
}

// ValidRecipient reports whether address may be sent to the MTA as a recipient, in angle brackets: printable, without
// what ends the bracket outside of a quoted local part, and not longer than RFC 5321 Section 4.5.3.1 allows by far.
func ValidRecipient(address string) bool {
	if address == "" || len(address) > 1000 {
		return false
	}
	quoted := false
	for i := 0; i < len(address); i++ {
		switch c := address[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case quoted && c == '\\':
			i++
			if i == len(address) || address[i] < ' ' || address[i] == 0x7f {
				return false
			}
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '<' || c == '>' || c == ' '):
			return false
		}
	}
	return !quoted
}
