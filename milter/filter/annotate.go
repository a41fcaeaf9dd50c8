package filter

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-message/charset"

	"assay/milter/notice"
	"assay/scan"
	"assay/scan/html"
	"assay/verify/message"
)

// A NoteWhen says when a changed message tells its reader so at its top. The zero value is NoteVisible.
type NoteWhen int

// When readers are told.
const (
	NoteVisible NoteWhen = iota // when something was taken that the reader would have seen
	NoteOff
	NoteAlways
)

// maxAnnotated is the largest part that gets a note, in octets: a longer one is not worth the memory.
const maxAnnotated = 4 << 20

// annotate puts a note at the top of the first text and the first HTML of the message. A text that is signed, too long, or
// in a charset that cannot be read gets none: the header says the same.
func (a *Amendment) annotate(o *Outcome, m *message.Message, opt Options) error {
	remote := a.Level == scan.Remote || a.Level == scan.Text
	switch {
	case opt.Note == NoteOff, len(a.Files) == 0 && a.Level == "":
		return nil
	case opt.Note == NoteVisible && len(a.Files) == 0 && !remote:
		return nil
	}
	text, fragment, err := opt.Notices.Note(notice.Note{Files: a.Files, HTML: a.took(false), Remote: a.took(true), Text: a.Level == scan.Text, QueueID: o.Envelope.QueueID})
	if err != nil {
		return err
	}
	var doneText, doneHTML bool
	for leaf := range m.Root.Leaves() {
		switch {
		case leaf.Disposition == "attachment" || leaf.Filename != "" || signed(leaf) || within(leaf, "message/rfc822") || m.Editable(leaf) != nil:
		case leaf.MediaType == "text/plain" && !doneText:
			doneText = true
			a.prepend(m, leaf, text)
		case leaf.MediaType == "text/html" && !doneHTML:
			doneHTML = true
			a.insert(m, leaf, text, fragment)
		}
	}
	return nil
}

// took reports whether content was taken that is loaded from elsewhere, or any other.
func (a *Amendment) took(remote bool) bool {
	return slices.ContainsFunc(a.Taken, func(f scan.Finding) bool { return (f.Kind == html.KindRemote || f.Kind == html.KindTracker) == remote })
}

// within reports whether a part lies in one of a media type.
func within(p *message.Part, mediaType string) bool {
	for q := p.Parent; q != nil; q = q.Parent {
		if q.MediaType == mediaType {
			return true
		}
	}
	return false
}

// prepend puts a note in front of plain text.
func (a *Amendment) prepend(m *message.Message, p *message.Part, note []byte) {
	if e := a.edit(p); e != nil {
		if !e.Replace {
			e.Content = append(bytes.Clone(note), e.Content...)
			a.changed("note")
		}
		return
	}
	content, ok := content(m, p)
	if !ok {
		return
	}
	if name := p.Params["charset"]; name != "" {
		r, err := charset.Reader(name, bytes.NewReader(content))
		if err != nil {
			return
		}
		if content, err = io.ReadAll(io.LimitReader(r, 4*maxAnnotated)); err != nil {
			return
		}
	} else if bytes.ContainsFunc(content, func(r rune) bool { return r >= 0x80 }) {
		return // 8 bit without a charset: whoever reads it guesses
	}
	a.add(message.Edit{Part: p, MediaType: "text/plain", Content: append(bytes.Clone(note), content...)})
	a.changed("note")
}

// insert puts a note, an ASCII fragment, at the top of an HTML body, or as text if plain text has become of it.
func (a *Amendment) insert(m *message.Message, p *message.Part, text, fragment []byte) {
	if e := a.edit(p); e != nil {
		switch {
		case e.Replace:
			return
		case strings.HasPrefix(e.MediaType, "text/plain"): // by the level text
			e.Content = append(bytes.Clone(text), e.Content...)
			a.changed("note")
			return
		}
		e.Content = html.InsertNote(e.Content, fragment)
		a.changed("note")
		return
	}
	if content, ok := content(m, p); ok && containsASCII(p.Params["charset"]) {
		a.add(message.Edit{Part: p, Content: html.InsertNote(content, fragment)})
		a.changed("note")
	}
}

// containsASCII reports whether text in a charset can get an ASCII fragment: it is one of the common ones in which every octet
// below 128 is the ASCII character.
func containsASCII(charset string) bool {
	name := strings.ToLower(charset)
	return name == "" || name == "utf-8" || name == "us-ascii" || strings.HasPrefix(name, "iso-8859-") || strings.HasPrefix(name, "windows-125")
}

// content returns the decoded octets of a part that is not too long.
func content(m *message.Message, p *message.Part) ([]byte, bool) {
	octets, err := io.ReadAll(io.LimitReader(m.Content(p), maxAnnotated+1))
	return octets, err == nil && len(octets) <= maxAnnotated
}
