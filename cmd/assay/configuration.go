package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"assay/cmd/internal/config"
	"assay/rules"
)

// config returns the commands about the configuration.
func (a *app) config() *cobra.Command {
	return group("config", "Check, show and document the configuration", "", a.configCheck(), a.configShow(), a.configSchema(),
		a.configExample())
}

// configCheck returns "config check".
func (a *app) configCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Report every problem of the configuration and of the rules",
		Long: "Report every problem of the configuration and of the rules it names, each with its place, and warnings about what is\n" +
			"probably not meant.\n" +
			"Exit codes: 0 no problem, 1 problems, 2 warnings with --strict.",
		Args: args(0, 1),
	}
	path := configFlag(c)
	noRules := c.Flags().Bool("no-rules", false, "leave out the rules, which are checked by default")
	strict := c.Flags().Bool("strict", false, "exit with 2 if there are warnings")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 1 {
			if *path != "" {
				return usageError{fmt.Errorf("the file is named twice, %q and %q", *path, args[0])}
			}
			*path = args[0]
		}
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		system := loaded.System()
		a.warn(system)
		var problems rules.Problems
		if !*noRules {
			l := &loadedRules{config: loaded.Config, sources: ruleSources(loaded.Config, false, loaded.Origin)}
			l.load(a.now())
			if err := a.printProblems(l); err != nil {
				return err
			}
			problems = l.problem
		}
		where := loaded.File
		if where == "" {
			where = "no configuration file, defaults"
		}
		fmt.Fprintf(a.out, "%s: ok\n", where)
		if *strict && len(loaded.Warnings)+len(system)+len(problems) > 0 {
			return exitError(exitUsage)
		}
		return nil
	}
	return c
}

// configShow returns "config show".
func (a *app) configShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration",
		Args:  args(0, 0),
	}
	path := configFlag(c)
	origin := c.Flags().Bool("origin", false, "say where each value comes from: default, file:line or environment")
	c.RunE = func(*cobra.Command, []string) error {
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		_, err = a.out.Write(loaded.Show(*origin))
		return err
	}
	return c
}

// configSchema returns "config schema".
func (a *app) configSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(config.Schema())
			return err
		},
	}
}

// configExample returns "config example".
func (a *app) configExample() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a configuration file with every key, documented and commented out",
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(config.Example())
			return err
		},
	}
}
