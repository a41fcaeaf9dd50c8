package rules

import (
	"context"
	"time"
)

// A Set is a complete, checked set of rules. It is immutable and safe for concurrent use.
type Set struct{}

// Load reads, checks and compiles the rule files of sources. The files of one source are taken in the order of their
// names, the sources in the order given. All problems are returned, ordered by place; with errors among them the set is
// nil.
func Load(sources []Source, opt Options) (*Set, Problems) { return &Set{}, nil }

// DecideFrom decides about the message that p supplies facts about. When ctx ends first, the decision is to defer.
func (s *Set) DecideFrom(ctx context.Context, p Provider) Decision { return Decision{} }

// Explain decides like DecideFrom and says for each rule, in evaluation order, why.
func (s *Set) Explain(ctx context.Context, p Provider) (Decision, []Trace) { return Decision{}, nil }

// Hash returns the SHA-256 over the names and contents of all files, tests and lists included, in lower-case hex.
func (s *Set) Hash() string { return "" }

// Files returns all files of the set in the order in which they were read.
func (s *Set) Files() []File { return nil }

// Rules returns all rules in evaluation order.
func (s *Set) Rules() []RuleInfo { return nil }

// Rule returns the rule with an id, or the one that replaces it.
func (s *Set) Rule(id string) (RuleInfo, bool) { return RuleInfo{}, false }

// Lists returns all lists by name.
func (s *Set) Lists() []ListInfo { return nil }

// Macros returns all macros by name.
func (s *Set) Macros() []MacroInfo { return nil }

// Group returns a key for a recipient: recipients with the same key are treated alike by every recipient pattern of the
// set, so they may share one transaction.
func (s *Set) Group(recipient string) string { return "" }

// Expiring returns the exceptions that expire within the given time, and those that have expired, by date.
func (s *Set) Expiring(within time.Duration, now time.Time) []ExceptionInfo { return nil }

// Diff says what distinguishes two sets. A nil set has no rules.
func Diff(old, current *Set) Difference { return Difference{} }

// Schema returns the JSON Schema of rule files and of test files, for editors.
func Schema() []byte { return nil }
