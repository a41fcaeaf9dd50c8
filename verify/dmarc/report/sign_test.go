package report

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dns"
)

// keys are the private keys of the tests and the records of their public keys.
func keys(t testing.TB) (map[string]crypto.Signer, map[string]string) {
	t.Helper()
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&big.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"rsa": big, "ed": private}, map[string]string{
		"rsa": "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der),
		"ed":  "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public),
	}
}

// A zone is a resolver of TXT records.
type zone map[string]string

var errQuestion = errors.New("a question that DKIM does not ask")

func (z zone) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	if txt, found := z[name]; found {
		return dns.Answer[string]{Records: []string{txt}}, nil
	}
	return dns.Answer[string]{}, dns.ErrNXDomain
}

func (zone) LookupIP(context.Context, string, string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, errQuestion
}

func (zone) LookupMX(context.Context, string) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{}, errQuestion
}

func (zone) LookupPTR(context.Context, netip.Addr) (dns.Answer[string], error) {
	return dns.Answer[string]{}, errQuestion
}

// signedMails returns the realistic mail signed with each key, and the zone of the keys.
func signedMails(t testing.TB) (map[string][]byte, zone) {
	t.Helper()
	private, public := keys(t)
	mails, z := map[string][]byte{}, zone{}
	for name, key := range private {
		text, err := Sign(compose(t, mail(t)), SignOptions{Domain: "Receiver.example", Selector: name, Signer: key})
		if err != nil {
			t.Fatal(err)
		}
		mails[name], z[name+"._domainkey.receiver.example"] = text, public[name]
	}
	return mails, z
}

// TestSign verifies signatures, and that they break when a field that readers look at is added or changed.
func TestSign(t *testing.T) {
	mails, z := signedMails(t)
	for name, text := range mails {
		checkLines(t, text)
		if !bytes.HasSuffix(text, compose(t, mail(t))) {
			t.Errorf("%s: the mail behind the signature is another one", name)
		}
		verify := func(text []byte) []dkim.Verification {
			m := read(t, text, time.Now())
			return dkim.Verify(context.Background(), z, m, dkim.Options{})
		}
		vs := verify(text)
		if len(vs) != 1 || vs[0].Result != authres.Pass || vs[0].Domain != "receiver.example" || vs[0].Selector != name ||
			vs[0].Canonicalization != "relaxed/relaxed" || vs[0].BodyLength != -1 || vs[0].Signed.IsZero() {
			t.Errorf("%s: %+v", name, vs)
		}
		for _, field := range []string{"Reply-To", "Cc", "Sender", "References", "In-Reply-To"} {
			if vs := verify([]byte(field + ": <a@b.example>\r\n" + string(text))); vs[0].Result == authres.Pass {
				t.Errorf("%s: passes with another %s", name, field)
			}
		}
		for old, changed := range map[string]string{
			"To: <dmarc@example.com>": "To: <other@example.com>", "Domain: example.com": "Domain: example.org", "2083": "2084",
			"auto-generated": "auto-replied", "22 Nov": "23 Nov",
		} {
			if vs := verify(bytes.Replace(text, []byte(old), []byte(changed), 1)); len(vs) != 1 || vs[0].Result == authres.Pass {
				t.Errorf("%s: %q can become %q: %+v", name, old, changed, vs)
			}
		}
	}
}

// dkimpyScript verifies a mail with dkimpy. Its input is JSON: the mail in base64 and the zone.
const dkimpyScript = `
import base64, dkim, json, sys
job = json.load(sys.stdin)
def ask(name, timeout=5):
    return job['zone'].get(name.decode().rstrip('.'), '').encode() or None
for text in job['mails']:
    print(dkim.verify(base64.b64decode(text), dnsfunc=ask))
`

func TestSignDkimpy(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import dkim, nacl").Run(); err != nil {
		t.Skipf("NOT RUN: dkimpy is not installed (packaging/test/deps.sh): %v", err)
	}
	mails, z := signedMails(t)
	texts := [][]byte{mails["rsa"], mails["ed"], bytes.Replace(mails["rsa"], []byte("Records:  4"), []byte("Records:  5"), 1),
		append([]byte("From: <x@receiver.example>\r\n"), mails["rsa"]...)}
	job, err := json.Marshal(map[string]any{"mails": texts, "zone": z})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", dkimpyScript)
	cmd.Stdin = bytes.NewReader(job)
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "True\nTrue\nFalse\nFalse\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSignRefuses(t *testing.T) {
	private, _ := keys(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := compose(t, mail(t))
	for _, c := range []struct {
		text []byte
		opt  SignOptions
		want string
	}{
		{text, SignOptions{"", "s", private["ed"]}, `report: "" is not the domain of a signer`},
		{text, SignOptions{"example", "s", private["ed"]}, `report: "example" is not the domain of a signer`},
		{text, SignOptions{"receiver.example", "s;", private["ed"]}, `report: "s;" is not a selector`},
		{text, SignOptions{"receiver.example", "s", nil}, "report: there is no key"},
		{text, SignOptions{"receiver.example", "s", small}, "report: RSA key of 1024 bits, not 2048 to 4096"},
		{text, SignOptions{"receiver.example", "s", curve}, "report: *ecdsa.PublicKey is neither an RSA nor an Ed25519 key"},
		{text, SignOptions{"other.example", "s", private["ed"]}, `report: a signature of other.example cannot be aligned with "receiver.example" in From`},
		{text, SignOptions{"eiver.example", "s", private["ed"]}, `report: a signature of eiver.example cannot be aligned with "receiver.example" in From`},
		{[]byte("To: <a@b.example>\r\n\r\n"), SignOptions{"receiver.example", "s", private["ed"]},
			`report: a signature of receiver.example cannot be aligned with "" in From`},
	} {
		if out, err := Sign(c.text, c.opt); err == nil || err.Error() != c.want || out != nil {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	for _, domain := range []string{"receiver.example", "mx.receiver.example"} {
		if _, err := Sign(text, SignOptions{domain, "s", private["ed"]}); err != nil {
			t.Errorf("%s: %v", domain, err)
		}
	}
	if !strings.HasPrefix(string(text), "From: <dmarc-reports@receiver.example>\r\n") {
		t.Errorf("%.100s", text)
	}
}
