package report

import (
	"slices"
	"strings"
	"testing"

	"assay/verify/dmarc"
)

func TestAddresses(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ uri, want string }{
		{"mailto:dmarc@example.com", "dmarc@example.com"},
		{"MAILTO:Dmarc@Example.COM", "Dmarc@example.com"},
		{"mailto:a+b=c_d@ag.example.com", "a+b=c_d@ag.example.com"},
		{"mailto:gorby%25kremvax@example.com", "gorby%kremvax@example.com"}, // RFC 6068 Section 6.1
		{"mailto:unlikely%3Faddress@example.com?blat=foop", "unlikely?address@example.com"},
		{"mailto:a%21b@example.com", "a!b@example.com"}, // RFC 9989 Section 4.8: an exclamation mark is encoded
		{"mailto:%64marc@example.com", "dmarc@example.com"},
		{"mailto:dmarc@m%C3%BCller.example", "dmarc@xn--mller-kva.example"},
		{"mailto:dmarc@xn--mller-kva.example", "dmarc@xn--mller-kva.example"},
		{"mailto:dmarc@example.com?subject=x%0D%0ABcc:%20victim@example.net", "dmarc@example.com"},
		{"mailto:dmarc@example.com#frag", "dmarc@example.com"},
		{"mailto:" + long + "x@example.com", long + "x@example.com"},
		{"mailto:" + long + "xx@example.com", ""},
		{"mailto:a@" + long + "." + long + "." + long + "." + strings.Repeat("a", 60), "a@" + long + "." + long + "." + long + "." + strings.Repeat("a", 60)},
		{"mailto:ab@" + long + "." + long + "." + long + "." + strings.Repeat("a", 60), ""},
		{"mailto:a@" + strings.Repeat("%61", 300) + ".example", ""},
		{"https://example.com/dmarc", ""},
		{"dmarc@example.com", ""},
		{"mailto:", ""},
		{"mailto:?to=dmarc@example.com", ""},
		{"mailto:dmarc", ""},
		{"mailto:@example.com", ""},
		{"mailto:dmarc@", ""},
		{"mailto:dmarc@localhost", ""},
		{"mailto:dmarc@example.com.", ""},
		{"mailto:dmarc@example..com", ""},
		{"mailto:dmarc@under_score.example", ""},
		{"mailto:dmarc@[192.0.2.1]", ""},
		{"mailto:dmarc@192.0.2.1", ""},
		{"mailto:a@b@example.com", ""},
		{"mailto:a%40b@example.com", ""},
		{"mailto:a,b@example.com", ""},
		{"mailto:a@example.com%2Cb@example.net", ""},
		{"mailto:a@example.com%0D%0ABcc:b@example.net", ""},
		{"mailto:a%0Ab@example.com", ""},
		{"mailto:a%00@example.com", ""},
		{"mailto:a%20b@example.com", ""},
		{"mailto:%22a%20b%22@example.com", ""},
		{"mailto:%3Ca@example.com%3E", ""},
		{"mailto:a%3E%3Cb@example.com", ""},
		{"mailto:a%C3%BC@example.com", ""},
		{"mailto:a%FF@example.com", ""},
		{"mailto:-oQ/tmp@example.com", ""},
		{"mailto:.a@example.com", ""},
		{"mailto:a..b@example.com", ""},
		{"mailto:a%2@example.com", ""},
		{"mailto:a%zz@example.com", ""},
		{"mailto: a@example.com", ""},
	} {
		var want []string
		if c.want != "" {
			want = []string{c.want}
		}
		if got := Addresses([]string{c.uri}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", c.uri, got, want)
		}
	}
	got := Addresses([]string{"mailto:b@example.com", "https://x.example", "mailto:a@example.com", "mailto:b@EXAMPLE.com", "mailto:B@example.com"})
	if want := []string{"b@example.com", "a@example.com", "B@example.com"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzAddresses reads records and URIs as anybody can publish them. An address is one line, one mailbox, and the same when
// it is read again.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{
		"mailto:dmarc@example.com", "mailto:a@example.com,mailto:b@example.net!10m", "mailto:%22a%20b%22@example.com?cc=x",
		"mailto:a%0D%0ABcc:b@c.example", "mailto:a@m%C3%BCller.example", "https://example.com", "mailto:gorby%25kremvax@example.com",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		record, err := dmarc.ParseRecord("v=DMARC1; p=none; rua=" + s)
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range append(Addresses(record.RUA), Addresses([]string{s})...) {
			local, domain, _ := strings.Cut(address, "@")
			bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>[]:;\,"`, r) }
			if local == "" || domain == "" || len(address) > 254 || strings.Count(address, "@") != 1 || strings.ContainsFunc(address, bad) {
				t.Errorf("%q: %q", s, address)
			}
			if again, ok := parseAddress(address); !ok || again != address {
				t.Errorf("%q: %q is read again as %q", s, address, again)
			}
		}
	})
}
