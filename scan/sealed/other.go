package sealed

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/smime/cms"
)

// Reads implements container.Reader.
func (Other) Reads(f *container.File) bool {
	_, ok := recognize(f.Content)
	return ok
}

// Read implements container.Reader. Nothing is yielded.
func (Other) Read(f *container.File, _ func(container.Member) bool) container.Verdict {
	v, _ := recognize(f.Content)
	return v
}

// recognize says what a file is, if it is of one of the formats of this file.
func recognize(content []byte) (container.Verdict, bool) {
	for _, format := range formats {
		if v, ok := format(content); ok {
			return v, true
		}
	}
	if !isText(content) {
		return container.Verdict{}, false
	}
	for _, format := range textFormats {
		if v, ok := format(content); ok {
			return v, true
		}
	}
	return container.Verdict{}, false
}

// The formats, in binary and as text. The tables are never written.
var (
	formats     = [...]func([]byte) (container.Verdict, bool){simple, keePass, rightsManaged, keyStore, encryptedKey, ageFile, outlookStore}
	textFormats = [...]func([]byte) (container.Verdict, bool){openSSLText, ansibleVault, putty, fernet, armoredAge, pemKeys}
)

// sealedOther is what most formats say.
func sealedOther(format string, args ...any) (container.Verdict, bool) {
	return locked(scan.ClassOther, fmt.Sprintf(format, args...)), true
}

// simpleMagics are formats that their first octets tell. The table is never written.
var simpleMagics = [...]struct{ octets, method string }{
	{"Salted__", "openssl enc, password"},
	{"\xc0\xb9\x07\x2e\x4f\x93\xf1\x46\xa0\x15\x79\x2c\xa1\xd9\xe8\x21", "AxCrypt"},
	{"AES\x00\x00", "AES Crypt"},
	{"AES\x01\x00", "AES Crypt"},
	{"AES\x02\x00", "AES Crypt"},
	{"AES\x03\x00", "AES Crypt"},
	{"scrypt\x00", "scrypt, password"},
	{"\x00m\x03", "mcrypt, password"},
}

func simple(content []byte) (container.Verdict, bool) {
	for _, m := range simpleMagics {
		if bytes.HasPrefix(content, []byte(m.octets)) {
			return sealedOther("%s", m.method)
		}
	}
	return container.Verdict{}, false
}

// keePass recognizes the databases of KeePass. The second number tells the format, and the octets that follow the version.
func keePass(content []byte) (container.Verdict, bool) {
	if len(content) < 12 || !bytes.HasPrefix(content, []byte("\x03\xd9\xa2\x9a")) {
		return container.Verdict{}, false
	}
	switch binary.LittleEndian.Uint32(content[4:]) {
	case 0xb54bfb65:
		return sealedOther("KeePass 1 database")
	case 0xb54bfb66, 0xb54bfb67:
		method := "KeePass 2 database"
		if major := binary.LittleEndian.Uint16(content[10:]); major >= 1 && major < 10 {
			method = fmt.Sprintf("KeePass database, KDBX %d", major)
		}
		if name := kdbxCipher(content); name != "" {
			method += ", " + name
		}
		return sealedOther("%s", method)
	}
	return sealedOther("KeePass database")
}

// kdbxCipher finds the identifier of the cipher among the fields of the header: number, length, value. The length has four
// octets since version 4.
func kdbxCipher(content []byte) string {
	size := 2
	if content[10] >= 4 {
		size = 4
	}
	rest := content[12:]
	for range 16 {
		if len(rest) < 1+size {
			return ""
		}
		id, n := rest[0], int(binary.LittleEndian.Uint16(rest[1:]))
		if rest = rest[1+size:]; n > len(rest) || id == 0 {
			return ""
		}
		if id == 2 && n == 16 {
			switch hex.EncodeToString(rest[:n]) {
			case "31c1f2e6bf714350be5805216afc5aff":
				return "AES-256"
			case "d6038a2b8b6f4cb5a524339a31dbb59a":
				return "ChaCha20"
			case "ad68f29f576f4bb9a36ad47af965346c":
				return "Twofish"
			}
			return ""
		}
		rest = rest[n:]
	}
	return ""
}

// rightsManaged recognizes message.rpmsg ([MS-OXORMMS] Section 2.2.4) and files that Office or its server has protected.
func rightsManaged(content []byte) (container.Verdict, bool) {
	switch {
	case bytes.HasPrefix(content, []byte("\x76\xe8\x04\x60\xc4\x11\xe3\x86")):
		return locked(scan.ClassDocument, "rights-managed message (rpmsg)"), true
	case bytes.HasPrefix(content, []byte(".pfile")):
		return locked(scan.ClassDocument, "rights-managed file (pfile)"), true
	}
	return container.Verdict{}, false
}

// keyStore recognizes key stores of Java. Private keys in them are encrypted, certificates are not.
func keyStore(content []byte) (container.Verdict, bool) {
	if len(content) < 16 || binary.BigEndian.Uint32(content[4:]) > 2 {
		return container.Verdict{}, false
	}
	method := "Java key store"
	switch binary.BigEndian.Uint32(content) {
	case 0xfeedfeed:
	case 0xcececece:
		method = "Java key store (JCEKS)"
	default:
		return container.Verdict{}, false
	}
	if n := binary.BigEndian.Uint32(content[8:]); n > 0 && onlyCertificates(content[12:], n, binary.BigEndian.Uint32(content[4:])) {
		return container.Verdict{State: scan.Inspected, Type: "application/x-java-keystore"}, true
	}
	return sealedOther("%s", method)
}

// onlyCertificates goes through the entries of a key store: a kind, an alias, a time, and for a certificate its type, which
// came with version 2, and its octets.
func onlyCertificates(b []byte, entries, version uint32) bool {
	s := cryptobyte.String(b)
	for range min(entries, 10_000) {
		var kind, n uint32
		var alias, kindOf cryptobyte.String
		if !s.ReadUint32(&kind) || kind != 2 || !s.ReadUint16LengthPrefixed(&alias) || !s.Skip(8) {
			return false
		}
		if version == 2 && !s.ReadUint16LengthPrefixed(&kindOf) {
			return false
		}
		if !s.ReadUint32(&n) || int64(n) > int64(len(s)) || !s.Skip(int(n)) {
			return false
		}
	}
	return entries <= 10_000
}

// encryptedKey recognizes EncryptedPrivateKeyInfo in DER (RFC 5958 Section 3).
func encryptedKey(content []byte) (container.Verdict, bool) {
	if len(content) < 32 || len(content) > 64<<10 || content[0] != 0x30 {
		return container.Verdict{}, false
	}
	var seq, algorithm, key cryptobyte.String
	der, err := cms.Normalize(content, limits(content))
	in := cryptobyte.String(der)
	if err != nil || !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1(&algorithm, cbasn1.SEQUENCE) ||
		!seq.ReadASN1(&key, cbasn1.OCTET_STRING) || !seq.Empty() {
		return container.Verdict{}, false
	}
	var oid asn1.ObjectIdentifier
	probe := algorithm
	if !probe.ReadASN1ObjectIdentifier(&oid) || !isPBE(oid.String()) {
		return container.Verdict{}, false
	}
	return sealedOther("encrypted private key, %s", pbeName(algorithm))
}

// isPBE reports whether an algorithm is one of encryption with a password.
func isPBE(oid string) bool {
	return strings.HasPrefix(oid, "1.2.840.113549.1.12.1.") || strings.HasPrefix(oid, "1.2.840.113549.1.5.")
}

// ageFile recognizes the files of age (age-encryption.org/v1), and names who can open it.
func ageFile(content []byte) (container.Verdict, bool) {
	rest, ok := bytes.CutPrefix(content, []byte("age-encryption.org/"))
	if !ok {
		return container.Verdict{}, false
	}
	var kinds []string
	recipients := 0
	for at, n := 0, 0; at < len(rest) && n < 2000; n++ {
		line, next := nextLine(rest, at)
		at = next
		if bytes.HasPrefix(line, []byte("---")) {
			break
		}
		if stanza, ok := bytes.CutPrefix(line, []byte("-> ")); ok {
			recipients++
			kind, _, _ := strings.Cut(string(stanza[:min(len(stanza), 60)]), " ")
			if kind = clip(kind); len(kinds) < 4 && !strings.Contains(strings.Join(kinds, " ")+" ", kind+" ") {
				kinds = append(kinds, kind)
			}
		}
	}
	if recipients == 0 {
		return sealedOther("age")
	}
	return sealedOther("age, %s", strings.Join(kinds, ", "))
}

func armoredAge(content []byte) (v container.Verdict, ok bool) {
	blocks(content, func(b block) bool {
		if ok = b.label == "AGE ENCRYPTED FILE"; ok {
			if v, ok = ageFile(b.data()); !ok {
				v, ok = sealedOther("age, damaged")
				v.Signs = []container.Sign{damaged("age")}
			}
		}
		return !ok
	})
	return v, ok
}

// outlookStore recognizes stores of Outlook. Their encoding hides nothing ([MS-PST] Section 5), but nobody here opens them,
// except that what Windows Information Protection has encrypted needs a key.
func outlookStore(content []byte) (container.Verdict, bool) {
	if len(content) < 520 || string(content[:4]) != "!BDN" {
		return container.Verdict{}, false
	}
	at := 513 // [MS-PST] Section 2.2.2.6: bCryptMethod
	if binary.LittleEndian.Uint16(content[10:]) < 23 {
		at = 461
	}
	if content[at] == 0x10 {
		return sealedOther("Outlook data file, Windows Information Protection")
	}
	return container.Verdict{State: scan.Uninspectable, Method: "Outlook data file"}, true
}

// openSSLText recognizes the base64 of what openssl enc writes, in one line or in several. A few letters would be a word.
func openSSLText(content []byte) (container.Verdict, bool) {
	text := trimText(content)
	if len(text) < 20 || !bytes.HasPrefix(decodeBase64(text[:min(len(text), 40)]), []byte("Salted__")) {
		return container.Verdict{}, false
	}
	return sealedOther("openssl enc, password, base64")
}

// ansibleVault recognizes files of Ansible Vault by their first line.
func ansibleVault(content []byte) (container.Verdict, bool) {
	rest, ok := bytes.CutPrefix(trimText(content), []byte("$ANSIBLE_VAULT;"))
	if !ok {
		return container.Verdict{}, false
	}
	line, _ := nextLine(rest, 0)
	if fields := strings.Split(string(line[:min(len(line), 60)]), ";"); len(fields) >= 2 { // version; cipher; label
		return sealedOther("Ansible Vault, %s", clip(strings.TrimSpace(fields[1])))
	}
	return sealedOther("Ansible Vault")
}

// putty recognizes private keys of PuTTY that have a passphrase.
func putty(content []byte) (container.Verdict, bool) {
	if !bytes.HasPrefix(content, []byte("PuTTY-User-Key-File-")) {
		return container.Verdict{}, false
	}
	b := block{text: content}
	cipher, ok := b.header("Encryption")
	if !ok || cipher == "none" {
		return container.Verdict{}, false
	}
	return sealedOther("PuTTY private key, %s", clip(cipher))
}

// fernet recognizes a token of Fernet: base64 of the version 0x80, a time, a vector, blocks of 16 octets and a MAC.
func fernet(content []byte) (container.Verdict, bool) {
	text := bytes.TrimRight(trimText(content), "= \r\n\t")
	if !bytes.HasPrefix(text, []byte("gAAAAA")) || len(text) < 97 {
		return container.Verdict{}, false
	}
	for _, c := range text {
		if !isBase64(c) && c != '-' && c != '_' {
			return container.Verdict{}, false
		}
	}
	if octets := len(text) * 3 / 4; (octets-57)%16 != 0 {
		return container.Verdict{}, false
	}
	return sealedOther("Fernet token")
}

// pemKeys recognizes private keys in PEM that have a password, whatever stands around them.
func pemKeys(content []byte) (v container.Verdict, ok bool) {
	blocks(content, func(b block) bool {
		v, ok = b.encryptedKey()
		return !ok
	})
	return v, ok
}

// encryptedKey reports how the private key of a block is encrypted.
func (b block) encryptedKey() (container.Verdict, bool) {
	switch {
	case b.label == "ENCRYPTED PRIVATE KEY": // RFC 7468 Section 11
		if v, ok := encryptedKey(b.data()); ok {
			return v, true
		}
		return sealedOther("encrypted private key")
	case !strings.HasSuffix(b.label, "PRIVATE KEY"), strings.HasPrefix(b.label, "PGP "):
		return container.Verdict{}, false
	case b.label == "OPENSSH PRIVATE KEY":
		return openSSHKey(b.data())
	}
	if kind, ok := b.header("Proc-Type"); ok && strings.Contains(strings.ToUpper(kind), "ENCRYPTED") { // RFC 1421 Section 4.6.1.1
		cipher, _ := b.header("DEK-Info")
		cipher, _, _ = strings.Cut(cipher, ",")
		if cipher == "" {
			return sealedOther("encrypted private key")
		}
		return sealedOther("encrypted private key, %s", clip(cipher))
	}
	return container.Verdict{}, false
}

// openSSHKey reads the beginning of a private key of OpenSSH, where the name of the cipher stands.
func openSSHKey(data []byte) (container.Verdict, bool) {
	rest, ok := bytes.CutPrefix(data, []byte("openssh-key-v1\x00"))
	if !ok || len(rest) < 4 {
		return container.Verdict{}, false
	}
	n := binary.BigEndian.Uint32(rest)
	if n > 64 || int(n) > len(rest)-4 {
		return container.Verdict{}, false
	}
	cipher := string(rest[4 : 4+n])
	if cipher == "none" {
		return container.Verdict{}, false
	}
	return sealedOther("OpenSSH private key, %s", clip(cipher))
}
