package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"assay/cmd/internal/config"
	"assay/cmd/internal/metrics"
	"assay/milter/control"
	"assay/milter/filter"
	"assay/milter/notify"
	"assay/rules"
	"assay/scan/virus"
	"assay/scan/worker"
	"assay/verify/smime"
	"assay/verify/smime/pki"
)

// startRules puts the rules into force for the first time. With broken rule files the last good ones are used, if there are
// any.
func (d *daemon) startRules() error {
	result, err := d.rules.Start(context.Background(), "start")
	d.observeRules(err)
	if err != nil {
		d.logProblems(err)
		return fmt.Errorf("there are no rules to decide by: %w", err)
	}
	if result.Fallback {
		d.logProblems(result.Problems.Err())
		d.log.Error("the rule files cannot be used, the last good rules are in force", "rule_set", result.SHA,
			"reason", firstLine(d.rules.Status().Failed))
	}
	for _, p := range d.rules.Current().Warnings {
		d.log.Warn("rules warning", "file", p.File, "line", p.Line, "warning", p.Message)
	}
	for _, w := range result.Warnings {
		d.log.Warn("rules warning", "warning", w)
	}
	return nil
}

// observeRules keeps the metrics about rules up to date.
func (d *daemon) observeRules(err error) {
	d.metrics.RulesReloaded(err)
	if active := d.rules.Current(); active != nil {
		d.metrics.ObserveRules(metrics.RuleSet{SHA: active.SHA, Fallback: active.Fallback, Expiring: len(d.rules.Status().Expiring)})
	}
}

// newNotifier returns the notifier of a configuration.
func (d *daemon) newNotifier(c *config.Config) (*notify.Notifier, error) {
	all := map[string]notify.Channel{}
	for name, addresses := range c.Notify.Mail {
		all[name] = notify.Channel{Mail: strings.Split(addresses, ","), Webhook: c.Notify.Webhook[name]}
	}
	for name, url := range c.Notify.Webhook {
		all[name] = notify.Channel{Mail: all[name].Mail, Webhook: url}
	}
	n, err := notify.New(notify.Options{
		Channels: all, From: c.Notify.From, SMTP: c.Notify.SMTP, Language: string(c.Headers.Language), Now: d.app.now,
		Observe: func(n notify.Delivery) {
			d.metrics.Notified(n.Err)
			if n.Err != nil {
				d.log.Warn("notification lost", "channel", n.Channel, "way", n.Way, "events", n.Events, "reason", n.Err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	return n, nil
}

// observeInspection returns who hears of workers and virus scanners.
func (d *daemon) observeInspection() inspectionObserver {
	return inspectionObserver{
		worker: func(e worker.Event) {
			d.metrics.ObserveWorker(string(e.Change), e.Limit)
			d.workers.add(e.Change)
			switch e.Change {
			case worker.Crashed, worker.Failed:
				d.log.Error("a process that opens files has "+string(e.Change), "pid", e.PID, "reason", firstLine(e.Reason))
			case worker.Limited:
				d.log.Warn("a process that opens files was stopped at a limit", "pid", e.PID, "limit", e.Limit, "reason", firstLine(e.Reason))
			}
		},
		virus: func(o virus.Observation) {
			d.asked.Store(true)
			d.metrics.ObserveVirus(o.Kind, o.Err, o.Duration)
			d.metrics.VirusScanner(o.Engine, o.Up)
			if o.Err != nil {
				d.log.Warn("virus scanner has not answered", "scanner", o.Engine, "reason", firstLine(o.Err.Error()))
			}
		},
		scanner: func(s virus.EngineStatus) {
			d.metrics.VirusScanner(s.Name, s.Up)
			if s.Up {
				d.log.Info("virus scanner is there again", "scanner", s.Name)
			} else {
				d.log.Warn("virus scanner is away", "scanner", s.Name, "reason", firstLine(s.Error))
			}
		},
	}
}

// checkTime is how long virus scanners have to answer at start and after a change of the configuration. Mail does not wait
// for that.
const checkTime = time.Minute

// open starts what works in the background for a generation.
func (g *generation) open(d *daemon) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	g.end, g.ended = cancel, ended
	go func() {
		defer close(ended)
		var checking sync.WaitGroup
		defer checking.Wait()
		if g.files.virus != nil {
			checking.Go(func() {
				limited, cancel := context.WithTimeout(ctx, checkTime)
				defer cancel()
				checkVirus(limited, d.log, g.files.virus, g.config.Limits.Message)
				g.watchScanners(ctx, &d.asked)
			})
		}
		checking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTime)
			defer cancel()
			checkWorkers(ctx, d.log, g.files)
		})
		checking.Go(func() { g.recipients.Run(ctx) })
		if g.rows != nil {
			checking.Go(func() { d.watchRows(ctx, g) })
		}
		g.tell.Run(ctx)
		d.log.Debug("notifications ended")
	}()
}

// close ends it, and waits for what is being delivered, within the notifier's own limit. What it shares with the next one, if
// there is one, stays open.
func (g *generation) close(next *generation) error {
	g.end()
	<-g.ended
	return g.release(next)
}

// release closes the resolver and what verifies S/MIME, unless another generation has them too.
func (g *generation) release(other *generation) error {
	if v := g.smime.Validator; v != nil && (other == nil || v != other.smime.Validator) {
		v.Close()
	}
	if f := g.files; f != nil && (other == nil || other.files == nil || f.pool != other.files.pool) {
		f.close()
	}
	if s := g.store; s != nil && (other == nil || s != other.store) {
		_ = s.Close() // every entry is on the disk
	}
	if r := g.rows; r != nil && (other == nil || r != other.rows) {
		_ = r.Close() // what it could not write is in the log
	}
	if r := g.resolver; r.Resolver != nil && (other == nil || r.Resolver != other.resolver.Resolver) {
		return r.Close()
	}
	return nil
}

// announce tells the channels that rules have named about a message, unless it is a notification itself.
func (g *generation) announce(out *filter.Outcome) {
	wanted := slices.DeleteFunc(slices.Clone(out.Decision.Notify), func(n rules.Notification) bool { return n.Channel == rules.Recipients })
	if len(wanted) == 0 || g.tell.Own(out.Header) {
		return
	}
	sender := ""
	if boxes := out.Results.Author.Mailboxes; len(boxes) > 0 {
		sender = boxes[0].Domain
	}
	g.tell.Notify(notify.Event{Time: out.Envelope.ReceivedAt, QueueID: out.Envelope.QueueID, Sender: sender,
		Disposition: out.Decision.Disposition}, wanted)
}

// harvest writes the certificates of verified signers into a directory, if there is one. A certificate that is there already
// stays as it is.
func (d *daemon) harvest(dir string, out *filter.Outcome) {
	if dir == "" || out.Results.SMIME.State != smime.Verified {
		return
	}
	for _, s := range out.Results.SMIME.Signers {
		if s.Certificate == nil {
			continue
		}
		if err := pki.Harvest(dir, s.Certificate); err != nil {
			d.log.Warn("certificate not written", "directory", dir, "reason", err)
		}
	}
}

// serveControl answers "assay ctl" until ctx ends; the channel is closed after that. Where the socket cannot be made the
// daemon works without it: mail matters more.
func (d *daemon) serveControl(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	path := d.started.Listen.Control
	if path == "" {
		close(ended)
		return ended
	}
	ln, err := d.listenControl(ctx, path)
	if err != nil {
		d.log.Warn("assay ctl will not work", "socket", path, "reason", err)
		close(ended)
		return ended
	}
	server := control.NewServer(map[string]control.Command{
		"reload":    {Run: d.controlReload, Changes: true},
		"rollback":  {Run: d.controlRollback, Changes: true},
		"status":    {Run: d.controlStatus},
		"message":   {Run: d.controlMessage},
		"health":    {Run: d.controlHealth},
		"drain":     {Run: d.controlDrain, Changes: true},
		"pseudonym": {Run: d.controlPseudonym, Changes: true}, // to know a name is to know whom the log is about
	}, control.Options{Logger: d.log})
	go func() {
		defer close(ended)
		if err := server.Serve(ctx, ln); err != nil {
			d.log.Error("control socket failed", "reason", err)
		}
	}()
	return ended
}

// listenControl opens the control socket, in a directory that it makes if it is missing.
func (d *daemon) listenControl(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return control.Listen(ctx, path, 0o666, "")
}

// controlReload is "assay ctl reload".
func (d *daemon) controlReload(ctx context.Context, r control.Request) control.Response {
	result, err := d.reload(ctx, r.Peer.String())
	return control.Done(result, err)
}

// controlRollback is "assay rules rollback".
func (d *daemon) controlRollback(ctx context.Context, r control.Request) control.Response {
	var wanted struct {
		Target string `json:"target"`
	}
	if err := json.Unmarshal(r.Args, &wanted); err != nil || wanted.Target == "" {
		return control.Done(nil, errors.New("rollback needs the hash of a rule set"))
	}
	result, err := d.rules.Rollback(ctx, r.Peer.String(), wanted.Target)
	d.observeRules(err)
	if err != nil {
		d.log.Error("rollback failed", "who", r.Peer.String(), "reason", cause(err))
		return control.Done(result, err)
	}
	d.log.Info("rules rolled back", "who", r.Peer.String(), "rule_set", result.SHA)
	return control.Done(result, nil)
}
