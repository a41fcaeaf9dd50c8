package headers

import (
	"fmt"
	"strings"
	"time"

	"assay/rules"
	"assay/verify"
	"assay/verify/authres"
	"assay/verify/smime"
)

// SMIME builds the Authentication-Results field about S/MIME (RFC 7281). It is a field of its own: a common reader gives up
// on a whole field over properties of S/MIME that it does not know. ok is false when there is nothing to say.
func (o Options) SMIME(s Subject) (field rules.HeaderField, ok bool, err error) {
	v := s.Results.SMIME
	if s.Results.Skipped != "" || v.Result == "" || v.State == smime.Unsigned {
		return rules.HeaderField{}, false, nil
	}
	h := authres.Header{ID: o.authservID(s.Envelope), Clauses: []authres.Clause{smimeClause(v)}}
	value, err := h.Format()
	if err != nil {
		return rules.HeaderField{}, false, fmt.Errorf("headers: %w", err)
	}
	return rules.HeaderField{Name: authenticationResults, Value: value}, true, nil
}

// smimeClause is the one clause about S/MIME. There is never a pass beside another result: readers let any pass win.
func smimeClause(v smime.Verification) authres.Clause {
	c := authres.Clause{Method: "smime", Result: v.Result, Comment: smimeComment(v)}
	c.Properties = properties("body", "smime-part", v.Section)
	if len(v.Signers) == 0 {
		return c
	}
	// RFC 7281 Section 3.2.3: serial and issuer only together; the issuer's name is the signer's own invention unless a
	// trusted root stands behind it.
	signer := v.Signers[0]
	if v.State == smime.Verified || v.State == smime.Partial || v.State == smime.WrongSender || v.State == smime.Revoked {
		c.Properties = append(properties("body", "smime-identifier", signer.Email), c.Properties...)
		if signer.Serial != "" && signer.Issuer != "" && trusted(signer.Trust) {
			c.Properties = append(c.Properties, authres.Property{Type: "body", Name: "smime-serial", Value: signer.Serial},
				authres.Property{Type: "body", Name: "smime-issuer", Value: signer.Issuer})
		}
	}
	return c
}

func trusted(t smime.Trust) bool { return t == smime.PublicRoot || t == smime.PrivateRoot }

// smimeComment says in a few words what the result rests on.
func smimeComment(v smime.Verification) string {
	const opened = "encrypted and opened here, "
	if v.State != smime.Verified {
		reason := v.Reason
		if v.Opened && v.State != smime.Encrypted { // which says so itself
			reason = opened + reason
		}
		if v.State == smime.Encrypted && reason == "" {
			reason = "encrypted"
		}
		return reason[:min(len(reason), maxReason)]
	}
	var words []string
	if len(v.Signers) > 0 && v.Signers[0].Level != "" {
		words = append(words, string(v.Signers[0].Level)+"-validated")
	} else if v.Trust == smime.PrivateRoot {
		words = append(words, "private CA")
	}
	comment := strings.Join(append(words, "revocation "+string(v.Revocation)), ", ")
	if v.Opened {
		return opened + comment
	}
	return comment
}

// The sentences about S/MIME. %s is the address of the signer, except where a comment says so.
var (
	saySigned        = phrase{"Signature valid: %s.", "Signatur gültig: %s."} // what is vouched for: name, organization, address
	sayAltered       = phrase{"Warning: the signature does not match the text, it was altered on the way or forged.", "Warnung: die Signatur passt nicht zum Text, er wurde unterwegs verändert oder gefälscht."}
	sayRevoked       = phrase{"Warning: the signature was made with a revoked certificate.", "Warnung: die Signatur wurde mit einem gesperrten Zertifikat erstellt."}
	sayExpired       = phrase{"Signature intact, but its certificate had expired on %s.", "Signatur unversehrt, aber das Zertifikat war seit %s abgelaufen."} // date
	sayUntrusted     = phrase{"Signature intact, but nobody trusted vouches for the signer.", "Signatur unversehrt, aber niemand Vertrautes bürgt für den Unterzeichner."}
	saySelfSigned    = phrase{"Signature intact, but the signer vouches only for himself.", "Signatur unversehrt, aber der Unterzeichner bürgt nur für sich selbst."}
	sayWeak          = phrase{"Signature made with outdated cryptography, it proves nothing.", "Signatur mit veralteten Verfahren erstellt, sie beweist nichts."}
	sayStale         = phrase{"Signature with an implausible time.", "Signatur mit unglaubwürdiger Uhrzeit."}
	sayWrongSender   = phrase{"Warning: signed by %s, who is not the sender shown.", "Warnung: unterzeichnet von %s und nicht vom angezeigten Absender."}
	sayOtherSigner   = phrase{"Warning: signed by somebody who is not the sender shown.", "Warnung: nicht vom angezeigten Absender unterzeichnet."}
	sayPartial       = phrase{"Only a part of this mail is signed.", "Nur ein Teil dieser E-Mail ist signiert."}
	sayUnsupported   = phrase{"Signature present, it cannot be checked here.", "Signatur vorhanden, sie kann hier nicht geprüft werden."}
	sayIncomplete    = phrase{"Signature present, a certificate for checking it is missing.", "Signatur vorhanden, zur Prüfung fehlt ein Zertifikat."}
	sayBadSignature  = phrase{"Signature present, it cannot be read.", "Signatur vorhanden, sie ist nicht lesbar."}
	sayLater         = phrase{"Signature present, it could not be checked at this time.", "Signatur vorhanden, sie konnte im Moment nicht geprüft werden."}
	sayOpened        = phrase{"Encrypted for this mail system and opened here.", "Für dieses Mailsystem verschlüsselt und hier geöffnet."}
	sayNotSigned     = phrase{"Nobody has signed it.", "Niemand hat sie unterzeichnet."}
	sayMayBeChanged  = phrase{"Nobody has signed it, and it may have been changed on the way.", "Niemand hat sie unterzeichnet, und sie kann unterwegs verändert worden sein."}
	sayContentHidden = phrase{"Content encrypted, it was not checked.", "Inhalt verschlüsselt, er wurde nicht geprüft."}
)

// signature says what is known about S/MIME, "" when there is nothing to say.
func (o Options) signature(r verify.Results) string {
	if !r.SMIME.Opened {
		return o.verdict(r.SMIME)
	}
	opened := sayOpened.in(o.Language)
	switch about := o.verdict(r.SMIME); {
	case r.SMIME.State == smime.Encrypted && !authenticated(r.SMIME):
		return opened + " " + sayMayBeChanged.in(o.Language)
	case r.SMIME.State == smime.Encrypted:
		return opened + " " + sayNotSigned.in(o.Language)
	case about != "":
		return opened + " " + about
	}
	return opened
}

// authenticated reports whether what was opened is what somebody has encrypted.
func authenticated(v smime.Verification) bool { return v.Opening != nil && v.Opening.Authenticated }

// verdict says in one sentence what is known about a signature.
func (o Options) verdict(v smime.Verification) string {
	var signer smime.Signer
	if len(v.Signers) > 0 {
		signer = v.Signers[0]
	}
	say := func(p phrase, what ...any) string { return fmt.Sprintf(p.in(o.Language), what...) }
	switch v.State {
	case smime.Verified:
		return say(saySigned, person(signer))
	case smime.Untrusted:
		return o.untrusted(signer)
	case smime.WrongSender:
		if email := cutRunes(oneLine(signer.Email), maxPerson); email != "" {
			return say(sayWrongSender, email)
		}
		return say(sayOtherSigner)
	}
	plain := map[smime.State]phrase{
		smime.Altered: sayAltered, smime.Revoked: sayRevoked, smime.Weak: sayWeak, smime.Stale: sayStale, smime.Partial: sayPartial,
		smime.Unsupported: sayUnsupported, smime.Incomplete: sayIncomplete, smime.Malformed: sayBadSignature,
		smime.Unavailable: sayLater, smime.Encrypted: sayContentHidden,
	}
	if p, known := plain[v.State]; known {
		return p.in(o.Language)
	}
	return ""
}

// untrusted says why a signer is not trusted: expired is not manipulated.
func (o Options) untrusted(s smime.Signer) string {
	switch {
	case s.Trust == smime.Expired && !s.NotAfter.IsZero():
		return fmt.Sprintf(sayExpired.in(o.Language), s.NotAfter.UTC().Format(time.DateOnly))
	case s.Trust == smime.SelfSigned:
		return saySelfSigned.in(o.Language)
	}
	return sayUntrusted.in(o.Language)
}

// maxPerson bounds, in characters, each name of a signer.
const maxPerson = 80

// person names a signer by what is vouched for.
func person(s smime.Signer) string {
	names := []string{}
	for _, name := range []string{s.Name, s.Organization, s.Email} {
		if name = cutRunes(oneLine(name), maxPerson); name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
