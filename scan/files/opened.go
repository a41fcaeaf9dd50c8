package files

import (
	"bytes"
	"context"
	"io"
	"slices"

	"assay/scan"
	"assay/scan/virus"
	"assay/verify/message"
	"assay/verify/smime"
)

// unlock scans what is inside of a message that is encrypted as a whole, if there is a key for it. found is what was reported
// about the object o that it is.
func (i *inspection) unlock(ctx context.Context, o *scan.Object, found scan.Report) scan.Report {
	if i.scanner.opt.Open == nil || i.inner {
		return found
	}
	entity, ok := i.scanner.opt.Open(i.m)
	if !ok {
		return found
	}
	m, err := smime.ReadOpened(entity, i.m.Envelope, message.Limits{})
	if err != nil { // it is in memory, so this is no fault of a file
		return found
	}
	o.State = scan.Inspected
	o.Traits = append(o.Traits, scan.OpenedKey)
	if err := m.Exceeded(); err != nil {
		o.State, o.Method = scan.Uninspectable, "was opened and is too large or too complex: "+err.Error()
	}
	found.Findings = slices.DeleteFunc(found.Findings, func(f scan.Finding) bool { return f.Kind == Encrypted })
	found.Add(i.inside(ctx, o, m, entity))
	if n := slices.IndexFunc(found.Objects, func(o scan.Object) bool { return o.State == scan.Bad }); n >= 0 {
		o.State, o.Method = scan.Bad, found.Objects[n].Method
	}
	return found
}

// inside scans an opened message with what is left of the budget. Everything in it is reported as being inside of o.
func (i *inspection) inside(ctx context.Context, o *scan.Object, m *message.Message, entity []byte) scan.Report {
	j := &inspection{scanner: i.scanner, m: m, left: i.left, spent: i.spent, asked: i.asked, inner: true}
	var v virus.Verdict
	var err error
	if i.scanner.opt.Virus != nil {
		v, err = j.ask(ctx, "opened message", func() io.Reader { return bytes.NewReader(entity) })
		j.note("", "opened message", v, err)
		if err == nil && v.Kind == virus.Infected {
			o.State, o.Method = scan.Bad, clip(v.Name, 200)
		}
	}
	found := j.files(ctx)
	j.texts(ctx)
	j.plainTexts(ctx, v, err)
	j.summarize(&found)
	i.left, i.spent = j.left, j.spent
	for _, s := range i.scanner.opt.Inside {
		found.Add(s.Scan(ctx, m))
	}
	one := scan.Report{Virus: i.virus}
	one.Add(scan.Report{Virus: found.Virus})
	i.virus, found.Virus = one.Virus, scan.Virus{}
	enclose(&found, o)
	return found
}

// enclose puts everything of a report inside of an object.
func enclose(r *scan.Report, o *scan.Object) {
	for n := range r.Objects {
		in := &r.Objects[n]
		in.Path, in.Section, in.Depth = o.Path+"/"+in.Path, o.Section, in.Depth+o.Depth+1
		for k := range in.Findings {
			in.Findings[k].Section = o.Section
		}
	}
	for n := range r.Findings {
		r.Findings[n].Section = o.Section
	}
	for n := range r.Links {
		r.Links[n].Section = o.Section
	}
	for n := range r.Remedies {
		// What is changed inside would have to be encrypted again. The edit says what it would be, and cannot be made.
		r.Remedies[n].Section, r.Remedies[n].Signed = o.Section, true
	}
}
