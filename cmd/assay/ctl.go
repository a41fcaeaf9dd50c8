package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"assay/cmd/internal/config"
	"assay/cmd/internal/health"
	"assay/milter/control"
	"assay/milter/ruleset"
)

// ctl returns the commands for the running daemon.
func (a *app) ctl() *cobra.Command {
	return group("ctl", "Speak to the running daemon", "", a.ctlReload(), a.ctlStatus(), a.ctlHealth(), a.ctlDrain(), a.ctlPseudonym(), a.ctlMessage())
}

// ctlReload returns "ctl reload".
func (a *app) ctlReload() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Read the configuration and the rules again and put them into force",
		Long: "Read the configuration and the rules again and put them into force, without dropping a message. The rules are checked\n" +
			"and their tests are run first. If anything is wrong it is printed, the exit code is 1, and what was in force stays.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.control(c.Context(), *path, "reload", nil)
	}
	return c
}

// ctlStatus returns "ctl status".
func (a *app) ctlStatus() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what runs: version, configuration, rules, virus scanners, workers, load",
		Args:  args(0, 0),
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var s status
		if err := a.ask(c.Context(), *path, "status", nil, &s); err != nil {
			return err
		}
		if *asJSON {
			return encode(a.out, s)
		}
		s.text(a.out, a.now())
		return nil
	}
	return c
}

// ctlHealth returns "ctl health".
func (a *app) ctlHealth() *cobra.Command {
	c := &cobra.Command{
		Use:   "health",
		Short: "Say whether the daemon is ready for mail",
		Long: "Say whether the daemon is ready for mail, with one line for each check, which are those of /readyz. The exit code is 0\n" +
			"if all of them succeed, and 1 if one does not or the daemon does not run: fit for HEALTHCHECK of a container.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var report health.Report
		if err := a.ask(c.Context(), *path, "health", nil, &report); err != nil {
			return err
		}
		if *asJSON {
			if err := encode(a.out, report); err != nil {
				return err
			}
		} else {
			fmt.Fprint(a.out, report.Text())
		}
		if !report.Ready {
			return exitError(exitFailed)
		}
		return nil
	}
	return c
}

// drainArgs are the arguments of drain.
type drainArgs struct {
	Undo bool `json:"undo"`
}

// ctlDrain returns "ctl drain".
func (a *app) ctlDrain() *cobra.Command {
	c := &cobra.Command{
		Use:   "drain",
		Short: "Take no new messages, and finish those in work",
		Long: "Take no new messages, and finish those in work: before maintenance, or before the last of several nodes is updated. New\n" +
			"messages are answered 451, so that their senders try again; /readyz says 503, so that a load balancer sends them\n" +
			"elsewhere. The sockets stay open: what an MTA does when nobody listens depends on its configuration, and may be to\n" +
			"deliver unchecked mail. A restart, or --undo, ends it.",
		Args: args(0, 0),
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	wait := c.Flags().Bool("wait", false, "return when no message is in work any more")
	limit := c.Flags().Duration("timeout", 5*time.Minute, "exit with 1 if --wait takes longer")
	undo := c.Flags().Bool("undo", false, "take new messages again")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *undo && *wait {
			return usageError{errors.New("--undo and --wait contradict each other")}
		}
		if err := a.ask(c.Context(), *path, "drain", drainArgs{*undo}, nil); err != nil {
			return err
		}
		s, err := a.drained(c.Context(), *path, *wait, *limit)
		if err != nil {
			return err
		}
		if *asJSON {
			return encode(a.out, struct {
				Draining    bool `json:"draining"`
				Connections int  `json:"connections"`
				InWork      int  `json:"messages_in_work"`
			}{s.Draining, s.Connections, s.InWork})
		}
		word := "draining"
		if !s.Draining {
			word = "new messages are taken"
		}
		fmt.Fprintf(a.out, "%s; %s in work\n", word, plural(s.InWork, "message"))
		return nil
	}
	return c
}

// drainPoll is how often a client that waits asks.
const drainPoll = 100 * time.Millisecond

// drained returns the daemon's status; if asked to wait, when no message is in work any more.
func (a *app) drained(ctx context.Context, path string, wait bool, limit time.Duration) (status, error) {
	deadline, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(drainPoll)
	defer ticker.Stop()
	for {
		var s status
		if err := a.ask(ctx, path, "status", nil, &s); err != nil {
			return s, err
		}
		switch {
		case !wait || s.Draining && s.InWork == 0:
			return s, nil
		case !s.Draining:
			return s, errors.New("somebody has ended the draining")
		}
		select {
		case <-deadline.Done():
			return s, fmt.Errorf("%s still in work after %s", plural(s.InWork, "message"), limit)
		case <-ticker.C:
		}
	}
}

// ctlPseudonym returns "ctl pseudonym".
func (a *app) ctlPseudonym() *cobra.Command {
	c := &cobra.Command{
		Use:   "pseudonym ADDRESS...",
		Short: "Print the names that persons have in the log at the moment",
		Long: "Print the pseudonym that the log has for each address (log.privacy: domain_only) under the key of the moment, to find the\n" +
			"lines about a person in an incident. Only root and the daemon's user may ask, and the log says that they did.",
		Args: args(1, 1000),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, addresses []string) error {
		var names []string
		if err := a.ask(c.Context(), *path, "pseudonym", map[string][]string{"addresses": addresses}, &names); err != nil {
			return err
		}
		if len(names) != len(addresses) {
			return errors.New("the daemon has answered something else")
		}
		for i, name := range names {
			fmt.Fprintf(a.out, "%s %s\n", name, addresses[i])
		}
		return nil
	}
	return c
}

// ask asks the running daemon and decodes its answer, if one is wanted. The error is its own if the command has failed. A
// configuration that has gone wrong since the daemon read it is no reason not to ask.
func (a *app) ask(ctx context.Context, path, command string, args, answer any) error {
	socket, err := config.ControlSocket(path, a.environ)
	if err != nil {
		return err
	}
	response, err := call(ctx, socket, command, args)
	if err != nil {
		return err
	}
	if err := response.Err(); err != nil {
		return err
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(response.Data, answer)
}

// call asks the running daemon, if the configuration is right.
func (a *app) call(ctx context.Context, path, command string, args any) (control.Response, error) {
	loaded, err := a.load(path)
	if err != nil {
		return control.Response{}, err
	}
	return call(ctx, loaded.Config.Listen.Control, command, args)
}

// call asks the daemon behind a control socket.
func call(ctx context.Context, socket, command string, args any) (control.Response, error) {
	if socket == "" {
		return control.Response{}, errors.New("listen.control is empty in the configuration: there is no way to speak to the daemon")
	}
	r := control.Request{Command: command}
	if args != nil {
		var err error
		if r.Args, err = json.Marshal(args); err != nil {
			return control.Response{}, err
		}
	}
	return control.Call(ctx, socket, r)
}

// control asks the daemon to put rules into force and says what came of it.
func (a *app) control(ctx context.Context, path, command string, args any) error {
	response, err := a.call(ctx, path, command, args)
	if err != nil {
		return err
	}
	var result ruleset.Result
	if len(response.Data) > 0 {
		if err := json.Unmarshal(response.Data, &result); err != nil {
			return err
		}
	}
	for _, p := range result.Problems {
		fmt.Fprintln(a.err, p.String())
	}
	for _, w := range result.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", w)
	}
	if err := response.Err(); err != nil {
		if len(result.Problems.Errors()) > 0 { // which say it all
			return fmt.Errorf("%s failed, what was in force stays", command)
		}
		return fmt.Errorf("%s failed, what was in force stays: %w", command, err)
	}
	fmt.Fprintf(a.out, "in force: %s, %.12s%s\n", plural(result.Rules, "rule"), result.SHA, resultText(result))
	return nil
}

// resultText says what an activation changed.
func resultText(r ruleset.Result) string {
	if r.SHA == r.Previous {
		return " (unchanged)"
	}
	var parts []string
	if n := len(r.Changes.Added); n > 0 {
		parts = append(parts, "added "+strings.Join(r.Changes.Added, " "))
	}
	if n := len(r.Changes.Removed); n > 0 {
		parts = append(parts, "removed "+strings.Join(r.Changes.Removed, " "))
	}
	for _, c := range r.Changes.Changed {
		parts = append(parts, "changed "+c.ID+" ("+cmp.Or(strings.Join(c.Fields, ", "), "order")+")")
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, "; ")
}
