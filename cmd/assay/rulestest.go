package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"assay/rules/ruletest"
)

// rulesTest returns "rules test".
func (a *app) rulesTest() *cobra.Command {
	c := &cobra.Command{
		Use:   "test [DIR...]",
		Short: "Run the tests beside the rules",
		Long: "Run the tests beside the rules (files that end in _test.yaml), and say which rules and exceptions no test covers.\n" +
			"The rules are loaded as by \"assay rules check\".\n" +
			"Exit codes: 0 all passed, 1 a test failed or the rules cannot be used, 2 wrong usage.",
		Args: cobra.ArbitraryArgs,
	}
	f := ruleSetFlags(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	junit := c.Flags().String("junit", "", "write a JUnit report to `FILE`, for CI systems; - is standard output")
	colour := c.Flags().String("color", "auto", "colours: auto, always or never")
	c.RunE = func(c *cobra.Command, args []string) error {
		colours, err := a.colours(*colour, false)
		if err != nil {
			return err
		}
		l, err := a.loadRules(f, args)
		if err != nil {
			return err
		}
		if err := a.printProblems(l); err != nil {
			return err
		}
		report := ruletest.Run(c.Context(), l.set, l.sources, testOptions(l.config, a.now()))
		if *junit != "" {
			if err := a.writeFile(*junit, report.JUnit); err != nil {
				return err
			}
		}
		switch {
		case *asJSON:
			err = report.JSON(a.out)
		case *junit != "-":
			err = report.Text(a.out, colours)
		}
		if err == nil && report.ExitCode() != 0 {
			err = exitError(report.ExitCode())
		}
		return err
	}
	return c
}

// writeFile has write fill a file, or standard output if its name is "-".
func (a *app) writeFile(name string, write func(io.Writer) error) (err error) {
	if name == "-" {
		return write(a.out)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

// rulesReplay returns "rules replay".
func (a *app) rulesReplay() *cobra.Command {
	c := &cobra.Command{
		Use:   "replay --candidate DIR MAILDIR...",
		Short: "Show what would change for stored mail if other rules were in force",
		Long: "Show what would change for stored mail if the rules in DIR were in force: per rule, per disposition, and message by\n" +
			"message. Mail is read from Maildirs, directories of .eml files, and files. It is compared with the rules of the\n" +
			"configuration, or with those of --current. Nothing is delivered, and no mail is changed. The DNS is asked as it is\n" +
			"today, unless --dns names a zone file.\n" +
			"Exit codes: 0 nothing would change, 1 something would or could not be judged, 2 wrong usage.",
		Args: cobra.MinimumNArgs(1),
	}
	f := ruleSetFlags(c)
	candidate := c.Flags().StringArray("candidate", nil, "`DIR` with the rules to try; may be given several times")
	current := c.Flags().StringArray("current", nil, "`DIR` with the rules to compare with, instead of those of the configuration")
	zoneFile := c.Flags().String("dns", "", "answer DNS questions from `ZONEFILE`")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	colour := c.Flags().String("color", "auto", "colours: auto, always or never")
	c.RunE = func(c *cobra.Command, args []string) error {
		colours, err := a.colours(*colour, false)
		if err != nil {
			return err
		}
		if len(*candidate) == 0 {
			return usageError{errors.New("rules replay needs --candidate DIR")}
		}
		old, err := a.usableRules(f, *current)
		if err != nil {
			return err
		}
		next, err := a.usableRules(f, *candidate)
		if err != nil {
			return err
		}
		replay, err := a.replay(c.Context(), old, next, *zoneFile, args)
		if err != nil {
			return err
		}
		if *asJSON {
			err = replay.JSON(a.out)
		} else {
			err = replay.Text(a.out, colours)
		}
		if err == nil && (replay.ChangedTotal > 0 || replay.ErrorsTotal > 0 || replay.Stopped) {
			err = exitError(exitFailed)
		}
		return err
	}
	return c
}

// replay lets two sets decide about the mail in files and directories.
func (a *app) replay(ctx context.Context, old, next *loadedRules, zoneFile string, paths []string) (*ruletest.Replay, error) {
	resolver, err := (&scene{zone: zoneFile}).resolver(old.config)
	if err != nil {
		return nil, err
	}
	signatures, err := newSignatures(old.config, false)
	if err != nil {
		return nil, err
	}
	defer signatures.Close()
	opt := verifyOptions(old.config, resolver, false)
	opt.SMIME = signatures.Verifier
	files, err := a.newInspection(old.config, inspectionObserver{})
	if err != nil {
		return nil, err
	}
	defer files.close()
	messages := ruletest.Messages(ctx, paths, ruletest.MessageOptions{
		Verify: opt, Scanners: scanners(old.config, files, signatures.Verifier), Limits: messageLimits(old.config), Now: a.now(),
	})
	return ruletest.Compare(ctx, old.set, next.set, messages, ruletest.CompareOptions{}), nil
}

// usableRules loads rules and prints why they cannot be used.
func (a *app) usableRules(f *ruleFlags, dirs []string) (*loadedRules, error) {
	l, err := a.loadRules(f, dirs)
	if err != nil {
		return nil, err
	}
	l.problem = l.problem.Errors()
	return l, a.printProblems(l)
}
