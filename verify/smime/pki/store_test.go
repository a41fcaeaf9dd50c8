package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestShippedBundle proves that the bundle this program is built with can be used.
func TestShippedBundle(t *testing.T) {
	b, err := ShippedBundle()
	if err != nil {
		t.Fatal(err)
	}
	if b.Origin == "" || b.Version == "" || b.Date == "" || len(b.Anchors) < 50 {
		t.Errorf("%q %q %q, %d roots", b.Origin, b.Version, b.Date, len(b.Anchors))
	}
	limited := 0
	for _, a := range b.Anchors {
		if !a.Public || a.Label == "" || a.Name() == "" || a.Certificate.PublicKey == nil {
			t.Errorf("%q cannot be used", a.Label)
		}
		if !a.DistrustAfter.IsZero() {
			limited++
		}
	}
	if limited == 0 {
		t.Error("no root with a date of distrust; GLOBALTRUST 2020 has one")
	}
	var again bytes.Buffer
	if _, err := b.WriteTo(&again); err != nil || !bytes.Equal(again.Bytes(), shippedBundle) {
		t.Errorf("written again, the bundle is another: %v", err)
	}
}

func TestParseBundleDamaged(t *testing.T) {
	root := issue(t, nil, ca("Root"), nil)
	b := Bundle{Origin: "test", Version: "1", Date: "2026-03-01", Anchors: []*Anchor{
		{Certificate: root.Certificate, Label: "one\n# sha256: 0", DistrustAfter: now}, {Certificate: issue(t, nil, ca("Two"), nil).Certificate, Label: "two"}}}
	var text bytes.Buffer
	if _, err := b.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	got, err := ParseBundle(text.Bytes())
	if err != nil || len(got.Anchors) != 2 || !got.Anchors[0].DistrustAfter.Equal(now) || got.Anchors[0].Label != "one # sha256: 0" {
		t.Fatalf("%+v %v", got, err)
	}
	whole := text.String()
	for name, damaged := range map[string]string{
		"empty":              "",
		"something else":     "hello",
		"cut":                whole[:len(whole)-200],
		"one missing":        whole[:strings.Index(whole, "# label: two")],
		"no fingerprint":     strings.Replace(whole, "# sha256: ", "# sha1: ", 2),
		"other fingerprint":  strings.Replace(whole, fingerprint(root.Certificate), fingerprint(b.Anchors[1].Certificate), 1),
		"damaged base64":     strings.Replace(whole, "-----BEGIN CERTIFICATE-----\nMII", "-----BEGIN CERTIFICATE-----\nM!I", 1),
		"damaged date":       strings.Replace(whole, "# distrust-after: 2", "# distrust-after: x", 1),
		"another first line": strings.Replace(whole, "# assay", "# other", 1),
	} {
		if _, err := ParseBundle([]byte(damaged)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	encode := func(c *authority) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) }
	one, two, three := issue(t, nil, ca("One"), nil), issue(t, nil, ca("Two"), nil), issue(t, nil, ca("Three"), nil)
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	write("a.pem", slices.Concat([]byte("# text\n"), encode(one), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}), encode(two)))
	write("b.DER", three.Raw)
	write("README.txt", []byte("not read"))
	write(".hidden.pem", []byte("not read"))
	loaded, err := LoadFiles([]string{dir})
	if err != nil || len(loaded) != 3 || loaded[0].File != filepath.Join(dir, "a.pem") || loaded[2].Certificate.Subject.CommonName != "Three" {
		t.Fatalf("%v %v", loaded, err)
	}
	bad := []string{write("empty.crt", nil), write("junk.cer", []byte("junk")), write("half.pem", slices.Concat(broken, encode(one))), filepath.Join(dir, "absent.pem"), write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}))}
	loaded, err = LoadFiles(bad)
	if len(loaded) != 1 || err == nil {
		t.Fatalf("%v %v", loaded, err)
	}
	for _, name := range bad {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
	if !strings.Contains(err.Error(), "half.pem: certificate 1:") {
		t.Errorf("%q does not say which certificate", err)
	}
}

func TestNewStore(t *testing.T) {
	dir := t.TempDir()
	own := issue(t, nil, ca("Own"), nil)
	b, err := ShippedBundle()
	if err != nil {
		t.Fatal(err)
	}
	shipped := b.Anchors[0].Certificate
	for name, c := range map[string]*x509.Certificate{"own.pem": own.Certificate, "shipped.pem": shipped} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := NewStore(true, []string{dir}, []string{filepath.Join(dir, "absent")})
	if err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("error is %v", err)
	}
	if len(s.Anchors()) != len(b.Anchors)+1 {
		t.Errorf("%d anchors", len(s.Anchors()))
	}
	if a := s.anchor(shipped); a == nil || !a.Public {
		t.Error("a root of the bundle is no public one any more")
	}
	if a := s.anchor(own.Certificate); a == nil || a.Public || !strings.HasSuffix(a.Label, "own.pem") {
		t.Errorf("%+v", a)
	}
	if s, err := NewStore(false, []string{filepath.Join(dir, "shipped.pem")}, nil); err != nil || len(s.Anchors()) != 1 || s.Anchors()[0].Public {
		t.Errorf("without the bundle, a root that is in it is private: %v %v", s.Anchors(), err)
	}
}

func TestHarvest(t *testing.T) {
	dir := t.TempDir()
	c := issue(t, nil, ee("Alice+List@Example.com"), nil)
	name := HarvestName(c.Certificate)
	if want := "alice+list@example.com-" + fingerprint(c.Certificate)[:16] + ".pem"; name != want {
		t.Errorf("%s, want %s", name, want)
	}
	for range 2 {
		if err := Harvest(dir, c.Certificate); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := LoadFiles([]string{dir})
	if err != nil || len(loaded) != 1 || !loaded[0].Certificate.Equal(c.Certificate) {
		t.Errorf("%v %v", loaded, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
	if err := Harvest(filepath.Join(dir, "absent"), c.Certificate); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

// TestHarvestName proves that a signer has no say in where a file goes.
func TestHarvestName(t *testing.T) {
	for mail, want := range map[string]string{
		"../../etc/passwd@example.com": "=2E.=2F..=2Fetc=2Fpasswd@example.com-",
		"-rf@example.com":              "=2Drf@example.com-",
		"a=b%c@example.com":            "a=3Db=25c@example.com-",
		"":                             "unknown-",
	} {
		template := ee()
		if mail != "" {
			template = ee(mail)
		}
		got := HarvestName(issue(t, nil, template, nil).Certificate)
		if !strings.HasPrefix(got, want) || strings.ContainsAny(got, "/\\ \x00:") || len(got) > 200 {
			t.Errorf("%q: %q, want %q", mail, got, want)
		}
	}
	long := HarvestName(issue(t, nil, ee(strings.Repeat("/", 200)+"@example.com"), nil).Certificate)
	if len(long) > 200 || filepath.Base(long) != long {
		t.Errorf("%q", long)
	}
}

func TestAnchorName(t *testing.T) {
	for _, c := range []struct {
		template x509.Certificate
		want     string
	}{
		{ca("Root"), "Root"},
		{with(ca(""), func(c *x509.Certificate) { c.Subject.CommonName = "" }), "Test"},
		{with(ca(""), func(c *x509.Certificate) { c.Subject = mailDN("", "a@example.com") }), "label"},
	} {
		a := Anchor{Certificate: issue(t, nil, c.template, nil).Certificate, Label: "label"}
		if got := a.Name(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestZeroValues(t *testing.T) {
	if Trust("").Good() || (Result{}).Trust.Good() {
		t.Error("the zero value is good")
	}
	if (Result{}).Trust != "" || rank("") <= rank(Incomplete) {
		t.Error("no result is better than the worst")
	}
}
