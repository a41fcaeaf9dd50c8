package pki

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

//go:embed roots.pem
var shippedBundle []byte

// A Bundle is a list of public roots that are trusted for e-mail, and where it comes from. As text it is PEM, with
// comment lines "# key: value" before each certificate:
//
//	# assay e-mail roots
//	# origin: where the list was taken from
//	# version: its version
//	# date: 2026-11-21
//	# roots: 1
//
//	# label: Example Root
//	# sha256: fingerprint of the certificate
//	# distrust-after: 2024-06-30T00:00:00Z
//	-----BEGIN CERTIFICATE-----
//	...
type Bundle struct {
	Origin  string
	Version string
	Date    string // of the list or of its import, YYYY-MM-DD
	Anchors []*Anchor
}

// bundleTitle is the first line of a bundle; bundleSelection says how one is made.
const (
	bundleTitle     = "# assay e-mail roots"
	bundleSelection = "certificates with CKA_TRUST_EMAIL_PROTECTION CKT_NSS_TRUSTED_DELEGATOR, taken by verify/smime/pki/certdata"
)

// ShippedBundle returns the bundle that this package was built with.
func ShippedBundle() (Bundle, error) { return ParseBundle(shippedBundle) }

// ParseBundle reads a bundle. A certificate whose fingerprint is not the one noted before it is an error, so that a
// damaged bundle is never a shorter one.
func ParseBundle(text []byte) (Bundle, error) {
	if !bytes.HasPrefix(text, []byte(bundleTitle+"\n")) {
		return Bundle{}, errors.New("pki: not a bundle of e-mail roots")
	}
	var b Bundle
	count := ""
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		notes := notesOf(text[:len(text)-len(rest)])
		text = rest
		if len(b.Anchors) == 0 {
			b.Origin, b.Version, b.Date, count = notes["origin"], notes["version"], notes["date"], notes["roots"]
		}
		a, err := parseAnchor(block.Bytes, notes)
		if err != nil {
			return Bundle{}, fmt.Errorf("pki: root %q of the bundle: %w", notes["label"], err)
		}
		b.Anchors = append(b.Anchors, a)
	}
	if got := strconv.Itoa(len(b.Anchors)); got != count {
		return Bundle{}, fmt.Errorf("pki: the bundle has %s roots that can be read, not %q", got, count)
	}
	return b, nil
}

// notesOf returns the comment lines "# key: value".
func notesOf(text []byte) map[string]string {
	notes := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "# "); ok {
			if key, value, ok := strings.Cut(rest, ": "); ok {
				notes[key] = strings.TrimSpace(value)
			}
		}
	}
	return notes
}

func parseAnchor(der []byte, notes map[string]string) (*Anchor, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if got := fingerprint(c); got != notes["sha256"] {
		return nil, fmt.Errorf("fingerprint is %s, not %s", got, notes["sha256"])
	}
	a := &Anchor{Certificate: c, Public: true, Label: notes["label"]}
	if s := notes["distrust-after"]; s != "" {
		if a.DistrustAfter, err = time.Parse(time.RFC3339, s); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// WriteTo writes the bundle as text.
func (b Bundle) WriteTo(w io.Writer) (int64, error) {
	var buf bytes.Buffer
	out := bufio.NewWriter(&buf)
	fmt.Fprintf(out, "%s\n# origin: %s\n# version: %s\n# date: %s\n# roots: %d\n# selection: %s\n",
		bundleTitle, oneLine(b.Origin), oneLine(b.Version), oneLine(b.Date), len(b.Anchors), bundleSelection)
	for _, a := range b.Anchors {
		fmt.Fprintf(out, "\n# label: %s\n# sha256: %s\n", oneLine(a.Label), fingerprint(a.Certificate))
		if !a.DistrustAfter.IsZero() {
			fmt.Fprintf(out, "# distrust-after: %s\n", a.DistrustAfter.UTC().Format(time.RFC3339))
		}
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw}))
	}
	out.Flush()
	return buf.WriteTo(w)
}

// oneLine keeps a value of a note on its line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// fingerprint returns the SHA-256 fingerprint of a certificate in lower-case hex.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
