// Package certdata reads the list of built-in roots of Mozilla's NSS, certdata.txt, and takes from it what is trusted
// for e-mail. It reads text and returns values.
//
// The file is a sequence of PKCS #11 objects, each a run of lines "ATTRIBUTE TYPE VALUE"; values in octets stand on the
// lines after MULTILINE_OCTAL, up to END. A certificate (CKO_CERTIFICATE) and what it is trusted for (CKO_NSS_TRUST) are
// two objects with the same issuer and serial number.
package certdata

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"assay/verify/smime/pki"
)

// maxLine and maxValue bound a line and the octets of one attribute.
const (
	maxLine  = 64 << 10
	maxValue = 1 << 20
)

// Parse returns the roots that are trusted to issue certificates for e-mail, in the order of the file. It fails if it
// does not understand the file, if a trusted root has no certificate, or if there is no trusted root at all: a list that
// is read in part must not be used.
func Parse(r io.Reader) ([]*pki.Anchor, error) {
	objects, err := parseObjects(r)
	if err != nil {
		return nil, err
	}
	trusted := map[string]bool{}
	for _, o := range objects {
		if o.isTrust() && o.trustsEmail() {
			trusted[o.key()] = true
		}
	}
	var anchors []*pki.Anchor
	for _, o := range objects {
		if o.words["CKA_CLASS"] != "CKO_CERTIFICATE" || !trusted[o.key()] {
			continue
		}
		a, err := o.anchor()
		if err != nil {
			return nil, fmt.Errorf("certdata: line %d: %w", o.line, err)
		}
		anchors = append(anchors, a)
		delete(trusted, o.key())
	}
	switch {
	case len(trusted) > 0:
		return nil, fmt.Errorf("certdata: %d roots are trusted for e-mail and have no certificate", len(trusted))
	case len(anchors) == 0:
		return nil, errors.New("certdata: no root is trusted for e-mail")
	}
	return anchors, nil
}

// An object is one PKCS #11 object.
type object struct {
	line   int               // where it begins
	words  map[string]string // attributes with a value on their line; text without its quotes
	octets map[string][]byte // attributes in MULTILINE_OCTAL
}

// isTrust knows both names of the class: NSS is moving to the one of PKCS #11 3.2.
func (o *object) isTrust() bool {
	return o.words["CKA_CLASS"] == "CKO_NSS_TRUST" || o.words["CKA_CLASS"] == "CKO_TRUST"
}

func (o *object) trustsEmail() bool {
	return o.words["CKA_TRUST_EMAIL_PROTECTION"] == "CKT_NSS_TRUSTED_DELEGATOR" ||
		o.words["CKA_PKCS_TRUST_EMAIL_PROTECTION"] == "CKT_TRUST_ANCHOR"
}

// key identifies the certificate an object is about.
func (o *object) key() string {
	return string(o.octets["CKA_ISSUER"]) + "\x00" + string(o.octets["CKA_SERIAL_NUMBER"])
}

func (o *object) anchor() (*pki.Anchor, error) {
	c, err := x509.ParseCertificate(o.octets["CKA_VALUE"])
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(c.RawIssuer, o.octets["CKA_ISSUER"]) {
		return nil, errors.New("the certificate has another issuer than its object")
	}
	a := &pki.Anchor{Certificate: c, Public: true, Label: o.words["CKA_LABEL"]}
	// The value is a UTCTime without tag and length, or CK_FALSE.
	if at := o.octets["CKA_NSS_EMAIL_DISTRUST_AFTER"]; at != nil {
		if a.DistrustAfter, err = time.Parse("060102150405Z", string(at)); err != nil {
			return nil, fmt.Errorf("CKA_NSS_EMAIL_DISTRUST_AFTER: %w", err)
		}
	}
	return a, nil
}

// parseObjects reads every object after the line BEGINDATA.
func parseObjects(r io.Reader) ([]*object, error) {
	p := &parser{lines: bufio.NewScanner(r)}
	p.lines.Buffer(nil, maxLine)
	for p.next() {
		if err := p.statement(); err != nil {
			return nil, fmt.Errorf("certdata: line %d: %w", p.line, err)
		}
	}
	if err := p.lines.Err(); err != nil {
		return nil, fmt.Errorf("certdata: line %d: %w", p.line, err)
	}
	if !p.begun {
		return nil, errors.New("certdata: no line BEGINDATA: not a certdata.txt")
	}
	return p.objects, nil
}

type parser struct {
	lines   *bufio.Scanner
	line    int
	begun   bool // after BEGINDATA
	objects []*object
}

func (p *parser) next() bool {
	p.line++
	return p.lines.Scan()
}

// statement reads the statement that begins on the current line.
func (p *parser) statement() error {
	text := strings.TrimSpace(p.lines.Text())
	switch {
	case text == "" || strings.HasPrefix(text, "#"):
		return nil
	case text == "BEGINDATA":
		p.begun = true
		return nil
	case !p.begun:
		return nil // older files have CVS_ID lines here
	}
	name, rest, _ := strings.Cut(text, " ")
	kind, value, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if name == "CKA_CLASS" {
		p.objects = append(p.objects, &object{line: p.line, words: map[string]string{}, octets: map[string][]byte{}})
	}
	if len(p.objects) == 0 || kind == "" {
		return fmt.Errorf("%q is not expected here", name)
	}
	return p.attribute(p.objects[len(p.objects)-1], name, kind, strings.TrimSpace(value))
}

func (p *parser) attribute(o *object, name, kind, value string) error {
	if _, ok := o.words[name]; ok || o.octets[name] != nil {
		return fmt.Errorf("second %s in one object", name)
	}
	var err error
	switch kind {
	case "MULTILINE_OCTAL":
		o.octets[name], err = p.octal()
	case "UTF8":
		o.words[name], err = strconv.Unquote(value)
	default:
		o.words[name] = value
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// octal reads lines of octets as \nnn up to the line END.
func (p *parser) octal() ([]byte, error) {
	value := []byte{}
	for p.next() {
		text := strings.TrimSpace(p.lines.Text())
		if text == "END" {
			return value, nil
		}
		for ; text != ""; text = text[4:] {
			if len(text) < 4 || text[0] != '\\' {
				return nil, fmt.Errorf("%q is not an octet in octal", text)
			}
			n, err := strconv.ParseUint(text[1:4], 8, 8)
			if err != nil {
				return nil, fmt.Errorf("%q is not an octet in octal", text[:4])
			}
			value = append(value, byte(n))
		}
		if len(value) > maxValue {
			return nil, errors.New("value is too long")
		}
	}
	return nil, errors.New("no END")
}
