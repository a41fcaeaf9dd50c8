package main

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"slices"
	"time"

	"assay/cmd/internal/config"
	"assay/milter/ruleset"
	"assay/rules"
	"assay/rules/ruletest"
	"assay/rules/shipped"
)

// shippedSource is the rule set that comes with Assay.
func shippedSource() rules.Source { return rules.Source{Files: shipped.Files} }

// ruleSources returns the directories of rules of a configuration. The local directory may be missing, and so may the copy
// of the shipped rules, which are in the program. A manager, which watches that the local directory does not vanish, gets it all
// the same. origin says where a key of the configuration is set; nil if nobody knows.
func ruleSources(c *config.Config, watched bool, origin func(key string) string) []rules.Source {
	var sources []rules.Source
	for _, dir := range c.Rules.Dirs {
		_, err := os.Stat(dir)
		switch {
		case dir == config.Shipped, dir == config.VendorRules && os.IsNotExist(err):
			sources = append(sources, shippedSource())
		case dir == config.LocalRules && watched:
			sources = append(sources, ruleset.OptionalDirectory(dir))
		case dir == config.LocalRules && os.IsNotExist(err):
		default:
			sources = append(sources, ruleset.Directory(dir))
		}
	}
	if c.Verify.DMARC.Enforce {
		const key = "verify.dmarc.enforce"
		setting := func(string) rules.Setting { return settingOf(key, "true", "false", origin) }
		sources = append(sources, rules.Source{Name: key, Files: within(enforceDMARC, "enforce"), Setting: setting})
	}
	if files := decisions(c); len(files) > 0 {
		sources = append(sources, decisionSource(files, origin))
	}
	return sources
}

// enforceDMARC holds the rule file that verify.dmarc.enforce stands for.
//
//go:embed enforce
var enforceDMARC embed.FS

// ruleOptions returns what rules may refer to.
func ruleOptions(c *config.Config, now time.Time) rules.Options {
	return rules.Options{
		OrgDomains: c.Identity.Domains, HeaderPrefix: c.Headers.Prefix, Channels: channels(c), Release: c.Quarantine.ReleaseClass, ReadList: ruleset.ReadFile,
		Now: now, Deadline: c.Rules.Time,
	}
}

// channels returns the names that notify may use. It is never nil: a channel that nobody has configured is a mistake.
func channels(c *config.Config) []string {
	names := []string{}
	for _, m := range []map[string]string{c.Notify.Mail, c.Notify.Webhook} {
		for name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// within returns a directory of an embedded file system, which is there.
func within(files fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return sub
}

// rulesetConfig returns what the rule set in force is made of.
func rulesetConfig(c *config.Config, now time.Time) ruleset.Config {
	rc := ruleset.Config{Sources: ruleSources(c, true, nil), Rules: ruleOptions(c, now)}
	if c.Rules.RunTests {
		rc.Test = func(ctx context.Context, set *rules.Set, sources []rules.Source) rules.Problems {
			return ruletest.Run(ctx, set, sources, testOptions(c, now)).Err()
		}
	}
	return rc
}

// An inForce lets the rules that are in force at the moment decide.
type inForce struct{ manager *ruleset.Manager }

// DecideFrom implements filter.Rules.
func (f inForce) DecideFrom(ctx context.Context, p rules.Provider) rules.Decision {
	return f.manager.Current().Set.DecideFrom(ctx, p)
}

// Explain implements filter.Rules.
func (f inForce) Explain(ctx context.Context, p rules.Provider) (rules.Decision, []rules.Trace) {
	return f.manager.Current().Set.Explain(ctx, p)
}

// group returns the policy group of a recipient under the rules in force.
func (f inForce) group(recipient string) string { return f.manager.Current().Set.Group(recipient) }
