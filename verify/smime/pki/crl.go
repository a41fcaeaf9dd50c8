package pki

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/maphash"
	"math/big"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxCRL bounds a CRL, fetched or from a cache; maxEmbedded one that came with a message.
const (
	maxCRL      = 50 << 20
	maxEmbedded = 1 << 20
)

// Extensions of CRLs and their entries (RFC 5280 Sections 5.2 and 5.3).
var (
	oidAuthorityKeyID    = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber         = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidDeltaCRL          = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidReasonCode        = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidInvalidityDate    = asn1.ObjectIdentifier{2, 5, 29, 24}
)

// A crl is a certificate revocation list whose signature is good. Its octets are gone: what is left of an entry is the
// hash of its serial number, its date and its reason.
type crl struct {
	issuer     []byte // DER of Name
	thisUpdate time.Time
	nextUpdate time.Time // zero if absent
	scope      scope
	seed       maphash.Seed
	entries    []crlEntry // sorted by hash
}

// A crlEntry is one revoked certificate in 16 octets. Serial numbers are hashed with a seed of this process, so nobody
// can have two serial numbers meet.
type crlEntry struct {
	hash   uint64
	date   uint32 // seconds since 1970
	reason uint8  // RFC 5280 Section 5.3.1
}

// A scope is what the issuingDistributionPoint of a CRL limits it to (RFC 5280 Section 5.2.5).
type scope struct {
	points               []string // URIs, if it names a distribution point
	named                bool     // it names a distribution point
	onlyUser, onlyCA     bool
	onlySome, onlyAttrib bool
}

// scanCRL reads a CRL in one pass and checks that issuer signed it. It refuses what it could misread: delta CRLs,
// indirect CRLs, and critical extensions it does not know.
func scanCRL(der []byte, issuer *x509.Certificate) (*crl, error) {
	tbs, algorithm, signature, err := splitCRL(der)
	if err != nil {
		return nil, err
	}
	c := &crl{seed: maphash.MakeSeed()}
	list, extensions, err := c.parseHead(tbs, algorithm)
	if err != nil {
		return nil, err
	}
	// The cheap refusals come first, then the signature, and only then a list that may be long.
	if nameKey(c.issuer) != nameKey(issuer.RawSubject) {
		return nil, errors.New("the CRL is of another issuer")
	}
	if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, errors.New("the issuer must not sign CRLs")
	}
	if err := c.parseExtensions(extensions); err != nil {
		return nil, err
	}
	if err := checkSigned(issuer, algorithm, tbs, signature); err != nil {
		return nil, fmt.Errorf("the signature of the CRL is not good: %w", err)
	}
	return c, c.parseEntries(list)
}

// splitCRL reads CertificateList (RFC 5280 Section 5.1.1).
func splitCRL(der []byte) (tbs, algorithm, signature []byte, err error) {
	in := cryptobyte.String(der)
	var outer, list, id cryptobyte.String
	var bits asn1.BitString
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Element(&list, cbasn1.SEQUENCE) ||
		!outer.ReadASN1Element(&id, cbasn1.SEQUENCE) || !outer.ReadASN1BitString(&bits) || !outer.Empty() {
		return nil, nil, nil, errors.New("the CRL is malformed")
	}
	return list, id, bits.RightAlign(), nil
}

// peek reads whose CRL it is.
func (c *crl) peek(der []byte) error {
	tbs, algorithm, _, err := splitCRL(der)
	if err != nil {
		return err
	}
	_, _, err = c.parseHead(tbs, algorithm)
	return err
}

// parseHead reads the fields of TBSCertList (RFC 5280 Section 5.1.2) and returns its list and its extensions.
func (c *crl) parseHead(tbs, outerAlgorithm cryptobyte.String) (list, extensions cryptobyte.String, err error) {
	var seq, algorithm, issuer cryptobyte.String
	malformed := errors.New("the CRL is malformed")
	if !tbs.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return nil, nil, malformed
	}
	var version int64
	if seq.PeekASN1Tag(cbasn1.INTEGER) && (!seq.ReadASN1Integer(&version) || version != 1) {
		return nil, nil, malformed
	}
	if !seq.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !bytes.Equal(algorithm, outerAlgorithm) ||
		!seq.ReadASN1Element(&issuer, cbasn1.SEQUENCE) || !readTime(&seq, &c.thisUpdate) {
		return nil, nil, malformed
	}
	if (seq.PeekASN1Tag(cbasn1.UTCTime) || seq.PeekASN1Tag(cbasn1.GeneralizedTime)) && !readTime(&seq, &c.nextUpdate) {
		return nil, nil, malformed
	}
	if !seq.ReadOptionalASN1(&list, nil, cbasn1.SEQUENCE) ||
		!seq.ReadOptionalASN1(&extensions, nil, cbasn1.Tag(0).ContextSpecific().Constructed()) || !seq.Empty() {
		return nil, nil, malformed
	}
	c.issuer = bytes.Clone(issuer)
	return list, extensions, nil
}

// readTime reads a Time (RFC 5280 Section 5.1.2.4).
func readTime(in *cryptobyte.String, out *time.Time) bool {
	if in.PeekASN1Tag(cbasn1.GeneralizedTime) {
		return in.ReadASN1GeneralizedTime(out)
	}
	return in.ReadASN1UTCTime(out)
}

// parseExtensions reads crlExtensions.
func (c *crl) parseExtensions(explicit cryptobyte.String) error {
	if explicit.Empty() {
		return nil
	}
	return eachExtension(explicit, func(id asn1.ObjectIdentifier, critical bool, value []byte) error {
		switch {
		case id.Equal(oidDeltaCRL):
			return errors.New("the CRL is a delta CRL")
		case id.Equal(oidDistributionPoint):
			return c.scope.parse(value)
		case critical && !id.Equal(oidAuthorityKeyID) && !id.Equal(oidCRLNumber):
			return fmt.Errorf("the CRL has the critical extension %s, which is not supported", id)
		}
		return nil
	})
}

// eachExtension calls f for each of a sequence of Extensions (RFC 5280 Section 4.1). A second one of the same kind is an
// error.
func eachExtension(in cryptobyte.String, f func(id asn1.ObjectIdentifier, critical bool, value []byte) error) error {
	var list cryptobyte.String
	if !in.ReadASN1(&list, cbasn1.SEQUENCE) || !in.Empty() {
		return errors.New("extensions are malformed")
	}
	for seen := 0; !list.Empty(); seen++ {
		var e, value cryptobyte.String
		var id asn1.ObjectIdentifier
		critical := false
		if !list.ReadASN1(&e, cbasn1.SEQUENCE) || !e.ReadASN1ObjectIdentifier(&id) ||
			e.PeekASN1Tag(cbasn1.BOOLEAN) && !e.ReadASN1Boolean(&critical) ||
			!e.ReadASN1(&value, cbasn1.OCTET_STRING) || !e.Empty() || seen > maxAttributes {
			return errors.New("extensions are malformed")
		}
		if err := f(id, critical, value); err != nil {
			return err
		}
	}
	return nil
}

// parse reads an IssuingDistributionPoint.
func (s *scope) parse(der []byte) error {
	in := cryptobyte.String(der)
	var seq, point cryptobyte.String
	malformed := errors.New("the scope of the CRL is malformed")
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadOptionalASN1(&point, &s.named, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return malformed
	}
	var indirect bool
	for tag, flag := range []*bool{1: &s.onlyUser, 2: &s.onlyCA, 4: &indirect, 5: &s.onlyAttrib} {
		if tag == 3 { // onlySomeReasons is a BIT STRING
			if !seq.ReadOptionalASN1(new(cryptobyte.String), &s.onlySome, cbasn1.Tag(3).ContextSpecific()) {
				return malformed
			}
			continue
		}
		if flag != nil && !readFlag(&seq, tag, flag) {
			return malformed
		}
	}
	switch {
	case !seq.Empty():
		return malformed
	case indirect:
		return errors.New("the CRL is an indirect CRL")
	case s.named:
		s.points = pointURIs(point)
	}
	return nil
}

// readFlag reads an optional IMPLICIT BOOLEAN.
func readFlag(in *cryptobyte.String, tag int, flag *bool) bool {
	var value cryptobyte.String
	var present bool
	if !in.ReadOptionalASN1(&value, &present, cbasn1.Tag(tag).ContextSpecific()) || present && len(value) != 1 {
		return false
	}
	*flag = present && value[0] != 0
	return true
}

// pointURIs returns the URIs of a DistributionPointName; none for one relative to the issuer.
func pointURIs(point cryptobyte.String) []string {
	var full cryptobyte.String
	if !point.ReadASN1(&full, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return nil
	}
	var uris []string
	for !full.Empty() && len(uris) < maxAttributes {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if !full.ReadAnyASN1(&value, &tag) {
			return uris
		}
		if tag == cbasn1.Tag(formURI).ContextSpecific() {
			uris = append(uris, string(value))
		}
	}
	return uris
}

// covers says whether a certificate of these distribution points would be in a CRL of this scope if it were revoked. A
// CRL of another distribution point of the same authority says nothing about it (RFC 5280 Section 6.3.3 (b)(2)).
func (s *scope) covers(c *x509.Certificate) error {
	switch isCA := c.BasicConstraintsValid && c.IsCA; {
	case s.onlyAttrib:
		return errors.New("the CRL is for attribute certificates")
	case s.onlySome:
		return errors.New("the CRL is for some reasons only")
	case s.onlyUser && isCA:
		return errors.New("the CRL is not for authorities")
	case s.onlyCA && !isCA:
		return errors.New("the CRL is for authorities only")
	case s.named && !slices.ContainsFunc(s.points, func(u string) bool { return slices.Contains(c.CRLDistributionPoints, u) }):
		return errors.New("the CRL is of another distribution point")
	}
	return nil
}

// parseEntries reads revokedCertificates.
func (c *crl) parseEntries(list cryptobyte.String) error {
	if list.Empty() {
		return nil
	}
	first := list
	first.SkipASN1(cbasn1.SEQUENCE)
	size := len(list) - len(first) // of the first entry; the others are alike
	c.entries = make([]crlEntry, 0, len(list)/max(size, 16)+1)
	var h maphash.Hash
	h.SetSeed(c.seed)
	for !list.Empty() {
		var entry, serial cryptobyte.String
		if !list.ReadASN1(&entry, cbasn1.SEQUENCE) || !entry.ReadASN1(&serial, cbasn1.INTEGER) || len(serial) == 0 {
			return errors.New("an entry of the CRL is malformed")
		}
		e := crlEntry{hash: hashSerial(&h, serial)}
		if !readDate(&entry, &e.date) {
			return errors.New("an entry of the CRL is malformed")
		}
		if !entry.Empty() {
			if err := e.parseExtensions(entry); err != nil {
				return err
			}
		}
		c.entries = append(c.entries, e)
	}
	slices.SortFunc(c.entries, func(a, b crlEntry) int { return cmp.Compare(a.hash, b.hash) })
	c.entries = slices.Clip(c.entries)
	return nil
}

// parseExtensions reads crlEntryExtensions. An unknown critical one makes the CRL useless (RFC 5280 Section 5.3).
func (e *crlEntry) parseExtensions(in cryptobyte.String) error {
	return eachExtension(in, func(id asn1.ObjectIdentifier, critical bool, value []byte) error {
		switch {
		case id.Equal(oidReasonCode):
			v := cryptobyte.String(value)
			var code cryptobyte.String
			if !v.ReadASN1(&code, cbasn1.ENUM) || !v.Empty() || len(code) != 1 {
				return errors.New("a reason in the CRL is malformed")
			}
			e.reason = code[0]
		case critical && !id.Equal(oidInvalidityDate):
			return fmt.Errorf("an entry of the CRL has the critical extension %s, which is not supported", id)
		}
		return nil
	})
}

// hashSerial hashes the content octets of an INTEGER without needless sign octets.
func hashSerial(h *maphash.Hash, serial []byte) uint64 {
	for len(serial) > 1 && (serial[0] == 0 && serial[1] < 0x80 || serial[0] == 0xff && serial[1] >= 0x80) {
		serial = serial[1:]
	}
	h.Reset()
	h.Write(serial)
	return h.Sum64()
}

// serialOctets returns the content octets of a serial number as an INTEGER.
func serialOctets(n *big.Int) []byte {
	der, err := asn1.Marshal(n)
	in := cryptobyte.String(der)
	var content cryptobyte.String
	if err != nil || !in.ReadASN1(&content, cbasn1.INTEGER) {
		return nil
	}
	return content
}

// readDate reads a Time as seconds since 1970.
func readDate(in *cryptobyte.String, out *uint32) bool {
	var t time.Time
	var text cryptobyte.String
	if in.PeekASN1Tag(cbasn1.UTCTime) {
		if !in.ReadASN1(&text, cbasn1.UTCTime) || !parseUTCTime(text, &t) {
			return false
		}
	} else if !in.ReadASN1GeneralizedTime(&t) {
		return false
	}
	*out = uint32(min(max(t.Unix(), 0), 1<<32-1))
	return true
}

// parseUTCTime reads YYMMDDHHMMSSZ, the only form RFC 5280 Section 4.1.2.5.1 allows. A CRL has one for every entry; the
// general parser takes as long as all the rest.
func parseUTCTime(s []byte, out *time.Time) bool {
	if len(s) != 13 || s[12] != 'Z' {
		return false
	}
	var f [6]int
	for i := range f {
		a, b := s[2*i]-'0', s[2*i+1]-'0'
		if a > 9 || b > 9 {
			return false
		}
		f[i] = int(a)*10 + int(b)
	}
	year := 1900 + f[0]
	if f[0] < 50 {
		year += 100
	}
	if f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > 31 || f[3] > 23 || f[4] > 59 || f[5] > 59 {
		return false
	}
	*out = time.Date(year, time.Month(f[1]), f[2], f[3], f[4], f[5], 0, time.UTC)
	return true
}

// Reasons that matter (RFC 5280 Section 5.3.1).
const (
	reasonHold   = 6
	reasonRemove = 8
)

// lookup returns since when a serial number is revoked.
func (c *crl) lookup(serial *big.Int) (since time.Time, reason int, found bool) {
	var h maphash.Hash
	h.SetSeed(c.seed)
	hash := hashSerial(&h, serialOctets(serial))
	i, found := slices.BinarySearchFunc(c.entries, hash, func(e crlEntry, hash uint64) int { return cmp.Compare(e.hash, hash) })
	if !found || c.entries[i].reason == reasonRemove {
		return time.Time{}, 0, false
	}
	return time.Unix(int64(c.entries[i].date), 0).UTC(), int(c.entries[i].reason), true
}

// skew is how far clocks may differ.
const skew = 5 * time.Minute

// current says whether the CRL can prove at an instant that a certificate is not revoked.
func (c *crl) current(at time.Time, grace time.Duration) error {
	switch {
	case c.thisUpdate.After(at.Add(skew)):
		return fmt.Errorf("the CRL is of %s", date(c.thisUpdate))
	case c.nextUpdate.IsZero():
		return errors.New("the CRL does not say how long it is valid")
	case at.After(c.nextUpdate.Add(grace)):
		return fmt.Errorf("the CRL is out of date since %s", date(c.nextUpdate))
	}
	return nil
}

// status says what the CRL knows of a certificate of its issuer. What is revoked is revoked, however old the list is;
// that something is not takes a list that is current and would have it.
func (c *crl) status(cert *x509.Certificate, at time.Time, grace time.Duration) (Revocation, error) {
	since, reason, found := c.lookup(cert.SerialNumber)
	fresh := c.current(at, grace)
	switch {
	case found && since.After(at): // not yet, at that time
	case found && (reason != reasonHold || fresh == nil):
		return revoked(cert, since, reason), nil
	case found:
		return Revocation{}, fresh
	}
	if fresh != nil {
		return Revocation{}, fresh
	}
	if err := c.scope.covers(cert); err != nil {
		return Revocation{}, err
	}
	return Revocation{Status: Valid}, nil
}

func revoked(c *x509.Certificate, since time.Time, reason int) Revocation {
	words := map[int]string{1: "key compromise", 2: "compromise of the authority", 3: "affiliation changed", 4: "superseded",
		5: "no longer in use", reasonHold: "on hold", 9: "privilege withdrawn", 10: "compromise of the authority"}
	text := "revoked on " + date(since)
	if w := words[reason]; w != "" {
		text += ": " + w
	}
	return Revocation{Status: Revoked, Reason: text, At: since, Subject: c}
}

// checkSigned checks a signature over tbs given the AlgorithmIdentifier in DER. SHA-1 is not accepted.
func checkSigned(by *x509.Certificate, algorithm, tbs, signature []byte) error {
	alg := signatureAlgorithm(algorithm)
	if alg == x509.UnknownSignatureAlgorithm {
		return errors.New("the algorithm is not supported")
	}
	if key, ok := by.PublicKey.(*rsa.PublicKey); by.PublicKey == nil || ok && key.N.BitLen() > maxRSA {
		return errors.New("the key is not supported")
	}
	return by.CheckSignature(alg, tbs, signature)
}

// crlFromFile returns the DER of a CRL that may be in PEM.
func crlFromFile(data []byte) []byte {
	if block, _ := pem.Decode(data); block != nil && block.Type == "X509 CRL" {
		return block.Bytes
	}
	return data
}

// A crlCache holds parsed CRLs up to a number of entries.
type crlCache struct {
	mu      sync.Mutex
	limit   int
	entries int
	lists   map[string]*heldCRL
	clock   uint64
}

type heldCRL struct {
	*crl
	retry time.Time // until when it is not fetched again
	used  uint64
}

// retryAt returns when a list that was fetched at got is to be fetched again: some hours later, at the latest when it
// gets out of date, and not at once if a server has no newer one.
func (c *crl) retryAt(got time.Time) time.Time {
	retry := got.Add(refreshPeriod)
	if c.nextUpdate.Before(retry) {
		retry = c.nextUpdate
	}
	if least := got.Add(retryPeriod); retry.Before(least) {
		return least
	}
	return retry
}

func newCRLCache(limit int) *crlCache { return &crlCache{limit: limit, lists: map[string]*heldCRL{}} }

// crlOverhead is what a list costs besides its entries, in entries.
const crlOverhead = 64

func (c *crlCache) get(key string) (*heldCRL, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.lists[key]
	if ok {
		c.clock++
		h.used = c.clock
	}
	return h, ok
}

// put keeps a list and forgets those that were not asked for longest, if there are too many. A list that is larger than
// the limit is kept alone, as it would be fetched for every message otherwise.
func (c *crlCache) put(key string, l *crl, retry time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.lists[key]; ok {
		c.entries -= len(old.entries) + crlOverhead
		delete(c.lists, key)
	}
	cost := len(l.entries) + crlOverhead
	for c.entries+cost > c.limit && len(c.lists) > 0 {
		oldest := ""
		for k, h := range c.lists {
			if oldest == "" || h.used < c.lists[oldest].used {
				oldest = k
			}
		}
		c.entries -= len(c.lists[oldest].entries) + crlOverhead
		delete(c.lists, oldest)
	}
	c.clock++
	c.lists[key] = &heldCRL{l, retry, c.clock}
	c.entries += cost
}
