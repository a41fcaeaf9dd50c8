package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"assay/cmd/internal/config"
)

// root returns the tree of commands.
func (a *app) root() *cobra.Command {
	root := group("assay", "Verify inbound mail beside Postfix or Sendmail",
		"Assay is a milter: it verifies what inbound mail claims (SPF, DKIM, DMARC, ARC) and writes the result into header\n"+
			"fields. Start it with \"assay serve\" and show the MTA the way with \"assay postfix snippet\" or\n"+
			"\"assay sendmail snippet\".\n\n"+
			"Exit codes: 0 the work was done, whatever its verdict; 1 it could not be done; 2 wrong usage.",
		a.serve(), a.setup(), a.explain(), a.verify(), a.scan(), a.roots(), a.rules(), a.quarantine(), a.dmarc(), a.ctl(), a.report(), a.config(), a.postfix(), a.sendmail(), a.man(), a.completion(), a.version())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}

// group returns a command that only holds others.
func group(use, short, long string, members ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{fmt.Errorf("%s needs a subcommand", c.CommandPath())}
		}
		hint := ""
		if s := c.SuggestionsFor(args[0]); len(s) > 0 {
			hint = fmt.Sprintf(" (did you mean %q?)", s[0])
		}
		return usageError{fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), hint)}
	}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(members...)
	return c
}

// args checks the number of arguments.
func args(lowest, highest int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < lowest:
			return usageError{fmt.Errorf("%s needs an argument: %s", c.CommandPath(), c.Use)}
		case len(args) > highest:
			return usageError{fmt.Errorf("%s does not take the argument %q", c.CommandPath(), args[highest])}
		}
		return nil
	}
}

// configFlag adds --config to a command.
func configFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "", "configuration `FILE` (default "+config.DefaultPath+" if it exists)")
}

// load reads the configuration and prints its warnings.
func (a *app) load(path string) (*config.Loaded, error) {
	loaded, err := config.Load(path, a.environ)
	if err != nil {
		return nil, err
	}
	a.warn(loaded.Warnings)
	return loaded, nil
}

// warn prints warnings.
func (a *app) warn(warnings config.Problems) {
	for _, w := range warnings {
		fmt.Fprintf(a.err, "warning: %v\n", w)
	}
}
