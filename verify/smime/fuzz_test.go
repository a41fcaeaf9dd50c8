package smime

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/verify/message"
)

// FuzzVerify verifies whatever it is given, with a bound on time.
func FuzzVerify(f *testing.F) {
	l := newLab(f)
	sig, opq := l.sign("alice", text), l.signOpaque("alice", text)
	f.Add(detached(aliceHead, text, sig))
	f.Add(opaque(aliceHead, opq))
	f.Add(opaque(aliceHead, l.signOpaque("alice", entityDetached(text, sig, "b2"))))
	f.Add([]byte(aliceHead + "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + entityDetached(text, sig, "b1") + "\r\n--m\r\n" + entityOpaque(opq) + "\r\n--m--\r\n"))
	f.Add(opaque(aliceHead, l.encrypt(text)))
	f.Add(opaque(aliceHead, compressed()))
	f.Add([]byte(aliceHead + "Content-Type: message/rfc822\r\n\r\n" + aliceHead + entityOpaque(l.certsOnly())))
	hp := "From: alice@example.com\r\nHP-Outer: Subject: [...]\r\nContent-Type: text/plain; hp=cipher\r\n\r\nhi\r\n"
	f.Add(detached(aliceHead, hp, l.sign("alice", hp)))
	v := NewVerifier(l.options())
	genuine := []string{text, hp, entityDetached(text, sig, "b2")}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := message.Read(bytes.NewReader(raw), message.Envelope{ReceivedAt: l.at}, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		start := time.Now()
		got := v.Verify(context.Background(), m, m.Header.Author())
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s for %d octets", took, len(raw))
		}
		if got.State == Unavailable {
			t.Errorf("%s %v", got.Reason, got.Steps)
		}
		checkSound(t, "fuzz", got)
		if got.State == Verified && !genuineText(m, genuine) {
			t.Errorf("verified: %q", raw)
		}
	})
}

// genuineText reports whether a message shows a text that was signed.
func genuineText(m *message.Message, genuine []string) bool {
	if m.Root.MediaType != "multipart/signed" {
		return true // the text is inside of the signature
	}
	var buf strings.Builder
	signed := m.Root.Children[0]
	if _, err := io.Copy(&buf, m.Open(message.Range{Start: signed.Offset, End: signed.End})); err != nil {
		return false
	}
	for _, g := range genuine {
		if buf.String() == g {
			return true
		}
	}
	return false
}

// TestFlips changes every octet of what was signed, one at a time.
func TestFlips(t *testing.T) {
	l := newLab(t)
	o := l.options()
	o.Explain = false
	v := NewVerifier(o)
	for name, raw := range map[string][]byte{
		"RSA":   detached(aliceHead, text, l.sign("alice", text)),
		"ECDSA": detached("From: eve@example.com\r\nMIME-Version: 1.0\r\n", text, l.sign("eve", text)),
	} {
		start := bytes.Index(raw, []byte(text))
		for i := start; i < start+len(text); i++ {
			for _, bit := range []byte{0x01, 0x20, 0x80} {
				changed := bytes.Clone(raw)
				changed[i] ^= bit
				b := message.NewBuilder(message.Limits{})
				header, body, _ := bytes.Cut(changed, []byte("\r\n\r\n"))
				for field := range bytes.SplitSeq(header, []byte("\r\n")) {
					name, value, _ := bytes.Cut(field, []byte(":"))
					b.AddField(string(name), value)
				}
				if _, err := b.Write(body); err != nil {
					t.Fatal(err)
				}
				m, err := b.Message(message.Envelope{ReceivedAt: l.at})
				if err != nil {
					t.Fatal(err)
				}
				if got := v.Verify(context.Background(), m, m.Header.Author()); got.State != Altered && got.State != Malformed {
					t.Errorf("%s, octet %d ^ %02x: %s %q", name, i-start, bit, got.State, got.Reason)
				}
				m.Close()
			}
		}
	}
}

// TestHostile feeds the files that cost other implementations seconds and gigabytes, as messages.
func TestHostile(t *testing.T) {
	l := newLab(t)
	v := NewVerifier(l.options())
	for name, raw := range hostileMails(l) {
		limit := 50 * time.Millisecond * slowdown
		if strings.Contains(name, "slow keys") { // real cryptography; without a common bound it would be over a second
			limit *= 4
		}
		m, err := message.Read(bytes.NewReader(raw), message.Envelope{ReceivedAt: l.at}, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var got Verification
		took, allocated := cost(t, func() { got = v.Verify(context.Background(), m, m.Header.Author()) })
		for range 6 { // other processes slow this one down, so the best of several counts
			if took > limit {
				again, _ := cost(t, func() { v.Verify(context.Background(), m, m.Header.Author()) })
				took = min(took, again)
			}
		}
		m.Close()
		if got.State == Verified || took > limit || allocated > 16<<20 {
			t.Errorf("%s: %s %q in %s with %d octets", name, got.State, got.Reason, took, allocated)
		}
	}
}

// hostileMails are messages around hostile objects.
func hostileMails(l *lab) map[string][]byte {
	repeat := func(s string, n int) []byte { return []byte(strings.Repeat(s, n)) }
	deep := bytes.Clone(repeat("\x30\x80", 50_000))
	objects := map[string][]byte{
		"overrun 12":      append(repeat("\x30\x02\x30\x7c", 12), repeat("\x05\x00", 64)...),
		"overrun 30":      append(repeat("\x30\x02\x30\x7c", 30), repeat("\x05\x00", 64)...),
		"nested 1 MB":     repeat("\x30\x80", 512<<10),
		"nested 4 MB":     repeat("\x30\x80", 2<<20),
		"nested, closed":  append(deep, make([]byte, 100_000)...),
		"children 1 MB":   append([]byte("\x30\x80"), append(repeat("\x05\x00", 512<<10), 0, 0)...),
		"children 3 MB":   append([]byte("\x30\x80"), append(repeat("\x05\x00", 3<<19), 0, 0)...),
		"empty":           {},
		"length overflow": []byte("\x30\x84\xff\xff\xff\xff"),
	}
	root := os.Getenv("ASSAY_VECTORS")
	if root == "" {
		root = "../../../shared/vectors"
	}
	files, _ := filepath.Glob(filepath.Join(root, "smime/generated/DOS-*.bin"))
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil {
			objects[filepath.Base(name)] = data
		}
	}
	mails := map[string][]byte{}
	for name, data := range objects {
		mails[name+", opaque"] = opaque(aliceHead, data)
		mails[name+", detached"] = detached(aliceHead, text, data)
	}
	sig := entityDetached(text, l.sign("alice", text), "b1")
	many := aliceHead + "Content-Type: multipart/mixed; boundary=m\r\n\r\n" + strings.Repeat("--m\r\n"+sig+"\r\n", 300) + "--m--\r\n"
	mails["many signatures"] = []byte(many)
	mails["many names"] = []byte(aliceHead + "Content-Type: multipart/mixed; boundary=m\r\n\r\n" +
		strings.Repeat("--m\r\nContent-Type: application/octet-stream; name=a.p7m\r\n\r\nx\r\n", 900) + "--m--\r\n")
	var slow []string
	for i := range 8 {
		name := fmt.Sprintf("p521-%d", i)
		l.signer(name, newEC(l.t, elliptic.P521()), "alice@example.com")
		slow = append(slow, "-signer", name+".crt", "-inkey", name+".key")
	}
	slowSig := entityDetached(text, l.cms(text, append([]string{"-sign", "-certfile", "middle.crt"}, slow...)...), "b1")
	mails["slow keys"] = []byte(aliceHead + slowSig)
	mails["many slow keys"] = []byte(aliceHead + "Content-Type: multipart/mixed; boundary=m\r\n\r\n" + strings.Repeat("--m\r\n"+slowSig+"\r\n", 8) + "--m--\r\n")
	nested := text
	for range 12 {
		nested = entityOpaque(l.signOpaque("alice", nested))
	}
	mails["many layers"] = []byte(aliceHead + nested)
	mails["blank epilogue"] = append(detached(aliceHead, text, l.sign("alice", text)), append(repeat("\r\n", 1<<20), 'x')...)
	return mails
}
