package smime

import (
	"bytes"
	"io"
	"strings"

	"assay/verify/message"
)

// A form says how a part carries S/MIME.
type form int

const (
	formNone     form = iota
	formDetached      // multipart/signed (RFC 8551 Section 3.5.3)
	formOpaque        // a CMS object of its own (Section 3.5.2, and 3.3, 3.6, 3.8 for what is not signed)
)

// formOf says whether a part is S/MIME, whatever it says that it is: what a mail program takes for S/MIME counts
// (RFC 8551 Section 3.9). It reads content only of parts whose name or place suggests it.
func formOf(m *message.Message, p *message.Part) form {
	switch {
	case p.MediaType == "multipart/signed":
		if isDetached(m, p) {
			return formDetached
		}
	case len(p.Children) > 0:
	case isCMSType(p.MediaType):
		return formOpaque
	case p.MediaType == octetStream && hasCMSName(p) && sniff(m, p):
		return formOpaque
	}
	return formNone
}

// isDetached tells the multipart/signed of S/MIME from those of others (RFC 1847 Section 2.1). The protocol parameter
// decides; where it is missing or not known, the signature itself.
func isDetached(m *message.Message, p *message.Part) bool {
	protocol := strings.ToLower(strings.TrimSpace(p.Params["protocol"]))
	switch {
	case isCMSType(protocol):
		return true
	case strings.HasPrefix(protocol, "application/pgp"):
		return false
	case len(p.Children) < 2:
		return false
	}
	return isSignature(m, p.Children[1])
}

const octetStream = "application/octet-stream"

// isSignature reports whether a part can be the signature of a multipart/signed. Types that readers show are none, whatever
// is inside: a CMS object has room for other things than a signature.
func isSignature(m *message.Message, p *message.Part) bool {
	return len(p.Children) == 0 && (isCMSType(p.MediaType) || p.MediaType == octetStream && sniff(m, p))
}

// isCMSType reports whether a media type is that of a CMS object or of a signature.
func isCMSType(mediaType string) bool {
	switch mediaType {
	case "application/pkcs7-mime", "application/x-pkcs7-mime", "application/pkcs7-signature", "application/x-pkcs7-signature":
		return true
	}
	return false
}

// hasCMSName reports whether a part has the file name of a CMS object (RFC 8551 Section 3.2.1).
func hasCMSName(p *message.Part) bool {
	if len(p.Filename) < len(".p7m") {
		return false
	}
	switch strings.ToLower(p.Filename[len(p.Filename)-len(".p7m"):]) {
	case ".p7m", ".p7s", ".p7c", ".p7z":
		return true
	}
	return false
}

// sniff reports whether the content of a part begins as a ContentInfo of PKCS #7 or S/MIME does: a SEQUENCE with an object
// identifier below 1.2.840.113549.1.
func sniff(m *message.Message, p *message.Part) bool {
	if len(p.Children) > 0 {
		return false
	}
	var head [32]byte
	n, _ := io.ReadFull(m.Content(p), head[:])
	data := head[:n]
	if len(data) < 2 || data[0] != 0x30 {
		return false
	}
	skip := 2
	if data[1] > 0x80 {
		skip += int(data[1] & 0x7f)
	}
	data = data[min(skip, len(data)):]
	return len(data) > 2 && data[0] == 6 && bytes.HasPrefix(data[2:], []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01})
}

// isMessage reports whether a part is a message inside of another.
func isMessage(p *message.Part) bool {
	return p.MediaType == "message/rfc822" || p.MediaType == "message/global"
}

// A place is where an object is.
type place struct {
	m        *message.Message
	part     *message.Part // the multipart/signed, or the leaf
	form     form
	prefix   string // sections of the objects around it, each with "/"
	attached bool   // in an attached message: somebody else's mail, which says nothing about this one
}

// section is the section of the CMS object: of a multipart/signed that of its second part (RFC 7281 Section 3.2.1).
func (o place) section() string {
	p := o.part
	if o.form == formDetached {
		if len(p.Children) > 1 {
			return o.prefix + p.Children[1].Section
		}
		if p.Section == "" {
			return o.prefix + "1"
		}
	}
	return o.prefix + strings.TrimSuffix(p.Section, ".TEXT")
}

// find returns the objects at or below p that are not inside one another, in message order, but no more than limit.
func find(m *message.Message, p *message.Part, prefix string, limit int) []place {
	f := finder{m: m, prefix: prefix, limit: limit}
	f.walk(p, false)
	return f.found
}

type finder struct {
	m      *message.Message
	prefix string
	limit  int
	found  []place
}

// walk goes no deeper than message.Limits let the tree become.
func (f *finder) walk(p *message.Part, attached bool) {
	if len(f.found) == f.limit {
		return
	}
	if form := formOf(f.m, p); form != formNone {
		f.found = append(f.found, place{m: f.m, part: p, form: form, prefix: f.prefix, attached: attached})
		return
	}
	for _, c := range p.Children {
		f.walk(c, attached || isMessage(p))
	}
}
