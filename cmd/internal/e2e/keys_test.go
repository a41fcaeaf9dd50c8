package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keys are DKIM keys made for one test run, by name: rsa2048, rsa1024 and ed25519. The name is the selector too.
type keys struct {
	dir    string
	public map[string]string // p= of the key record
}

// newKeys makes the keys. Private ones are written to files, as the signing programs want them: RSA as PEM, Ed25519 as
// the base64 text of the seed.
func newKeys(t *testing.T) *keys {
	t.Helper()
	k := &keys{dir: t.TempDir(), public: make(map[string]string)}
	for name, bits := range map[string]int{"rsa2048": 2048, "rsa1024": 1024} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		k.public[name] = base64.StdEncoding.EncodeToString(public)
		text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
		k.write(t, name, text)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k.public["ed25519"] = base64.StdEncoding.EncodeToString(public)
	k.write(t, "ed25519", []byte(base64.StdEncoding.EncodeToString(private.Seed())))
	return k
}

// write writes a private key.
func (k *keys) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(k.file(name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// file is where a private key is.
func (k *keys) file(name string) string { return filepath.Join(k.dir, name) }

// fill replaces {{name}} in a zone by the public key. It stands in a quoted string, of which 255 octets are the most.
func (k *keys) fill(zone string) string {
	for name, p := range k.public {
		if len(p) > 200 {
			p = p[:200] + `" "` + p[200:]
		}
		zone = strings.ReplaceAll(zone, "{{"+name+"}}", p)
	}
	return zone
}

// A signature says how a message is signed.
type signature struct {
	Tool     string // "dkimpy" or "Mail::DKIM"
	Key      string // name of the key, and selector
	Domain   string // d=
	Header   string // canonicalization of the header
	Body     string // canonicalization of the body
	Identity string // i=, "" for none
	Length   bool   // with l=
}

// parseSignature reads "dkimpy rsa2048 d=good.example c=relaxed/simple i=@good.example l".
func parseSignature(text string) (signature, error) {
	words := strings.Fields(text)
	if len(words) < 3 {
		return signature{}, fmt.Errorf("signature %q needs a tool, a key and d=", text)
	}
	s := signature{Tool: words[0], Key: words[1], Header: "relaxed", Body: "relaxed"}
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "d":
			s.Domain = value
		case "c":
			s.Header, s.Body, _ = strings.Cut(value, "/")
		case "i":
			s.Identity = value
		case "l":
			s.Length = true
		default:
			return s, fmt.Errorf("signature %q: unknown %q", text, word)
		}
	}
	return s, nil
}

// dkimpyScript signs or verifies a list of messages. It reads and writes JSON, with octets in base64.
const dkimpyScript = `
import base64, json, sys, dkim
jobs, out = json.load(sys.stdin), []
for j in jobs:
    message = base64.b64decode(j["message"])
    if "zone" in j:
        def txt(name, timeout=5):
            return j["zone"].get(name.decode().rstrip("."), "").encode() or None
        try:
            out.append(str(dkim.verify(message, dnsfunc=txt)))
        except Exception as e:
            out.append(repr(e))
        continue
    alg = b"ed25519-sha256" if j["Key"] == "ed25519" else b"rsa-sha256"
    key = open(j["keyfile"], "rb").read()
    sig = dkim.sign(message, j["Key"].encode(), j["Domain"].encode(), key,
        identity=j["Identity"].encode() or None, length=j["Length"],
        canonicalize=(j["Header"].encode(), j["Body"].encode()), signature_algorithm=alg,
        include_headers=[h.encode() for h in j["include"]] or None)
    out.append(base64.b64encode(sig).decode())
json.dump(out, sys.stdout)
`

// mailDKIMScript signs one message: arguments are key file, selector, domain and canonicalization.
const mailDKIMScript = `
use strict; use Mail::DKIM::Signer;
my ($file, $selector, $domain, $method) = @ARGV;
my $s = Mail::DKIM::Signer->new(Algorithm => "rsa-sha256", Method => $method, Domain => $domain,
    Selector => $selector, KeyFile => $file);
binmode STDIN; binmode STDOUT; local $/; $s->PRINT(scalar <STDIN>); $s->CLOSE;
print $s->signature->as_string, "\r\n";
`

// A dkimpyJob is one message for dkimpy to sign, or, with a zone, to verify.
type dkimpyJob struct {
	signature
	Message []byte            `json:"message"`
	KeyFile string            `json:"keyfile"`
	Include []string          `json:"include"`
	Zone    map[string]string `json:"zone,omitempty"`
}

// dkimpy runs jobs in one process, because starting Python takes longer than the work.
func dkimpy(t *testing.T, jobs []dkimpyJob) []string {
	t.Helper()
	for i := range jobs {
		if jobs[i].Include == nil {
			jobs[i].Include = []string{}
		}
	}
	in, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	if err := json.Unmarshal(runTool(t, in, "/usr/bin/python3", "-c", dkimpyScript), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// sign returns the message with the signature on top.
func (k *keys) sign(t *testing.T, s signature, message []byte) []byte {
	t.Helper()
	switch s.Tool {
	case "dkimpy":
		out := dkimpy(t, []dkimpyJob{{signature: s, Message: message, KeyFile: k.file(s.Key)}})
		field, err := base64.StdEncoding.DecodeString(out[0])
		if err != nil {
			t.Fatal(err)
		}
		return append(field, message...)
	case "Mail::DKIM":
		field := runTool(t, message, "perl", "-e", mailDKIMScript, k.file(s.Key), s.Key, s.Domain, s.Header+"/"+s.Body)
		return append(field, message...)
	}
	t.Fatalf("unknown tool %q", s.Tool)
	return nil
}

// runTool runs a signing program. Where it is not installed the test is skipped, or fails if it must be there.
func runTool(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return out
	}
	missing := strings.Contains(stderr.String(), "ModuleNotFoundError") || strings.Contains(stderr.String(), "Can't locate") || cmd.Process == nil
	if missing && os.Getenv("ASSAY_REQUIRE_MTA") == "" {
		t.Skipf("%s has not what it takes to sign, run packaging/test/deps.sh: %v", name, err)
	}
	t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	return nil
}
