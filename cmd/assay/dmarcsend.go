package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"assay/milter/store"
	"assay/milter/submit"
	"assay/verify/dmarc"
	"assay/verify/dmarc/report"
	"assay/verify/dns"
)

// dmarcSend returns "dmarc send".
func (a *app) dmarcSend() *cobra.Command {
	c := &cobra.Command{
		Use:   "send",
		Short: "Send the reports that are due",
		Long: "Send the reports about days (of UTC) that are over to the addresses that the domains' records name. An address at another\n" +
			"organization gets them only if it has agreed in the DNS (RFC 9990 Section 3). What the SMTP server does not take is tried again by\n" +
			"a later run, until verify.dmarc.reports.retention is over; what it took is never sent again. A timer of systemd does it every hour.\n" +
			"With --dry-run nothing is sent or noted: the mails are written into a directory.\n\n" +
			"Exit codes: 0 the run is over, assay dmarc status says what became of the reports; 1 none of them could be handed over, or another\n" +
			"process is sending; 2 wrong usage.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	dry := c.Flags().String("dry-run", "", "write the mails into `DIRECTORY` instead")
	today := c.Flags().Bool("today", false, "also what there is of the day that is not over, with --dry-run")
	retry := c.Flags().Bool("retry", false, "do not wait with reports whose last attempt failed")
	c.RunE = a.withBureau(path, func(ctx context.Context, b *bureau, _ []string) error {
		if *today && *dry == "" {
			return usageError{errors.New("--today needs --dry-run: a day is reported about once, when it is over")}
		}
		if !b.config.Verify.DMARC.Reports.Send {
			fmt.Fprintf(a.err, "assay: no reports are sent%s\n", unlessSent(b.config))
			return nil
		}
		s, err := b.courier()
		if err != nil {
			return err
		}
		defer s.resolver.Close()
		before := a.now().Add(-store.Settle)
		if *dry != "" {
			if *today {
				before = report.Day(a.now()).End
			}
			return s.rehearse(ctx, before, *dry)
		}
		if *retry {
			if _, err := b.rows.Retry(ctx); err != nil {
				return err
			}
		}
		sent := s.send(ctx, before)
		_, err = b.rows.Expire(ctx, a.now())
		return errors.Join(sent, err)
	})
	return c
}

// A courier makes reports and hands them over.
type courier struct {
	*bureau
	resolver resolver
	key      crypto.Signer // nil if the MTA signs
	submit   submit.Submitter
	node     string // name of this host
}

// courier prepares sending.
func (b *bureau) courier() (*courier, error) {
	r := b.config.Verify.DMARC.Reports
	key, err := r.Key()
	if err != nil {
		return nil, fmt.Errorf("verify.dmarc.reports.key_file: %w", err)
	}
	node, err := os.Hostname()
	if err != nil || node == "" {
		node = "localhost"
	}
	res, err := newResolver(b.config.Resolver, nil)
	if err != nil {
		return nil, err
	}
	return &courier{bureau: b, resolver: res, key: key, submit: submit.SMTP(r.SMTP, node), node: node}, nil
}

// A tally counts what became of reports.
type tally map[store.State]int

// send sends what is due. One that cannot be sent does not keep the others from it.
func (s *courier) send(ctx context.Context, before time.Time) (err error) {
	lock, err := s.rows.Lock(ctx, fmt.Sprintf("%s, process %d on %s", s.app.person(), os.Getpid(), s.node))
	if err != nil {
		return err
	}
	// Also when the time is up: the next run need not wait for the lease to end.
	defer func() { err = errors.Join(err, lock.Unlock(context.WithoutCancel(ctx))) }()
	counts := tally{}
	for failed := 0; ; {
		due, err := s.rows.Pending(ctx, before)
		if err != nil {
			return err
		}
		if len(due) <= failed { // the others were tried in the round before
			break
		}
		failed = 0
		for some := range slices.Chunk(due, together) {
			n, err := s.deliverSome(ctx, lock, some, counts)
			if err != nil {
				return err
			}
			failed += n
		}
		if failed == len(due) {
			break
		}
	}
	fmt.Fprintf(s.app.out, "%s sent, %d to be tried again, %d failed, %d suppressed\n", plural(counts[store.Sent], "report"), counts[store.Waiting],
		counts[store.Failed], counts[store.Suppressed])
	// An address that is gone is its owner's fault and no reason to alarm anybody here.
	if counts[store.Waiting] > 0 && counts[store.Sent] == 0 {
		return fmt.Errorf("%s took no report: see assay dmarc status", s.config.Verify.DMARC.Reports.SMTP)
	}
	return nil
}

// The bounds of asking for destinations. Whoever sends mail chooses whose DNS is asked, which may never answer, and that must not
// keep the reports of others waiting.
const (
	together        = 32 // reports at a time
	destinationTime = 10 * time.Second
	answerTime      = 12 * time.Hour // after the day; then those that have answered wait no longer for others
)

// A destination is where a report is to be sent. The error says that an answer of the DNS is missing.
type destination struct {
	to  []string
	err error
}

// deliverSome sends some reports, whose destinations are looked for at the same time. It returns how many could not be begun.
func (s *courier) deliverSome(ctx context.Context, lock *store.Sender, due []store.Pending, counts tally) (failed int, err error) {
	found := make([]destination, len(due))
	var asking sync.WaitGroup
	for i, p := range due {
		if p.ReportID == "" {
			asking.Go(func() { found[i].to, found[i].err = s.destinations(ctx, p) })
		}
	}
	asking.Wait()
	for i, p := range due {
		err := found[i].err // nothing is noted: the next run asks again
		if err == nil {
			err = s.deliver(ctx, lock, p, found[i].to, counts)
		}
		if errors.Is(err, store.ErrBusy) || ctx.Err() != nil {
			return failed, errors.Join(err, ctx.Err())
		}
		if err != nil {
			fmt.Fprintf(s.app.err, "warning: %s, %s: %v\n", p.Domain, p.Period.Begin.UTC().Format(time.DateOnly), err)
			failed++
		}
	}
	return failed, nil
}

// deliver sends one report to each address that it is for: those that were noted when it was first tried, else to.
func (s *courier) deliver(ctx context.Context, lock *store.Sender, p store.Pending, to []string, counts tally) error {
	r := store.Report{Domain: p.Domain, Period: p.Period, ID: p.ReportID}
	if r.ID == "" {
		r.ID, r.Addresses = report.NewID(s.config.Verify.DMARC.Reports.Domain(), p.Domain, p.Period, s.node), to
	}
	all, err := lock.Seal(ctx, r)
	if err != nil {
		return err
	}
	var problems []error
	for _, d := range all {
		if d.State != store.Waiting {
			continue
		}
		state, err := s.attempt(ctx, lock, d, p)
		if state != "" {
			counts[state]++
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// destinations returns the addresses that a report is for: those that the record names, that have agreed, and that nobody has
// ruled out. The error says that an answer of the DNS is missing.
func (s *courier) destinations(ctx context.Context, p store.Pending) ([]string, error) {
	if excluded(s.config.Verify.DMARC.Reports.Exclude, p.Domain, "") {
		return nil, nil
	}
	budget := dns.Budget{Queries: s.config.Limits.DNSQueries, Time: min(s.config.Limits.DNSTime, destinationTime)}
	uris, err := dmarc.Destinations(ctx, dns.NewMemo(s.resolver, budget), p.Domain, p.Policy.URIs)
	if late := s.app.now().Sub(p.Period.End) > answerTime; err != nil && (!late || len(uris) == 0) {
		return nil, err
	}
	return slices.DeleteFunc(report.Addresses(uris), func(address string) bool {
		return excluded(s.config.Verify.DMARC.Reports.Exclude, p.Domain, address)
	}), nil
}

// excluded reports whether a list of addresses and domains rules out a report about a domain to an address.
func excluded(list []string, domain, address string) bool {
	host := strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
	return slices.ContainsFunc(list, func(entry string) bool {
		return strings.EqualFold(entry, address) || entry == domain || host != "" && (entry == host || strings.HasSuffix(host, "."+entry))
	})
}

// attempt hands one report over and notes what came of it. The state is "" if nothing was tried.
func (s *courier) attempt(ctx context.Context, lock *store.Sender, d store.Delivery, p store.Pending) (store.State, error) {
	d, err := lock.Begin(ctx, d)
	switch {
	case errors.Is(err, store.ErrNotDue), errors.Is(err, store.ErrFinal):
		return "", nil
	case errors.Is(err, store.ErrSuppressed):
		return store.Suppressed, nil
	case err != nil:
		return "", err
	}
	o := store.Outcome{State: store.Sent}
	if err := s.hand(ctx, d, p); err != nil {
		o = store.Outcome{State: store.Waiting, Error: err.Error()}
		if reply := (*textproto.Error)(nil); errors.As(err, &reply) && reply.Code >= 500 || errors.Is(err, errNoReport) {
			o.State = store.Failed
		}
		fmt.Fprintf(s.app.err, "warning: report about %s to %s: %v\n", d.Domain, shown(d.Address, 100), err)
	}
	return o.State, lock.Finish(context.WithoutCancel(ctx), d, o)
}

// errNoReport means that what was collected cannot be made a report; another attempt would not help.
var errNoReport = errors.New("no report can be made")

// hand makes the mails of a report for one address and gives them to the SMTP server.
func (s *courier) hand(ctx context.Context, d store.Delivery, p store.Pending) error {
	mails, err := s.compose(ctx, p, d.ReportID, d.Address)
	if err != nil {
		return err
	}
	for _, text := range mails {
		m := submit.Mail{From: s.config.Verify.DMARC.Reports.From, To: []string{d.Address}, Octets: bytes.NewReader(text)}
		if err := s.submit(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// compose makes the mails of a report for one address: one, unless the report is very large.
func (s *courier) compose(ctx context.Context, p store.Pending, id, address string) ([][]byte, error) {
	r := s.config.Verify.DMARC.Reports
	records, err := s.rows.Records(ctx, p.Domain, p.Period)
	if err != nil {
		return nil, err
	}
	parts, err := report.Split(report.Report{Policy: p.Policy, Records: records, Metadata: report.Metadata{
		OrgName: cmp.Or(r.Organization, r.Domain()), Email: r.From, ExtraContact: r.Contact, ID: id, Period: p.Period, Generator: "Assay " + versionText(),
	}}, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoReport, err)
	}
	var mails [][]byte
	for _, part := range parts {
		text, err := report.Compose(report.Mail{From: r.From, To: address, Date: s.app.now(), Receiver: r.Domain(), Report: part})
		if err == nil && s.key != nil {
			text, err = report.Sign(text, report.SignOptions{Domain: r.Domain(), Selector: r.Selector, Signer: s.key})
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoReport, err)
		}
		mails = append(mails, text)
	}
	return mails, nil
}

// rehearse writes the mails that would be sent into a directory.
func (s *courier) rehearse(ctx context.Context, before time.Time, dir string) error {
	due, err := s.rows.Pending(ctx, before)
	if err != nil {
		return err
	}
	written := 0
	for _, p := range due {
		to, err := s.destinations(ctx, p)
		if err != nil {
			fmt.Fprintf(s.app.err, "warning: %s: %v\n", p.Domain, err)
		}
		id := cmp.Or(p.ReportID, report.NewID(s.config.Verify.DMARC.Reports.Domain(), p.Domain, p.Period, s.node))
		for i, address := range to {
			mails, err := s.compose(ctx, p, id, address)
			if err != nil {
				return err
			}
			for j, text := range mails {
				name := filepath.Join(dir, fmt.Sprintf("%s!%s!%d.%d.eml", p.Domain, p.Period.Begin.UTC().Format(time.DateOnly), i+1, j+1))
				if err := os.WriteFile(name, text, 0o600); err != nil {
					return err
				}
				written++
			}
		}
	}
	fmt.Fprintf(s.app.out, "%s written to %s\n", plural(written, "mail"), dir)
	return nil
}
