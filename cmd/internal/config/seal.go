package config

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"assay/verify/arc"
	"assay/verify/dns"
)

// Seal configures sealing (RFC 8617 Section 5.1). It is off when it is empty.
type Seal struct {
	Domain   string
	Selector string
	KeyFile  string
	Headers  []string
}

// sealRows are the keys about sealing.
func sealRows() []*key {
	at := func(c *Config) *Seal { return &c.Verify.ARC.Seal }
	return []*key{
		newSection("verify.arc.seal", "Sealing (RFC 8617 Section 5.1): an ARC set on top of every message that was checked and is "+
			"delivered, for hosts that it is forwarded to. Off unless domain, selector and key_file are set. ARC is being made "+
			"historic: seal where a receiver asks for it. What cannot be sealed is delivered without, and its log line says why."),
		newKey("verify.arc.seal.domain", optional(domain()), "", func(c *Config) *string { return &at(c).Domain },
			"Domain of the seal (d=). Empty switches sealing off."),
		newKey("verify.arc.seal.selector", optional(selector()), "", func(c *Config) *string { return &at(c).Selector },
			"Selector of the key (s=): the public key is published at SELECTOR._domainkey.DOMAIN, as for DKIM."),
		newKey("verify.arc.seal.key_file", optional(directory()), "", func(c *Config) *string { return &at(c).KeyFile },
			"Private key in PEM (PKCS #1 or PKCS #8), read at start and on reload: RSA of 2048 to 4096 bits, or Ed25519, which "+
				"few other verifiers of ARC know. Assay must be able to read it, and everybody must not."),
		newKey("verify.arc.seal.headers", list[string]{signedField()}, nil, func(c *Config) *[]string { return &at(c).Headers },
			"Names of the header fields that a seal protects from changes; From must be among them. Empty takes From, To, "+
				"Subject and others that a reader is shown, and DKIM-Signature."),
	}
}

// optional lets a value be empty.
func optional(s scalar[string]) scalar[string] {
	parse := s.parse
	s.described = described("string")
	s.parse = func(text string) (string, error) {
		if text == "" {
			return "", nil
		}
		return parse(text)
	}
	return s
}

// selector reads the selector of a DKIM key: labels of a domain name (RFC 6376 Section 3.1).
func selector() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		name, err := dns.Canonical(text)
		if err != nil || name == "" {
			return "", errors.New("is not a selector such as arc2026")
		}
		return name, nil
	}}
}

// signedField reads the name of a field that may be signed.
func signedField() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		if reason := arc.Unsignable(text); reason != "" {
			return "", errors.New(reason)
		}
		return text, nil
	}}
}

// checkSeal reports what is missing or contradicts the rest of the configuration.
func (r *reader) checkSeal() {
	s := r.config.Verify.ARC.Seal
	if s.Domain == "" && s.Selector == "" && s.KeyFile == "" && len(s.Headers) == 0 {
		return
	}
	for _, k := range []struct{ name, value string }{{"domain", s.Domain}, {"selector", s.Selector}, {"key_file", s.KeyFile}} {
		if k.value == "" {
			r.at("verify.arc.seal."+k.name, "is missing: sealing needs domain, selector and key_file")
		}
	}
	if s.Domain != "" && !strings.Contains(s.Domain, ".") {
		r.at("verify.arc.seal.domain", "must be a domain with a dot, such as example.com")
	}
	from := len(s.Headers) == 0
	for _, h := range s.Headers {
		from = from || strings.EqualFold(h, "From")
		if strings.HasPrefix(strings.ToLower(h), strings.ToLower(r.config.Headers.Prefix)+"-") {
			r.at("verify.arc.seal.headers", "%s is a field of ours, which the next host may remove", h)
		}
	}
	if !from {
		r.at("verify.arc.seal.headers", "From is missing")
	}
}

// warnSeal reports what is wrong with the key on this system.
func (r *reader) warnSeal() {
	if _, err := r.config.Verify.ARC.Seal.Sealer(); err != nil {
		r.at("verify.arc.seal.key_file", "%v", err)
	}
}

// Sealer reads the key and returns the sealer, nil if sealing is off.
func (s Seal) Sealer() (*arc.Sealer, error) {
	if s.Domain == "" {
		return nil, nil
	}
	key, err := readKey(s.KeyFile)
	if err != nil {
		return nil, err
	}
	opt := arc.SealerOptions{Domain: s.Domain, Selector: s.Selector, Key: key}
	if len(s.Headers) > 0 {
		opt.Headers = s.Headers
	}
	return arc.NewSealer(opt)
}

// readKey reads a private key. A file that everybody may read or write is an error: whoever has the key can seal in our
// name.
func readKey(path string) (crypto.Signer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("%s is open to everybody (mode %04o): chmod 0600 or 0640", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// parseKey returns the first private key in PEM text. Errors never show a part of it.
func parseKey(text []byte) (crypto.Signer, error) {
	other := ""
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var parsed any
		var err error
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("the private key is encrypted, and nobody can be asked for the password")
		case block.Type == "RSA PRIVATE KEY":
			parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case block.Type == "PRIVATE KEY":
			parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			other = cmp.Or(other, fmt.Sprintf(", but a %.40q", block.Type))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the private key is damaged: %w", err)
		}
		if key, ok := parsed.(crypto.Signer); ok {
			return key, nil
		}
		return nil, fmt.Errorf("%T is neither an RSA nor an Ed25519 key", parsed)
	}
	return nil, fmt.Errorf("there is no private key in PEM (RSA PRIVATE KEY or PRIVATE KEY)%s", other)
}
