package facts_test

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"assay/rules/facts"
)

// decode reads YAML as stated facts.
func decode(t testing.TB, text string) (*facts.Tree, []facts.Problem) {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		t.Skip(err)
	}
	return facts.Decode(&node)
}

func TestDecode(t *testing.T) {
	tree, problems := decode(t, `
from: {name: Erika Mustermann, email: Erika@mail.example.co.uk}
rcpts: [a@example.com, {email: b@example.org}]
reply_to:
  - {local: c, domain: example.net}
received_at: 2026-11-22T00:00:00Z
headers: {X-Mailer: PHPMailer, received: [a, b]}
auth:
  dkim: {result: pass, signatures: [{domain: example.com, selector: 2026}]}
urls:
  - {href: "https://evil.test/x", text: www.example.com}
attachments:
  - {name: Invoice.PDF.exe, encryption: archive, executable: true}
  - {name: a.docm, traits: [vba-macros]}
upstream: {spam_score: 5}
`)
	if problems != nil {
		t.Fatal(problems)
	}
	got := "\n" + strings.Join(lines(t, facts.Stated(*tree)), "\n") + "\n"
	for _, want := range []string{
		`from.local = "Erika"`, `from.domain = "mail.example.co.uk"`, `from.org_domain = "example.co.uk"`, `from_count = 1`,
		`from_all[0].name = "Erika Mustermann"`, `rcpts[0].domain = "example.com"`, `rcpts[1].org_domain = "example.org"`,
		`reply_to[0].email = "c@example.net"`, `received_at = 2026-11-22T00:00:00Z`, `headers.x-mailer[0] = "PHPMailer"`, `headers.received[1] = "b"`,
		`auth.dkim.signatures[0].selector = "2026"`, `auth.dkim.signatures[0].result = "none"`, `auth.spf.result = "none"`,
		`urls[0].host = "evil.test"`, `urls[0].mismatch = true`, `urls[0].source = "text"`,
		`attachments[0].ext = "exe"`, `attachments[0].encrypted = true`, `attachments[0].state = "encrypted"`, `attachments[0].traits[0] = "executable"`,
		`attachments[1].has_macros = true`, `attachments[1].state = "inspected"`, `objects[0].name = "Invoice.PDF.exe"`, `upstream.spam_score = 5`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("not there: %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// Stated facts outweigh what would follow.
func TestDecodeGiven(t *testing.T) {
	tree, problems := decode(t, `{from_count: 0, from_problem: missing, urls: [{href: "https://a.test", text: b.com, mismatch: false}], attachments: [{name: a.zip, state: uninspectable}], objects: []}`)
	if problems != nil {
		t.Fatal(problems)
	}
	if tree.FromCount != 0 || tree.URLs[0].Mismatch || tree.Attachments[0].State != "uninspectable" || len(tree.Objects) != 0 {
		t.Errorf("%+v", tree)
	}
	tree, problems = decode(t, "")
	if problems != nil || tree == nil || tree.FromCount != 1 {
		t.Errorf("nothing stated: %+v, %v", tree, problems)
	}
}

func TestDecodeProblems(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"misspelt", "form: {email: a@example.com}", `1:1 unknown fact "form" (from)`},
		{"misspelt below", "auth:\n  dmarc: {resutl: fail}", `2:11 unknown fact "auth.dmarc.resutl" (result)`},
		{"unlike any", "colour: red", `1:1 unknown fact "colour" ()`},
		{"value", "auth: {dmarc: {result: faill}}", `1:24 auth.dmarc.result cannot be "faill"; it is one of "none", "pass", "fail", "temperror", "permerror" (fail)`},
		{"value of a variable", "skipped: networks", `1:10 skipped cannot be "networks"; it is one of "", "authenticated", "network", "local" (network)`},
		{"bool", "conn: {tls: \"yes\"}", `1:13 conn.tls must be true or false, not "yes" ()`},
		{"number", "size: big", `1:7 size must be an integer, not "big" ()`},
		{"too big", "size: 99999999999999999999", `1:7 size must be an integer, not "99999999999999999999" ()`},
		{"list for a string", "subject: [a]", `1:10 subject must be a string, not a list ()`},
		{"string for a list", "rcpts: a@example.com", `1:8 rcpts must be a list, not "a@example.com" ()`},
		{"element", "attachments:\n  - zip", `2:5 attachments.0 must be a mapping of facts, not "zip" ()`},
		{"nothing", "subject:", `1:9 subject must be a string, not nothing ()`},
		{"time", "received_at: tomorrow", `1:14 received_at must be a time such as 2027-01-31T12:00:00Z, not "tomorrow" ()`},
		{"twice", "headers: {a: x, A: y}", `1:17 headers.a is stated twice ()`},
		{"no mapping", "- a", `1:1 facts must be a mapping of facts, not a list ()`},
		{"extension", `attachments: [{ext: .exe}]`, `1:21 attachments.0.ext is never ".exe": it is always in lower case and without a dot (exe)`},
		{"capitals", `from: A@EXAMPLE.COM`, `1:7 from.email is never "A@EXAMPLE.COM": it is always an address with its domain in lower case (A@example.com)`},
		{"client", `conn: {ip: 300.1.1.1}`, `1:12 conn.ip is never "300.1.1.1": it is always an IP address ()`},
		{"negative", `size: -5`, `1:7 size is never below 0 ()`},
		{"go name", "MailFrom: a@example.com", `1:1 unknown fact "MailFrom" (mail_from)`},
	} {
		tree, problems := decode(t, test.in)
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%d:%d %s (%s)", p.Line, p.Column, p.Message, p.Suggestion))
		}
		if tree != nil || strings.Join(got, "\n") != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, strings.Join(got, "\n"), test.want)
		}
	}
	_, problems := decode(t, "form: 1\nsubject: [x]\nsize: x")
	if len(problems) != 3 || problems[0].Line != 1 || problems[2].Line != 3 {
		t.Errorf("not all problems in order: %v", problems)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("from: {email: a@example.com}")
	f.Add("a: &a [*a, *a]\nurls: *a")
	f.Add("{headers: {x: [1, null]}, auth: {dkim: {signatures: [{}]}}}")
	f.Fuzz(func(t *testing.T, text string) {
		tree, problems := decode(t, text)
		if (tree == nil) == (len(problems) == 0) {
			t.Errorf("%q: %v, %v", text, tree, problems)
		}
		if tree != nil {
			facts.Stated(*tree).Dump()
		}
	})
}
