package rar

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // the format demands it
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"unicode/utf16"

	"assay/scan/container"
)

// A refusal says why something is not read at all.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// Costs of key derivation, in rounds of RAR 5: those of one archive take about half a second. RAR writes 2^15 rounds and one salt
// for a whole archive; the number in the file is the writer's choice.
const (
	maxCost  = 1 << 21
	cost4    = 1 << 16
	maxPower = 20
)

// A keyring derives keys and remembers them.
type keyring struct {
	budget *container.Budget
	keys   map[string][]byte // by password and salt
	cost   int
}

// pay reports whether a key may be derived.
func (k *keyring) pay(cost int) error {
	if err := k.budget.Check(); err != nil {
		return err
	}
	if k.cost += cost; k.cost > maxCost {
		return refusal("too many rounds of key derivation")
	}
	return nil
}

// rounds5 pays for the rounds of RAR 5 and returns how many there are.
func (k *keyring) rounds5(power uint) (int, error) {
	if power > maxPower {
		return 0, refusal(fmt.Sprintf("key derivation of 2^%d rounds", power))
	}
	return 1 << power, k.pay(1<<power + 64)
}

// derive5 derives a key of RAR 5 ("Encryption": PBKDF2 with HMAC-SHA-256). The value to check a password has 32 rounds more.
func (k *keyring) derive5(password string, p password5, more int) ([]byte, error) {
	id := fmt.Sprintf("%d %x %s", int(p.power)<<8|more, p.salt, password)
	if key := k.keys[id]; key != nil {
		return key, nil
	}
	rounds, err := k.rounds5(p.power)
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(sha256.New, password, p.salt, rounds+more, 32)
	k.remember(id, key)
	return key, err
}

// remember keeps a key.
func (k *keyring) remember(id string, key []byte) {
	if k.keys == nil {
		k.keys = make(map[string][]byte)
	}
	k.keys[id] = key
}

// right5 reports whether a password is right.
func (k *keyring) right5(password string, p password5) (bool, error) {
	key, err := k.derive5(password, p, 32)
	if err != nil {
		return false, err
	}
	var check [8]byte
	for i, c := range key {
		check[i%8] ^= c
	}
	return bytes.Equal(check[:], p.check[:8]), nil
}

// derive4 derives the key and initialization vector of RAR 3 and 4: 2^18 rounds of SHA-1.
func (k *keyring) derive4(password string, salt []byte) (key, iv []byte, err error) {
	id := fmt.Sprintf("4 %x %s", salt, password)
	if both := k.keys[id]; both != nil {
		return both[:16], both[16:], nil
	}
	if err := k.pay(cost4); err != nil {
		return nil, nil, err
	}
	var seed []byte
	for _, u := range utf16.Encode([]rune(password)) {
		seed = binary.LittleEndian.AppendUint16(seed, u)
	}
	seed = append(seed, salt...)
	h := sha1.New()
	const rounds = 1 << 18
	for i := range rounds {
		_, _ = h.Write(seed)
		_, _ = h.Write([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		if i%(rounds/16) == 0 {
			iv = append(iv, h.Sum(nil)[19])
		}
	}
	sum := h.Sum(nil)
	for i := range 4 {
		key = binary.LittleEndian.AppendUint32(key, binary.BigEndian.Uint32(sum[4*i:]))
	}
	k.remember(id, append(bytes.Clone(key), iv...))
	return key, iv, nil
}
