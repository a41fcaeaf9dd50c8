package pki

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// defaultRSABits is the smallest modulus of SBR Section 6.1.5 and RFC 8551 Section 2.2.
const defaultRSABits = 2048

// Critical extensions that are enforced here although crypto/x509 does not understand them, or not all of their forms.
var (
	oidQCStatements          = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidCRLDistributionPoints = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidKeyUsage              = asn1.ObjectIdentifier{2, 5, 29, 15}
)

// checkCritical refuses critical extensions that nobody here processes (RFC 5280 Section 4.2).
func checkCritical(path []*x509.Certificate) *problem {
	for i, c := range path {
		for _, id := range c.UnhandledCriticalExtensions {
			switch {
			case id.Equal(oidNameConstraints), id.Equal(oidSubjectAltName): // every form is compared or refused
			case id.Equal(oidCRLDistributionPoints): // names where to ask; the answers say what they are worth
			case id.Equal(oidQCStatements): // claims, which forbid nothing
			default:
				return &problem{Unsupported, fmt.Sprintf("%s has the critical extension %s, which is not supported", holder(path, i), id)}
			}
		}
	}
	return nil
}

// checkLeaf refuses mailboxes with control characters. A reader that stops at NUL sees another mailbox in them.
func checkLeaf(leaf *x509.Certificate) *problem {
	names := subjectNames(leaf)
	if names.malformed {
		return &problem{Constrained, "the subjectAltName of the certificate is malformed or too long"}
	}
	if slices.ContainsFunc(names.mail, mailName.hasControl) || slices.ContainsFunc(subjectMail(leaf), mailName.hasControl) {
		return &problem{Constrained, "the certificate names a mailbox with a control character"}
	}
	return nil
}

// checkUsage asks whether the key may sign mail (RFC 8550 Sections 4.4.2 and 4.4.4).
func (v *Validator) checkUsage(leaf *x509.Certificate, a *Anchor) *problem {
	hasUsage := slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidKeyUsage) })
	if hasUsage && leaf.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return &problem{NotForMail, "the certificate is not for signatures"}
	}
	named := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageEmailProtection)
	none := len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0
	anyUsage := none || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	strict := v.o.RequireEKU == EKUAlways || v.o.RequireEKU == EKUPublic && a.Public
	switch {
	case named:
		return nil
	case !anyUsage:
		return &problem{NotForMail, "the certificate is not for e-mail"}
	case strict:
		return &problem{NotForMail, "the certificate does not say that it is for e-mail"}
	}
	return nil
}

// checkRules enforces what crypto/x509 does not know of: all name constraints, and the date of distrust.
func checkRules(path []*x509.Certificate, a *Anchor) *problem {
	if !a.DistrustAfter.IsZero() && path[0].NotBefore.After(a.DistrustAfter) {
		return &problem{Constrained, fmt.Sprintf("the root %s is not trusted for certificates issued after %s",
			DN(a.Certificate.RawSubject), date(a.DistrustAfter))}
	}
	if err := checkConstraints(path); err != nil {
		return &problem{Constrained, err.Error()}
	}
	return nil
}

// checkTime returns the first certificate, from the leaf on, that is not valid at an instant.
func checkTime(path []*x509.Certificate, at time.Time) *problem {
	for i, c := range path {
		switch {
		case at.After(c.NotAfter):
			return &problem{Expired, fmt.Sprintf("%s expired on %s", holder(path, i), date(c.NotAfter))}
		case at.Before(c.NotBefore):
			return &problem{NotYetValid, fmt.Sprintf("%s is not valid before %s", holder(path, i), date(c.NotBefore))}
		}
	}
	return nil
}

// checkStrength names short keys below the root and SHA-1.
func (v *Validator) checkStrength(path []*x509.Certificate, worst edge) *problem {
	least := v.o.MinRSABits
	if least == 0 {
		least = defaultRSABits
	}
	for i, c := range path[:max(1, len(path)-1)] {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < least {
			return &problem{Weak, fmt.Sprintf("%s has an RSA key of %d bits", holder(path, i), key.N.BitLen())}
		}
	}
	if worst != signedWeak {
		return nil
	}
	for i, c := range path[:len(path)-1] {
		if c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1 {
			return &problem{Weak, holder(path, i) + " is signed with SHA-1"}
		}
	}
	return &problem{Weak, "a certificate of the path is signed with SHA-1"}
}

// verify has crypto/x509 validate exactly this path: signatures, basic constraints, path length, policies, extended key
// usages and name constraints. It sees copies that are changed where it knows less than this package: critical extensions
// that were checked here, issuer names that match in another spelling (RFC 5280 Section 7.1), and, if the time was found
// to be wrong already, the time.
func verify(path []*x509.Certificate, at time.Time, anyTime bool) *problem {
	copies := make([]*x509.Certificate, len(path))
	for i, c := range path {
		dup := *c
		dup.UnhandledCriticalExtensions = nil
		if i+1 < len(path) {
			dup.RawIssuer = path[i+1].RawSubject
		}
		if anyTime {
			dup.NotBefore, dup.NotAfter = at, at
		}
		copies[i] = &dup
	}
	o := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	last := len(copies) - 1
	o.Roots.AddCert(copies[last])
	for _, c := range copies[min(1, last):last] {
		o.Intermediates.AddCert(c)
	}
	if _, err := copies[0].Verify(o); err != nil {
		return explain(err)
	}
	return nil
}

// explain says what crypto/x509 found in words.
func explain(err error) *problem {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) {
		return &problem{Constrained, "an authority of the path must not issue certificates"}
	}
	switch invalid.Reason {
	case x509.IncompatibleUsage:
		return &problem{NotForMail, "an authority of the path is not for e-mail"}
	case x509.TooManyIntermediates:
		return &problem{Constrained, "the path is longer than an authority on it allows"}
	case x509.NotAuthorizedToSign:
		return &problem{Constrained, "a certificate on the path is not one of an authority"}
	case x509.CANotAuthorizedForThisName:
		return &problem{Constrained, "a name is not permitted by the name constraints"}
	case x509.NoValidChains:
		return &problem{Constrained, "the certificate policies of the path do not allow it"}
	}
	return &problem{Constrained, "the path is not valid"}
}

// date formats a day for people.
func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
