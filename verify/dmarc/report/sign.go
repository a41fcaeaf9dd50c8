package report

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-msgauth/dkim"

	"assay/verify/dns"
)

// The sizes of RSA keys that sign. RFC 8301 Section 3.2: signers should use at least 2048 bits. What is larger than 4096
// some verifiers do not take.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// SignOptions say who signs.
type SignOptions struct {
	Domain   string        // d=
	Selector string        // s=
	Signer   crypto.Signer // RSA of 2048 to 4096 bits, or Ed25519
}

// signed are the fields that a signature covers. Each is named once more than the message has it, so that no other can be
// added (RFC 6376 Section 8.15): those that are there twice, those that are not once.
func signed() []string {
	present := []string{"From", "To", "Date", "Subject", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted"}
	absent := []string{"Sender", "Reply-To", "Cc", "In-Reply-To", "References", "Content-Transfer-Encoding"}
	return append(append(append([]string(nil), present...), present...), absent...)
}

// Sign returns a message that Compose has made with a DKIM signature in front (RFC 6376, relaxed/relaxed). RFC 9990 Section
// 2.5.2: the mail itself has to pass DMARC, so it is an error if the signing domain cannot be aligned with that of From.
func Sign(message []byte, opt SignOptions) ([]byte, error) {
	domain, err := dns.Canonical(opt.Domain)
	if err != nil || !strings.Contains(domain, ".") {
		return nil, fmt.Errorf("report: %q is not the domain of a signer", opt.Domain)
	}
	selector, err := dns.Canonical(opt.Selector)
	if err != nil {
		return nil, fmt.Errorf("report: %q is not a selector", opt.Selector)
	}
	if err := checkKey(opt.Signer); err != nil {
		return nil, err
	}
	if from := fromDomain(message); !within(from, domain) && !within(domain, from) {
		return nil, fmt.Errorf("report: a signature of %s cannot be aligned with %q in From", domain, from)
	}
	var out bytes.Buffer
	err = dkim.Sign(&out, bytes.NewReader(message), &dkim.SignOptions{
		Domain: domain, Selector: selector, Signer: opt.Signer, HeaderKeys: signed(),
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return out.Bytes(), nil
}

// checkKey says what is wrong with a key.
func checkKey(key crypto.Signer) error {
	if key == nil {
		return errors.New("report: there is no key")
	}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < minRSABits || n > maxRSABits {
			return fmt.Errorf("report: RSA key of %d bits, not %d to %d", n, minRSABits, maxRSABits)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("report: %T is neither an RSA nor an Ed25519 key", public)
	}
	return nil
}

// fromDomain returns the domain in the From field as Compose writes it, which is the first one; "" if it is not there.
func fromDomain(message []byte) string {
	line, _, _ := bytes.Cut(message, []byte("\r\n"))
	address, found := strings.CutPrefix(string(line), "From: <")
	if !found {
		return ""
	}
	return mailDomain(strings.TrimSuffix(address, ">"))
}
