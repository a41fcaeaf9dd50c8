package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"assay/cmd/internal/config"
	"assay/cmd/internal/health"
	"assay/cmd/internal/logline"
	"assay/cmd/internal/pseudonym"
	"assay/scan/worker"
	"assay/verify/dns"
)

// heartbeat is how often the daemon goes through what every message goes through.
const heartbeat = time.Second

// startWait is how long the start waits for the first answers about the daemon's health, so that it is not said to be unready
// for a moment after every start.
const startWait = time.Second

// A counter counts the messages in a quarantine. It is called every few seconds, from one goroutine.
type counter interface {
	Count(ctx context.Context) (int, error)
}

// newMonitor returns the checks of the daemon's own state.
func (d *daemon) newMonitor() *health.Monitor {
	return health.New([]health.Check{
		{Name: health.Draining, Run: d.checkDraining, Instant: true},
		{Name: "rules", Run: d.checkRules, Instant: true},
		{Name: "dns", Run: d.checkDNS},
		{Name: "disk", Run: d.checkDisk},
		{Name: "virus", Run: d.checkScanners, Instant: true},
		{Name: "quarantine", Run: d.checkQuarantine},
	}, health.Options{Now: d.app.now, Observe: d.observeHealth})
}

// observeHealth hears of every round of checks.
func (d *daemon) observeHealth(r health.Report, changed []health.Result) {
	checks := make(map[string]bool, len(r.Checks))
	for _, c := range r.Checks {
		checks[c.Name] = c.OK
	}
	d.metrics.ObserveHealth(checks, r.Ready)
	for _, c := range changed {
		switch {
		case c.Name == health.Draining: // which has a line of its own
		case c.OK:
			d.log.Info("health check succeeds", "check", c.Name, "state", c.Detail)
		default:
			d.log.Warn("health check fails", "check", c.Name, "reason", c.Detail)
		}
	}
	if group := d.current.Load().files.virus; group != nil {
		up := map[string]bool{}
		for _, s := range group.Status() {
			up[s.Name] = s.Up
		}
		d.metrics.VirusScanners(up)
	} else {
		d.metrics.VirusScanners(nil)
	}
	d.refreshNames()
}

// checkDraining fails while new messages are refused.
func (d *daemon) checkDraining(context.Context) (string, error) {
	switch {
	case d.stop.Load():
		return "", errors.New("the daemon is stopping: new messages are answered 451")
	case d.drained.Load():
		return "", errors.New("assay ctl drain: new messages are answered 451")
	}
	return "new messages are taken", nil
}

// checkRules fails while other rules decide than the files say.
func (d *daemon) checkRules(context.Context) (string, error) {
	active := d.rules.Current()
	if active.Fallback {
		return "", fmt.Errorf("fallback: the rule files cannot be used, the last good rules %.12s are in force", active.SHA)
	}
	return fmt.Sprintf("%.12s in force", active.SHA), nil
}

// checkDNS asks the servers for the name of the loopback address, which resolvers answer by themselves (RFC 6303). It fails
// when none answers.
func (d *daemon) checkDNS(ctx context.Context) (string, error) {
	began := d.app.now()
	_, err := d.current.Load().resolver.probe.LookupPTR(ctx, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil && !errors.Is(err, dns.ErrNotFound) {
		return "", fmt.Errorf("no DNS server answers: %w", err)
	}
	return fmt.Sprintf("answered in %d ms", d.app.now().Sub(began).Milliseconds()), nil
}

// probeTime is how long a DNS server has to answer the check.
const probeTime = 4 * time.Second

// withProbe adds what checks the servers: a client without a cache, whose questions are not counted.
func (r resolver) withProbe(c config.Resolver) (resolver, error) {
	probe, err := dns.NewClient(dns.ClientOptions{Servers: c.Servers, Timeout: min(c.Timeout, probeTime), Retry: min(c.Retry, probeTime/4)})
	if err != nil {
		return r, err
	}
	r.probe, r.closers = probe, append(r.closers, probe)
	return r, nil
}

// A writable is a directory that the daemon writes to, and the key of the configuration that names it.
type writable struct{ key, path string }

// writables returns the directories that the daemon writes to.
func writables(c *config.Config) []writable {
	all := []writable{{"TMPDIR", os.TempDir()}, {"rules.state", c.Rules.State}}
	if c.Log.Privacy == config.PrivacyDomainOnly && c.Log.PseudonymKey != "" {
		all = append(all, writable{"log.pseudonym_key", filepath.Dir(c.Log.PseudonymKey)})
	}
	if s := c.Verify.SMIME; s.Fetch && s.Cache != "" {
		all = append(all, writable{"verify.smime.cache", s.Cache})
	}
	if c.Quarantine.Stores() {
		all = append(all, writable{"quarantine.dir", c.Quarantine.Dir})
	}
	if dir := c.Verify.SMIME.Harvest; dir != "" {
		all = append(all, writable{"verify.smime.harvest", dir})
	}
	return all
}

// checkDisk fails when a directory cannot be written to or its file system is nearly full.
func (d *daemon) checkDisk(context.Context) (string, error) {
	c := d.current.Load().config
	var least int64
	var errs []error
	for i, w := range writables(c) {
		free, err := health.Disk(w.path, c.Health.MinFree)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", w.key, err))
		}
		if i == 0 || free < least {
			least = free
		}
		d.metrics.DiskFree(w.key, free)
	}
	return fmt.Sprintf("at least %d MiB free", least>>20), errors.Join(errs...)
}

// checkScanners fails while no virus scanner answers.
func (d *daemon) checkScanners(context.Context) (string, error) {
	g := d.current.Load()
	if g.files.virus == nil {
		return "none is configured", nil
	}
	if err := g.files.down(); err != nil {
		return "", err
	}
	state, odd := "all answer", []string(nil)
	for _, s := range g.files.virus.Status() {
		switch {
		case !s.Up:
			state = "one answers"
			odd = append(odd, s.Name+": "+s.Error)
		case s.Unanswered > 0:
			odd = append(odd, fmt.Sprintf("%s: nothing about %s in a row: %s", s.Name, plural(s.Unanswered, "content"), s.Error))
		}
	}
	return strings.Join(append([]string{state}, odd...), "; "), nil
}

// checkQuarantine fails when the quarantine cannot be asked.
func (d *daemon) checkQuarantine(ctx context.Context) (string, error) {
	held := d.quarantined()
	if held == nil {
		return "none is kept by Assay", nil
	}
	n, err := held.Count(ctx)
	if err != nil {
		return "", err
	}
	d.metrics.Quarantine(n)
	return plural(n, "message"), nil
}

// quarantined returns the quarantine in use, nil for none.
func (d *daemon) quarantined() counter {
	if s := d.current.Load().store; s != nil {
		return s
	}
	return nil
}

// scannerIdle is how long a virus scanner may be unasked by messages before it is asked how it is, and scannerPause how often
// one that has failed is.
const (
	scannerIdle  = time.Minute
	scannerPause = 10 * time.Second
)

// watchScanners asks virus scanners how they are, when one has failed or been too slow, or no message has asked for a while: mail
// that waits for them may come only when they are back, and one that is slow about a message may not be about others. A busy
// scanner is left alone; its answers say how it is.
func (g *generation) watchScanners(ctx context.Context, asked *atomic.Bool) {
	ticker := time.NewTicker(scannerPause)
	defer ticker.Stop()
	for idle := time.Duration(0); ; idle += scannerPause {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if asked.Swap(false) {
			idle = 0
		}
		failed := false
		for _, s := range g.files.virus.Status() {
			failed = failed || !s.Up || s.Unanswered > 0
		}
		if !failed && idle < scannerIdle {
			continue
		}
		idle = 0
		ctx, cancel := context.WithTimeout(ctx, g.config.Scan.Virus.Timeout)
		_ = g.files.virus.Check(ctx, 0) // the status says what came of it
		cancel()
	}
}

// newHeart returns what beats while messages can go through the daemon: the locks that each of them takes.
func (d *daemon) newHeart() *health.Heart {
	return health.NewHeart(heartbeat, d.app.now, func() {
		d.swap.RLock()
		_ = d.current.Load()
		d.swap.RUnlock()
		d.server.Load()
	})
}

// watchState runs what watches the daemon until ctx ends, and returns when it knows how things are, or soon.
func (d *daemon) watchState(ctx context.Context) (ended func()) {
	var running sync.WaitGroup
	running.Go(func() { d.monitor.Run(ctx) })
	go d.heart.Run(ctx) // not waited for: it may be stuck
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	select {
	case <-d.monitor.First():
	case <-timer.C:
	case <-ctx.Done():
	}
	return running.Wait
}

// pages returns what listens at listen.metrics.
func (d *daemon) pages() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.metrics.Page())
	health.Pages(mux, d.monitor.Report, d.heart.Alive)
	return mux
}

// pet tells the service manager's watchdog that the daemon makes progress, if it does.
func (d *daemon) pet() {
	if err := d.heart.Alive(); err != nil {
		d.log.Error("the daemon is stuck, the service manager is going to restart it", "reason", err)
		return
	}
	d.notify.send("WATCHDOG=1")
}

// drain makes the daemon refuse new messages with 451, or take them again. What is in work is finished; the listeners stay
// open, because what an MTA does without a filter is for its configuration to say, and may be to deliver unchecked.
func (d *daemon) drain(on bool, who string) {
	d.server.Pause(on)
	changed := d.drained.Swap(on) != on
	d.metrics.Draining(on)
	switch {
	case !changed:
	case on:
		d.log.Warn("draining: new messages are answered 451, those in work are finished", "who", who)
		d.notify.send("STATUS=draining")
	default:
		d.log.Info("new messages are taken again", "who", who)
		d.notify.send("STATUS=serving")
	}
}

// newNames returns the pseudonyms of a configuration: those of the last one if the key is the same, nil if the privacy level
// shows none.
func (d *daemon) newNames(c *config.Config, last *generation) *pseudonym.Namer {
	if c.Log.Privacy != config.PrivacyDomainOnly {
		return nil
	}
	if last != nil && last.names != nil && !changed(last.config, c, "log.pseudonym_") {
		return last.names
	}
	names, err := pseudonym.Open(pseudonym.Options{Path: c.Log.PseudonymKey, Rotation: c.Log.PseudonymRotation, Now: d.app.now})
	if err != nil {
		d.log.Warn("the key of pseudonyms cannot be kept: those in the log change with every restart", "reason", err)
	}
	return names
}

// refreshNames replaces the key of pseudonyms when its time has come.
func (d *daemon) refreshNames() {
	names := d.current.Load().names
	if names == nil {
		return
	}
	kept := names.Kept()
	changed, err := names.Refresh()
	switch {
	case err != nil && kept:
		d.log.Warn("the key of pseudonyms cannot be kept: those in the log change with every restart", "reason", err)
	case changed:
		d.log.Info("pseudonyms have a new key, those before are anonymous", "created", names.Created())
	}
}

// view is how much of a message the log shows.
func (g *generation) view() logline.View {
	v := logline.View{Privacy: g.config.Log.Privacy}
	if g.names != nil {
		v.Names = g.names
	}
	return v
}

// newLogger returns the logger of a configuration. Standard error that is the journal gets no time, and the journal fields if
// the configuration asks for that.
func (a *app) newLogger(c config.Log) *slog.Logger {
	opt := logline.Options{Format: c.Format, Level: c.Level, NoTime: isJournal(a.err, a.getenv)}
	if opt.NoTime && c.Format == config.Journal {
		opt.Journal = a.journal
	}
	return logline.New(a.err, opt)
}

// A census counts what became of workers.
type census struct {
	mu     sync.Mutex
	counts map[worker.Change]int
}

// add counts one change.
func (c *census) add(change worker.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[worker.Change]int{}
	}
	c.counts[change]++
}

// of returns how often a change happened.
func (c *census) of(change worker.Change) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[change]
}
