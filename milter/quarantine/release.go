package quarantine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"assay/milter/submit"
	"assay/rules"
)

// A Release asks for an entry to be handed out.
type Release struct {
	ID     string
	Who    string // the person, for the audit log
	Reason string
	AsUser string   // a recipient who asks for his own mail; "" for an operator
	To     []string // other recipients, who get a copy; the entry stays held for its own
	Again  bool     // also recipients who have got it already
	Wait   time.Duration
}

// A Receipt says what came of a release.
type Receipt struct {
	ID       string   `json:"id"`
	To       []string `json:"to"`
	Accepted bool     `json:"accepted"` // the filter has let it pass, as far as is known within Release.Wait
}

// Release hands an entry to the MTA with its original envelope and octets. The audit log knows of it before it happens.
func (s *Store) Release(ctx context.Context, r Release, hand submit.Submitter) (Receipt, error) {
	e, content, err := s.Message(r.ID)
	if err != nil {
		return Receipt{}, err
	}
	defer content.Close()
	if err := content.Verify(e); err != nil {
		return Receipt{}, err
	}
	if err := r.allowed(e); err != nil {
		return Receipt{}, errors.Join(err, s.Log(Audit{Action: ActionRefused, ID: e.ID, Who: r.Who, Reason: r.Reason, To: r.To, Error: err.Error()}))
	}
	sum, err := sumOf(content)
	if err != nil {
		return Receipt{}, err
	}
	if _, err := content.file.Seek(content.start, io.SeekStart); err != nil {
		return Receipt{}, err
	}
	to, t, err := s.grant(ctx, r, e, sum)
	if err != nil {
		return Receipt{}, err
	}
	line := Audit{Action: ActionReleased, ID: e.ID, Who: r.Who, Reason: r.Reason, To: to}
	m := submit.Mail{From: e.MailFrom, To: to, SMTPUTF8: e.SMTPUTF8, Octets: stamped(s.opt.Prefix, t, s.key, content)}
	if err := hand(ctx, m); err != nil {
		line.Action, line.Error = ActionFailed, err.Error()
		return Receipt{}, errors.Join(err, s.finish(ctx, line, nil, &t))
	}
	own := to
	if len(r.To) > 0 {
		own = nil
	}
	if err := s.finish(ctx, line, own, nil); err != nil {
		return Receipt{}, err
	}
	return Receipt{ID: e.ID, To: to, Accepted: s.accepted(ctx, t, r.Wait)}, nil
}

// allowed says why an entry may not be released.
func (r Release) allowed(e *Entry) error {
	switch {
	case e.Kind != Message:
		return fmt.Errorf("%w: %s is the original of a message that was delivered; show --raw prints it", ErrForbidden, e.ID)
	case e.Class == rules.ReleaseNever:
		return fmt.Errorf("%w: the rules that caught %s say that it is never released", ErrForbidden, e.ID)
	case r.AsUser == "":
		return nil
	case e.Class != rules.ReleaseUser:
		return fmt.Errorf("%w: only an operator releases %s", ErrForbidden, e.ID)
	case len(r.To) > 0:
		return fmt.Errorf("%w: recipients release to themselves only", ErrForbidden)
	case !e.Has(r.AsUser):
		return fmt.Errorf("%w: %s was not sent to %s", ErrForbidden, e.ID, r.AsUser)
	}
	return nil
}

// grant decides who gets the message, notes it in the audit log and issues a token.
func (s *Store) grant(ctx context.Context, r Release, e *Entry, sum string) ([]string, token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return nil, token{}, err
	}
	if _, err := s.find(ctx, e.ID); err != nil {
		return nil, token{}, err
	}
	to, err := s.recipients(ctx, r, e)
	if err != nil {
		return nil, token{}, err
	}
	if err := s.log(Audit{Action: ActionRelease, ID: e.ID, Who: r.Who, Reason: r.Reason, To: to}); err != nil {
		return nil, token{}, err
	}
	t, err := s.issue(ctx, e.ID, sum)
	return to, t, err
}

// recipients returns who gets the message.
func (s *Store) recipients(ctx context.Context, r Release, e *Entry) ([]string, error) {
	if len(r.To) > 0 {
		return r.To, nil
	}
	to := e.RcptTo
	if !r.Again {
		var err error
		if to, err = s.waiting(ctx, e); err != nil {
			return nil, err
		}
	}
	if r.AsUser != "" {
		to = slices.DeleteFunc(slices.Clone(to), func(address string) bool { return !strings.EqualFold(address, r.AsUser) })
	}
	if len(to) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrReleased, e.ID)
	}
	return to, nil
}

// finish notes how a release ended: to is who has got the message, back a token that is not needed.
func (s *Store) finish(ctx context.Context, line Audit, to []string, back *token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.ready()
	if err == nil {
		err = s.log(line)
	}
	if err == nil && back != nil {
		err = s.revoke(ctx, *back)
	}
	if err == nil && len(to) > 0 {
		err = s.begin(ctx, func(tx *sql.Tx) error { return markReleased(ctx, tx, line.ID, to, s.opt.Now()) })
	}
	return err
}

// acceptedEvery is how often is looked whether the filter has seen a released message.
const acceptedEvery = 50 * time.Millisecond

// accepted waits until the filter has accepted a message.
func (s *Store) accepted(ctx context.Context, t token, wait time.Duration) bool {
	for end := s.opt.Now().Add(wait); ; {
		s.mu.Lock()
		done := s.ready() == nil && s.spent(ctx, t)
		s.mu.Unlock()
		if done || !s.opt.Now().Before(end) {
			return done
		}
		timer := time.NewTimer(acceptedEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
