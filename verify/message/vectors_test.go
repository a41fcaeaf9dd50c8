package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"assay/verify/vectors"
)

// mails returns the files below the vectors that are mails, one per file.
func mails(t testing.TB) map[string][]byte {
	t.Helper()
	root := vectors.Path(t, "")
	found := make(map[string][]byte)
	for _, dir := range []string{"scan", "smime", "auth"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(root, path)
			if isMail(name, raw) {
				found[name] = raw
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func isMail(name string, raw []byte) bool {
	switch filepath.Ext(name) {
	case ".eml", ".msg", ".mbox", ".message":
		return len(raw) > 0
	case ".txt", "":
		kind, _ := classify(nextLine(raw))
		return kind == lineField && bytes.Contains(raw, []byte("From:"))
	}
	return strings.Contains(name, "corpus") && len(raw) > 0
}

// Every mail is read, by offsets that fit together, and comes out as it went in.
func TestVectorsKeepTheirOctets(t *testing.T) {
	all := mails(t)
	if len(all) < 200 {
		t.Fatalf("only %d mails found", len(all))
	}
	for name, raw := range all {
		m := readBytes(t, raw, Limits{})
		checkTree(t, name, m)
		var out bytes.Buffer
		if _, err := m.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		if want := asRead(raw); !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s: WriteTo gives other octets", name)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d mails", len(all))
}

// asRead returns what Read documents to make of a file.
func asRead(raw []byte) []byte {
	var ends lineEnds
	out := ends.convert(nil, raw)
	if bytes.HasPrefix(bytes.TrimLeft(out, ">"), []byte("From ")) {
		out = append([]byte("X-Mailbox-Line: "), out...)
	}
	for rest := out; ; {
		line := nextLine(rest)
		kind, _ := classify(line)
		if len(line) == 0 || kind == lineEmpty || kind == lineOther || kind == lineFold && len(rest) == len(out) {
			return out
		}
		rest = rest[len(line):]
		if len(rest) == 0 && !bytes.HasSuffix(line, []byte("\n")) {
			return append(out, '\r', '\n')
		}
	}
}

// The program that reads a mail as another well-known parser does.
const pythonTree = `
import email, hashlib, json, sys
def tree(m):
    t = m.get_content_type()
    if t.startswith('message/') and t not in ('message/rfc822', 'message/global'):
        return [t, 'not compared'] # Python opens these, too
    if m.is_multipart():
        return [m.get_content_type(), [tree(c) for c in m.get_payload()]]
    body = m.get_payload(decode=True)
    return [m.get_content_type(), hashlib.sha256((body or b'').replace(b'\r\n', b'\n')).hexdigest()]
out = {}
for line in sys.stdin:
    name = line.rstrip('\n')
    with open(name, 'rb') as f:
        raw = f.read()
    if b'\r\n' not in raw:
        raw = raw.replace(b'\n', b'\r\n')
    try:
        out[name] = tree(email.message_from_bytes(raw))
    except Exception as e:
        out[name] = ['python fails: %r' % e]
json.dump(out, sys.stdout)
`

// Mails without ambiguity have the structure and the content that Python's email package finds.
func TestVectorsAgreeWithPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: no python3 to compare with")
	}
	all := mails(t)
	root := vectors.Path(t, "")
	cmd := exec.Command(python, "-c", pythonTree)
	var names strings.Builder
	for name := range all {
		fmt.Fprintln(&names, filepath.Join(root, name))
	}
	cmd.Stdin = strings.NewReader(names.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for name, raw := range all {
		m := readBytes(t, raw, Limits{})
		if !ordinary(m) {
			t.Logf("%s: %v", name, m.Defects)
			continue
		}
		compared++
		got, err := json.Marshal(outline(t, m, m.Root))
		if err != nil {
			t.Fatal(err)
		}
		expected, err := json.Marshal(want[filepath.Join(root, name)])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, expected) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, expected)
		}
	}
	t.Logf("%d of %d mails are ordinary", compared, len(all))
	if compared < len(all)/2 {
		t.Errorf("only %d of %d mails are ordinary", compared, len(all))
	}
}

// ordinary reports whether all readers see the same in m.
func ordinary(m *Message) bool {
	for _, d := range m.Defects {
		if d.Tier() != Info {
			return false
		}
	}
	return true
}

// outline is the tree in the form of pythonTree.
func outline(t *testing.T, m *Message, p *Part) any {
	if len(p.Children) > 0 {
		children := []any{}
		for _, c := range p.Children {
			children = append(children, outline(t, m, c))
		}
		return []any{p.MediaType, children}
	}
	if strings.HasPrefix(p.MediaType, "message/") && !p.isMessage() {
		return []any{p.MediaType, "not compared"}
	}
	content, err := io.ReadAll(m.Content(p))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")))
	return []any{p.MediaType, hex.EncodeToString(sum[:])}
}

// readBytes reads a message that the test closes at its end.
func readBytes(t testing.TB, raw []byte, l Limits) *Message {
	t.Helper()
	m, err := Read(bytes.NewReader(raw), Envelope{}, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return m
}

// checkTree checks what holds for the tree of every message.
func checkTree(t testing.TB, name string, m *Message) {
	t.Helper()
	if m.Root == nil || m.Root.Offset != 0 || m.Root.End != m.Size() {
		t.Fatalf("%s: root %+v of %d octets", name, m.Root, m.Size())
	}
	seen := make(map[string]bool)
	var walk func(p *Part, depth int)
	walk = func(p *Part, depth int) {
		if seen[p.Section] {
			t.Errorf("%s: section %q twice", name, p.Section)
		}
		seen[p.Section] = true
		if !(p.Offset <= p.BodyOffset && p.BodyOffset <= p.End) {
			t.Errorf("%s: section %q is %d, %d, %d", name, p.Section, p.Offset, p.BodyOffset, p.End)
		}
		for _, r := range []Range{p.Preamble, p.Epilogue} {
			if r.Start > r.End || r != (Range{}) && (r.Start < p.BodyOffset || r.End > p.End) {
				t.Errorf("%s: section %q has a range %v outside %d, %d", name, p.Section, r, p.BodyOffset, p.End)
			}
		}
		if depth > maxDepth {
			t.Fatalf("%s: too deep", name)
		}
		end := p.BodyOffset
		for _, c := range p.Children {
			if c.Parent != p || c.Offset < end || c.End > p.End {
				t.Errorf("%s: section %q at %d, %d is not inside %q or overlaps", name, c.Section, c.Offset, c.End, p.Section)
			}
			end = c.End
			walk(c, depth+1)
		}
	}
	walk(m.Root, 0)
}

// The octets under a detached signature are the ones that were signed: OpenSSL finds the signature right exactly where
// the vectors do not expect a failure.
func TestVectorsSignedOctets(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("SKIPPED: no openssl to compare with")
	}
	expected, err := os.ReadFile(vectors.Path(t, "smime/EXPECTED.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	checked := 0
	for name, raw := range mails(t) {
		m := readBytes(t, raw, Limits{})
		if m.Root.MediaType != "multipart/signed" || len(m.Root.Children) != 2 || !strings.HasPrefix(name, "smime") ||
			!strings.Contains(m.Root.Children[1].MediaType, "pkcs7-signature") {
			continue
		}
		first := m.Root.Children[0]
		signature, err := io.ReadAll(m.Content(m.Root.Children[1]))
		if err != nil {
			t.Fatal(err)
		}
		p7s, signed := filepath.Join(dir, "p7s"), filepath.Join(dir, "signed")
		if err := os.WriteFile(p7s, signature, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(signed, []byte(octetsIn(t, m, Range{first.Offset, first.End})), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(openssl, "cms", "-verify", "-inform", "DER", "-in", p7s, "-content", signed, "-binary",
			"-noverify", "-out", os.DevNull).CombinedOutput()
		fails := bytes.Contains(expected, []byte("\n"+strings.TrimPrefix(name, "smime/")+"\tfail\t"))
		if (err != nil) != fails {
			t.Errorf("%s: %v, expected to fail: %t\n%s", name, err, fails, out)
		}
		checked++
	}
	if checked < 15 {
		t.Errorf("only %d signatures checked", checked)
	}
	t.Logf("%d signatures", checked)
}
