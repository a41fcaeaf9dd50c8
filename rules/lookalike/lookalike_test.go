package lookalike_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"assay/rules/lookalike"
)

func TestFold(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"nothing to do", "erika mustermann", "erika mustermann"},
		{"case", "Erika MUSTERMANN", "erika mustermann"},
		{"blanks", "  Erika \t\r\n Mustermann ", "erika mustermann"},
		{"other blanks", "Erika\u00a0\u2003Mustermann\u3000", "erika mustermann"},
		{"accents", "Éríka Müstermänn", "erika mustermann"},
		{"accents as marks", "E\u0301rika Mu\u0308stermann", "erika mustermann"},
		{"strokes", "Søren Łukasz Đorđe", "soren lukasz dorde"},
		{"sharp s", "Weiß", "weiss"},
		{"capital sharp s", "WEIẞ", "weiss"},
		{"ligature", "ﬁnance Æther", "finance aether"},
		{"full width", "ＥＲＩＫＡ", "erika"},
		{"mathematical", "𝐄𝐫𝐢𝐤𝐚", "erika"},
		{"capital I with dot", "İstanbul", "istanbul"},
		{"zero width", "Er\u200bi\u00adka\ufeff", "erika"},
		{"right to left", "\u202eakirE", "akire"},
		{"control", "Eri\x00ka", "erika"},
		{"invalid", "a\xffb", "a\ufffdb"},
		{"other script stays", "Эрика", "эрика"},
		{"empty", "", ""},
	} {
		if got := lookalike.Fold(test.in); got != test.want {
			t.Errorf("%s: Fold(%q) = %q, want %q", test.name, test.in, got, test.want)
		}
	}
}

func TestConfusable(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"example.com", "example.com", false},
		{"example.com", "EXAMPLE.com.", false},
		{"xn--mller-kva.de", "müller.de", false}, // the same domain, written twice
		{"ｅxample.com", "example.com", false},    // IDNA makes them the same
		{"example.com", "exarnple.com", true},
		{"example.com", "examp1e.com", true},
		{"example.com", "exampie.com", true},
		{"example.com", "examp|e.com", true},
		{"google.com", "g00gle.com", true},
		{"western.com", "vvestern.com", true},
		{"dome.org", "clome.org", true},
		{"dome.org", "c1ome.org", true},
		{"acid.org", "add.org", false}, // "ci" does not look like "d"
		{"paypal.com", "раураl.com", true},
		{"paypal.com", "xn--l-7sba6dbr.com", true}, // the Cyrillic one as A-label
		{"apple.com", "αpple.com", true},
		{"müller.de", "muller.de", true},
		{"Max Mustermann", "Мах Mustеrmann", true},
		{"MENZ", "ΜΕΝΖ", true},
		{"example.com", "example.net", false},
		{"example.com", "exemple.com", false},
		{"", "", false},
		{"a", "", false},
	} {
		for _, pair := range [][2]string{{test.a, test.b}, {test.b, test.a}} {
			if got := lookalike.Confusable(pair[0], pair[1]); got != test.want {
				t.Errorf("Confusable(%q, %q) = %v", pair[0], pair[1], got)
			}
		}
	}
}

func TestLike(t *testing.T) {
	for _, test := range []struct {
		domain, own string
		want        bool
	}{
		// one's own
		{"example.com", "example.com", false},
		{"mail.example.com", "example.com", false},
		{"Example.COM.", "example.com", false},
		{"example.co.uk", "www.example.co.uk", false},
		// typing errors
		{"exmple.com", "example.com", true},
		{"exammple.com", "example.com", true},
		{"exanple.com", "example.com", true},
		{"examlpe.com", "example.com", true},
		{"exmpel.com", "example.com", false},
		{"muenchner-bakn.de", "muenchner-bank.de", true},
		{"muenchnar-bakn.de", "muenchner-bank.de", true},
		{"munchnar-bakn.de", "muenchner-bank.de", false}, // three errors
		{"ample.de", "apple.com", false},                 // an error and another suffix: too little in common
		{"examplecorb.net", "examplecorp.com", true},
		// what looks the same
		{"exarnple.com", "example.com", true},
		{"www.exarnple.com", "example.com", true},
		{"xn--e1awd7f.com", "epic.com", true},
		{"xn--80ak6aa92e.com", "apple.com", true},
		{"bmvv.de", "bmw.de", true},
		{"1bm.com", "ibm.com", true},
		// other suffixes
		{"example.net", "example.com", true},
		{"examp1e.co.uk", "example.com", true},
		{"bmw.com", "bmw.de", false}, // too short to say
		{"web.net", "web.de", false},
		// pieces
		{"example-login.com", "example.com", true},
		{"login-example.com", "example.com", true},
		{"my-example-portal.org", "example.com", true},
		{"my-exarnple-portal.org", "example.com", true},
		{"examples-login.com", "example.com", false},
		{"bmw-login.com", "bmw.de", false},
		// in front of another domain
		{"example.com.evil.test", "example.com", true},
		{"login.example.com.evil.test", "example.com", true},
		{"example-com.evil.test", "example.com", true},
		{"notexample.com.evil.test", "example.com", false},
		// others
		{"different.org", "example.com", false},
		{"bwm.de", "bmw.de", false},
		{"gmail.com", "gmx.de", false},
		{"counterexample.com", "example.com", false},
		// no domains
		{"com", "example.com", false},
		{"", "example.com", false},
		{"example.com", "", false},
		{"[192.0.2.1]", "example.com", false},
		{"192.0.2.1", "example.com", false},
		{"..", "example.com", false},
		{strings.Repeat("a.", 2000) + "example.com", "example.com", false},
	} {
		if got := lookalike.Like(test.domain, test.own); got != test.want {
			t.Errorf("Like(%q, %q) = %v", test.domain, test.own, got)
		}
	}
}

func FuzzLookalike(f *testing.F) {
	for _, seed := range [][2]string{
		{"example.com", "exarnple.com"}, {"xn--80ak6aa92e.com", "apple.com"}, {"İ", "ﬁ"}, {"\u202eabc", "a\xff"}, {"xn--a", "xn--"}, {"ꭺ", "Ꭺ"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		folded := lookalike.Fold(a)
		if again := lookalike.Fold(folded); again != folded && len(folded) <= 1024 {
			t.Errorf("Fold(%q) = %q, and once more %q", a, folded, again)
		}
		if !utf8.ValidString(folded) || !utf8.ValidString(lookalike.Skeleton(a)) {
			t.Errorf("%q: not valid UTF-8", a)
		}
		if lookalike.Confusable(a, a) || lookalike.Like(a, a) {
			t.Errorf("%q looks like itself", a)
		}
		if lookalike.Confusable(a, b) != lookalike.Confusable(b, a) {
			t.Errorf("%q and %q: it depends on the order", a, b)
		}
		lookalike.Like(a, b)
	})
}

func BenchmarkLike(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		lookalike.Like("newsletter.some-shop.example.net", "example.com")
	}
}

func BenchmarkLikeParsed(b *testing.B) {
	own, other := lookalike.Parse("example.com"), lookalike.Parse("newsletter.some-shop.example.net")
	b.ReportAllocs()
	for b.Loop() {
		other.Like(own)
	}
}

func BenchmarkFold(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		lookalike.Fold("Erika Mustermann")
	}
}
