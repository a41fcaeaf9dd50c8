package ruleset

import (
	"time"

	"assay/rules"
)

// A compiled set, and what the Manager wants to know of it.
type compiled struct {
	set   *rules.Set
	sha   string
	rules []rules.RuleInfo
}

// An engine is package rules, as the Manager uses it. It is called by several goroutines at a time.
type engine interface {
	load(sources []rules.Source, opt rules.Options) (compiled, rules.Problems)
	diff(old, current compiled) rules.Difference
	expiring(set *rules.Set, within time.Duration, now time.Time) []rules.ExceptionInfo
}

// A rulesEngine is the real one.
type rulesEngine struct{}

func (rulesEngine) load(sources []rules.Source, opt rules.Options) (compiled, rules.Problems) {
	set, problems := rules.Load(sources, opt)
	if set == nil {
		return compiled{}, problems
	}
	return compiled{set: set, sha: set.Hash(), rules: set.Rules()}, problems
}

func (rulesEngine) diff(old, current compiled) rules.Difference {
	return rules.Diff(old.set, current.set)
}

func (rulesEngine) expiring(set *rules.Set, within time.Duration, now time.Time) []rules.ExceptionInfo {
	return set.Expiring(within, now)
}
