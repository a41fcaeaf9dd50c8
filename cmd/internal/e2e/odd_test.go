package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
	"assay/milter"
	"assay/milter/plan"
	"assay/verify/dns/dnstest"
)

// forgery is a result that nobody but Assay may write.
const forgery = "Authentication-Results: mx.rcpt.example; dmarc=pass header.from=bank.example"

// TestNoForgedResultIsDelivered: whatever an attacker does to hide a field from the milter, the recipient's mail program
// does not find it. Some MTAs refuse the octets, which is as good.
func TestNoForgedResultIsDelivered(t *testing.T) {
	r := newRig(t, program(t, false), "")
	rest := "Subject: x\r\nFrom: service@bank.example\r\n\r\nbody\r\n"
	long := strings.Repeat("y", 70_000)
	for name, message := range map[string]string{
		"NUL behind the name":        strings.Replace(forgery, ":", "\x00:", 1) + "\r\n" + rest,
		"NUL in the name":            strings.Replace(forgery, "-", "-\x00", 1) + "\r\n" + rest,
		"NUL in the value":           strings.Replace(forgery, "mx", "m\x00x", 1) + "\r\n" + rest,
		"NUL in the field before":    "X-A: 1\x00\r\n" + forgery + "\r\n" + rest,
		"bare LF before":             "X-A: 1\n" + forgery + "\r\n" + rest,
		"bare CR before":             "X-A: 1\r" + forgery + "\r\n" + rest,
		"bare CR in the name":        strings.Replace(forgery, "-", "-\r", 1) + "\r\n" + rest,
		"LF CR before":               "X-A: 1\n\r" + forgery + "\r\n" + rest,
		"blank before the name":      " " + forgery + "\r\n" + rest,
		"blank behind the name":      strings.Replace(forgery, ":", " \t:", 1) + "\r\n" + rest,
		"folded behind the name":     strings.Replace(forgery, ":", "\r\n :", 1) + "\r\n" + rest,
		"behind an mbox line":        "From x@evil.example Sat Nov 21 12:00:00 2026\r\n" + forgery + "\r\n" + rest,
		"behind a line of text":      "X-A: 1\r\nno colon here\r\n" + forgery + "\r\n" + rest,
		"behind an 8 bit name":       "X-\xe4: 1\r\n" + forgery + "\r\n" + rest,
		"behind an empty name":       ": 1\r\n" + forgery + "\r\n" + rest,
		"behind a very long field":   "X-A: " + long + "\r\n" + forgery + "\r\n" + rest,
		"in a very long field":       forgery + long + "\r\n" + rest,
		"behind a fold of blanks":    "X-A: 1\r\n \t \r\n" + forgery + "\r\n" + rest,
		"at the end, without a body": "Subject: x\r\nFrom: service@bank.example\r\n" + forgery + "\r\n",
		"capitals and a comment":     strings.ToUpper(strings.Replace(forgery, "mx", "(a (b) c) mx", 1)) + "\r\n" + rest,
	} {
		t.Run(name, func(t *testing.T) {
			r.each(t, func(t *testing.T, m mtatest.MTA) {
				reply, err := connect(t, m, "127.0.2.25").Send(between("a@client.example", "b@rcpt.example"), []byte(message))
				if err != nil || reply.Code != 250 {
					t.Logf("refused: %v, %v", reply, err)
					return
				}
				data := r.delivered(t, reply)
				if found := claims(data); len(found) != 1 || strings.Contains(found[0], "dmarc=pass") {
					t.Errorf("a mail program finds %q in\n%.800q", found, data)
				}
			})
		})
	}
}

// claims returns the Authentication-Results that a tolerant mail program finds: lines may end with LF or CR alone, blanks
// before the colon and octets that are not text are overlooked.
func claims(data []byte) []string {
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "").Replace(string(data))
	header, _, _ := strings.Cut(text, "\n\n")
	header = strings.NewReplacer("\n ", " ", "\n\t", " ").Replace(header)
	var found []string
	for line := range strings.SplitSeq(header, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(name), "Authentication-Results") {
			found = append(found, value)
		}
	}
	return found
}

// TestBothViewsAgree: what the milter saw is what is delivered, also where the MTA repairs or cuts a message. Otherwise
// a message could be judged that nobody gets.
func TestBothViewsAgree(t *testing.T) {
	l := newLane(t, setup{})
	s := newScript()
	l.serve(t, s, milter.Options{})
	for name, message := range map[string]string{
		"NUL in a value":         "X-A: 1\x002\r\n" + plain,
		"NUL in the body":        plain + "a\x00b\r\n",
		"a field of 70,000":      "X-A: " + strings.Repeat("y ", 35_000) + "\r\n" + plain,
		"no header":              " starts with a blank\r\n" + plain,
		"line without a colon":   "X-A: 1\r\nno colon\r\n" + plain,
		"8 bit in a name":        "X-\xc3\xa4: 1\r\n" + plain,
		"8 bit in a value":       "X-A: \xc3\xa4 \xe4\r\n" + plain,
		"blank before the colon": "X-A : 1\r\n" + plain,
		"bare LF":                "X-A: 1\nX-B: 2\r\n" + plain,
		"no final line end":      strings.TrimSuffix(plain, "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			l.each(t, func(t *testing.T, m mtatest.MTA) {
				s.reset()
				reply, err := connect(t, m, "127.0.2.25").Send(between("a@client.example", "b@rcpt.example"), []byte(message))
				if err != nil || reply.Code != 250 {
					t.Logf("refused: %v, %v", reply, err)
					return
				}
				got := s.next(t)
				var view bytes.Buffer
				for _, f := range got.header {
					view.Write(f.Raw)
				}
				seenFields, _ := fields(view.Bytes())
				header, body := fields(l.delivered(t, reply))
				removed, added := differences(seenFields, header)
				for _, f := range added {
					if name, _, _ := strings.Cut(f, ":"); !traceOrCompleted(name) {
						t.Errorf("delivered, but not seen: %.100q", f)
					}
				}
				for _, f := range removed {
					if !strings.HasPrefix(f, "X-A") || len(f) < 2000 { // Sendmail cuts long lines on delivery
						t.Errorf("seen, but not delivered: %.100q", f)
					}
				}
				if body != string(got.body) {
					t.Errorf("seen body %.200q, delivered %.200q", got.body, body)
				}
			})
		})
	}
}

// traceOrCompleted reports whether MTAs add a field behind the milter.
func traceOrCompleted(name string) bool {
	switch strings.ToLower(name) {
	case "received", "from", "date", "message-id", "x-a":
		return true
	}
	return false
}

// TestSizes: a large message passes as it is, one beyond limits.message stays with the sender, and so does one whose new
// body is beyond the MTA's own limit.
func TestSizes(t *testing.T) {
	large := plain + strings.Repeat(strings.Repeat("z", 76)+"\r\n", 20<<20/78)
	t.Run("20 MB", func(t *testing.T) {
		r := newRig(t, program(t, false), "")
		r.each(t, func(t *testing.T, m mtatest.MTA) {
			reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), large, 250)
			data := r.delivered(t, reply)
			if !bytes.HasSuffix(data, []byte(large)) || len(claims(data)) != 1 {
				t.Errorf("%d octets were delivered of %d", len(data), len(large))
			}
		})
	})
	t.Run("limits.message", func(t *testing.T) {
		r := newRig(t, program(t, false), "limits: {message: 1MiB}\n")
		r.each(t, func(t *testing.T, m mtatest.MTA) {
			c := connect(t, m, "127.0.2.25")
			send(t, c, between("a@client.example", "b@rcpt.example"), large, 451)
			r.delivered(t, send(t, c, between("a@client.example", "b@rcpt.example"), plain, 250))
		})
	})
	t.Run("limit of the MTA", func(t *testing.T) {
		l := newLane(t, setup{main: map[string]string{"message_size_limit": "1000000"}})
		s := newScript()
		l.serve(t, s, milter.Options{})
		s.answer(edits(t, plan.Op{Kind: plan.ReplaceBody, Body: plan.Bytes(strings.Repeat("more\r\n", 400_000))}))
		if l.postfix == nil {
			t.Skip("NOT TESTED: needs Postfix")
		}
		send(t, connect(t, l.postfix, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), plain, 552)
	})
}

// TestDebianChroot: Debian runs smtpd and cleanup in the queue directory; a unix socket below it is found by its path
// relative to that directory, with the permissions that the manual asks for.
func TestDebianChroot(t *testing.T) {
	sink, err := mtatest.NewSink()
	must(t, err)
	t.Cleanup(func() { _ = sink.Close() })
	p, err := mtatest.StartPostfix(mtatest.PostfixOptions{Milter: "unix:assay/milter.sock", Sink: sink, Chroot: true})
	if !available(t, err) {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	dir, err := p.SocketDir("assay")
	must(t, err)
	resolver := dnstest.New(t, failureZone, dnstest.Options{})
	d, err := mtatest.StartDaemon(program(t, false), fmt.Sprintf(
		"format: 1\nlisten: {milter: [\"unix:%s/milter.sock\"], socket_group: postfix}\nresolver: {servers: [%q]}\n", dir, resolver.Addr()), "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	reply := send(t, connect(t, p, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), plain, 250)
	got, err := sink.Wait(t.Context(), reply.QueueID())
	must(t, err)
	if found := claims(got.Data); len(found) != 1 || !strings.Contains(found[0], "postfix.test") {
		t.Errorf("%q; the authserv-id should be the MTA's own name", found)
	}
}

// TestIPv6ClientOfSendmail: Sendmail writes "IPv6:" in front of the address, which go-milter cannot read.
func TestIPv6ClientOfSendmail(t *testing.T) {
	sink, err := mtatest.NewSink()
	must(t, err)
	t.Cleanup(func() { _ = sink.Close() })
	ports := make([]int, 2)
	for i := range ports {
		ports[i], err = mtatest.FreePort()
		must(t, err)
	}
	address := fmt.Sprintf("[::1]:%d", ports[0])
	if l, err := net.Listen("tcp", address); err != nil {
		t.Skipf("NOT TESTED: this machine has no IPv6: %v", err)
	} else {
		_ = l.Close()
	}
	m, err := mtatest.StartSendmail(mtatest.SendmailOptions{Milter: fmt.Sprintf("inet:%d@127.0.0.1", ports[1]), Sink: sink,
		MC: fmt.Sprintf("DAEMON_OPTIONS(`Name=MTA6, Addr=::1, Port=%d, Family=inet6')dnl", ports[0])})
	if !available(t, err) {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	resolver := dnstest.New(t, `client.example. TXT "v=spf1 ip6:::1 -all"`, dnstest.Options{})
	d, err := mtatest.StartDaemon(program(t, false), fmt.Sprintf(
		"format: 1\nlisten: {milter: \"inet:127.0.0.1:%d\"}\nresolver: {servers: [%q]}\n", ports[1], resolver.Addr()), "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	c, err := mtatest.Dial(address, netip.Addr{})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.Expect(250, "EHLO client.example"))
	reply := send(t, c, between("a@client.example", "b@rcpt.example"), plain, 250)
	got, err := sink.Wait(t.Context(), reply.QueueID())
	must(t, err)
	found := strings.Join(claims(got.Data), "")
	if !strings.Contains(found, "spf=pass") || !strings.Contains(found, `policy.iprev="::1"`) {
		t.Error(found)
	}
}
