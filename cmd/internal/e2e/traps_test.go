package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/mtatest"
	"assay/milter"
	"assay/milter/plan"
)

// plain is a message without anything special.
const plain = "From: a@client.example\r\nTo: b@rcpt.example\r\nSubject: x\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n" +
	"Message-ID: <1@client.example>\r\n\r\nfirst line\r\nsecond line\r\n"

// withFields returns plain with fields on top.
func withFields(lines ...string) string { return strings.Join(append(lines, plain), "\r\n") }

// TestTraps is about what real MTAs do that one has to know, or be caught by.
func TestTraps(t *testing.T) {
	l := newLane(t, setup{})
	s := newScript()
	l.serve(t, s, milter.Options{MaxRecipients: 3})
	for _, trap := range []struct {
		name string
		test func(t *testing.T, l *lane, s *script, m mtatest.MTA)
	}{
		{"the client is known after any verdict", trapClientKept},
		{"headers of earlier messages are not seen again", trapHeadersApart},
		{"a refused recipient loses nothing", trapRecipients},
		{"a panic is answered 451 and forgotten", trapPanic},
		{"an insert ends on top with one blank", trapInsert},
		{"forged fields all go, the first field of the message too", trapDelete},
		{"our own field outlives the deletion of forged ones", trapDeleteOwn},
		{"change hits the occurrence that was meant", trapChange},
		{"a new body arrives whole", trapBody},
		{"every part of a plan is carried out together", trapEverything},
		{"a body is read exactly", trapReadBody},
		{"replies reach the client as they are", trapReplies},
		{"a refusal changes nothing", trapRefusal},
		{"a quarantined message is held and the next one is not", trapHold},
	} {
		t.Run(trap.name, func(t *testing.T) {
			l.each(t, func(t *testing.T, m mtatest.MTA) {
				s.reset()
				trap.test(t, l, s, m)
			})
		})
	}
}

// trapClientKept: go-milter renews its backend after each final answer, and the second message had no client any more.
func trapClientKept(t *testing.T, _ *lane, s *script, m mtatest.MTA) {
	c := connect(t, m, "127.0.2.25")
	for n, verdict := range []struct {
		plan plan.Plan
		code int
	}{
		{plan.Plan{Verdict: plan.Accept}, 250},
		{plan.Refusal(550, "5.7.1", "no"), 550},
		{plan.Plan{}, 451},
		{plan.Refusal(451, "4.7.1", "later"), 451},
		{plan.Plan{Verdict: plan.Accept}, 250},
	} {
		s.answer(verdict.plan)
		from := fmt.Sprintf("a%d@client.example", n)
		send(t, c, between(from, "b@rcpt.example", "c@rcpt.example"), plain, verdict.code)
		env := s.next(t).env
		if env.ClientIP.String() != "127.0.2.25" || env.Helo != "client.example" || env.MailFrom != from || len(env.RcptTo) != 2 || env.QueueID == "" {
			t.Errorf("message %d: %+v", n, env)
		}
	}
}

// trapHeadersApart: Sendmail sends no ABORT between messages, and go-milter then adds up their headers.
func trapHeadersApart(t *testing.T, _ *lane, s *script, m mtatest.MTA) {
	c := connect(t, m, "127.0.2.25")
	for n := range 3 {
		send(t, c, between("a@client.example", "b@rcpt.example"), withFields(fmt.Sprintf("X-Secret-%d: 1", n)), 250)
		got := s.next(t)
		if len(got.header) != 6 || got.header.Count("X-Secret-0")+got.header.Count("X-Secret-1")+got.header.Count("X-Secret-2") != 1 {
			t.Errorf("message %d has fields %v", n, got.header)
		}
	}
}

// trapRecipients: in go-milter an answer at RCPT that is not "continue" loses the sender and the recipients so far.
func trapRecipients(t *testing.T, _ *lane, s *script, m mtatest.MTA) {
	c := connect(t, m, "127.0.2.25")
	to := []string{"1@rcpt.example", "2@rcpt.example", "3@rcpt.example", "4@rcpt.example"}
	for _, step := range []struct {
		line string
		code int
	}{{"MAIL FROM:<a@client.example>", 250}, {"RCPT TO:<" + to[0] + ">", 250}, {"RCPT TO:<" + to[1] + ">", 250},
		{"RCPT TO:<" + to[2] + ">", 250}, {"RCPT TO:<" + to[3] + ">", 452}, {"DATA", 354}} {
		must(t, c.Expect(step.code, "%s", step.line))
	}
	if _, err := c.Write(mtatest.Stuff([]byte(plain))); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Reply()
	if err != nil || reply.Code != 250 {
		t.Fatalf("%v, %v", reply, err)
	}
	if env := s.next(t).env; env.MailFrom != "a@client.example" || !slices.Equal(env.RcptTo, to[:3]) {
		t.Errorf("%+v", env)
	}
}

// trapPanic: a lost connection makes the MTA apply its default action to every later message of the session.
func trapPanic(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	c := connect(t, m, "127.0.2.25")
	s.do(func(context.Context, seen) plan.Plan { panic("a hostile message") })
	send(t, c, between("a@client.example", "b@rcpt.example"), plain, 451)
	s.answer(edits(t, plan.Op{Kind: plan.InsertHeader, Name: "X-Next", Value: "yes"}))
	reply := send(t, c, between("a@client.example", "b@rcpt.example"), plain, 250)
	if header, _ := fields(l.delivered(t, reply)); len(named(header, "X-Next")) != 1 {
		t.Errorf("the next message was not filtered: %q", header)
	}
}

// trapInsert: with SMFIP_HDR_LEADSPC the value is written as it is, without it the MTA adds a blank.
func trapInsert(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	s.answer(edits(t,
		plan.Op{Kind: plan.InsertHeader, Name: "X-Second", Value: "folded;\n\tonce"},
		plan.Op{Kind: plan.InsertHeader, Name: "X-First", Value: "v"}))
	reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), plain, 250)
	data := l.delivered(t, reply)
	if want := "X-First: v\r\nX-Second: folded;\r\n\tonce\r\nReceived:"; !bytes.HasPrefix(data, []byte(want)) {
		t.Errorf("delivered %.120q", data)
	}
	if !bytes.HasSuffix(data, []byte(plain)) {
		t.Errorf("the rest was changed: %q", data)
	}
}

// removeAll returns the deletion of every field of a name.
func removeAll(m seen, name string) []plan.Op {
	var ops []plan.Op
	for f := range m.header.All(name) {
		ops = append(ops, plan.Op{Kind: plan.DeleteHeader, Name: name, Nth: f.Nth})
	}
	return ops
}

// trapDelete: Postfix renumbers after each deletion, so that deleting 1, 2, 3 leaves the second field.
func trapDelete(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	for _, n := range []int{1, 3, 100} {
		s.do(func(_ context.Context, m seen) plan.Plan { return edits(t, removeAll(m, "Authentication-Results")...) })
		var forged []string
		for i := range n {
			name := []string{"Authentication-Results", "authentication-results", "Authentication-Results "}[i%3]
			forged = append(forged, fmt.Sprintf("%s: mx.rcpt.example; spf=pass (%d)", name, i))
		}
		reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), withFields(forged...), 250)
		data := l.delivered(t, reply)
		if header, _ := fields(data); len(named(header, "Authentication-Results")) != 0 || !bytes.HasSuffix(data, []byte(plain)) {
			t.Errorf("%d forged fields: %d are left of\n%.500q", n, len(named(header, "Authentication-Results")), data)
		}
	}
}

// trapDeleteOwn: who inserts first and deletes then, deletes the own field and keeps the forged one.
func trapDeleteOwn(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	s.do(func(_ context.Context, m seen) plan.Plan {
		own := plan.Op{Kind: plan.InsertHeader, Name: "Authentication-Results", Value: "own; none"}
		return edits(t, append([]plan.Op{own}, removeAll(m, "Authentication-Results")...)...)
	})
	forged := withFields("Authentication-Results: forged; spf=pass", "Authentication-Results: forged; spf=pass")
	reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), forged, 250)
	header, _ := fields(l.delivered(t, reply))
	if got := named(header, "Authentication-Results"); !slices.Equal(got, []string{"Authentication-Results: own; none"}) {
		t.Errorf("left are %q", got)
	}
}

// trapChange: occurrences count from one and per name, and one that does not exist would be added.
func trapChange(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	s.answer(edits(t, plan.Op{Kind: plan.ChangeHeader, Name: "X-N", Nth: 2, Value: "changed"},
		plan.Op{Kind: plan.DeleteHeader, Name: "X-N", Nth: 3}))
	reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"),
		withFields("X-N: 1", "x-n: 2", "X-N: 3", "X-N: 4"), 250)
	header, _ := fields(l.delivered(t, reply))
	got := named(header, "X-N")
	for i := range got {
		_, got[i], _ = strings.Cut(got[i], ": ")
	}
	if !slices.Equal(got, []string{"1", "changed", "4"}) {
		t.Errorf("left are %q", got)
	}
}

// trapBody: the packets of a new body follow one another without anything between, and none is too large.
func trapBody(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	for name, body := range map[string]string{
		"20 MB":         strings.Repeat(strings.Repeat("b", 76)+"\r\n", 20<<20/78),
		"one line":      "x\r\n",
		"empty":         "",
		"cut in CRLF":   strings.Repeat("c", 65534) + "\r\n" + strings.Repeat("d", 65533) + "\r\n",
		"dots":          ".\r\n..\r\n.\r\n",
		"only newlines": strings.Repeat("\r\n", 70_000),
	} {
		s.answer(edits(t, plan.Op{Kind: plan.ReplaceBody, Body: plan.Bytes(body)}))
		reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), plain, 250)
		_, got := fields(l.delivered(t, reply))
		if got != body {
			t.Errorf("%s: %d octets instead of %d: %.60q", name, len(got), len(body), got)
		}
	}
}

// trapEverything: Postfix refuses to mix body packets with others, and delivers half a message if it is told to accept.
func trapEverything(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	body := strings.Repeat("new\r\n", 50_000)
	s.answer(edits(t,
		plan.Op{Kind: plan.ReplaceBody, Body: plan.Bytes(body)},
		plan.Op{Kind: plan.InsertHeader, Name: "X-In", Value: "in"},
		plan.Op{Kind: plan.DeleteHeader, Name: "X-Out", Nth: 1},
		plan.Op{Kind: plan.ChangeHeader, Name: "Subject", Nth: 1, Value: "changed"}))
	reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), withFields("X-Out: 1"), 250)
	header, got := fields(l.delivered(t, reply))
	if got != body || len(named(header, "X-In")) != 1 || len(named(header, "X-Out")) != 0 || !slices.Contains(header, "Subject: changed") {
		t.Errorf("fields %q, %d octets of body", header, len(got))
	}
}

// trapReadBody: chunks are cut anywhere, also between CR and LF.
func trapReadBody(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	for name, body := range map[string]string{
		"20 MB":     strings.Repeat(strings.Repeat("b", 76)+"\r\n", 20<<20/78),
		"at a cut":  strings.Repeat("c", 65534) + "\r\n" + strings.Repeat("d", 65535) + "\r\n",
		"long line": strings.Repeat("e", 10_000) + "\r\n",
		"8 bit":     "\xe4\xff\x80\r\n",
		"empty":     "",
	} {
		_, rest, _ := strings.Cut(plain, "\r\n\r\n")
		message := strings.TrimSuffix(plain, rest) + body
		reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), message, 250)
		if got := string(s.next(t).body); got != body {
			t.Errorf("%s: read %d octets instead of %d", name, len(got), len(body))
		}
		if !bytes.HasSuffix(l.delivered(t, reply), []byte(message)) {
			t.Errorf("%s: delivered something else", name)
		}
	}
}

// trapReplies: a single '%' is eaten by Postfix and makes Sendmail replace the whole reply, a 4yz even by a 5yz one.
func trapReplies(t *testing.T, _ *lane, s *script, m mtatest.MTA) {
	long := strings.TrimSpace(strings.Repeat("many words ", 90))
	for _, r := range []struct {
		code           int
		enhanced, text string
	}{
		{550, "5.7.1", "100% forged, %s %n %d %%"},
		{451, "4.7.1", "50% of the DNS is away %"},
		{550, "5.7.1", long},
		{451, "4.4.3", "later\r\n250 2.0.0 accepted"},
		{550, "5.7.1", "gr\u00fcn \x00 \x1b[31m"},
	} {
		s.answer(plan.Refusal(r.code, r.enhanced, r.text))
		reply, err := connect(t, m, "127.0.2.25").Send(between("a@client.example", "b@rcpt.example"), []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if reply.Code != r.code {
			t.Errorf("%q: the reply is %s", r.text, reply)
		}
		text := ""
		for _, line := range reply.Lines {
			if len(line) > 500 || !strings.HasPrefix(line, r.enhanced+" ") {
				t.Errorf("%q: line %q", r.text, line)
			}
			text += " " + strings.TrimPrefix(line, r.enhanced+" ")
		}
		if want := plainText(r.text); strings.Join(strings.Fields(text), " ") != want {
			t.Errorf("%q reached the client as %q, want %q", r.text, text, want)
		}
	}
}

// plainText is what a client can get of a text: printable ASCII, and question marks where the text had something else.
func plainText(text string) string {
	mapped := strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == '\n' || r == ' ' || r < ' ':
			return ' '
		case r > '~':
			return '?'
		}
		return r
	}, text)
	return strings.Join(strings.Fields(mapped), " ")
}

// trapRefusal: no edit is sent with a refusal, and nothing is delivered or left in the queue.
func trapRefusal(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	c := connect(t, m, "127.0.2.25")
	for _, p := range []plan.Plan{plan.Refusal(550, "5.7.1", "no"), {}} {
		s.answer(p)
		reply, err := c.Send(between("a@client.example", "refused@rcpt.example"), []byte(plain))
		if err != nil || reply.Code == 250 {
			t.Fatalf("%v, %v", reply, err)
		}
	}
	s.answer(plan.Plan{Verdict: plan.Accept})
	reply := send(t, c, between("a@client.example", "b@rcpt.example"), plain, 250)
	if !bytes.HasSuffix(l.delivered(t, reply), []byte(plain)) {
		t.Error("the message behind the refused ones was changed")
	}
	if n := len(l.sink.To("refused@rcpt.example")); n != 0 {
		t.Errorf("%d refused messages were delivered", n)
	}
	for _, q := range queue(t, m) {
		if !q.Held {
			t.Errorf("%s is still in the queue", q.ID)
		}
	}
}

// trapHold: the message is accepted, held, and not delivered; the session goes on.
func trapHold(t *testing.T, l *lane, s *script, m mtatest.MTA) {
	c := connect(t, m, "127.0.2.25")
	s.answer(edits(t, plan.Op{Kind: plan.InsertHeader, Name: "X-Held", Value: "yes"}, plan.Op{Kind: plan.Hold, Value: "looks odd"}))
	reply := send(t, c, between("a@client.example", "held@rcpt.example"), plain, 250)
	s.answer(plan.Plan{Verdict: plan.Accept})
	l.delivered(t, send(t, c, between("a@client.example", "b@rcpt.example"), plain, 250))
	if q, found := l.held(t, m, reply.QueueID()); !found || m.Name() == "sendmail" && q.Reason != "looks odd" {
		t.Errorf("%s: held %v, %+v", reply.QueueID(), found, q)
	}
	if n := len(l.sink.To("held@rcpt.example")); n != 0 {
		t.Errorf("the held message was delivered")
	}
}

// queue returns the queue of an MTA.
func queue(t *testing.T, m mtatest.MTA) []mtatest.Queued {
	t.Helper()
	q, err := m.Queue()
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestProgress: Sendmail gives up when an answer takes longer than its R timeout, Postfix after its content timeout,
// unless they hear that the work goes on.
func TestProgress(t *testing.T) {
	l := newLane(t, setup{
		main:  map[string]string{"milter_command_timeout": "4s", "milter_content_timeout": "4s"},
		times: "C:4s;S:4s;R:4s;E:1m"})
	s := newScript()
	l.serve(t, s, milter.Options{})
	s.do(func(ctx context.Context, _ seen) plan.Plan {
		select {
		case <-time.After(9 * time.Second):
		case <-ctx.Done():
		}
		return edits(t, plan.Op{Kind: plan.InsertHeader, Name: "X-Late", Value: "yes"})
	})
	l.each(t, func(t *testing.T, m mtatest.MTA) {
		t.Parallel()
		reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), plain, 250)
		if header, _ := fields(l.delivered(t, reply)); len(named(header, "X-Late")) != 1 {
			t.Errorf("delivered without its edits: %q", header)
		}
	})
}
