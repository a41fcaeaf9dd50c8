package sealed

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/asn1"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
)

// tlv is an element of DER.
func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	head := []byte{tag}
	switch n := len(body); {
	case n < 0x80:
		head = append(head, byte(n))
	case n < 0x10000:
		head = append(head, 0x82, byte(n>>8), byte(n))
	default:
		head = append(head, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(head, body...)
}

func oidOf(t testing.TB, dots ...int) []byte {
	t.Helper()
	der, err := asn1.Marshal(asn1.ObjectIdentifier(dots))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// pkcs7 is an object identifier of PKCS #7.
func pkcs7(t testing.TB, n int) []byte { return oidOf(t, 1, 2, 840, 113549, 1, 7, n) }

func signedOf(t testing.TB, inner, content []byte) []byte {
	return tlv(0x30, pkcs7(t, 2), tlv(0xa0, tlv(0x30, []byte{2, 1, 1}, tlv(0x31), tlv(0x30, inner, tlv(0xa0, content)), tlv(0x31))))
}

func compressedCMS(t testing.TB, content []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(content)
	_ = w.Close()
	return tlv(0x30, oidOf(t, 1, 2, 840, 113549, 1, 9, 16, 1, 9), tlv(0xa0, tlv(0x30, []byte{2, 1, 0},
		tlv(0x30, oidOf(t, 1, 2, 840, 113549, 1, 9, 16, 3, 8)), tlv(0x30, pkcs7(t, 1), tlv(0xa0, tlv(4, b.Bytes()))))))
}

func TestCMS(t *testing.T) {
	enveloped := testdata(t, "enveloped.p7m")
	ber := testdata(t, "enveloped-ber.p7m")
	mail := []byte("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nhello")
	const method = "CMS EnvelopedData, AES-256-CBC, 1 recipient (RSA)"
	for _, c := range []struct {
		name    string
		content []byte
		state   scan.State
		method  string
		member  []byte
	}{
		{"bare base64", []byte(wrap(enveloped)), scan.Encrypted, method, nil},
		{"bare base64 of BER", []byte("\r\n" + strings.ReplaceAll(wrap(ber), "\n", "\r\n")), scan.Encrypted, method, nil},
		{"PEM in a text", []byte("Hello\n-----BEGIN PKCS7-----\n" + wrap(enveloped) + "-----END PKCS7-----\n"), scan.Encrypted, method, nil},
		{"PEM, the second one", []byte("-----BEGIN CMS-----\n" + wrap(signedOf(t, pkcs7(t, 1), tlv(4, mail))) + "-----END CMS-----\n-----BEGIN CMS-----\n" + wrap(enveloped) + "-----END CMS-----\n"), scan.Encrypted, method, mail},
		{"line end behind", append(bytes.Clone(enveloped), "\r\n"...), scan.Encrypted, method, nil},
		{"line end behind BER", append(bytes.Clone(ber), "\r\n"...), scan.Encrypted, method, nil},
		{"something behind", append(bytes.Clone(enveloped), "hidden"...), scan.Encrypted, method, []byte("hidden")},
		{"cut off", enveloped[:len(enveloped)-20], scan.Encrypted, "CMS EnvelopedData, damaged", nil},
		{"BER, cut off", ber[:len(ber)-20], scan.Encrypted, "CMS EnvelopedData, damaged", nil},
		{"signed", signedOf(t, pkcs7(t, 1), tlv(4, mail)), scan.Inspected, "", mail},
		{"signed, segments", signedOf(t, pkcs7(t, 1), tlv(0x24, tlv(4, mail[:9]), tlv(4, mail[9:]))), scan.Inspected, "", mail},
		{"signed, of PKCS #7 1.5", signedOf(t, pkcs7(t, 1), tlv(0x30, []byte{2, 1, 7})), scan.Inspected, "", tlv(0x30, []byte{2, 1, 7})},
		{"a time stamp", signedOf(t, oidOf(t, 1, 2, 840, 113549, 1, 9, 16, 1, 4), tlv(4, tlv(0x30))), scan.Inspected, "", nil},
		{"signed around enveloped", signedOf(t, pkcs7(t, 3), tlv(4, tlv(0x30, []byte{2, 1, 0}))), scan.Encrypted, "CMS EnvelopedData inside of another CMS object", nil},
		{"signed and enveloped", tlv(0x30, pkcs7(t, 4), tlv(0xa0, tlv(0x30, []byte{2, 1, 1}))), scan.Encrypted, "PKCS #7 signedAndEnvelopedData", nil},
		{"compressed", compressedCMS(t, mail), scan.Inspected, "", mail},
		{"compressed, cut off", tlvCut(compressedCMS(t, noise(1, 2000))), scan.Uninspectable, "CMS object: damaged", nil},
		{"signed, broken", tlv(0x30, pkcs7(t, 2), tlv(0xa0, tlv(0x30, []byte{2, 1, 1}))), scan.Uninspectable, "CMS object: damaged", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			read(t, "", c.content).want(t, "cms", c.state, c.method, c.member)
		})
	}
}

// tlvCut cuts the end off.
func tlvCut(b []byte) []byte { return b[:len(b)-30] }

// TestCMSMembers: what is inside has the name and the type that programs give it.
func TestCMSMembers(t *testing.T) {
	pdf := signedOf(t, pkcs7(t, 1), tlv(4, []byte("%PDF-1.4 and so on")))
	for _, c := range []struct {
		file, name, declared string
		content              []byte
	}{
		{"invoice.pdf.p7m", "invoice.pdf", "", pdf},
		{"invoice.PDF.P7M", "invoice.PDF", "", pdf},
		{"smime.p7m", "", "", pdf},
		{"", "", "", pdf},
		{"smime.p7m", "", "message/rfc822", signedOf(t, pkcs7(t, 1), tlv(4, entity))},
		{"a.txt.p7m", "", "message/rfc822", signedOf(t, pkcs7(t, 1), tlv(4, []byte("\r\nX-A: b\r\n c\r\nmime-version: 1.0\r\n\r\n")))},
		{"", "", "", signedOf(t, pkcs7(t, 1), tlv(4, []byte("Note: this is text\nContent-Type is a word of it\n")))},
	} {
		r := read(t, c.file, c.content)
		if len(r.members) != 1 || r.members[0].Name != c.name || r.members[0].Declared != c.declared || !r.members[0].Plain {
			t.Errorf("%q: %+v", c.file, r.members)
		}
	}
}

// TestCMSNested: signed objects inside of each other come to light one by one.
func TestCMSNested(t *testing.T) {
	content := []byte("hello")
	for range 4 {
		content = signedOf(t, pkcs7(t, 2), tlv(4, content))
	}
	for range 4 {
		r := read(t, "", content)
		if len(r.members) != 1 {
			t.Fatalf("%+v", r)
		}
		content = r.members[0].Content
	}
	inner := testdata(t, "enveloped.p7m")
	r := read(t, "", compressedCMS(t, signedOf(t, pkcs7(t, 1), tlv(4, inner))))
	r = read(t, "", r.members[0].Content)
	read(t, "", r.members[0].Content).want(t, "cms", scan.Encrypted, "CMS EnvelopedData, AES-256-CBC, 1 recipient (RSA)", nil)
}

// TestCMSHostile: depth, number and size cost no more than they should.
func TestCMSHostile(t *testing.T) {
	deep := tlv(4, []byte("x"))
	for range 300 {
		deep = tlv(0x30, deep)
	}
	open := bytes.Repeat([]byte{0x30, 0x80}, 1<<20)
	many := bytes.Repeat([]byte{5, 0}, 1<<20)
	for name, content := range map[string][]byte{
		"deep":         signedOf(t, pkcs7(t, 1), deep),
		"deep, open":   append(append([]byte{0x30, 0x80}, pkcs7(t, 3)...), open...),
		"many":         tlv(0x30, pkcs7(t, 3), tlv(0xa0, tlv(0x30, []byte{2, 1, 0}, tlv(0x31, many)))),
		"bomb":         compressedCMS(t, make([]byte, 30<<20)),
		"blocks":       bytes.Repeat([]byte("-----BEGIN CMS-----\nMIIBBgYJKoZIhvcNAQcDoIH4MIH1AgEAMQ==\n"), 30_000),
		"long numbers": append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, pkcs7(t, 3)...),
	} {
		start := time.Now()
		r := read(t, "", content)
		if r.verdict.State == scan.Inspected {
			t.Errorf("%s: %+v", name, r.verdict)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: %s", name, took)
		}
	}
}

// TestStopped: a walker that wants no more gets no more.
func TestStopped(t *testing.T) {
	one := armored("PGP MESSAGE", literalOf("", "hello"))
	f := fileOf("", []byte(one+one+one))
	count := 0
	v := OpenPGP{}.Read(f, func(container.Member) bool {
		count++
		return false
	})
	if count != 1 || v.State == scan.Inspected {
		t.Errorf("%d members, %+v", count, v)
	}
}

// TestTimeUp: with no time left, nothing is called inspected that was not read.
func TestTimeUp(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"lit-zip.gpg", "signed.asc", "signed.p7m", "open.p12", "signed-ber.p7m", "certs-only.pem"} {
		f := fileOf(name, testdata(t, name))
		f.Budget = container.NewBudget(ctx, container.Limits{}, nil)
		if r := readAll(f); r.verdict.State == scan.Inspected || len(r.members) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestPKCS12Text: a store in base64, and what is no store.
func TestPKCS12Text(t *testing.T) {
	store := testdata(t, "modern.p12")
	read(t, "x.txt", []byte(base64.StdEncoding.EncodeToString(store))).want(t, "pkcs12", scan.Encrypted, "PKCS #12, PBES2 AES-256", nil)
	read(t, "x.p12", store[:len(store)/2]).want(t, "pkcs12", scan.Uninspectable, "PKCS #12, damaged", nil)
}
