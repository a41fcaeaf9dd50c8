package office

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"

	"golang.org/x/crypto/argon2"

	"assay/scan"
)

// TestWholePackage opens a document that is encrypted as a whole: argon2id and AES-256-GCM, as LibreOffice writes since 24.2.
func TestWholePackage(t *testing.T) {
	inner := openDoc(t, "<text:p>x</text:p>")
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err == nil {
		_, err = w.Write(inner)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	start, salt, iv := sha256.Sum256([]byte("secret")), []byte("0123456789abcdef"), []byte("0123456789ab")
	block, err := aes.NewCipher(argon2.IDKey(start[:], salt, 1, 1024, 1, 32))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	base := base64.StdEncoding.EncodeToString
	const manifest = `<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="encrypted-package"><manifest:encryption-data>` +
		`<manifest:algorithm manifest:algorithm-name="http://www.w3.org/2009/xmlenc11#aes256-gcm" manifest:initialisation-vector="%s"/>` +
		`<manifest:start-key-generation manifest:start-key-generation-name="http://www.w3.org/2001/04/xmlenc#sha256" manifest:key-size="32"/>` +
		`<manifest:key-derivation manifest:key-derivation-name="urn:org:documentfoundation:names:experimental:office:manifest:argon2id" manifest:key-size="32" manifest:salt="%s" ` +
		`loext:argon2-iterations="%d" loext:argon2-memory="%d" loext:argon2-lanes="1"/></manifest:encryption-data></manifest:file-entry></manifest:manifest>`
	locked := func(turns, memory int) []byte {
		return pack(t, "mimetype", "application/vnd.oasis.opendocument.text", "META-INF/manifest.xml", fmt.Sprintf(manifest, base(iv), base(salt), turns, memory),
			"encrypted-package", string(gcm.Seal(bytes.Clone(iv), iv, packed.Bytes(), nil)))
	}
	v, members := read("a.odt", locked(1, 1024), "wrong", "secret")
	if v.State != scan.Inspected || v.Method != "OpenDocument, aes256-gcm, argon2id" || len(members) != 1 || !members[0].Plain || !bytes.Equal(members[0].Content, inner) {
		t.Errorf("%+v, %d members", v, len(members))
	}
	for _, content := range [][]byte{locked(1, 1<<30), locked(1<<30, 1024), locked(0, 0)} { // what a key costs is for the file to say
		if v, _ := read("a.odt", content, "secret"); v.State != scan.Encrypted {
			t.Errorf("%+v", v)
		}
	}
	if v, members := read("a.odt", locked(1, 1024), "wrong"); v.State != scan.Encrypted || len(members) != 1 || members[0].State != scan.Encrypted {
		t.Errorf("%+v", v)
	}
}
