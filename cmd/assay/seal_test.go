package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sealingKey writes a private key and returns the name of the file.
func sealingKey(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "arc.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// sealing is the configuration of a sealer.
func sealing(selector, file string) string {
	return fmt.Sprintf("verify: {arc: {seal: {domain: hop.example, selector: %s, key_file: %s}}}\n", selector, file)
}

// Sealing is off unless it is configured. The key is read at start and on reload; a reload with a key that cannot be used
// changes nothing.
func TestServeSeals(t *testing.T) {
	plain := serve(t, "")
	if fields, _ := send(t, plain.dial(t), "4PLAIN", "alice@good.example"); len(fields) != 3 {
		t.Errorf("without sealing: %q", fields)
	}
	plain.stop()
	<-plain.exit
	plain.exit = nil

	file := sealingKey(t)
	s := serve(t, sealing("one", file))
	session := s.dial(t)
	fields, refusal := send(t, session, "4ONE", "alice@good.example")
	if refusal != "" || len(fields) != 6 || !strings.Contains(fields["ARC-Seal"], "i=1; a=ed25519-sha256; cv=none; d=hop.example; s=one;") ||
		!strings.Contains(fields["ARC-Authentication-Results"], "i=1; mx.example.org;") {
		t.Errorf("fields %q, refusal %q", fields, refusal)
	}
	old, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.configure(t, strings.Replace(string(old), "one", "two", 1))
	hangUp(t)
	s.log.await(t, `configuration reloaded" changed=verify.arc.seal.selector`)
	if fields, _ := send(t, session, "4TWO", "alice@good.example"); !strings.Contains(fields["ARC-Seal"], " s=two;") {
		t.Errorf("after the reload: %q", fields)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	hangUp(t)
	s.log.await(t, `reload failed, the old configuration stays in force" reason="verify.arc.seal.key_file: \S+ is open to everybody`)
	if fields, _ := send(t, session, "4SAME", "alice@good.example"); !strings.Contains(fields["ARC-Seal"], " s=two;") {
		t.Errorf("after a failed reload: %q", fields)
	}
}

// A key that cannot be used is found before the first message comes.
func TestServeNeedsTheSealingKey(t *testing.T) {
	config := filepath.Join(t.TempDir(), "assay.yaml")
	if err := os.WriteFile(config, []byte("format: 1\nlisten: {milter: 'inet:127.0.0.1:0'}\n"+sealing("s", "/no/such/key.pem")), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]struct {
		code int
		text string
	}{
		"serve":                 {exitFailed, "verify.arc.seal.key_file: open /no/such/key.pem: no such file or directory"},
		"config check --strict": {exitUsage, "verify.arc.seal.key_file: open /no/such/key.pem: no such file or directory"},
	} {
		var stderr bytes.Buffer
		a := &app{in: strings.NewReader(""), out: io.Discard, err: &stderr, now: time.Now,
			environ: []string{"ASSAY__RULES__STATE=" + t.TempDir(), "ASSAY__LISTEN__CONTROL=", "ASSAY__LOG__PSEUDONYM_KEY="}}
		if code := a.run(context.Background(), append(strings.Fields(command), "--config", config)); code != want.code || !strings.Contains(stderr.String(), want.text) {
			t.Errorf("%s: exit code %d, %s", command, code, &stderr)
		}
	}
}
