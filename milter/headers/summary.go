package headers

import (
	"fmt"
	"slices"
	"strings"

	"assay/rules"
	"assay/verify"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/message"
	"assay/verify/spf"
)

// A phrase is one sentence of the summary in every language. %s is the domain in From.
type phrase struct{ en, de string }

func (p phrase) in(l Language) string {
	if l == German {
		return p.de
	}
	return p.en
}

// The sentences of the summary. They state what was proven, in words that need no knowledge of the protocols.
var (
	sayAuthenticated = phrase{"Sender confirmed: %s.", "Absender bestätigt: %s."}
	sayForwarded     = phrase{"Sender confirmed by a trusted forwarder: %s.", "Absender durch eine vertrauenswürdige Weiterleitung bestätigt: %s."}
	sayForged        = phrase{"Warning: sender not genuine, %s does not vouch for this mail.", "Warnung: Absender nicht echt, %s steht für diese E-Mail nicht ein."}
	sayNotAligned    = phrase{"Sender not confirmed: %s does not vouch for this mail.", "Absender nicht bestätigt: %s steht für diese E-Mail nicht ein."}
	sayUnknown       = phrase{"Sender not confirmed: nothing proves that this mail comes from %s.", "Absender nicht bestätigt: nichts belegt, dass diese E-Mail von %s stammt."}
	sayUnavailable   = phrase{"Sender could not be checked at this time: %s.", "Absender konnte im Moment nicht geprüft werden: %s."}
	sayLoggedIn      = phrase{"Sent by a logged-in user of this mail system.", "Von einem angemeldeten Benutzer dieses Mailsystems gesendet."}
	sayLocal         = phrase{"Created on this mail system, sender not checked.", "Auf diesem Mailsystem erzeugt, Absender nicht geprüft."}
	sayRelay         = phrase{"Received from a trusted mail system, sender not checked.", "Von einem vertrauten Mailsystem empfangen, Absender nicht geprüft."}
	saySuspicious    = phrase{"Warning: this mail is suspicious: %s.", "Warnung: diese E-Mail ist verdächtig: %s."} // title of the rule
	sayNoAuthor      = phrase{"Warning: this mail names no sender.", "Warnung: diese E-Mail nennt keinen Absender."}
	saySeveral       = phrase{"Warning: this mail names several senders.", "Warnung: diese E-Mail nennt mehrere Absender."}
	sayMalformed     = phrase{"Warning: the sender of this mail cannot be read.", "Warnung: der Absender dieser E-Mail ist nicht lesbar."}
	sayEncrypted     = phrase{"Transport encrypted.", "Übertragung verschlüsselt."}
	sayPlain         = phrase{"Transport not encrypted.", "Übertragung nicht verschlüsselt."}
)

// Bounds of the notes of rules: how many, and characters of each.
const (
	maxNotes = 10
	maxNote  = 300
)

// Summary builds the field that a person reads in the mail client.
func (o Options) Summary(s Subject) rules.HeaderField {
	text := o.sender(s)
	if s.Results.Skipped == "" {
		if about := o.signature(s.Results); about != "" {
			text += " " + about
		}
	}
	// A submission on this host crossed no network.
	if s.Results.Skipped != verify.SkipLocal {
		tls := sayPlain
		if s.Envelope.TLS.Version != "" {
			tls = sayEncrypted
		}
		text += " " + tls.in(o.Language)
	}
	if title := suspicion(s.Decision); title != "" {
		text += " " + fmt.Sprintf(saySuspicious.in(o.Language), title)
	}
	for _, note := range s.Decision.Notes[:min(len(s.Decision.Notes), maxNotes)] {
		text += " " + cutRunes(oneLine(note), maxNote)
	}
	return rules.HeaderField{Name: o.prefix() + "-Summary", Value: encode(text, len(o.prefix())+len("-Summary: "))}
}

// sender says what is known about the sender.
func (o Options) sender(s Subject) string {
	p := sentence(s)
	text := p.in(o.Language)
	if !strings.Contains(text, "%s") {
		return text
	}
	domain := s.Results.DMARC.Domain
	if domain == "" {
		domain = "?"
	}
	return fmt.Sprintf(text, domain)
}

func sentence(s Subject) phrase {
	switch s.Results.Skipped {
	case verify.SkipAuthenticated:
		return sayLoggedIn
	case verify.SkipLocal:
		return sayLocal
	case verify.SkipNetwork:
		return sayRelay
	}
	switch s.Results.Author.Problem {
	case message.AuthorMissing:
		return sayNoAuthor
	case message.AuthorSeveral, message.AuthorSeveralFields:
		return saySeveral
	case message.AuthorMalformed, message.AuthorGroup:
		return sayMalformed
	}
	switch {
	case s.Decision.Trust == rules.Forged:
		return sayForged
	case s.Decision.Trust == rules.Authenticated || s.Decision.Trust == rules.Verified,
		s.Decision.Trust == rules.Suspicious && confirmed(s.Results):
		if s.Results.DMARC.Result == authres.Fail {
			return sayForwarded
		}
		return sayAuthenticated
	case s.Results.DMARC.Result == authres.TempError:
		return sayUnavailable
	case s.Results.DMARC.Result == authres.Fail:
		return sayNotAligned
	}
	return sayUnknown
}

// confirmed reports whether the domain in From is confirmed, whatever rules think of the message.
func confirmed(r verify.Results) bool {
	d := r.DMARC
	switch {
	case d.Result == authres.Pass:
		return true
	case d.Result == authres.Fail:
		return r.ARC.Result == authres.Pass && r.ARC.Trusted && r.ARC.DMARC == authres.Pass && r.ARC.DMARCFrom == d.Domain
	case d.Result != authres.None || d.Domain == "":
		return false
	}
	return slices.ContainsFunc(r.DKIM, func(v dkim.Verification) bool { return v.Result == authres.Pass && v.Domain == d.Domain }) ||
		slices.ContainsFunc(r.SPF, func(v spf.Verification) bool {
			return v.Result == authres.Pass && v.Identity == spf.MailFrom && v.Domain == d.Domain
		})
}

// suspicion is the title of the first grave rule that was enforced, "" if there is none or the mail is worse than suspicious.
func suspicion(d rules.Decision) string {
	if d.Trust != rules.Suspicious {
		return ""
	}
	for _, m := range d.Rules {
		if m.Enforced && (m.Severity == rules.High || m.Severity == rules.Critical) {
			return cutRunes(strings.TrimRight(oneLine(m.Title), "."), maxNote)
		}
	}
	return ""
}

// maxEncodedLine bounds a line that holds an encoded word (RFC 2047 Section 2).
const maxEncodedLine = 76

// encode writes text as a header value behind a field name that takes used octets: as it is when it is ASCII, else as
// encoded words (RFC 2047), folded. What only looks like an encoded word is encoded too, or readers would decode it.
func encode(text string, used int) string {
	if !strings.Contains(text, "=?") && strings.IndexFunc(text, func(r rune) bool { return r > 0x7e || r < ' ' }) < 0 {
		return foldWords(text, used)
	}
	const open, closing = "=?utf-8?q?", "?="
	var b strings.Builder
	room := 0 // octets that still fit into the open encoded word; none is open
	for i, r := range text {
		q := encodeQ(r)
		if len(q) > room {
			if i > 0 {
				b.WriteString(closing + "\n ")
				used = 1
			}
			b.WriteString(open)
			room = maxEncodedLine - used - len(open) - len(closing)
		}
		b.WriteString(q)
		room -= len(q)
	}
	return b.String() + closing
}

// encodeQ is one character in the "Q" encoding (RFC 2047 Section 4.2), all of its octets, so that no word splits it.
func encodeQ(r rune) string {
	if r == ' ' {
		return "_"
	}
	if r > ' ' && r < 0x7f && !strings.ContainsRune("=?_", r) {
		return string(r)
	}
	var b strings.Builder
	for _, c := range []byte(string(r)) {
		fmt.Fprintf(&b, "=%02X", c)
	}
	return b.String()
}

// foldWords breaks text at blanks, so that lines stay below 78 octets.
func foldWords(text string, used int) string {
	var b strings.Builder
	for i, w := range strings.Split(text, " ") {
		switch {
		case i > 0 && used+1+len(w) > 76:
			b.WriteString("\n ")
			used = 1
		case i > 0:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(w)
		used += len(w)
	}
	return b.String()
}
