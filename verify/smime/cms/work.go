package cms

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"math/bits"
	"time"
)

// A Work is what the checks of signatures about one message may cost together. Anybody can put many signers and many
// certificates with the most expensive keys there are into a mail, and into many parts of it. It is not safe for
// concurrent use. The zero value allows as much as honest mails need several times.
type Work struct {
	spent        time.Duration
	certificates int // octets that were parsed; no more than Limits.CertificateOctets
}

// maxWork is about what seven checks with the slowest key, P-521, take: two signers with paths of such keys. What is
// intact is checked a second time by other implementations, which is not counted.
const maxWork = 24 * time.Millisecond

// Allow says whether one more signature may be checked with the key, and counts it. It is true while not all is spent.
func (w *Work) Allow(key any) bool {
	if w.spent >= maxWork {
		return false
	}
	w.spent += workOf(key)
	return true
}

// workOf is about how long one check takes; slower machines take twice as long.
func workOf(key any) time.Duration {
	const usual = 100 * time.Microsecond
	switch k := key.(type) {
	case *rsa.PublicKey:
		// The time grows with the square of the modulus, and with the bits of the exponent: squarings, and products for ones.
		size, exponent := k.N.BitLen()/64, uint(max(k.E, 0))
		steps := bits.Len(exponent) + bits.OnesCount(exponent)
		return usual + time.Duration(size*size*steps)*5*time.Nanosecond
	case *ecdsa.PublicKey:
		switch size := k.Curve.Params().BitSize; {
		case size > 384:
			return 3500 * time.Microsecond
		case size > 256:
			return 1000 * time.Microsecond
		}
	}
	return usual
}
