package rules

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"assay/rules/lookalike"
)

// orgDomains is the name of the list that comes from the configuration.
const orgDomains = "org_domains"

// A list is what listed() and its kin look into.
type list struct {
	name    string
	origin  Position
	used    bool
	entries int
	longest int                   // octets of the longest entry
	exact   map[string]struct{}   // folded
	below   map[string]struct{}   // domains whose subdomains are meant
	at      map[string]struct{}   // domains whose addresses are meant
	names   map[string][][]string // words of the entries, by the longest of them; for shows_name()
	alike   []lookalike.Domain    // entries that lookalike() compares with, at most maxAlike
}

// newList returns an empty list.
func newList(name string, origin Position) *list {
	return &list{name: name, origin: origin, exact: map[string]struct{}{}, below: map[string]struct{}{}, at: map[string]struct{}{}}
}

// add takes in one entry.
func (l *list) add(entry string) {
	l.entries++
	folded := lookalike.Fold(strings.TrimSpace(entry))
	l.longest = max(l.longest, len(folded), len(entry))
	domain, below := strings.CutPrefix(strings.TrimPrefix(folded, "*"), ".")
	switch {
	case below && domain != "":
		l.below[domain] = struct{}{}
	case strings.HasPrefix(folded, "@"):
		l.at[folded[1:]] = struct{}{}
	default:
		l.exact[folded] = struct{}{}
		l.addName(entry)
		if len(l.alike) <= maxAlike {
			l.alike = append(l.alike, lookalike.Parse(folded))
		}
	}
}

// longestDomain is the most octets a domain name can have (RFC 1035 Section 2.3.4); longer ones are below nothing.
const longestDomain = 253

// has reports whether a value is listed. A value that is much longer than every entry is not looked at.
func (l *list) has(value string) bool {
	if len(value) > 4*max(l.longest, longestDomain)+64 {
		return false
	}
	folded := lookalike.Fold(strings.TrimSpace(value))
	if _, ok := l.exact[folded]; ok {
		return true
	}
	if len(l.below) == 0 && len(l.at) == 0 {
		return false
	}
	i := strings.LastIndexByte(folded, '@')
	domain := folded[i+1:]
	if _, ok := l.at[domain]; ok && i >= 0 {
		return true
	}
	return l.covers(domain)
}

// covers reports whether a domain lies below one of those that were listed with a dot in front.
func (l *list) covers(domain string) bool {
	if len(l.below) == 0 || len(domain) > longestDomain {
		return false
	}
	for {
		_, parent, ok := strings.Cut(domain, ".")
		if !ok {
			return false
		}
		if _, ok := l.below[parent]; ok {
			return true
		}
		domain = parent
	}
}

// like reports whether a domain looks like a listed one that it is not.
func (l *list) like(domain string) bool {
	if domain == "" || len(domain) > longestDomain || l.has(domain) {
		return false
	}
	d := lookalike.Parse(domain)
	return slices.ContainsFunc(l.alike, func(own lookalike.Domain) bool { return d.Like(own) })
}

// maxAlike is the most entries of a list that lookalike() can be asked about: it compares with every one of them.
const maxAlike = 1000

// loadLists defines the lists of all files, then adds what extends them.
func (l *loader) loadLists() {
	builtin := newList(orgDomains, Position{})
	builtin.used = true
	for _, d := range l.opt.OrgDomains {
		builtin.add(d)
	}
	l.lists[orgDomains] = builtin
	for _, f := range l.files {
		f.top.get("lists").entries(func(name, value item) { l.defineList(f, name, value) })
	}
	for _, f := range l.files {
		f.top.get("extend_lists").entries(func(name, value item) {
			target := l.lists[name.text()]
			if target == nil {
				name.report("there is no list %q to extend%s; define it under \"lists\" first", name.text(), didYouMean(name.text(), l.listNames()))
				return
			}
			l.fill(f, target, value)
		})
	}
}

// defineList defines one list.
func (l *loader) defineList(f *ruleFile, name, value item) {
	if other := l.lists[name.text()]; other != nil {
		if other.origin == (Position{}) {
			name.report("the list %s comes from identity.domains of the configuration: add to it under \"extend_lists\"", orgDomains)
		} else {
			name.report("list %q is already defined in %s: choose another name, or add to it under \"extend_lists\"", name.text(), other.origin)
		}
		return
	}
	target := newList(name.text(), name.position())
	l.lists[name.text()] = target
	l.fill(f, target, value)
}

// listNames returns the names of all lists in alphabetical order.
func (l *loader) listNames() []string { return slices.Sorted(maps.Keys(l.lists)) }

// fill adds the entries of one definition to a list.
func (l *loader) fill(f *ruleFile, target *list, value item) {
	for _, entry := range value.get("items").all() {
		l.entry(target, entry.d, entry.n.Line, entry.n.Column, entry.text())
	}
	file := value.get("file")
	if !file.has() {
		return
	}
	text, err := l.readList(f, file.text())
	if err != nil {
		file.report("cannot read the list file: %v", err)
		return
	}
	l.opened = append(l.opened, File{Source: f.source.Name, Name: file.text(), Text: text})
	d := newDocument(f.source.Name, file.text(), text, &l.problems)
	if !d.encoded(text) {
		return
	}
	before, warned := target.entries, false
	for i, line := range d.lines {
		entry, _, _ := strings.Cut(line, "#")
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		l.entry(target, d, i+1, 1, entry)
		if !warned && formatted(entry) { // once is enough for a file in another format
			warned = true
			d.warnAt(i+1, 1, "%q is taken as one entry: a list file has one entry per line, without quotes, dashes and commas", clip(entry))
		}
	}
	if target.entries == before && l.problems.Err() == nil {
		file.d.warn(file.n, "the list file has no entries")
	}
}

// formatted reports whether a line looks like YAML, CSV or JSON and not like an entry. Names of people can have a comma.
func formatted(entry string) bool {
	return strings.HasPrefix(entry, "- ") || strings.ContainsAny(entry[:1], "\"'[{") || strings.Contains(entry, ";") ||
		strings.Contains(entry, ",") && strings.ContainsAny(entry, ".@")
}

// entry adds one entry to a list.
func (l *loader) entry(target *list, d *document, line, column int, entry string) {
	switch {
	case entry == "*" || entry == "." || entry == "*." || entry == "@":
		d.reportAt(line, column, "the entry %q would match everything or nothing: name a domain", entry)
	case strings.HasPrefix(entry, "*") && !strings.HasPrefix(entry, "*."), strings.Contains(strings.TrimPrefix(entry, "*."), "*") && !strings.Contains(entry, " "):
		d.reportAt(line, column, `%q: a * can only stand at the beginning, as in *.example.com`, clip(entry))
	default:
		target.add(entry)
	}
}

// readList reads a list file: an absolute path by the function of the options, any other one beside the rule file.
func (l *loader) readList(f *ruleFile, name string) ([]byte, error) {
	if path.IsAbs(name) {
		if l.opt.ReadList == nil {
			return nil, fmt.Errorf("%s: absolute paths are not allowed here, put the file beside the rule file", name)
		}
		text, err := l.opt.ReadList(name)
		if err == nil && len(text) > l.opt.MaxFileSize {
			err = fmt.Errorf("%s is larger than %d octets", name, l.opt.MaxFileSize)
		}
		return text, err
	}
	inside := path.Join(path.Dir(f.path), name)
	if !fs.ValidPath(inside) {
		return nil, fmt.Errorf("%s lies outside of the directory of the rules: use an absolute path", name)
	}
	return readFile(f.source.Files, inside, l.opt.MaxFileSize)
}
