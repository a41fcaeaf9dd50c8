package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
)

// judgeScript reads messages with Python's email package, which has nothing in common with ours, and says what a mail client
// would find in them. It reads a JSON list of base64 texts.
const judgeScript = `
import base64, email, email.header, hashlib, json, sys
def leaf(p):
    octets = p.get_payload(decode=True) or b""
    charset = p.get_content_charset() or "us-ascii"
    text = ""
    if p.get_content_maintype() == "text":
        try: text = octets.decode(charset)
        except Exception as e: text = "UNREADABLE: %r" % e
    return {"type": p.get_content_type(), "name": p.get_filename() or "", "encoding": str(p.get("Content-Transfer-Encoding", "")).lower(),
        "sha256": hashlib.sha256(octets).hexdigest(), "text": text, "defects": [type(d).__name__ for d in p.defects]}
out = []
for text in json.load(sys.stdin):
    octets = base64.b64decode(text)
    m = email.message_from_bytes(octets)
    head, _, body = octets.partition(b"\r\n\r\n")
    out.append({"leaves": [leaf(p) for p in m.walk() if not p.is_multipart()], "types": [p.get_content_type() for p in m.walk()],
        "longest": max(len(l) for l in octets.split(b"\r\n")), "eightbit": any(b > 127 for b in body),
        "fields": [k.lower() for k in m.keys() if k.lower().startswith(("content-", "mime-"))]})
json.dump(out, sys.stdout)
`

// A judged is what Python found in a message.
type judged struct {
	Leaves   []judgedLeaf `json:"leaves"`
	Types    []string     `json:"types"`    // of all parts, from the outside to the inside
	Longest  int          `json:"longest"`  // line, in octets
	EightBit bool         `json:"eightbit"` // in the body
	Fields   []string     `json:"fields"`   // of MIME in the header
}

// A judgedLeaf is one part without parts.
type judgedLeaf struct {
	Type     string   `json:"type"`
	Name     string   `json:"name"`
	Encoding string   `json:"encoding"`
	SHA256   string   `json:"sha256"` // of the decoded octets
	Text     string   `json:"text"`   // decoded, of text
	Defects  []string `json:"defects"`
}

// judge has Python read messages.
func judge(t *testing.T, messages ...[]byte) []judged {
	t.Helper()
	in, err := json.Marshal(messages)
	must(t, err)
	var out []judged
	must(t, json.Unmarshal(runTool(t, in, "/usr/bin/python3", "-c", judgeScript), &out))
	return out
}

// editRules ask for more than the rules that come with Assay, by words in the subject.
const editRules = `format: 1
rules:
  - {id: own-remote, title: Pictures go, severity: low, mode: enforce, when: 'subject.contains("[remote]")', then: {strip_active_html: remote}}
  - {id: own-text, title: HTML goes, severity: low, mode: enforce, when: 'subject.contains("[text]")', then: {strip_active_html: text}}
  - id: own-remove
    title: Programs are removed
    severity: low
    mode: enforce
    when: attachments.exists(a, a.ext == "exe")
    then: {remove_attachments: a.ext == "exe"}
`

// Parts of messages. The HTML has what must go and what must stay.
const (
	activeHTML = "<html><head><title>Gr\u00fc\u00dfe</title><script>alert(1)</script></head>\r\n<body onload=\"alert(2)\">\r\n" +
		"<!--[if mso]><table><tr><td><![endif]-->\r\n<p style=\"color:#336699\" onclick=\"alert(3)\">Gr\u00fc\u00dfe aus M\u00fcnchen</p>\r\n" +
		"<a href=\"https://client.example/?a=1&amp;b=2\">weiter</a> <a href=\"javascript:alert(4)\">nicht</a>\r\n" +
		"<img src=\"http://pictures.example/1.png\" alt=\"Bild\"><img src=\"cid:logo\">\r\n.\r\n..dots\r\n</body></html>\r\n"
	alternativeText = "Gr=C3=BC=C3=9Fe aus M=C3=BCnchen =\r\nin einer Zeile\r\n"
)

// forbidden are what no cleaned HTML holds.
func forbidden() []string {
	return []string{"<script", "alert(", "onload", "onclick", "javascript:"}
}

// An edited is a message of which one part is to be changed: what stands before the part and behind it has to stay as it is.
type edited struct {
	name   string
	fields string // of the header, beside From, To, Date and Message-ID
	before string // body up to the part
	part   string // the part with its header, or the whole body of a message that is nothing else
	after  string
	params string // of MAIL
	from   string // address, instead of a@client.example

	types   []string // of all parts as delivered, if they are not those of the original
	holds   []string // what the text of the parts as delivered holds
	lacks   []string // what it does not, beside forbidden
	changed string   // changed= in X-Assay-Result, "html" if it is empty
	postfix bool     // Sendmail cannot
}

// octets returns the message.
func (e edited) octets() []byte {
	from := e.from
	if from == "" {
		from = "a@client.example"
	}
	return []byte("From: " + from + "\r\nTo: b@rcpt.example\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n" +
		e.fields + "\r\n" + e.before + e.part + e.after)
}

// quoted returns text in quoted-printable.
func quoted(text string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// lined returns octets in base64, in lines.
func lined(octets []byte) string {
	text := base64.StdEncoding.EncodeToString(octets)
	var b strings.Builder
	for line := range slices.Chunk([]byte(text), 76) {
		b.Write(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// latin1 returns text in ISO 8859-1.
func latin1(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteByte(byte(r))
	}
	return b.String()
}

// noise returns octets that look like nothing.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	octets := make([]byte, n)
	for i := range octets {
		octets[i] = byte(r.Uint32())
	}
	return octets
}

// attachment returns a part with a file.
func attachment(boundary, mediaType, name string, octets []byte) string {
	return "--" + boundary + "\r\nContent-Type: " + mediaType + "; name=\"" + name + "\"\r\nContent-Disposition: attachment;\r\n\tfilename=\"" + name +
		"\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lined(octets)
}

// mixed is a message of the usual deep shape: a text with an alternative, a picture for it, and attachments of many kinds.
func mixed(name, subject, html string, size int) edited {
	return edited{
		name: name,
		fields: "Subject: " + subject + "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"mix\"; x-odd = \"kept (as it is)\"\r\n" +
			"X-Between: 1\r\n",
		before: "A preamble.\r\n--mix\r\nContent-Type: multipart/related; boundary=rel; type=\"multipart/alternative\"\r\n\r\n" +
			"--rel\r\nContent-Type: multipart/alternative; boundary=\"=_alt\"\r\n\r\n" +
			"--=_alt\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + alternativeText + "--=_alt\r\n",
		part: html,
		after: "\r\n--=_alt--\r\nan epilogue\r\n--rel\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			lined(noise(3000)) + "--rel--\r\n" + attachment("mix", "application/pdf", "Bericht.pdf", noise(size)) +
			"--mix\r\nContent-Type: text/csv; charset=iso-8859-1\r\nContent-Disposition: attachment; filename*=utf-8''gr%C3%BCn.csv\r\n" +
			"Content-Transfer-Encoding: 8bit\r\n\r\n" + latin1("gr\u00fcn;1\r\n\r\n  \r\n--no boundary\r\n") +
			"--mix\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@other.example\r\nSubject: inside\r\n\r\nforwarded, with trailing blanks  \t\r\n.\r\n" +
			"--mix--\r\nThe end.\r\n",
	}
}

// edits are messages with active content in every transfer encoding and at every place.
func editCases() []edited {
	const alternative = "Content-Type: text/html; charset=%s\r\nContent-Transfer-Encoding: %s\r\nX-Part: kept\r\n\r\n"
	utf8Quoted := fmt.Sprintf(alternative, "\"utf-8\"", "quoted-printable") + quoted(activeHTML)
	top := "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=%s\r\nContent-Transfer-Encoding: %s\r\n"
	long := strings.ReplaceAll(activeHTML, "\r\n", " ") + strings.Repeat("<b>a long line</b> ", 2000) + "\r\n"
	big := mixed("20 MB", "big", utf8Quoted, 14_800_000)
	remote := mixed("level remote", "[remote]", utf8Quoted, 100)
	remote.lacks, remote.holds, remote.changed = []string{"pictures.example"}, append(remote.wanted(), "images and other content"), "html,note"
	utf := mixed("SMTPUTF8", "gr\u00fcn", utf8Quoted, 1000)
	utf.params, utf.from, utf.postfix = "SMTPUTF8", "gr\u00fcn@gr\u00fcn.example", true
	return []edited{
		mixed("quoted-printable", "x", utf8Quoted, 100_000),
		mixed("base64 and Latin-1", "x", fmt.Sprintf(alternative, "ISO-8859-1", "BASE64")+lined([]byte(latin1(activeHTML))), 1000),
		mixed("8bit", "x", fmt.Sprintf(alternative, "utf-8", "8bit")+activeHTML, 1000),
		mixed("8bit and Latin-1", "x", fmt.Sprintf(alternative, "iso-8859-1", "8bit")+latin1(activeHTML), 1000),
		mixed("a long line", "x", fmt.Sprintf(alternative, "utf-8", "8bit")+long, 1000),
		{name: "only HTML in 8bit", fields: fmt.Sprintf(top, "windows-1252", "8bit"), part: latin1(activeHTML)},
		{name: "only HTML in quoted-printable", fields: fmt.Sprintf(top, "utf-8", "quoted-printable"), part: quoted(activeHTML)},
		{name: "only HTML in base64", fields: fmt.Sprintf(top, "utf-8", "base64"), part: lined([]byte(activeHTML))},
		{name: "only HTML with a long line", fields: fmt.Sprintf(top, "utf-8", "8bit"), part: long},
		{name: "only HTML without an encoding", fields: "Subject: x\r\nContent-Type: TEXT/html;\r\n\tcharset = us-ascii\r\nMime-Version: 1.0 (odd)\r\n",
			part: strings.NewReplacer("\u00fc", "&uuml;", "\u00df", "&szlig;").Replace(activeHTML), holds: []string{"Gr&uuml;&szlig;e aus M&uuml;nchen"}},
		{name: "level text", fields: strings.Replace(fmt.Sprintf(top, "utf-8", "8bit"), ": x", ": [text]", 1), part: activeHTML, types: []string{"text/plain"}, holds: []string{"Gr\u00fc\u00dfe aus M\u00fcnchen", "weiter", "the HTML was replaced by its text"},
			lacks: []string{"<p", "<a"}, changed: "html,note"},
		remote, big, utf,
	}
}

// TestEditedMail: HTML is cleaned in the middle of mails with attachments. What Python's email package reads in the mail as
// delivered is what it reads in the original, but for the part that was to be changed, and around that no octet differs.
func TestEditedMail(t *testing.T) {
	r := newRig(t, program(t, false), fmt.Sprintf("rules: {dirs: [shipped, %q]}\n", ruleDir(t, map[string]string{"10.yaml": editRules})))
	var originals [][]byte
	for _, e := range editCases() {
		originals = append(originals, e.octets())
	}
	before := judge(t, originals...)
	large := make(map[string][]byte) // as the first MTA delivered it: Python takes long to read it
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		got, small := make(map[string][]byte), [][]byte{}
		for _, e := range editCases() {
			if e.postfix && m.Name() != "postfix" {
				continue
			}
			env := between("a@client.example", "b@rcpt.example")
			env.Params = e.params
			data := r.delivered(t, send(t, c, env, string(e.octets()), 250))
			if got[e.name] = data; len(data) < 1<<20 || large[e.name] == nil {
				small = append(small, data)
			}
		}
		after := judge(t, small...)
		for i, e := range editCases() {
			data, delivered := got[e.name]
			if !delivered {
				continue
			}
			t.Run(e.name, func(t *testing.T) {
				e.checkAround(t, data)
				if first, found := large[e.name]; found {
					if !bytes.Equal(bodyOf(data), bodyOf(first)) {
						t.Errorf("the two MTAs have delivered different bodies")
					}
					return
				}
				e.checkRead(t, before[i], after[0])
				if after = after[1:]; len(data) >= 1<<20 {
					large[e.name] = data
				}
			})
		}
	})
}

// bodyOf returns the body of a message.
func bodyOf(message []byte) []byte {
	_, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	return body
}

// checkRead compares what Python read before and after.
func (e edited) checkRead(t *testing.T, before, after judged) {
	t.Helper()
	types := before.Types
	if e.types != nil {
		types = e.types
	}
	if !slices.Equal(after.Types, types) {
		t.Fatalf("parts %v, want %v", after.Types, types)
	}
	if len(after.Leaves) != len(before.Leaves) {
		t.Fatalf("%d leaves, want %d", len(after.Leaves), len(before.Leaves))
	}
	var text string
	for i, leaf := range after.Leaves {
		text += leaf.Text
		if len(leaf.Defects) > 0 && !slices.Equal(leaf.Defects, before.Leaves[i].Defects) {
			t.Errorf("leaf %d has defects %v", i, leaf.Defects)
		}
		noted := leaf.Type == "text/plain" && strings.Contains(e.changed, "note") && i == 0
		if before.Leaves[i].Type == "text/html" || noted {
			continue
		}
		if leaf.SHA256 != before.Leaves[i].SHA256 || leaf.Name != before.Leaves[i].Name || leaf.Encoding != before.Leaves[i].Encoding {
			t.Errorf("leaf %d %q was changed: %+v, before %+v", i, leaf.Name, leaf, before.Leaves[i])
		}
	}
	for _, word := range append(forbidden(), e.lacks...) {
		if strings.Contains(text, word) {
			t.Errorf("%q is left in\n%.2000s", word, text)
		}
	}
	for _, word := range e.wanted() {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not in\n%.2000s", word, text)
		}
	}
	if strings.Contains(text, "UNREADABLE") {
		t.Errorf("a part cannot be decoded: %.300s", text)
	}
	if after.Longest > 998 {
		t.Errorf("a line has %d octets", after.Longest)
	}
	for _, name := range after.Fields {
		if strings.Count(strings.Join(after.Fields, " ")+" ", name+" ") != 1 {
			t.Errorf("MIME fields %v", after.Fields)
		}
	}
}

// wanted is what must be left of the HTML.
func (e edited) wanted() []string {
	if e.holds != nil {
		return e.holds
	}
	return []string{"Gr\u00fc\u00dfe aus M\u00fcnchen", "weiter</a>", "https://client.example/?a=1&amp;b=2", "<!--[if mso]>", "..dots", "cid:logo"}
}

// checkAround looks at the octets around the part, and at our own fields.
func (e edited) checkAround(t *testing.T, got []byte) {
	t.Helper()
	header, body := fields(got)
	result := strings.Join(named(header, "X-Assay-Result"), "")
	want := e.changed
	if want == "" {
		want = "html"
	}
	if !strings.Contains(result, "changed="+want+";") {
		t.Errorf("want changed=%s: %s", want, result)
	}
	if digest := fmt.Sprintf("%x", sha256.Sum256(e.octets())); !strings.Contains(strings.Join(strings.Fields(result), ""), digest) {
		t.Errorf("the hash of the original, %s, is not in %s", digest, result)
	}
	sentHeader, _ := fields(e.octets())
	removed, _ := differences(sentHeader, header)
	for _, f := range removed {
		name, _, _ := strings.Cut(strings.ToLower(f), ":")
		if e.before != "" || name != "content-type" && name != "content-transfer-encoding" {
			t.Errorf("the field %q was changed", f)
		}
	}
	if !strings.Contains(e.changed, "note") && (!strings.HasPrefix(body, e.before) || !strings.HasSuffix(body, e.after)) {
		t.Errorf("the octets around the part were changed: %d octets of %d in front are the same, %d of %d behind", same(body, e.before), len(e.before),
			sameEnd(body, e.after), len(e.after))
	}
}

// same returns the length of the common beginning of two texts.
func same(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// sameEnd returns the length of the common end of two texts.
func sameEnd(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}
