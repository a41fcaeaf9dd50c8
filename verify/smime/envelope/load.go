package envelope

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of what is loaded.
const (
	maxFile    = 1 << 20 // octets of a file
	minRSABits = 1024    // shorter keys are not even used by crypto/rsa
	maxRSABits = 8192    // the time grows with the cube
)

// Load reads private keys (PKCS #8, PKCS #1 or SEC 1) and the certificates that belong to them, all in PEM, from files and
// from the files of directories (*.pem, *.key, *.crt, *.cer). It does not matter which file holds what: a key and its
// certificates are matched by the public key. Certificates of authorities may be among them.
//
// A file with a private key that everybody may read or write is an error, as are an encrypted key, one of a kind that opens
// nothing, a key without a certificate and a certificate without a key. The error names every file that is wrong, and never
// shows a part of it.
func Load(paths []string) (*Keys, error) {
	l := loader{}
	for _, path := range paths {
		files, err := filesAt(path)
		if err != nil {
			l.errs = append(l.errs, err)
		}
		for _, file := range files {
			if err := l.read(file); err != nil {
				l.errs = append(l.errs, fmt.Errorf("%s: %w", file, err))
			}
		}
	}
	k := l.match()
	if err := errors.Join(l.errs...); err != nil {
		return nil, err
	}
	return k, nil
}

// A loader collects what files hold.
type loader struct {
	keys  []loadedKey
	certs []loadedCertificate
	errs  []error
}

type loadedKey struct {
	file string
	key  privateKey
}

type loadedCertificate struct {
	file string
	cert *x509.Certificate
}

// A privateKey is one of crypto.
type privateKey interface{ Public() crypto.PublicKey }

// filesAt returns path, or the files in the directory at path that hold keys and certificates, by name.
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
		case ".pem", ".key", ".crt", ".cer":
			if !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
	}
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: the directory holds no file *.pem, *.key, *.crt or *.cer", path)
	}
	return files, err
}

// read takes what one file holds.
func (l *loader) read(file string) error {
	text, mode, err := readFile(file)
	if err != nil {
		return err
	}
	known, other := 0, ""
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "EC PARAMETERS":
			continue
		case block.Type == "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return fmt.Errorf("a certificate is damaged or of an unknown kind: %w", err)
			}
			l.certs = append(l.certs, loadedCertificate{file, cert})
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if mode&0o007 != 0 {
				return fmt.Errorf("the file with a private key is open to everybody (mode %04o): chmod 0600 or 0640", mode)
			}
			key, err := parseKey(block)
			if err != nil {
				return err
			}
			l.keys = append(l.keys, loadedKey{file, key})
		default:
			other = cmp.Or(other, fmt.Sprintf(", but a %.40q", block.Type))
			continue
		}
		known++
	}
	if known == 0 {
		return fmt.Errorf("there is neither a private key nor a certificate in PEM%s", other)
	}
	return nil
}

// readFile reads a file, whose name its errors do not repeat, and returns its permissions.
func readFile(name string) ([]byte, os.FileMode, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, errors.Unwrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, errors.Unwrap(err)
	case !info.Mode().IsRegular():
		return nil, 0, errors.New("is not a file")
	case info.Size() > maxFile:
		return nil, 0, fmt.Errorf("is larger than %d MiB", maxFile>>20)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	return text, info.Mode().Perm(), err
}

// parseKey reads a private key.
func parseKey(block *pem.Block) (privateKey, error) {
	var parsed any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errors.New("the private key is encrypted, and nobody can be asked for the password")
	case block.Type == "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case block.Type == "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%.40q is not a kind of private key that is supported", block.Type)
	}
	if err != nil {
		return nil, errors.New("the private key is damaged or of an unknown kind")
	}
	key, ok := parsed.(privateKey)
	if !ok {
		return nil, fmt.Errorf("a key of the type %T opens nothing", parsed)
	}
	return key, usable(key)
}

// usable says why a key opens nothing, nil if it does.
func usable(key privateKey) error {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
			return fmt.Errorf("an RSA key of %d bits: %d to %d are used", n, minRSABits, maxRSABits)
		}
		return nil
	case *ecdsa.PrivateKey:
		if _, err := k.ECDH(); err != nil {
			return fmt.Errorf("a key on the curve %s opens nothing", k.Curve.Params().Name)
		}
		return nil
	case *ecdh.PrivateKey:
		return nil
	}
	return fmt.Errorf("a key of the type %T signs and opens nothing", key)
}

// match pairs keys with certificates.
func (l *loader) match() *Keys {
	k := &Keys{}
	used := make([]bool, len(l.keys))
	for _, c := range l.certs {
		found := false
		for n, key := range l.keys {
			if !samePublic(key.key.Public(), c.cert) {
				continue
			}
			found, used[n] = true, true
			r, err := newRecipient(c.cert, key.key)
			if err != nil {
				l.errs = append(l.errs, fmt.Errorf("%s: %w", key.file, err))
				continue
			}
			k.add(r)
		}
		if !found && !c.cert.IsCA && !bytes.Equal(c.cert.RawSubject, c.cert.RawIssuer) {
			l.errs = append(l.errs, fmt.Errorf("%s: there is no private key for the certificate with the serial number %X", c.file, c.cert.SerialNumber))
		}
	}
	for n, key := range l.keys {
		if !used[n] {
			l.errs = append(l.errs, fmt.Errorf("%s: there is no certificate for the private key: senders encrypt for certificates", key.file))
		}
	}
	return k
}

// samePublic reports whether a public key is that of a certificate. Of some kinds of keys crypto/x509 does not tell what is in a
// certificate.
func samePublic(public crypto.PublicKey, c *x509.Certificate) bool {
	if k, ok := public.(interface{ Equal(crypto.PublicKey) bool }); ok && c.PublicKey != nil {
		return k.Equal(c.PublicKey)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	return err == nil && bytes.Equal(der, c.RawSubjectPublicKeyInfo)
}

func newRecipient(c *x509.Certificate, key privateKey) (*recipient, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return &recipient{certificate: c, rsa: k}, nil
	case *ecdh.PrivateKey:
		return &recipient{certificate: c, ecdh: k}, nil
	case *ecdsa.PrivateKey:
		private, err := k.ECDH()
		return &recipient{certificate: c, ecdh: private}, err
	}
	return nil, usable(key)
}
