// Package envelope opens encrypted CMS objects with private keys of recipients. It takes only what package cms has normalised
// and parsed, uses only standard cryptography, and never says why an object did not open with a key: the answer, and about
// the time that it takes, is the same whether the key, the padding or the content is wrong. Whoever sends mail to be opened
// must not learn anything from what happens to it.
//
// It opens EnvelopedData (RFC 5652 Section 6) with AES-CBC and 3DES-CBC, and AuthEnvelopedData (RFC 5083) with AES-GCM (RFC
// 5084). The key of the content comes by RSA PKCS #1 v1.5 (RFC 3370 Section 4.2.1, with the countermeasure of RFC 3218), by
// RSAES-OAEP (RFC 3560), or by ephemeral-static ECDH over the NIST curves (RFC 5753) and X25519 (RFC 8418) with AES key wrap
// (RFC 3394). RC2 and DES are no encryption any more and are refused by name, as are passwords and keys that were agreed
// upon before.
//
// Whether an opened content may be believed is for others to say: CBC protects nothing from being changed.
package envelope

import (
	"crypto/ecdh"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"

	"assay/verify/smime/cms"
)

// The causes for which an object does not open. Every error of Open wraps exactly one of them.
var (
	// ErrNoKey: it is for none of the keys.
	ErrNoKey = errors.New("envelope: encrypted for other recipients")
	// ErrUnsupported: an algorithm or a form that is not opened here, which the error names.
	ErrUnsupported = errors.New("envelope: not supported")
	// ErrSyntax: it is not well-formed. What the keys say about it was not asked.
	ErrSyntax = errors.New("envelope: not well-formed")
	// ErrClosed: one of the keys fits, and still it cannot be opened. There is no further reason.
	ErrClosed = errors.New("envelope: cannot be opened")
)

// Keys are private keys with the certificates that senders encrypt for. They never change and are safe for concurrent use.
// The zero value, and nil, holds none.
type Keys struct {
	recipients []*recipient
	byID       map[string][]*recipient // by both of the identifiers that senders use
}

// Len returns how many certificates there are keys for.
func (k *Keys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.recipients)
}

// add adds a recipient, unless the certificate is known.
func (k *Keys) add(r *recipient) {
	if slices.ContainsFunc(k.recipients, func(other *recipient) bool { return other.certificate.Equal(r.certificate) }) {
		return
	}
	if k.byID == nil {
		k.byID = map[string][]*recipient{}
	}
	k.recipients = append(k.recipients, r)
	ids := []cms.SignerID{{Issuer: r.certificate.RawIssuer, Serial: r.certificate.SerialNumber}}
	if len(r.certificate.SubjectKeyId) > 0 {
		ids = append(ids, cms.SignerID{SubjectKeyID: r.certificate.SubjectKeyId})
	}
	for _, id := range ids {
		k.byID[identifier(id)] = append(k.byID[identifier(id)], r)
	}
}

// A recipient is a certificate and its private key, of which one is not nil.
type recipient struct {
	certificate *x509.Certificate
	rsa         *rsa.PrivateKey
	ecdh        *ecdh.PrivateKey
}

// An Opened is what was inside of an encrypted object.
type Opened struct {
	// Content is what was encrypted, in memory of its own. It is confidential: it belongs into no log.
	Content []byte
	// Algorithm is that of the content, KeyAlgorithm that of the key: "aes-256-gcm", "rsa-oaep".
	Algorithm    string
	KeyAlgorithm string
	// Authenticated says that nobody has changed the content who does not know its key. It does not say who that is.
	Authenticated bool
	// Legacy says that the content is encrypted in a way that is only read and must not be written any more: 3DES.
	Legacy bool

	holders []holder
	key     []byte // of the content
}

// A holder is a recipient that there is a key for, and what is known about whether it opens the content.
type holder struct {
	candidate
	asked, opens bool
}
