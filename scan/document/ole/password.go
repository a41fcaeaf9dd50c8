package ole

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"

	"assay/scan"
	"assay/scan/container"
)

// defaultPassword is what Office tries by itself before it asks.
const defaultPassword = "VelvetSweatshop"

// Errors that tell why a document was not opened.
var (
	errPassword = errors.New("no candidate is the password")
	errTooSlow  = errors.New("deriving a key takes too long")
)

// maxSpins bounds how often one key is hashed. Office takes 100,000 times; [MS-OFFCRYPTO] 2.3.4.10 allows ten million, which
// take seconds, and the sender chooses.
const maxSpins = 1_000_000

// spinsPerFile bounds the hashing for all candidates together.
const spinsPerFile = 3_000_000

// A key is what opens one encrypted document.
type key interface {
	// try derives the key from a password and reports whether it is the right one. The error ends the search.
	try(password string) (bool, error)
}

// unlock tries the password of Office, an empty one and the candidates, and tells by a trait which was it.
func unlock(f *container.File, k key) (scan.Trait, error) {
	candidates := append([]string{defaultPassword, ""}, f.Passwords...)
	for i, password := range candidates {
		if !f.Budget.Guess() {
			break
		}
		ok, err := k.try(password)
		switch {
		case err != nil:
			return "", err
		case ok && i == 0:
			return scan.OpenedDefault, nil
		case ok && password == "":
			return scan.OpenedEmpty, nil
		case ok:
			return scan.OpenedPassword, nil
		}
	}
	return "", errPassword
}

// A spinner hashes again and again, within limits.
type spinner struct {
	budget *container.Budget
	spent  int
}

// spin reports whether a key may be hashed that often once more.
func (s *spinner) spin(times int) error {
	if times > maxSpins || s.spent+times > spinsPerFile {
		return errTooSlow
	}
	s.spent += times
	return nil
}

// utf16le encodes a password ([MS-OFFCRYPTO]: UTF-16 without a zero at the end, in little-endian order).
func utf16le(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// le32 is a number in the order of this format.
func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
