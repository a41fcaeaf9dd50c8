package report

import (
	"cmp"
	"io"
	"strings"
	"time"

	"assay/verify/authres"
	"assay/verify/message"
	"assay/verify/smime"
)

// SMIME is the S/MIME protection of the message.
type SMIME struct {
	Result     authres.Result `json:"result"`
	State      string         `json:"state"`
	Reason     string         `json:"reason"`
	Section    string         `json:"section"`
	Signed     bool           `json:"signed"`
	Encrypted  bool           `json:"encrypted"`
	Opening    *Opening       `json:"opened"`
	Whole      bool           `json:"whole"`
	Integrity  string         `json:"integrity"`
	Trust      string         `json:"trust"`
	Identity   string         `json:"identity"`
	Revocation string         `json:"revocation"`
	Flags      []string       `json:"flags"`
	Signers    []Signer       `json:"signers"`
	Layers     []Layer        `json:"layers"`
	Steps      []string       `json:"steps"`
}

// An Opening is what became of the encryption of a message that was opened. What was inside is not in it.
type Opening struct {
	Algorithm     string `json:"algorithm"`
	KeyAlgorithm  string `json:"key_algorithm"`
	Authenticated bool   `json:"authenticated"`
}

// A Signer is one signer.
type Signer struct {
	Email        string     `json:"email"`
	Emails       []string   `json:"emails"`
	Name         string     `json:"name"`
	Organization string     `json:"organization"`
	Subject      string     `json:"subject"`
	Issuer       string     `json:"issuer"`
	Root         string     `json:"root"`
	Serial       string     `json:"serial"`
	Fingerprint  string     `json:"fingerprint"`
	Level        string     `json:"level"`
	Generation   string     `json:"generation"`
	Qualified    string     `json:"qualified"`
	Algorithm    string     `json:"algorithm"`
	KeyBits      int        `json:"key_bits"`
	NotBefore    *time.Time `json:"not_before"`
	NotAfter     *time.Time `json:"not_after"`
	SigningTime  *time.Time `json:"signing_time"`
	Integrity    string     `json:"integrity"`
	Trust        string     `json:"trust"`
	Identity     string     `json:"identity"`
	Revocation   string     `json:"revocation"`
	RevokedAt    *time.Time `json:"revoked_at"`
	Reason       string     `json:"reason"`
	Path         []string   `json:"path"`
}

// A Layer is one CMS object.
type Layer struct {
	Section string `json:"section"`
	Kind    string `json:"kind"`
	Detail  string `json:"detail"`
}

// NewSMIME returns the report of a verification: nothing for a message without S/MIME.
func NewSMIME(v smime.Verification) []SMIME {
	if v.State == "" || v.State == smime.Unsigned {
		return []SMIME{}
	}
	return []SMIME{{
		Result: orNone(v.Result), State: string(v.State), Reason: v.Reason, Section: v.Section, Signed: v.Signed, Encrypted: v.Encrypted,
		Opening: newOpening(v.Opening), Whole: v.Whole, Integrity: string(v.Integrity), Trust: string(v.Trust), Identity: string(v.Identity),
		Revocation: string(v.Revocation), Flags: present(v.Flags), Signers: each(v.Signers, newSigner),
		Layers: each(v.Layers, func(l smime.Layer) Layer { return Layer(l) }), Steps: present(v.Steps),
	}}
}

// newOpening returns the report of what was opened, nil if nothing was.
func newOpening(o *smime.Opening) *Opening {
	if o == nil {
		return nil
	}
	return &Opening{Algorithm: o.Algorithm, KeyAlgorithm: o.KeyAlgorithm, Authenticated: o.Authenticated}
}

// newSigner returns the report of one signer.
func newSigner(s smime.Signer) Signer {
	return Signer{
		Email: s.Email, Emails: present(s.Emails), Name: s.Name, Organization: s.Organization, Subject: s.Subject, Issuer: s.Issuer,
		Root: s.Root, Serial: s.Serial, Fingerprint: s.Fingerprint, Level: string(s.Level), Generation: s.Generation,
		Qualified: s.Qualified, Algorithm: s.Algorithm, KeyBits: s.KeyBits, NotBefore: instant(s.NotBefore),
		NotAfter: instant(s.NotAfter), SigningTime: instant(s.SigningTime), Integrity: string(s.Integrity), Trust: string(s.Trust),
		Identity: string(s.Identity), Revocation: string(s.Revocation), RevokedAt: instant(s.RevokedAt), Reason: s.Reason,
		Path: present(s.Path),
	}
}

// SMIMEText writes a verification alone.
func SMIMEText(w io.Writer, a message.Author, v smime.Verification) error {
	p := &printer{w: w}
	p.author(NewAuthor(a))
	p.smime(NewSMIME(v))
	return p.err
}

// smime writes the verdict, the four questions it rests on, the signers and the layers.
func (p *printer) smime(all []SMIME) {
	if len(all) == 0 {
		p.outcome("smime", "none", "the message has no S/MIME part", "")
	}
	for _, v := range all {
		p.outcome("smime", string(v.Result), v.Reason, v.State)
		if o := v.Opening; o != nil {
			p.detail("was opened here", o.Algorithm+", key by "+o.KeyAlgorithm)
		}
		p.detail("text is what was signed", v.Integrity)
		p.detail("issuer is trusted", v.Trust)
		p.detail("signer is the author", v.Identity)
		p.detail("certificate was revoked", v.Revocation)
		p.detail("noted", strings.Join(v.Flags, ", "))
		for _, s := range v.Signers {
			p.signer(s)
		}
		for _, l := range v.Layers {
			p.detail("layer "+cmp.Or(l.Section, "1"), strings.TrimSpace(l.Kind+" "+l.Detail))
		}
		p.steps(v.Steps)
	}
}

// signer writes what is known of one signer.
func (p *printer) signer(s Signer) {
	p.detail("signer", cmp.Or(s.Email, s.Subject))
	p.detail("  vouched for", strings.Trim(s.Name+", "+s.Organization, ", "))
	p.detail("  addresses", strings.Join(s.Emails, ", "))
	p.detail("  validated", strings.TrimSpace(s.Level+" "+s.Generation))
	p.detail("  claims", s.Qualified)
	p.detail("  algorithm", s.Algorithm)
	p.detail("  serial", s.Serial)
	if s.NotBefore != nil && s.NotAfter != nil {
		p.detail("  valid", s.NotBefore.Format(time.DateOnly)+" to "+s.NotAfter.Format(time.DateOnly))
	}
	if s.SigningTime != nil {
		p.detail("  says it signed", s.SigningTime.Format(time.RFC3339))
	}
	for i, name := range s.Path {
		p.detail("  path "+string(rune('1'+min(i, 8))), name)
	}
	p.detail("  not good because", s.Reason)
}
