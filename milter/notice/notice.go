// Package notice writes what a reader finds in a message that was changed: the text in the place of a removed attachment,
// and the note at the top; and what a recipient is told about mail that was quarantined. It is pure. What the message said appears in it escaped and shortened.
package notice

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"strings"
	"text/template"
	"unicode"
)

//go:embed templates
var shipped embed.FS

// A File is an attachment that was taken out of a message.
type File struct {
	Section string
	Name    string // as the message names it, "" if it has no name
	Type    string // media type by content
	Size    int64  // octets, decoded; -1 if it is not known
	SHA256  string // of the decoded octets, lower-case hex; "" if it is not known
	Reason  string // why, in the words of the rule
	Rule    string // id of the rule
}

// A Note is what the top of a changed message says. At least one of its members is set.
type Note struct {
	Files   []File
	HTML    bool // something was taken that acts on its own, or was replaced by its text
	Remote  bool // something was taken that would have been loaded from elsewhere
	Text    bool // the text stands in the place of the HTML
	QueueID string
}

// Templates write notices in one language. They are safe for concurrent use.
type Templates struct {
	removed  *template.Template
	unsigned []byte
	text     *template.Template
	html     *htmltemplate.Template
	held     *template.Template
}

// The names of the templates, without the language: removed.en.txt, unsigned.en.txt, note.en.txt, note.en.html, and
// held.en.txt in held.go.
const (
	removedName  = "removed.%s.txt"
	unsignedName = "unsigned.%s.txt"
	textName     = "note.%s.txt"
	htmlName     = "note.%s.html"
)

// maxTemplate is the largest template in octets.
const maxTemplate = 64 << 10

// New returns the templates of a language, "en" or "de". A file in own, which may be nil, takes the place of the template
// of the same name. The error says which template cannot be used.
func New(language string, own fs.FS) (*Templates, error) {
	base, err := fs.Sub(shipped, "templates")
	if err != nil {
		return nil, err
	}
	sources := []fs.FS{base}
	if own != nil {
		sources = []fs.FS{own, base}
	}
	var texts [5]string
	for i, pattern := range []string{removedName, textName, htmlName, unsignedName, heldName} {
		if texts[i], err = read(sources, fmt.Sprintf(pattern, language)); err != nil {
			return nil, err
		}
	}
	t := &Templates{unsigned: crlf(texts[3])}
	if t.removed, err = template.New("removed").Funcs(functions()).Parse(texts[0]); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	if t.text, err = template.New("note text").Funcs(functions()).Parse(texts[1]); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	if t.html, err = htmltemplate.New("note html").Funcs(functions()).Parse(texts[2]); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	if t.held, err = template.New("held").Funcs(functions()).Parse(texts[4]); err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	return t, t.try()
}

// read returns the first template of a name.
func read(sources []fs.FS, name string) (string, error) {
	for _, source := range sources {
		f, err := source.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("notice: %w", err)
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
		switch {
		case err != nil:
			return "", fmt.Errorf("notice: %w", err)
		case len(text) > maxTemplate:
			return "", fmt.Errorf("notice: %s is larger than %d octets", name, maxTemplate)
		}
		return string(text), nil
	}
	return "", fmt.Errorf("notice: there is no template %s", name)
}

// try writes every notice once, so that a template that asks for what there is not is found at start.
func (t *Templates) try() error {
	f := File{Name: "a", Reason: "b", Rule: "c", SHA256: "d", Type: "e/f", Size: 1}
	if _, err := t.Removed(f, Mail{"q", "r"}); err != nil {
		return err
	}
	if _, _, err := t.Note(Note{Files: []File{f}, HTML: true, Remote: true, Text: true, QueueID: "q"}); err != nil {
		return err
	}
	_, _, err := t.Held(Held{Recipient: "a", Messages: []HeldMail{{Sender: "b", Subject: "c", Reason: "d", ID: "e"}}, Further: 1, Contact: "f"})
	return err
}

// A Mail says how the message is found again.
type Mail struct {
	QueueID  string
	Original string // SHA-256 of the message as received, if it is kept; "" if it is not
}

// Removed returns the text that takes the place of a file: UTF-8 with CRLF line ends.
func (t *Templates) Removed(f File, m Mail) ([]byte, error) {
	var b bytes.Buffer
	err := t.removed.Execute(&b, struct {
		File
		QueueID, Original string
	}{f.clean(), printable(m.QueueID), printable(m.Original)})
	if err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	return crlf(b.String()), nil
}

// Unsigned returns the text that takes the place of a signature that does not fit any more: UTF-8 with CRLF line ends.
func (t *Templates) Unsigned() []byte { return bytes.Clone(t.unsigned) }

// Note returns the note as text and as an HTML fragment: UTF-8 with CRLF line ends. The fragment is ASCII, so that it can
// be put into a document in any charset that contains ASCII.
func (t *Templates) Note(n Note) (text, html []byte, err error) {
	files := make([]File, len(n.Files))
	for i, f := range n.Files {
		files[i] = f.clean()
	}
	n.Files, n.QueueID = files, printable(n.QueueID)
	var plain, rich bytes.Buffer
	if err := t.text.Execute(&plain, n); err != nil {
		return nil, nil, fmt.Errorf("notice: %w", err)
	}
	if err := t.html.Execute(&rich, n); err != nil {
		return nil, nil, fmt.Errorf("notice: %w", err)
	}
	return crlf(plain.String()), crlf(ascii(rich.String())), nil
}

// functions are the functions of templates.
func functions() map[string]any { return map[string]any{"size": size} }

// size writes a number of octets for people.
func size(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 10_000:
		return fmt.Sprintf("%d Byte", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	}
	return fmt.Sprintf("%d MB", (n+500_000)/1_000_000)
}

// clean returns f with everything that the message said made printable.
func (f File) clean() File {
	f.Name, f.Type, f.Reason, f.Rule = printable(f.Name), printable(f.Type), printable(f.Reason), printable(f.Rule)
	return f
}

// maxText bounds what is quoted from a message, in characters.
const maxText = 200

// printable returns s on one line, with nothing in it that is not shown or that changes the direction of writing.
func printable(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ") {
		if n++; n > maxText {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// crlf gives text CRLF line ends, and one at its end.
func crlf(text string) []byte {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n") + "\n"
	return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
}

// ascii writes characters beyond ASCII as numeric references.
func ascii(html string) string {
	var b strings.Builder
	for _, r := range html {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}
