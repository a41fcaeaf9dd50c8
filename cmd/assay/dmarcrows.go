package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"assay/cmd/internal/config"
	"assay/cmd/internal/health"
	"assay/milter/filter"
	"assay/milter/plan"
	"assay/milter/store"
	"assay/rules"
	"assay/verify/dmarc/report"
)

// rowsFile is the file in verify.dmarc.reports.dir.
const rowsFile = "reports.db"

// rowOptions returns the options of the store of a configuration.
func rowOptions(c *config.Config, now func() time.Time) store.Options {
	r := c.Verify.DMARC.Reports
	return store.Options{Path: filepath.Join(r.Dir, rowsFile), Retention: r.Retention, Now: now}
}

// sameRows reports whether two configurations have the same store of rows.
func sameRows(a, b *config.Config) bool {
	for _, key := range []string{"send", "dir", "retention"} {
		if changed(a, b, "verify.dmarc.reports."+key) {
			return false
		}
	}
	return true
}

// collect gives a generation its store of rows.
func (d *daemon) collect(g, last *generation) (err error) {
	if last != nil && sameRows(last.config, g.config) {
		g.rows = last.rows
		return nil
	}
	g.rows, err = d.newRows(g.config)
	return err
}

// newRows returns the store of rows of a configuration, nil if no reports are sent. Mail does not depend on it: what it cannot
// take is missing in reports, and the log says so.
func (d *daemon) newRows(c *config.Config) (*store.Store, error) {
	if !c.Verify.DMARC.Reports.Send {
		return nil, nil
	}
	opt := rowOptions(c, d.app.now)
	opt.Observe = func(err error) {
		if err != nil {
			d.log.Error("results for DMARC reports cannot be written", "directory", c.Verify.DMARC.Reports.Dir, "reason", firstLine(err.Error()))
			return
		}
		d.log.Info("results for DMARC reports are written again", "directory", c.Verify.DMARC.Reports.Dir)
	}
	if err := os.MkdirAll(c.Verify.DMARC.Reports.Dir, 0o700); err != nil {
		d.log.Error("results for DMARC reports cannot be kept", "directory", c.Verify.DMARC.Reports.Dir, "reason", err)
	}
	return store.Open(context.Background(), opt)
}

// count adds a message to the reports, if the owner of its domain asks for one. Mail that was deferred comes again. Mail to the
// address that reports come from is what they set off; reporting about it could go on for ever.
func (g *generation) count(out *filter.Outcome) {
	unfinished := out.Aborted || out.Refused || out.Failure != "" || out.Plan.Verdict == plan.TempFail
	if g.rows == nil || unfinished || out.Released != "" || out.Results.Skipped != "" || g.answersReport(out) {
		return
	}
	row, ok := report.NewRow(report.Input{ClientIP: out.Envelope.ClientIP, MailFrom: out.Envelope.MailFrom, Evaluation: out.Results.DMARC,
		SPF: out.Results.SPF, DKIM: out.Results.DKIM, Disposition: becauseOfDMARC(out.Decision)})
	if ok {
		g.rows.Add(out.Envelope.ReceivedAt, row)
	}
}

// answersReport reports whether a message goes to the address that reports come from, or is a report of this host.
func (g *generation) answersReport(out *filter.Outcome) bool {
	own := g.config.Verify.DMARC.Reports.From
	return strings.EqualFold(out.Envelope.MailFrom, own) && out.Envelope.ClientIP.Unmap().IsLoopback() || slices.ContainsFunc(out.Envelope.RcptTo, func(to string) bool { return strings.EqualFold(to, own) })
}

// becauseOfDMARC returns what was done with a message by a rule about DMARC: one with dmarc in its id.
func becauseOfDMARC(d rules.Decision) report.Disposition {
	about := slices.ContainsFunc(d.Rules, func(m rules.Match) bool {
		return m.Enforced && m.Asked == d.Disposition && strings.Contains(m.ID, "dmarc")
	})
	switch {
	case about && d.Disposition == rules.Reject:
		return report.Reject
	case about && (d.Disposition == rules.Quarantine || d.Disposition == rules.Junk):
		return report.Quarantine
	}
	return report.None
}

// rowsEvery is how often the daemon looks at what became of reports, which another process sends.
const rowsEvery = time.Minute

// watchRows keeps the figures of reports up to date until ctx ends.
func (d *daemon) watchRows(ctx context.Context, g *generation) {
	ticker := time.NewTicker(rowsEvery)
	defer ticker.Stop()
	var last map[store.State]int64
	lost := map[store.Cause]int64{}
	for {
		for cause, n := range g.rows.Stats().Dropped {
			d.metrics.RowsDropped(string(cause), n-lost[cause])
			lost[cause] = n
		}
		free, _ := health.Disk(g.config.Verify.DMARC.Reports.Dir, 0) // what cannot be written is in the log
		d.metrics.DiskFree("verify.dmarc.reports.dir", free)
		if now, err := g.rows.Status(ctx); err == nil {
			for _, state := range reportStates() {
				if n := now.Deliveries[state] - last[state]; last != nil && n > 0 {
					d.metrics.ReportsSent(string(state), n)
				}
			}
			last = now.Deliveries
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// reportStates are the ends of a report.
func reportStates() []store.State {
	return []store.State{store.Sent, store.Failed, store.Suppressed, store.Refused, store.Expired}
}
