package envelope

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/subtle"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// agree derives the key of a content into key, which holds a random one and keeps it if that fails. The error is about
// algorithms only. It returns the name of the algorithm.
func agree(i *info, private *ecdh.PrivateKey, key []byte) (string, error) {
	a, err := findAgreement(i.algorithm.oid)
	if err != nil {
		return "", err
	}
	// RFC 5753 Section 7.1.5: the parameters are the algorithm that wraps.
	var wrap algorithm
	in := cryptobyte.String(i.algorithm.parameters)
	if !readAlgorithm(&in, &wrap) || !in.Empty() {
		return "", syntax("key wrap")
	}
	size, err := wrapSize(wrap.oid)
	if err != nil {
		return "", err
	}
	if i.origin.key == nil {
		return "", unsupported("a key agreement without a key of the sender in the message")
	}
	shared, err := secret(private, i.origin.key)
	if err != nil {
		return a.name, nil // no point of the curve, or of low order: as good as a wrong key
	}
	kek, err := a.derive(shared, sharedInfo(wrap.raw, i.ukm, size), size)
	if err != nil {
		return "", unsupported(a.name)
	}
	plain, good := unwrap(kek, i.key)
	keep(key, plain, good)
	return a.name, nil
}

// secret returns the shared secret of ECDH.
func secret(private *ecdh.PrivateKey, point []byte) ([]byte, error) {
	public, err := private.Curve().NewPublicKey(point)
	if err != nil {
		return nil, err
	}
	return private.ECDH(public)
}

// sharedInfo is ECC-CMS-SharedInfo (RFC 5753 Section 7.2). The algorithm is taken as it stands in the message: senders differ
// in whether the absent parameters of AES key wrap are NULL.
func sharedInfo(wrap, ukm []byte, size int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(wrap)
		if ukm != nil {
			b.AddASN1(context0Constructed, func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
		}
		b.AddASN1(context2Constructed, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(binary.BigEndian.AppendUint32(nil, uint32(8*size)))
		})
	})
	return b.BytesOrPanic() // nothing in it can fail
}

// derive makes a key of so many octets from a shared secret.
func (a agreement) derive(secret, info []byte, size int) ([]byte, error) {
	if a.kdf == kdfHKDF {
		return hkdf.Key(a.hash.New, secret, nil, string(info), size)
	}
	return x963(a.hash, secret, info, size), nil
}

// x963 is ANSI-X9.63-KDF (SEC 1 Section 3.6.1).
func x963(hash crypto.Hash, secret, info []byte, size int) []byte {
	var out []byte
	for counter := uint32(1); len(out) < size; counter++ {
		h := hash.New()
		h.Write(secret)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		h.Write(info)
		out = h.Sum(out)
	}
	return out[:size]
}

// maxWrapped is how many octets a wrapped key of a content may have: 32 and the check value.
const maxWrapped = 40

// unwrap undoes AES key wrap (RFC 3394 Section 2.2.2). good says that the check value is right.
func unwrap(kek, wrapped []byte) (plain []byte, good bool) {
	n := len(wrapped)/8 - 1
	if n < 2 || len(wrapped)%8 != 0 || len(wrapped) > maxWrapped {
		return nil, false
	}
	c, err := aes.NewCipher(kek)
	if err != nil {
		return nil, false
	}
	var b [16]byte
	check := binary.BigEndian.Uint64(wrapped)
	plain = append([]byte{}, wrapped[8:]...)
	for t := uint64(6 * n); t > 0; t-- {
		block := plain[8*((t-1)%uint64(n)):][:8]
		binary.BigEndian.PutUint64(b[:], check^t)
		copy(b[8:], block)
		c.Decrypt(b[:], b[:])
		check = binary.BigEndian.Uint64(b[:])
		copy(block, b[8:])
	}
	var initial [8]byte
	binary.BigEndian.PutUint64(initial[:], check)
	return plain, subtle.ConstantTimeCompare(initial[:], []byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}) == 1
}
