package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// Options configure an Inspector.
type Options struct {
	// Readers are asked about every file. Of each group the first that claims a file reads it; nil means Readers().
	Readers [][]container.Reader
	// LastResort are asked about files that no Reader claims and no magic tells; nil means LastResort().
	LastResort []container.Reader
	// Clock tells the processor time that the process has used; nil means that only the context bounds the time.
	Clock func() time.Duration
}

// An Inspector inspects files in this process. It is safe for concurrent use.
type Inspector struct{ opt Options }

// New returns an Inspector.
func New(opt Options) *Inspector {
	if opt.Readers == nil {
		opt.Readers = Readers()
	}
	if opt.LastResort == nil {
		opt.LastResort = LastResort()
	}
	return &Inspector{opt}
}

// Inspect implements Engine. Its error is that of the sink, nil else.
func (i *Inspector) Inspect(ctx context.Context, job Job, sink Sink) (Result, error) {
	w := &walk{
		opt: &i.opt, sink: sink, passwords: job.Passwords, seen: map[kin]int{},
		budget: container.NewBudget(ctx, job.Limits, i.opt.Clock),
	}
	w.objects = append(w.objects, job.Object)
	w.file(0, job.Content, 0)
	w.inherit()
	for n := range w.objects {
		w.name(&w.objects[n])
	}
	return Result{
		Objects: w.objects, Links: w.links, Limits: w.limits,
		Members: w.budget.Members, Octets: w.budget.Octets, Guesses: w.budget.Guesses,
	}, w.failed
}

// A walk is the inspection of one file.
type walk struct {
	opt       *Options
	sink      Sink
	failed    error // of the sink
	passwords []string
	budget    *container.Budget
	objects   []scan.Object
	parents   []int  // of objects, by index; -1 and missing for the first
	plain     []bool // an object is its parent in another form
	links     []scan.Link
	limits    []string
	seen      map[kin]int // the object that has a content, by index
}

// A kin is what two files have in common that are read in the same way: some Readers go by the type or the name.
type kin struct{ hash, mediaType, extension string }

// maxLinks bounds the links reported of one file.
const maxLinks = 2000

// file looks into the content of the object at an index.
func (w *walk) file(at int, content []byte, depth int) {
	o := &w.objects[at]
	f := &container.File{Name: o.Name, Extension: o.Extension, Type: o.Type, Content: content, Passwords: w.passwords, Budget: w.budget}
	claims := w.claims(f)
	if len(claims) == 0 {
		w.unclaimed(at)
		return
	}
	state := scan.State("")
	for _, reader := range claims {
		v := w.read(at, reader, f, depth)
		state = worse(state, v.State)
		w.verdict(at, v)
	}
	o = &w.objects[at]
	o.State = state
	if state == scan.Inspected && len(o.Traits) > 0 && slices.Contains(o.Traits, scan.Damaged) {
		o.State, o.Method = scan.Uninspectable, orElse(o.Method, "damaged")
	}
	if over := w.budget.Over(); over != nil {
		w.limit(over.Limit)
		if o.State == scan.Inspected {
			o.State, o.Method = scan.Uninspectable, over.Error()
		}
	}
}

// orElse returns text, or another one where it is empty.
func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// claims returns the readers that are to be asked about a file.
func (w *walk) claims(f *container.File) []container.Reader {
	var claims []container.Reader
	for _, group := range w.opt.Readers {
		for _, r := range group {
			if r.Reads(f) {
				claims = append(claims, r)
				break
			}
		}
	}
	if len(claims) > 0 || f.Type != attach.Unknown {
		return claims
	}
	for _, r := range w.opt.LastResort {
		if r.Reads(f) {
			return []container.Reader{r}
		}
	}
	return nil
}

// unclaimed sets the state of a file that no reader knows: what holds no files is read in full once its type is known.
func (w *walk) unclaimed(at int) {
	o := &w.objects[at]
	switch {
	case o.Size == 0, attach.ReadInFull(o.Type):
		o.State, o.Method = scan.Inspected, ""
	case o.Type == attach.Unknown:
		o.State, o.Method = scan.Uninspectable, "unknown format"
	default:
		o.State, o.Method = scan.Uninspectable, attach.NotOpened
	}
}

// read asks one reader.
func (w *walk) read(at int, r container.Reader, f *container.File, depth int) container.Verdict {
	v := r.Read(f, func(m container.Member) bool {
		w.member(at, &m, depth+1)
		return w.failed == nil && w.budget.Over() == nil
	})
	if v.State == "" {
		v.State = scan.Uninspectable
	}
	if v.State == scan.Inspected && w.budget.Over() != nil {
		v.State, v.Method = scan.Uninspectable, w.budget.Over().Error()
	}
	return v
}

// worse returns the state that says less about a content. Encrypted is the more telling of two that say nothing.
func worse(a, b scan.State) scan.State {
	order := []scan.State{"", scan.Inspected, scan.Uninspectable, scan.Encrypted, scan.Bad}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// verdict adds to an object what a reader says about it.
func (w *walk) verdict(at int, v container.Verdict) {
	o := &w.objects[at]
	o.Type = orElse(v.Type, o.Type)
	if o.Class == "" || v.State == scan.Encrypted {
		o.Class = orElse(v.Class, o.Class)
	}
	if o.Method == "" || o.Method == attach.NotOpened || v.State == scan.Encrypted || v.State == scan.Uninspectable && v.Method != "" {
		o.Method = orElse(v.Method, o.Method)
	}
	if v.State == scan.Inspected && o.Method == attach.NotOpened {
		o.Method = v.Method
	}
	w.sign(o, v.Signs)
	for _, l := range v.Links {
		if len(w.links) < maxLinks {
			w.links = append(w.links, scan.Link{Section: o.Section, URL: l.URL, Text: l.Text, Source: l.Source})
		}
	}
}

// maxFindings bounds the findings of one object, maxDetail the words of each.
const (
	maxFindings = 50
	maxDetail   = 300
)

// sign adds signs to an object. Several of one trait are counted together.
func (w *walk) sign(o *scan.Object, signs []container.Sign) {
	for _, s := range signs {
		if !slices.Contains(o.Traits, s.Trait) {
			o.Traits = append(o.Traits, s.Trait)
			slices.Sort(o.Traits)
		}
		kind, detail := scan.Kind("attachment."+string(s.Trait)), clip(s.Detail, maxDetail)
		same := slices.IndexFunc(o.Findings, func(f scan.Finding) bool { return f.Kind == kind })
		switch {
		case same >= 0:
			o.Findings[same].Count += max(s.Count, 1)
		case len(o.Findings) < maxFindings:
			o.Findings = append(o.Findings, scan.Finding{Kind: kind, Section: o.Section, Detail: detail, Count: max(s.Count, 1)})
		}
	}
}

// name adds findings for what the name and the type of a file tell, which attach has found.
func (w *walk) name(o *scan.Object) {
	for _, t := range o.Traits {
		switch t {
		case scan.Executable, scan.DoubleExtension, scan.RightToLeft, scan.HiddenExtension, scan.TypeMismatch, scan.NamesDiffer, scan.DiskImage:
			w.sign(o, []container.Sign{{Trait: t, Detail: orElse(o.Name, o.Type)}})
		}
	}
}

// clip cuts a text to a number of octets, at the border of a character.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// member adds what a reader has found inside of a file, and looks into it.
func (w *walk) member(parent int, m *container.Member, depth int) {
	if w.failed != nil {
		return
	}
	o, at := w.describe(parent, m, depth), len(w.objects)
	w.objects = append(w.objects, o)
	w.parents = append(w.parents, make([]int, max(0, at+1-len(w.parents)))...)
	w.plain = append(w.plain, make([]bool, max(0, at+1-len(w.plain)))...)
	w.parents[at], w.plain[at] = parent, m.Plain
	w.sign(&w.objects[at], m.Signs)
	if m.State != "" {
		return
	}
	key := kin{o.SHA256, o.Type, o.Extension}
	if before, known := w.seen[key]; known && o.Size > 0 {
		w.repeat(at, before)
		return
	}
	w.seen[key] = at
	if w.sink != nil {
		if w.failed = w.sink(o.Path, m.Content); w.failed != nil {
			return
		}
	}
	if depth > w.budget.Limits.Depth {
		w.limit("depth")
		w.objects[at].Method = fmt.Sprintf("more than %d files inside of each other", w.budget.Limits.Depth)
		return
	}
	w.file(at, m.Content, depth)
}

// describe returns the object that a member is.
func (w *walk) describe(parent int, m *container.Member, depth int) scan.Object {
	up := &w.objects[parent]
	o := attach.Identify(base(m.Name), m.Declared, m.Content[:min(len(m.Content), attach.Window)])
	o.Section, o.Depth, o.Compressed = up.Section, depth, true
	o.Path = up.Path + "/" + pathOf(m.Name, o.Name)
	o.Size, o.State, o.Class, o.Method = m.Size, m.State, m.Class, m.Method
	if m.State == "" {
		sum := sha256.Sum256(m.Content)
		o.Size, o.SHA256 = int64(len(m.Content)), hex.EncodeToString(sum[:])
		o.State = scan.Uninspectable
	}
	return o
}

// base is the name without folders.
func base(name string) string {
	name = strings.TrimRight(name, `/\`)
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	return name
}

// maxPath bounds what one name adds to a path.
const maxPath = 200

// pathOf is what a member adds to the path: its folders and its clean name.
func pathOf(inArchive, clean string) string {
	if clean == "" {
		clean = "-"
	}
	folders := strings.TrimSuffix(strings.ReplaceAll(inArchive, `\`, "/"), "/")
	if i := strings.LastIndexByte(folders, '/'); i >= 0 {
		folders = folders[:i+1]
	} else {
		folders = ""
	}
	folders = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, folders)
	return clip(strings.TrimLeft(folders, "/"), maxPath) + clip(clean, maxPath)
}

// repeat gives an object the result of another one with the same content. That may be one of those around it: then nothing
// of it is known yet.
func (w *walk) repeat(at, before int) {
	o, same := &w.objects[at], &w.objects[before]
	for up := w.parents[at]; up > 0; up = w.parents[up] {
		if up == before {
			o.Method = "contains itself"
			return
		}
	}
	o.State, o.Class, o.Method = same.State, same.Class, same.Method
	for _, t := range same.Traits {
		if !slices.Contains(o.Traits, t) {
			o.Traits = append(o.Traits, t)
		}
	}
	slices.Sort(o.Traits)
}

// limit notes that a limit was exceeded.
func (w *walk) limit(name string) {
	if !slices.Contains(w.limits, name) {
		w.limits = append(w.limits, name)
	}
}

// inherit gives a file the state and the active traits of its own other form: a document that only has to be decrypted
// with a password that everybody's Office knows is as active as what comes out.
func (w *walk) inherit() {
	for at := len(w.objects) - 1; at > 0; at-- {
		if !w.plain[at] {
			continue
		}
		child, parent := &w.objects[at], &w.objects[w.parents[at]]
		if parent.State == scan.Inspected && child.State != scan.Inspected {
			parent.State, parent.Class, parent.Method = child.State, child.Class, child.Method
		}
		for _, f := range child.Findings {
			if t := scan.Trait(strings.TrimPrefix(string(f.Kind), "attachment.")); t.Active() {
				w.sign(parent, []container.Sign{{Trait: t, Detail: f.Detail, Count: f.Count}})
			}
		}
	}
}
