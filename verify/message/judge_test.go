package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The program that judges edits by another well-known parser: of every leaf but one the header fields and the octets are
// those before the edit, and that one has the new content. It prints what is not so.
const pythonJudge = `
import base64, email, json, sys
def leaves(m, out):
    t = m.get_content_type()
    if m.is_multipart() and (not t.startswith('message/') or t in ('message/rfc822', 'message/global')):
        for c in m.get_payload():
            leaves(c, out)
    else:
        out.append(m)
    return out
def octets(m):
    return [(k, v) for k, v in m.raw_items()], m.as_bytes()
def lines(b):
    b = b.replace(b'\r\n', b'\n')
    return b[:-1] if b.endswith(b'\n') else b
kept = ('content-type', 'content-transfer-encoding', 'mime-version')
for line in sys.stdin:
    case = json.loads(line)
    name = case['name']
    before = leaves(email.message_from_bytes(base64.b64decode(case['before'])), [])
    after = leaves(email.message_from_bytes(base64.b64decode(case['after'])), [])
    if len(before) != len(after):
        print(name, 'has %d leaves, not %d' % (len(after), len(before)))
        continue
    for i, (b, a) in enumerate(zip(before, after)):
        if i != case['leaf']:
            if octets(a) != octets(b):
                print(name, 'changes leaf %d' % i)
            continue
        if lines(a.get_payload(decode=True)) != lines(base64.b64decode(case['content'])):
            print(name, 'has other content: %r' % a.get_payload(decode=True)[:200])
        if a.defects:
            print(name, 'has defects: %r' % a.defects)
        other = [[(k, v) for k, v in m.raw_items() if k.lower() not in kept] for m in (a, b)]
        if other[0] != other[1]:
            print(name, 'changes other fields')
        if a.get_content_type() != case['type']:
            print(name, 'has the type %s' % a.get_content_type())
`

// A judged is one edit that Python judges.
type judged struct {
	Name    string `json:"name"`
	Before  []byte `json:"before"`
	After   []byte `json:"after"`
	Leaf    int    `json:"leaf"`
	Type    string `json:"type"`
	Content []byte `json:"content"`
}

// newContents are what leaves are edited to: what fits into 7bit, what does not, what needs base64, and lines that are
// too long.
var newContents = [...]string{
	"<p>edited</p>\r\n",
	"<p>Grüße in einer Zeile, die auch nach dem Umbrechen noch vollständig ist = das war's</p>\n\n.\n--\n-- \nFrom here\n",
	"<p>中文邮件的内容</p>",
	"<p>" + strings.Repeat("0123456789", 300) + "</p>\r\n",
}

// Every text leaf of every mail is edited. The octets around it are the same; and where all readers understand the mail
// alike, Python's email package finds the new content and all other leaves unchanged.
func TestVectorsRewritten(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: no python3 to compare with")
	}
	cmd := exec.Command(python, "-c", pythonJudge)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var count struct{ mails, html, edits, judged, refused int }
	enc := json.NewEncoder(stdin)
	for name, raw := range mails(t) {
		count.mails++
		for form, m := range map[string]*Message{"CRLF": readBytes(t, raw, Limits{}), "LF": bareLFs(t, raw)} {
			html := false
			for leaf, p := range slices.Collect(m.Root.Leaves()) {
				if !strings.HasPrefix(p.MediaType, "text/") || m.Editable(p) != nil {
					continue
				}
				html = html || p.MediaType == "text/html"
				count.edits++
				content := newContents[count.edits%len(newContents)]
				c := judged{fmt.Sprintf("%s %s %q", name, form, p.Section), []byte(octetsOf(t, m)), nil, leaf, p.MediaType, []byte(content)}
				c.After = editOne(t, c.Name, m, p, c.Content)
				if !ordinary(m) {
					continue
				}
				count.judged++
				if err := enc.Encode(c); err != nil {
					t.Fatal(err)
				}
			}
			if html && form == "CRLF" {
				count.html++
			}
			m.Close()
		}
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("Python finds:\n%s", out.String())
	}
	t.Logf("%d mails, %d of them with HTML; %d leaves edited, %d of them judged by Python", count.mails, count.html, count.edits, count.judged)
	if count.html < 50 || count.judged < 450 {
		t.Error("that is too little")
	}
}

// bareLFs is the mail as a milter would hand it over with LF in its body.
func bareLFs(t *testing.T, raw []byte) *Message {
	m := readBytes(t, raw, Limits{})
	b := NewBuilder(Limits{})
	for _, f := range m.Header {
		b.AddField(f.Name, f.Value())
	}
	body, err := io.ReadAll(m.Body())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))); err != nil {
		t.Fatal(err)
	}
	lf, err := b.Message(Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	return lf
}

// editOne edits one part and checks that the octets around it are the same.
func editOne(t *testing.T, name string, m *Message, p *Part, content []byte) []byte {
	mediaType := ""
	if len(content)%2 == 0 {
		mediaType = p.MediaType
	}
	after, r := rewritten(t, m, Edit{Part: p, MediaType: mediaType, Content: content})
	before := octetsOf(t, m)
	if p.Parent == nil {
		return []byte(after)
	}
	if len(r.Changes) > 0 {
		t.Errorf("%s: changes %v", name, r.Changes)
	}
	if !strings.HasPrefix(after, before[:p.Offset]) || !strings.HasSuffix(after, before[p.End:]) {
		t.Errorf("%s: octets around the part are changed", name)
	}
	again := readBytes(t, []byte(after), Limits{})
	defer again.Close()
	if got, want := shape(again.Root), shape(m.Root); got != want {
		t.Errorf("%s: tree %s, was %s", name, got, want)
	}
	return []byte(after)
}
