package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"assay/cmd/internal/config"
	"assay/milter/store"
)

// dmarc returns the commands for DMARC aggregate reports.
func (a *app) dmarc() *cobra.Command {
	return group("dmarc", "Send DMARC aggregate reports, and say what became of them",
		"Send DMARC aggregate reports (RFC 9990) about mail that the daemon has seen, and say what became of them. They are off until\n"+
			"verify.dmarc.reports.send in the configuration is true. Only root and the user that Assay runs as may do so.",
		a.dmarcSend(), a.dmarcStatus(), a.dmarcSuppress(), a.dmarcUnsuppress(), a.dmarcExpire())
}

// A bureau is where reports are made.
type bureau struct {
	app    *app
	config *config.Config
	rows   *store.Store
}

// errNoRows means that there is nothing to report about.
var errNoRows = errors.New("nothing has been collected yet")

// openBureau opens the store of a configuration. Where nothing was collected, the error is errNoRows.
func (a *app) openBureau(ctx context.Context, c *config.Config) (*bureau, error) {
	opt := rowOptions(c, a.now)
	opt.Existing = true
	if _, err := os.Stat(opt.Path); errors.Is(err, fs.ErrNotExist) {
		return nil, errNoRows
	}
	rows, err := store.Open(ctx, opt)
	if err != nil {
		return nil, err
	}
	return &bureau{app: a, config: c, rows: rows}, nil
}

// withBureau returns the work of a command on the store. Where nothing was collected there is no work, which is said.
func (a *app) withBureau(path *string, work func(ctx context.Context, b *bureau, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		b, err := a.openBureau(c.Context(), loaded.Config)
		if errors.Is(err, errNoRows) {
			fmt.Fprintf(a.err, "assay: %v in %s%s\n", err, loaded.Config.Verify.DMARC.Reports.Dir, unlessSent(loaded.Config))
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.rows.Close()) }()
		return work(c.Context(), b, args)
	}
}

// unlessSent says why nothing can be there, if that is so.
func unlessSent(c *config.Config) string {
	if c.Verify.DMARC.Reports.Send {
		return ""
	}
	return ": verify.dmarc.reports.send is false"
}

// dmarcStatus returns "dmarc status".
func (a *app) dmarcStatus() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Say what was collected, and what became of reports",
		Long: "Say how much was collected by day, which reports wait, what became of the last ones and why, and where no reports go.\n" +
			"Days are those of UTC.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	limit := c.Flags().Int("limit", 20, "list at most `N` reports, 0 for none")
	c.RunE = a.withBureau(path, func(ctx context.Context, b *bureau, _ []string) error {
		s, err := b.status(ctx, *limit)
		if err != nil {
			return err
		}
		if *asJSON {
			return encode(a.out, s)
		}
		return s.print(a)
	})
	return c
}

// A reportStatus is what "dmarc status" says.
type reportStatus struct {
	Send bool `json:"send"` // whether reports are sent, by the configuration
	store.Status
	Reports      []store.Delivery    `json:"reports"` // the last ones, newest first
	Suppressions []store.Suppression `json:"suppressions"`
	Excluded     []string            `json:"excluded"` // by the configuration
}

// status asks the store.
func (b *bureau) status(ctx context.Context, limit int) (reportStatus, error) {
	r := b.config.Verify.DMARC.Reports
	s := reportStatus{Send: r.Send, Excluded: r.Exclude}
	var err error
	if s.Status, err = b.rows.Status(ctx); err != nil {
		return reportStatus{}, err
	}
	if limit > 0 {
		if s.Reports, err = b.rows.Deliveries(ctx, "", limit); err != nil {
			return reportStatus{}, err
		}
	}
	s.Suppressions, err = b.rows.Suppressions(ctx)
	return s, err
}

// print writes a status for people.
func (s reportStatus) print(a *app) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	if !s.Send {
		fmt.Fprintln(w, "Reports are not sent: verify.dmarc.reports.send is false.")
	}
	fmt.Fprintf(w, "waiting\t%s\n", plural(int(s.Pending), "report"))
	fmt.Fprintf(w, "on the disk\t%s, %.1f MiB\n", plural(int(s.Rows), "row"), float64(s.Bytes)/(1<<20))
	if s.Sender != "" {
		fmt.Fprintf(w, "sending now\t%s\n", s.Sender)
	}
	for _, cause := range []store.Cause{store.CauseMemory, store.CauseRows, store.CauseBytes, store.CauseLate, store.CauseInvalid, store.CauseClosed} {
		if n := s.Dropped[cause]; n > 0 {
			fmt.Fprintf(w, "not counted (%s)\t%s\n", cause, plural(int(n), "message"))
		}
	}
	for _, d := range s.Days {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.Period.Begin.UTC().Format(time.DateOnly), plural(int(d.Messages), "message"), plural(int(d.Domains), "domain"),
			plural(int(d.Rows), "row"))
	}
	if len(s.Reports) > 0 {
		fmt.Fprintln(w, "\nDAY\tDOMAIN\tTO\tSTATE\tTRIES\tWHY")
	}
	for _, d := range s.Reports {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", d.Period.Begin.UTC().Format(time.DateOnly), shown(d.Domain, 60), shown(d.Address, 60), d.State, d.Attempts, shown(d.Error, 100))
	}
	if len(s.Suppressions)+len(s.Excluded) > 0 {
		fmt.Fprintln(w, "\nNO REPORTS TO\tWHY")
	}
	for _, sup := range s.Suppressions {
		fmt.Fprintf(w, "%s\t%s (%s)\n", shown(sup.Pattern, 60), shown(sup.Reason, 100), sup.Added.UTC().Format(time.DateOnly))
	}
	for _, pattern := range s.Excluded {
		fmt.Fprintf(w, "%s\tverify.dmarc.reports.exclude\n", shown(pattern, 60))
	}
	return w.Flush()
}

// dmarcSuppress returns "dmarc suppress".
func (a *app) dmarcSuppress() *cobra.Command {
	c := &cobra.Command{
		Use:   "suppress ADDRESS|DOMAIN",
		Short: "Send no more reports to an address or a domain, or about it",
		Long: "Send no more reports to an address, to the addresses of a domain, or about it. *.DOMAIN means everything below. It holds until\n" +
			"assay dmarc unsuppress. verify.dmarc.reports.exclude does the same in the configuration.",
		Args: args(1, 1),
	}
	path := configFlag(c)
	reason := c.Flags().String("reason", "", "`REASON`, for whoever finds it later (required)")
	c.RunE = a.withBureau(path, func(ctx context.Context, b *bureau, args []string) error {
		if *reason == "" {
			return usageError{errors.New("--reason is missing")}
		}
		return b.rows.Suppress(ctx, args[0], *reason)
	})
	return c
}

// dmarcUnsuppress returns "dmarc unsuppress".
func (a *app) dmarcUnsuppress() *cobra.Command {
	c := &cobra.Command{
		Use:   "unsuppress ADDRESS|DOMAIN",
		Short: "Send reports again where assay dmarc suppress ended them",
		Args:  args(1, 1),
	}
	path := configFlag(c)
	c.RunE = a.withBureau(path, func(ctx context.Context, b *bureau, args []string) error { return b.rows.Unsuppress(ctx, args[0]) })
	return c
}

// dmarcExpire returns "dmarc expire".
func (a *app) dmarcExpire() *cobra.Command {
	c := &cobra.Command{
		Use:   "expire",
		Short: "Delete results that are older than the configuration says",
		Long: "Delete results that are older than verify.dmarc.reports.retention, whether their report was sent or not. A timer of systemd\n" +
			"does it every hour.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		b, err := a.openBureau(c.Context(), loaded.Config)
		if errors.Is(err, errNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		removed, err := b.rows.Expire(c.Context(), a.now())
		if err == nil {
			fmt.Fprintf(a.out, "%s deleted, %s given up\n", plural(int(removed.Rows), "row"), plural(int(removed.Expired), "report"))
		}
		return errors.Join(err, b.rows.Close())
	}
	return c
}
