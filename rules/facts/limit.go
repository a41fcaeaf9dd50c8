package facts

import (
	"slices"
	"strings"

	"assay/verify/message"
)

// Limits of the facts themselves: what was cut off cannot be asked for. They stand in limits.names beside those of the
// message and of the scanners.
const (
	limitText       = "limit.text"       // text
	limitURLs       = "limit.urls"       // urls
	limitAddresses  = "limit.addresses"  // from_all, reply_to, and the names in them
	limitSubject    = "limit.subject"    // subject
	limitRecipients = "limit.recipients" // rcpts
	limitSignatures = "limit.signatures" // auth.dkim.signatures
	limitFindings   = "limit.findings"   // findings
	limitObjects    = "limit.objects"    // attachments, and objects
)

// limits names the limits of message, of the scanners and of the facts that were exceeded, each once.
func (f *Facts) limits() Limits {
	out := Limits{Names: []string{}}
	add := func(name string) {
		if strings.HasPrefix(name, "limit.") && len(out.Names) < MaxList && !slices.Contains(out.Names, name) {
			out.Names = append(out.Names, bounded(name))
		}
	}
	for _, d := range f.in.Message.Defects {
		add(d.Code)
	}
	for _, found := range f.in.Report.Findings {
		add(string(found.Kind))
	}
	for _, cut := range []struct {
		name     string
		exceeded bool
	}{
		{limitText, f.textCut()}, {limitURLs, f.urlsCut()}, {limitAddresses, f.addressesCut()},
		{limitSubject, len(f.in.Message.Header.Text("Subject")) > MaxString},
		{limitRecipients, len(f.in.Message.Envelope.RcptTo) > MaxAddresses}, {limitSignatures, len(f.in.Results.DKIM) > MaxList},
		{limitFindings, len(f.in.Report.Findings) > MaxList}, {limitObjects, len(f.in.Report.Objects) > MaxObjects},
	} {
		if cut.exceeded {
			add(cut.name)
		}
	}
	out.Exceeded = len(out.Names) > 0 || f.in.Message.Exceeded() != nil
	return out
}

// textCut reports whether there is more text than text holds. The text is only made when the parts are large enough for that.
func (f *Facts) textCut() bool {
	s := f.structure()
	plain, html := encodedSize(s.plain), encodedSize(s.html)
	if plain+html <= MaxText/4 && html <= maxHTML/4 { // a character set may make four octets of one
		return false
	}
	kept(f, "text", f.text)
	return s.cut
}

// encodedSize is how many octets the bodies of parts have in the message.
func encodedSize(parts []*message.Part) int64 {
	n := int64(0)
	for _, p := range parts {
		n += p.End - p.BodyOffset
	}
	return n
}

// shortestURL is about how many octets of plain text one more URL needs.
const shortestURL = 8

// urlsCut reports whether there may be more addresses than urls holds; the scanner stops at the same number.
func (f *Facts) urlsCut() bool {
	if len(f.in.Report.Links) >= MaxURLs {
		return true
	}
	if encodedSize(f.structure().plain) < (MaxURLs-int64(len(f.in.Report.Links)))*shortestURL {
		return false
	}
	return len(kept(f, "urls", f.urls)) >= MaxURLs
}

// addressesCut reports whether From or Reply-To name more mailboxes, or longer names, than facts hold.
func (f *Facts) addressesCut() bool {
	replies := 0
	for field := range f.in.Message.Header.All("Reply-To") {
		list := message.Header{{Name: "From", Raw: field.Raw, Nth: 1}}.Author()
		if replies += len(list.Mailboxes); replies > MaxAddresses || tooMany(list) {
			return true
		}
	}
	return tooMany(f.in.Results.Author)
}

// tooMany reports whether a list of mailboxes is cut off, or has a name that is.
func tooMany(a message.Author) bool {
	return len(a.Mailboxes) >= message.MaxMailboxes || slices.ContainsFunc(a.Mailboxes, func(m message.Mailbox) bool { return len(m.Name) > MaxString })
}

// kept returns the value of a variable of a message, computed once.
func kept[T any](f *Facts, name string, compute func() T) T {
	if v, ok := f.values[name].(T); ok {
		return v
	}
	v := compute()
	f.values[name] = v
	return v
}
