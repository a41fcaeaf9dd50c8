package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Limits of RSA keys. RFC 8301 Section 3.2: verifiers must not accept less than 1024 bits and must accept 4096. The upper
// bounds keep a single signature from costing more than a few milliseconds.
const (
	minRSABits     = 1024
	maxRSABits     = 8192
	maxRSAExponent = 1<<31 - 1
)

// A Key is one key record (RFC 6376 Section 3.6.1). It is immutable.
type Key struct {
	Type    string // k=, lower case: "rsa" or "ed25519"
	Bits    int    // modulus bits of an RSA key, 256 for Ed25519
	Testing bool   // t=y: the domain is testing DKIM
	Strict  bool   // t=s: the domain of i= must be d= itself
	SHA256  bool   // h= allows SHA-256
	Email   bool   // s= allows email

	public crypto.PublicKey
}

// ParseKey parses a key record. Every error means that the record holds no key that can be used.
func ParseKey(record string) (*Key, error) {
	tags, err := ParseTags(record)
	if err != nil {
		return nil, err
	}
	// RFC 6376 Section 3.6.1: v= must be the first tag if present, and records with another version are discarded.
	if v, ok := tags.Get("v"); ok && (tags[0].Name != "v" || v != "DKIM1") {
		if v == "DKIM1" {
			return nil, errors.New("v= is not the first tag")
		}
		return nil, fmt.Errorf("version %q", brief(v))
	}
	k := &Key{Type: "rsa", SHA256: true, Email: true}
	if v, ok := tags.Get("k"); ok {
		k.Type = strings.ToLower(v)
	}
	if v, ok := tags.Get("h"); ok {
		k.SHA256 = has(v, "sha256")
	}
	if v, ok := tags.Get("s"); ok {
		k.Email = has(v, "email") || has(v, "*")
	}
	if v, ok := tags.Get("t"); ok {
		k.Testing, k.Strict = has(v, "y"), has(v, "s")
	}
	p, ok := tags.Get("p")
	if !ok {
		return nil, errors.New("no p=")
	}
	return k, k.parsePublic(p)
}

// parsePublic parses p=.
func (k *Key) parsePublic(p string) error {
	if p == "" {
		// RFC 6376 Section 3.6.1: an empty value means that the key has been revoked.
		return errors.New("the key has been revoked")
	}
	der, err := DecodeBase64(p)
	if err != nil {
		return errors.New("p= is not base64")
	}
	switch k.Type {
	case "rsa":
		return k.parseRSA(der)
	case "ed25519":
		// RFC 8463 Section 4.2: the 32 octets themselves, not a SubjectPublicKeyInfo.
		if len(der) != ed25519.PublicKeySize {
			return fmt.Errorf("Ed25519 key of %d octets instead of %d", len(der), ed25519.PublicKeySize)
		}
		k.public, k.Bits = ed25519.PublicKey(der), 8*len(der)
		return nil
	}
	return fmt.Errorf("unknown key type %q", brief(k.Type))
}

// parseRSA parses an RSA key: an RSAPublicKey (RFC 6376 Section 3.6.1), or the SubjectPublicKeyInfo around it that
// everybody publishes (erratum 3017).
func (k *Key) parseRSA(der []byte) error {
	var public *rsa.PublicKey
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		public, _ = key.(*rsa.PublicKey)
	} else {
		public, _ = x509.ParsePKCS1PublicKey(der)
	}
	if public == nil {
		return errors.New("p= is not an RSA key")
	}
	k.Bits = public.N.BitLen()
	switch {
	case k.Bits < minRSABits:
		return fmt.Errorf("RSA key of %d bits, less than %d (RFC 8301)", k.Bits, minRSABits)
	case k.Bits > maxRSABits:
		return fmt.Errorf("RSA key of %d bits, more than %d", k.Bits, maxRSABits)
	case public.E < 3 || public.E > maxRSAExponent || public.E&1 == 0 || public.N.Bit(0) == 0:
		return errors.New("RSA key with impossible numbers")
	}
	k.public = public
	return nil
}

// Verify reports whether signature is the key's signature of the SHA-256 digest by the algorithm, "rsa-sha256" or
// "ed25519-sha256" (RFC 8463 Section 3: the digest is what is signed).
func (k *Key) Verify(algorithm string, digest, signature []byte) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return algorithm == "rsa-sha256" && rsa.VerifyPKCS1v15(public, crypto.SHA256, digest, signature) == nil
	case ed25519.PublicKey:
		return algorithm == "ed25519-sha256" && ed25519.Verify(public, digest, signature)
	}
	return false
}

// A KeyCache remembers parsed key records by their text, so it never goes stale. It is bounded and safe for concurrent
// use.
type KeyCache struct {
	mu       sync.Mutex
	half     int
	new, old map[string]*Key
}

// NewKeyCache returns a cache of at most size keys; 0 means 1024.
func NewKeyCache(size int) *KeyCache {
	if size <= 0 {
		size = 1024
	}
	return &KeyCache{half: max(size/2, 1), new: make(map[string]*Key)}
}

// parse is ParseKey with a memory. A nil cache has none.
func (c *KeyCache) parse(record string) (*Key, error) {
	if c == nil {
		return ParseKey(record)
	}
	if k := c.get(record); k != nil {
		return k, nil
	}
	k, err := ParseKey(record)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(record, k)
	return k, nil
}

// get returns the key of a record, nil if it is not remembered.
func (c *KeyCache) get(record string) *Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.new[record]
	if k == nil {
		if k = c.old[record]; k != nil {
			c.put(record, k) // in use, so it survives the next turn
		}
	}
	return k
}

// put remembers a key. When the new half is full, it becomes the old one, which is forgotten.
func (c *KeyCache) put(record string, k *Key) {
	if len(c.new) >= c.half {
		c.old, c.new = c.new, make(map[string]*Key)
	}
	c.new[record] = k
}
