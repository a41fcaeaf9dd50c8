// Package ole reads compound files ([MS-CFB], also called OLE or structured storage) and what programs keep in them: Word,
// Excel and PowerPoint documents of 1997 to 2003, encrypted documents of later versions, Outlook messages, embedded objects.
//
// It tells how a document is encrypted and opens it with the password that Office tries by itself, with an empty one, or
// with a candidate ([MS-OFFCRYPTO]); it finds macros, Excel 4.0 macro sheets, fields and links that start programs or load
// something from elsewhere, and yields embedded files. It renders nothing and runs nothing.
//
// The container has a reader of its own. The library at hand moves the rest of a list for each pair of neighbouring sectors
// that it reads, which is quadratic in the size of a stream, and gives up altogether on one wrong number.
package ole

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// Reader reads compound files. The zero value is ready.
type Reader struct{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return bytes.HasPrefix(f.Content, []byte(magic)) }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	c, err := openCompound(f.Content, f.Budget)
	if err != nil {
		return container.Limited(err, container.Sign{Trait: scan.Damaged})
	}
	r := &reading{f: f, c: c, yield: yield, done: make(map[*entry]bool)}
	return r.verdict(r.read())
}

// errStopped says that nobody wants more members.
var errStopped = errors.New("stopped")

// Bounds of what is told about one file.
const (
	maxSigns = 64
	maxLinks = 1000
	maxText  = 100 // octets of a name or an address in a detail
)

// A reading is the work on one file.
type reading struct {
	f     *container.File
	c     *compound
	yield func(container.Member) bool
	done  map[*entry]bool // streams that were looked into

	signs         []container.Sign
	links         []container.Link
	class, method string // of an encryption
	locked        bool   // something encrypted stays closed
	missing       string // why not all was read, "" if all was
	mediaType     string
	sources       int      // octets of macros that were decompressed
	sounds        []string // numbers of properties that name the sound of a reminder
}

// read looks into everything.
func (r *reading) read() error {
	r.duplicates(r.c.root)
	if err := r.sealed(); err != nil {
		return err
	}
	for storages := []*entry{r.c.root}; len(storages) > 0; {
		s := storages[len(storages)-1]
		storages = storages[:len(storages)-1]
		if err := r.storage(s); err != nil {
			return err
		}
		for _, e := range s.children {
			if e.kind == kindStorage {
				storages = append(storages, e)
			}
		}
	}
	return r.rest(r.c.root)
}

// verdict sums up.
func (r *reading) verdict(err error) container.Verdict {
	for _, where := range r.c.ambiguous {
		r.sign(scan.Ambiguous, where)
	}
	if r.c.damage != "" {
		r.sign(scan.Damaged, r.c.damage)
	}
	v := container.Verdict{State: scan.Uninspectable, Class: r.class, Method: r.method, Type: r.mediaType, Signs: r.signs, Links: r.links}
	switch {
	case r.locked:
		v.State = scan.Encrypted
	case err != nil:
		v.Method = err.Error()
	case r.c.damage != "":
		v.Method = r.c.damage
	case len(r.c.ambiguous) > 0:
		v.Method = r.c.ambiguous[0]
	case r.missing != "":
		v.Method = r.missing
	default:
		v.State = scan.Inspected
	}
	return v
}

// sign notes what is odd or active, once for each detail.
func (r *reading) sign(t scan.Trait, detail string) {
	for i := range r.signs {
		if s := &r.signs[i]; s.Trait == t && (s.Detail == detail || len(r.signs) >= maxSigns) {
			s.Count = max(1, s.Count) + 1
			return
		}
	}
	// A trait is never lost, however many details others have.
	r.signs = append(r.signs, container.Sign{Trait: t, Detail: detail, Count: 1})
}

// link notes an address.
func (r *reading) link(source scan.Source, url, text string) {
	if url != "" && len(r.links) < maxLinks {
		r.links = append(r.links, container.Link{URL: clip(url, 2000), Text: clip(text, 200), Source: source})
	}
}

// remote notes an object, a picture or a text that is loaded from elsewhere.
func (r *reading) remote(t scan.Trait, what, url string) {
	r.sign(t, what+": "+clip(url, maxText))
	r.link(scan.FromRemote, url, "")
}

// member yields one thing that is inside.
func (r *reading) member(m container.Member) error {
	if err := r.f.Budget.Member(); err != nil {
		return err
	}
	if !r.yield(m) {
		return errStopped
	}
	return nil
}

// lack notes why not everything was read, if nothing is known yet.
func (r *reading) lack(format string, args ...any) {
	if r.missing == "" {
		r.missing = fmt.Sprintf(format, args...)
	}
}

// content reads the stream of that name in a storage, and notes that it needs no other look.
func (r *reading) content(s *entry, name string) ([]byte, *entry, error) {
	e := s.child(name)
	if e == nil || e.kind != kindStream {
		return nil, nil, nil
	}
	r.done[e] = true
	b, err := r.c.stream(e)
	return b, e, err
}

// storage looks into one storage. Documents, objects and messages nest, each in a storage of its own.
func (r *reading) storage(s *entry) error {
	for _, look := range []func(*entry) error{r.word, r.excel, r.powerPoint, r.hangul, r.outlook, r.object, r.project} {
		if err := r.f.Budget.Check(); err != nil {
			return err
		}
		if err := look(s); err != nil {
			return err
		}
	}
	return nil
}

// duplicates notes storages in which a name occurs twice: programs differ in which one they take.
func (r *reading) duplicates(s *entry) {
	for storages := []*entry{s}; len(storages) > 0; {
		s := storages[len(storages)-1]
		storages = storages[:len(storages)-1]
		names := make(map[string]bool, len(s.children))
		for _, e := range s.children {
			key := strings.ToUpper(e.name)
			if names[key] && len(r.c.ambiguous) < 10 {
				r.c.ambiguous = append(r.c.ambiguous, "two streams of the name "+clip(e.path(), maxText))
			}
			names[key] = true
			if e.kind == kindStorage {
				storages = append(storages, e)
			}
		}
	}
}

// rest looks at every stream that nobody has asked for, and yields what is of a type that can do harm.
func (r *reading) rest(root *entry) error {
	for todo := []*entry{root}; len(todo) > 0; {
		e := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], e.children...)
		if e.kind != kindStream || r.done[e] {
			continue
		}
		if err := r.f.Budget.Check(); err != nil {
			return err
		}
		b, err := r.c.stream(e)
		if err != nil {
			return err
		}
		if !worthALook(b) {
			continue
		}
		if err := r.member(container.Member{Name: visible(e.path()), Content: b}); err != nil {
			return err
		}
	}
	return nil
}

// worthALook reports whether a stream is a file of its own that somebody should look into.
func worthALook(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	switch t := attach.Sniff(b[:min(len(b), 4096)]); {
	case t == "image/svg+xml":
		return true
	case t == attach.Unknown, strings.HasPrefix(t, "image/"), strings.HasPrefix(t, "text/plain"),
		strings.HasPrefix(t, "audio/"), strings.HasPrefix(t, "video/"):
		return false
	}
	return true
}

// clip cuts a text that may come from the file, between characters, and takes control characters out of it.
func clip(s string, limit int) string {
	s = visible(strings.ToValidUTF8(s[:min(len(s), 4*limit)], ""))
	for i := range s {
		if i > limit {
			return s[:i] + "..."
		}
	}
	return s
}
