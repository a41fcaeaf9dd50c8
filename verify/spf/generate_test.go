package spf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"assay/verify/dns"
)

// A chooser picks a number below n. It is a random generator, or the octets a fuzzer came up with.
type chooser func(n int) int

func (c chooser) of(words ...string) string { return words[c(len(words))] }

// oneIn is true once in n times.
func (c chooser) oneIn(n int) bool { return c(n) == n-1 }

// names are those a generated zone can hold. They are few, so that records refer to each other.
func names() []string {
	return []string{"example.com", "a.example.com", "b.example.com", "c.example", "d.example", "mail.example.org"}
}

// zone makes up a zone with policies, addresses, exchangers, pointers, aliases and failures.
func (c chooser) zone(ip netip.Addr) *zone {
	z := newZone()
	for _, name := range names() {
		if c.oneIn(8) {
			continue // does not exist
		}
		if c.oneIn(30) {
			z.add(name, rr{"TIMEOUT", ""})
			continue
		}
		if !c.oneIn(12) {
			z.add(name, rr{"TXT", c.record()})
		}
		if c.oneIn(12) {
			z.add(name, rr{"TXT", c.of("v=spf1", "v=spf10 -all", "some text", "some text", "see %{i} and %{p}", "50%")})
		}
		for !c.oneIn(3) {
			z.add(name, rr{"A", c.of("192.0.2.1", "192.0.2.2", "198.51.100.1")})
		}
		for !c.oneIn(3) {
			z.add(name, rr{"AAAA", c.of("2001:db8::1", "2001:db8::2", "2001:db8:1::1")})
		}
		for !c.oneIn(2) {
			z.add(name, rr{"MX", c.of("0 ", "1 ", "2 ") + c.host()})
		}
	}
	for !c.oneIn(2) {
		z.add(dns.Reverse(ip), rr{"PTR", c.host()})
	}
	if c.oneIn(16) {
		for i := range 12 {
			z.add("d.example", rr{"MX", fmt.Sprintf("%d %s", i, c.host())})
		}
	}
	return z
}

func (c chooser) host() string {
	if c.oneIn(6) {
		return c.of("void.example", "other.d.example", ".", "single")
	}
	return c.of(names()...)
}

func (c chooser) record() string {
	var b strings.Builder
	b.WriteString(c.of("v=spf1", "v=spf1", "V=spf1"))
	for !c.oneIn(5) {
		b.WriteString(c.of(" ", " ", "  "))
		b.WriteString(c.term())
	}
	return b.String()
}

func (c chooser) term() string {
	if c.oneIn(150) {
		return c.of("moo", "a:", "ip4:1.2.3", "a/33", "exists", "all.", "mx:a.example.com:25", "exp=", "a\x80", "include:%{x}", "a:1.2.3.4", "ptr/24")
	}
	if c.oneIn(12) {
		return c.of("exp=", "redirect=", "redirect=", "moo=") + c.target()
	}
	return c.of("", "", "+", "-", "~", "?") + c.mechanism()
}

func (c chooser) mechanism() string {
	switch c(9) {
	case 0:
		return "all"
	case 1:
		return "include:" + c.target()
	case 2, 3:
		return "a" + c.of("", ":"+c.target()) + c.of("", "", "/24", "//64", "/30//126")
	case 4:
		return "mx" + c.of("", ":"+c.target()) + c.of("", "", "/24")
	case 5:
		return "ptr" + c.of("", ":"+c.target())
	case 6:
		return "exists:" + c.target()
	case 7:
		return "ip6:" + c.of("2001:db8::1", "2001:db8::/126", "2001:db8:1::/48", "::ffff:192.0.2.1")
	default:
		return "ip4:" + c.of("192.0.2.1", "192.0.2.2/31", "198.51.100.0/24", "203.0.113.0/24")
	}
}

func (c chooser) target() string {
	if c.oneIn(4) {
		return c.of("%{d}", "%{o}", "%{h}", "%{d2}", "%{l}.example.com", "%{lr-}.example.com", "%{L}.%{o}", "%{p}.example.com", "%{s}.example.com",
			"%{ir}.%{v}.example.com", "x/y.example.com", "%{l/}.example.com", "a..example.com", "%%.example.com", strings.Repeat("%{o}.", 24)+"com")
	}
	if c.oneIn(6) {
		return c.of("void.example", "other.d.example", "A.Example.COM.")
	}
	return c.of(names()...)
}

func (c chooser) input() Input {
	return Input{
		IP:   netip.MustParseAddr(c.of("192.0.2.1", "192.0.2.1", "192.0.2.3", "203.0.113.9", "2001:db8::1", "2001:db8::7", "::ffff:192.0.2.1")),
		Helo: c.of("mail.example.org", "mail.example.org", "c.example", "single", "[192.0.2.1]", ""),
		MailFrom: c.of("user@example.com", "user@example.com", "a@a.example.com", "a-b@c.example", "a..b@example.com", `"x@y"@d.example`, "", "@example.com",
			"user", "ü@b.example.com"),
		Identity: Identity(c.of(string(MailFrom), string(MailFrom), string(MailFrom), string(Helo))),
	}
}

// FuzzVerify evaluates policies of generated zones: it ends, keeps every limit, and gives the same answer twice.
func FuzzVerify(f *testing.F) {
	f.Add([]byte("v=spf1 include:a.example.com -all"), "v=spf1 %{p} exists:%{l}", "a@b.example", "mail.example.org")
	random := rand.New(rand.NewPCG(7208, 1))
	for range 20 {
		choices := make([]byte, 400)
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		f.Add(choices, "", "", "")
	}
	f.Add([]byte{}, "v=spf1 a mx ptr include:example.com redirect=example.com", "", "")
	f.Fuzz(func(t *testing.T, choices []byte, record, mailFrom, helo string) {
		i := 0
		c := chooser(func(n int) int {
			i++
			if i > len(choices) {
				return n - 1 // ends every loop
			}
			return int(choices[i-1]) % n
		})
		in := c.input()
		z := c.zone(in.IP)
		if record != "" { // a record of the fuzzer's own making, reached from all sides
			z.add("e.example", rr{"TXT", record})
			in.MailFrom, in.Helo = mailFrom+"@e.example", helo
		}
		v := Verify(t.Context(), z, in, Options{At: time.Unix(1, 0), Explain: true})
		checkInvariants(t, v)
		if v.Queries != len(z.asked) || len(z.asked) > 40 {
			t.Errorf("%d queries are reported, %d were made", v.Queries, len(z.asked))
		}
		for _, asked := range z.asked {
			if _, name, _ := strings.Cut(asked, " "); !isQueryable(name) {
				t.Errorf("asked %q", asked)
			}
		}
		if again := Verify(t.Context(), z, in, Options{}); again.Result != v.Result || again.Reason != v.Reason || again.Explanation != v.Explanation {
			t.Errorf("first %+v, then %+v", v, again)
		}
	})
}
