package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"assay/cmd/internal/config"
	"assay/scan/container"
	"assay/scan/files"
	"assay/scan/inspect"
	"assay/scan/virus"
	"assay/scan/virus/clamd"
	"assay/scan/virus/icap"
	"assay/scan/worker"
)

// workerCommand is the argument that makes this program a worker, which a pool starts. It is no subcommand: a worker has no
// use for a command line, and starts the faster without.
const workerCommand = "worker"

// runWorker opens files for the process that has started this one, until that is done.
func runWorker() int {
	return worker.Main(inspect.New(inspect.Options{Clock: worker.CPUTime}), os.Stdin, os.Stdout)
}

// An inspection is what opens files and what asks virus scanners.
type inspection struct {
	engine    inspect.Engine
	pool      *worker.Pool // nil: files are opened in this process
	virus     *virus.Group // nil for none
	passwords []string
	announce  *sync.Once // of the pool: what is said about it at the start is said once
}

// close ends the workers.
func (i *inspection) close() {
	if i != nil && i.pool != nil {
		i.pool.Close()
	}
}

// again returns the inspection with the passwords as they are now.
func (i *inspection) again(c *config.Config) (*inspection, error) {
	next := *i
	var err error
	if next.passwords, err = c.Scan.Files.List(); err != nil {
		return nil, fmt.Errorf("scan.files.passwords_file: %w", err)
	}
	return &next, nil
}

// down returns an error while none of the virus scanners answers.
func (i *inspection) down() error {
	if i.virus == nil {
		return nil
	}
	var reasons []string
	for _, s := range i.virus.Status() {
		if s.Up {
			return nil
		}
		reasons = append(reasons, s.Name+": "+s.Error)
	}
	return fmt.Errorf("no virus scanner answers: %s", strings.Join(reasons, "; "))
}

// inProcess is the inspection of files that people of the house have written, such as those beside the tests of rules. No
// virus scanner is asked.
func inProcess() *inspection { return &inspection{engine: inspect.New(inspect.Options{})} }

// An inspectionObserver hears of workers and scanners.
type inspectionObserver struct {
	worker  func(worker.Event)
	virus   func(virus.Observation)
	scanner func(virus.EngineStatus) // has gone or come back
}

// newInspection returns the inspection of a configuration. The error is about virus scanners and passwords.
func (a *app) newInspection(c *config.Config, observe inspectionObserver) (*inspection, error) {
	i := inProcess()
	var err error
	if i.passwords, err = c.Scan.Files.List(); err != nil {
		return nil, fmt.Errorf("scan.files.passwords_file: %w", err)
	}
	if i.virus, err = newVirus(c, a.now, observe); err != nil {
		return nil, err
	}
	if len(a.workers) > 0 {
		f := c.Scan.Files
		i.pool = worker.New(worker.Options{Command: a.workers, Workers: f.Workers, Memory: f.WorkerMemory, Wall: f.WorkerTime, Observe: observe.worker})
		i.engine, i.announce = i.pool, new(sync.Once)
	}
	return i, nil
}

// newVirus returns the virus scanners of a configuration, nil for none.
func newVirus(cfg *config.Config, now func() time.Time, observe inspectionObserver) (*virus.Group, error) {
	c := cfg.Scan.Virus
	c.Timeout = virusTime(cfg)
	opt := virus.Options{Mode: virus.Mode(c.Mode), MaxSize: c.MaxSize, Now: now, Observe: observe.virus, Changed: observe.scanner}
	for _, address := range c.Clamd {
		engine, err := clamd.New(clamd.Options{Address: address, Timeout: c.Timeout, MaxConnections: c.Connections})
		if err != nil {
			return nil, fmt.Errorf("scan.virus.clamd: %w", err)
		}
		opt.Engines = append(opt.Engines, virus.Named{Name: "clamd " + address, Engine: engine})
	}
	for _, url := range c.ICAP {
		engine, err := icap.New(icap.Options{URL: url, Timeout: c.Timeout, MaxConnections: c.Connections})
		if err != nil {
			return nil, fmt.Errorf("scan.virus.icap: %w", err)
		}
		opt.Engines = append(opt.Engines, virus.Named{Name: "icap " + url, Engine: engine})
	}
	if len(opt.Engines) == 0 {
		return nil, nil
	}
	return virus.New(opt)
}

// virusTime is how long one scanner may take. A hung one leaves time within that of the message to ask the others, and to do
// what is configured for the case that none answers.
func virusTime(c *config.Config) time.Duration {
	turns := 1
	if virus.Mode(c.Scan.Virus.Mode) != virus.All {
		turns = len(c.Scan.Virus.Clamd) + len(c.Scan.Virus.ICAP)
	}
	return min(c.Scan.Virus.Timeout, c.Limits.Time/time.Duration(turns+1))
}

// fileOptions returns the options of what looks into files.
func fileOptions(c *config.Config, i *inspection) files.Options {
	f := c.Scan.Files
	opt := files.Options{
		Engine: i.engine, Passwords: i.passwords, Guesses: f.Guesses, Memory: f.Memory,
		Limits: container.Limits{Depth: f.Depth, Members: f.Members, Octets: f.Octets, Member: f.Member, Ratio: int64(f.Ratio), Time: f.WorkerTime},
	}
	if f.Guesses == 0 {
		opt.Guesses = -1
	}
	if i.virus != nil {
		opt.Virus = i.virus
	}
	return opt
}

// checkVirus asks the scanners whether they are well, and logs what they say. Mail waits for them one by one, so nothing is
// held up here.
func checkVirus(ctx context.Context, l *slog.Logger, group *virus.Group, size int64) {
	if group == nil {
		return
	}
	if err := group.Check(ctx, size); errors.Is(err, context.Canceled) {
		return
	}
	for _, s := range group.Status() {
		for _, w := range s.Warnings {
			l.Warn("virus scanner", "scanner", s.Name, "warning", w)
		}
		switch {
		case !s.Up:
			l.Error("virus scanner is not ready", "scanner", s.Name, "reason", s.Error)
		case s.Error != "":
			l.Warn("virus scanner is ready, but does not take every message", "scanner", s.Name, "version", s.Version, "reason", s.Error)
		default:
			l.Info("virus scanner is ready", "scanner", s.Name, "version", s.Version)
		}
	}
}

// checkWorkers starts a process that opens files, and logs which walls stand around it. What the kernel, or the unit that
// Assay runs in, does not grant is worth a warning: a file that takes over its reader would find more there.
func checkWorkers(ctx context.Context, l *slog.Logger, i *inspection) {
	if i.pool != nil {
		i.announce.Do(func() { announceWorkers(ctx, l, i.pool) })
	}
}

func announceWorkers(ctx context.Context, l *slog.Logger, pool *worker.Pool) {
	status, err := pool.Probe(ctx)
	switch {
	case errors.Is(err, worker.ErrClosed) || ctx.Err() != nil:
	case err != nil:
		l.Error("files cannot be opened, they will all be called uninspectable", "reason", firstLine(err.Error()))
	case len(status.Missing) > 0:
		l.Warn("the processes that open files are not walled in completely", "missing", strings.Join(status.Missing, "; "))
	default:
		l.Info("files are opened in processes of their own", "seccomp", status.Seccomp, "landlock", status.Landlock, "limits", status.Limits)
	}
}
