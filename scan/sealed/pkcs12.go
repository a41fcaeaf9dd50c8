package sealed

import (
	"bytes"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/smime/cms"
)

// Reads implements container.Reader.
func (PKCS12) Reads(f *container.File) bool {
	if isPKCS12(f.Content) {
		return true
	}
	text := trimText(f.Content)
	return len(text) > 16 && text[0] == 'M' && isPKCS12(decodeBase64(text[:min(len(text), 64)])) && allBase64(text)
}

// isPKCS12 reports whether a content begins as a PFX does: a SEQUENCE of the version 3 and a ContentInfo of data or
// signedData (RFC 7292 Section 4).
func isPKCS12(content []byte) bool {
	if len(content) < 24 || content[0] != 0x30 {
		return false
	}
	at := 2
	if content[1] > 0x80 {
		at += int(content[1] & 0x7f)
	}
	if at > 8 || !bytes.HasPrefix(content[at:], []byte{2, 1, 3}) {
		return false
	}
	return cms.KindOf(leadingOID(content[at+3:])) != cms.Unknown
}

// Read implements container.Reader. Nothing is yielded: a store holds keys and certificates, and no files.
func (PKCS12) Read(f *container.File, _ func(container.Member) bool) container.Verdict {
	content := f.Content
	if content[0] != 0x30 {
		content = decodeBase64(trimText(content))
	}
	if err := f.Budget.Spend(int64(len(content))); err != nil {
		return container.Limited(err)
	}
	s := store{f: f}
	s.read(content)
	method := "PKCS #12"
	if s.algorithm != "" {
		method += ", " + s.algorithm
	}
	switch {
	case s.sealed:
		return locked(scan.ClassSMIME, method)
	case s.broken:
		// With integrity by password, what is inside is nearly always encrypted too.
		return container.Verdict{State: scan.Uninspectable, Method: "PKCS #12, damaged", Signs: []container.Sign{damaged("PKCS #12")}}
	}
	return container.Verdict{State: scan.Inspected}
}

// A store is what was found in a PFX.
type store struct {
	f         *container.File
	sealed    bool
	broken    bool
	algorithm string
}

// element normalizes one element and returns the content of the SEQUENCE that it has to be.
func (s *store) element(ber []byte) (cryptobyte.String, bool) {
	var seq cryptobyte.String
	der, err := cms.Normalize(ber, limits(ber))
	if err != nil {
		return nil, false
	}
	in := cryptobyte.String(der)
	ok := in.ReadASN1(&seq, cbasn1.SEQUENCE)
	return seq, ok
}

// read reads the PFX (RFC 7292 Section 4). What is damaged may be encrypted as well as not.
func (s *store) read(ber []byte) {
	r := cmsRun{f: s.f}
	ber, _ = r.split(ber)
	pfx, ok := s.element(ber)
	if !ok {
		s.broken = true
		return
	}
	var octets cryptobyte.String
	var kind cms.Kind
	if !pfx.SkipASN1(cbasn1.INTEGER) || !s.info(&pfx, &kind, &octets) {
		s.broken = true
		return
	}
	if kind != cms.Data { // signed with a key (Section 3.1): the safe is one level deeper
		var ok bool
		if octets, ok = signedContent(octets); !ok {
			s.broken = true
			return
		}
	} else if !octets.ReadASN1(&octets, cbasn1.OCTET_STRING) {
		s.broken = true
		return
	}
	safes, ok := s.element(octets)
	for ok && !safes.Empty() && s.f.Budget.Check() == nil {
		ok = s.safe(&safes)
	}
	s.broken = s.broken || !ok || s.f.Budget.Check() != nil
}

// info reads a ContentInfo; content is what its tag [0] holds.
func (s *store) info(in *cryptobyte.String, kind *cms.Kind, content *cryptobyte.String) bool {
	var seq cryptobyte.String
	var oid asn1.ObjectIdentifier
	ok := in.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.ReadASN1ObjectIdentifier(&oid) && seq.ReadASN1(content, explicit0)
	*kind = cms.KindOf(oid)
	return ok
}

// signedContent returns the eContent of SignedData.
func signedContent(in cryptobyte.String) (cryptobyte.String, bool) {
	var seq, info, wrapped, octets cryptobyte.String
	ok := in.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.SkipASN1(cbasn1.INTEGER) && seq.SkipASN1(cbasn1.SET) &&
		seq.ReadASN1(&info, cbasn1.SEQUENCE) && info.SkipASN1(cbasn1.OBJECT_IDENTIFIER) && info.ReadASN1(&wrapped, explicit0) &&
		wrapped.ReadASN1(&octets, cbasn1.OCTET_STRING)
	return octets, ok
}

// safe reads one ContentInfo of the AuthenticatedSafe (RFC 7292 Section 4.1).
func (s *store) safe(safes *cryptobyte.String) bool {
	var content, octets cryptobyte.String
	var kind cms.Kind
	if !s.info(safes, &kind, &content) {
		return false
	}
	switch kind {
	case cms.Data:
		if !content.ReadASN1(&octets, cbasn1.OCTET_STRING) {
			return false
		}
		return s.bags(octets)
	case cms.EncryptedData, cms.Enveloped:
		s.sealed = true
		s.name(encryptedAlgorithm(content))
		return true
	}
	return false
}

// encryptedAlgorithm reads the contentEncryptionAlgorithm of EncryptedData (RFC 5652 Section 8).
func encryptedAlgorithm(content cryptobyte.String) cryptobyte.String {
	var seq, info, algorithm cryptobyte.String
	if content.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.SkipASN1(cbasn1.INTEGER) && seq.ReadASN1(&info, cbasn1.SEQUENCE) &&
		info.SkipASN1(cbasn1.OBJECT_IDENTIFIER) && info.ReadASN1(&algorithm, cbasn1.SEQUENCE) {
		return algorithm
	}
	return nil
}

// Kinds of bags (RFC 7292 Section 4.2).
var (
	oidShroudedKey = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidNestedBags  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 6}
)

// bags reads SafeContents. Bags inside of bags are not looked into: nobody writes them.
func (s *store) bags(ber []byte) bool {
	list, ok := s.element(ber)
	for ok && !list.Empty() && s.f.Budget.Check() == nil {
		var bag, value, key, algorithm cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !list.ReadASN1(&bag, cbasn1.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&oid) || !bag.ReadASN1(&value, explicit0) {
			return false
		}
		switch {
		case oid.Equal(oidNestedBags):
			s.broken = true
		case oid.Equal(oidShroudedKey):
			s.sealed = true
			if value.ReadASN1(&key, cbasn1.SEQUENCE) && key.ReadASN1(&algorithm, cbasn1.SEQUENCE) {
				s.name(algorithm)
			}
		}
	}
	return ok
}

// name takes note of how something is encrypted.
func (s *store) name(algorithm cryptobyte.String) {
	if s.algorithm == "" {
		s.algorithm = pbeName(algorithm)
	}
}

// pbeNames are the algorithms of encryption with a password (RFC 7292 Appendix C, RFC 8018). The table is never written.
var pbeNames = [...]struct{ oid, name string }{
	{"1.2.840.113549.1.12.1.1", "RC4-128"},
	{"1.2.840.113549.1.12.1.2", "RC4-40"},
	{"1.2.840.113549.1.12.1.3", "3DES"},
	{"1.2.840.113549.1.12.1.4", "2-key 3DES"},
	{"1.2.840.113549.1.12.1.5", "RC2-128"},
	{"1.2.840.113549.1.12.1.6", "RC2-40"},
	{"1.2.840.113549.1.5.1", "DES"},
	{"1.2.840.113549.1.5.3", "DES"},
	{"1.2.840.113549.1.5.10", "DES"},
	{"1.2.840.113549.1.5.6", "RC2"},
	{"1.2.840.113549.1.5.11", "RC2"},
	{"1.2.840.113549.3.7", "3DES"},
	{"2.16.840.1.101.3.4.1.2", "AES-128"},
	{"2.16.840.1.101.3.4.1.22", "AES-192"},
	{"2.16.840.1.101.3.4.1.42", "AES-256"},
	{"2.16.840.1.101.3.4.1.46", "AES-256-GCM"},
	{"1.3.6.1.4.1.11591.4.11", "scrypt"},
}

// pbeName names the algorithm of encryption with a password, "" if it is no such algorithm.
func pbeName(algorithm cryptobyte.String) string {
	var oid asn1.ObjectIdentifier
	if !algorithm.ReadASN1ObjectIdentifier(&oid) {
		return ""
	}
	if oid.String() == "1.2.840.113549.1.5.13" { // PBES2 (RFC 8018 Appendix A.4)
		var parameters, scheme cryptobyte.String
		if algorithm.ReadASN1(&parameters, cbasn1.SEQUENCE) && parameters.SkipASN1(cbasn1.SEQUENCE) &&
			parameters.ReadASN1(&scheme, cbasn1.SEQUENCE) && scheme.ReadASN1ObjectIdentifier(&oid) {
			return fmt.Sprintf("PBES2 %s", algorithmName(oid))
		}
		return "PBES2"
	}
	return algorithmName(oid)
}

func algorithmName(oid asn1.ObjectIdentifier) string {
	for _, n := range pbeNames {
		if n.oid == oid.String() {
			return n.name
		}
	}
	return clip(oid.String())
}
