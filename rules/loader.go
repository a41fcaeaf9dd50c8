package rules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"assay/rules/facts"
)

// withDefaults puts the defaults in place of zero values.
func (o Options) withDefaults() Options {
	fill(&o.HeaderPrefix, "X-Assay")
	fill(&o.Release, ReleaseOperator)
	fill(&o.MaxFiles, 1000)
	fill(&o.MaxFileSize, 8<<20)
	fill(&o.MaxCost, 50_000_000)
	fill(&o.RunCost, 1_000_000)
	fill(&o.Deadline, time.Second)
	return o
}

// fill sets a value that is zero.
func fill[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// A ruleFile is one rule file.
type ruleFile struct {
	source Source
	path   string
	doc    *document
	top    item
}

// A loader reads and checks a rule set.
type loader struct {
	opt      Options
	compiler *compiler
	problems Problems
	order    map[string]int // of the files as shown to people
	files    []*ruleFile
	opened   []File
	lists    map[string]*list
	macros   []*macro
	rules    []*rule
	byID     map[string]*rule
	groups   []recipientGroup
}

// Load reads, checks and compiles the rule files of sources. The files of one source are taken in the order of their
// names, the sources in the order given. All problems are returned, ordered by place; with errors among them the set is
// nil.
func Load(sources []Source, opt Options) (*Set, Problems) {
	l := &loader{opt: opt.withDefaults(), order: map[string]int{}, lists: map[string]*list{}, byID: map[string]*rule{}}
	for _, s := range sources {
		l.readSource(s)
	}
	l.loadLists()
	if l.prepare() {
		l.loadMacros()
		l.loadGroups()
		l.loadRules()
		l.loadOverrides()
		l.unused()
	}
	problems := l.problems.sorted(l.order)
	if problems.Err() != nil {
		return nil, problems
	}
	return l.set(), problems
}

// problem adds an error about a file as a whole.
func (l *loader) problem(file, format string, args ...any) {
	l.problems = append(l.problems, Problem{File: file, Message: fmt.Sprintf(format, args...)})
}

// readSource reads the files of one directory.
func (l *loader) readSource(s Source) {
	name := s.Name
	if name == "" {
		name = "the rules that come with Assay"
	}
	entries, err := fs.ReadDir(s.Files, ".")
	if err != nil {
		l.problem(name, "cannot read the directory: %v", err)
		return
	}
	for _, e := range entries {
		switch ext := path.Ext(e.Name()); {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			l.below(s, e.Name())
		case ext == ".yml" || ext != ".yaml" && strings.EqualFold(ext, ".yaml"):
			l.problem(path.Join(s.Name, e.Name()), "the name of a rule file ends in .yaml: rename it, it is not read like this")
		case ext == ".yaml":
			if len(l.opened) >= l.opt.MaxFiles {
				l.problem(name, "more than %d files", l.opt.MaxFiles)
				return
			}
			l.readRules(s, e.Name())
		}
	}
}

// below warns of rule files in a directory inside of that of the rules, which are not read.
func (l *loader) below(s Source, dir string) {
	entries, err := fs.ReadDir(s.Files, dir)
	if err != nil {
		return
	}
	found := strings.HasSuffix(dir, ".yaml")
	for _, e := range entries {
		found = found || path.Ext(e.Name()) == ".yaml" && !strings.HasPrefix(e.Name(), ".")
	}
	if found {
		l.problems = append(l.problems, Problem{Warning: true, File: path.Join(s.Name, dir),
			Message: "this is a directory, and rule files in it are not read: move them up, or rename the directory if it holds something else"})
	}
}

// readRules reads one file.
func (l *loader) readRules(s Source, name string) {
	d := newDocument(s.Name, name, nil, &l.problems)
	l.order[d.name] = len(l.order)
	text, err := readFile(s.Files, name, l.opt.MaxFileSize)
	if err != nil {
		l.problem(d.name, "%v", err)
		return
	}
	test := strings.HasSuffix(name, "_test.yaml")
	l.opened = append(l.opened, File{Source: s.Name, Name: name, Text: text, Test: test})
	if test {
		return
	}
	d = newDocument(s.Name, name, text, &l.problems)
	if s.Setting != nil {
		setting := s.Setting(name)
		d.setting = &setting
	}
	top := d.mapping(text)
	if top == nil {
		return
	}
	fileKeys().check(d, top, "the file")
	l.files = append(l.files, &ruleFile{source: s, path: name, doc: d, top: item{d, top}})
}

// readFile reads a file of limited size.
func readFile(files fs.FS, name string, limit int) ([]byte, error) {
	info, err := fs.Stat(files, name) // before opening it: to open a pipe is to wait for somebody who writes
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("this is not a regular file")
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(text) > limit {
		return nil, fmt.Errorf("the file is larger than %d octets: split it", limit)
	}
	return text, nil
}

// reason returns an error of the file system without the path, which stands in front of the message already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("cannot %s the file: %w", p.Op, p.Err)
	}
	return err
}

// prepare builds the environments in which expressions are compiled.
func (l *loader) prepare() bool {
	c := &compiler{opt: l.opt, catalog: newCatalog(), lists: l.lists, macros: map[string]*macro{}, known: map[string]*formula{}, parts: map[string]*part{}}
	l.compiler = c
	for _, f := range l.files {
		f.top.get("macros").entries(func(name, value item) { l.declareMacro(name, value) })
	}
	options := baseOptions(l.lists)
	for _, m := range l.macros {
		options = append(options, cel.Variable(m.name, cel.BoolType))
	}
	env, err := cel.NewEnv(options...)
	if err == nil {
		c.env = env
		c.attachment, err = env.Extend(cel.Variable("a", cel.ObjectType("facts.Object")))
	}
	if err != nil {
		l.problem("rules", "the rule language cannot be set up: %v", err)
		return false
	}
	return true
}

// A macro is a condition with a name.
type macro struct {
	name    string
	index   int
	origin  Position
	source  item
	at      item
	used    bool
	depth   int // of macros in macros
	formula *formula
}

// declareMacro takes in the name of a macro.
func (l *loader) declareMacro(name, value item) {
	word, c := name.text(), l.compiler
	switch other := c.macros[word]; {
	case other != nil:
		name.report("macro %q is already defined in %s: a name is defined once over all files, choose another one", word, other.origin)
		return
	case slices.Contains(c.catalog.children[""], word):
		name.report("macro %q has the name of a fact: choose another one", word)
		return
	case word == "a" || reserved(word):
		name.report("macro %q has a name that the rule language uses itself: choose another one", word)
		return
	}
	m := &macro{name: word, index: len(l.macros), origin: name.position(), source: value, at: name}
	c.macros[word] = m
	l.macros = append(l.macros, m)
}

// reserved reports whether a name means something to CEL (RESERVED and functions of its grammar), or would shadow an
// overload of it: a variable or function named in_list breaks the operator in.
func reserved(name string) bool {
	words := []string{"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
		"package", "namespace", "null", "return", "true", "var", "void", "while", "in_list", "in_map", "size", "has", "all", "exists",
		"exists_one", "filter", "map", "matches", "string", "int", "uint", "double", "bool", "bytes", "list", "type", "timestamp",
		"duration", "dyn", "optional", "cidr", "ip", "math", "sets", "net", "lists", "strings"}
	for _, f := range Functions() {
		words = append(words, f.Name)
	}
	return slices.Contains(words, name)
}

// loadMacros compiles the macros and looks for those that need themselves.
func (l *loader) loadMacros() {
	for _, m := range l.macros {
		m.formula = l.compiler.compile(snippetOf(m.source), l.compiler.env, condition)
	}
	done := map[*macro]bool{}
	for _, m := range l.macros {
		l.circle(m, nil, done)
	}
}

// maxNesting is how deeply macros may need other macros.
const maxNesting = 30

// circle reports a macro that needs itself.
func (l *loader) circle(m *macro, way []string, done map[*macro]bool) {
	if i := slices.Index(way, m.name); i >= 0 {
		way = append(slices.Clone(way[i:]), m.name)
		m.at.report("macro %q needs itself: %s; take one of them apart", m.name, strings.Join(way, " -> "))
		done[m] = true
		return
	}
	if done[m] || m.formula == nil {
		return
	}
	for _, name := range m.formula.macros {
		needed := l.compiler.macros[name]
		l.circle(needed, append(way, m.name), done)
		m.depth = max(m.depth, needed.depth+1)
	}
	done[m] = true
	if m.depth == maxNesting {
		m.at.report("macro %q needs other macros %d deep: take it apart", m.name, maxNesting)
	}
}

// unused warns of macros and lists that nothing uses.
func (l *loader) unused() {
	for _, m := range l.macros {
		if m.formula == nil {
			return // what is wrong may use the others
		}
	}
	if l.problems.Err() != nil {
		return
	}
	l.mark()
	for _, m := range l.macros {
		if !m.used && m.name != authenticatedMacro {
			m.at.d.warn(m.at.n, "macro %q is not used", m.name)
		}
	}
	for _, f := range l.files {
		f.top.get("lists").entries(func(name, _ item) {
			if list := l.lists[name.text()]; list != nil && !list.used {
				name.d.warn(name.n, "list %q is not used", name.text())
			}
		})
	}
}

// mark notes the macros that rules need, directly or by way of other macros.
func (l *loader) mark() {
	var use func(names []string)
	use = func(names []string) {
		for _, name := range names {
			if m := l.compiler.macros[name]; !m.used {
				m.used = true
				use(m.formula.macros)
			}
		}
	}
	for _, r := range l.rules {
		for _, f := range r.formulas() {
			use(f.macros)
		}
	}
}

// set makes the immutable set of what was loaded.
func (l *loader) set() *Set {
	s := &Set{opt: l.opt, files: l.opened, rules: l.rules, byID: l.byID, lists: l.lists, macros: l.macros, groups: l.groups,
		macroOf: l.compiler.macros, base: l.compiler}
	s.hash = hashOf(l.opened)
	s.rank = make(map[string]int, len(l.rules))
	for i, r := range l.rules {
		s.rank[r.info.ID] = i
	}
	s.names = make(map[string]int, len(l.macros))
	for _, m := range l.macros {
		s.names[m.name] = m.index
	}
	s.patterns = recipientPatterns(l.rules, l.groups)
	return s
}

// stageOf returns the earliest stage at which everything an expression uses is known, and the fact that decides it.
func (l *loader) stageOf(f *formula, seen map[string]bool) (stage facts.Stage, fact string) {
	stage = facts.Envelope
	for _, path := range f.facts {
		if other, known := l.compiler.catalog.stage(path); known && !l.covered(f, path) && stageRank(other) > stageRank(stage) {
			stage, fact = other, path
		}
	}
	for _, name := range f.macros {
		m := l.compiler.macros[name]
		if seen[name] || m.formula == nil {
			continue
		}
		seen[name] = true
		if other, _ := l.stageOf(m.formula, seen); stageRank(other) > stageRank(stage) {
			stage, fact = other, "the macro "+name
		}
	}
	return stage, fact
}

// covered reports whether an expression names facts below a path, which tell more than the path.
func (l *loader) covered(f *formula, path string) bool {
	return slices.ContainsFunc(f.facts, func(other string) bool {
		return strings.HasPrefix(other, path+".") || strings.HasPrefix(other, path+"[]")
	})
}

// stageRank orders the stages.
func stageRank(s facts.Stage) int {
	return slices.Index([]facts.Stage{facts.Envelope, facts.Headers, facts.Message}, s)
}
