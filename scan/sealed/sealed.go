// Package sealed reads what is encrypted and is neither an archive nor an office document: OpenPGP messages, CMS objects,
// key stores, password stores, files of encryption programs, HTML pages that decrypt themselves. It says how a file is
// encrypted, and yields what can be read without a key or with one of the candidate passwords: signed and compressed
// contents, and the plain text of OpenPGP messages under a password.
//
// It has no keys, verifies no signature, and never says that something is clean because it could not be read.
//
// RFC 9580 and RFC 4880 (OpenPGP), RFC 5652, RFC 5083 and RFC 3274 (CMS), RFC 7292 (PKCS #12), RFC 7468 (PEM),
// age-encryption.org/v1.
package sealed

import (
	"strings"
	"unicode/utf8"

	"assay/scan"
	"assay/scan/container"
)

// All of them are Readers.
var (
	_ container.Reader = OpenPGP{}
	_ container.Reader = CMS{}
	_ container.Reader = PKCS12{}
	_ container.Reader = Other{}
	_ container.Reader = HTML{}
	_ container.Reader = Entropy{}
)

// OpenPGP reads OpenPGP packets, in binary and in ASCII armor, also armor inside of a text.
type OpenPGP struct{}

// CMS reads the objects of S/MIME: in DER and BER, as PEM and as bare base64.
type CMS struct{}

// PKCS12 reads stores of keys and certificates (.p12, .pfx).
type PKCS12 struct{}

// Other reads the formats of encryption programs: age, openssl enc, KeePass, AES Crypt, AxCrypt, Ansible Vault, private
// keys under a password, protected mail of Microsoft, and more.
type Other struct{}

// HTML reads pages that decrypt themselves in the browser, and those by which portals deliver encrypted mail. What else is
// in a page is for others to say.
type HTML struct{}

// Entropy is the last resort for files of unknown format: it tells those that look like random numbers.
type Entropy struct{}

// locked is the Verdict on a file that cannot be read without a key.
func locked(class, method string, signs ...container.Sign) container.Verdict {
	return container.Verdict{State: scan.Encrypted, Class: class, Method: method, Signs: signs}
}

// damaged is the Sign of a file that is broken or cut off.
func damaged(detail string) container.Sign {
	return container.Sign{Trait: scan.Damaged, Detail: detail}
}

// maxQuoted is how many octets of a name from a file are shown.
const maxQuoted = 100

// clip makes text of a file fit for a Detail or a Method: printable ASCII, and not too long.
func clip(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
