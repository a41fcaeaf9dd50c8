package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"
)

var testText = []byte("Content-Type: text/plain\r\n\r\nPay 100 EUR to Bob.\r\n")

// An identity is a key with a certificate for it.
type identity struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// newIdentity makes a self-signed certificate.
func newIdentity(t testing.TB, key crypto.Signer, serial int64) identity {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "Alice", Organization: []string{"Example"}},
		NotBefore:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		SubjectKeyId: []byte{1, 2, 3, byte(serial)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return identity{key, cert}
}

// keys are made once: RSA keys are slow.
var keys = sync.OnceValues(func() (map[string]crypto.Signer, error) {
	made := map[string]crypto.Signer{}
	var err error
	add := func(name string, key crypto.Signer, e error) {
		made[name] = key
		if e != nil {
			err = e
		}
	}
	for name, bits := range map[string]int{"rsa": 2048, "rsa2": 2048, "rsa1024": 1024} {
		key, e := rsa.GenerateKey(rand.Reader, bits)
		add(name, key, e)
	}
	for name, curve := range map[string]elliptic.Curve{
		"p224": elliptic.P224(), "p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521(),
	} {
		key, e := ecdsa.GenerateKey(curve, rand.Reader)
		add(name, key, e)
	}
	_, key, e := ed25519.GenerateKey(rand.Reader)
	add("ed25519", key, e)
	return made, err
})

func identityOf(t testing.TB, name string) identity {
	t.Helper()
	made, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	key, ok := made[name]
	if !ok {
		t.Fatalf("no key %q", name)
	}
	return newIdentity(t, key, 42)
}

// A recipe says how to make a SignedData with one signer. The zero value of most fields is what an honest sender does.
type recipe struct {
	id          identity
	digest      string   // name in digestTable
	scheme      []int    // OID of the signature algorithm
	parameters  []byte   // of the signature algorithm; NULL by default for RSA
	content     []byte   // testText if nil
	detached    bool     // leave the content out
	keyID       bool     // identify by subjectKeyIdentifier
	plain       bool     // no signed attributes
	unsorted    string   // "as-sent", "as-der": how unsorted attributes are signed
	extra       [][]byte // further signed attributes
	attributes  [][]byte // all signed attributes instead
	rawSigned   []byte   // the field signedAttrs, instead of any
	unsigned    [][]byte
	contentType []int    // eContentType; id-data if nil
	listed      []byte   // digestAlgorithms instead
	certs       [][]byte // instead of the signer's
	crls        []byte   // content of the field crls
	copies      int      // how often the SignerInfo is there; once if 0
	noSigner    bool
	chunk       int // > 0: indefinite lengths, and the content in pieces of so many octets
}

func oid(numbers ...int) []byte {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(numbers))
	if err != nil {
		panic(err)
	}
	return der
}

func seq(parts ...[]byte) []byte   { return appendElement(nil, tagSequence, parts...) }
func setOf(parts ...[]byte) []byte { return appendElement(nil, tagSet, parts...) }
func octets(b []byte) []byte       { return appendElement(nil, tagOctetString, b) }

func attribute(kind asn1.ObjectIdentifier, values ...[]byte) []byte {
	return seq(oid(kind...), setOf(values...))
}

func utcTime(text string) []byte { return appendElement(nil, 0x17, []byte(text)) }

// standard returns the attributes every sender signs.
func (r recipe) standard(t testing.TB) [][]byte {
	state := r.hash(t).New()
	state.Write(r.text())
	kind := r.contentType
	if kind == nil {
		kind = oidData
	}
	return [][]byte{
		attribute(oidContentType, oid(kind...)),
		attribute(oidSigningTime, utcTime("261101120000Z")),
		attribute(oidMessageDigest, octets(state.Sum(nil))),
	}
}

func (r recipe) text() []byte {
	if r.content == nil {
		return testText
	}
	return r.content
}

func (r recipe) hash(t testing.TB) crypto.Hash { return r.algorithm(t).hash }

func (r recipe) algorithm(t testing.TB) digest {
	t.Helper()
	for _, d := range digestTable {
		if d.name == r.digest {
			return d
		}
	}
	t.Fatalf("no digest %q", r.digest)
	return digest{}
}

// sign signs tbs as the scheme wants it.
func (r recipe) sign(t testing.TB, tbs []byte) []byte {
	t.Helper()
	hash := r.hash(t)
	state := hash.New()
	state.Write(tbs)
	sum := state.Sum(nil)
	var opts crypto.SignerOpts = hash
	switch {
	case slices.Equal(r.scheme, oidEd25519):
		sum, opts = tbs, crypto.Hash(0)
	case slices.Equal(r.scheme, oidRSAPSS):
		salt := hash.Size()
		if p, err := parsePSS(r.parameters); err == nil && p.SaltLength > 0 {
			salt = p.SaltLength
		}
		opts = &rsa.PSSOptions{SaltLength: salt, Hash: hash}
	}
	signature, err := r.id.key.Sign(rand.Reader, sum, opts)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// signer makes the SignerInfo.
func (r recipe) signer(t testing.TB) []byte {
	sid := seq(r.id.cert.RawIssuer, must(asn1.Marshal(r.id.cert.SerialNumber)))
	version := []byte{2, 1, 1}
	if r.keyID {
		sid, version = appendElement(nil, byte(context0), r.id.cert.SubjectKeyId), []byte{2, 1, 3}
	}
	tbs, field := r.signedPart(t)
	parameters := r.parameters
	if parameters == nil && r.scheme[1] == 2 && r.scheme[2] == 840 && r.scheme[3] == 113549 {
		parameters = derNull
	}
	parts := [][]byte{
		version, sid, seq(oid(r.algorithm(t).oid...)), field,
		seq(oid(r.scheme...), parameters), octets(r.sign(t, tbs)),
	}
	if r.unsigned != nil {
		parts = append(parts, appendElement(nil, byte(context1Constructed), r.unsigned...))
	}
	return seq(parts...)
}

// signedPart returns what is signed, and the field signedAttrs as it is sent.
func (r recipe) signedPart(t testing.TB) (tbs, field []byte) {
	if r.plain {
		return r.text(), r.rawSigned
	}
	attributes := r.attributes
	if attributes == nil {
		attributes = append(r.standard(t), r.extra...)
	}
	sorted := slices.Clone(attributes)
	slices.SortFunc(sorted, bytes.Compare)
	if r.unsorted == "" {
		attributes = sorted
	} else {
		attributes = slices.Clone(sorted)
		slices.Reverse(attributes)
	}
	tbs = setOf(sorted...)
	if r.unsorted == "as-sent" {
		tbs = setOf(attributes...)
	}
	if r.rawSigned != nil {
		return tbs, r.rawSigned
	}
	return tbs, appendElement(nil, byte(context0Constructed), attributes...)
}

// build makes the ContentInfo.
func (r recipe) build(t testing.TB) []byte {
	t.Helper()
	kind := r.contentType
	if kind == nil {
		kind = oidData
	}
	listed := r.listed
	if listed == nil {
		listed = setOf(seq(oid(r.algorithm(t).oid...)))
	}
	certs := r.certs
	if certs == nil {
		certs = [][]byte{r.id.cert.Raw}
	}
	var signers [][]byte
	for range max(r.copies, 1) {
		if !r.noSigner {
			signers = append(signers, r.signer(t))
		}
	}
	parts := [][]byte{
		{2, 1, 1}, listed, seq(oid(kind...), r.explicitContent()),
		appendElement(nil, byte(context0Constructed), certs...),
	}
	if r.crls != nil {
		parts = append(parts, appendElement(nil, byte(context1Constructed), r.crls))
	}
	return r.wrap(append(parts, setOf(signers...)))
}

// explicitContent returns the field eContent.
func (r recipe) explicitContent() []byte {
	if r.detached {
		return nil
	}
	if r.chunk == 0 {
		return appendElement(nil, byte(context0Constructed), octets(r.text()))
	}
	var chunks []byte
	for piece := range slices.Chunk(r.text(), r.chunk) {
		chunks = append(chunks, octets(piece)...)
	}
	return indefinite(byte(context0Constructed), indefinite(tagOctetString|constructed, chunks))
}

func (r recipe) wrap(parts [][]byte) []byte {
	kind := oid(1, 2, 840, 113549, 1, 7, 2)
	if r.chunk == 0 {
		return seq(kind, appendElement(nil, byte(context0Constructed), seq(parts...)))
	}
	data := indefinite(tagSequence, bytes.Join(parts, nil))
	return indefinite(tagSequence, append(kind, indefinite(byte(context0Constructed), data)...))
}

func indefinite(tag byte, content []byte) []byte {
	return slices.Concat([]byte{tag, 0x80}, content, []byte{0, 0})
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// verify parses data and verifies its first signer; detached signatures are about text.
func verify(t testing.TB, data, text []byte, more ...*x509.Certificate) SignerResult {
	t.Helper()
	o, err := Parse(data, Limits{})
	if err != nil {
		return SignerResult{Integrity: Malformed, Reason: err.Error()}
	}
	if o.Signed == nil || len(o.Signed.Signers) == 0 {
		return SignerResult{Integrity: Malformed, Reason: "no signers"}
	}
	content := o.Signed.Embedded()
	if text != nil {
		content = o.Signed.NewContent()
		for piece := range slices.Chunk(text, 7) {
			content.Write(piece)
		}
	}
	return o.Signed.VerifySigner(0, content, more)
}

// pssParameters encodes RSASSA-PSS-params.
func pssParameters(hash, mask asn1.ObjectIdentifier, salt int) []byte {
	explicit := func(n byte, content []byte) []byte { return appendElement(nil, 0xa0|n, content) }
	return seq(
		explicit(0, seq(oid(hash...), derNull)),
		explicit(1, seq(oid(oidMGF1...), seq(oid(mask...), derNull))),
		explicit(2, must(asn1.Marshal(salt))),
	)
}

// String makes failures readable.
func (r SignerResult) String() string {
	return fmt.Sprintf("%s (%s) %s %d weak=%v flags=%v", r.Integrity, r.Reason, r.Algorithm, r.KeyBits, r.Weak, r.Flags)
}
