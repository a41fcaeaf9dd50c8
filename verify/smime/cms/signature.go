package cms

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
)

// Bounds of RSA keys. Go refuses keys below 1024 bits; verifying with one of 64 Kbit, of which anybody can put dozens into
// a mail, would take a second each. A long key with a large exponent, which nobody has, takes four times as long as with
// the usual one.
const (
	minRSABits    = 1024
	strongRSABits = 2048
	usualRSABits  = 4096
	maxRSABits    = 8192
	usualExponent = 65537
	maxExponent   = 1<<31 - 1
)

// A finding is the outcome of one step: an Integrity and why. The zero value means that the step was passed.
type finding struct {
	integrity Integrity
	reason    string
}

func (f finding) ok() bool { return f.integrity == "" || f.integrity == Intact }

func broken(reason string) finding { return finding{Broken, reason} }

func malformed(format string, args ...any) finding {
	return finding{Malformed, fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) finding {
	return finding{Unsupported, fmt.Sprintf(format, args...)}
}

var (
	intact       = finding{Intact, ""}
	badSignature = broken("the signature does not fit the certificate's key and what is said to be signed")
)

// signed is what a signature is about: octets, and their digest with the algorithm of the signer.
type signed struct {
	octets []byte
	digest []byte
}

// A verifier checks the signature of one signer with one certificate after the other.
type verifier struct {
	signer *Signer
	scheme scheme
	digest digest
}

// check verifies the signature with the key of c. The result is Intact, Broken, Unsupported or Malformed.
func (v verifier) check(c *x509.Certificate, what signed) finding {
	key, restricted := publicKey(c)
	switch k := key.(type) {
	case *rsa.PublicKey:
		if f := checkRSAKey(k); !f.ok() {
			return f
		}
		switch {
		case v.scheme.family == familyPSS:
			return v.checkPSS(k, restricted, what)
		case v.scheme.family == familyRSA && restricted != nil:
			return malformed("the certificate's key is for RSASSA-PSS only")
		case v.scheme.family == familyRSA:
			return rsaFinding(rsa.VerifyPKCS1v15(k, v.digest.hash, what.digest, v.signer.Signature))
		}
	case *ecdsa.PublicKey:
		if !curveSupported(k.Curve) {
			return unsupported("keys on the curve %s are not supported", k.Curve.Params().Name)
		}
		if v.scheme.family == familyECDSA {
			return verdict(ecdsa.VerifyASN1(k, what.digest, v.signer.Signature))
		}
	case ed25519.PublicKey:
		if v.scheme.family == familyEd25519 {
			// RFC 8419 Section 3.1: the octets themselves are signed, not their digest.
			return verdict(ed25519.Verify(k, what.octets, v.signer.Signature))
		}
	default:
		return unsupported("the kind of key in the certificate is not supported")
	}
	return malformed("the certificate's key is not one for the algorithm %s", v.signer.name(nil))
}

func verdict(ok bool) finding {
	if ok {
		return intact
	}
	return badSignature
}

// rsaFinding tells a wrong signature from a key that Go refuses.
func rsaFinding(err error) finding {
	switch {
	case err == nil:
		return intact
	case errors.Is(err, rsa.ErrVerification):
		return badSignature
	}
	return unsupported("the RSA key is not supported: %s", printable(err.Error()))
}

// checkRSAKey refuses keys that cost too much or are none.
func checkRSAKey(k *rsa.PublicKey) finding {
	switch bits := k.N.BitLen(); {
	case bits > maxRSABits:
		return unsupported("an RSA key of %d bits is not supported, %d are", bits, maxRSABits)
	case bits < minRSABits:
		return unsupported("an RSA key of %d bits is too short to prove anything", bits)
	case k.E > maxExponent || bits > usualRSABits && k.E > usualExponent:
		return unsupported("the public exponent of the RSA key is too large")
	case k.E < 3 || k.E&1 == 0 || k.N.Bit(0) == 0:
		return malformed("the RSA key of the certificate is none")
	}
	return finding{}
}

// checkPSS verifies RSASSA-PSS (RFC 4056). crypto/rsa knows one hash for everything and no empty salt.
func (v verifier) checkPSS(k *rsa.PublicKey, restricted *pssKey, what signed) finding {
	p := v.signer.PSS
	if p == nil {
		return malformed("the parameters of RSASSA-PSS are missing")
	}
	hash, known := findDigest(p.Hash)
	switch {
	case restricted != nil && !restricted.allows(p):
		return malformed("the certificate's key is not for these parameters of RSASSA-PSS")
	case p.Trailer != 1:
		return malformed("the trailer field of RSASSA-PSS is %d", p.Trailer)
	case !known:
		return unsupported("RSASSA-PSS with %s is not supported", nameOf(p.Hash))
	case hash.hash != v.digest.hash:
		return unsupported("RSASSA-PSS with another digest than the signer's is not supported")
	case !p.MaskGen.Equal(oidMGF1) || !p.MaskHash.Equal(p.Hash):
		return unsupported("RSASSA-PSS with another mask generation than MGF1 with its own digest is not supported")
	case p.SaltLength == 0:
		return unsupported("RSASSA-PSS without salt is not supported")
	case p.SaltLength > k.Size():
		return broken("the salt of RSASSA-PSS is longer than the key")
	}
	opts := &rsa.PSSOptions{SaltLength: p.SaltLength, Hash: hash.hash}
	return rsaFinding(rsa.VerifyPSS(k, hash.hash, what.digest, v.signer.Signature, opts))
}

// printable makes the text of a library fit for a reason: ASCII, one line, not long.
func printable(text string) string {
	const limit = 160
	out := make([]byte, 0, min(len(text), limit))
	for i := 0; i < len(text) && len(out) < limit; i++ {
		c := text[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}
