package cms

import "encoding/asn1"

// nameTable has names of algorithms that are recognised but not carried out. It is never written.
var nameTable = []struct {
	oid  string
	name string
}{
	{"1.2.840.113549.2.2", "md2"},
	{"1.2.840.113549.2.4", "md4"},
	{"1.2.840.113549.2.5", "md5"},
	{"1.3.36.3.2.1", "ripemd160"},
	{"1.2.840.113549.1.1.2", "rsa-md2"},
	{"1.2.840.113549.1.1.4", "rsa-md5"},
	{"1.3.14.3.2.29", "rsa-sha1"}, // a name from OIW that OpenSSL refuses as well
	{"1.3.36.3.3.1.2", "rsa-ripemd160"},
	{"1.2.840.10040.4.1", "dsa"},
	{"1.2.840.10040.4.3", "dsa-sha1"},
	{"2.16.840.1.101.3.4.3.1", "dsa-sha224"},
	{"2.16.840.1.101.3.4.3.2", "dsa-sha256"},
	{"2.16.840.1.101.3.4.3.3", "dsa-sha384"},
	{"2.16.840.1.101.3.4.3.4", "dsa-sha512"},
	{"2.16.840.1.101.3.4.2.11", "shake128"},
	{"2.16.840.1.101.3.4.2.12", "shake256"},
	{"1.3.6.1.5.5.7.6.30", "rsa-pss-shake128"},
	{"1.3.6.1.5.5.7.6.31", "rsa-pss-shake256"},
	{"1.3.6.1.5.5.7.6.32", "ecdsa-shake128"},
	{"1.3.6.1.5.5.7.6.33", "ecdsa-shake256"},
	{"1.3.101.113", "ed448"},
	{"2.16.840.1.101.3.4.3.17", "ml-dsa-44"},
	{"2.16.840.1.101.3.4.3.18", "ml-dsa-65"},
	{"2.16.840.1.101.3.4.3.19", "ml-dsa-87"},
	{"2.16.840.1.101.3.4.3.20", "slh-dsa-sha2-128s"},
	{"2.16.840.1.101.3.4.3.21", "slh-dsa-sha2-128f"},
	{"2.16.840.1.101.3.4.3.22", "slh-dsa-sha2-192s"},
	{"2.16.840.1.101.3.4.3.23", "slh-dsa-sha2-192f"},
	{"2.16.840.1.101.3.4.3.24", "slh-dsa-sha2-256s"},
	{"2.16.840.1.101.3.4.3.25", "slh-dsa-sha2-256f"},
	{"2.16.840.1.101.3.4.3.26", "slh-dsa-shake-128s"},
	{"2.16.840.1.101.3.4.3.27", "slh-dsa-shake-128f"},
	{"2.16.840.1.101.3.4.3.28", "slh-dsa-shake-192s"},
	{"2.16.840.1.101.3.4.3.29", "slh-dsa-shake-192f"},
	{"2.16.840.1.101.3.4.3.30", "slh-dsa-shake-256s"},
	{"2.16.840.1.101.3.4.3.31", "slh-dsa-shake-256f"},

	// content encryption
	{"1.3.14.3.2.7", "des-cbc"},
	{"1.2.840.113549.3.2", "rc2-cbc"},
	{"1.2.840.113549.3.4", "rc4"},
	{"1.2.840.113549.3.7", "3des-cbc"},
	{"2.16.840.1.101.3.4.1.2", "aes-128-cbc"},
	{"2.16.840.1.101.3.4.1.22", "aes-192-cbc"},
	{"2.16.840.1.101.3.4.1.42", "aes-256-cbc"},
	{"2.16.840.1.101.3.4.1.6", "aes-128-gcm"},
	{"2.16.840.1.101.3.4.1.26", "aes-192-gcm"},
	{"2.16.840.1.101.3.4.1.46", "aes-256-gcm"},
	{"2.16.840.1.101.3.4.1.7", "aes-128-ccm"},
	{"2.16.840.1.101.3.4.1.27", "aes-192-ccm"},
	{"2.16.840.1.101.3.4.1.47", "aes-256-ccm"},
	{"1.2.840.113549.1.9.16.3.18", "chacha20-poly1305"},
	{"1.2.392.200011.61.1.1.1.2", "camellia-128-cbc"},
	{"1.2.392.200011.61.1.1.1.4", "camellia-256-cbc"},
	{"1.2.840.113549.1.9.16.3.8", "zlib"},
	{"1.2.840.113549.2.7", "hmac-sha1"},
	{"1.2.840.113549.2.9", "hmac-sha256"},
	{"1.2.840.113549.2.10", "hmac-sha384"},
	{"1.2.840.113549.2.11", "hmac-sha512"},

	// key encryption
	{"1.2.840.113549.1.1.1", "rsa"},
	{"1.2.840.113549.1.1.7", "rsa-oaep"},
	{"1.2.840.113549.1.9.16.3.14", "rsa-kem"},
	{"1.2.840.113549.1.9.16.3.5", "static-dh"},
	{"1.2.840.113549.1.9.16.3.10", "dh"},
	{"1.3.133.16.840.63.0.2", "ecdh-sha1"},
	{"1.3.132.1.11.0", "ecdh-sha224"},
	{"1.3.132.1.11.1", "ecdh-sha256"},
	{"1.3.132.1.11.2", "ecdh-sha384"},
	{"1.3.132.1.11.3", "ecdh-sha512"},
	{"1.3.133.16.840.63.0.3", "ecdh-cofactor-sha1"},
	{"1.3.132.1.14.0", "ecdh-cofactor-sha224"},
	{"1.3.132.1.14.1", "ecdh-cofactor-sha256"},
	{"1.3.132.1.14.2", "ecdh-cofactor-sha384"},
	{"1.3.132.1.14.3", "ecdh-cofactor-sha512"},
	{"2.16.840.1.101.3.4.1.5", "aes-128-wrap"},
	{"2.16.840.1.101.3.4.1.25", "aes-192-wrap"},
	{"2.16.840.1.101.3.4.1.45", "aes-256-wrap"},
	{"1.2.840.113549.1.9.16.3.6", "3des-wrap"},
	{"1.2.840.113549.1.9.16.3.7", "rc2-wrap"},
	{"1.2.840.113549.1.9.16.3.9", "password"},
}

// nameOf returns the name of an algorithm, or its OID in dots.
func nameOf(oid asn1.ObjectIdentifier) string {
	dots := oid.String()
	for _, n := range nameTable {
		if n.oid == dots {
			return n.name
		}
	}
	return dots
}

// kindTable has the content types this package knows. It is never written.
var kindTable = []struct {
	oid  asn1.ObjectIdentifier
	kind Kind
}{
	{oidData, Data},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, Signed},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}, Enveloped},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 5}, Digested},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}, EncryptedData},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 2}, Authenticated},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 9}, Compressed},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23}, AuthEnveloped},
}

// oidData is id-data (RFC 5652 Section 4).
var oidData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}

func kindOf(oid asn1.ObjectIdentifier) Kind {
	for _, k := range kindTable {
		if k.oid.Equal(oid) {
			return k.kind
		}
	}
	return Unknown
}

// KindOf returns what a content of the type oid is, as in the field Inner of an Object.
func KindOf(oid asn1.ObjectIdentifier) Kind { return kindOf(oid) }
