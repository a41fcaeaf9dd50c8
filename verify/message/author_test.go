package message

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// author parses From fields given as values.
func author(values ...string) Author {
	b := NewBuilder(Limits{})
	b.AddField("Subject", []byte(" hello"))
	for _, v := range values {
		b.AddField("From", []byte(v))
	}
	return b.Header().Author()
}

// summary writes mailboxes as name|local|domain.
func summary(a Author) string {
	var all []string
	for _, m := range a.Mailboxes {
		all = append(all, m.Name+"|"+m.Local+"|"+m.Domain)
	}
	return strings.Join(all, " ")
}

func TestAuthor(t *testing.T) {
	tests := []struct {
		from    string
		problem AuthorProblem
		want    string
	}{
		// RFC 5322 Section 3.4.
		{" alice@example.com", "", "|alice|example.com"},
		{"alice@example.com", "", "|alice|example.com"},
		{" Alice <alice@EXAMPLE.com>", "", "Alice|alice|example.com"},
		{" <alice@example.com>", "", "|alice|example.com"},
		{" \"Smith, Alice\" <alice@example.com>", "", "Smith, Alice|alice|example.com"},
		{" \"Alice \\\"Al\\\" Smith\" <alice@example.com>", "", "Alice \"Al\" Smith|alice|example.com"},
		{" \"Alice (Sales)\" <alice@example.com>", "", "Alice (Sales)|alice|example.com"},
		{" Alice (Sales) Smith <alice@example.com>", "", "Alice Smith|alice|example.com"},
		{" alice@example.com (Alice Smith)", "", "|alice|example.com"},
		{" (one (two) \\) three) alice@example.com", "", "|alice|example.com"},
		{"\r\n\tAlice Smith\r\n <alice@example.com>", "", "Alice Smith|alice|example.com"},
		{" \"x <a@b>\"@c.example", "", "|x <a@b>|c.example"},
		{" \"alice smith\"@example.com", "", "|alice smith|example.com"},
		{" alice+tag@example.com", "", "|alice+tag|example.com"},
		{" alice@[192.0.2.1]", "", "|alice|[192.0.2.1]"},
		{" alice@[IPv6:2001:DB8::1]", "", "|alice|[ipv6:2001:db8::1]"},
		{" alice@localhost", "", "|alice|localhost"},
		{" alice@_dmarc.example.com", "", "|alice|_dmarc.example.com"},
		{" \"eve@evil.example\" <alice@example.com>", "", "eve@evil.example|alice|example.com"},
		{" alice@example.com <alice@example.com>", "", "alice@example.com|alice|example.com"},
		// RFC 5322 Section 4.4.
		{" John Q. Public <john@example.com>", "", "John Q. Public|john|example.com"},
		{" <@relay.example,@other.example:alice@example.com>", "", "|alice|example.com"},
		{" alice . smith @ example . com", "", "|alice.smith|example.com"},
		{" alice(comment)@(comment)example.com", "", "|alice|example.com"},
		{" ,alice@example.com, ,", "", "|alice|example.com"},
		// RFC 2047, RFC 6532, RFC 5890.
		{" =?UTF-8?Q?Andr=C3=A9?= <andre@example.com>", "", "André|andre|example.com"},
		{" =?UTF-8?B?PGV2ZUBldmlsPg==?= <alice@example.com>", "", "<eve@evil>|alice|example.com"},
		{" =?utf-8?q?a?= =?utf-8?q?b?= <alice@example.com>", "", "ab|alice|example.com"},
		{" Jörg <jörg@exämple.com>", "", "Jörg|jörg|xn--exmple-cua.com"},
		{" a@EXÄMPLE.com", "", "|a|xn--exmple-cua.com"},
		{" a@例え。テスト", "", "|a|xn--r8jz45g.xn--zckzah"},
		{" a@xn--exmple-cua.com", "", "|a|xn--exmple-cua.com"},
		{" J\xf6rg <jorg@example.com>", "", "J\uFFFDrg|jorg|example.com"},
		// Not one mailbox.
		{"", AuthorMissing, ""},
		{" \t", AuthorMissing, ""},
		{" (nobody)", AuthorMissing, ""},
		{" a@x.example, b@y.example", AuthorSeveral, "|a|x.example |b|y.example"},
		{" \"A, B\" <a@x.example>, b@y.example", AuthorSeveral, "A, B|a|x.example |b|y.example"},
		{" undisclosed:;", AuthorGroup, ""},
		{" Friends: a@x.example;", AuthorGroup, "|a|x.example"},
		{" Friends: a@x.example, B <b@y.example>;", AuthorSeveral, "|a|x.example B|b|y.example"},
		{" \"Nobody here\": ;", AuthorGroup, ""},
		// Against the grammar; what can be seen is listed.
		{" victim@x.example <eve@y.example>", AuthorMalformed, "|victim|x.example |eve|y.example"},
		{" alice@example.com <eve@example.com>", AuthorMalformed, "|alice|example.com |eve|example.com"},
		{" Alice <alice@example.com", AuthorMalformed, "|alice|example.com"},
		{" Alice alice@example.com>", AuthorMalformed, "|alice|example.com"},
		{" <<alice@example.com>>", AuthorMalformed, "|alice|example.com"},
		{" <alice@example.com> <eve@evil.example>", AuthorMalformed, "|alice|example.com |eve|evil.example"},
		{" <alice@example.com>, eve <eve@evil.example", AuthorMalformed, "|alice|example.com |eve|evil.example"},
		{" \"Alice <alice@example.com>", AuthorMalformed, "|alice|example.com"},
		{" \"bank@bank.example\" <eve@evil.example", AuthorMalformed, "|eve|evil.example"},
		{" (alice@example.com", AuthorMalformed, "|alice|example.com"},
		{" (x) \"alice@example.com\"", AuthorMalformed, "|alice|example.com"},
		{" Alice", AuthorMalformed, ""},
		{" <>", AuthorMalformed, ""},
		{" alice@", AuthorMalformed, ""},
		{" @example.com", AuthorMalformed, ""},
		{" ,", AuthorMalformed, ""},
		{" Smith, Alice <alice@example.com>", AuthorMalformed, "|alice|example.com"},
		{" Alice: <alice@example.com>", AuthorMalformed, "|alice|example.com"},
		{" a..b@example.com", AuthorMalformed, "|a..b|example.com"},
		{" a@example..com", AuthorMalformed, "|a|example..com"},
		{" a@example.com.", AuthorMalformed, "|a|example.com"},
		{" a@b@example.com", AuthorMalformed, "|a|b"},
		{" a@exa mple.com", AuthorMalformed, "|a|exa"},
		{" alice@example.com\x00.evil.example", AuthorMalformed, "|alice|example.com"},
		{" Al\x00ice <alice@example.com>", AuthorMalformed, "|alice|example.com"},
		{" \"Al\x01ice\" <alice@example.com>", AuthorMalformed, "Al\x01ice|alice|example.com"},
		{" Alice\r<alice@example.com>", AuthorMalformed, "|alice|example.com"},
		{" a\xff@example.com", AuthorMalformed, "|a\xff|example.com"},
		{" a@" + strings.Repeat("x", 64) + ".example", AuthorMalformed, "|a|" + strings.Repeat("x", 64) + ".example"},
		{" a@example.com\n.evil.example", AuthorMalformed, "|a|example.com.evil.example"},
		{" a@💩..example", AuthorMalformed, "|a|xn--ls8h..example"},
		{" a@[192.0.2.1", AuthorMalformed, ""},
		{" Friends: a@x.example", AuthorMalformed, "|a|x.example"},
		{" Friends: Inner: a@x.example;;", AuthorMalformed, "|a|x.example"},
		{" \"a@x.example\"@y.example <eve@z.example>", AuthorMalformed, "|a@x.example|y.example |eve|z.example"},
	}
	for _, test := range tests {
		a := author(test.from)
		if a.Problem != test.problem || summary(a) != test.want || a.Fields != 1 {
			t.Errorf("From:%q = %q %q, %d field(s); want %q %q", test.from, a.Problem, summary(a), a.Fields, test.problem, test.want)
		}
	}
}

func TestAuthorFields(t *testing.T) {
	tests := []struct {
		from    []string
		problem AuthorProblem
		want    string
	}{
		{nil, AuthorMissing, ""},
		{[]string{" a@x.example", " b@y.example"}, AuthorSeveralFields, "|a|x.example |b|y.example"},
		{[]string{" a@x.example", ""}, AuthorSeveralFields, "|a|x.example"},
		{[]string{"", " "}, AuthorMissing, ""},
		{[]string{" a@x.example <b@y.example>", " c@z.example"}, AuthorSeveralFields, "|a|x.example |b|y.example |c|z.example"},
	}
	for _, test := range tests {
		a := author(test.from...)
		if a.Problem != test.problem || summary(a) != test.want || a.Fields != len(test.from) {
			t.Errorf("From:%q = %q %q, %d field(s); want %q %q", test.from, a.Problem, summary(a), a.Fields, test.problem, test.want)
		}
	}
}

func TestAuthorNameOfFieldIgnoresCase(t *testing.T) {
	b := NewBuilder(Limits{})
	b.AddField("fROM", []byte(" a@x.example"))
	b.AddField("From ", []byte(" b@x.example"))
	if a := b.Header().Author(); a.Fields != 2 || a.Problem != AuthorSeveralFields {
		t.Errorf("got %+v", a)
	}
}

// Every shape that makes a careless parser quadratic.
func TestAuthorIsBounded(t *testing.T) {
	const size = 1 << 20
	for _, seed := range []string{"a@b,", "(", "\"", "\"a\"@", "<", "a@b <", ",", "a:", "\\", "@", "=?a?q?", "(\\", "a.", "\"@", "ä@ä,"} {
		value := strings.Repeat(seed, size/len(seed))
		start := cpuTime(t)
		a := author(value[:size-100])
		if len(a.Mailboxes) > MaxMailboxes {
			t.Errorf("%q repeated: %d mailboxes", seed, len(a.Mailboxes))
		}
		if a.Problem == "" {
			t.Errorf("%q repeated: no problem", seed)
		}
		if d := cpuTime(t) - start; d > 2*time.Second {
			t.Errorf("%q repeated: took %v", seed, d)
		}
	}
}

func ExampleHeader_Author() {
	b := NewBuilder(Limits{})
	b.AddField("From", []byte(` "Doe, Jane" <jane@example.org>`))
	a := b.Header().Author()
	fmt.Println(a.Mailboxes[0].Name, "at", a.Mailboxes[0].Domain)
	// Output: Doe, Jane at example.org
}
