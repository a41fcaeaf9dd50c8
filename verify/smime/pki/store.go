package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Store holds trust anchors and intermediate certificates. Fill it before the first use; then it does not change.
type Store struct {
	anchors       []*Anchor
	byName        map[string][]*Anchor           // by nameKey of the subject
	intermediates map[string][]*x509.Certificate // likewise
	lists         map[string][][]byte            // CRLs in DER by nameKey of their issuer
}

// NewStore returns the bundle of public roots, if public, with the roots and intermediates of files and directories. Files
// of intermediates called *.crl are CRLs, for authorities that publish none over http. Every file that cannot be read or holds no certificate is named in the error; the store then has everything else.
func NewStore(public bool, roots, intermediates []string) (*Store, error) {
	s := &Store{}
	var errs []error
	if public {
		b, err := ShippedBundle()
		errs = append(errs, err)
		for _, a := range b.Anchors {
			s.AddAnchor(a)
		}
	}
	loaded, err := LoadFiles(roots)
	errs = append(errs, err)
	for _, l := range loaded {
		s.AddAnchor(&Anchor{Certificate: l.Certificate, Label: l.File})
	}
	lists, others := splitLists(intermediates)
	loaded, err = LoadFiles(others)
	errs = append(errs, err)
	for _, l := range loaded {
		s.AddIntermediate(l.Certificate)
	}
	for _, file := range lists {
		if err := s.loadCRL(file); err != nil {
			errs = append(errs, fmt.Errorf("pki: %s: %w", file, err))
		}
	}
	return s, errors.Join(errs...)
}

// splitLists returns the files of CRLs, named or in directories, and all paths that are no such file.
func splitLists(paths []string) (lists, others []string) {
	for _, path := range paths {
		if isList(path) {
			lists = append(lists, path)
			continue
		}
		others = append(others, path)
		entries, _ := os.ReadDir(path) // of a file there are none; of an error LoadFiles tells
		for _, e := range entries {
			if isList(e.Name()) && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
				lists = append(lists, filepath.Join(path, e.Name()))
			}
		}
	}
	return lists, others
}

func isList(name string) bool { return strings.EqualFold(filepath.Ext(name), ".crl") }

func (s *Store) loadCRL(name string) error {
	data, err := readFile(name, maxCRL)
	if err != nil {
		return err
	}
	return s.AddCRL(crlFromFile(data))
}

// AddCRL adds a CRL in DER. Its signature is checked when it is used.
func (s *Store) AddCRL(der []byte) error {
	var c crl
	if err := c.peek(der); err != nil {
		return err
	}
	if s.lists == nil {
		s.lists = map[string][][]byte{}
	}
	key := nameKey(c.issuer)
	s.lists[key] = append(s.lists[key], der)
	return nil
}

// AddAnchor adds a trust anchor. One that is there already keeps its origin: a public root stays public, with the date
// up to which it is trusted, if the operator names it as well.
func (s *Store) AddAnchor(a *Anchor) {
	if s.byName == nil {
		s.byName = map[string][]*Anchor{}
	}
	if s.anchor(a.Certificate) != nil {
		return
	}
	key := nameKey(a.Certificate.RawSubject)
	s.anchors = append(s.anchors, a)
	s.byName[key] = append(s.byName[key], a)
}

// AddIntermediate adds a certificate that helps to build paths and is not trusted by itself.
func (s *Store) AddIntermediate(c *x509.Certificate) {
	if s.intermediates == nil {
		s.intermediates = map[string][]*x509.Certificate{}
	}
	key := nameKey(c.RawSubject)
	if !slices.ContainsFunc(s.intermediates[key], c.Equal) {
		s.intermediates[key] = append(s.intermediates[key], c)
	}
}

// Anchors returns every trust anchor.
func (s *Store) Anchors() []*Anchor { return s.anchors }

// anchor returns the anchor that is this certificate, or nil.
func (s *Store) anchor(c *x509.Certificate) *Anchor {
	for _, a := range s.byName[nameKey(c.RawSubject)] {
		if a.Certificate.Equal(c) {
			return a
		}
	}
	return nil
}

// A Loaded certificate and the file it came from.
type Loaded struct {
	Certificate *x509.Certificate
	File        string
}

// maxFile bounds a file of certificates.
const maxFile = 16 << 20

// LoadFiles reads certificates, PEM or DER, from files and from the files of directories (*.pem, *.crt, *.cer, *.der).
// Certificates that crypto/x509 does not understand
// are left out and named in the error, as is every file that holds none.
func LoadFiles(paths []string) ([]Loaded, error) {
	var all []Loaded
	var errs []error
	for _, path := range paths {
		files, err := filesAt(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("pki: %w", err))
		}
		for _, file := range files {
			certs, err := loadFile(file)
			if err != nil {
				errs = append(errs, fmt.Errorf("pki: %s: %w", file, err))
			}
			for _, c := range certs {
				all = append(all, Loaded{c, file})
			}
		}
	}
	return all, errors.Join(errs...)
}

// filesAt returns path, or the files of certificates in the directory at path, by name.
func filesAt(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	var files []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".pem", ".crt", ".cer", ".der":
			if !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
	}
	return files, err
}

func loadFile(name string) ([]*x509.Certificate, error) {
	data, err := readFile(name, maxFile)
	if err != nil {
		return nil, err
	}
	return parseCertificates(data)
}

// readFile reads a file of at most limit octets. Its errors do not name it.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("larger than %d MB", limit>>20)
	}
	return data, nil
}

// parseCertificates reads certificates in PEM, or one in DER.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		c, err := x509.ParseCertificate(data)
		if err != nil {
			return nil, fmt.Errorf("neither PEM nor a certificate in DER: %w", err)
		}
		return []*x509.Certificate{c}, nil
	}
	var certs []*x509.Certificate
	var errs []error
	for n := 1; ; n++ {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			n--
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			errs = append(errs, fmt.Errorf("certificate %d: %w", n, err))
			continue
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("holds no certificate"))
	}
	return certs, errors.Join(errs...)
}
