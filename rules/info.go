package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hash returns the SHA-256 over the names and contents of all files, tests and lists included, in lower-case hex. Where
// the directories lie makes no difference, so that the nodes of a cluster can be compared.
func (s *Set) Hash() string { return s.hash }

// hashOf returns the SHA-256 over files, sorted by name and content. Lengths keep neighbours apart.
func hashOf(files []File) string {
	sums := make([]string, len(files))
	for i, f := range files {
		sums[i] = fmt.Sprintf("%d:%s %x\n", len(f.Name), f.Name, sha256.Sum256(f.Text))
	}
	slices.Sort(sums)
	sum := sha256.Sum256([]byte(strings.Join(sums, "")))
	return hex.EncodeToString(sum[:])
}

// Files returns all files of the set in the order in which they were read. The texts must not be changed.
func (s *Set) Files() []File { return slices.Clone(s.files) }

// Rules returns all rules in evaluation order.
func (s *Set) Rules() []RuleInfo {
	all := make([]RuleInfo, len(s.rules))
	for i, r := range s.rules {
		all[i] = r.describe()
	}
	return all
}

// Rule returns the rule with an id, or the one that replaces it.
func (s *Set) Rule(id string) (RuleInfo, bool) {
	r := s.byID[id]
	if r == nil {
		return RuleInfo{}, false
	}
	return r.describe(), true
}

// describe completes what people see.
func (r *rule) describe() RuleInfo {
	info := r.info
	info.Mode, info.Severity, info.Actions, info.Asks = r.mode, r.severity, r.then.words(), r.then.disposition
	for _, x := range r.exceptions {
		info.Exceptions = append(info.Exceptions, x.info)
	}
	return info
}

// Lists returns all lists by name.
func (s *Set) Lists() []ListInfo {
	var all []ListInfo
	for _, l := range s.lists {
		all = append(all, ListInfo{Name: l.name, Entries: l.entries, Origin: l.origin})
	}
	slices.SortFunc(all, func(a, b ListInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Macros returns all macros by name.
func (s *Set) Macros() []MacroInfo {
	var all []MacroInfo
	for _, m := range s.macros {
		all = append(all, MacroInfo{Name: m.name, Expression: strings.TrimSpace(m.formula.text), Origin: m.origin})
	}
	slices.SortFunc(all, func(a, b MacroInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Expiring returns the exceptions that expire within the given time, and those that have expired, by date.
func (s *Set) Expiring(within time.Duration, now time.Time) []ExceptionInfo {
	var all []ExceptionInfo
	for _, r := range s.rules {
		for _, x := range r.exceptions {
			if !x.info.Expires.After(now.Add(within)) {
				all = append(all, x.info)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b ExceptionInfo) int { return a.Expires.Compare(b.Expires) })
	return all
}

// Diff says what distinguishes two sets. A nil set has no rules.
func Diff(old, current *Set) Difference {
	var d Difference
	before, after := old.own(), current.own()
	for id, r := range after {
		o := before[id]
		if o == nil {
			d.Added = append(d.Added, id)
			continue
		}
		if fields := differing(old.outline(o), current.outline(r)); len(fields) > 0 {
			d.Changed = append(d.Changed, RuleChange{ID: id, Old: o.mode, New: r.mode, Fields: fields})
		}
	}
	for id := range before {
		if after[id] == nil {
			d.Removed = append(d.Removed, id)
		}
	}
	slices.Sort(d.Added)
	slices.Sort(d.Removed)
	slices.SortFunc(d.Changed, func(a, b RuleChange) int { return cmp.Compare(a.ID, b.ID) })
	return d
}

// own returns the rules by their own ids.
func (s *Set) own() map[string]*rule {
	all := map[string]*rule{}
	if s == nil {
		return all
	}
	for _, r := range s.rules {
		all[r.info.ID] = r
	}
	return all
}

// An aspect is one thing in which rules can differ.
type aspect struct{ name, value string }

// outline returns what makes a rule what it is.
func (s *Set) outline(r *rule) []aspect {
	var exceptions []string
	for _, x := range r.exceptions {
		exceptions = append(exceptions, fmt.Sprint(x.info.ID, x.sender, x.senderDomain, x.recipients, x.client, x.authenticated, x.info.Expires))
	}
	return []aspect{
		{"mode", string(r.mode)}, {"severity", string(r.severity)}, {"title", r.info.Title}, {"when", r.info.Condition},
		{"then", strings.Join(r.then.words(), "\n")}, {"exceptions", strings.Join(exceptions, "\n")}, {"on_error", r.info.OnError},
		{"a macro or list it uses", s.dependencies(r)},
	}
}

// dependencies returns the macros and lists that a rule uses, with what is in them.
func (s *Set) dependencies(r *rule) string {
	used := map[string]string{}
	var collect func(f *formula)
	collect = func(f *formula) {
		for _, name := range f.lists {
			used["list "+name] = s.lists[name].fingerprint()
		}
		for _, name := range f.macros {
			if _, seen := used["macro "+name]; !seen {
				used["macro "+name] = s.macroOf[name].formula.text
				collect(s.macroOf[name].formula)
			}
		}
	}
	for _, f := range r.formulas() {
		collect(f)
	}
	var all []string
	for name, text := range used {
		all = append(all, name+"="+text)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// fingerprint returns a short text that changes with the entries of the list.
func (l *list) fingerprint() string {
	var entries []string
	for prefix, set := range map[string]map[string]struct{}{"": l.exact, ".": l.below, "@": l.at} {
		for e := range set {
			entries = append(entries, prefix+e)
		}
	}
	slices.Sort(entries)
	sum := sha256.Sum256([]byte(strings.Join(entries, "\n")))
	return hex.EncodeToString(sum[:])
}

// differing returns the names of the aspects that differ.
func differing(a, b []aspect) []string {
	var names []string
	for i := range a {
		if a[i] != b[i] {
			names = append(names, a[i].name)
		}
	}
	return names
}
