// Package ruleset keeps the rule set that is in force, and the ones that were: it reads the directories of rule files,
// has them checked and tested, puts them into force without dropping a message, remembers who did that and when, and
// leads back to an earlier set.
//
// A set gets into force as a whole or not at all. It is read completely into memory, and only when nothing changes
// meanwhile; it passes the one validator and its own tests; then it is stored under its hash, recorded in the history,
// and one pointer is exchanged. Whatever goes wrong before that leaves the old set in force. Messages keep the set
// that they began with.
//
// What it refuses to do: it never puts other rules in place of the operator's. Where the configured directories cannot
// be used at the start, the last set that was in force is used and said to be a fallback; where there is none either,
// the start fails, and the MTA keeps the mail.
package ruleset

import (
	"context"
	"time"

	"assay/rules"
)

// DefaultState is where sets and history are kept unless Options say otherwise.
const DefaultState = "/var/lib/assay/rules"

// Options configure a Manager. The zero value is useful.
type Options struct {
	// State is the directory of stored sets and history; it is made with mode 0700. Default DefaultState. Where it cannot
	// be written, sets get into force all the same, and Status says that they are not stored.
	State string
	// Keep is how many sets are stored, the one in force included. Default 20.
	Keep int
	// MaxHistory bounds the octets of the history; the older half of a larger one is dropped. Default 4 MiB.
	MaxHistory int
	// Expiring is how long before their end exceptions are listed in Status. Default 30 days.
	Expiring time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time

	Limits Limits
}

// Limits bound what is read. The zero value of every field stands for the default.
type Limits struct {
	Files    int   // most files of a set, tests and their data included; default 5000
	FileSize int64 // most octets of one file; default 16 MiB
	Size     int64 // most octets of all files; default 128 MiB
	Depth    int   // deepest directory inside of a source, which also ends loops of symbolic links; default 16
	// Settle is for how long nothing must have changed in the directories before they are believed to be complete. A
	// directory that was changed just now is read again after this time. Default 1 s; negative for not at all.
	Settle time.Duration
	// Patience is how long to wait for directories that keep changing. Default 10 s.
	Patience time.Duration
}

// Defaults of Options and Limits.
const (
	defaultKeep       = 20
	defaultMaxHistory = 4 << 20
	defaultExpiring   = 30 * 24 * time.Hour
	defaultFiles      = 5000
	defaultFileSize   = 16 << 20
	defaultSize       = 128 << 20
	defaultDepth      = 16
	defaultSettle     = time.Second
	defaultPatience   = 10 * time.Second
)

// withDefaults returns o with every unset field filled in.
func (o Options) withDefaults() Options {
	if o.State == "" {
		o.State = DefaultState
	}
	setDefault(&o.Keep, defaultKeep)
	setDefault(&o.MaxHistory, defaultMaxHistory)
	setDefault(&o.Expiring, defaultExpiring)
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Limits = o.Limits.withDefaults()
	return o
}

// withDefaults returns l with every unset field filled in.
func (l Limits) withDefaults() Limits {
	setDefault(&l.Files, defaultFiles)
	setDefault(&l.FileSize, defaultFileSize)
	setDefault(&l.Size, defaultSize)
	setDefault(&l.Depth, defaultDepth)
	if l.Settle == 0 {
		l.Settle = defaultSettle
	}
	setDefault(&l.Patience, defaultPatience)
	return l
}

// setDefault replaces a value that is not positive.
func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// A Config is what a set is made of: the part of the configuration that a reload may bring with it.
type Config struct {
	// Sources are the directories of rule files in their order, vendor first. Directory makes one of a path.
	Sources []rules.Source
	// Rules are the options of the validator. Now is set by the Manager. With a ReadList, which usually is ReadFile, list
	// files with absolute paths are read through it and stored with the set.
	Rules rules.Options
	// Test runs the tests of a set and returns what fails, as problems; an error that is no warning keeps the set from
	// getting into force. It is called once per activation from the directories, never for a stored set: that passed when
	// it was new. Nil runs no tests.
	Test func(ctx context.Context, set *rules.Set, sources []rules.Source) rules.Problems
}

// An Active is a set in force. It is immutable.
type Active struct {
	Set      *rules.Set
	SHA      string         // Set.Hash()
	Since    time.Time      // when it got into force
	Fallback bool           // it is not what the configuration asks for, which could not be used
	Pinned   bool           // a rollback has put it into force, and no reload has followed
	Warnings rules.Problems // of the validator and of the tests

	compiled compiled
	unstored *Snapshot // its files, if they could not be stored
}

// A Result tells what came of Start, Reload or Rollback. After a failure it holds what is known.
type Result struct {
	SHA      string           `json:"sha,omitempty"`      // the set now in force
	Previous string           `json:"previous,omitempty"` // the one before, "" if there was none
	Rules    int              `json:"rules"`              // of the set now in force
	Changes  rules.Difference `json:"changes"`            // from Previous to SHA
	Fallback bool             `json:"fallback,omitempty"`
	Pinned   bool             `json:"pinned,omitempty"`
	Problems rules.Problems   `json:"problems,omitempty"` // of the directories; after a success warnings only, but for a fallback
	Warnings []string         `json:"warnings,omitempty"` // of the activation: what could not be stored, whose pin was released
}

// A Status describes the set in force and the last activation that failed.
type Status struct {
	SHA       string                `json:"sha"`
	Since     time.Time             `json:"since"`
	Rules     int                   `json:"rules"`
	Monitored int                   `json:"monitored"` // rules in mode monitor
	Off       int                   `json:"off"`       // rules in mode off
	Fallback  bool                  `json:"fallback"`
	Pinned    bool                  `json:"pinned"`
	Stored    bool                  `json:"stored"`             // the set survives a restart
	Failed    string                `json:"failed,omitempty"`   // why the last activation failed, "" if it did not
	FailedAt  time.Time             `json:"failed_at,omitzero"` //
	Warnings  []string              `json:"warnings,omitempty"` // what could not be stored, and what the validator warns of
	Expiring  []rules.ExceptionInfo `json:"expiring,omitempty"` // exceptions that end soon or have ended
}

// An Action is what somebody did.
type Action string

// The actions.
const (
	Started    Action = "start"
	Reloaded   Action = "reload"
	RolledBack Action = "rollback"
)

// An Ending is how an action ended.
type Ending string

// The endings.
const (
	Activated Ending = "activated" // another set is in force now
	Unchanged Ending = "unchanged" // the same set is in force as before
	FellBack  Ending = "fallback"  // the directories cannot be used, the last good set is in force
	Refused   Ending = "refused"   // the old set stays in force
)

// A Record is one entry of the history.
type Record struct {
	Time     time.Time          `json:"time"`
	Who      string             `json:"who"`
	Action   Action             `json:"action"`
	Result   Ending             `json:"result"`
	SHA      string             `json:"sha,omitempty"`      // the set in force afterwards
	Previous string             `json:"previous,omitempty"` // the set in force before
	Rules    int                `json:"rules"`              // of SHA
	Added    []string           `json:"added,omitempty"`    // ids of rules that Previous does not have
	Removed  []string           `json:"removed,omitempty"`  // ids of rules that only Previous has
	Changed  []rules.RuleChange `json:"changed,omitempty"`
	Problems int                `json:"problems"`         // errors of the directories
	Reason   string             `json:"reason,omitempty"` // the first of them, or why else it did not work
	Warnings []string           `json:"warnings,omitempty"`
}

// A Comparison is what distinguishes two sets.
type Comparison struct {
	Old   string           `json:"old"` // hash
	New   string           `json:"new"`
	Rules rules.Difference `json:"rules"`
	Files string           `json:"files"` // unified diff of all text files, bounded; "" if they are the same
	// Note says why Rules is empty although the files differ: a stored set does not pass today's validator.
	Note string `json:"note,omitempty"`
}
