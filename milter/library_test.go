package milter

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	"assay/milter/plan"
	"assay/verify/message"
)

// check fails the test unless the filter lets the client of go-milter go on.
func check(t *testing.T, a *milter.Action, err error) {
	t.Helper()
	if err != nil || a.Code != milter.ActContinue {
		t.Fatalf("answer = %+v, %v", a, err)
	}
}

// clientSession opens a session of go-milter's own client.
func clientSession(t *testing.T, address string, actions milter.OptAction, protocol milter.OptProtocol) *milter.ClientSession {
	t.Helper()
	c := milter.NewClientWithOptions("tcp", address, milter.ClientOptions{
		Dialer: &net.Dialer{}, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, ActionMask: actions, ProtocolMask: protocol})
	s, err := c.Session()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// introduce sends a message up to the end of its body.
func introduce(t *testing.T, s *milter.ClientSession, value string) {
	t.Helper()
	a, err := s.Mail("a@example.org", []string{"SMTPUTF8"})
	check(t, a, err)
	a, err = s.Rcpt("b@example.net", nil)
	check(t, a, err)
	a, err = s.HeaderField("Subject", value)
	check(t, a, err)
	a, err = s.HeaderEnd()
	check(t, a, err)
	a, err = s.BodyChunk([]byte("body\r\n"))
	check(t, a, err)
}

// The client of go-milter stands for MTAs that this package did not write: it negotiates, sends and reads by itself.
func TestWithTheClientOfGoMilter(t *testing.T) {
	const actions = milter.OptAddHeader | milter.OptChangeBody | milter.OptChangeHeader | milter.OptQuarantine | milter.OptChangeFrom
	desk := newDesk()
	desk.plan = func(_ context.Context, m *message.Message, caps plan.Capabilities) plan.Plan {
		p, err := plan.Build([]plan.Op{
			{Kind: plan.DeleteHeader, Name: "Subject", Nth: 1}, {Kind: plan.InsertHeader, Name: "X", Value: "y"},
			{Kind: plan.ReplaceBody, Body: plan.Bytes("new\r\n")}, {Kind: plan.Hold, Value: "reason"}}, caps)
		if err != nil {
			t.Error(err)
		}
		return p
	}
	_, address := start(t, desk, Options{})
	s := clientSession(t, address, actions, milter.OptHeaderLeadingSpace)
	if !s.ProtocolOption(milter.OptHeaderLeadingSpace) || s.ActionOption(milter.OptChangeFrom) {
		t.Errorf("negotiated %#x %#x", s.ActionOpts, s.ProtocolOpts)
	}
	a, err := s.Conn("mail.example.org", milter.FamilyInet, 4711, "192.0.2.1")
	check(t, a, err)
	a, err = s.Helo("helo.example.org")
	check(t, a, err)
	for range 3 {
		if err := s.Macros(milter.CodeMail, "i", "4ABC"); err != nil {
			t.Fatal(err)
		}
		introduce(t, s, " hi")
		edits, final, err := s.End()
		if err != nil {
			t.Fatal(err)
		}
		check(t, final, nil)
		var codes []byte
		for _, e := range edits {
			codes = append(codes, byte(e.Code))
		}
		if string(codes) != "mibq" || edits[1].HeaderName != "X" || edits[1].HeaderValue != " y" || string(edits[2].Body) != "new\n" || edits[3].Reason != "reason" {
			t.Errorf("edits = %+v", edits)
		}
		got := desk.got(t)
		if got.env.QueueID != "4ABC" || !got.env.SMTPUTF8 || got.env.ClientIP.String() != "192.0.2.1" || got.ended != nil ||
			!slices.Equal(got.fields, []string{"Subject: hi\r\n"}) || got.body != "body\r\n" {
			t.Errorf("%+v", got)
		}
	}
	introduce(t, s, " hi")
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
	if got := desk.got(t); got.ended == nil {
		t.Error("the aborted message has no error")
	}
}

func TestRefusalWithTheClientOfGoMilter(t *testing.T) {
	_, address := start(t, answering(plan.Refusal(550, "5.7.1", "50% no")), Options{})
	s := clientSession(t, address, milter.OptAddHeader, 0)
	for range 2 {
		introduce(t, s, "hi")
		edits, final, err := s.End()
		if err != nil || len(edits) != 0 || final.Code != milter.ActReplyCode || final.SMTPCode != 550 || final.SMTPText != "5.7.1 50%% no" {
			t.Errorf("edits %v, final %+v, %v", edits, final, err)
		}
	}
}
