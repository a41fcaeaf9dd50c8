package smime

import (
	"bytes"
	"io"
	"strings"

	"assay/verify/message"
	"assay/verify/smime/cms"
)

// explain says in words why a signer is not intact.
func (r *run) explain(o *object, res cms.SignerResult) string {
	switch res.Integrity {
	case cms.Broken:
		reason := "the text is not what was signed, it was altered on the way or forged: " + res.Reason
		if hints := r.hints(o); len(hints) > 0 {
			reason += "; a possible cause: " + strings.Join(hints, "; ")
		}
		return reason
	case cms.NoCertificate:
		return "the certificate of the signer is not in the message, so the signature cannot be checked"
	case cms.Disputed:
		o.flags = addFlag(o.flags, FlagDisputed)
		return "two implementations do not agree about the signature: " + res.Reason
	case cms.Malformed:
		return "the signature cannot be accepted: " + res.Reason
	}
	return res.Reason
}

// hints are the honest reasons for which signatures break on their way, as far as the message shows them.
func (r *run) hints(o *object) []string {
	if o.form != formDetached {
		return nil
	}
	var hints []string
	signed := o.part.Children[0]
	for _, h := range []message.Header{r.m.Header, o.part.Header, signed.Header} {
		if h.Count("X-MIME-Autoconverted") > 0 {
			hints = append(hints, "a mail server has converted the text (X-MIME-Autoconverted)")
			break
		}
	}
	var s textSigns
	if _, err := io.Copy(&s, o.m.Open(message.Range{Start: signed.Offset, End: signed.End})); err == nil {
		hints = append(hints, s.hints()...)
	}
	if r.m.Header.Count("List-Id") > 0 || r.m.Header.Count("List-Post") > 0 {
		hints = append(hints, "it came through a mailing list, and those change texts")
	}
	return hints
}

// textSigns looks for what does not survive the way of a mail.
type textSigns struct {
	last    byte
	line    int
	bareCR  bool
	high    bool
	long    bool
	escaped bool // a line begins with ">From "
	head    []byte
}

// maxLine is the longest line without its end (RFC 5322 Section 2.1.1).
const maxLine = 998

func (s *textSigns) Write(p []byte) (int, error) {
	for _, b := range p {
		if s.last == '\r' && b != '\n' {
			s.bareCR = true
		}
		s.last = b
		if b == '\n' {
			s.line, s.head = 0, s.head[:0]
			continue
		}
		s.line++
		s.high = s.high || b >= 0x80
		s.long = s.long || s.line > maxLine+1
		if len(s.head) < len(">From ") {
			s.head = append(s.head, b)
			s.escaped = s.escaped || bytes.Equal(s.head, []byte(">From "))
		}
	}
	return len(p), nil
}

func (s *textSigns) hints() []string {
	var hints []string
	if s.bareCR {
		hints = append(hints, "the text has CR without LF, which mail servers change")
	}
	if s.high {
		hints = append(hints, "the text has 8-bit characters, which some mail servers convert")
	}
	if s.long {
		hints = append(hints, "the text has lines that are longer than 998 octets, which mail servers break")
	}
	if s.escaped {
		hints = append(hints, "a mailbox has put \">\" before a line that begins with \"From\"")
	}
	return hints
}
