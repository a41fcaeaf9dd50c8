package sealed

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/scan"
	"assay/verify/vectors"
)

// noise returns octets that look like encrypted ones, the same for every run.
func noise(seed uint64, n int) []byte {
	r := rand.NewPCG(seed, 1)
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint64() >> 17)
	}
	return out
}

func TestHTML(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString(noise(1, 3000))
	hx := hex.EncodeToString(noise(2, 800))
	salted := base64.StdEncoding.EncodeToString(append([]byte("Salted__"), noise(3, 300)...))
	text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("This is the text of a page, in base64. ", 40)))
	var pieces []string
	for i := 0; i < len(b64); i += 60 {
		pieces = append(pieces, `"`+b64[i:min(i+60, len(b64))]+`"`)
	}
	const form = `<form><input type="password" id="p"><button>Open</button></form>`
	page := func(body, script string) string {
		return "<!DOCTYPE html><html><head><title>x</title></head><body>" + body + "<script>" + script + "</script></body></html>"
	}
	const asked, keyed = "self-decrypting HTML", "self-decrypting HTML, the key is in the page or its address"
	for _, c := range []struct {
		name, page, method string
	}{
		{"crypto.subtle, hex", page(form, `var d="`+hx+`";crypto.subtle.decrypt({name:"AES-CBC"},k,d)`), asked},
		{"CryptoJS, salted", page(form, `var d='`+salted+`';CryptoJS.AES.decrypt(d,p.value)`), asked},
		{"sjcl, json", page(form, `sjcl.decrypt(p.value,'{"iv":"x","ct":"`+b64+`"}')`), asked},
		{"upper case", strings.ToUpper(page(form, "")) + `<SCRIPT>x="` + b64 + `";window.Crypto.Subtle.decrypt(x)</SCRIPT>`, asked},
		{"in pieces", page(form, `var d=[`+strings.Join(pieces, ",\n  ")+`].join("");CryptoJS.AES.decrypt(d)`), asked},
		{"added up", page(form, `var d=`+strings.Join(pieces, "+\n")+`;aesjs.x(d)`), asked},
		{"url alphabet", page(form, `var d="`+base64.RawURLEncoding.EncodeToString(noise(4, 900))+`";crypto.subtle.decrypt(d)`), asked},
		{"prompt", page("", `var d="`+b64+`";var k=prompt("Key?");decrypt(d,k)`), asked},
		{"key in the page", page("", `var d="`+b64+`";var k="abc";crypto.subtle.decrypt(d,k)`), keyed},
		{"hidden element", page(form+`<div id=c hidden>`+b64+`</div>`, `forge.cipher.createDecipher(c)`), asked},
		{"UTF-16", "\xff\xfe" + wide(page(form, `var d="`+b64+`";crypto.subtle.decrypt(d)`)), asked},

		{"Cisco", `<html><body><form method="post" action="https://res.cisco.com/envelopeopener/pf"><input type=hidden name=x value="` + b64 + `"></form></body></html>`, "HTML envelope of Cisco Secure Email"},
		{"Proofpoint", `<html><form name="readForm" method="POST" action="https://securemail.example.com/formpostdir/securereader"><input type="hidden" name="msg" value="` + b64 + `"></form>`, "HTML envelope of Proofpoint Encryption"},
		{"Microsoft", `<html><form method="post" action="https://outlook.office365.com/Encryption/authenticationpage.aspx"><input type="hidden" name="m" value="` + b64 + `"></form>`, "HTML envelope of Microsoft message encryption"},
		{"another", `<html><p>Secure message</p><form method="post" action="https://mail.example.com/open"><textarea name="m">` + b64 + `</textarea></form>`, "HTML envelope of a portal for encrypted mail"},

		{"text in base64", page(form, `var d="`+text+`";crypto.subtle.decrypt(d)`), ""},
		{"a hash", page(form, `var d="`+hx[:64]+`";crypto.subtle.digest(d)`), ""},
		{"a picture", page(`<img src="data:image/png;base64,`+base64.StdEncoding.EncodeToString(append([]byte("\x89PNG\r\n\x1a\n"), noise(5, 3000)...))+`">`+form, `crypto.subtle.decrypt(x)`), ""},
		{"login", page(form, `fetch("/login")`), ""},
		{"no script", `<html><p>Our staticrypt of ` + b64 + `</p></html>`, ""},
		{"no page", "crypto.subtle.decrypt " + b64, ""},
		{"view state", `<html><form method="post" action="https://shop.example.com/"><input type="hidden" name="__VIEWSTATE" value="` + text + `"></form>secure shop</html>`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, "x.html", []byte(c.page))
			if c.method == "" {
				r.want(t, "", "", "", nil)
				return
			}
			r.want(t, "html", scan.Encrypted, c.method, nil)
			if r.has(scan.SelfDecrypting) != strings.HasPrefix(c.method, "self") || r.verdict.Class != scan.ClassOther {
				t.Errorf("%+v", r.verdict)
			}
		})
	}
}

// wide returns ASCII as UTF-16.
func wide(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(s[i])
		b.WriteByte(0)
	}
	return b.String()
}

// TestNewsletters: none of them is taken for anything of ours.
func TestNewsletters(t *testing.T) {
	for _, dir := range []string{"scan/newsletters", "scan/html", "scan/mime-corpus"} {
		root := vectors.Path(t, dir)
		count := 0
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			count++
			if r := read(t, filepath.Base(path), content); r.by != "" {
				t.Errorf("%s: %q %s %q", path, r.by, r.verdict.State, r.verdict.Method)
			}
			return nil
		})
		if err != nil || count == 0 {
			t.Errorf("%s: %d files, %v", dir, count, err)
		}
	}
}

// TestFalseAlarms: texts, pages, code, base64 of what is no encryption, and random octets of all lengths.
func TestFalseAlarms(t *testing.T) {
	words := strings.Fields("der die und Passwort decrypt secure password encrypted PGP MESSAGE key <b>bold</b> = : -----BEGIN https://example.com/ 4711")
	r := rand.New(rand.NewPCG(7, 7))
	for i := range 500 {
		var b strings.Builder
		for range r.IntN(400) + 1 {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteString([]string{" ", "\n", ", "}[r.IntN(3)])
		}
		kinds := map[string]string{
			"text":   b.String(),
			"html":   "<html><body><form><input name=q></form><script>var x = 1;</script>" + b.String() + "</body></html>",
			"base64": base64.StdEncoding.EncodeToString([]byte(b.String())),
			"noise":  base64.StdEncoding.EncodeToString(noise(uint64(i), r.IntN(3000))),
		}
		for kind, content := range kinds {
			if got := read(t, fmt.Sprintf("%d.txt", i), []byte(content)); got.by != "" {
				t.Errorf("%s %d: %q %s %q", kind, i, got.by, got.verdict.State, got.verdict.Method)
			}
		}
	}
}

// TestEntropy: random octets are told from others at every length that says anything.
func TestEntropy(t *testing.T) {
	missed, other := 0, 0
	for i := range 1000 {
		switch r := read(t, "x.dat", noise(uint64(i)+100, 256+i*37)); r.by {
		case "entropy":
			if r.verdict.State != scan.Uninspectable || !r.has(scan.HighEntropy) {
				t.Errorf("%+v", r.verdict)
			}
		case "":
			missed++
		default:
			other++
			t.Logf("%d: %q %q", i, r.by, r.verdict.Method)
		}
	}
	if missed > 40 || other > 3 { // octets that begin another format by chance
		t.Errorf("%d missed, %d taken for something else", missed, other)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300 { // tables of numbers, and text among zeros
		content := make([]byte, 1024+i*91)
		for k := range content {
			switch i % 3 {
			case 0:
				content[k] = byte(r.IntN(200))
			case 1:
				content[k] = byte(k>>3) ^ byte(k*k)
			default:
				content[k] = "\x00\x01text and numbers\xff"[r.IntN(18)]
			}
		}
		content[0] = 1
		if got := read(t, "x.dat", content); got.by == "entropy" && i%3 != 1 {
			t.Errorf("%d of %d octets: taken for random", i, len(content))
		}
	}
	read(t, "x.dat", noise(1, 200)).want(t, "", "", "", nil)
}
