package sealed

import (
	"bytes"
	"encoding/hex"
	"math"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// Reads implements container.Reader.
func (HTML) Reads(f *container.File) bool {
	text, ok := htmlText(f.Content)
	return ok && readPage(text) != page{}
}

// Read implements container.Reader. Nothing is yielded: what is inside of the page, only a browser with the password shows.
func (HTML) Read(f *container.File, _ func(container.Member) bool) container.Verdict {
	text, _ := htmlText(f.Content)
	switch p := readPage(text); {
	case p.decrypts:
		method := "self-decrypting HTML"
		if !p.asks {
			method += ", the key is in the page or its address"
		}
		return locked(scan.ClassOther, method, container.Sign{Trait: scan.SelfDecrypting, Detail: "a script decrypts the page"})
	case p.portal != "":
		return locked(scan.ClassOther, "HTML envelope of "+p.portal)
	}
	return container.Verdict{State: scan.Inspected}
}

// A page is what an HTML file is.
type page struct {
	decrypts bool   // a script decrypts a content that is in the page
	asks     bool   // for a password
	portal   string // who opens the content that is in the page, when it is sent there
}

// htmlText returns a page with its ASCII letters in lower case, and one in UTF-16 without the other octets. ok is false for
// what has no payload or no elements that are of interest here.
func htmlText(content []byte) (text []byte, ok bool) {
	if len(content) > 2 && (content[0] == 0xff && content[1] == 0xfe || content[0] == 0xfe && content[1] == 0xff) {
		content = narrow(content)
	}
	// Few pages have a payload, so that is asked first.
	if !isText(content) || bytes.IndexByte(content, '<') < 0 || !hasPayload(content) {
		return nil, false
	}
	lower := make([]byte, len(content))
	for i, c := range content {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	if !containsAny(lower, "<script", "<form", "<input") {
		return nil, false
	}
	return lower, true
}

// narrow takes every octet of UTF-16 that is not zero: enough for ASCII.
func narrow(content []byte) []byte {
	out := make([]byte, 0, len(content)/2)
	for _, c := range content[2:] {
		if c != 0 {
			out = append(out, c)
		}
	}
	return out
}

func containsAny(text []byte, words ...string) bool {
	for _, w := range words {
		if bytes.Contains(text, []byte(w)) {
			return true
		}
	}
	return false
}

// readPage tells what a page is. Text is what htmlText returns.
func readPage(lower []byte) page {
	script := hasScript(lower)
	asks := asksPassword(lower)
	decrypts := script && (containsAny(lower, decrypting...) || asks && containsAny(lower, "decrypt", "decipher"))
	portal := ""
	if !decrypts {
		portal = portalOf(lower, script)
	}
	if !decrypts && portal == "" {
		return page{}
	}
	return page{decrypts: decrypts, asks: asks, portal: portal}
}

// hasScript reports whether a page has a script.
func hasScript(lower []byte) bool {
	return containsAny(lower, "<script", "javascript:", "onload=", "onclick=", "onsubmit=")
}

// asksPassword reports whether a page asks for a password.
func asksPassword(lower []byte) bool {
	return containsAny(lower, `type="password"`, "type='password'", "type=password", "prompt(", "passphrase", "passwor", "kennwort")
}

// decrypting are words of scripts that decrypt: the interface of browsers, and the libraries that are pasted into such pages.
// The table is never written.
var decrypting = []string{
	"subtle.decrypt", "subtle['decrypt']", `subtle["decrypt"]`, "crypto.subtle", "staticrypt", "pagecrypt", "cryptojs", "sjcl.",
	"forge.cipher", "forge.aes", "aes.decrypt", "aesjs", "aes.ctr.decrypt", "gibberishaes", "asmcrypto", "openpgp.decrypt",
	"openpgp.readmessage", "crypto_secretbox_open", "nacl.secretbox.open", "decryptbytes(", "triplesec", "blowfish.decrypt",
	"chacha20", "xxtea", "slowaes", "rijndaeldecrypt", "milagro", "aesgcm", "aes-gcm", "aes-cbc", "aes-ctr",
}

// portals are services that send encrypted mail as a page, with words that their pages have. The table is never written.
var portals = [...]struct {
	name  string
	words []string
}{
	{"Cisco Secure Email", []string{"postx", "res.cisco.com", "securedoc", "registered envelope"}},
	{"Proofpoint Encryption", []string{"securereader", "formpostdir", "proofpoint encryption"}},
	{"Microsoft message encryption", []string{"office.com/encryption", "office365.com/encryption", "message encryption"}},
	{"SEPPmail", []string{"seppmail", "secmail/web.app", "/web.app"}},
	{"Zix", []string{"zixmail", "zixcorp", "zixport", "zixdirect", "zixmessage"}},
	{"totemomail", []string{"totemo"}},
	{"Trend Micro Email Encryption", []string{"trendmicro.com/ibe", "privatepost", "identum"}},
	{"Voltage SecureMail", []string{"voltage securemail", "zdmmessage", "/zdm/"}},
	{"Echoworx", []string{"echoworx"}},
	{"Fortinet IBE", []string{"fortimail", "/ibe/"}},
	{"Sophos SPX", []string{"sophos secure", "spx portal"}},
	{"Virtru", []string{"virtru"}},
}

// portalOf names the service that a page with a content is to be sent to, "" if it is none: a form posts it, or a script.
func portalOf(lower []byte, script bool) string {
	posts := containsAny(lower, "<form") && containsAny(lower, `method="post"`, "method='post'", "method=post")
	if !posts && !script {
		return ""
	}
	for i := range portals {
		if containsAny(lower, portals[i].words...) {
			return portals[i].name
		}
	}
	if posts && containsAny(lower, `type="hidden"`, "type='hidden'", "type=hidden", "<textarea") &&
		containsAny(lower, "action=\"http", "action='http", "action=http") && containsAny(lower, "encrypt", "secure", "verschl") {
		return "a portal for encrypted mail"
	}
	return ""
}

const (
	// leastPayload is how many characters of base64 or hex make a content, and not a key or a hash.
	leastPayload = 172
	// leastRun is how many begin one: names in scripts are shorter.
	leastRun = 32
	// lookedPayload bounds how many characters of one are decoded to see what it is.
	lookedPayload = 64 << 10
)

// hasPayload reports whether a page carries base64 or hex that decodes to what looks like random numbers. Pictures, fonts and
// what else has a known format does not count.
func hasPayload(content []byte) bool {
	var run []byte
	for at := 0; at < len(content); {
		start := at
		for at < len(content) && isRunOctet(content[at]) {
			at++
		}
		if at == start {
			at++
			continue
		}
		if run == nil && at-start < leastRun {
			continue
		}
		if len(run) < lookedPayload {
			run = append(run, content[start:at]...)
		}
		next, joined := skipJoint(content, at)
		if joined {
			at = next
			continue
		}
		if isPayload(run) {
			return true
		}
		run = nil
	}
	return isPayload(run)
}

// runOctets are the octets of base64 of any kind, which has the digits of hex too. It is never written.
var runOctets = func() (table [256]bool) {
	for c := range 256 {
		table[c] = isBase64(byte(c)) || c == '-' || c == '_' || c == '='
	}
	return table
}()

func isRunOctet(c byte) bool { return runOctets[c] }

// skipJoint skips what may stand between the pieces of a string in a script: quotes, plus, comma, line ends. There has to be
// a piece behind it.
func skipJoint(content []byte, at int) (next int, joined bool) {
	const most = 24
	for i := at; i < min(at+most, len(content)); i++ {
		switch c := content[i]; {
		case isRunOctet(c):
			return i, i > at
		case bytes.IndexByte([]byte("\"'+, \t\r\n\\"), c) < 0:
			return at, false
		}
	}
	return at, false
}

// isPayload reports whether a run decodes to random numbers, or to what begins as the files of openssl do, as those of CryptoJS do.
func isPayload(run []byte) bool {
	if len(run) < leastPayload {
		return false
	}
	data := decodeRun(run)
	if bytes.HasPrefix(data, []byte("Salted__")) {
		return true
	}
	return attach.Sniff(data) == attach.Unknown && looksScrambled(data)
}

// decodeRun decodes hex or base64 with either alphabet.
func decodeRun(run []byte) []byte {
	out := make([]byte, len(run)/2)
	if n, err := hex.Decode(out, run[:len(run)&^1]); err == nil {
		return out[:n]
	}
	plain := bytes.ReplaceAll(bytes.ReplaceAll(run, []byte("-"), []byte("+")), []byte("_"), []byte("/"))
	return decodeBase64(plain)
}

// looksScrambled is looksRandom for less octets too, where random numbers still have more different values than text or code.
func looksScrambled(data []byte) bool {
	n := float64(len(data))
	h, _ := measure(data)
	if len(data) < 4096 {
		return len(data) >= 64 && h > 0.88*math.Min(8, math.Log2(n))
	}
	return looksRandom(data)
}
