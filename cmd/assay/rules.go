package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"assay/cmd/internal/config"
	"assay/milter/ruleset"
	"assay/rules"
	"assay/rules/facts"
	"assay/rules/ruletest"
	"assay/rules/shipped"
)

// rules returns the commands about rules.
func (a *app) rules() *cobra.Command {
	return group("rules", "Check, test, show, compare and roll back rules", "",
		a.rulesCheck(), a.rulesTest(), a.rulesList(), a.rulesShow(), a.rulesFacts(), a.rulesSchema(), a.rulesReplay(),
		a.rulesDiff(), a.rulesHistory(), a.rulesRollback(), a.rulesExport())
}

// A ruleFlags says which rules a command is about.
type ruleFlags struct {
	config *string
	alone  bool
}

// ruleSetFlags adds the flags of commands that load rules.
func ruleSetFlags(c *cobra.Command) *ruleFlags {
	f := &ruleFlags{config: configFlag(c)}
	c.Flags().BoolVar(&f.alone, "alone", false, "leave out the rules that come with Assay")
	return f
}

// A loadedRules is a set that was loaded for a command.
type loadedRules struct {
	config  *config.Config
	sources []rules.Source
	set     *rules.Set // nil if there are errors
	problem rules.Problems
}

// loadRules loads the directories on the command line, together with the rules that come with Assay, or without arguments
// those of the configuration. A directory that defines the shipped rules itself, such as a copy of them, is taken alone.
func (a *app) loadRules(f *ruleFlags, dirs []string) (*loadedRules, error) {
	loaded, err := a.load(*f.config)
	if err != nil {
		return nil, err
	}
	l := &loadedRules{config: loaded.Config}
	if len(dirs) == 0 {
		l.sources = ruleSources(l.config, false, loaded.Origin)
		if f.alone {
			l.sources = slices.DeleteFunc(l.sources, func(s rules.Source) bool { return s.Name == "" })
		}
		l.load(a.now())
		return l, nil
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil {
			return nil, err
		} else if !info.IsDir() {
			return nil, fmt.Errorf("%s is not a directory of rule files", dir)
		}
		l.sources = append(l.sources, rules.Source{Name: dir, Files: os.DirFS(dir)})
	}
	own := l.sources
	if !f.alone {
		l.sources = append([]rules.Source{shippedSource()}, own...)
	}
	l.load(a.now())
	if l.set == nil && !f.alone && copied(l.problem) {
		fmt.Fprintln(a.err, "note: the directory holds copies of rules that come with Assay, so it is taken alone, as with --alone; in assay.yaml "+
			"rules.dirs must not name \"shipped\" beside it")
		l = &loadedRules{config: l.config, sources: own}
		l.load(a.now())
	}
	return l, nil
}

// maxCopied is how many rules of the shipped set a directory may define again by mistake. With more it is a set of its own.
const maxCopied = 2

// copied reports whether the problems of a directory that was loaded beside the shipped rules come from being a copy of them.
func copied(problems rules.Problems) bool {
	n := 0
	for _, p := range problems {
		if strings.HasPrefix(p.Message, "rule id ") && strings.Contains(p.Message, "is already used in") {
			n++
		}
	}
	return n > maxCopied
}

// load loads the sources.
func (l *loadedRules) load(now time.Time) {
	l.set, l.problem = rules.Load(l.sources, ruleOptions(l.config, now))
}

// printProblems prints what is wrong and returns the error that ends the command, nil if the rules can be used.
func (a *app) printProblems(l *loadedRules) error {
	for _, p := range l.problem {
		fmt.Fprintln(a.err, p.String())
	}
	if n := len(l.problem.Errors()); n > 0 {
		fmt.Fprintf(a.err, "%s, the rules cannot be used\n", plural(n, "error"))
		return exitError(exitFailed)
	}
	return nil
}

// rulesCheck returns "rules check".
func (a *app) rulesCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check [DIR...]",
		Short: "Report every problem of the rules",
		Long: "Report every problem of the rules in the directories, each with its place and what to do about it, and warnings. They\n" +
			"are checked together with the rules that come with Assay, unless they are a copy of those. Without a\n" +
			"directory the rules of the configuration are checked.\n" +
			"Exit codes: 0 no problem, 1 problems, 2 warnings with --strict.",
		Args: cobra.ArbitraryArgs,
	}
	f := ruleSetFlags(c)
	strict := c.Flags().Bool("strict", false, "exit with 2 if there are warnings")
	c.RunE = func(c *cobra.Command, args []string) error {
		l, err := a.loadRules(f, args)
		if err != nil {
			return err
		}
		if l.set != nil { // the test files are read, but no test is run
			opt := testOptions(l.config, a.now())
			opt.Only = func(string) bool { return false }
			l.problem = append(l.problem, ruletest.Run(c.Context(), l.set, l.sources, opt).Problems...)
		}
		if err := a.printProblems(l); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s: ok, %s\n", plural(len(l.set.Rules()), "rule"), l.set.Hash()[:12])
		if *strict && len(l.problem) > 0 {
			return exitError(exitUsage)
		}
		return nil
	}
	return c
}

// rulesList returns "rules list".
func (a *app) rulesList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list [DIR...]",
		Short: "List the rules with mode, severity and what they ask for",
		Args:  cobra.ArbitraryArgs,
	}
	f := ruleSetFlags(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(_ *cobra.Command, args []string) error {
		l, err := a.loadRules(f, args)
		if err != nil {
			return err
		}
		if err := a.printProblems(l); err != nil {
			return err
		}
		if *asJSON {
			return encode(a.out, l.set.Rules())
		}
		w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tMODE\tSEVERITY\tASKS FOR\tTITLE")
		for _, r := range l.set.Rules() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.Mode, r.Severity, strings.Join(r.Actions, "; "), r.Title)
		}
		return w.Flush()
	}
	return c
}

// rulesShow returns "rules show".
func (a *app) rulesShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID [DIR...]",
		Short: "Show everything about one rule",
		Args:  cobra.MinimumNArgs(1),
	}
	f := ruleSetFlags(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(_ *cobra.Command, args []string) error {
		l, err := a.loadRules(f, args[1:])
		if err != nil {
			return err
		}
		if err := a.printProblems(l); err != nil {
			return err
		}
		r, found := l.set.Rule(args[0])
		if !found {
			return fmt.Errorf("there is no rule %q%s", args[0], config.DidYouMean(args[0], ids(l.set)))
		}
		if *asJSON {
			return encode(a.out, r)
		}
		showRule(a.out, r)
		return nil
	}
	return c
}

// ids returns the ids of a set.
func ids(set *rules.Set) []string {
	var all []string
	for _, r := range set.Rules() {
		all = append(all, r.ID)
	}
	return all
}

// showRule writes everything about a rule.
func showRule(w io.Writer, r rules.RuleInfo) {
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-16s%s\n", name, strings.ReplaceAll(strings.TrimSpace(value), "\n", "\n"+strings.Repeat(" ", 16)))
		}
	}
	field("id", r.ID)
	field("title", r.Title)
	field("description", r.Description)
	field("severity", string(r.Severity))
	field("mode", string(r.Mode))
	field("defined in", place(r.Origin))
	field("overridden in", place(r.Overridden))
	field("because", r.OverrideReason)
	field("when", r.Condition)
	for _, action := range r.Actions {
		field("then", action)
	}
	field("on error", r.OnError)
	field("stage", r.Stage)
	field("controls", strings.Join(r.Controls, ", "))
	field("references", strings.Join(r.References, ", "))
	field("false positives", strings.Join(r.FalsePositives, "\n"))
	field("owner", r.Owner)
	field("since", r.Since)
	field("modified", r.Modified)
	field("replaces", strings.Join(r.Replaces, ", "))
	for _, e := range r.Exceptions {
		field("exception", fmt.Sprintf("%s: %s, until %s\n%s (%s)", e.ID, e.Applies, e.Expires.AddDate(0, 0, -1).Format(time.DateOnly), e.Reason, e.Owner))
	}
}

// place writes a position.
func place(p rules.Position) string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// rulesFacts returns "rules facts".
func (a *app) rulesFacts() *cobra.Command {
	c := &cobra.Command{
		Use:   "facts [NAME]",
		Short: "List everything that rules can ask about a message",
		Long:  "List every fact: name, type, possible values, what it means, and an example. NAME selects those whose name contains it.",
		Args:  args(0, 1),
	}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(_ *cobra.Command, args []string) error {
		docs := facts.Docs()
		if len(args) == 1 {
			docs = slices.DeleteFunc(docs, func(d facts.Doc) bool { return !strings.Contains(d.Name, args[0]) })
			if len(docs) == 0 {
				return fmt.Errorf("there is no fact whose name contains %q", args[0])
			}
		}
		if *asJSON {
			return encode(a.out, docs)
		}
		for _, d := range docs {
			fmt.Fprintf(a.out, "%s  (%s, known at stage %s)\n    %s\n", d.Name, d.Type, d.Stage, d.Doc)
			if len(d.Values) > 0 {
				fmt.Fprintf(a.out, "    one of: %s\n", strings.Join(quoteEmpty(d.Values), ", "))
			}
			if d.Example != "" {
				fmt.Fprintf(a.out, "    %s\n", d.Example)
			}
		}
		return nil
	}
	return c
}

// quoteEmpty makes the empty value visible.
func quoteEmpty(values []string) []string {
	shown := make([]string, len(values))
	for i, v := range values {
		shown[i] = cmp.Or(v, `""`)
	}
	return shown
}

// rulesSchema returns "rules schema".
func (a *app) rulesSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of rule files, for editors",
		Long: "Print the JSON Schema of rule files and their tests. An editor that finds the line\n\n" +
			"    # yaml-language-server: $schema=/usr/share/assay/rules.schema.json\n\n" +
			"at the top of a rule file completes its keys and marks mistakes.",
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(rules.Schema())
			return err
		},
	}
}

// rulesExport returns "rules export".
func (a *app) rulesExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export DIR",
		Short: "Write the rules that come with Assay to a directory, for reading",
		Long: "Write the rules that come with Assay, their tests and the schema for editors to a directory that does not exist or\n" +
			"is empty. Change a rule by an override in a directory of your own, not in the copy.",
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			return exportRules(args[0])
		},
	}
}

// exportRules writes the shipped rules into a directory.
func exportRules(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.CopyFS(dir, shipped.Files); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(filepath.Clean(dir)), "rules.schema.json"), rules.Schema(), 0o644)
}

// offline returns a manager of the configured rules that has put none into force. It reads what a daemon has stored.
func (a *app) offline(c *config.Config) *ruleset.Manager {
	return ruleset.New(rulesetConfig(c, a.now()), ruleset.Options{State: c.Rules.State})
}

// rulesDiff returns "rules diff".
func (a *app) rulesDiff() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff [OLD [NEW]]",
		Short: "Show what distinguishes two rule sets",
		Long: "Show what distinguishes two rule sets: ids, and a diff of the files. OLD and NEW are hashes of \"assay rules history\",\n" +
			"the beginnings of them, or one of the words current, previous and disk. Without NEW it is disk, the rule files as they\n" +
			"are now, and without OLD it is current, the set in force.",
		Args: args(0, 2),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		args = append(args, ruleset.InForce, ruleset.OnDisk)
		from, to := args[0], args[1]
		if len(args) == 3 {
			to = ruleset.OnDisk
		}
		d, err := a.offline(loaded.Config).Diff(c.Context(), from, to)
		if err != nil {
			return err
		}
		for _, id := range d.Rules.Added {
			fmt.Fprintf(a.out, "added    %s\n", id)
		}
		for _, id := range d.Rules.Removed {
			fmt.Fprintf(a.out, "removed  %s\n", id)
		}
		for _, r := range d.Rules.Changed {
			fmt.Fprintf(a.out, "changed  %s: %s\n", r.ID, strings.Join(r.Fields, ", "))
		}
		_, err = io.WriteString(a.out, d.Files)
		return err
	}
	return c
}

// rulesHistory returns "rules history".
func (a *app) rulesHistory() *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "Show who put which rules into force, and when",
		Args:  args(0, 0),
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(*cobra.Command, []string) error {
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		records, err := a.offline(loaded.Config).History()
		if err != nil {
			return err
		}
		if *asJSON {
			return encode(a.out, records)
		}
		for _, r := range records {
			fmt.Fprintf(a.out, "%s  %-9s %-10s %.12s  %s, by %s%s\n", r.Time.Format(time.RFC3339), r.Action, r.Result, cmp.Or(r.SHA, "-"),
				plural(r.Rules, "rule"), r.Who, changesText(r))
		}
		return nil
	}
	return c
}

// changesText sums up what an entry of the history changed.
func changesText(r ruleset.Record) string {
	var parts []string
	for what, names := range map[string][]string{"added": r.Added, "removed": r.Removed} {
		if len(names) > 0 {
			parts = append(parts, what+" "+strings.Join(names, " "))
		}
	}
	for _, change := range r.Changed {
		parts = append(parts, "changed "+change.ID+" ("+strings.Join(change.Fields, ", ")+")")
	}
	slices.Sort(parts)
	if r.Reason != "" {
		parts = append(parts, firstLine(r.Reason))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, "; ")
}

// rulesRollback returns "rules rollback".
func (a *app) rulesRollback() *cobra.Command {
	c := &cobra.Command{
		Use:   "rollback [SHA]",
		Short: "Put an earlier rule set into force again",
		Long: "Put an earlier rule set into force again, by its hash in \"assay rules history\", or the one before the present one. It\n" +
			"stays in force, after restarts too, until the next \"assay ctl reload\". Assay must be running.",
		Args: args(0, 1),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		target := ruleset.Previous
		if len(args) == 1 {
			target = args[0]
		}
		return a.control(c.Context(), *path, "rollback", map[string]string{"target": target})
	}
	return c
}

// plural returns "1 rule", "2 rules".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
