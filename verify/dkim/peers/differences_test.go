package peers

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/verify/dkim"
)

// A probe is a signature that is made with odd tags, so that its hashes are right.
type probe struct {
	name, field string // the field without its name; {bh} and {b} stand for what is computed
	length      int    // octets of the body that bh= covers, -1 for all
	record      func(*mail)
}

const (
	plain       = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=rsa; h=From:To:Subject; bh={bh}; b={b}"
	plainBody   = "a body\r\nof three\r\nlines\r\n"
	plainHeader = "From: Alice <alice@example.com>\r\nTo: bob@example.org\r\nSubject: hi there\r\n"
)

// instead changes the plain signature.
func instead(old, new string) string {
	if !strings.Contains(plain, old) {
		panic(old)
	}
	return strings.Replace(plain, old, new, 1)
}

var probes = []probe{
	{name: "plain", field: plain, length: -1},
	{name: "algorithm in capitals", field: instead("rsa-sha256", "RSA-SHA256"), length: -1},
	{name: "canonicalization in capitals", field: instead("relaxed/relaxed", "RELAXED/Relaxed"), length: -1},
	{name: "only header canonicalization", field: instead("relaxed/relaxed", "relaxed"), length: -1},
	{name: "no canonicalization", field: instead("c=relaxed/relaxed; ", ""), length: -1},
	{name: "no version", field: instead("v=1; ", ""), length: -1},
	{name: "version 2", field: instead("v=1; ", "v=2; "), length: -1},
	{name: "b= first", field: "b={b}; " + instead("; b={b}", ""), length: -1},
	{name: "b= with blanks", field: instead("b={b}", "b = {b} "), length: -1},
	{name: "tag ending in b", field: instead("b={b}", "b={b}; xb=1"), length: -1},
	{name: "tag ending in b before", field: instead("; b={b}", "; xb=1; b={b}"), length: -1},
	{name: "value ending in b=", field: instead("s=rsa", "s=rsa; z=From:rob=3D"), length: -1},
	{name: "i= ending in b=", field: instead("s=rsa", "s=rsa; i=rob=2Bx@example.com"), length: -1},
	{name: "i= in the domain", field: instead("s=rsa", "s=rsa; i=@mail.example.com"), length: -1},
	{name: "i= in other case", field: instead("s=rsa", "s=rsa; i=joe@EXAMPLE.com"), length: -1},
	{name: "i= without @", field: instead("s=rsa", "s=rsa; i=example.com"), length: -1},
	{name: "i= elsewhere", field: instead("s=rsa", "s=rsa; i=joe@example.net"), length: -1},
	{name: "i= that ends alike", field: instead("s=rsa", "s=rsa; i=joe@badexample.com"), length: -1},
	{name: "i= in a subdomain, t=s", field: instead("s=rsa", "s=rsa; i=joe@mail.example.com"), length: -1, record: tag("k=rsa", "k=rsa; t=s")},
	{name: "i= in other case, t=s", field: instead("s=rsa", "s=rsa; i=joe@EXAMPLE.COM"), length: -1, record: tag("k=rsa", "k=rsa; t=s")},
	{name: "no From in h=", field: instead("From:", ""), length: -1},
	{name: "h= with blanks", field: instead("From:To", "From : To"), length: -1},
	{name: "h= folded", field: instead("From:To", "From:\r\n\t To"), length: -1},
	{name: "h= names too many From", field: instead("From:To", "From:From:From:To"), length: -1},
	{name: "h= names nothing that exists", field: instead("From:To", "From:X-a:To:X-b"), length: -1},
	{name: "h= in lower case", field: instead("From:To:Subject", "from:to:subject"), length: -1},
	{name: "h= names the signature", field: instead("From:To", "From:DKIM-Signature:To"), length: -1},
	{name: "t= and x= ahead", field: instead("s=rsa", "s=rsa; t=1700000000; x=4000000000"), length: -1},
	{name: "expired", field: instead("s=rsa", "s=rsa; t=1600000000; x=1600000001"), length: -1},
	{name: "x= before t=", field: instead("s=rsa", "s=rsa; t=3900000000; x=3800000000"), length: -1},
	{name: "t= in the future", field: instead("s=rsa", "s=rsa; t=3900000000"), length: -1},
	{name: "t= negative", field: instead("s=rsa", "s=rsa; t=-5"), length: -1},
	{name: "t= with a fraction", field: instead("s=rsa", "s=rsa; t=1.5"), length: -1},
	{name: "x= huge", field: instead("s=rsa", "s=rsa; x=99999999999999999999999"), length: -1},
	{name: "x= no number", field: instead("s=rsa", "s=rsa; x=never"), length: -1},
	{name: "l= all", field: instead("s=rsa", "s=rsa; l=25"), length: 25},
	{name: "l= part", field: instead("s=rsa", "s=rsa; l=8"), length: 8},
	{name: "l= within CRLF", field: instead("s=rsa", "s=rsa; l=7"), length: 7},
	{name: "l= nothing", field: instead("s=rsa", "s=rsa; l=0"), length: 0},
	{name: "l= more than there is", field: instead("s=rsa", "s=rsa; l=26"), length: 25},
	{name: "l= no number", field: instead("s=rsa", "s=rsa; l=all"), length: -1},
	{name: "l= with leading zeros", field: instead("s=rsa", "s=rsa; l=000008"), length: 8},
	{name: "q=dns/txt", field: instead("s=rsa", "s=rsa; q=dns/txt"), length: -1},
	{name: "q=dns", field: instead("s=rsa", "s=rsa; q=dns"), length: -1},
	{name: "q= in capitals", field: instead("s=rsa", "s=rsa; q=DNS/TXT"), length: -1},
	{name: "q= list", field: instead("s=rsa", "s=rsa; q=http:dns/txt"), length: -1},
	{name: "q= unknown", field: instead("s=rsa", "s=rsa; q=http"), length: -1},
	{name: "unknown tag", field: instead("s=rsa", "s=rsa; foo=bar"), length: -1},
	{name: "duplicate tag", field: instead("s=rsa", "s=rsa; s=rsa"), length: -1},
	{name: "duplicate unknown tag", field: instead("s=rsa", "s=rsa; n=1; n=2"), length: -1},
	{name: "empty tag", field: instead("s=rsa;", "s=rsa;;"), length: -1},
	{name: "semicolon at the end", field: plain + ";", length: -1},
	{name: "semicolon and blanks at the end", field: plain + "; \r\n\t", length: -1},
	{name: "tag name with hyphen", field: instead("s=rsa", "s=rsa; n-n=1"), length: -1},
	{name: "8-bit octet in a tag", field: instead("s=rsa", "s=rsa; n=k\xe4se"), length: -1},
	{name: "UTF-8 in a tag", field: instead("s=rsa", "s=rsa; n=k\xc3\xa4se"), length: -1},
	{name: "control character in a tag", field: instead("s=rsa", "s=rsa; n=\x01"), length: -1},
	{name: "d= in capitals", field: instead("d=example", "d=EXAMPLE"), length: -1},
	{name: "d= with a dot at the end", field: instead("d=example.com", "d=example.com."), length: -1},
	{name: "no padding", field: instead("bh={bh}; b={b}", "bh={bh-}; b={b-}"), length: -1},
	{name: "blanks in base64", field: instead("{bh}", "{bh }"), length: -1},
	{name: "SHA-1 in name only", field: instead("rsa-sha256", "rsa-sha1"), length: -1},
	{name: "another algorithm", field: instead("rsa-sha256", "rsa-sha512"), length: -1},
	{name: "ed25519 with an RSA key", field: instead("rsa-sha256", "ed25519-sha256"), length: -1},
	{name: "key is an RSAPublicKey", field: plain, length: -1, record: record(rsaPublicKey)},
	{name: "key without padding", field: plain, length: -1, record: record(func(s string) string { return strings.TrimRight(s, "=") })},
	{name: "key with text behind p=", field: plain, length: -1, record: record(func(s string) string { return s + "; n=x y" })},
}

// rsaPublicKey writes the key of a record as RFC 6376 Section 3.6.1 has it.
func rsaPublicKey(s string) string {
	head, p, _ := strings.Cut(s, "p=")
	der, _ := base64.StdEncoding.DecodeString(p)
	key, _ := x509.ParsePKIXPublicKey(der)
	return head + "p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(key.(*rsa.PublicKey)))
}

// make signs the probe. The body is the same in both canonical forms.
func (p probe) make(t *testing.T, s signer, keys map[string]string) mail {
	t.Helper()
	signed := plainBody
	if p.length >= 0 {
		signed = signed[:p.length]
	}
	sum := sha256.Sum256([]byte(signed))
	field := fill("DKIM-Signature: "+p.field+"\r\n", "bh", sum[:])
	form := dkim.Canonicalization(strings.Contains(strings.ToLower(field), "c=relaxed"))
	hash := sha256.New()
	left := parse(plainHeader+"\r\n"+plainBody, keys)
	for name := range strings.SplitSeq(signedNames(field), ":") {
		if i := left.find(strings.TrimSpace(name)); i >= 0 {
			hash.Write(dkim.AppendField(nil, []byte(left.fields[i]), form))
			left.fields = slices.Delete(left.fields, i, i+1)
		}
	}
	hash.Write(dkim.AppendOwnField(nil, []byte(fill(field, "b", nil)), form))
	m := parse(plainHeader+"\r\n"+plainBody, keys)
	m.fields = slices.Insert(m.fields, 0, fill(field, "b", s.sign(t, hash.Sum(nil))))
	if p.record != nil {
		p.record(&m)
	}
	return m
}

// fill writes octets for {name} as base64, without its padding for {name-}, and folded for {name }.
func fill(field, name string, octets []byte) string {
	text := base64.StdEncoding.EncodeToString(octets)
	half := len(text) / 2
	return strings.NewReplacer("{"+name+"}", text, "{"+name+"-}", strings.TrimRight(text, "="),
		"{"+name+" }", text[:half]+" \r\n\t"+text[half:]).Replace(field)
}

// signedNames returns h= of a signature.
func signedNames(field string) string {
	_, h, _ := strings.Cut(field, "h=")
	h, _, _ = strings.Cut(h, ";")
	return h
}

// explained are the differences that there are, and the rule that decides for us. Whatever is not in this table must have
// the same verdict everywhere.
var explained = []struct{ peer, label, rule string }{
	{"dkimpy", "From on top", "RFC 6376 Section 8.15: what several From fields mean is not for the signature to say; it signs the last"},
	{"dkimpy", "blank before the colon", "RFC 6376 Section 3.4.2: white space before the colon is deleted; dkimpy sees no field"},
	{"dkimpy", "last line end taken away", "RFC 6376 Section 3.4.3: a missing CRLF at the end is added"},
	{"Mail::DKIM", "last line end taken away", "RFC 6376 Section 3.4.3: a missing CRLF at the end is added"},
	{"Mail::DKIM", "second signature is junk", "Mail::DKIM does not count what has no tags"},
	{"dkimpy", "key type in capitals", "RFC 5234 Section 2.3: \"rsa\" of RFC 6376 Section 3.6.1 is matched without regard to case"},
	{"Mail::DKIM", "key type in capitals", "RFC 5234 Section 2.3: \"rsa\" of RFC 6376 Section 3.6.1 is matched without regard to case"},
	{"dkimpy", "key for the domain itself", "RFC 6376 Section 3.6.1: with t=s the domain of i= must be d="},
	{"dkimpy", "signed: i= in a subdomain, t=s", "RFC 6376 Section 3.6.1: with t=s the domain of i= must be d="},
	{"dkimpy", "key for y and s", "RFC 6376 Section 3.6.1: with t=s the domain of i= must be d="},
	{"Mail::DKIM", "key for y and s", "RFC 6376 Section 3.6.1: white space may surround the colon of key-t-tag"},
	{"dkimpy", "key for SHA-1", "RFC 6376 Section 3.6.1: h= lists the acceptable hash algorithms"},
	{"Mail::DKIM", "key for both", "RFC 6376 Section 3.6.1: white space may surround the colon of key-h-tag"},
	{"dkimpy", "key for email and others", "RFC 6376 Section 3.6.1: s= is a list"},
	{"dkimpy", "key with v= last", "RFC 6376 Section 3.6.1: v= must be the first tag"},
	{"Mail::DKIM", "key with v= last", "RFC 6376 Section 3.6.1: v= must be the first tag"},
	{"Mail::DKIM", "key with two k=", "RFC 6376 Section 3.2: a duplicate tag makes the whole list invalid"},
	{"Mail::DKIM", "key with an empty tag", "RFC 6376 Section 3.2: tag-list has no empty tag-spec"},
	{"dkimpy", "signed: algorithm in capitals", "RFC 5234 Section 2.3: literals are matched without regard to case"},
	{"dkimpy", "signed: canonicalization in capitals", "RFC 5234 Section 2.3: literals are matched without regard to case"},
	{"dkimpy", "signed: q= in capitals", "RFC 5234 Section 2.3: literals are matched without regard to case"},
	{"Mail::DKIM", "signed: q= in capitals", "RFC 5234 Section 2.3: literals are matched without regard to case"},
	{"dkimpy", "signed: q= list", "RFC 6376 Section 3.5: q= is a list, and unknown methods are ignored"},
	{"dkimpy", "signed: 8-bit octet in a tag", "RFC 6376 Section 3.2 and RFC 8616 Section 4: a value is ASCII or UTF-8"},
	{"Mail::DKIM", "signed: 8-bit octet in a tag", "RFC 6376 Section 3.2 and RFC 8616 Section 4: a value is ASCII or UTF-8"},
	{"dkimpy", "signed: control character in a tag", "RFC 6376 Section 3.2: VALCHAR"},
	{"Mail::DKIM", "signed: control character in a tag", "RFC 6376 Section 3.2: VALCHAR"},
	{"dkimpy", "signed: tag name with hyphen", "RFC 6376 Section 3.2: ALNUMPUNC has no hyphen"},
	{"Mail::DKIM", "signed: tag name with hyphen", "RFC 6376 Section 3.2: ALNUMPUNC has no hyphen"},
	{"dkimpy", "signed: d= with a dot at the end", "RFC 6376 Section 3.5: domain-name ends in a sub-domain"},
	{"dkimpy", "signed: ed25519 with an RSA key", "RFC 6376 Section 6.1.2 Step 6: the type of the key must be that of a="},
	{"dkimpy", "signed: no padding", "RFC 6376 Section 2.10: padding of a base64string is optional"},
	{"dkimpy", "signed: t= in the future", "RFC 6376 Section 3.5: verifiers may ignore such signatures; Options.Future decides"},
	{"dkimpy", "signed: h= names the signature", "RFC 6376 Section 3.5: h= never stands for the field that is being verified"},
	{"Mail::DKIM", "signed: h= names the signature", "RFC 6376 Section 3.5: h= never stands for the field that is being verified"},
	{"dkimpy", "signed: l= more than there is", "RFC 6376 Section 3.5: l= must not be larger than the canonical body"},
	{"Mail::DKIM", "signed: l= more than there is", "RFC 6376 Section 3.5: l= must not be larger than the canonical body"},
	{"Mail::DKIM", "signed: l= nothing", "RFC 6376 Section 3.5: l=0 signs no octet of the body"},
	{"dkimpy", "signed: no From in h=", "RFC 6376 Section 6.1.1: h= must name From"},
	{"Mail::DKIM", "signed: no From in h=", "RFC 6376 Section 6.1.1: h= must name From"},
	{"Mail::DKIM", "signed: no version", "RFC 6376 Section 3.5: v= must be there"},
	{"Mail::DKIM", "signed: t= negative", "RFC 6376 Section 3.5: 1*12DIGIT"},
	{"Mail::DKIM", "signed: t= with a fraction", "RFC 6376 Section 3.5: 1*12DIGIT"},
	{"Mail::DKIM", "signed: x= before t=", "RFC 6376 Section 3.5: x= must be greater than t="},
	{"Mail::DKIM", "signed: duplicate tag", "RFC 6376 Section 3.2: a duplicate tag makes the whole list invalid"},
	{"Mail::DKIM", "signed: duplicate unknown tag", "RFC 6376 Section 3.2: a duplicate tag makes the whole list invalid"},
	{"Mail::DKIM", "signed: empty tag", "RFC 6376 Section 3.2: tag-list has no empty tag-spec"},
	{"Mail::DKIM", "signed: key is an RSAPublicKey", "RFC 6376 Section 3.6.1: p= is an RSAPublicKey"},
}

// explains says which rule decides a difference, "" if none is known.
func explains(p peer, label string) string {
	for _, e := range explained {
		if e.peer == p.name && e.label == label {
			return e.rule
		}
	}
	return ""
}

// A trial is a message that all verify.
type trial struct {
	label string // the mutation or the probe
	mail  mail
	ours  string
	why   string // reasons, for a person
	ed    []bool // by signature, whether it is one of Ed25519
}

// trials makes every mutation of every signed message, and every probe, and verifies them.
func trials(t *testing.T, keys []signer, peers []peer) []trial {
	t.Helper()
	records := func() map[string]string { return map[string]string{rsaName: keys[0].record, edName: keys[1].record} }
	var out []trial
	for _, text := range signedMail(t, keys, peers) {
		for _, mutation := range mutations {
			m := parse(text, records())
			mutation.apply(&m)
			out = append(out, trial{label: mutation.name, mail: m})
		}
	}
	for _, p := range probes {
		out = append(out, trial{label: "signed: " + p.name, mail: p.make(t, keys[0], records())})
	}
	for i := range out {
		out[i].verify(t)
	}
	return out
}

// write writes what is verified to a folder.
func (x trial) write(t *testing.T, dir, name string) {
	t.Helper()
	write(t, filepath.Join(dir, name+".case"), x.mail.text())
	var keys strings.Builder
	for name, record := range x.mail.keys {
		keys.WriteString(name + "\t" + record + "\n")
	}
	write(t, filepath.Join(dir, name+".keys"), keys.String())
}

// agrees compares a peer's verdict. Mail::DKIM has Ed25519 only where CryptX is new enough, so its verdicts about that
// are passed over.
func (x trial) agrees(p peer, theirs string) bool {
	if p.name != mailDKIM.name || len(theirs) != len(x.ed) {
		return x.ours == theirs
	}
	for i := range theirs {
		if !x.ed[i] && theirs[i] != x.ours[i] {
			return false
		}
	}
	return true
}

// TestMutations has other implementations verify the mail that they and go-msgauth signed and that was changed on its way,
// and signatures with odd tags. Every difference has a rule that decides it.
func TestMutations(t *testing.T) {
	var peers []peer
	for _, p := range []peer{dkimpy, mailDKIM} {
		if err := p.missing(); err != nil {
			t.Logf("NOT RUN: %s is not installed: %v", p.name, err)
			continue
		}
		peers = append(peers, p)
	}
	if len(peers) == 0 {
		t.Skip("NOT RUN: no peer is installed")
	}
	all := trials(t, signers(t), peers)
	dir := t.TempDir()
	passes := 0
	for i, x := range all {
		x.write(t, dir, fmt.Sprint(i))
		passes += strings.Count(x.ours, "1")
		if (x.label == "nothing" || x.label == "signed: plain") && strings.Contains(x.ours, "0") {
			t.Errorf("%s: %s\n%q", x.label, x.why, x.mail.text())
		}
	}
	if passes < len(all)/3 {
		t.Errorf("only %d signatures pass in %d messages", passes, len(all))
	}
	for _, p := range peers {
		compare(t, p, all, p.verdicts(t, dir))
	}
}

// compare reports every difference without a rule, and every rule without a difference.
func compare(t *testing.T, p peer, all []trial, theirs map[string]string) {
	t.Helper()
	differs := map[string]bool{}
	for i, x := range all {
		verdict := theirs[fmt.Sprint(i)]
		if x.agrees(p, verdict) {
			continue
		}
		differs[x.label] = true
		if explains(p, x.label) == "" {
			t.Errorf("%s: ours %s, that of %s %s; %s\n%q\n%q", x.label, x.ours, p.name, verdict, x.why, x.mail.text(), x.mail.keys)
		}
	}
	for _, e := range explained {
		if e.peer == p.name && !differs[e.label] {
			t.Logf("%s: this version of %s does as we do", e.label, p.name)
		}
	}
}
