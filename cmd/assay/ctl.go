package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"assay/milter/control"
	"assay/milter/ruleset"
)

// ctl returns the commands for the running daemon.
func (a *app) ctl() *cobra.Command {
	return group("ctl", "Speak to the running daemon", "", a.ctlReload(), a.ctlStatus())
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
		Short: "Show which version runs and which rules are in force",
		Args:  args(0, 0),
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		response, err := a.call(c.Context(), *path, "status", nil)
		if err != nil {
			return err
		}
		var s status
		if err := json.Unmarshal(response.Data, &s); err != nil {
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

// A status is what the daemon says of itself.
type status struct {
	Version string         `json:"version"`
	PID     int            `json:"pid"`
	Started time.Time      `json:"started"`
	Rules   ruleset.Status `json:"rules"`
}

// text writes a status for people.
func (s status) text(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "assay %s, pid %d, running since %s\n", s.Version, s.PID, s.Started.Format(time.RFC3339))
	r := s.Rules
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

// call asks the running daemon.
func (a *app) call(ctx context.Context, path, command string, args any) (control.Response, error) {
	loaded, err := a.load(path)
	if err != nil {
		return control.Response{}, err
	}
	socket := loaded.Config.Listen.Control
	if socket == "" {
		return control.Response{}, errors.New("listen.control is empty in the configuration: there is no way to speak to the daemon")
	}
	r := control.Request{Command: command}
	if args != nil {
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
