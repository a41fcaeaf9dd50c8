package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"assay/cmd/internal/config"
	"assay/milter/control"
	"assay/milter/ruleset"
	"assay/scan/worker"
)

// A source is where a configuration comes from, and a hash of what it says.
type source struct {
	Path   string `json:"path"`   // "" for none: defaults
	SHA256 string `json:"sha256"` // of what "assay config show" prints, so of the effective values
}

// sourceOf returns the source of a configuration.
func sourceOf(l *config.Loaded) source {
	sum := sha256.Sum256(l.Show(false))
	return source{l.File, hex.EncodeToString(sum[:])}
}

// A status is what the daemon says of itself.
type status struct {
	Version     string          `json:"version"`
	PID         int             `json:"pid"`
	Started     time.Time       `json:"started"`
	Uptime      int64           `json:"uptime_seconds"`
	Ready       bool            `json:"ready"`
	NotReady    []string        `json:"not_ready"` // the checks that fail
	Draining    bool            `json:"draining"`
	Connections int             `json:"connections"`
	InWork      int             `json:"messages_in_work"`
	Config      source          `json:"config"`
	Rules       ruleset.Status  `json:"rules"`
	Virus       []scannerStatus `json:"virus_scanners"`
	Workers     workerStatus    `json:"workers"`
	Pseudonyms  *nameStatus     `json:"pseudonyms"` // null when the log has none
}

// A scannerStatus says how a virus scanner is.
type scannerStatus struct {
	Name       string    `json:"name"`
	Up         bool      `json:"up"`
	Unanswered int       `json:"unanswered"` // contents in a row that it has said nothing about
	Since      time.Time `json:"since"`
	Version    string    `json:"version"`
	Error      string    `json:"error"`
	Warnings   []string  `json:"warnings"`
}

// A workerStatus says how the processes are that open files.
type workerStatus struct {
	Running int      `json:"running"`
	Started int      `json:"started"`
	Crashed int      `json:"crashed"`
	Limited int      `json:"limited"`
	Failed  int      `json:"failed"`
	Sandbox string   `json:"sandbox"` // "full", "partial", or "unknown" as long as none was started
	Missing []string `json:"missing"` // walls that do not stand, and why
}

// A nameStatus says how old the key of pseudonyms is.
type nameStatus struct {
	Created  time.Time `json:"key_created"`
	Replaced time.Time `json:"key_replaced_at"`
	Kept     bool      `json:"key_in_file"`
}

// controlStatus is "assay ctl status".
func (d *daemon) controlStatus(context.Context, control.Request) control.Response {
	g, load, now := d.current.Load(), d.server.Load(), d.app.now()
	report := d.monitor.Report()
	s := status{
		Version: versionText(), PID: os.Getpid(), Started: d.begun.UTC().Truncate(time.Second), Uptime: int64(now.Sub(d.begun).Seconds()),
		Ready: report.Ready, NotReady: []string{}, Draining: d.stop.Load() || d.drained.Load(), Connections: load.Connections, InWork: load.Messages,
		Config: g.source, Rules: d.rules.Status(), Virus: []scannerStatus{}, Workers: d.workerStatus(g),
	}
	for _, c := range report.Checks {
		if !c.OK {
			s.NotReady = append(s.NotReady, c.Name)
		}
	}
	if g.files.virus != nil {
		for _, e := range g.files.virus.Status() {
			s.Virus = append(s.Virus, scannerStatus{
				Name: e.Name, Up: e.Up, Unanswered: e.Unanswered, Since: e.Since.UTC().Truncate(time.Second), Version: e.Version, Error: e.Error,
				Warnings: append([]string{}, e.Warnings...),
			})
		}
	}
	if g.names != nil {
		created := g.names.Created()
		s.Pseudonyms = &nameStatus{created, created.Add(g.config.Log.PseudonymRotation), g.names.Kept()}
	}
	return control.Done(s, nil)
}

// workerStatus returns how the workers are.
func (d *daemon) workerStatus(g *generation) workerStatus {
	w := workerStatus{Started: d.workers.of(worker.Started), Crashed: d.workers.of(worker.Crashed), Limited: d.workers.of(worker.Limited),
		Failed: d.workers.of(worker.Failed), Sandbox: "unknown", Missing: []string{}}
	w.Running = max(0, w.Started-w.Crashed-w.Limited-d.workers.of(worker.Ended)-d.workers.of(worker.Killed))
	if g.files.pool == nil {
		return w
	}
	if s, known := g.files.pool.Sandbox(); known {
		w.Sandbox = "full"
		if w.Missing = append(w.Missing, s.Missing...); len(w.Missing) > 0 {
			w.Sandbox = "partial"
		}
	}
	return w
}

// controlHealth is "assay ctl health".
func (d *daemon) controlHealth(context.Context, control.Request) control.Response {
	return control.Done(d.monitor.Report(), nil)
}

// controlDrain is "assay ctl drain".
func (d *daemon) controlDrain(_ context.Context, r control.Request) control.Response {
	var wanted drainArgs
	if err := json.Unmarshal(r.Args, &wanted); err != nil {
		return control.Done(nil, errors.New("drain needs to know whether to begin or to end"))
	}
	if d.stop.Load() {
		return control.Done(nil, errors.New("the daemon is stopping"))
	}
	d.drain(!wanted.Undo, r.Peer.String())
	return control.Done(nil, nil)
}

// controlPseudonym is "assay ctl pseudonym". That somebody has asked is logged, not about whom.
func (d *daemon) controlPseudonym(_ context.Context, r control.Request) control.Response {
	var wanted struct {
		Addresses []string `json:"addresses"`
	}
	if err := json.Unmarshal(r.Args, &wanted); err != nil || len(wanted.Addresses) == 0 {
		return control.Done(nil, errors.New("pseudonym needs addresses"))
	}
	names := d.current.Load().names
	if names == nil {
		return control.Done(nil, errors.New("the log has no pseudonyms: log.privacy is not domain_only"))
	}
	d.log.Warn("pseudonyms were looked up", "who", r.Peer.String(), "addresses", len(wanted.Addresses))
	found := make([]string, len(wanted.Addresses))
	for i, a := range wanted.Addresses {
		found[i] = names.Of(a)
	}
	return control.Done(found, nil)
}

// text writes a status for people.
func (s status) text(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "assay %s, pid %d, running since %s\n", s.Version, s.PID, s.Started.Format(time.RFC3339))
	switch {
	case s.Draining:
		fmt.Fprintln(w, "DRAINING: new messages are answered 451")
	case !s.Ready:
		fmt.Fprintf(w, "NOT READY: %s (see assay ctl health)\n", strings.Join(s.NotReady, ", "))
	}
	fmt.Fprintf(w, "%s, %s in work\n", plural(s.Connections, "connection"), plural(s.InWork, "message"))
	fmt.Fprintf(w, "configuration %s, %.12s\n", cmp.Or(s.Config.Path, "without a file"), s.Config.SHA256)
	rulesText(w, s.Rules, now)
	for _, v := range s.Virus {
		state := "answers"
		switch {
		case !v.Up:
			state = "DOWN since " + v.Since.Format(time.RFC3339) + ": " + v.Error
		case v.Unanswered > 0:
			state = fmt.Sprintf("is there, and has said nothing about %s in a row: %s", plural(v.Unanswered, "content"), v.Error)
		}
		fmt.Fprintf(w, "virus scanner %s (%s): %s\n", v.Name, cmp.Or(v.Version, "version unknown"), state)
	}
	fmt.Fprintf(w, "workers: %d running, %d crashed, %d stopped at a limit, %d failed to start; sandbox %s\n", s.Workers.Running, s.Workers.Crashed,
		s.Workers.Limited, s.Workers.Failed, s.Workers.Sandbox)
	for _, m := range s.Workers.Missing {
		fmt.Fprintf(w, "sandbox lacks %s\n", m)
	}
	if p := s.Pseudonyms; p != nil {
		fmt.Fprintf(w, "pseudonyms: key of %s, replaced on %s\n", p.Created.Format(time.DateOnly), p.Replaced.Format(time.DateOnly))
	}
}

// rulesText writes how the rules are.
func rulesText(w io.Writer, r ruleset.Status, now time.Time) {
	fmt.Fprintf(w, "rules %.12s in force since %s: %s, %d monitored, %d off\n", r.SHA, r.Since.Format(time.RFC3339), plural(r.Rules, "rule"),
		r.Monitored, r.Off)
	if r.Fallback {
		fmt.Fprintln(w, "FALLBACK: the rule files cannot be used, these are the last good rules")
	}
	if r.Pinned {
		fmt.Fprintln(w, "a rollback put them into force; they stay until the next \"assay ctl reload\"")
	}
	if r.Failed != "" {
		fmt.Fprintf(w, "the last activation, at %s, failed:\n%s\n", r.FailedAt.Format(time.RFC3339), r.Failed)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	for _, e := range r.Expiring {
		word := "ends"
		if now.After(e.Expires) {
			word = "has ended"
		}
		fmt.Fprintf(w, "exception %s of rule %s %s on %s (%s)\n", e.ID, e.Rule, word, e.Expires.AddDate(0, 0, -1).Format(time.DateOnly), e.Owner)
	}
}
