package rules

import (
	"io/fs"
	"time"
)

// A Source is one directory of rule files. The files that end in .yaml are read in the order of their names; those that
// end in _test.yaml hold tests.
type Source struct {
	Name  string // of the directory as people know it, "" for the rules that come with Assay
	Files fs.FS
	// Setting returns what of the configuration a file stands for. It is nil for files that people have written, which are told
	// when they are in the way of a setting.
	Setting func(file string) Setting
}

// A Setting is a key of the configuration that the program puts into force by rules.
type Setting struct {
	Text string // what is set, and where if that is known: "scan.unscanned.archive is quarantine (assay.yaml:5)"
	Undo string // how to leave it to rules: "set scan.unscanned.archive to rules"
}

// Options say what rules may refer to and what they may cost. The zero value is useful.
type Options struct {
	OrgDomains   []string                          // the organization's own domains, the list org_domains
	HeaderPrefix string                            // what names of added header fields begin with, "X-Assay" by default
	Channels     []string                          // what notify may name; nil allows every name
	ReadList     func(path string) ([]byte, error) // reads list files with an absolute path; nil forbids them
	Release      Release                           // who may release quarantined mail when its rule does not say so, ReleaseOperator by default
	Now          time.Time                         // tells expired exceptions; the zero time leaves out the warnings

	MaxFiles    int           // most files of one set, 1000 by default
	MaxFileSize int           // most octets of one file, 8 MiB by default
	MaxCost     uint64        // highest cost of one expression, estimated at load; 50 million by default
	RunCost     uint64        // cost at which the evaluation of one expression is cut off, 1 million by default
	Deadline    time.Duration // how long all rules may take for one message, 1 s by default
}

// A Provider supplies the facts about one message: the variables that expressions name. It is asked by one goroutine
// at a time, for each name as often as expressions need it, and keeps what it has computed. *facts.Facts is one.
type Provider interface {
	ResolveName(name string) (any, bool)
}

// A File is one file of a rule set, as it was read.
type File struct {
	Source string // name of the Source it is from
	Name   string // path inside of the source, or the absolute path of a list file
	Text   []byte
	Test   bool // it holds tests
}

// A Position is a place in a rule file.
type Position struct {
	File string // as shown to people
	Line int
}

// A RuleInfo is one rule as people want to see it.
type RuleInfo struct {
	ID             string          `json:"id"`
	Title          string          `json:"title"`
	Description    string          `json:"description,omitempty"`
	Severity       Severity        `json:"severity"`
	Mode           Mode            `json:"mode"`
	Stage          string          `json:"stage"`      // the earliest stage at which its facts are known
	Source         string          `json:"source"`     // name of the Source that defines it, "" for the rules that come with Assay
	Origin         Position        `json:"origin"`     // where it is defined
	Overridden     Position        `json:"overridden"` // where it is overridden, the zero value if it is not
	OverrideReason string          `json:"override_reason,omitempty"`
	Replaces       []string        `json:"replaces,omitempty"` // ids that still lead to it
	Controls       []string        `json:"controls,omitempty"`
	References     []string        `json:"references,omitempty"`
	FalsePositives []string        `json:"false_positives,omitempty"`
	Owner          string          `json:"owner,omitempty"`
	Since          string          `json:"since,omitempty"`
	Modified       string          `json:"modified,omitempty"`
	OnError        string          `json:"on_error"`
	Condition      string          `json:"condition"` // as it is written
	Actions        []string        `json:"actions"`   // in words
	Asks           Disposition     `json:"asks"`      // Deliver if it asks for none
	Exceptions     []ExceptionInfo `json:"exceptions,omitempty"`
}

// An ExceptionInfo is one exception of a rule as people want to see it.
type ExceptionInfo struct {
	Rule    string    `json:"rule"`
	ID      string    `json:"id"`
	Applies string    `json:"applies"` // to whom, in words
	Reason  string    `json:"reason"`
	Owner   string    `json:"owner"`
	Expires time.Time `json:"expires"` // the instant from which it does not apply any more
	Origin  Position  `json:"origin"`
}

// A Mode says what happens when the condition of a rule holds.
type Mode string

// The modes.
const (
	Enforce Mode = "enforce" // its actions are carried out
	Monitor Mode = "monitor" // it is counted and logged
	Off     Mode = "off"     // it is not evaluated
)

// A ListInfo is one list as people want to see it.
type ListInfo struct {
	Name    string   `json:"name"`
	Entries int      `json:"entries"`
	Origin  Position `json:"origin"` // the zero value for a list that comes from the configuration
}

// A MacroInfo is one macro as people want to see it.
type MacroInfo struct {
	Name       string   `json:"name"`
	Expression string   `json:"expression"`
	Origin     Position `json:"origin"`
}

// A Difference is what distinguishes two rule sets, by rule id in alphabetical order.
type Difference struct {
	Added   []string     `json:"added,omitempty"`
	Removed []string     `json:"removed,omitempty"`
	Changed []RuleChange `json:"changed,omitempty"`
}

// A RuleChange says in what a rule differs between two sets.
type RuleChange struct {
	ID     string   `json:"id"`
	Old    Mode     `json:"old"`
	New    Mode     `json:"new"`
	Fields []string `json:"fields"` // what differs: "mode", "severity", "when", "then", "exceptions", "a macro or list it uses", ...
}
