package milter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"assay/milter/plan"
	"assay/verify/message"
)

// One conversation as Postfix has it: macros before every command, ABORT after every message.
func TestPostfixDialogue(t *testing.T) {
	desk := newDesk()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	_, address := start(t, desk, Options{Now: func() time.Time { return now }})
	m := dial(t, "tcp", address)
	m.offer(6, postfixActions, postfixProtocol)
	m.macros('C', "j", "mx.example.net", "{daemon_name}", "smtpd", "v", "Postfix 3.7.11", "_", "a.example.org [192.0.2.1]")
	m.connect("a.example.org", '4', 4711, "192.0.2.1")
	m.macros('H')
	m.ask('H', "first.example.org")
	m.macros('A')
	m.write(raw('A', "")) // STARTTLS: a second EHLO follows, CONNECT does not
	m.macros('H', "{tls_version}", "TLSv1.3", "{cipher}", "TLS_AES_256_GCM_SHA384", "{cipher_bits}", "256",
		"{cert_subject}", "a.example.org", "{cert_issuer}", "Example CA")
	m.ask('H', "second.example.org")
	m.macros('M', "{auth_type}", "PLAIN", "{auth_authen}", "alice", "{mail_addr}", "a@example.org")
	m.ask('M', "<a@example.org>", "SIZE=100", "smtputf8")
	m.macros('R', "{rcpt_addr}", "b@example.net")
	m.ask('R', "<b@example.net>")
	m.macros('R', "i", "4ABC", "{rcpt_addr}", "c@example.net")
	m.ask('R', "<c@example.net>", "NOTIFY=NEVER")
	m.macros('T', "i", "4ABC")
	for _, f := range []string{"From: a@example.org", "Subject: s\n\tfolded", "from:none"} {
		name, value, _ := strings.Cut(f, ":")
		m.macros('L', "i", "4ABC")
		m.ask('L', name, value)
	}
	m.macros('N', "i", "4ABC")
	m.ask('N')
	m.macros('B', "i", "4ABC")
	m.write(raw('B', "line\r\nwith NUL \x00\r\n"))
	m.want('c', "")
	m.macros('E', "i", "4ABC")
	m.wantEnd('c', "")
	m.macros('A')
	m.write(raw('A', "") + raw('Q', ""))
	m.wantClosed()

	got := desk.got(t)
	want := message.Envelope{
		QueueID: "4ABC", ClientIP: netip.MustParseAddr("192.0.2.1"), ClientName: "a.example.org", Helo: "second.example.org",
		MailFrom: "a@example.org", RcptTo: []string{"b@example.net", "c@example.net"}, SMTPUTF8: true, AuthUser: "alice", AuthMethod: "PLAIN",
		TLS: message.TLSInfo{Version: "TLSv1.3", Cipher: "TLS_AES_256_GCM_SHA384", Bits: 256, CertSubject: "a.example.org",
			CertIssuer: "Example CA", Verified: true},
		ReceiverMTA: "mx.example.net", Daemon: "smtpd", ReceivedAt: now,
	}
	if !reflect.DeepEqual(got.env, want) {
		t.Errorf("envelope\n got %+v\nwant %+v", got.env, want)
	}
	if want := []string{"From: a@example.org\r\n", "Subject: s\r\n\tfolded\r\n", "from:none\r\n"}; !slices.Equal(got.fields, want) {
		t.Errorf("fields = %q, want %q", got.fields, want)
	}
	if want := "line\r\nwith NUL \x00\r\n"; got.body != want || got.ended != nil {
		t.Errorf("body = %q, ended with %v", got.body, got.ended)
	}
}

// Sendmail tags IPv6 addresses, names the queue id at MAIL only, and sends no ABORT between messages.
func TestSendmailDialogue(t *testing.T) {
	desk := newDesk()
	_, address := start(t, desk, Options{})
	m := dial(t, "tcp", address)
	m.offer(6, sendmailActions, sendmailProtocol)
	m.macros('C', "j", "mx.example.net", "_", "localhost [IPv6:0:0:0:0:0:0:0:1] (may be forged)", "{daemon_name}", "MTA", "{client_name}", "[IPv6:2001:db8:0:0:0:0:0:1]")
	m.connect("[IPv6:2001:db8:0:0:0:0:0:1]", '6', 4711, "IPv6:2001:db8:0:0:0:0:0:1")
	m.macros('H', "{tls_version}", "TLSv1.3", "{cipher}", "X", "{cipher_bits}", "128", "{cert_subject}", "/CN=untrusted", "{verify}", "FAIL")
	m.ask('H', "helo.example.org")
	for _, id := range []string{"91A", "91B"} {
		m.macros('M', "i", id, "{mail_addr}", "a@example.org")
		m.envelope("a@example.org", "b@example.net")
		m.content("Hello\r\n", "From: a@example.org", "X-Message: "+id)
		m.macros('E', "{msg_id}", "<1@example.org>")
		m.wantEnd('c', "")
		got := desk.got(t)
		if want := netip.MustParseAddr("2001:db8::1"); got.env.ClientIP != want || got.env.ClientName != "" {
			t.Errorf("client = %v %q, want %v without a name", got.env.ClientIP, got.env.ClientName, want)
		}
		if got.env.QueueID != id || got.env.TLS.Verified || got.env.TLS.Version != "TLSv1.3" || got.env.Helo != "helo.example.org" {
			t.Errorf("envelope of %s = %+v", id, got.env)
		}
		// Trap: go-milter clears its header map at ABORT only, so that a message shows the fields of those before it.
		if want := []string{"From: a@example.org\r\n", "X-Message: " + id + "\r\n"}; !slices.Equal(got.fields, want) {
			t.Errorf("fields = %q, want %q", got.fields, want)
		}
	}
}

// Trap: after any response that does not continue go-milter makes a new backend, and the connection's facts are gone.
func TestAnswersOfAnyKindKeepTheConnection(t *testing.T) {
	refuse := plan.Plan{Verdict: plan.Refuse, Reply: "550 5.7.1 no"}
	for name, first := range map[string]plan.Plan{"accept": {Verdict: plan.Accept}, "reject": refuse, "tempfail": {}} {
		t.Run(name, func(t *testing.T) {
			next := first
			desk := newDesk()
			desk.plan = func(context.Context, *message.Message, plan.Capabilities) plan.Plan {
				p := next
				next = plan.Plan{Verdict: plan.Accept}
				return p
			}
			m := connectTo(t, desk, Options{})
			for i := range 3 {
				m.envelope("a@example.org", "b@example.net")
				m.content("x\r\n", "From: a@example.org")
				m.end()
				got := desk.got(t)
				if !got.env.ClientIP.IsValid() || got.env.Helo != "helo.example.org" || got.env.MailFrom != "a@example.org" || len(got.env.RcptTo) != 1 {
					t.Errorf("message %d: %+v", i, got.env)
				}
			}
		})
	}
}

// Trap: a refused recipient ended the transaction in go-milter. Only the accepted ones reach the handler.
func TestTooManyRecipients(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{MaxRecipients: 2})
	m.envelope("a@example.org", "b@example.net", "c@example.net")
	m.send('R', "<d@example.net>")
	m.want('y', replyTooManyRecipients+"\x00")
	m.content("x\r\n", "From: a@example.org")
	m.wantEnd('c', "")
	got := desk.got(t)
	if want := []string{"b@example.net", "c@example.net"}; !slices.Equal(got.env.RcptTo, want) || got.env.MailFrom != "a@example.org" {
		t.Errorf("envelope = %+v", got.env)
	}
}

// Recipients of another policy group get a message of their own, but not those of sendmail(1): what Postfix refuses of its
// own mail it bounces.
func TestRecipientsAreSplitByGroup(t *testing.T) {
	group := func(recipient string) string {
		_, domain, _ := strings.Cut(recipient, "@")
		return domain
	}
	desk := newDesk()
	m := connectTo(t, desk, Options{Group: group})
	for _, tt := range []struct{ to, later []string }{
		{[]string{"b@one.example", "c@one.example"}, []string{"d@two.example", "e@"}},
		{[]string{"d@two.example"}, []string{"b@one.example"}},
	} {
		m.envelope("a@example.org", tt.to...)
		for _, rcpt := range tt.later {
			m.send('R', "<"+rcpt+">")
			m.want('y', replyOtherGroup+"\x00")
		}
		m.content("x\r\n", "From: a@example.org")
		m.wantEnd('c', "")
		if got := desk.got(t); !slices.Equal(got.env.RcptTo, tt.to) {
			t.Errorf("recipients = %q, want %q", got.env.RcptTo, tt.to)
		}
	}
	m.write(raw('K', "")) // another client on the same connection
	m.connect("localhost", '4', 0, "127.0.0.1")
	m.envelope("a@example.org", "b@one.example", "d@two.example")
	m.content("x\r\n", "From: a@example.org")
	m.wantEnd('c', "")
	if got := desk.got(t); len(got.env.RcptTo) != 2 {
		t.Errorf("local submission: recipients = %q", got.env.RcptTo)
	}
}

func TestClientAddress(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	tests := []struct {
		name    string
		connect string
		macros  []string
		want    netip.Addr
		host    string
		local   bool
	}{
		{"ipv4", "h\x004\x12\x34192.0.2.1\x00", nil, v4, "h", false},
		{"ipv6", "h\x006\x12\x342001:db8::1\x00", nil, v6, "h", false},
		{"ipv6 as Sendmail writes it", "h\x006\x12\x34IPv6:2001:db8:0:0:0:0:0:1\x00", nil, v6, "h", false},
		{"ipv4-mapped", "h\x006\x12\x34::ffff:192.0.2.1\x00", nil, v4, "h", false},
		{"ipv4-mapped with tag", "h\x006\x12\x34ipv6:::FFFF:192.0.2.1\x00", nil, v4, "h", false},
		{"zone", "h\x006\x12\x34fe80::1%eth0\x00", nil, netip.MustParseAddr("fe80::1"), "h", false},
		{"without the last NUL", "h\x004\x12\x34192.0.2.1", nil, v4, "h", false},
		{"unknown", "unknown\x00U", nil, netip.Addr{}, "unknown", false},
		{"unknown, {client_addr}", "h\x00U", []string{"{client_addr}", "192.0.2.1", "_", "x [192.0.2.9]"}, v4, "h", false},
		{"unknown, {client_addr} with tag", "h\x00U", []string{"{client_addr}", "IPv6:2001:db8::1"}, v6, "h", false},
		{"unknown, _ of Postfix", "h\x00U", []string{"_", "a.example [192.0.2.1]"}, v4, "h", false},
		{"unknown, _ of Sendmail", "h\x00U", []string{"_", "IDENT:[x]@a [IPv6:2001:db8:0:0:0:0:0:1] (may be forged)"}, v6, "h", false},
		{"unknown, _ without address", "h\x00U", []string{"_", "a ]["}, netip.Addr{}, "h", false},
		{"unix", "localhost\x00L\x00\x00/run/x.sock\x00", nil, netip.Addr{}, "localhost", false},
		{"no name", "\x004\x12\x34192.0.2.1\x00", []string{"{client_name}", "a.example"}, v4, "a.example", false},
		{"local submission", "localhost\x004\x00\x00127.0.0.1\x00", nil, netip.MustParseAddr("127.0.0.1"), "localhost", true},
		{"local SMTP client", "localhost\x004\x12\x34127.0.0.1\x00", nil, netip.MustParseAddr("127.0.0.1"), "localhost", false},
		{"remote client without port", "localhost\x004\x00\x00192.0.2.1\x00", nil, v4, "localhost", false},
		{"remote name on loopback", "a.example\x004\x00\x00127.0.0.1\x00", nil, netip.MustParseAddr("127.0.0.1"), "a.example", false},
		// Malformed commands count as protocol errors, and the address is unknown.
		{"empty", "", nil, netip.Addr{}, "", false},
		{"no family", "h\x00", nil, netip.Addr{}, "", false},
		{"no port", "h\x004\x12", nil, netip.Addr{}, "", false},
		{"no address", "h\x004\x12\x34", nil, netip.Addr{}, "h", false},
		{"not an address", "h\x004\x12\x34300.0.2.1\x00", nil, netip.Addr{}, "h", false},
		{"unknown family", "h\x00X\x12\x34192.0.2.1\x00", nil, netip.Addr{}, "h", false},
	}
	desk := newDesk()
	_, address := start(t, desk, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := dial(t, "tcp", address)
			m.offer(6, postfixActions, postfixProtocol)
			m.macros('C', tt.macros...)
			m.write(raw('C', tt.connect))
			m.want('c', "")
			m.deliver("a@example.org")
			got := desk.got(t)
			if got.env.ClientIP != tt.want || got.env.Local != tt.local || got.env.ClientName != tt.host && tt.name != "no port" {
				t.Errorf("client = %v %q local %v, want %v %q local %v", got.env.ClientIP, got.env.ClientName, got.env.Local, tt.want, tt.host, tt.local)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{})
	for typed, want := range map[string]string{
		"<>": "", "<a@b>": "a@b", `<"quo ted"@x>`: `"quo ted"@x`, "<@r1,@r2:u@x>": "@r1,@r2:u@x", "a@b": "a@b", "<<a@b>>": "<a@b>",
		"<": "<", "": "", "<gr\xc3\xbc\xc3\x9fe@x>": "grüße@x",
	} {
		m.ask('M', typed)
		m.ask('R', typed, "ORCPT=rfc822;x")
		m.content("x\r\n", "From: a@b")
		m.wantEnd('c', "")
		if got := desk.got(t); got.env.MailFrom != want || !slices.Equal(got.env.RcptTo, []string{want}) {
			t.Errorf("%q: MAIL %q RCPT %q, want %q", typed, got.env.MailFrom, got.env.RcptTo, want)
		}
	}
}

// A message without macros is not authenticated or encrypted because one before it was.
func TestMacrosEndWithTheirMessage(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{})
	m.macros('M', "i", "1", "{auth_authen}", "alice", "{auth_type}", "PLAIN")
	m.deliver("a@example.org")
	if got := desk.got(t); got.env.AuthUser != "alice" || got.env.AuthMethod != "PLAIN" || got.env.QueueID != "1" {
		t.Errorf("first: %+v", got.env)
	}
	m.deliver("a@example.org")
	if got := desk.got(t); got.env.AuthUser != "" || got.env.AuthMethod != "" || got.env.QueueID != "" {
		t.Errorf("second, after the end of the first: %+v", got.env)
	}
	m.macros('M', "i", "3", "{auth_authen}", "alice")
	m.ask('M', "<a@example.org>")
	m.macros('R', "i", "3")
	m.ask('R', "<b@example.org>")
	m.ask('M', "<a@example.org>") // no ABORT
	m.content("x\r\n")
	m.wantEnd('c', "")
	if got := desk.got(t); got.env.AuthUser != "" || got.env.QueueID != "" || len(got.env.RcptTo) != 0 {
		t.Errorf("MAIL after MAIL: %+v", got.env)
	}
}

func TestMacrosAbsentEmptyAndOdd(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{})
	m.write(raw('D', "") + raw('D', "M") + raw('D', "Mi") + raw('D', "Mi\x00") + raw('D', "Z\x00\x00\x00") + raw('D', "M\x00\x00{}\x00{\x00"))
	m.deliver("a@example.org")
	if got := desk.got(t); got.env.QueueID != "" || got.env.TLS != (message.TLSInfo{}) {
		t.Errorf("%+v", got.env)
	}
}

func TestVerifiedClientCertificate(t *testing.T) {
	tests := []struct {
		name   string
		macros []string
		want   bool
	}{
		{"Postfix names trusted subjects only", []string{"v", "Postfix 3.7.11", "{cert_subject}", "x"}, true},
		{"Postfix, not trusted", []string{"v", "Postfix 3.7.11"}, false},
		{"Sendmail, trusted", []string{"v", "8.17.1", "{cert_subject}", "x", "{verify}", "OK"}, true},
		{"Sendmail, not trusted", []string{"v", "8.17.1", "{cert_subject}", "x", "{verify}", "FAIL"}, false},
		{"Sendmail, not told", []string{"v", "8.17.1", "{cert_subject}", "x"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m macros
			m.define([]byte("C" + cstrings(append(tt.macros, "{tls_version}", "TLSv1.3", "{cipher_bits}", "-7")...)))
			if got := m.tls(); got.Verified != tt.want || got.Bits != 0 {
				t.Errorf("tls = %+v", got)
			}
		})
	}
}

// Traps: go-milter skips the callback of a header with an inner NUL and goes on, and a leading NUL makes the value the name.
func TestMalformedHeaderPackets(t *testing.T) {
	for _, data := range []string{"", "\x00", "\x00\x00", "\x00value\x00", "Name", "Name\x00", "Name\x00value", "Name\x00a\x00b\x00",
		"Authentication-Results\x00\x00:\x00", "a\x00b\x00c", "\x00\x00\x00"} {
		t.Run(fmt.Sprintf("%q", data), func(t *testing.T) {
			desk, events := newDesk(), new(tally)
			m := connectTo(t, desk, Options{Observer: events})
			m.envelope("a@example.org", "b@example.net")
			m.ask('L', "From", " a@example.org")
			m.write(raw('L', data))
			m.want('y', replyMalformed+"\x00")
			// Whoever goes on all the same gets the same answer.
			m.send('L', "Subject", " x")
			m.want('y', replyMalformed+"\x00")
			m.wantEnd('y', replyMalformed+"\x00")
			var refused *RefusedError
			if got := desk.got(t); !errors.As(got.ended, &refused) || !errors.Is(got.ended, ErrMalformed) || got.env.MailFrom != "a@example.org" {
				t.Errorf("%+v ended with %v", got.env, got.ended)
			}
			m.deliver("next@example.org")
			if got := desk.got(t); got.env.MailFrom != "next@example.org" || len(desk.done) != 0 {
				t.Errorf("the handler saw %+v", got.env)
			}
			if n := events.of(EventBadHeader); n != 1 {
				t.Errorf("%d bad headers were counted", n)
			}
		})
	}
}

func TestEmptyAndUnusualHeaders(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{})
	m.envelope("a@example.org", "b@example.net")
	for _, f := range []string{"Empty:", "empty: ", "Tab:\tx", "Next:\n line", "LATIN: \xe9", "b:2", "a:1", "b:3"} {
		name, value, _ := strings.Cut(f, ":")
		m.ask('L', name, value)
	}
	m.ask('N')
	m.wantEnd('c', "")
	want := []string{"Empty:\r\n", "empty: \r\n", "Tab:\tx\r\n", "Next:\r\n line\r\n", "LATIN: \xe9\r\n", "b:2\r\n", "a:1\r\n", "b:3\r\n"}
	if got := desk.got(t); !slices.Equal(got.fields, want) || got.body != "" {
		t.Errorf("fields = %q, want %q", got.fields, want)
	}
}

// An MTA that does not offer SMFIP_HDR_LEADSPC has taken one blank away.
func TestWithoutLeadingSpace(t *testing.T) {
	desk := newDesk()
	desk.plan = func(context.Context, *message.Message, plan.Capabilities) plan.Plan {
		return plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{
			{Kind: plan.ChangeHeader, Name: "Subject", Nth: 1, Value: "new"}, {Kind: plan.InsertHeader, Name: "X", Value: "v"}}}
	}
	_, address := start(t, desk, Options{})
	m := dial(t, "tcp", address)
	m.offer(2, postfixActions, 0x7f)
	m.envelope("a@example.org", "b@example.net")
	m.content("x\r\n", "Subject:hi", "Empty:", "Tab:\tx", "Next:\n line", "Two: x")
	want := []packet{{'m', "\x00\x00\x00\x01Subject\x00new\x00"}, {'i', "\x00\x00\x00\x00X\x00v\x00"}, {'c', ""}}
	if got := m.end(); !slices.Equal(got, want) {
		t.Errorf("edits = %v, want %v", got, want)
	}
	fields := []string{"Subject: hi\r\n", "Empty: \r\n", "Tab:\tx\r\n", "Next:\r\n line\r\n", "Two:  x\r\n"}
	if got := desk.got(t); !slices.Equal(got.fields, fields) {
		t.Errorf("fields = %q, want %q", got.fields, fields)
	}
}

// Traps: go-milter closes the connection over 'U' and 'K'; with version 6 both MTAs may send 'T' and 'U'.
func TestCommandsThatGoMilterDoesNotKnow(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{})
	m.send('U', "VRFY x")
	m.want('c', "")
	m.envelope("a@example.org", "b@example.net")
	m.send('T')
	m.want('c', "")
	m.content("x\r\n", "From: a@example.org")
	m.wantEnd('c', "")
	desk.got(t)

	m.macros('M', "i", "1", "{auth_authen}", "alice")
	m.ask('M', "<a@example.org>")
	m.write(raw('K', "")) // has no answer
	m.connect("other.example", '4', 1, "192.0.2.2")
	m.deliver("b@example.org")
	got := desk.got(t)
	if got.env.ClientIP != netip.MustParseAddr("192.0.2.2") || got.env.Helo != "" || got.env.AuthUser != "" || got.env.QueueID != "" {
		t.Errorf("after QUIT_NC: %+v", got.env)
	}
}

// An MTA that does not send the end of the header, or body octets, is understood all the same.
func TestMissingEndOfHeader(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{})
	m.envelope("a@example.org", "b@example.net")
	m.ask('L', "From", " a@example.org")
	m.write(raw('B', "body\r\n"))
	m.want('c', "")
	m.wantEnd('c', "")
	if got := desk.got(t); got.body != "body\r\n" || len(got.fields) != 1 {
		t.Errorf("%+v", got)
	}
	m.envelope("a@example.org", "b@example.net")
	m.ask('L', "From", " a@example.org")
	m.write(raw('E', "data that no MTA sends"))
	m.want('c', "")
	if got := desk.got(t); got.body != "" || len(got.fields) != 1 {
		t.Errorf("%+v", got)
	}
}

// Commands out of order are answered, never obeyed, and the next message is fine.
func TestCommandsOutOfOrder(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(m *wireMTA)
		code    byte
	}{
		{"recipient without message", nil, 'R'},
		{"header without message", nil, 'L'},
		{"end of header without message", nil, 'N'},
		{"body without message", nil, 'B'},
		{"end without message", nil, 'E'},
		{"recipient after header", func(m *wireMTA) { m.envelope("a@b"); m.ask('L', "a", "b") }, 'R'},
		{"header after end of header", func(m *wireMTA) { m.envelope("a@b"); m.content("") }, 'L'},
		{"header after body", func(m *wireMTA) { m.envelope("a@b"); m.content("x") }, 'L'},
		{"end of header twice", func(m *wireMTA) { m.envelope("a@b"); m.content("") }, 'N'},
		{"end after the end", func(m *wireMTA) { m.deliver("a@b") }, 'E'},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events := new(tally)
			m := connectTo(t, newDesk(), Options{Observer: events})
			if tt.prepare != nil {
				tt.prepare(m)
			}
			m.send(tt.code, "x", "y")
			m.want('y', replyProtocol+"\x00")
			m.deliver("a@example.org")
			if n := events.of(EventProtocolError); n != 1 {
				t.Errorf("%d protocol errors were counted", n)
			}
		})
	}
}

// Done is called exactly once (the desk panics otherwise) wherever a message is aborted or its connection is lost.
func TestAbortInEveryState(t *testing.T) {
	steps := []func(m *wireMTA){
		func(m *wireMTA) {},
		func(m *wireMTA) { m.ask('M', "<a@example.org>") },
		func(m *wireMTA) { m.ask('R', "<b@example.org>") },
		func(m *wireMTA) { m.ask('L', "From", " a@example.org") },
		func(m *wireMTA) { m.ask('N') },
		func(m *wireMTA) { m.write(raw('B', "x\r\n")); m.want('c', "") },
	}
	const begun = 5 // steps until Begin was called
	for n := range steps {
		for name, end := range map[string]func(m *wireMTA){
			"abort":      func(m *wireMTA) { m.write(raw('A', "")); m.deliver("next@example.org") },
			"mail":       func(m *wireMTA) { m.deliver("next@example.org") },
			"quit":       func(m *wireMTA) { m.write(raw('Q', "")); m.wantClosed() },
			"disconnect": func(m *wireMTA) { m.conn.Close() },
			"negotiate":  func(m *wireMTA) { m.open().deliver("next@example.org") },
		} {
			t.Run(fmt.Sprint(name, " after ", n), func(t *testing.T) {
				desk, events := newDesk(), new(tally)
				m := connectTo(t, desk, Options{Observer: events})
				for _, step := range steps[:n+1] {
					step(m)
				}
				end(m)
				if n+1 >= begun {
					if got := desk.got(t); !errors.Is(got.ended, ErrAborted) || got.env.MailFrom != "a@example.org" {
						t.Errorf("ended with %v: %+v", got.ended, got.env)
					}
				}
				if name != "quit" && name != "disconnect" {
					if got := desk.got(t); got.ended != nil || got.env.MailFrom != "next@example.org" || len(got.fields) != 2 {
						t.Errorf("next message ended with %v: %+v", got.ended, got)
					}
				}
				if want := min(n, 1); name == "abort" && events.of(EventAborted) != want {
					t.Errorf("%d aborted messages were counted, want %d", events.of(EventAborted), want)
				}
			})
		}
	}
}

func TestLimits(t *testing.T) {
	manyFields := func(m *wireMTA) {
		for range 3 {
			m.ask('L', "X", " y")
		}
		m.send('L', "X", " y")
	}
	longHeader := func(m *wireMTA) { m.send('L', "X", strings.Repeat("y", 200)) }
	longBody := func(m *wireMTA) {
		m.content("0123456789", "X: y")
		m.write(raw('B', strings.Repeat("x", 100)))
	}
	tests := []struct {
		name   string
		send   func(m *wireMTA)
		action LimitAction
		reply  string
		event  Event
		cause  error
	}{
		{"header fields", manyFields, LimitTempFail, replyHeaderLimit, EventHeaderLimit, message.ErrTooManyFields},
		{"header octets", longHeader, LimitTempFail, replyHeaderLimit, EventHeaderLimit, message.ErrHeaderTooLarge},
		{"body, tempfail", longBody, LimitTempFail, replyBodyTempFail, EventBodyLimit, message.ErrBodyTooLarge},
		{"body, reject", longBody, LimitReject, replyBodyReject, EventBodyLimit, message.ErrBodyTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			desk, events := newDesk(), new(tally)
			desk.plan = func(_ context.Context, m *message.Message, _ plan.Capabilities) plan.Plan {
				if m.Envelope.MailFrom != "next@example.org" {
					t.Error("Handle was called for a message beyond a limit")
				}
				return plan.Plan{Verdict: plan.Accept}
			}
			m := connectTo(t, desk, Options{Observer: events, OnBodyLimit: tt.action,
				Message: message.Limits{Fields: 3, HeaderOctets: 100, BodyOctets: 50}})
			m.envelope("a@example.org", "b@example.net")
			tt.send(m)
			m.want('y', tt.reply+"\x00")
			m.write(raw('B', "more"))
			m.want('y', tt.reply+"\x00")
			m.wantEnd('y', tt.reply+"\x00")
			if n := events.of(tt.event); n != 1 {
				t.Errorf("%s was counted %d times", tt.event, n)
			}
			var refused *RefusedError
			got := desk.got(t)
			if !errors.Is(got.ended, ErrLimit) || !errors.Is(got.ended, tt.cause) || !errors.As(got.ended, &refused) || refused.Reply != tt.reply {
				t.Errorf("ended with %v", got.ended)
			}
			m.deliver("next@example.org")
			if got := desk.got(t); got.ended != nil || len(desk.done) != 0 {
				t.Errorf("next message ended with %v", got.ended)
			}
		})
	}
}

// A body that cannot be kept is our fault: 451, and the connection goes on.
func TestSpoolFailure(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{Message: message.Limits{Memory: 10, TempDir: "/nonexistent"}})
	m.envelope("a@example.org", "b@example.net")
	m.content("", "From: a@example.org")
	m.write(raw('B', strings.Repeat("x", 100)))
	m.want('y', replyFailed+"\x00")
	m.wantEnd('y', replyFailed+"\x00")
	if got := desk.got(t); got.ended == nil {
		t.Error("Done was not told")
	}
	m.envelope("next@example.org", "b@example.net")
	m.content("x", "From: a@example.org")
	m.wantEnd('c', "")
}

// Trap: a panic in a callback closes the connection, and the MTA does without the filter for all messages that follow.
func TestPanics(t *testing.T) {
	bad := "bad@example.org"
	tests := map[string]func(*desk){
		"Begin": func(d *desk) {
			d.begin = func(env *message.Envelope, _ message.Header) {
				if env.MailFrom == bad {
					panic("begin")
				}
			}
		},
		"Handle": func(d *desk) {
			d.plan = func(_ context.Context, m *message.Message, _ plan.Capabilities) plan.Plan {
				if m.Envelope.MailFrom == bad {
					panic(errors.New("handle"))
				}
				return plan.Plan{Verdict: plan.Accept}
			}
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			desk, events := newDesk(), new(tally)
			prepare(desk)
			m := connectTo(t, desk, Options{Observer: events})
			m.envelope(bad, "b@example.net")
			m.ask('L', "From", " a@example.org")
			m.send('N')
			if name == "Begin" {
				m.want('y', replyFailed+"\x00")
			} else {
				m.want('c', "")
			}
			m.wantEnd('y', replyFailed+"\x00")
			if name == "Handle" {
				if got := desk.got(t); !errors.Is(got.ended, ErrPanic) {
					t.Errorf("ended with %v", got.ended)
				}
			}
			m.deliver("good@example.org")
			if got := desk.got(t); got.ended != nil || got.env.MailFrom != "good@example.org" || !got.env.ClientIP.IsValid() {
				t.Errorf("next message ended with %v: %+v", got.ended, got.env)
			}
			if n := events.of(EventPanic); n != 1 {
				t.Errorf("%d panics were counted", n)
			}
		})
	}
}

// pendings is a Handler of one function.
type pendings func() Pending

func (p pendings) Begin(context.Context, *message.Envelope, message.Header) Pending { return p() }

// A panicker panics where it can.
type panicker struct{}

func (panicker) Handle(context.Context, *message.Message, plan.Capabilities) plan.Plan {
	return plan.Plan{Verdict: plan.Accept}
}
func (panicker) Done(error) { panic("done") }

// A panic of our own, outside of the handler, is also contained.
func TestPanicInTheSession(t *testing.T) {
	desk, events := newDesk(), new(tally)
	var broken atomic.Bool
	m := connectTo(t, desk, Options{Observer: events, Now: func() time.Time {
		if broken.Load() {
			panic("clock")
		}
		return time.Time{}
	}})
	for _, last := range []byte("NBE") {
		broken.Store(true)
		m.envelope("a@example.org", "b@example.net")
		m.ask('L', "From", " a@example.org")
		m.send(last)
		m.want('y', replyFailed+"\x00")
		broken.Store(false)
		m.deliver("a@example.org")
		if got := desk.got(t); got.ended != nil || !got.env.ClientIP.IsValid() {
			t.Errorf("next message ended with %v", got.ended)
		}
	}
	// Letting the handler know of the message meets the broken clock once more.
	if n := events.of(EventPanic); n != 6 {
		t.Errorf("%d panics were counted", n)
	}
}

func TestHandlersMistakes(t *testing.T) {
	t.Run("no Pending", func(t *testing.T) {
		m := connectTo(t, pendings(func() Pending { return nil }), Options{})
		m.envelope("a@example.org", "b@example.net")
		m.send('N')
		m.want('y', replyFailed+"\x00")
		m.wantEnd('y', replyFailed+"\x00")
	})
	t.Run("panic in Done", func(t *testing.T) {
		events := new(tally)
		m := connectTo(t, pendings(func() Pending { return panicker{} }), Options{Observer: events})
		m.deliver("a@example.org")
		m.deliver("a@example.org")
		m.write(raw('Q', ""))
		m.wantClosed()
		if n := events.of(EventPanic); n != 2 {
			t.Errorf("%d panics were counted", n)
		}
	})
}

// Sendmail sends no ABORT after a refusal in the middle of a body: the next MAIL ends the message, and with it gives back
// the memory of the packet it came in.
func TestMailAfterLargePackets(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{Message: message.Limits{BodyOctets: 50_000}})
	m.envelope("a@example.org", "b@example.net")
	m.content("", "From: a@example.org")
	m.write(raw('B', strings.Repeat("x", 60_000)))
	m.want('y', replyBodyTempFail+"\x00")
	if got := desk.got(t); !errors.Is(got.ended, ErrLimit) {
		t.Errorf("ended with %v", got.ended)
	}
	m.deliver("next@example.org")
	if got := desk.got(t); got.ended != nil || got.env.MailFrom != "next@example.org" {
		t.Errorf("%q ended with %v", got.env.MailFrom, got.ended)
	}
}
