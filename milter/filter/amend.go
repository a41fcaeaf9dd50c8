package filter

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"assay/milter/headers"
	"assay/milter/notice"
	"assay/milter/plan"
	"assay/rules"
	"assay/scan"
	"assay/verify/message"
)

// An Amendment is what becomes of the content of a message: what the rules asked for, as far as it can be made.
type Amendment struct {
	Changed []string       // words for what is changed: "subject", "html", "attachment", "note", "decrypted"
	Taken   []scan.Finding // what was taken out of HTML
	Level   scan.Level     // the strictest level at which HTML was made safe, "" if none was
	Files   []notice.File  // attachments that were replaced by a notice
	Kept    []Kept         // what a rule asked for and a signature or a level prevented
	SHA256  string         // of the message as received, in lower-case hex, when its body is changed; else ""

	original string // SHA-256 of the message as received, once it is needed, if originals are kept
	edits    []message.Edit
	planned  map[*message.Part]int // index of the edit of a part
	subjects []plan.Op
	body     *message.Rewritten
}

// A Kept is an edit that was not made.
type Kept struct {
	Section string
	Reason  string
}

// keptSigned is why an edit is not made although it could be.
const keptSigned = "the part is signed"

// whyKept is why an edit of a part under a signature or inside of encryption is not made.
func (o *Outcome) whyKept() string {
	if o.Results.SMIME.Opened {
		return keptEncrypted
	}
	return keptSigned
}

// errNoPart means that what a rule wants removed is not a part of the message.
var errNoPart = errors.New("there is no such part")

// amend collects the changes that the decision asks for. What cannot be made safe as asked is held back: the decision
// becomes quarantine then, for nothing that a rule calls dangerous is delivered because it is packed in an odd way.
func (f *Filter) amend(o *Outcome, m *message.Message) error {
	a := &o.Amendment
	if f.keepsOriginals() && len(o.Decision.Remove) > 0 { // notices name it
		var err error
		if a.original, err = digest(m); err != nil {
			return err
		}
	}
	a.removeFiles(o, m, f.opt.Notices)
	a.cleanHTML(o, m, f.opt.Notices)
	if err := a.annotate(o, m, f.opt); err != nil {
		return err
	}
	a.tagSubject(m.Header, o.Decision.Tags)
	if len(a.edits) == 0 {
		return f.deliverOpened(o, m)
	}
	var err error
	if a.body, err = m.Rewrite(a.edits); err != nil {
		return err
	}
	if a.SHA256 = a.original; a.SHA256 == "" {
		a.SHA256, err = digest(m)
	}
	return err
}

// digest returns the SHA-256 of the message as received.
func digest(m *message.Message) (string, error) {
	h := sha256.New()
	if _, err := m.WriteTo(h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ops returns the operations that carry out the amendment.
func (a *Amendment) ops() []plan.Op {
	ops := slices.Clone(a.subjects)
	if a.body == nil {
		return ops
	}
	for _, c := range a.body.Changes {
		switch {
		case c.Value == "":
			ops = append(ops, plan.Op{Kind: plan.DeleteHeader, Name: c.Name, Nth: c.Nth})
		case c.Nth == 0:
			ops = append(ops, plan.Op{Kind: plan.InsertHeader, Name: c.Name, Value: c.Value})
		default:
			ops = append(ops, plan.Op{Kind: plan.ChangeHeader, Name: c.Name, Nth: c.Nth, Value: c.Value})
		}
	}
	return append(ops, plan.Op{Kind: plan.ReplaceBody, Body: body{a.body}})
}

// content sums up what was taken out.
func (a *Amendment) content() headers.Content {
	c := headers.Content{Level: a.Level, Removed: map[scan.Kind]int{}, Files: len(a.Files), Kept: len(a.Kept)}
	for _, f := range a.Taken {
		c.Removed[f.Kind] += max(f.Count, 1)
	}
	for _, e := range a.edits {
		if !e.Retype {
			c.Sections = append(c.Sections, e.Part.Section)
		}
	}
	slices.Sort(c.Sections)
	return c
}

// A body is a rewritten message as the body of a plan.
type body struct{ *message.Rewritten }

// Open implements plan.Body.
func (b body) Open() io.Reader { return b.Body() }

// add plans the edit of a part that has none yet.
func (a *Amendment) add(e message.Edit) {
	if a.planned == nil {
		a.planned = map[*message.Part]int{}
	}
	a.planned[e.Part] = len(a.edits)
	a.edits = append(a.edits, e)
}

// edit returns the edit of a part that is already planned, nil if there is none. It is valid until the next one is added.
func (a *Amendment) edit(p *message.Part) *message.Edit {
	if i, found := a.planned[p]; found {
		return &a.edits[i]
	}
	return nil
}

// changed notes a kind of change once.
func (a *Amendment) changed(what string) {
	if !slices.Contains(a.Changed, what) {
		a.Changed = append(a.Changed, what)
	}
}

// errOtherReading is why a message is held whose HTML is nowhere in the tree of parts.
var errOtherReading = errors.New("some mail programs see active HTML in it that others do not")

// withhold turns the decision into quarantine, unless it is stricter, because part of what a rule asked for cannot be done.
func (o *Outcome) withhold(section string, err error) {
	if errors.Is(err, message.ErrForeignPart) { // a scanner's way to say that no edit of the message as we read it helps
		err = errOtherReading
		if o.Results.SMIME.Opened {
			err = errEncrypted
		}
	}
	o.Amendment.Kept = append(o.Amendment.Kept, Kept{section, err.Error()})
	if o.Decision.Disposition.Strictness() < rules.Quarantine.Strictness() {
		o.Decision.Disposition = rules.Quarantine
		o.Decision.Reason = fmt.Sprintf("part %s cannot be made safe: %v", cmp.Or(section, "1"), err)
	}
}

// removeFiles replaces the attachments that rules want removed. One under a signature goes if one of these rules unwraps.
func (a *Amendment) removeFiles(o *Outcome, m *message.Message, notices *notice.Templates) {
	parts := sections(m.Root)
	unwraps := map[string]bool{}
	for _, r := range o.Decision.Remove {
		unwraps[r.Section] = unwraps[r.Section] || r.Unwrap
	}
	done := map[*message.Part]bool{}
	for _, r := range o.Decision.Remove {
		p := parts[r.Section]
		if done[p] {
			continue
		}
		if p == nil || r.Section == "" {
			o.withhold(r.Section, errNoPart)
			continue
		}
		if done[p] = true; signed(p) && !unwraps[r.Section] {
			a.Kept = append(a.Kept, Kept{r.Section, o.whyKept()})
			continue
		}
		a.removeFile(o, m, p, fileOf(o, r), notices)
		if unwraps[r.Section] && a.edit(p) != nil {
			a.unwrap(p, notices)
		}
	}
}

// removeFile replaces one attachment by a notice.
func (a *Amendment) removeFile(o *Outcome, m *message.Message, p *message.Part, file notice.File, notices *notice.Templates) {
	if err := m.Editable(p); err != nil {
		o.withhold(file.Section, err)
		return
	}
	text, err := notices.Removed(file, notice.Mail{QueueID: o.Envelope.QueueID, Original: a.original})
	if err != nil {
		o.withhold(file.Section, err)
		return
	}
	e := message.Edit{Part: p, MediaType: "text/plain", Replace: true, Content: text}
	if earlier := a.edit(p); earlier != nil { // it held the signature of another attachment
		*earlier = e
	} else {
		a.add(e)
	}
	a.Files = append(a.Files, file)
	a.changed("attachment")
	a.disclose(p)
}

// disclose makes a multipart/mixed of the multipart/encrypted (RFC 1847 Section 2.2) whose encrypted part was replaced: a mail
// program would try to decrypt the notice, and show an error in its place. The part that says how to decrypt goes too.
func (a *Amendment) disclose(p *message.Part) {
	q := p.Parent
	if q == nil || q.MediaType != "multipart/encrypted" || a.edit(q) != nil {
		return
	}
	if control := q.Children[0]; control != p && a.edit(control) == nil && len(control.Children) == 0 {
		a.add(message.Edit{Part: control, MediaType: "text/plain", Replace: true})
	}
	a.add(message.Edit{Part: q, MediaType: "multipart/mixed", Retype: true})
}

// fileOf describes the attachment that is removed.
func fileOf(o *Outcome, r rules.Removal) notice.File {
	f := notice.File{Section: r.Section, Name: r.Name, Size: -1, Reason: r.Reason, Rule: r.Rule}
	for _, m := range o.Decision.Rules {
		if m.ID == r.Rule {
			f.Reason = cmp.Or(f.Reason, m.Title)
		}
	}
	for _, obj := range o.Report.Objects {
		if obj.Section == r.Section && obj.Depth == 0 {
			f.Name, f.Type, f.Size, f.SHA256 = cmp.Or(obj.Name, r.Name), obj.Type, obj.Size, obj.SHA256
			break
		}
	}
	return f
}

// cleanHTML makes the HTML safe at the strictest level that rules ask for. What is signed counts only for the rules that say
// so, and is made safe at their level.
func (a *Amendment) cleanHTML(o *Outcome, m *message.Message, notices *notice.Templates) {
	level, unwrapped := scan.Off, scan.Off
	for _, action := range o.Decision.HTML {
		level = stricter(level, action.Level)
		if action.Unwrap {
			unwrapped = stricter(unwrapped, action.Level)
		}
	}
	if level == scan.Off {
		return
	}
	for _, remedy := range o.Report.Remedies {
		if !remedy.Signed {
			a.clean(o, m, remedy, level)
			continue
		}
		if unwrapped == scan.Off {
			if edit, _, ok := remedy.Edit(level); ok && a.edit(edit.Part) == nil {
				a.Kept = append(a.Kept, Kept{remedy.Section, o.whyKept()})
			}
			continue
		}
		if p := a.clean(o, m, remedy, unwrapped); p != nil {
			a.unwrap(p, notices)
		}
	}
}

// clean makes one part with HTML safe and returns it, nil if it stays as it is.
func (a *Amendment) clean(o *Outcome, m *message.Message, remedy scan.Remedy, level scan.Level) *message.Part {
	edit, taken, ok := remedy.Edit(level)
	if !ok || a.edit(edit.Part) != nil {
		return nil
	}
	if err := m.Editable(edit.Part); err != nil {
		o.withhold(remedy.Section, err)
		return nil
	}
	a.add(edit)
	a.Taken = append(a.Taken, taken...)
	a.Level = stricter(a.Level, level)
	a.changed("html")
	return edit.Part
}

// stricter returns the level that takes more.
func stricter(a, b scan.Level) scan.Level {
	order := []scan.Level{scan.Off, "", scan.Active, scan.Remote, scan.Text}
	if slices.Index(order, b) > slices.Index(order, a) {
		return cmp.Or(b, scan.Active)
	}
	return a
}

// unwrap removes the signature around a part that is edited: it would only say that the message was altered. The
// multipart/signed becomes a multipart/mixed, and the part that holds the signature goes.
func (a *Amendment) unwrap(p *message.Part, notices *notice.Templates) {
	for q := p.Parent; q != nil; q = q.Parent {
		if q.MediaType != "multipart/signed" || len(q.Children) < 2 {
			continue
		}
		signature := q.Children[1]
		if a.edit(q) != nil {
			continue
		}
		if a.edit(signature) == nil {
			a.add(message.Edit{Part: signature, MediaType: "text/plain", Replace: true, Content: notices.Unsigned()})
		}
		a.add(message.Edit{Part: q, MediaType: "multipart/mixed", Retype: true})
		a.changed("signature")
	}
}

// sections maps every part below root by its section.
func sections(root *message.Part) map[string]*message.Part {
	parts := map[string]*message.Part{}
	for leaf := range root.Leaves() {
		parts[leaf.Section] = leaf
		for p := leaf.Parent; p != nil && parts[p.Section] == nil; p = p.Parent {
			parts[p.Section] = p
		}
	}
	return parts
}

// signed reports whether a part lies under a signature or inside of encryption.
func signed(p *message.Part) bool {
	for ; p != nil; p = p.Parent {
		switch p.MediaType {
		case "multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime":
			return true
		}
	}
	return false
}

// tagSubject puts the tags in front of every Subject field, or adds a Subject if there is none. A tag that the subject
// begins with already is not repeated.
func (a *Amendment) tagSubject(header message.Header, tags []string) {
	if len(tags) == 0 {
		return
	}
	found := false
	for f := range header.All("Subject") {
		found = true
		if prefix := headers.NewTags(tags, f.Text()); prefix != "" {
			a.subjects = append(a.subjects, plan.Op{Kind: plan.ChangeHeader, Name: f.Name, Nth: f.Nth, Value: headers.TagSubject(f, prefix)})
		}
	}
	if !found {
		a.subjects = append(a.subjects, plan.Op{Kind: plan.InsertHeader, Name: "Subject",
			Value: headers.Text("Subject", headers.NewTags(tags, ""))})
	}
	if len(a.subjects) > 0 {
		a.changed("subject")
	}
}
