package rules

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"cel.dev/cel-go/common/types"

	"assay/rules/facts"
)

func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 10_000 {
			return
		}
		s, problems := Load([]Source{{Name: "rules.d", Files: fstest.MapFS{"a.yaml": {Data: text}}}}, testOptions())
		if (s == nil) != (problems.Err() != nil) {
			t.Fatal("a set with errors, or none without")
		}
		_ = problems.String()
		if s != nil {
			s.Explain(t.Context(), state(nil))
		}
	})
}

// conditions are all the forms that conditions take: those of templates, and what can fail.
func conditions() []string {
	all := []string{
		`rcpts.map(r, r.email)[0] == "x"`, `headers["subject"][0] != "" || !("subject" in headers)`, `size / from_count > 10`,
		`!(broken || conn.tls)`, `broken && conn.tls`, `conn.tls && broken`, `broken || broken`, `!broken`,
		`conn.tls ? broken : size > 5`, `size >= 10 && size <= 20 || size < 3`, `5 < size`, `from.email in ["x", "", "y"]`,
		`"x" == from.email`, `listed_any("org_domains", rcpts.map(r, r.domain))`, `fold(subject).contains("protokoll")`,
		`domain_under(mail_from.domain, from.org_domain)`, `confusable(from.name, subject)`,
		`urls.exists(u, attachments.exists(a, a.name.contains(u.host)))`, `received_at > timestamp("2026-01-01T00:00:00Z")`,
		`upstream.spam_score >= 5.0`, `auth.smime.not_after < received_at + duration("24h")`, `conn.ip != "" && cidr("192.0.2.0/24").containsIP(conn.ip)`,
	}
	all = append(all,
		`attachments.all(a, a.size > 3 && a.ext == "zip")`, `attachments.exists(a, a.inside.exists(n, n == a.name || n.startsWith("x")))`,
		`attachments.all(a, !a.inside.exists(n, n.endsWith("x"))) && urls.size() > 1`, `size(rcpts) >= 2 || size(html.active) == 0`,
		`attachments.exists(a, listed_any("freemail", a.exts) || "zip" in a.traits)`, `listed_any("freemail", html.active)`,
		`rcpts.exists(r, r.domain == from.domain && r.local != mail_from.local)`, `rcpts.exists(from, from.local == "x" && .from.local == "x")`,
		`rcpts.exists(r, broken)`, `rcpts.exists(r, broken || r.local == "x")`, `rcpts.all(r, broken && r.local == "x")`,
		`rcpts.exists(r, int(r.local) > 0 || r.domain == "example.com")`, `rcpts.exists(r, r.local == "x" || int(r.local) > 0)`,
		`attachments.exists(a, rcpts.exists(r, r.local == a.name || a.ext == r.domain))`,
		`headers[?"subject"].orValue([]).all(v, v.contains("x"))`, `headers[?"absent"].orValue([]).exists(v, v == "")`,
		`fold(from.name).contains("erika") && fold(subject) != fold(from.name)`, `from.domain.matches("(?i)^EXAMPLE\\.(com|net)$")`,
		`reply_to.exists(r, lookalike("org_domains", r.domain) || domain_under(r.domain, from.domain))`, `"x" in html.active`,
		`from.name in auth.arc.sealers`, `rcpts.exists_one(r, r.local == "x")`, `rcpts.exists(r, r.local in ["x", "pass"])`,
		`attachments.exists(a, a.size >= 10 && a.size <= 20 && a.depth != 3 && 5 < a.size)`, `auth.dkim.signatures.exists(s, s.aligned == true)`,
		`rcpts.exists(r, authenticated && r.local == "x")`, `urls.exists(u, u.text.startsWith(u.host) && !u.mismatch)`)
	for _, c := range templates() {
		all = append(all, strings.ReplaceAll(c, "%d", "7"))
	}
	return all
}

// richSet holds a rule for each condition.
func richSet(tb testing.TB) *Set {
	tb.Helper()
	text := "format: 1\nlists:\n  vips: {items: [Erika Mustermann]}\n  freemail: {items: [gmail.com, .gmx.de]}\n  list_domains: {items: [lists.debian.org]}\nmacros:\n" +
		"  broken: 'rcpts.map(r, r.local)[2] == \"x\"'\n  vouched: 'auth.arc.result == \"pass\"'\n  authenticated: 'auth.dmarc.result == \"pass\" || vouched'\n" +
		"  from_us: 'listed(\"org_domains\", from.org_domain)'\n  from_known_list: 'auth.dkim.signatures.exists(s, listed(\"list_domains\", s.domain))'\nrules:\n"
	for i, c := range conditions() {
		text += "  - id: r" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "\n    title: t\n    severity: high\n    mode: enforce\n    when: |\n      " + c +
			"\n    then: {note: '${from.email} ${rcpts[0].email}', remove_attachments: 'a.inside.exists(n, n.contains(\".\"))'}\n"
	}
	return mustLoad(tb, fstest.MapFS{"a.yaml": {Data: []byte(text)}}, testOptions())
}

// scramble fills a value with random content, from words that conditions ask for.
func scramble(r *rand.Rand, v reflect.Value) {
	words := []string{"", "x", "pass", "fail", "none", "reject", "example.com", "example.net", "a@example.com", "zip", "Erika Mustermann", "192.0.2.1", "ambiguous", "examp1e.com", "\u202e", "Protokoll"}
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(r.Int64N(4e9), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			scramble(r, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			scramble(r, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string][]string{"subject": {words[r.IntN(len(words))]}}))
	case reflect.String:
		v.SetString(words[r.IntN(len(words))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int:
		v.SetInt(r.Int64N(30) - 3)
	case reflect.Float64:
		v.SetFloat(r.Float64() * 20)
	}
}

// FuzzDecide decides about random facts. What is decided without CEL must be what CEL says.
func FuzzDecide(f *testing.F) {
	s := richSet(f)
	for seed := range uint64(20) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		var tree facts.Tree
		scramble(rand.New(rand.NewPCG(a, b)), reflect.ValueOf(&tree).Elem())
		d, traces := s.Explain(context.Background(), facts.Stated(tree))
		if len(traces) != len(s.rules) || d.Disposition != Deliver {
			t.Fatalf("%d traces, %v", len(traces), d.Disposition)
		}
		ev := s.begin(t.Context(), facts.Stated(tree))
		for _, r := range s.rules {
			agrees(t, ev, r)
		}
	})
}

// agrees compares the two ways in which a condition can be evaluated.
func agrees(t *testing.T, ev *evaluation, r *rule) {
	t.Helper()
	program, err := ev.set.base.env.Program(r.when.checked, ev.set.base.programOptions(false)...)
	if err != nil {
		t.Fatal(err)
	}
	want, _, wantErr := program.Eval(ev)
	got, err := ev.holds(r.when)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: error %v, CEL has %v", r.when.text, err, wantErr)
	}
	if err == nil && types.Bool(got) != want {
		t.Fatalf("%s: %v, CEL has %v", r.when.text, got, want)
	}
	if errors.Is(err, errPanic) {
		t.Fatalf("%s: %v", r.when.text, err)
	}
}

func TestNativeStepsAgreeWithCEL(t *testing.T) {
	s := richSet(t)
	for seed := range uint64(300) {
		var tree facts.Tree
		scramble(rand.New(rand.NewPCG(seed, 1)), reflect.ValueOf(&tree).Elem())
		ev := s.begin(t.Context(), facts.Stated(tree))
		for _, r := range s.rules {
			agrees(t, ev, r)
		}
	}
}
