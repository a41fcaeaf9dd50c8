package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"assay/cmd/internal/config"
	"assay/milter/quarantine"
	"assay/rules"
)

// quarantine returns the commands for quarantined mail.
func (a *app) quarantine() *cobra.Command {
	return group("quarantine", "Look at quarantined mail, release it, delete it",
		"Look at quarantined mail, release it, delete it. Where it is, quarantine.mode in the configuration says: with hold the\n"+
			"commands work on the queue of the MTA, which only root may read, with store on quarantine.dir, which the user that Assay runs\n"+
			"as may use, too. Who looks at a message, releases or deletes it is in audit.log in quarantine.dir before it happens, with the\n"+
			"reason that he gives.",
		a.quarantineList(), a.quarantineShow(), a.quarantineRelease(), a.quarantineDelete(), a.quarantineExpire(), a.quarantineCheck())
}

// A desk is where a person works on the quarantine.
type desk struct {
	app    *app
	config *config.Config
	store  *quarantine.Store // nil if nothing is stored on this host
	queue  quarantine.Queue  // nil unless mail is held in the queue of the MTA
}

// openDesk opens the quarantine of a configuration.
func (a *app) openDesk(path string) (*desk, error) {
	loaded, err := a.load(path)
	if err != nil {
		return nil, err
	}
	c := loaded.Config
	d := &desk{app: a, config: c}
	_, err = os.Stat(c.Quarantine.Dir)
	switch {
	case err == nil:
		d.store = quarantine.New(storeOptions(c, a.now))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("quarantine.dir: %w", err)
	}
	if c.Quarantine.Mode == config.QuarantineHold {
		queue, err := quarantine.FindQueue(c.Headers.Prefix, c.Quarantine.Sendmail)
		if err != nil && d.store == nil {
			return nil, err
		}
		d.queue = queue
	}
	return d, nil
}

// close closes what is open.
func (d *desk) close() {
	if d.store != nil {
		_ = d.store.Close()
	}
}

// errNothing says why there is nothing to work on.
func (d *desk) errNothing() error {
	if d.config.Quarantine.Mode == config.QuarantineMailbox {
		return fmt.Errorf("quarantined mail is in the mailbox %s (quarantine.mode: mailbox)", d.config.Quarantine.Mailbox)
	}
	return fmt.Errorf("there is no quarantine in %s: nothing has been stored yet", d.config.Quarantine.Dir)
}

// withDesk returns the work of a command on the quarantine.
func (a *app) withDesk(path *string, work func(ctx context.Context, d *desk, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		d, err := a.openDesk(*path)
		if err != nil {
			return err
		}
		defer d.close()
		return work(c.Context(), d, args)
	}
}

// listFlags are the flags of "quarantine list".
type listFlags struct {
	from, to, rule, text, class, since, until string
	limit                                     int
	originals, all, json                      bool
}

// quarantineList returns "quarantine list".
func (a *app) quarantineList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List quarantined mail, newest first",
		Long: "List quarantined mail, newest first. Filters add up. A sender or recipient is an address, or a domain with or without @.\n" +
			"Instants are days (2026-11-22), times (2026-11-22T08:00:00Z), or how long ago (2h, 7d).",
		Args: args(0, 0),
	}
	path := configFlag(c)
	var f listFlags
	c.Flags().StringVar(&f.from, "from", "", "of this `SENDER`, in From or in the envelope")
	c.Flags().StringVar(&f.to, "to", "", "for this `RECIPIENT`")
	c.Flags().StringVar(&f.rule, "rule", "", "caught by the rule `ID`")
	c.Flags().StringVar(&f.since, "since", "", "received at or after an `INSTANT`")
	c.Flags().StringVar(&f.until, "until", "", "received before an `INSTANT`")
	c.Flags().StringVar(&f.text, "text", "", "with `TEXT` in subject, reason, addresses, ids or client")
	c.Flags().StringVar(&f.class, "class", "", "of this `CLASS` of release: user, operator or never")
	c.Flags().IntVar(&f.limit, "limit", 100, "list at most `N`, 0 for all")
	c.Flags().BoolVar(&f.originals, "originals", false, "list originals of mail that was changed and delivered")
	c.Flags().BoolVar(&f.all, "all", false, "also list what was released and is still kept")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	offers(c, "class", string(rules.ReleaseUser), string(rules.ReleaseOperator), string(rules.ReleaseNever))
	c.RunE = a.withDesk(path, func(ctx context.Context, d *desk, _ []string) error { return d.list(ctx, f) })
	return c
}

// query makes the query of flags.
func (f listFlags) query(now time.Time) (q quarantine.Query, err error) {
	q = quarantine.Query{From: f.from, To: f.to, Rule: f.rule, Text: f.text, Class: rules.Release(f.class), Limit: f.limit, State: quarantine.Held}
	if f.originals {
		q.Kind = quarantine.Original
	}
	if f.all {
		q.State = ""
	}
	if q.Class != "" && !q.Class.Valid() {
		return q, usageError{fmt.Errorf("--class %q is not user, operator or never", f.class)}
	}
	if q.Since, err = instant(f.since, now); err != nil {
		return q, usageError{fmt.Errorf("--since %w", err)}
	}
	if q.Until, err = instant(f.until, now); err != nil {
		return q, usageError{fmt.Errorf("--until %w", err)}
	}
	return q, nil
}

// instant reads a day, a time, or how long ago something was.
func instant(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a day, nor a time, nor how long ago: write 2026-11-22, 2h or 7d", text)
}

// list prints entries.
func (d *desk) list(ctx context.Context, f listFlags) error {
	q, err := f.query(d.app.now())
	if err != nil {
		return err
	}
	var all []*quarantine.Entry
	if d.queue != nil && !f.originals {
		held, err := d.queue.Held(ctx)
		if err != nil {
			return err
		}
		for _, e := range held {
			d.classify(e)
			if q.Matches(e) {
				all = append(all, e)
			}
		}
	}
	if d.store != nil {
		stored, err := d.store.List(ctx, q)
		if err != nil {
			return err
		}
		all = append(all, stored...)
	}
	slices.SortStableFunc(all, func(a, b *quarantine.Entry) int { return b.Received.Compare(a.Received) })
	if d.queue == nil && d.store == nil {
		fmt.Fprintf(d.app.err, "assay: %v\n", d.errNothing())
	}
	if f.limit > 0 && len(all) > f.limit {
		all = all[:f.limit]
	}
	if f.json {
		if all == nil {
			all = []*quarantine.Entry{}
		}
		return encode(d.app.out, all)
	}
	return listText(d.app.out, all)
}

// classify gives an entry of a queue the class that it has.
func (d *desk) classify(e *quarantine.Entry) {
	if !e.Class.Valid() {
		e.Class = d.config.Quarantine.ReleaseClass
	}
}

// listText prints entries for people.
func listText(w io.Writer, all []*quarantine.Entry) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, e := range all {
		to := "-"
		if len(e.RcptTo) > 0 {
			to = e.RcptTo[0]
		}
		if n := len(e.RcptTo) - 1; n > 0 {
			to += fmt.Sprintf(" +%d", n)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Received.Local().Format("2006-01-02 15:04"), stateText(e), shown(sender(e), 40),
			shown(to, 40), shown(e.Subject, 60))
	}
	return t.Flush()
}

// stateText says who may release an entry, or that it was released.
func stateText(e *quarantine.Entry) string {
	switch {
	case e.Kind == quarantine.Original:
		return "original"
	case e.State == quarantine.Released:
		return "released"
	}
	return string(e.Class)
}

// sender returns the author, or who stands in the envelope.
func sender(e *quarantine.Entry) string {
	if e.Author != "" {
		return e.Author
	}
	return "<" + e.MailFrom + ">"
}

// shown returns text that a message chose, on one line and without what would control a terminal.
func shown(text string, most int) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(text), " ")))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}

// showFlags are the flags of "quarantine show".
type showFlags struct {
	headers, raw, json, original bool
}

// quarantineShow returns "quarantine show".
func (a *app) quarantineShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show a quarantined message",
		Long: "Show what is known about a quarantined message: envelope, reason, rules. With --original the argument is the hash that\n" +
			"X-Assay-Result of a changed message has as original=, of which 12 digits are enough. Reading a whole message is written to\n" +
			"the audit log.",
		Args: args(1, 1),
	}
	path := configFlag(c)
	var f showFlags
	c.Flags().BoolVar(&f.headers, "headers", false, "print the header of the message")
	c.Flags().BoolVar(&f.raw, "raw", false, "print the message, octet for octet as it was received")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.Flags().BoolVar(&f.original, "original", false, "the argument is the hash of an original")
	c.RunE = a.withDesk(path, func(ctx context.Context, d *desk, args []string) error {
		if f.headers && f.raw || f.json && (f.headers || f.raw) {
			return usageError{errors.New("--headers, --raw and --json exclude each other")}
		}
		return d.show(ctx, args[0], f)
	})
	return c
}

// show prints one entry.
func (d *desk) show(ctx context.Context, id string, f showFlags) error {
	if d.queue != nil && !f.original && !quarantine.ValidID(id) {
		return d.showHeld(ctx, id, f)
	}
	if d.store == nil {
		return d.errNothing()
	}
	if f.original {
		e, err := d.store.FindOriginal(ctx, id)
		if err != nil {
			return err
		}
		id = e.ID
	}
	e, content, err := d.store.Message(id)
	if err != nil {
		return err
	}
	defer content.Close()
	if indexed, err := d.store.Find(ctx, id); err == nil {
		e.State = indexed.State
	}
	switch {
	case f.json:
		return encode(d.app.out, e)
	case !f.raw && !f.headers:
		return showText(d.app.out, e)
	}
	if err := content.Verify(e); err != nil {
		return err
	}
	if err := d.store.Log(quarantine.Audit{Action: quarantine.ActionShow, ID: id, Who: d.app.person()}); err != nil {
		return err
	}
	if f.headers {
		return copyHeader(d.app.out, content)
	}
	_, err = io.Copy(d.app.out, content)
	return err
}

// copyHeader copies a message up to its empty line.
func copyHeader(w io.Writer, r io.Reader) error {
	window := make([]byte, 4096)
	var last string
	for {
		n, err := r.Read(window)
		text := last + string(window[:n])
		if before, _, found := strings.Cut(text, "\r\n\r\n"); found {
			_, err := io.WriteString(w, before[len(last):]+"\r\n")
			return err
		}
		if _, err := w.Write(window[:n]); err != nil {
			return err
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		last = text[max(0, len(text)-3):]
	}
}

// showHeld prints a message in the queue of the MTA.
func (d *desk) showHeld(ctx context.Context, id string, f showFlags) error {
	e, err := d.held(ctx, id)
	switch {
	case err != nil:
		return err
	case f.json:
		return encode(d.app.out, e)
	case !f.raw && !f.headers:
		return showText(d.app.out, e)
	}
	if err := d.note(quarantine.Audit{Action: quarantine.ActionShow, ID: id, Who: d.app.person()}); err != nil {
		return err
	}
	if f.headers {
		return d.queue.Header(ctx, id, d.app.out)
	}
	return d.queue.Message(ctx, id, d.app.out)
}

// held returns a message in the queue of the MTA that Assay has held. No other one is touched.
func (d *desk) held(ctx context.Context, id string) (*quarantine.Entry, error) {
	all, err := d.queue.Held(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if e.ID == id {
			d.classify(e)
			return e, nil
		}
	}
	return nil, fmt.Errorf("%w: %s is not a message that Assay has held", quarantine.ErrNotFound, shown(id, 40))
}

// showText prints an entry for people.
func showText(w io.Writer, e *quarantine.Entry) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", key, shown(value, 2000))
		}
	}
	line("id", e.ID)
	line("received", e.Received.Local().Format(time.RFC3339))
	line("queue id", e.QueueID)
	line("client", strings.TrimSpace(e.Client+" "+e.ClientName))
	line("helo", e.Helo)
	line("user", e.AuthUser)
	line("from", "<"+e.MailFrom+">")
	for _, r := range e.RcptTo {
		line("to", "<"+r+">")
	}
	line("author", e.Author)
	line("subject", e.Subject)
	line("message-id", e.MessageID)
	line("reason", e.Reason)
	line("rules", strings.Join(e.Rules, " "))
	line("release", stateText(e))
	line("size", strconv.FormatInt(e.Size, 10))
	line("sha256", e.SHA256)
	return t.Flush()
}

// person returns who works: the user behind sudo(8), or the one of the process.
func (a *app) person() string {
	if name := a.getenv("SUDO_USER"); name != "" && os.Geteuid() == 0 {
		return shown(name, 64)
	}
	uid := strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "uid " + uid
}

// requireReason refuses what nobody gives a reason for.
func requireReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return usageError{errors.New("--reason is missing: it is written to the audit log")}
	}
	return nil
}

// quarantineDelete returns "quarantine delete".
func (a *app) quarantineDelete() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete ID...",
		Short: "Delete quarantined mail for good",
		Args:  args(1, 1000),
	}
	path := configFlag(c)
	reason := c.Flags().String("reason", "", "`TEXT` for the audit log (required)")
	c.RunE = a.withDesk(path, func(ctx context.Context, d *desk, ids []string) error {
		if err := requireReason(*reason); err != nil {
			return err
		}
		return d.each(ids, func(id string) error {
			if err := d.delete(ctx, id, *reason); err != nil {
				return err
			}
			fmt.Fprintf(d.app.out, "%s deleted\n", id)
			return nil
		})
	})
	return c
}

// each does something with every id, and returns what went wrong.
func (d *desk) each(ids []string, do func(id string) error) error {
	var errs []error
	for _, id := range ids {
		if err := do(id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// delete deletes one message.
func (d *desk) delete(ctx context.Context, id, reason string) error {
	if d.queue == nil || quarantine.ValidID(id) {
		if d.store == nil {
			return d.errNothing()
		}
		return d.store.Delete(ctx, id, d.app.person(), reason)
	}
	if _, err := d.held(ctx, id); err != nil {
		return err
	}
	if err := d.note(quarantine.Audit{Action: quarantine.ActionDelete, ID: id, Who: d.app.person(), Reason: reason}); err != nil {
		return err
	}
	return d.queue.Delete(ctx, id)
}

// note writes a line about a message in the queue of the MTA to the audit log, which is made if it is missing.
func (d *desk) note(line quarantine.Audit) error {
	if d.store == nil {
		opt := storeOptions(d.config, d.app.now)
		opt.Create = true
		d.store = quarantine.New(opt)
	}
	return d.store.Log(line)
}

// quarantineExpire returns "quarantine expire".
func (a *app) quarantineExpire() *cobra.Command {
	c := &cobra.Command{
		Use:   "expire",
		Short: "Delete stored mail that is older than the configuration says",
		Long: "Delete stored mail that is older than quarantine.retention, originals that are older than quarantine.originals, and lines of\n" +
			"audit.log that are older than quarantine.audit. A timer of systemd does it every hour.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	c.RunE = a.withDesk(path, func(ctx context.Context, d *desk, _ []string) error {
		if d.store == nil {
			return nil // nothing was ever stored
		}
		n, err := d.store.Expire(ctx, retention(d.config))
		if n > 0 || err == nil {
			fmt.Fprintf(d.app.out, "%s deleted\n", plural(n, "message"))
		}
		return err
	})
	return c
}

// quarantineCheck returns "quarantine check".
func (a *app) quarantineCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Compare stored mail with its hashes and with the index",
		Long: "Read every stored message, compare it with its hash, and put the index right where it differs from the files. With --rebuild\n" +
			"the index is made again from the files; the old one stays beside it. Assay may be running. Exit code 1 says that\n" +
			"files are damaged.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	rebuild := c.Flags().Bool("rebuild", false, "make the index again")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = a.withDesk(path, func(ctx context.Context, d *desk, _ []string) error {
		if d.store == nil {
			return d.errNothing()
		}
		work := func(ctx context.Context) (quarantine.Repair, error) { return d.store.Check(ctx, true) }
		if *rebuild {
			work = d.store.Rebuild
		}
		r, err := work(ctx)
		if err != nil {
			return err
		}
		return d.report(r, *asJSON)
	})
	return c
}

// report prints what a check has found.
func (d *desk) report(r quarantine.Repair, asJSON bool) error {
	if asJSON {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(d.app.out, "%s\n", text)
	} else {
		fmt.Fprintf(d.app.out, "%s in the index, %d added, %d without a file removed, %d unfinished removed, %d damaged\n", plural(r.Entries, "message"),
			len(r.Adopted), len(r.Lost), r.Swept, len(r.Damaged))
	}
	if len(r.Damaged) > 0 {
		return fmt.Errorf("damaged: %s", strings.Join(r.Damaged, " "))
	}
	return nil
}
