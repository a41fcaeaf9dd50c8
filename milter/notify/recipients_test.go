package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"assay/milter/notice"
)

// tell runs a Recipients for the time of a test.
func tell(t *testing.T, s *smtpd, o Options, r RecipientOptions) (*Recipients, *deliveries, func()) {
	t.Helper()
	d := newDeliveries()
	o.Observe, o.Hostname = d.observe, "mx.example.com"
	if s != nil {
		o.SMTP = s.ln.Addr().String()
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	templates, err := notice.New("en", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Text = templates.Held
	one := n.Recipients(r)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { one.Run(ctx) })
	stop := func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return one, d, stop
}

func heldMail(i int) notice.HeldMail {
	return notice.HeldMail{Received: time.Date(2026, 11, 22, 5, 19, 0, 0, time.UTC), Sender: "eve@example.net", Reason: "odd", ID: fmt.Sprintf("q-%d", i)}
}

// The first message is told at once; what comes within the time is told in one notice, at the latest when the program ends.
func TestRecipientIsToldAtOnceAndThenTogether(t *testing.T) {
	s := newSMTPD(t, nil)
	r, d, stop := tell(t, s, Options{Details: 2}, RecipientOptions{Every: time.Hour, Contact: "the help desk"})
	r.Notify("erika@example.com", heldMail(1))
	if first := <-d.c; first.Err != nil || first.Channel != "recipients" {
		t.Fatalf("%+v", first)
	}
	for i := range 3 {
		r.Notify("Erika@Example.com", heldMail(i+2))
	}
	r.Notify("max@example.com", heldMail(9))
	if other := <-d.c; other.Err != nil {
		t.Fatalf("%+v", other)
	}
	stop()
	mails := s.all()
	if len(mails) != 3 {
		t.Fatalf("%d mails", len(mails))
	}
	subject, body, header := decode(t, mails[0].text)
	if subject != "A message to you was held back" || mails[0].from != "<>" || mails[0].to[0] != "<erika@example.com>" || header.Get("Auto-Submitted") != "auto-generated" ||
		!strings.Contains(body, "q-1") || !strings.Contains(body, "the help desk") {
		t.Errorf("%q %+v", subject, mails[0])
	}
	subject, body, _ = decode(t, mails[2].text)
	if subject != "3 messages to you were held back" || !strings.Contains(body, "q-2") || !strings.Contains(body, "q-3") || strings.Contains(body, "q-4") ||
		!strings.Contains(body, "1 more is not listed") {
		t.Errorf("%q\n%s", subject, body)
	}
	r.Notify("max@example.com", heldMail(1))
	if last := <-d.c; last.Err != nil { // the digest's
		t.Errorf("%+v", last)
	}
	if last := <-d.c; !errors.Is(last.Err, ErrStopped) {
		t.Errorf("after the end: %+v", last)
	}
}

func TestRecipientIsToldAgainWhenTheTimeIsOver(t *testing.T) {
	s := newSMTPD(t, nil)
	r, d, _ := tell(t, s, Options{}, RecipientOptions{Every: 20 * time.Millisecond})
	for i := range 3 {
		r.Notify("erika@example.com", heldMail(i))
		if got := <-d.c; got.Err != nil {
			t.Fatalf("%+v", got)
		}
	}
	if n := len(s.all()); n != 3 {
		t.Errorf("%d mails", n)
	}
}

func TestTooManyRecipients(t *testing.T) {
	now := time.Date(2026, 11, 22, 5, 19, 0, 0, time.UTC)
	n, err := New(Options{Hostname: "mx.example.com", Now: func() time.Time { return now }, Observe: func(Delivery) {}})
	if err != nil {
		t.Fatal(err)
	}
	r := n.Recipients(RecipientOptions{Addresses: 2, Every: time.Hour}) // nobody sends
	for address, want := range map[string]error{"ä@example.com": ErrAddress, "": ErrAddress, "a b@example.com": ErrAddress} {
		if err := r.enter(address, heldMail(0)); !errors.Is(err, want) {
			t.Errorf("%q: %v", address, err)
		}
	}
	for i, want := range []error{nil, nil, ErrTooMany} {
		if err := r.enter(fmt.Sprintf("r%d@example.com", i), heldMail(i)); !errors.Is(err, want) {
			t.Errorf("recipient %d: %v", i, err)
		}
	}
	ready, held, _ := r.due(false)
	if len(ready) != 2 || len(held) != 2 {
		t.Fatalf("%d are due", len(ready))
	}
	for _, one := range ready {
		one.busy = false
	}
	if err := r.enter("late@example.com", heldMail(0)); !errors.Is(err, ErrTooMany) {
		t.Errorf("those who were told are forgotten too early: %v", err)
	}
	now = now.Add(2 * time.Hour)
	if err := r.enter("late@example.com", heldMail(0)); err != nil {
		t.Errorf("those who were told are remembered for ever: %v", err)
	}
}
