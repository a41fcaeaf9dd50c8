package dns

import (
	"errors"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

func TestJudge(t *testing.T) {
	question := []mdns.Question{{Name: "a.example.", Qtype: mdns.TypeTXT, Qclass: mdns.ClassINET}}
	referral := reply(t, 0, "", "example. NS ns.example.")
	for _, tc := range []struct {
		name string
		edit func(m *mdns.Msg)
		want error // nil is any error for a nil cause, see ok
		ok   bool
	}{
		{"NODATA", func(m *mdns.Msg) {}, nil, true},
		{"NXDOMAIN", func(m *mdns.Msg) { m.Rcode = mdns.RcodeNameError }, nil, true},
		{"SERVFAIL", func(m *mdns.Msg) { m.Rcode = mdns.RcodeServerFailure }, nil, false},
		{"extended code", func(m *mdns.Msg) { m.Rcode = mdns.RcodeBadVers }, nil, false},
		{"no question", func(m *mdns.Msg) { m.Question = nil }, errMalformed, false},
		{"truncated", func(m *mdns.Msg) { m.Truncated = true }, errMalformed, false},
		{"referral", func(m *mdns.Msg) { m.Ns = referral.Ns }, errLame, false},
		{"referral of a resolver", func(m *mdns.Msg) { m.Ns, m.RecursionAvailable = referral.Ns, true }, nil, true},
		{"authoritative", func(m *mdns.Msg) { m.Ns, m.Authoritative = referral.Ns, true }, nil, true},
		{"SOA as well", func(m *mdns.Msg) { m.Ns = append(reply(t, 0, "", soa).Ns, referral.Ns...) }, nil, true},
	} {
		m := &mdns.Msg{Question: question}
		tc.edit(m)
		err := judge(m)
		if (err == nil) != tc.ok || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
}

func TestReadReply(t *testing.T) {
	q := newQuestion("a.example.", mdns.TypeTXT, false)
	for _, tc := range []struct {
		name string
		edit func(m *mdns.Msg)
		want error
	}{
		{"right", func(m *mdns.Msg) {}, nil},
		{"letters of the question in another case", func(m *mdns.Msg) { m.Question[0].Name = "A.Example." }, nil},
		{"no question", func(m *mdns.Msg) { m.Question = nil }, nil},
		{"wrong id", func(m *mdns.Msg) { m.Id++ }, errStray},
		{"wrong name", func(m *mdns.Msg) { m.Question[0].Name = "b.example." }, errStray},
		{"wrong type", func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeA }, errStray},
		{"wrong class", func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS }, errStray},
		{"two questions", func(m *mdns.Msg) { m.Question = append(m.Question, m.Question[0]) }, errStray},
		{"a query", func(m *mdns.Msg) { m.Response = false }, errStray},
		{"another opcode", func(m *mdns.Msg) { m.Opcode = mdns.OpcodeNotify }, errStray},
	} {
		m := reply(t, 0, `a.example. TXT "x"`)
		m.Id, m.Question = q.Id, append([]mdns.Question(nil), q.Question...)
		tc.edit(m)
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		got, err := readReply(packet, q)
		if !errors.Is(err, tc.want) || (got == nil) != (tc.want != nil) {
			t.Errorf("%s: got %v, %v", tc.name, got, err)
		}
		if tc.name == "no question" && len(got.Answer) != 0 {
			t.Error("a response without a question keeps its records")
		}
		// Cut off: an error, unless the server says so itself.
		if tc.name == "right" {
			if _, err := readReply(packet[:len(packet)-3], q); !errors.Is(err, errMalformed) {
				t.Errorf("cut off: %v", err)
			}
			packet[2] |= 2 // TC
			if m, err := readReply(packet[:len(packet)-3], q); err != nil || !m.Truncated {
				t.Errorf("cut off with TC: %v, %v", m, err)
			}
		}
	}
	for _, packet := range [][]byte{nil, {1}, make([]byte, 11), make([]byte, 12)} {
		if _, err := readReply(packet, q); !errors.Is(err, errStray) {
			t.Errorf("%d octets: %v", len(packet), err)
		}
	}
}

// Ids are not to be guessed: RFC 5452 Section 9.2.
func TestIDsDiffer(t *testing.T) {
	ids := make(map[uint16]bool)
	for range 1000 {
		ids[newQuestion("a.example.", mdns.TypeTXT, false).Id] = true
	}
	if len(ids) < 950 {
		t.Errorf("%d different ids of 1000", len(ids))
	}
}

// A question takes turns between servers, leaves out those that failed, and ends.
func TestRace(t *testing.T) {
	w := &wire{servers: []*server{{addr: "a"}, {addr: "b"}, {addr: "c"}}, retry: time.Second}
	w.preferred.Store(1)
	r := w.newRace()
	next := func(want int) {
		t.Helper()
		if got, ok := r.next(); !ok || got != want {
			t.Errorf("got server %d, %v, want %d", got, ok, want)
		}
	}
	next(1)
	if !r.failed(try{server: 1, err: errMalformed}) {
		t.Error("the next server is not asked at once")
	}
	next(2)
	next(0)
	if r.failed(try{server: 0, err: &networkError{errors.New("refused"), false}}) {
		t.Error("a server that was asked before is asked again at once")
	}
	for range 2 {
		next(2)
		next(0)
		r.failed(try{server: 0, err: &networkError{errors.New("refused"), false}})
	}
	next(2)
	if !r.failed(try{server: 2, err: errLame}) || !r.over() {
		t.Error("all servers are out, and it is not over")
	}
	if i, ok := r.next(); ok {
		t.Errorf("server %d is asked again", i)
	}
	if got := r.failure().Error(); got != "refused; malformed answer; lame answer: the server does not resolve names" {
		t.Errorf("got %s", got)
	}
}
