package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"assay/cmd/internal/config"
	"assay/cmd/internal/health"
	"assay/cmd/internal/logline"
	"assay/cmd/internal/metrics"
	"assay/cmd/internal/pseudonym"
	"assay/milter"
	"assay/milter/filter"
	"assay/milter/notify"
	"assay/milter/quarantine"
	"assay/milter/ruleset"
	"assay/milter/store"
	"assay/rules"
	"assay/verify/message"
)

// gcPercent is how much the heap may grow before it is collected, in percent of what is in use.
const gcPercent = 400

// serve returns "serve".
func (a *app) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the milter",
		Long: "Run the milter until SIGTERM or SIGINT; messages in work are finished. SIGHUP reads the configuration again: if it\n" +
			"is wrong, its problems are logged and the old one stays.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		a.warn(loaded.System())
		d, err := a.newDaemon(*path, loaded)
		if err != nil {
			return err
		}
		return d.run(c.Context())
	}
	return c
}

// A daemon is one run of "serve".
type daemon struct {
	app     *app
	path    string // of the configuration as named on the command line
	log     *slog.Logger
	notify  notifier
	metrics *metrics.Metrics
	recent  recent
	started *config.Config // what listeners and the server were made of
	current atomic.Pointer[generation]
	rules   *ruleset.Manager
	begun   time.Time
	reloads sync.Mutex    // held while a generation is replaced
	swap    sync.RWMutex  // held for the moment in which current changes
	over    chan struct{} // closed when no message is in work any more, or none is waited for
	left    chan struct{} // closed when the last generation that was replaced has ended, and those before it
	stop    atomic.Bool   // the shutdown has begun
	drained atomic.Bool   // "assay ctl drain" has been said
	asked   atomic.Bool   // a message has asked a virus scanner, since somebody last looked
	workers census
	server  *milter.Server
	monitor *health.Monitor
	heart   *health.Heart
}

// A generation is everything that a reload replaces. Messages keep the generation they began with.
type generation struct {
	source     source
	names      *pseudonym.Namer // of persons in the log; nil for none
	config     *config.Config
	resolver   resolver
	smime      signatures
	files      *inspection
	filter     *filter.Filter
	tell       *notify.Notifier
	recipients *notify.Recipients
	store      *quarantine.Store  // nil if nothing is stored
	rows       *store.Store       // of DMARC reports; nil if none are sent
	end        context.CancelFunc // of the notifier
	ended      <-chan struct{}    // the notifier has delivered what it could
	messages   sync.WaitGroup     // that began with it and are in work
}

// newDaemon prepares a daemon. The configuration has been checked.
func (a *app) newDaemon(path string, loaded *config.Loaded) (*daemon, error) {
	c := loaded.Config
	d := &daemon{app: a, path: path, started: c, notify: newNotifier(a.getenv), metrics: metrics.New(versionText())}
	d.log = a.newLogger(c.Log)
	d.begun, d.over, d.left = a.now(), make(chan struct{}), make(chan struct{})
	close(d.left)
	d.rules = ruleset.New(rulesetConfig(c, a.now()), ruleset.Options{State: c.Rules.State, Now: a.now})
	if err := d.startRules(); err != nil {
		return nil, err
	}
	g, err := d.generate(c, nil)
	if err != nil {
		return nil, err
	}
	g.source = sourceOf(loaded)
	g.open(d)
	d.current.Store(g)
	d.server, d.monitor, d.heart = d.newServer(), d.newMonitor(), d.newHeart()
	return d, nil
}

// getenv returns the value of an environment variable.
func (a *app) getenv(name string) string {
	value := ""
	for _, entry := range a.environ {
		if k, v, found := strings.Cut(entry, "="); found && k == name {
			value = v
		}
	}
	return value
}

// generate makes a generation. The resolver, and with it the cache, is kept while its section stays the same.
func (d *daemon) generate(c *config.Config, last *generation) (g *generation, err error) {
	g = &generation{config: c}
	defer func(unfinished *generation) {
		if err != nil {
			_ = unfinished.release(last)
		}
	}(g)
	sealer, err := newSealer(c)
	if err != nil {
		return nil, err
	}
	if g.resolver, err = d.resolverOf(c, last); err != nil {
		return nil, err
	}
	if last != nil && !changed(last.config, c, "verify.smime.") {
		if g.smime, err = last.smime.again(c); err != nil {
			return nil, err
		}
	} else if g.smime, err = newSignatures(c, false); err != nil {
		return nil, err
	}
	if g.tell, err = d.newNotifier(c); err != nil {
		return nil, err
	}
	if last != nil && !changed(last.config, c, "scan.files.") && !changed(last.config, c, "scan.virus.") {
		g.files, err = last.files.again(c)
	} else {
		g.files, err = d.app.newInspection(c, d.observeInspection())
	}
	if err != nil {
		return nil, err
	}
	opt, err := filterOptions(c, checks{g.resolver, g.smime.Verifier, g.files}, observer{d, g}, false)
	if err != nil {
		return nil, err
	}
	opt.Sealer, opt.Rules = sealer, inForce{d.rules}
	d.keep(g, last, &opt)
	if err := d.collect(g, last); err != nil {
		return nil, err
	}
	g.names = d.newNames(c, last)
	g.filter = filter.New(opt)
	return g, nil
}

// resolverOf returns the resolver of a configuration: that of the last generation, while its section stays the same.
func (d *daemon) resolverOf(c *config.Config, last *generation) (resolver, error) {
	if last != nil && !changed(last.config, c, "resolver.") {
		return last.resolver, nil
	}
	r, err := newResolver(c.Resolver, d.metrics)
	if err != nil {
		return resolver{}, err
	}
	return r.withProbe(c.Resolver)
}

// changed says whether a key whose path begins with prefix differs.
func changed(a, b *config.Config, prefix string) bool {
	for _, path := range config.Changed(a, b) {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// Begin implements milter.Handler: the message gets the generation of the moment, which lasts until it is done.
func (d *daemon) Begin(ctx context.Context, env *message.Envelope, header message.Header) milter.Pending {
	d.swap.RLock()
	g := d.current.Load()
	g.messages.Add(1)
	d.swap.RUnlock()
	begun := false
	defer func() {
		if !begun { // it panicked
			g.messages.Done()
		}
	}()
	p := inWork{g.filter.Begin(ctx, env, header), g}
	begun = true
	return p
}

// An inWork is a message of a generation.
type inWork struct {
	milter.Pending
	generation *generation
}

// Done implements milter.Pending.
func (m inWork) Done(err error) {
	defer m.generation.messages.Done()
	m.Pending.Done(err)
}

// An observer hears of every message of one generation.
type observer struct {
	daemon     *daemon
	generation *generation
}

// Observe implements filter.Observer.
func (o observer) Observe(out *filter.Outcome, err error) {
	o.daemon.metrics.Observe(out, err)
	o.daemon.recent.add(out, err)
	logline.Write(o.daemon.log, o.generation.view(), out, err)
	if err == nil {
		o.generation.announce(out)
		o.generation.held(out)
		o.generation.count(out)
	}
	o.daemon.harvest(o.generation.config.Verify.SMIME.Harvest, out)
}

// run serves until ctx ends or a signal says so.
func (d *daemon) run(ctx context.Context) error {
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second signal ends the program at once
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	// What a milter keeps is small and what it throws away is large: with Go's default of 100 a third of the processor time
	// went into collecting garbage. GOGC and GOMEMLIMIT in the environment are honoured.
	if d.app.getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log.SetFlags(0) // a library that logs there is heard in our format
	log.SetOutput(milter.LogWriter(d.log))
	defer log.SetOutput(os.Stderr)

	if err := d.checkSpool(); err != nil {
		return err
	}
	listeners, err := d.listen(ctx)
	if err != nil {
		return err
	}
	web, err := d.serveMetrics()
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	speak := d.serveControl(ctx)
	watched := d.watchState(ctx)
	attending := make(chan struct{})
	go func() {
		defer close(attending)
		d.attend(ctx, hangups)
	}()
	d.log.Info("assay is serving", "version", versionText(), "pid", os.Getpid(), "listeners", addresses(listeners))
	d.notify.ready("serving")
	err = d.server.Serve(ctx, listeners...)
	cancel()
	<-attending
	<-speak
	watched()
	close(d.over)
	<-d.left
	ended := d.current.Load().close(nil)
	d.log.Info("assay has stopped", "complete", err == nil)
	return errors.Join(err, web.Close(), ended)
}

// checkSpool makes sure that large messages can be kept while they arrive. A disk that is full at the moment is no reason not
// to start: small messages are none the worse for it, and large ones are deferred until there is room.
func (d *daemon) checkSpool() error {
	err := message.CheckSpool(messageLimits(d.started))
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		d.log.Error("there is no room for messages above limits.memory, they are deferred", "directory", os.TempDir(), "reason", err)
		return nil
	case err != nil:
		return fmt.Errorf("messages above limits.memory could not be kept (see TMPDIR): %w", err)
	}
	return nil
}

// newServer returns the milter server.
func (d *daemon) newServer() *milter.Server {
	opt := serverOptions(d.started, d.log, d.metrics)
	opt.ObserveTLS = d.metrics.ObserveTLS
	if d.started.Rules.SplitRecipients {
		opt.Group = inForce{d.rules}.group
	}
	return milter.NewServer(d, opt)
}

// attend reacts to signals and to the watchdog until ctx ends, and then says that the daemon is stopping.
func (d *daemon) attend(ctx context.Context, hangups <-chan os.Signal) {
	var reloads sync.WaitGroup
	defer reloads.Wait()
	reloads.Go(func() { // apart from the watchdog: the tests of rules take their time
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups: // those that come meanwhile are one
				d.reload(ctx, "SIGHUP")
			}
		}
	})
	var watch <-chan time.Time
	if every := watchdog(d.app.getenv, os.Getpid()); every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		watch = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			d.stop.Store(true)
			d.metrics.Draining(true)
			d.notify.stopping()
			d.log.Info("assay is stopping, messages in work are finished", "within", d.started.Limits.Drain.String())
			return
		case <-watch:
			d.pet()
		}
	}
}

// reload replaces the generation and the rules by those of the files as they are now. Whatever is wrong is logged, and the
// old ones stay.
func (d *daemon) reload(ctx context.Context, who string) (ruleset.Result, error) {
	d.reloads.Lock()
	defer d.reloads.Unlock()
	d.notify.reloading()
	result, err := d.replace(ctx, who)
	d.metrics.Reloaded(err)
	d.logProblems(err)
	if err != nil {
		d.log.Error("reload failed, the old configuration stays in force", "reason", cause(err))
		d.notify.ready("serving with the old configuration: reload failed")
		return result, err
	}
	d.notify.ready("serving")
	return result, nil
}

// cause returns the first thing that is wrong, which is no warning, in one line.
func cause(err error) string {
	var found rules.Problems
	if errors.As(err, &found) && len(found.Errors()) > 0 {
		err = found.Errors()
	}
	return firstLine(err.Error())
}

// logProblems logs each problem of an error on a line of its own.
func (d *daemon) logProblems(err error) {
	var configuration config.Problems
	if errors.As(err, &configuration) {
		for _, p := range configuration {
			d.log.Error("configuration problem", "file", p.File, "line", p.Line, "column", p.Column, "problem", p.Message)
		}
	}
	var ruleFiles rules.Problems
	if errors.As(err, &ruleFiles) {
		for _, p := range ruleFiles.Errors() {
			d.log.Error("rules problem", "file", p.File, "line", p.Line, "column", p.Column, "problem", p.Message)
		}
	}
}

// replace reads the configuration and the rules and puts both into force, or neither.
func (d *daemon) replace(ctx context.Context, who string) (ruleset.Result, error) {
	loaded, err := config.Load(d.path, d.app.environ)
	if err != nil {
		return ruleset.Result{}, err
	}
	last := d.current.Load()
	g, err := d.generate(loaded.Config, last)
	if err != nil {
		return ruleset.Result{}, err
	}
	result, err := d.rules.ReloadConfig(ctx, who, rulesetConfig(loaded.Config, d.app.now()))
	d.observeRules(err)
	if err != nil {
		_ = g.release(last)
		return result, err
	}
	for _, w := range result.Warnings {
		d.log.Warn("rules warning", "warning", w)
	}
	for _, w := range loaded.Warnings {
		d.log.Warn("configuration warning", "file", w.File, "line", w.Line, "warning", w.Message)
	}
	g.source = sourceOf(loaded)
	d.put(g)
	d.log.Info("configuration reloaded", "changed", strings.Join(config.Changed(last.config, loaded.Config), ","), "who", who)
	if late := needRestart(config.Changed(d.started, loaded.Config)); len(late) > 0 {
		d.log.Warn("these settings take effect only after a restart", "keys", strings.Join(late, ","))
	}
	return result, nil
}

// put puts a generation into force. The one before it ends when its messages are done; a client that sends slowly may take
// long.
func (d *daemon) put(g *generation) {
	g.open(d)
	last := d.current.Load()
	d.swap.Lock()
	d.current.Store(g)
	d.swap.Unlock()
	idle, earlier, left := make(chan struct{}), d.left, make(chan struct{})
	d.left = left
	go func() {
		defer close(idle)
		last.messages.Wait()
	}()
	go func() {
		defer close(left)
		select {
		case <-idle:
		case <-d.over:
		}
		<-earlier // which may share its resolver
		if err := last.close(g); err != nil {
			d.log.Warn("an old resolver could not be closed", "reason", err)
		}
	}()
}

// needRestart returns the keys among paths that listeners, the milter server and the logger were made of.
func needRestart(paths []string) []string {
	fixed := []string{"listen.", "rules.state", "rules.split_recipients", "log.level", "log.format", "limits.message", "limits.on_message", "limits.header_",
		"limits.memory", "limits.mime_", "limits.recipients", "limits.time", "limits.connections", "limits.concurrent", "limits.drain"}
	var late []string
	for _, path := range paths {
		for _, f := range fixed {
			if strings.HasPrefix(path, f) {
				late = append(late, path)
				break
			}
		}
	}
	return late
}

// listen opens the listeners of the milter.
func (d *daemon) listen(ctx context.Context) ([]net.Listener, error) {
	activated, err := milter.SocketActivation(d.app.getenv, os.Getpid(), milter.OpenActivated)
	if err != nil {
		return nil, err
	}
	c := d.started.Listen
	return milter.Listen(ctx, withActivated(c.Milter, activated), milter.ListenOptions{
		SocketMode: os.FileMode(c.SocketMode), SocketGroup: c.SocketGroup, Activated: activated, Logger: d.log,
	})
}

// serveMetrics starts the HTTP server, if there is to be one. Closing it ends it.
func (d *daemon) serveMetrics() (*http.Server, error) {
	web := &http.Server{
		Handler:           d.pages(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	if d.started.Listen.Metrics == "" {
		return web, nil
	}
	ln, err := net.Listen("tcp", d.started.Listen.Metrics)
	if err != nil {
		return nil, fmt.Errorf("listen.metrics: %w", err)
	}
	d.log.Info("metrics are served", "address", ln.Addr().String())
	go func() {
		if err := web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("metrics server failed", "reason", err)
		}
	}()
	return web, nil
}

// addresses lists where listeners listen, in the notation of the configuration.
func addresses(listeners []net.Listener) string {
	names := make([]string, len(listeners))
	for i, l := range listeners {
		kind := "unix:"
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			kind = "inet:"
			if tcp.IP.To4() == nil {
				kind = "inet6:"
			}
		}
		names[i] = kind + l.Addr().String()
	}
	return strings.Join(names, ",")
}

// closeAll closes listeners.
func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// firstLine returns the first line of a text.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
