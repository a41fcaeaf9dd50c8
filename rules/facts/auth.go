package facts

import (
	"slices"
	"strings"

	"assay/verify/authres"
	"assay/verify/dmarc"
	"assay/verify/smime"
	"assay/verify/spf"
)

// none is what an outcome reads that was not evaluated.
const none = string(authres.None)

// auth are the outcomes of all checks.
func (f *Facts) auth() Auth {
	return Auth{
		SPF: f.spf(), DKIM: f.dkim(), DMARC: dmarcOf(f.in.Results.DMARC), ARC: f.arc(), SMIME: smimeOf(f.in.Results.SMIME), PGP: f.pgp(),
	}
}

// spf sums up the two identities. For the null reverse-path both are the HELO identity (RFC 7208 Section 2.4).
func (f *Facts) spf() SPF {
	out := SPF{Result: none, HeloResult: none}
	for _, v := range f.in.Results.SPF {
		if v.Identity == spf.Helo {
			out.HeloResult = result(v.Result)
			continue
		}
		out.Result, out.Domain, out.Reason = result(v.Result), bounded(v.Domain), bounded(v.Reason)
		if f.in.Message.Envelope.MailFrom == "" {
			out.HeloResult = out.Result
		}
		out.Aligned = v.Result == authres.Pass && f.aligned(v.Domain, f.in.Results.DMARC.StrictSPF)
	}
	return out
}

// aligned reports whether a domain is aligned with the one author's domain (RFC 9989 Section 4.4). Results.DMARC knows
// it by its own discovery only for domains with a policy, so the public suffix list decides here.
func (f *Facts) aligned(domain string, strict bool) bool {
	from := f.from()
	if from.Domain == "" || domain == "" {
		return false
	}
	return domain == from.Domain || !strict && from.OrgDomain != "" && orgDomain(domain) == from.OrgDomain
}

// dkim sums up the signatures.
func (f *Facts) dkim() DKIM {
	out := DKIM{Result: none, Signatures: []Signature{}}
	for i, v := range f.in.Results.DKIM {
		if i == MaxList {
			break
		}
		s := Signature{
			Result: result(v.Result), Domain: bounded(v.Domain), Selector: bounded(v.Selector), Identifier: bounded(v.Identifier),
			Aligned: f.aligned(v.Domain, f.in.Results.DMARC.StrictDKIM),
			Bits:    v.KeyBits, Algorithm: bounded(v.Algorithm), Testing: v.Testing, Reason: bounded(v.Reason),
		}
		if i == 0 || v.Result == authres.Pass && out.Result != string(authres.Pass) {
			out.Result = s.Result
		}
		out.Aligned = out.Aligned || s.Aligned && v.Result == authres.Pass
		out.Signatures = append(out.Signatures, s)
	}
	return out
}

// dmarcOf copies the evaluation.
func dmarcOf(v dmarc.Evaluation) DMARC {
	return DMARC{
		Result: result(v.Result), Policy: string(v.Policy), Published: string(v.Published), Domain: bounded(v.Domain),
		OrgDomain: bounded(v.OrgDomain), PolicyDomain: bounded(v.PolicyDomain), Testing: v.Testing, Reason: bounded(v.Reason),
		Override: override(v.Override),
	}
}

// override is the reason in RFC 9990's words; one that is not among them is "other".
func override(reason string) string {
	if reason == "" || slices.Contains(overrides(), reason) {
		return reason
	}
	return dmarc.OverrideOther
}

func overrides() []string {
	return []string{
		dmarc.OverrideLocalPolicy, dmarc.OverrideMailingList, dmarc.OverrideOther, dmarc.OverridePolicyTestMode,
		dmarc.OverrideTrustedForwarder,
	}
}

// arc sums up the chain.
func (f *Facts) arc() ARC {
	v := &f.in.Results.ARC
	out := ARC{
		Result: result(v.Result), Instance: v.Instance, TrustedSealer: v.Trusted, Sealers: boundedList(v.Sealers, MaxList),
		OriginalDMARC: result(v.DMARC), OriginalFrom: strings.ToLower(bounded(v.DMARCFrom)),
	}
	if n := len(v.Sealers); n > 0 {
		out.Sealer = bounded(v.Sealers[n-1])
	}
	return out
}

// smimeOf sums up the verdict and its first signer, who is the one that decided.
func smimeOf(v smime.Verification) SMIME {
	out := SMIME{
		Signed: v.Signed, Encrypted: v.Encrypted, Opened: v.Opened, Result: result(v.Result), State: orNone(v.State), Reason: bounded(v.Reason),
		Whole: v.Whole, Trust: orNone(v.Trust), Identity: orNone(v.Identity), Revocation: orNone(v.Revocation),
		ValidationLevel: none, SelfSigned: v.Trust == smime.SelfSigned, Private: v.Trust == smime.PrivateRoot,
		Flags: boundedList(v.Flags, MaxList),
	}
	if len(v.Signers) == 0 {
		return out
	}
	s := &v.Signers[0]
	out.SignerEmail, out.SignerName, out.Organization = bounded(s.Email), bounded(s.Name), bounded(s.Organization)
	out.Issuer, out.Root, out.Qualified = bounded(s.Issuer), bounded(s.Root), bounded(s.Qualified)
	out.ValidationLevel, out.NotAfter = orNone(s.Level), s.NotAfter
	return out
}

// orNone is the word of an enumeration, "none" for its zero value.
func orNone[T ~string](word T) string {
	if word == "" {
		return none
	}
	return string(word)
}
