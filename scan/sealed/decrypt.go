package sealed

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
)

// tagOctets are the octets of an authentication tag (RFC 9580 Section 9.6).
const tagOctets = 16

// guess tries the passwords of the file on an encrypted packet. ok is false if none of them opens it.
func (r *pgpRun) guess(keys *sessionKeys, p packet) (inside []byte, ok bool) {
	for _, password := range r.f.Passwords {
		for i := range keys.skesk {
			s := &keys.skesk[i]
			c, known := findCipher(s.cipher)
			if !known || c.block == nil {
				continue
			}
			cost, possible := s.s2k.cost(password, c.key)
			if !possible || r.hashed+cost > maxHashed {
				continue
			}
			if !r.f.Budget.Guess() {
				return nil, false
			}
			r.hashed += cost
			session, ok := s.session(s.s2k.key(password, c.key), c)
			if !ok {
				continue
			}
			if inside, ok := r.decrypt(session, p); ok {
				return inside, true
			}
		}
	}
	return nil, false
}

// A sessionKey opens an encrypted packet.
type sessionKey struct {
	cipher pgpCipher
	key    []byte
}

// session decrypts the session key. Without authentication, a wrong password is likely to be noticed here, but not sure.
func (s *skesk) session(key []byte, c pgpCipher) (sessionKey, bool) {
	if s.version == 4 && len(s.esk) == 0 {
		return sessionKey{c, key}, true
	}
	if s.version != 4 {
		plain, ok := s.sessionAEAD(key, c)
		return sessionKey{c, plain}, ok
	}
	block, err := c.block(key)
	if err != nil {
		return sessionKey{}, false
	}
	plain := decryptCFB(block, make([]byte, block.BlockSize()), s.esk)
	inner, ok := findCipher(plain[0])
	if !ok || inner.block == nil || len(plain) != 1+inner.key {
		return sessionKey{}, false
	}
	return sessionKey{inner, plain[1:]}, true
}

// sessionAEAD decrypts the session key of versions 5 and 6.
func (s *skesk) sessionAEAD(key []byte, c pgpCipher) ([]byte, bool) {
	info := []byte{0xc0 | tagSKESK, s.version, s.cipher, s.aead}
	if s.version == 6 {
		var err error
		if key, err = hkdf.Key(sha256.New, key, nil, string(info), c.key); err != nil {
			return nil, false
		}
	}
	mode := newAEAD(s.aead, c, key)
	if mode == nil {
		return nil, false
	}
	plain, err := mode.Open(nil, s.iv, s.esk, info)
	return plain, err == nil
}

// decrypt opens an encrypted packet; ok is false if the key is not the right one or the packet is damaged.
func (r *pgpRun) decrypt(k sessionKey, p packet) ([]byte, bool) {
	if r.over(r.f.Budget.Check()) || len(p.body) < 3 {
		return nil, false
	}
	var out []byte
	ok := false
	switch {
	case p.tag == tagSEIPD && p.body[0] == 1:
		out, ok = k.openMDC(p.body[1:])
	case p.tag == tagSEIPD && p.body[0] == 2:
		out, ok = k.openSEIPD2(p.body)
	case p.tag == tagAEAD && p.body[0] == 1:
		out, ok = k.openOCB(p.body)
	case p.tag == tagSED:
		out, ok = k.openSED(p.body)
	}
	if ok && r.over(r.f.Budget.Spend(int64(len(out)))) {
		return nil, false
	}
	return out, ok
}

// decryptCFB decrypts in CFB mode (RFC 9580 Section 12.9 without its resynchronization).
func decryptCFB(block cipher.Block, iv, data []byte) []byte {
	size := block.BlockSize()
	out := make([]byte, len(data))
	pad := make([]byte, size)
	for at := 0; at < len(data); at += size {
		block.Encrypt(pad, iv)
		end := min(at+size, len(data))
		for i := at; i < end; i++ {
			out[i] = data[i] ^ pad[i-at]
		}
		iv = data[at:end]
	}
	return out
}

// quick reports whether the octets in front of the plain text repeat as they do for the right key. One wrong key in
// 65,536 passes.
func quick(block cipher.Block, data []byte) bool {
	size := block.BlockSize()
	if len(data) < size+2 {
		return false
	}
	head := decryptCFB(block, make([]byte, size), data[:size+2])
	return bytes.Equal(head[size-2:size], head[size:])
}

// openMDC opens version 1 of a packet with protection of integrity (RFC 9580 Section 5.13.1).
func (k sessionKey) openMDC(data []byte) ([]byte, bool) {
	block, err := k.cipher.block(k.key)
	if err != nil || !quick(block, data) {
		return nil, false
	}
	size := block.BlockSize()
	plain := decryptCFB(block, make([]byte, size), data)
	end := len(plain) - 2 - sha1.Size
	if end < size+2 || plain[end] != 0xc0|tagMDC || plain[end+1] != sha1.Size {
		return nil, false
	}
	sum := sha1.Sum(plain[:end+2])
	return plain[size+2 : end], bytes.Equal(sum[:], plain[end+2:])
}

// openSED opens a packet without protection of integrity (RFC 9580 Section 5.7), which is resynchronized behind the octets
// that repeat. That it begins as a message does has to be enough.
func (k sessionKey) openSED(data []byte) ([]byte, bool) {
	block, err := k.cipher.block(k.key)
	if err != nil || !quick(block, data) {
		return nil, false
	}
	size := block.BlockSize()
	plain := decryptCFB(block, data[2:size+2], data[size+2:])
	return plain, isOpenPGP(plain)
}

// openSEIPD2 opens version 2 of a packet with protection of integrity (RFC 9580 Section 5.13.2).
func (k sessionKey) openSEIPD2(b []byte) ([]byte, bool) {
	const header, salt = 4, 32
	if len(b) < header+salt || b[3] > 16 {
		return nil, false
	}
	c, ok := findCipher(b[1])
	size := nonceSize(b[2])
	if !ok || c.block == nil || size == 0 || len(k.key) != c.key {
		return nil, false
	}
	info := append([]byte{0xc0 | tagSEIPD}, b[:header]...)
	derived, err := hkdf.Key(sha256.New, k.key, b[header:header+salt], string(info), c.key+size-8)
	if err != nil {
		return nil, false
	}
	mode := newAEAD(b[2], c, derived[:c.key])
	nonce := make([]byte, size)
	copy(nonce, derived[c.key:])
	chunks := aeadChunks{mode: mode, size: 1 << (b[3] + 6), info: info, nonce: func(i uint64) []byte {
		binary.BigEndian.PutUint64(nonce[size-8:], i)
		return nonce
	}}
	return chunks.open(b[header+salt:])
}

// openOCB opens the packet that LibrePGP has for authenticated encryption (LibrePGP Section 5.16).
func (k sessionKey) openOCB(b []byte) ([]byte, bool) {
	if len(b) < 4 || b[3] > 16 {
		return nil, false
	}
	c, ok := findCipher(b[1])
	size := nonceSize(b[2])
	if !ok || c.block == nil || size == 0 || len(k.key) != c.key || len(b) < 4+size {
		return nil, false
	}
	iv := b[4 : 4+size]
	nonce := make([]byte, size)
	chunks := aeadChunks{mode: newAEAD(b[2], c, k.key), size: 1 << (b[3] + 6), counted: true, nonce: func(i uint64) []byte {
		copy(nonce, iv)
		binary.BigEndian.PutUint64(nonce[size-8:], binary.BigEndian.Uint64(iv[size-8:])^i)
		return nonce
	}}
	chunks.info = append([]byte{0xc0 | tagAEAD}, b[:4]...)
	return chunks.open(b[4+size:])
}

// aeadChunks are the chunks of a packet that is encrypted with authentication.
type aeadChunks struct {
	mode    cipher.AEAD
	size    int
	info    []byte // that is authenticated with each
	counted bool   // the number of the chunk is authenticated as well
	nonce   func(i uint64) []byte
}

// open decrypts all chunks and checks that none is missing.
func (a *aeadChunks) open(data []byte) ([]byte, bool) {
	if a.mode == nil || len(data) < tagOctets {
		return nil, false
	}
	final := data[len(data)-tagOctets:]
	data = data[:len(data)-tagOctets]
	out := make([]byte, 0, len(data))
	i := uint64(0)
	for ; len(data) > 0; i++ {
		n := min(len(data), a.size+tagOctets)
		var err error
		if out, err = a.mode.Open(out, a.nonce(i), data[:n], a.associated(i)); err != nil {
			return nil, false
		}
		data = data[n:]
	}
	last := binary.BigEndian.AppendUint64(a.associated(i), uint64(len(out)))
	_, err := a.mode.Open(nil, a.nonce(i), final, last)
	return out, err == nil
}

func (a *aeadChunks) associated(i uint64) []byte {
	info := append([]byte(nil), a.info...)
	if a.counted {
		info = binary.BigEndian.AppendUint64(info, i)
	}
	return info
}

// nonceSize returns the octets of a nonce (RFC 9580 Section 9.6), 0 for a mode that is not carried out here.
func nonceSize(aead byte) int {
	switch aead {
	case 2:
		return ocbNonce
	case 3:
		return 12
	}
	return 0
}

// newAEAD returns a mode of authenticated encryption, nil if it is not carried out here: they need blocks of 16 octets.
func newAEAD(id byte, c pgpCipher, key []byte) cipher.AEAD {
	block, err := c.block(key)
	if err != nil || block.BlockSize() != 16 {
		return nil
	}
	switch id {
	case 2:
		return newOCB(block)
	case 3:
		if mode, err := cipher.NewGCM(block); err == nil {
			return mode
		}
	}
	return nil
}
