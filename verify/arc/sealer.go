package arc

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"

	"assay/verify/dns"
)

// The algorithms of a seal (RFC 8617 Section 4.1.3, RFC 8463).
const (
	rsaAlgorithm     = "rsa-sha256"
	ed25519Algorithm = "ed25519-sha256"
)

// The sizes of RSA keys that seal. RFC 8301 Section 3.2: signers use at least 1024 bits and should use at least 2048.
// What is larger than 4096 bits some verifiers do not take.
const (
	minSealingBits = 2048
	maxSealingBits = 4096
)

// SealerOptions say who seals.
type SealerOptions struct {
	Domain   string        // d=
	Selector string        // s=
	Key      crypto.Signer // RSA of 2048 to 4096 bits, or Ed25519
	Rand     io.Reader     // handed to Key; may be nil for keys of the packages rsa and ed25519, which need none
	Headers  []string      // names of the fields to sign; nil means DefaultHeaders
}

// DefaultHeaders are the fields that a reader is shown or whose loss changes what a message means (RFC 6376 Section
// 5.4.1), and the signatures it came with (RFC 8617 Section 4.1.2).
func DefaultHeaders() []string {
	return []string{"From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-ID", "List-Post", "List-Unsubscribe",
		"List-Unsubscribe-Post", "DKIM-Signature"}
}

// A Sealer adds sets to the chains of messages. It is safe for concurrent use if its key is.
type Sealer struct {
	domain    string
	selector  string
	algorithm string
	key       crypto.Signer
	rand      io.Reader
	names     []string // lower case
}

// NewSealer returns a Sealer. The error says which of the options is wrong.
func NewSealer(opt SealerOptions) (*Sealer, error) {
	s := &Sealer{key: opt.Key, rand: opt.Rand}
	var err error
	if s.domain, err = dns.Canonical(opt.Domain); err != nil || !strings.Contains(s.domain, ".") {
		return nil, fmt.Errorf("arc: %q is not the domain of a sealer", opt.Domain)
	}
	if s.selector, err = dns.Canonical(opt.Selector); err != nil || s.selector == "" {
		return nil, fmt.Errorf("arc: %q is not a selector", opt.Selector)
	}
	if s.algorithm, err = algorithm(opt.Key); err != nil {
		return nil, err
	}
	names := opt.Headers
	if names == nil {
		names = DefaultHeaders()
	}
	seen := map[string]bool{}
	for _, name := range names {
		if reason := Unsignable(name); reason != "" {
			return nil, fmt.Errorf("arc: %q %s", name, reason)
		}
		if name = strings.ToLower(name); !seen[name] {
			seen[name] = true
			s.names = append(s.names, name)
		}
	}
	if !seen["from"] {
		return nil, errors.New("arc: From must be signed")
	}
	return s, nil
}

// algorithm returns a= for a key.
func algorithm(key crypto.Signer) (string, error) {
	if key == nil {
		return "", errors.New("arc: no key")
	}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < minSealingBits || n > maxSealingBits {
			return "", fmt.Errorf("arc: RSA key of %d bits, not %d to %d", n, minSealingBits, maxSealingBits)
		}
		return rsaAlgorithm, nil
	case ed25519.PublicKey:
		return ed25519Algorithm, nil
	default:
		return "", fmt.Errorf("arc: %T is neither an RSA nor an Ed25519 key", public)
	}
}

// maxName bounds the names in h=: with one of them a line is not longer than RFC 5322 Section 2.1.1 asks for.
const maxName = 72

// Unsignable says why an ARC-Message-Signature may not cover the fields with a name, "" if it may.
func Unsignable(name string) string {
	lower := strings.ToLower(name)
	switch {
	case lower == "" || len(lower) > maxName || strings.ContainsFunc(lower, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' || r == ';' }):
		return "is not the name of a header field"
	case strings.HasPrefix(lower, "arc-"):
		// RFC 8617 Section 4.1.2: seals must not be signed. The rest of a set is covered by its seal.
		return "must not be signed: seals cover it"
	case lower == "authentication-results", lower == "received-spf", strings.HasPrefix(lower, "x-assay-"):
		// RFC 8617 Section 4.1.2: such fields are removed on the way.
		return "must not be signed: the next host may remove it"
	case lower == "received", lower == "return-path":
		return "must not be signed: it is added or replaced on the way"
	}
	return ""
}
