// Package pseudonym gives persons names in the log that do not tell who they are. A pseudonym is a keyed hash of an address:
// lines about the same person can be brought together while the key lives, and nobody without the key can guess addresses
// until one fits, as anybody can with a plain hash. When the key is replaced the old one is destroyed, and what was logged
// under it is anonymous from then on.
//
// The key is in a file that one or several daemons of a host use. It is made when it is missing, and replaced when it is
// older than the period of rotation, whoever notices first. Nothing but the key is kept: there is no table of addresses.
package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync/atomic"
	"time"
)

// Digits is the length of a pseudonym: 48 bits, so that two of ten thousand correspondents share one with a probability of
// less than one in a million, and a line stays short.
const Digits = 12

// A Key turns addresses into pseudonyms. It is immutable.
type Key struct {
	secret  []byte
	created time.Time
}

// Of returns the pseudonym of an address: the first 48 bits of HMAC-SHA256 (RFC 2104), as 12 hexadecimal digits. Upper and
// lower case do not matter, since people write their addresses as they like and a person must not have two names. The empty
// address has the empty pseudonym.
func (k *Key) Of(address string) string {
	if address == "" {
		return ""
	}
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(strings.ToLower(address)))
	return hex.EncodeToString(mac.Sum(nil))[:Digits]
}

// Created is when the key was made.
func (k *Key) Created() time.Time { return k.created }

// A Namer gives pseudonyms under the key of the moment. It is safe for concurrent use.
type Namer struct {
	opt  Options
	key  atomic.Pointer[Key]
	seen atomic.Pointer[stamp] // of the file that the key is from; nil for a key in memory only
}

// Options say where the key is kept and for how long.
type Options struct {
	Path     string        // of the key file; "" keeps the key in memory, until the process ends
	Rotation time.Duration // age at which the key is replaced
	Now      func() time.Time
}

// Open returns a Namer with the key of the file, which is made or replaced if need be. When the file cannot be used the Namer
// has a key of its own in memory, so that the log is never without pseudonyms, and the error says why.
func Open(opt Options) (*Namer, error) {
	n := &Namer{opt: opt}
	_, err := n.Refresh()
	return n, err
}

// Of returns the pseudonym of an address under the key of the moment.
func (n *Namer) Of(address string) string { return n.key.Load().Of(address) }

// Created is when the key of the moment was made.
func (n *Namer) Created() time.Time { return n.key.Load().created }

// Kept reports whether the key is in the file, so that it outlives the process and is shared.
func (n *Namer) Kept() bool { return n.seen.Load() != nil }

// Refresh replaces the key when it is too old, and takes over the one that somebody else has put into the file. It is called
// every few seconds from one goroutine, and costs one look at the file's attributes as long as nothing has changed. It
// reports whether the key is another one than before. With an error the key in memory is used on, but not beyond its age.
func (n *Namer) Refresh() (changed bool, err error) {
	last := n.key.Load()
	if n.opt.Path == "" {
		if last != nil && !n.expired(last) {
			return false, nil
		}
		n.key.Store(newKey(n.opt.Now()))
		return last != nil, nil
	}
	if last != nil && !n.expired(last) && n.seen.Load() != nil && n.seen.Load().same(n.opt.Path) {
		return false, nil
	}
	key, seen, err := n.open()
	switch {
	case err == nil:
		n.key.Store(key)
		n.seen.Store(seen)
		return last != nil && !key.equal(last), nil
	case last == nil || n.expired(last):
		n.key.Store(newKey(n.opt.Now()))
		n.seen.Store(nil)
		return last != nil, err
	}
	return false, err
}

// expired reports whether a key has reached its age. One from the future was made under a wrong clock, and would live too
// long.
func (n *Namer) expired(k *Key) bool {
	age := n.opt.Now().Sub(k.created)
	return age >= n.opt.Rotation || age < -clockSkew
}

// clockSkew is how far in the future a key may have been made, by a host that shares the file or before the clock was set.
const clockSkew = time.Hour

// equal reports whether two keys give the same pseudonyms.
func (k *Key) equal(other *Key) bool { return hmac.Equal(k.secret, other.secret) }
