package link_test

import (
	"strings"
	"testing"
	"time"

	"assay/scan/link"
)

func TestFind(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "no address here, not even example.com", nil},
		{"one", "see https://example.com/a?b=c#d", []string{"https://example.com/a?b=c#d"}},
		{"at the start", "http://example.com", []string{"http://example.com"}},
		{"case", "HTTP://Example.COM/X", []string{"HTTP://Example.COM/X"}},
		{"ftp and mailto", "ftp://a.example/x mailto:a@example.com?subject=x", []string{"ftp://a.example/x", "mailto:a@example.com?subject=x"}},
		{"www", "www.example.com/x and awww.example.com", []string{"http://www.example.com/x"}},
		{"www alone", "www. www.x www.. www.-", nil},
		{"end of sentence", "Go to https://example.com/a. Or https://example.com/b!?", []string{"https://example.com/a", "https://example.com/b"}},
		{"comma and colon", "https://a.example/, https://b.example/: x", []string{"https://a.example/", "https://b.example/"}},
		{"in round brackets", "(https://example.com/a)", []string{"https://example.com/a"}},
		{"round brackets inside", "https://example.com/a_(b) (see https://example.com/c_(d).)", []string{"https://example.com/a_(b)", "https://example.com/c_(d)"}},
		{"square brackets", "[https://example.com/a] http://[2001:db8::1]/x", []string{"https://example.com/a", "http://[2001:db8::1]/x"}},
		{"angle brackets", "<https://example.com/a b>", []string{"https://example.com/a"}},
		{"quotes", `"https://example.com/a" „https://example.com/b“ «https://example.com/c»`, []string{"https://example.com/a", "https://example.com/b", "https://example.com/c"}},
		{"markdown", "[x](https://example.com/a) **https://example.com/b** _https://example.com/c_", []string{"https://example.com/a", "https://example.com/b", "https://example.com/c"}},
		{"lines", "https://example.com/a\r\nhttps://example.com/b\n", []string{"https://example.com/a", "https://example.com/b"}},
		{"other scripts", "https://müller.example/straße。 http://例え.テスト/", []string{"https://müller.example/straße", "http://例え.テスト/"}},
		{"user and port", "https://example.com@evil.test:8443/x", []string{"https://example.com@evil.test:8443/x"}},
		{"one behind the other", "https://a.example/http://b.example/", []string{"https://a.example/http://b.example/"}},
		{"inside of a word", "xhttp://example.com", nil},
		{"nothing behind it", "http:// https://, mailto: mailto:@x http://)", nil},
		{"mail address in brackets", "mailto:a@[192.0.2.1]", []string{"mailto:a@[192.0.2.1]"}},
		{"apostrophe", "'https://example.com/it's'", []string{"https://example.com/it's"}},
		{"no-break space", "https://example.com/a\u00a0b", []string{"https://example.com/a"}},
		{"invalid octets", "https://example.com/a\xffb", []string{"https://example.com/a"}},
	} {
		var got []string
		for _, l := range link.Find(test.text, 100) {
			got = append(got, l.URL)
			if test.text[l.Start:l.Start+len(l.Text)] != l.Text || !strings.HasSuffix(l.URL, l.Text) {
				t.Errorf("%s: %+v is not where it says", test.name, l)
			}
		}
		if strings.Join(got, " ") != strings.Join(test.want, " ") {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestFindIsBounded(t *testing.T) {
	many := strings.Repeat("http://example.com/ ", 1000)
	if got := len(link.Find(many, 7)); got != 7 {
		t.Errorf("%d links, want 7", got)
	}
	if got := link.Find(many, 0); got != nil {
		t.Errorf("%v", got)
	}
	long := link.Find("http://example.com/"+strings.Repeat("a", 1<<20), 5)
	if len(long) != 1 || len(long[0].URL) != 8<<10 {
		t.Errorf("%d links", len(long))
	}
}

// Time is linear, whatever is repeated.
func TestFindIsLinear(t *testing.T) {
	for _, piece := range []string{"http://", "http://a", "www.", "mailto:", "mailto:a@", "http://a)", "http://a(", "(", "http://a.....", "ｗ", "https://a http://"} {
		text := strings.Repeat(piece, (4<<20)/len(piece))
		start := time.Now()
		link.Find(text, 1<<30)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%q repeated to 4 MiB took %s", piece, took)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("see https://example.com/a_(b). www.x.y")
	f.Add("mailto:a@b http://[::1] „www.ä.b“")
	f.Fuzz(func(t *testing.T, text string) {
		end := 0
		for _, l := range link.Find(text, 50) {
			if l.Start < end || l.Text == "" || text[l.Start:l.Start+len(l.Text)] != l.Text || strings.ContainsAny(l.Text, " \t\r\n<>\"") {
				t.Errorf("%q: %+v", text, l)
			}
			end = l.Start + len(l.Text)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	text := strings.Repeat("A line of text as people write it, with https://www.example.com/path?x=1 in it.\n", 1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		link.Find(text, 2000)
	}
}
