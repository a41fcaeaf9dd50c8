// Package dkim verifies DomainKeys Identified Mail signatures: did the signing domain see these octets? One pass over
// the body serves every signature. It never signs, and it never decides what a result means for the message.
//
// RFC 6376, RFC 8301 (key sizes, no SHA-1), RFC 8463 (Ed25519), RFC 8616 (internationalised mail).
package dkim

import (
	"time"

	"assay/verify/authres"
)

// A Verification is the outcome of one signature. It is a value: what it means is for the rules to say.
type Verification struct {
	Result           authres.Result
	Reason           string // why, in words; never empty unless Result is pass or none
	Domain           string // d=, lower case, A-labels
	Selector         string // s=
	Identifier       string // i= (AUID), "@" and d= when absent
	Algorithm        string // a=, lower case: "rsa-sha256", "ed25519-sha256", ...
	Canonicalization string // c= in full: "relaxed/simple"
	KeyBits          int    // modulus bits of an RSA key, 256 for Ed25519, 0 when no key was found
	SignedHeaders    []string
	BodyLength       int64     // l=, -1 when absent
	Signed           time.Time // t=, the zero Time when absent
	Expires          time.Time // x=, the zero Time when absent
	Testing          bool      // the key is published with t=y (RFC 6376 Section 3.6.1)
	SignaturePrefix  string    // first characters of b=, enough to tell signatures apart (RFC 6008)
	KeySecure        bool      // the key came with DNSSEC validation
	FieldNth         int       // occurrence number of the DKIM-Signature field, 1-based
	Steps            []string  // every step in words, if Options.Explain
}
