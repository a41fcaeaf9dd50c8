package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/dns"
)

func FuzzParseTags(f *testing.F) {
	for _, s := range []string{"v=1; a=b", " v = 1 ;\r\n x=y;", "a=1;;", "a", "=", "a=\xff", "ä=1", "a=ü b\tc", strings.Repeat("a=;", 9)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tags, err := ParseTags(s)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		var again strings.Builder
		for _, tag := range tags {
			if seen[tag.Name] || !isTagName(tag.Name) || tag.Value != trim(tag.Value) || strings.Contains(tag.Value, ";") {
				t.Fatalf("%q: %+v", s, tags)
			}
			seen[tag.Name] = true
			again.WriteString(tag.Name + "=" + tag.Value + ";")
		}
		if second, err := ParseTags(again.String()); err != nil || !slices.Equal(tags, second) {
			t.Fatalf("%q is not stable: %+v, %+v, %v", s, tags, second, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(rsaSigner().record)
	f.Add(edSigner().record)
	f.Add("v=DKIM1; h=sha256:sha1; s=*; t=y:s; k=rsa; p=AAAA")
	f.Add("p=MAwwDQYJKoZIhvcNAQEBBQADAA")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKey(s)
		if err != nil {
			return
		}
		if k.public == nil || k.Type == "rsa" && (k.Bits < 1024 || k.Bits > 8192) || k.Type == "ed25519" && k.Bits != 256 {
			t.Fatalf("%q: %+v", s, k)
		}
		digest := sha256.Sum256(nil)
		if k.Verify(k.Type+"-sha256", digest[:], []byte("no signature")) {
			t.Fatalf("%q verifies anything", s)
		}
	})
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"A : b\r\n  c\r\n", "a:\r\n", "A:\t \r\n\t \r\n", "a:b\rc \r\r\n", "X", "\xb3:", "a: b=c; b = d ;\r\n b=\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.IndexByte(raw, ':') < 0 {
			raw = append([]byte("x:"), raw...)
		}
		raw = append(lineEnd.ReplaceAll(raw, []byte("\r\n")), '\r', '\n')
		if bytes.IndexByte(raw, ':') > bytes.IndexByte(raw, '\r') {
			return // a line end in the name
		}
		before := bytes.Clone(raw)
		got := AppendField(nil, raw, Relaxed)
		if want := referenceField(string(raw), Relaxed); string(got) != want {
			t.Fatalf("%q: %q, want %q", raw, got, want)
		}
		if again := AppendField(nil, got, Relaxed); !bytes.Equal(got, again) {
			t.Fatalf("%q: %q becomes %q", raw, got, again)
		}
		if got := AppendField([]byte("x"), raw, Simple); string(got) != "x"+string(raw) {
			t.Fatalf("%q: simple is %q", raw, got)
		}
		for _, c := range []Canonicalization{Simple, Relaxed} {
			own := AppendOwnField(nil, raw, c)
			if bytes.HasSuffix(own, []byte("\r\n")) && !bytes.HasSuffix(raw, []byte("\r\n\r\n")) {
				t.Fatalf("%q: own field %q ends its line", raw, own)
			}
		}
		if !bytes.Equal(raw, before) {
			t.Fatalf("%q was changed to %q", before, raw)
		}
	})
}

// FuzzBody compares every form, whole and cut off, in every cutting into chunks, with the reference.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "\r\n", " \r\n \t\r\n", "a \r b\t\r\n\r \r\n x\r\r\ny", "a\nb\n\n", "a  b\tc \r\n\r\nd\r\n\r\n", "\r", "x \r",
		strings.Repeat("ab  c\t\r\n", 9), strings.Repeat("\n", 40) + "x", strings.Repeat("abcdefgh", 8) + " \r\n" + strings.Repeat(" ", 20) + "!"} {
		f.Add([]byte(s), uint16(3), uint64(7))
	}
	f.Fuzz(func(t *testing.T, body []byte, length uint16, cuts uint64) {
		b := NewBodies()
		digests := map[*Digest][]byte{}
		for _, c := range []Canonicalization{Simple, Relaxed} {
			want := referenceBody(body, c)
			digests[b.Digest(c, -1)] = want
			for _, l := range []int{0, int(length), len(want)} {
				digests[b.Digest(c, int64(l))] = want[:min(l, len(want))]
			}
		}
		rest := body
		for i := uint64(1); len(rest) > 0; i++ {
			cuts = cuts*6364136223846793005 + i
			n := 1 + int(cuts>>33)%min(len(rest), 1<<(cuts>>60))
			b.Write(bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		for d, want := range digests {
			sum, octets, err := d.Sum()
			c := Canonicalization(d.form.relaxed)
			if sum != sha256.Sum256(want) || octets != int64(len(referenceBody(body, c))) || err != nil {
				t.Fatalf("%q %s l=%d: %d octets, want the hash of %q: %v", body, c, d.length, octets, want, err)
			}
		}
	})
}

// FuzzVerify gives anything at all to the whole.
func FuzzVerify(f *testing.F) {
	signed := signedBy(f, "example.com", "sel")
	f.Add(signed+probeHeader, probeBody, rsaSigner().record)
	f.Add("DKIM-Signature: v=1; a=ed25519-sha256; d=a.b; s=c; h=from; bh=; b=; i=@a.b\r\nFrom: x\r\n", "", "p=")
	f.Add("DKIM-Signature: "+signedJunk(1)+signedJunk(2)+"From: x\r\nFROM: y\r\n", "\r\n", edSigner().record)
	f.Fuzz(func(t *testing.T, head, body, key string) {
		h := header(crlf(head))
		b := NewBodies()
		zone := &everywhere{key: key}
		run := Start(context.Background(), zone, h, time.Unix(1700000000, 0), Options{Explain: len(body)%2 == 0}, b)
		b.Write([]byte(body))
		n := h.Count("dkim-signature")
		vs := run.Finish()
		if len(vs) != min(n, 26) {
			t.Fatalf("%d results of %d signatures", len(vs), n)
		}
		for _, v := range vs {
			if v.Result == "" || v.Result == authres.None || (v.Reason == "") != (v.Result == authres.Pass) {
				t.Fatalf("%+v", v)
			}
			if v.Result == authres.Pass && (v.Domain == "" || v.KeyBits < 256 || !slices.Contains(v.SignedHeaders, "from")) {
				t.Fatalf("%+v", v)
			}
		}
	})
}

// everywhere has one record at every name.
type everywhere struct {
	anyKey
	key string
}

func (e *everywhere) LookupTXT(context.Context, string) (dns.Answer[string], error) {
	return dns.Answer[string]{Records: []string{e.key}}, nil
}

// FuzzUnquote reads dkim-quoted-printable.
func FuzzUnquote(f *testing.F) {
	f.Add("a=40b")
	f.Add("=")
	f.Add("=4\r\n 0")
	f.Fuzz(func(t *testing.T, s string) {
		if out, err := unquote(s); err == nil && len(out) > len(s) {
			t.Fatalf("%q: %q", s, out)
		}
	})
}
