package smime

import (
	"strings"

	"assay/verify/message"
)

// comparedFields are the header fields that are compared beside From.
func comparedFields() []string { return []string{"Subject", "Date", "To", "Cc", "Reply-To"} }

// signedHeader returns the header that was signed with the text, nil if there is none: the fields of the entity itself
// (RFC 9788 Section 2.1, and drafts before it), or the message that was signed as a whole (RFC 8551 Section 3.1).
func signedHeader(p *message.Part) (h message.Header, flags []string) {
	switch hp := strings.ToLower(p.Params["hp"]); {
	case hp == "clear" || hp == "cipher":
		return p.Header, []string{FlagProtected}
	case strings.EqualFold(p.Params["protected-headers"], "v1"):
		return p.Header, []string{FlagProtected, FlagLegacy}
	case isMessage(p) && len(p.Children) == 1 && !strings.EqualFold(p.Params["forwarded"], "yes"):
		return p.Children[0].Header, []string{FlagProtected, FlagWrapped}
	}
	return nil, nil
}

// compareHeader compares the header that was signed with the one that is shown. Another author than the signed one is
// another sender; what differs else is noted, for lists and gateways change it on their way.
func (r *run) compareHeader(outer *object, p *message.Part) {
	h, flags := signedHeader(p)
	if h == nil {
		return
	}
	outer.flags = addFlag(outer.flags, flags...)
	if h.Count("From") > 0 {
		shown, _ := single(r.author)
		if signed, ok := single(h.Author()); !ok || signed.Domain != shown.Domain || signed.Local != shown.Local {
			outer.decide(WrongSender, clean("the sender in the signed header is "+orNobody(signed)+", the one shown is "+orNobody(shown)))
		}
	}
	var differ []string
	for _, name := range comparedFields() {
		if want, known := expected(h, name); known && want != fieldText(r.m.Header, name) {
			differ = append(differ, name)
		}
	}
	r.step("the signed header was compared with the one shown; different: %s", strings.Join(differ, ", "))
	if len(differ) > 0 {
		outer.flags = addFlag(outer.flags, FlagHeaderDiffers)
		for _, name := range differ {
			outer.flags = addFlag(outer.flags, "protected-"+strings.ToLower(name)+"-differs")
		}
		outer.note = "not as it was signed in the header: " + strings.Join(differ, ", ")
	}
}

// orNobody formats a mailbox that may not be there.
func orNobody(m message.Mailbox) string {
	if m.Domain == "" {
		return "nobody for certain"
	}
	return address(m)
}

// expected returns what a field of the header that is shown was when the message was sent, and whether that is known. By
// HP-Outer the sender says which fields he showed in another way, or not at all (RFC 9788 Section 2.2).
func expected(h message.Header, name string) (text string, known bool) {
	if h.Count(name) == 0 {
		return "", false
	}
	if h.Count("HP-Outer") == 0 {
		return fieldText(h, name), true
	}
	var texts []string
	for f := range h.All("HP-Outer") {
		field, value, _ := strings.Cut(f.Text(), ":")
		if strings.EqualFold(strings.TrimSpace(field), name) {
			texts = append(texts, value)
		}
	}
	return words(texts), true
}

// fieldText is the text of all fields of a name.
func fieldText(h message.Header, name string) string {
	var texts []string
	for f := range h.All(name) {
		texts = append(texts, f.Text())
	}
	return words(texts)
}

// words joins texts with single blanks between words: folding is not kept on the way.
func words(texts []string) string { return strings.Join(strings.Fields(strings.Join(texts, " ")), " ") }
