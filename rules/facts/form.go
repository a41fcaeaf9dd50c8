package facts

import (
	"net/netip"
	"strings"
)

// A Form is how every text of a fact is written. A text in another form is never the value of the fact.
type Form string

// The forms. The zero value allows every text.
const (
	AnyForm       Form = ""
	LowerForm     Form = "in lower case"              // media types, schemes
	DomainForm    Form = "in lower case and A-labels" // domains and hosts
	AddressForm   Form = "an address with its domain in lower case"
	ExtensionForm Form = "in lower case and without a dot" // extensions of file names
	IPForm        Form = "an IP address"                   // one, not a network
)

// forms are those of the fields that have one, named as in documentation. The table is never written.
var forms = map[string]Form{
	"Conn.ip": IPForm, "Conn.rdns": DomainForm, "Tree.list_id": LowerForm,
	"Path.email": AddressForm, "Path.domain": DomainForm, "Path.org_domain": DomainForm,
	"Mailbox.email": AddressForm, "Mailbox.domain": DomainForm, "Mailbox.org_domain": DomainForm,
	"URL.scheme": LowerForm, "URL.host": DomainForm, "URL.org_domain": DomainForm, "URL.text_host": DomainForm,
	"Object.ext": ExtensionForm, "Object.exts": ExtensionForm, "Object.type": LowerForm, "Object.sniffed": LowerForm, "Object.sha256": LowerForm,
	"DMARC.domain": DomainForm, "DMARC.org_domain": DomainForm, "DMARC.policy_domain": DomainForm,
}

// Normal returns a text in the form, and whether it can be written so. The empty text is in every form.
func (f Form) Normal(text string) (string, bool) {
	if text == "" {
		return "", true
	}
	switch f {
	case LowerForm:
		return strings.ToLower(text), true
	case DomainForm:
		return normalDomain(text)
	case AddressForm:
		at := strings.LastIndexByte(text, '@')
		if at < 0 {
			return text, true // a local part can stand alone, as in <postmaster>
		}
		if at == 0 {
			return "", false
		}
		domain, ok := normalDomain(text[at+1:])
		return text[:at+1] + domain, ok
	case ExtensionForm:
		ext := strings.TrimSpace(strings.ToLower(text[strings.LastIndexByte(text, '.')+1:]))
		return ext, ext != ""
	case IPForm:
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return "", false
		}
		return addr.Unmap().WithZone("").String(), true
	}
	return text, true
}

// normalDomain is Normal for a domain, or the address in the place of one.
func normalDomain(text string) (string, bool) {
	domain := canonical(strings.TrimSpace(text))
	if _, err := netip.ParseAddr(domain); err == nil || strings.HasPrefix(domain, "[") {
		return domain, true
	}
	fine := domain != "" && !strings.HasPrefix(domain, ".") && !strings.Contains(domain, "..") && !strings.ContainsAny(domain, " \t/\\@:*")
	return domain, fine
}

// NormalPiece is Normal for a piece of a text: its beginning, its end, or anything in between.
func (f Form) NormalPiece(piece string) (string, bool) {
	lower := strings.ToLower(piece)
	switch f {
	case LowerForm:
		return lower, true
	case DomainForm:
		fine := !strings.ContainsFunc(lower, func(r rune) bool { return r >= 0x80 || strings.ContainsRune(" /\\@*", r) })
		return lower, fine // a piece of an A-label has no A-label of its own
	case AddressForm:
		at := strings.IndexByte(piece, '@')
		if at < 0 {
			return piece, true
		}
		domain, ok := DomainForm.NormalPiece(piece[at+1:])
		return piece[:at+1] + domain, ok
	case ExtensionForm:
		return strings.ReplaceAll(lower, ".", ""), strings.Trim(lower, ". ") != ""
	}
	return piece, true
}
