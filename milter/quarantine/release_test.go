package quarantine

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/milter/submit"
	"assay/rules"
	"assay/verify/message"
)

// outbox takes what is released.
type outbox struct {
	mails []submit.Mail
	texts []string
	err   error
}

func (o *outbox) submit(_ context.Context, m submit.Mail) error {
	octets, err := io.ReadAll(m.Octets)
	o.mails, o.texts = append(o.mails, m), append(o.texts, string(octets))
	return errors.Join(err, o.err)
}

// arrives has the filter's part done: it returns what a released message says about itself.
func arrives(t *testing.T, s *Store, octets string) (*Redeemed, error) {
	t.Helper()
	m, err := message.Read(strings.NewReader(octets), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i, f := range m.Header {
		if f.Name == TokenField(s.opt.Prefix) {
			sum, err := SumBelow(m, i)
			if err != nil {
				t.Fatal(err)
			}
			return s.Redeem(t.Context(), f.Text(), sum)
		}
	}
	t.Fatalf("no token in %q", octets)
	return nil, nil
}

const mail = "Received: from x\r\nFrom: a@example.net\r\nBcc: hidden@example.com\r\nSubject: s\r\n\r\nbody\r\n..\r\nlast line without end"

func TestReleasedMessageIsAcceptedOnce(t *testing.T) {
	s, out := open(t, t.TempDir()), &outbox{}
	id := keep(t, s, mail, nil)
	r, err := s.Release(t.Context(), Release{ID: id, Who: "op", Reason: "known sender"}, out.submit)
	if err != nil || !slices.Equal(r.To, entry().RcptTo) || r.Accepted {
		t.Fatalf("%+v, %v", r, err)
	}
	field, rest, _ := strings.Cut(out.texts[0], "Received:")
	if out.mails[0].From != "bounce@example.net" || "Received:"+rest != mail || !strings.HasPrefix(field, "X-Assay-Release: v=1; id="+id+"; t=") {
		t.Errorf("%q %q", out.mails[0].From, out.texts[0])
	}
	// An MTA adds its trace on top and may drop Bcc.
	again := "Received: by mx\r\n" + strings.Replace(out.texts[0], "Bcc: hidden@example.com\r\n", "", 1)
	redeemed, err := arrives(t, s, again)
	if err != nil || redeemed.Entry.ID != id || !slices.Equal(redeemed.Entry.Fields, entry().Fields) {
		t.Fatalf("%+v, %v", redeemed, err)
	}
	if _, err := arrives(t, s, again); !errors.Is(err, ErrToken) {
		t.Errorf("a token was good twice: %v", err)
	}
	if err := s.Restore(t.Context(), redeemed); err != nil {
		t.Fatal(err)
	}
	if _, err := arrives(t, s, again); err != nil {
		t.Errorf("the MTA did not get the message, and cannot send it again: %v", err)
	}
	if e, err := s.Find(t.Context(), id); err != nil || e.State != Released {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := s.Release(t.Context(), Release{ID: id, Who: "op", Reason: "again"}, out.submit); !errors.Is(err, ErrReleased) {
		t.Errorf("released twice: %v", err)
	}
	if _, err := s.Release(t.Context(), Release{ID: id, Who: "op", Reason: "again", Again: true}, out.submit); err != nil || len(out.mails) != 2 {
		t.Errorf("not released again: %v", err)
	}
}

func TestTokensThatAreWorthNothing(t *testing.T) {
	dir := t.TempDir()
	clock := now
	s := New(Options{Dir: dir, Create: true, Now: func() time.Time { return clock }})
	t.Cleanup(func() { _ = s.Close() })
	out := &outbox{}
	id := keep(t, s, mail, nil)
	if _, err := s.Release(t.Context(), Release{ID: id, Who: "op", Reason: "x"}, out.submit); err != nil {
		t.Fatal(err)
	}
	good := out.texts[0]
	foreign, other := open(t, t.TempDir()), &outbox{}
	id2 := keep(t, foreign, mail, nil)
	if _, err := foreign.Release(t.Context(), Release{ID: id2, Who: "op", Reason: "x"}, other.submit); err != nil {
		t.Fatal(err)
	}
	for name, octets := range map[string]string{
		"other body":       good + "more",
		"changed field":    strings.Replace(good, "Subject: s", "Subject: t", 1),
		"additional field": strings.Replace(good, "Subject: s", "X: y\r\nSubject: s", 1),
		"no signature":     strings.Replace(good, ";\r\n s=", ";\r\n s=0", 1),
		"later":            strings.Replace(good, "; t=1", "; t=2", 1),
		"other quarantine": other.texts[0],
		"garbage":          "X-Assay-Release: v=1\r\n" + mail,
		"empty":            "X-Assay-Release:\r\n" + mail,
		"long":             "X-Assay-Release: " + strings.Repeat("x", 5000) + "\r\n" + mail,
	} {
		if _, err := arrives(t, s, octets); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	clock = now.Add(defaultTokenLife + time.Minute)
	if _, err := arrives(t, s, good); !errors.Is(err, ErrToken) {
		t.Errorf("too old: %v", err)
	}
	clock = now
	if _, err := s.Rebuild(t.Context()); err != nil { // tokens are not in the files
		t.Fatal(err)
	}
	if _, err := arrives(t, s, good); !errors.Is(err, ErrToken) {
		t.Errorf("not issued: %v", err)
	}
}

func TestWhoMayRelease(t *testing.T) {
	s := open(t, t.TempDir())
	ids := map[rules.Release]string{}
	for _, class := range []rules.Release{rules.ReleaseUser, rules.ReleaseOperator, rules.ReleaseNever} {
		ids[class] = keep(t, s, mail, func(e *Entry) { e.Class, e.RcptTo = class, []string{"erika@example.com", "max@example.com"} })
	}
	original := keep(t, s, mail, func(e *Entry) { e.Kind = Original })
	for _, tt := range []struct {
		name string
		r    Release
		want error
		to   []string
	}{
		{"never", Release{ID: ids[rules.ReleaseNever]}, ErrForbidden, nil},
		{"an original", Release{ID: original}, ErrForbidden, nil},
		{"a copy of never", Release{ID: ids[rules.ReleaseNever], To: []string{"soc@example.com"}}, ErrForbidden, nil},
		{"a user what only operators may", Release{ID: ids[rules.ReleaseOperator], AsUser: "erika@example.com"}, ErrForbidden, nil},
		{"a user the mail of others", Release{ID: ids[rules.ReleaseUser], AsUser: "mallory@example.com"}, ErrForbidden, nil},
		{"a user to others", Release{ID: ids[rules.ReleaseUser], AsUser: "erika@example.com", To: []string{"mallory@example.com"}}, ErrForbidden, nil},
		{"a user", Release{ID: ids[rules.ReleaseUser], AsUser: "Erika@Example.com"}, nil, []string{"erika@example.com"}},
		{"the same user again", Release{ID: ids[rules.ReleaseUser], AsUser: "erika@example.com"}, ErrReleased, nil},
		{"an operator, for the rest", Release{ID: ids[rules.ReleaseUser]}, nil, []string{"max@example.com"}},
		{"a copy", Release{ID: ids[rules.ReleaseOperator], To: []string{"soc@example.com"}}, nil, []string{"soc@example.com"}},
		{"after the copy", Release{ID: ids[rules.ReleaseOperator]}, nil, []string{"erika@example.com", "max@example.com"}},
		{"nothing", Release{ID: newID(now, 1)}, ErrNotFound, nil},
	} {
		out := &outbox{}
		_, err := s.Release(t.Context(), tt.r, out.submit)
		var to []string
		if len(out.mails) > 0 {
			to = out.mails[0].To
		}
		if !errors.Is(err, tt.want) || !slices.Equal(to, tt.to) {
			t.Errorf("%s: %q, %v", tt.name, to, err)
		}
	}
}

func TestAuditLogComesFirst(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	id := keep(t, s, mail, nil)
	out := &outbox{err: errors.New("connection refused")}
	if _, err := s.Release(t.Context(), Release{ID: id, Who: "op", Reason: "fine"}, func(ctx context.Context, m submit.Mail) error {
		if log, err := s.audits(); err != nil || len(log) != 1 || log[0].Action != ActionRelease {
			t.Errorf("released before it was logged: %v %+v", err, log)
		}
		return out.submit(ctx, m)
	}); err == nil {
		t.Error("a failure is no failure")
	}
	if e, err := s.Find(t.Context(), id); err != nil || e.State != Held {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := arrives(t, s, out.texts[0]); !errors.Is(err, ErrToken) {
		t.Errorf("the token of a failed release is good: %v", err)
	}
	log, err := s.audits()
	if err != nil || len(log) != 2 || log[1].Action != ActionFailed || log[1].Error != "connection refused" || log[1].Who != "op" {
		t.Errorf("%v %+v", err, log)
	}
	// What cannot be logged is not done.
	audit := filepath.Join(dir, auditFile)
	if err := errors.Join(os.Remove(audit), os.Mkdir(audit, 0o700)); err != nil {
		t.Fatal(err)
	}
	out = &outbox{}
	if _, err := s.Release(t.Context(), Release{ID: id, Who: "op", Reason: "fine"}, out.submit); err == nil || len(out.mails) > 0 {
		t.Errorf("released without a log: %v", err)
	}
	if err := s.Delete(t.Context(), id, "op", "x"); err == nil || octets(t, s, id) != mail {
		t.Errorf("deleted without a log: %v", err)
	}
}

func TestCutLineOfTheAuditLog(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Log(Audit{Action: ActionShow, ID: "one"}); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, auditFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"time":"2026-`)
	_ = f.Close()
	if err := s.Log(Audit{Action: ActionShow, ID: "two"}); err != nil {
		t.Fatal(err)
	}
	if log, err := s.audits(); err != nil || len(log) != 2 || log[1].ID != "two" {
		t.Errorf("%v %+v", err, log)
	}
}
