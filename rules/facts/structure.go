package facts

import (
	"slices"
	"strings"

	"assay/verify/message"
)

// A structure is what one walk of the MIME tree finds.
type structure struct {
	parts, depth int
	plain, html  []*message.Part // text that is shown, not attached
	pgp          PGP
	read         bool      // passages is filled in
	passages     []passage // the text of plain
	cut          bool      // there is more text than was taken; known once the text was made
}

// structure walks the MIME tree once.
func (f *Facts) structure() *structure {
	if f.walked == nil {
		f.walked = &structure{}
		if f.in.Message.Root != nil {
			f.walked.walk(f.in.Message.Root, 1)
		}
	}
	return f.walked
}

// walk visits p and what is below it. The depth of the tree is bounded by message.Limits.
func (s *structure) walk(p *message.Part, depth int) {
	s.parts++
	s.depth = max(s.depth, depth)
	switch p.MediaType {
	case "multipart/signed":
		s.pgp.Signed = s.pgp.Signed || strings.EqualFold(p.Params["protocol"], "application/pgp-signature")
	case "multipart/encrypted":
		s.pgp.Encrypted = s.pgp.Encrypted || strings.EqualFold(p.Params["protocol"], "application/pgp-encrypted")
	case "application/pgp-encrypted":
		s.pgp.Encrypted = true
	case "application/pgp-signature":
		s.pgp.Signed = true
	}
	if len(p.Children) == 0 && p.Disposition != "attachment" && p.Filename == "" {
		switch {
		case p.MediaType == "text/plain":
			s.plain = append(s.plain, p)
		case isHTML(p.MediaType):
			s.html = append(s.html, p)
		}
	}
	for _, child := range p.Children {
		s.walk(child, depth+1)
	}
}

func isHTML(mediaType string) bool {
	return mediaType == "text/html" || mediaType == "application/xhtml+xml"
}

// pgp says whether OpenPGP is used: PGP/MIME (RFC 3156), or armour at the start of a line of the text (RFC 9580
// Section 6.2); quoted armour of a reply does not count.
func (f *Facts) pgp() PGP {
	out := f.structure().pgp
	text := f.plainText()
	out.Encrypted = out.Encrypted || hasLine(text, "-----BEGIN PGP MESSAGE-----")
	out.Signed = out.Signed || hasLine(text, "-----BEGIN PGP SIGNED MESSAGE-----")
	return out
}

// hasLine reports whether a line of text begins with start.
func hasLine(text, start string) bool {
	for {
		i := strings.Index(text, start)
		if i < 0 {
			return false
		}
		if i == 0 || text[i-1] == '\n' {
			return true
		}
		text = text[i+len(start):]
	}
}

// The values of mime.tier.
const (
	tierNone       = ""
	tierInfo       = "info"
	tierSuspicious = "suspicious"
	tierAmbiguous  = "ambiguous"
)

// mime describes the structure and its defects.
func (f *Facts) mime() MIME {
	s := f.structure()
	out := MIME{Parts: s.parts, Depth: s.depth, Defects: []string{}, Tier: tierNone}
	worst := message.Info + 1
	for _, d := range f.in.Message.Defects {
		worst = min(worst, d.Tier())
		if len(out.Defects) < MaxList && !slices.Contains(out.Defects, d.Code) {
			out.Defects = append(out.Defects, d.Code)
		}
	}
	switch worst {
	case message.Info:
		out.Tier = tierInfo
	case message.Suspicious:
		out.Tier = tierSuspicious
	case message.Ambiguous:
		out.Tier = tierAmbiguous
	}
	return out
}
