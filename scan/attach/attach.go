// Package attach reports the files that a message carries: every name a mail program could show, the type by content, and
// what is odd about them. It reads each part once, as a stream, and keeps only its beginning. It opens no archive and no
// document: that is for Inspectors, and what none of them has opened is reported as not opened, never as clean.
//
// RFC 2183 (Content-Disposition), RFC 2231 (parameters), RFC 2046 (media types).
package attach

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"

	"assay/scan"
	"assay/verify/message"
)

// The kinds of findings. The detail of each is the name of the file, or its type if it has none.
const (
	Executable    scan.Kind = "attachment.executable"     // runs when it is opened
	DeceptiveName scan.Kind = "attachment.deceptive-name" // the name hides what the file is
	TypeMismatch  scan.Kind = "attachment.type-mismatch"  // the content is of another type than is claimed
	HTML          scan.Kind = "attachment.html"           // HTML, XHTML, SVG or MHTML as a file
	Archive       scan.Kind = "attachment.archive"        // a container of files
	DiskImage     scan.Kind = "attachment.disk-image"     // a container that is mounted
	Limit         scan.Kind = "limit.attachments"         // more files than Options.Objects, or no time left
	Fault         scan.Kind = "attachment.fault"          // an Inspector panicked; the file counts as not opened
)

// Why an object is uninspectable: nobody has looked into it, or nothing tells what it is.
const (
	NotOpened     = "not opened"
	UnknownFormat = "unknown format"
)

// Options configure a Scanner. The zero value is ready to use.
type Options struct {
	// Objects is how many files of one message are reported; default 1000, the number of parts a message has at most.
	Objects int
	// Inspectors look into files, each in its turn.
	Inspectors []Inspector
}

// An Inspector looks into one file. It is called once for each file, from several goroutines for different messages. It
// says what it found by changing File.Object, whose State it sets to scan.Inspected only if it has read everything, and by
// the report, which holds what is inside. It leaves alone what it does not know.
type Inspector interface {
	Inspect(ctx context.Context, f File) scan.Report
}

// A File is one file that an Inspector may look into.
type File struct {
	Object *scan.Object
	Part   *message.Part    // that carries it; nil for a file that no part of the strict reading is
	Head   []byte           // its beginning, at most Window octets; not to be kept
	Open   func() io.Reader // reads it from the start, decoded; of use only until Inspect returns
	// Content is all of it if that is in memory already, nil else; neither to be changed nor to be kept.
	Content []byte
}

// Window is how many octets of a file are kept to tell its type.
const Window = 64 << 10

// A Scanner reports attachments. It is safe for concurrent use.
type Scanner struct {
	opt     Options
	buffers *sync.Pool // of *buffers
}

// New returns a Scanner.
func New(opt Options) *Scanner {
	if opt.Objects <= 0 {
		opt.Objects = 1000
	}
	return &Scanner{opt, &sync.Pool{New: func() any { return &buffers{hash: sha256.New()} }}}
}

// With returns a Scanner that has another Inspector look into files after its own. It shares the memory of s.
func (s *Scanner) With(more Inspector) *Scanner {
	opt := s.opt
	opt.Inspectors = append(slices.Clone(opt.Inspectors), more)
	return &Scanner{opt, s.buffers}
}

// Scan implements scan.Scanner.
func (s *Scanner) Scan(ctx context.Context, m *message.Message) scan.Report {
	if m.Root == nil {
		return scan.Report{}
	}
	b := s.buffers.Get().(*buffers)
	defer s.buffers.Put(b)
	r := &run{ctx: ctx, opt: &s.opt, m: m, buffers: b}
	r.visit(m.Root, false)
	return r.report
}

// A run is the scan of one message.
type run struct {
	ctx    context.Context
	opt    *Options
	m      *message.Message
	report scan.Report
	count  int
	full   bool // the limit was reported
	*buffers
}

// buffers serve one part after the other, and then other messages.
type buffers struct {
	hash  hash.Hash
	whole []byte // of a file, what of it is not behind maxWhole
	rest  []byte // where the rest is read to
}

// maxWhole is the largest file that is kept while Inspectors look at it, so that it is decoded once. Of what is larger as much
// is read at a time as a chunk.
const (
	maxWhole = 1 << 20
	chunk    = 32 << 10
)

// head is the beginning of the file that was read last.
func (b *buffers) head() []byte { return b.whole[:min(len(b.whole), Window)] }

// room returns where to read to: behind what there is of the file, or, if that is enough, anywhere.
func (b *buffers) room() (to []byte, kept bool) {
	if len(b.whole) < maxWhole {
		if cap(b.whole)-len(b.whole) < chunk {
			b.whole = slices.Grow(b.whole, max(chunk, min(len(b.whole), maxWhole-len(b.whole))))
		}
		return b.whole[len(b.whole):min(cap(b.whole), maxWhole)], true
	}
	if b.rest == nil {
		b.rest = make([]byte, chunk)
	}
	return b.rest, false
}

// visit goes through the tree in message order. An attached message is a file itself, and what it carries are files of
// this message too; only the outermost is read as a whole, for else nesting would multiply the work.
func (r *run) visit(p *message.Part, inside bool) {
	if len(p.Children) == 0 {
		r.leaf(p)
		return
	}
	if p.MediaType == "message/rfc822" && p.Parent != nil && !inside {
		inside = true
		r.file(p, collectNames(p))
	}
	for _, child := range p.Children {
		r.visit(child, inside)
	}
}

// leaf reports a leaf, unless it is the text that is shown.
func (r *run) leaf(p *message.Part) {
	names := collectNames(p)
	if len(names) == 0 && p.Disposition != "attachment" && isBody(p.MediaType) && r.readsAsText(p) {
		return
	}
	r.file(p, names)
}

// isBody reports whether mail programs show parts of a type as the text of the message.
func isBody(mediaType string) bool {
	switch mediaType {
	case "text/plain", "text/html", "text/x-amp-html", "text/watch-html", "text/enriched", "application/xhtml+xml":
		return true
	}
	return false
}

// readsAsText reports whether the beginning of a part is text. A program is no text, whatever its media type says; a few
// control characters do not make a program.
func (r *run) readsAsText(p *message.Part) bool {
	r.whole = slices.Grow(r.whole[:0], 4096)
	n, _ := io.ReadFull(r.m.Content(p), r.whole[:4096])
	head := r.whole[:n]
	if sniffed := Sniff(head); sniffed != Unknown {
		return strings.HasPrefix(classOf(sniffed), classText)
	}
	controls := 0
	for _, c := range head {
		if isControl(c) {
			controls++
		}
	}
	return 10*controls <= n || asciiOf(head) != ""
}

// file reads a part and reports it.
func (r *run) file(p *message.Part, names []name) {
	if r.count == r.opt.Objects {
		if !r.full {
			r.full = true
			r.find(Limit, "", fmt.Sprintf("more than %d files", r.opt.Objects))
		}
		return
	}
	r.count++
	size, sum, err := r.read(p)
	claimed := p.MediaType
	if p.Header.Count("Content-Type") == 0 {
		claimed = "" // text/plain is a default then, and no claim
	}
	o := identify(names, claimed, r.head())
	o.Declared = p.MediaType
	o.Section, o.Path, o.Size = p.Section, p.Section, size
	o.Inline = isInline(p, o.Type)
	o.State, o.Method = r.state(p, &o, err)
	if err == nil {
		o.SHA256 = sum
	}
	inside := r.inspect(p, &o, err)
	slices.Sort(o.Traits)
	o.Traits = slices.Compact(o.Traits)
	r.describe(&o)
	r.report.Objects = append(r.report.Objects, o)
	r.report.Add(inside)
}

// read hashes a part and keeps its beginning in r.whole.
func (r *run) read(p *message.Part) (size int64, sum string, err error) {
	r.hash.Reset()
	r.whole = r.whole[:0]
	if encoded := min(p.End-p.BodyOffset, maxWhole); int64(cap(r.whole)) < encoded+chunk { // no encoding makes it longer
		r.whole = make([]byte, 0, encoded+chunk)
	}
	content := r.m.Content(p)
	for {
		if err := r.ctx.Err(); err != nil {
			return size, "", err
		}
		to, kept := r.room()
		n, err := content.Read(to)
		r.hash.Write(to[:n])
		if size += int64(n); kept {
			r.whole = r.whole[:len(r.whole)+n]
		}
		if err == io.EOF {
			return size, hex.EncodeToString(r.hash.Sum(nil)), nil
		}
		if err != nil {
			return size, "", err
		}
	}
}

// state says how much of a file was looked at, and why not more.
func (r *run) state(p *message.Part, o *scan.Object, err error) (scan.State, string) {
	switch {
	case err != nil:
		return scan.Uninspectable, "could not be read: " + err.Error()
	case !knownEncoding(p.Encoding):
		return scan.Uninspectable, fmt.Sprintf("unknown transfer encoding %q", p.Encoding)
	case strings.HasPrefix(p.MediaType, "multipart/") && len(p.Children) == 0:
		return scan.Uninspectable, "a multipart without parts"
	case p.MediaType == "message/rfc822" && len(p.Children) > 0, o.Size == 0, isDetachedSignature(p, o.Type),
		strings.HasPrefix(p.MediaType, "text/") && o.Type == typeMail: // quoted headers of a bounce (RFC 3462), logs
		return scan.Inspected, ""
	case o.Type == Unknown:
		return scan.Uninspectable, UnknownFormat
	case !ReadInFull(o.Type):
		return scan.Uninspectable, NotOpened
	}
	return scan.Inspected, ""
}

func knownEncoding(name string) bool {
	switch name {
	case "7bit", "8bit", "binary", "quoted-printable", "base64":
		return true
	}
	return false
}

// isDetachedSignature reports whether a part is the signature of the multipart it stands in (RFC 1847 Section 2.1). The
// verification of signatures reads it in full.
func isDetachedSignature(p *message.Part, sniffed string) bool {
	if p.Parent == nil || p.Parent.MediaType != "multipart/signed" || len(p.Parent.Children) != 2 || p != p.Parent.Children[1] {
		return false
	}
	return sniffed == "application/pkcs7-mime" || sniffed == "application/pgp-signature"
}

// isInline reports whether mail programs show a part as a piece of the text: an image that is not attached by name of its
// disposition, or text without a file name.
func isInline(p *message.Part, sniffed string) bool {
	if p.Disposition == "attachment" {
		return false
	}
	if strings.HasPrefix(p.MediaType, "image/") && strings.HasPrefix(sniffed, "image/") {
		return p.Disposition == "inline" || p.Header.Count("Content-ID") > 0 ||
			p.Parent != nil && p.Parent.MediaType == "multipart/related"
	}
	return strings.HasPrefix(p.MediaType, "text/") && p.Filename == "" && strings.HasPrefix(classOf(sniffed), "text")
}

// inspect lets every Inspector look at a file that could be read.
func (r *run) inspect(p *message.Part, o *scan.Object, err error) scan.Report {
	var found scan.Report
	if err != nil {
		return found
	}
	for _, inspector := range r.opt.Inspectors {
		f := File{Object: o, Part: p, Head: r.head(), Open: func() io.Reader { return r.m.Content(p) }}
		if whole := r.whole; o.Size == int64(len(whole)) {
			f.Content = whole[:len(whole):len(whole)]
			f.Open = func() io.Reader { return bytes.NewReader(whole) }
		}
		found.Add(r.guarded(inspector, f))
	}
	return found
}

// guarded calls an Inspector. One that panics has not looked into the file.
func (r *run) guarded(inspector Inspector, f File) (found scan.Report) {
	before := *f.Object
	before.Traits = slices.Clone(before.Traits)
	defer func() {
		if cause := recover(); cause != nil {
			*f.Object = before
			r.whole = slices.Clone(r.whole) // nobody knows who still has it
			f.Object.State, f.Object.Method = scan.Uninspectable, NotOpened
			finding := scan.Finding{Kind: Fault, Section: before.Section, Detail: fmt.Sprintf("%.200v", cause), Count: 1}
			found = scan.Report{Findings: []scan.Finding{finding}}
		}
	}()
	return inspector.Inspect(r.ctx, f)
}

// describe adds the findings about a file.
func (r *run) describe(o *scan.Object) {
	detail := o.Name
	if detail == "" {
		detail = o.Type
	}
	for _, one := range []struct {
		kind   scan.Kind
		traits []scan.Trait
	}{
		{Executable, []scan.Trait{scan.Executable}},
		{DeceptiveName, []scan.Trait{scan.DoubleExtension, scan.RightToLeft, scan.HiddenExtension}},
		{TypeMismatch, []scan.Trait{scan.TypeMismatch}},
		{HTML, []scan.Trait{scan.HTMLDocument}},
		{Archive, []scan.Trait{scan.Archive}},
		{DiskImage, []scan.Trait{scan.DiskImage}},
	} {
		if slices.ContainsFunc(one.traits, func(t scan.Trait) bool { return slices.Contains(o.Traits, t) }) {
			r.find(one.kind, o.Section, detail)
		}
	}
}

func (r *run) find(kind scan.Kind, section, detail string) {
	r.report.Findings = append(r.report.Findings, scan.Finding{Kind: kind, Section: section, Detail: detail, Count: 1})
}
