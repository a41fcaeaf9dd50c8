package files

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
	"assay/scan/inspect"
	"assay/scan/password"
	"assay/scan/virus"
	"assay/verify/message"
)

// An inspection is that of one message. It implements attach.Inspector.
type inspection struct {
	scanner   *Scanner
	m         *message.Message
	inner     bool             // m was opened with a key of the gateway
	left      container.Limits // of the budget of the message
	spent     bool             // nothing is left of it
	guessed   bool             // passwords is filled in
	passwords []string
	asked     map[string]verdict // answers of virus scanners by the hash of the content
	virus     scan.Virus
	findings  []scan.Finding
	objects   []scan.Object // texts that are encrypted
}

// A verdict is an answer of virus scanners.
type verdict struct {
	virus.Verdict
	err error
}

// Inspect implements attach.Inspector.
func (i *inspection) Inspect(ctx context.Context, f attach.File) scan.Report {
	o := f.Object
	reason := o.Method // why the file cannot be read as a whole, if so
	if o.State == scan.Inspected || reason == attach.NotOpened || reason == attach.UnknownFormat {
		reason = ""
	}
	if f.Part != nil && len(f.Part.Children) > 0 { // an attached mail: what it carries are files of this message
		i.askObject(ctx, o, f.Open)
		return scan.Report{Findings: describe(o, nil)}
	}
	if i.spent {
		o.State, o.Method = scan.Uninspectable, "the limits for this message are used up"
		i.askObject(ctx, o, f.Open)
		return scan.Report{Findings: describe(o, nil)}
	}
	weight := min(o.Size+1, i.left.Member, i.scanner.opt.Memory)
	if err := i.scanner.memory.Acquire(ctx, weight); err != nil {
		o.State, o.Method = scan.Uninspectable, "no time left"
		return scan.Report{Findings: describe(o, nil)}
	}
	defer i.scanner.memory.Release(weight)
	content, err := i.contentOf(f)
	switch {
	case err != nil:
		o.State, o.Method = scan.Uninspectable, "could not be read: "+err.Error()
		return scan.Report{Findings: describe(o, nil)}
	case int64(len(content)) > i.left.Member:
		o.State, o.Method = scan.Uninspectable, fmt.Sprintf("larger than %d octets", i.left.Member)
		i.askObject(ctx, o, f.Open)
		return scan.Report{Findings: describe(o, nil)}
	}
	found := i.open(ctx, o, content)
	if f.Part != nil && f.Part == i.m.Root && o.State == scan.Encrypted {
		found = i.unlock(ctx, o, found)
	}
	if reason != "" {
		o.State, o.Method = worst(o.State), cmp.Or(reason, o.Method)
	}
	return found
}

// contentOf returns the content of a file, and one octet too many of one that is too large.
func (i *inspection) contentOf(f attach.File) ([]byte, error) {
	if f.Content != nil {
		return f.Content[:min(int64(len(f.Content)), i.left.Member+1)], nil
	}
	// One octet more than there is tells of the end; a buffer grows as long as there is less room than that.
	content := bytes.NewBuffer(make([]byte, 0, min(f.Object.Size, i.left.Member)+bytes.MinRead+1))
	_, err := content.ReadFrom(io.LimitReader(f.Open(), i.left.Member+1))
	return content.Bytes(), err
}

// worst is the state of an object that cannot have been read in full.
func worst(s scan.State) scan.State {
	if s == scan.Inspected {
		return scan.Uninspectable
	}
	return s
}

// open has a file opened, and asks about everything that comes to light.
func (i *inspection) open(ctx context.Context, o *scan.Object, content []byte) scan.Report {
	i.askOnce(ctx, o.Section, o.Name, content, o.SHA256)
	job := inspect.Job{Object: *o, Content: content, Passwords: i.candidates(), Limits: i.left}
	var sink inspect.Sink
	if i.scanner.opt.Virus != nil {
		sink = func(path string, content []byte) error {
			i.askAbout(ctx, o.Section, path, content)
			return ctx.Err()
		}
	}
	result, err := i.scanner.opt.Engine.Inspect(ctx, job, sink)
	i.spend(result)
	if err != nil || len(result.Objects) == 0 {
		return i.failed(o, err)
	}
	i.judge(result.Objects)
	root := result.Objects[0]
	o.State, o.Class, o.Method, o.Type = root.State, root.Class, root.Method, cmp.Or(root.Type, o.Type)
	o.Traits = append(o.Traits, root.Traits...)
	slices.Sort(o.Traits)
	o.Traits, o.Findings = slices.Compact(o.Traits), root.Findings
	report := scan.Report{Objects: result.Objects[1:], Links: result.Links, Findings: describe(o, result.Objects[1:])}
	for _, name := range result.Limits {
		report.Findings = append(report.Findings, scan.Finding{Kind: Limit, Section: o.Section, Detail: name, Count: 1})
	}
	return report
}

// failed is what is said about a file that the Engine could not inspect.
func (i *inspection) failed(o *scan.Object, err error) scan.Report {
	o.State, o.Method = scan.Uninspectable, "could not be opened"
	var limit *container.LimitError
	kind, detail := Fault, o.Name
	switch {
	case errors.As(err, &limit):
		o.Method, kind, detail = limit.Error(), Limit, limit.Limit
		o.Traits = append(o.Traits, scan.Bomb)
	case err != nil:
		o.Method = "could not be opened: " + clip(err.Error(), 200)
	}
	found := describe(o, nil)
	return scan.Report{Findings: append(found, scan.Finding{Kind: kind, Section: o.Section, Detail: detail, Count: 1})}
}

// clip cuts a text.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// spend takes what a file has used from the budget of the message.
func (i *inspection) spend(r inspect.Result) {
	i.left.Members -= r.Members
	i.left.Octets -= r.Octets
	i.left.Guesses = max(i.left.Guesses-r.Guesses, 1)
	i.spent = i.left.Members <= 0 || i.left.Octets <= 0
}

// scannerLimit begins the Method of what a virus scanner has not looked into.
const scannerLimit = "the virus scanner has reached a limit: "

// judge calls objects bad about whose content a virus scanner says so, and everything around them.
func (i *inspection) judge(objects []scan.Object) {
	for n := range objects {
		o := &objects[n]
		v, known := i.asked[o.SHA256]
		if !known || o.SHA256 == "" {
			continue
		}
		switch v.Kind {
		case virus.Infected:
			i.blame(objects, n, v.Name)
		case virus.Uninspectable:
			if o.State == scan.Inspected && !hasChildren(objects, n) {
				o.State, o.Method = scan.Uninspectable, scannerLimit+v.Name
			}
		case virus.Macros:
			if !slices.Contains(o.Traits, scan.Macros) {
				o.Traits = append(o.Traits, scan.Macros)
				slices.Sort(o.Traits)
				o.Findings = append(o.Findings, scan.Finding{Kind: "attachment.macros", Section: o.Section, Detail: v.Name, Count: 1})
			}
		}
	}
}

// blame marks an object and those that contain it.
func (i *inspection) blame(objects []scan.Object, at int, name string) {
	path := objects[at].Path
	for n := range objects {
		o := &objects[n]
		if o.State != scan.Bad && (n == at || n == 0 || strings.HasPrefix(path, o.Path+"/")) {
			o.State, o.Method = scan.Bad, name
		}
	}
}

// hasChildren reports whether the object behind one in the list is inside of it.
func hasChildren(objects []scan.Object, at int) bool {
	return at+1 < len(objects) && strings.HasPrefix(objects[at+1].Path, objects[at].Path+"/")
}

// candidates returns the passwords to be tried.
func (i *inspection) candidates() []string {
	if i.guessed {
		return i.passwords
	}
	i.guessed = true
	if i.scanner.opt.Guesses > 0 {
		i.passwords = password.Candidates(subject(i.m), bodies(i.m), i.scanner.opt.Guesses)
	}
	for _, p := range i.scanner.opt.Passwords {
		if !slices.Contains(i.passwords, p) {
			i.passwords = append(i.passwords, p)
		}
	}
	return i.passwords
}

// askObject asks the virus scanners about a file that is too large to be held in memory.
func (i *inspection) askObject(ctx context.Context, o *scan.Object, open func() io.Reader) {
	if i.scanner.opt.Virus == nil {
		return
	}
	v, known := i.asked[o.SHA256]
	if !known || o.SHA256 == "" {
		v.Verdict, v.err = i.ask(ctx, o.Name, open)
		i.asked[o.SHA256] = v
		i.note(o.Section, o.Name, v.Verdict, v.err)
	}
	if v.err == nil && v.Kind == virus.Infected {
		o.State, o.Method = scan.Bad, v.Name
	}
}

// askAbout asks about a content in memory, once.
func (i *inspection) askAbout(ctx context.Context, section, name string, content []byte) {
	i.askOnce(ctx, section, name, content, "")
}

// askOnce is askAbout for a content whose hash is known, unless it is "". That has to come from this process: what a worker says
// of what it has found is not believed, for the answer about one content stands for all that have its hash.
func (i *inspection) askOnce(ctx context.Context, section, name string, content []byte, hash string) {
	if i.scanner.opt.Virus == nil || len(content) == 0 {
		return
	}
	if hash == "" {
		sum := sha256.Sum256(content)
		hash = hex.EncodeToString(sum[:])
	}
	if _, known := i.asked[hash]; known {
		return
	}
	answer, err := i.ask(ctx, name, func() io.Reader { return bytes.NewReader(content) })
	i.asked[hash] = verdict{answer, err}
	i.note(section, name, answer, err)
}

// ask asks about one content.
func (i *inspection) ask(ctx context.Context, name string, open func() io.Reader) (virus.Verdict, error) {
	return i.scanner.opt.Virus.Scan(ctx, name, func() (io.Reader, error) { return open(), nil })
}

// note takes an answer into the report of the message.
func (i *inspection) note(section, name string, v virus.Verdict, err error) {
	more, kind, detail := scan.Virus{State: scan.VirusClean}, scan.Kind(""), clip(v.Name, 200)
	switch {
	case err != nil:
		more.State, more.Error = scan.VirusError, clip(err.Error(), 300)
		kind, detail = VirusError, more.Error
	case v.Kind == virus.Infected:
		more.State, more.Names = scan.VirusFound, []string{clip(v.Name, 200)}
		kind = VirusFound
	case v.Kind != virus.Clean:
		kind = VirusNoted
	}
	one := scan.Report{Virus: i.virus}
	one.Add(scan.Report{Virus: more})
	i.virus = one.Virus
	if kind != "" {
		i.findings = add(i.findings, scan.Finding{Kind: kind, Section: section, Detail: detail, Count: 1})
	}
}

// add adds a finding, or counts it with an equal one.
func add(all []scan.Finding, f scan.Finding) []scan.Finding {
	for n := range all {
		if all[n].Kind == f.Kind && all[n].Section == f.Section && all[n].Detail == f.Detail {
			all[n].Count += f.Count
			return all
		}
	}
	return append(all, f)
}
