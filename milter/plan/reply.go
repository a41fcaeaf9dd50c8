package plan

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxReplyLine bounds the text of one line of a multi-line reply. RFC 5321 Section 4.5.3.1.5 allows 512 octets
// including code and CRLF; '%' is doubled on the way to the MTA, so half of that is kept in reserve.
const maxReplyLine = 240

// maxReplyLines bounds a reply; what is longer is cut.
const maxReplyLines = 8

// DefaultReply is the answer to the MTA when nothing better is known.
const DefaultReply = "451 4.7.1 Message could not be processed, please try again later"

var enhanced = regexp.MustCompile(`^([245])\.[0-9]{1,3}\.[0-9]{1,3}$`)

// Errors of Reply. The caller falls back to DefaultReply.
var (
	errReplyCode     = errors.New("plan: reply code is not 4yz or 5yz")
	errReplyEnhanced = errors.New("plan: enhanced status code does not match the reply code")
)

// Reply builds a complete SMTP reply for a milter 'y' packet, without the final NUL: the class of the enhanced status code
// (RFC 3463) matches the code, the text is ASCII, '%' is doubled because both MTAs format the text, and long texts are
// split into continuation lines (RFC 5321 Section 4.2.1). Anything else makes Postfix answer 451 and drop the milter,
// or lets Sendmail turn a 4yz reply into 554. An empty enhanced code stands for "x.7.1".
//
// Code 421 is refused: the MTA would close the connection on behalf of one message.
func Reply(code int, enhancedCode, text string) (string, error) {
	if code < 400 || code > 599 || code == 421 {
		return "", fmt.Errorf("%w: %d", errReplyCode, code)
	}
	class := byte('0' + code/100)
	if enhancedCode == "" {
		enhancedCode = string(class) + ".7.1"
	}
	if !enhanced.MatchString(enhancedCode) || enhancedCode[0] != class {
		return "", fmt.Errorf("%w: %d %q", errReplyEnhanced, code, enhancedCode)
	}
	lines := wrap(Printable(text), maxReplyLine)
	if len(lines) > maxReplyLines {
		lines = lines[:maxReplyLines]
	}
	var b strings.Builder
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		if i > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprintf(&b, "%d%s%s %s", code, sep, enhancedCode, strings.ReplaceAll(line, "%", "%%"))
	}
	return b.String(), nil
}

// Printable maps everything outside printable ASCII to one blank or question mark, and joins runs of blanks.
func Printable(s string) string {
	var b strings.Builder
	blank := true
	for _, r := range s {
		switch {
		case r <= ' ' || r == 0x7f:
			if !blank {
				b.WriteByte(' ')
			}
			blank = true
			continue
		case r > 0x7f:
			r = '?'
		}
		blank = false
		b.WriteRune(r)
	}
	return strings.TrimSuffix(b.String(), " ")
}

// wrap splits s at blanks into lines of at most n octets; a word that is longer is cut. It returns at least one line.
func wrap(s string, n int) []string {
	var lines []string
	for len(s) > n {
		cut := strings.LastIndexByte(s[:n+1], ' ')
		if cut <= 0 {
			cut = n
		}
		lines = append(lines, s[:cut])
		s = strings.TrimPrefix(s[cut:], " ")
	}
	return append(lines, s)
}
