// Package arc validates the Authenticated Received Chain: what did earlier intermediaries say about this message, and
// is their chain of custody unbroken? A Sealer adds this host to the chain. The package can be removed as a whole, and
// sealing (seal.go, sealer.go) by itself: ARC is being made historic.
//
// RFC 8617.
package arc

import "assay/verify/authres"

// A Verification is the state of the chain. Result is none when the message carries no ARC set.
type Verification struct {
	Result     authres.Result // none, pass, fail; temperror when a key could not be fetched
	Reason     string
	Instance   int            // highest instance, 0 without a chain
	OldestPass int            // lowest instance whose message signature still verifies; 0 means all (RFC 8617 Section 5.2)
	Sealers    []string       // d= of each seal, oldest first, lower case
	Trusted    bool           // the chain passes, its newest sealers are trusted by configuration, and no field that is unique was added
	DMARC      authres.Result // dmarc result that the oldest trusted sealer recorded; "" when there is none
	DMARCFrom  string         // header.from of that result
	Steps      []string       // every step in words, if Options.Explain
}
