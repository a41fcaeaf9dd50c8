package reading

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"assay/scan"
	"assay/scan/attach"
	"assay/verify/message"
)

// The kinds of findings. The detail names files, or the limit.
const (
	FoundTNEF     scan.Kind = "mime.tnef"      // TNEF (winmail.dat) with files or a body inside
	FoundUuencode scan.Kind = "mime.uuencode"  // a uuencoded file between the lines of a text
	FoundYEnc     scan.Kind = "mime.yenc"      // a yEnc file between the lines of a text
	FoundBinHex   scan.Kind = "mime.binhex"    // a BinHex file between the lines of a text
	FoundHidden   scan.Kind = "mime.hidden"    // a file that only a reading beside the strict one brings to light
	Damaged       scan.Kind = "mime.damaged"   // a container that is cut off or has a wrong checksum
	Limit         scan.Kind = "limit.readings" // one of Limits, or no time left: not every reading was made
	Fault         scan.Kind = "mime.fault"     // an Inspector panicked; the file counts as not opened
)

// A Scanner reports the files that Readings brings to light. It is safe for concurrent use.
type Scanner struct {
	Limits Limits
	// Inspectors look into the files, each in its turn, as they look into attachments.
	Inspectors []attach.Inspector
	// Observe gets every reading that is not known already, files and texts alike, and the SHA-256 of its content in hex; nil for
	// nobody.
	Observe func(r Reading, sha256 string)
}

// Scan implements scan.Scanner.
func (s *Scanner) Scan(ctx context.Context, m *message.Message) scan.Report {
	var report scan.Report
	if m.Root == nil {
		return report
	}
	for r := range Readings(m, s.Limits) {
		if ctx.Err() != nil {
			find(&report, Limit, r.Section, "time")
			break
		}
		if r.How == OutOfReach {
			find(&report, Limit, r.Section, r.Name)
			continue
		}
		if r.Known {
			continue
		}
		o := object(r)
		if s.Observe != nil {
			s.Observe(r, o.SHA256)
		}
		s.report(ctx, &report, r, o)
	}
	return report
}

// report reports one reading.
func (s *Scanner) report(ctx context.Context, report *scan.Report, r Reading, o scan.Object) {
	kind, isFile := kindOf(r, o)
	if !isFile || r.Doubtful() { // text; an Inspector has nothing to say about it
		return
	}
	detail := o.Name
	if detail == "" {
		detail = o.Type
	}
	find(report, kind, r.Section, detail)
	if r.Damaged {
		find(report, Damaged, r.Section, detail)
	}
	var inside scan.Report
	for _, inspector := range s.Inspectors {
		inside.Add(guarded(ctx, inspector, &o, r.Content))
	}
	slices.Sort(o.Traits)
	o.Traits = slices.Compact(o.Traits)
	report.Objects = append(report.Objects, o)
	report.Add(inside)
}

// object describes the content of a reading as a file.
func object(r Reading) scan.Object {
	name := r.Name
	if i := strings.LastIndexAny(name, `/\`); i >= 0 { // containers may name paths
		name = name[i+1:]
	}
	o := attach.Identify(name, "", r.Content[:min(len(r.Content), attach.Window)])
	o.Section, o.Depth, o.Size = r.Section, r.Depth, int64(len(r.Content))
	o.Path = r.Section + "/" + o.Name
	if o.Name == "" {
		o.Path = r.Section + "/" + string(r.How)
	}
	sum := sha256.Sum256(r.Content)
	o.SHA256 = hex.EncodeToString(sum[:])
	o.State, o.Method = scan.Uninspectable, attach.NotOpened
	switch {
	case r.Damaged:
		o.Method = "damaged " + string(r.How)
	case strings.HasPrefix(o.Type, "text/plain"):
		o.State, o.Method = scan.Inspected, ""
	}
	return o
}

// kindOf returns the kind of finding that a reading is, and whether it is a file at all.
func kindOf(r Reading, o scan.Object) (kind scan.Kind, isFile bool) {
	switch r.How {
	case TNEF:
		return FoundTNEF, true
	case Uuencode:
		return FoundUuencode, true
	case YEnc:
		return FoundYEnc, true
	case BinHex:
		return FoundBinHex, true
	}
	isText := strings.HasPrefix(o.Type, "text/")
	switch {
	case o.Type == "message/rfc822": // what it carries are readings of their own
		return FoundHidden, false
	case r.How == Structure && isText && (looksLikeBase64(r.Content) || looksLikeQP(r.Content)):
		return FoundHidden, false // it is still encoded; decoded it is another reading
	}
	// Plain text without a name, which another reader would divide otherwise, is no file.
	return FoundHidden, o.Name != "" || o.Type != attach.Unknown && !strings.HasPrefix(o.Type, "text/plain")
}

// guarded calls an Inspector. One that panics has not looked into the file.
func guarded(ctx context.Context, inspector attach.Inspector, o *scan.Object, content []byte) (found scan.Report) {
	before := *o
	before.Traits = slices.Clone(o.Traits)
	defer func() {
		if cause := recover(); cause != nil {
			*o = before
			o.State, o.Method = scan.Uninspectable, attach.NotOpened
			found = scan.Report{}
			find(&found, Fault, o.Section, fmt.Sprintf("%.200v", cause))
		}
	}()
	head := bytes.Clone(content[:min(len(content), attach.Window)])
	open := func() io.Reader { return bytes.NewReader(content) }
	return inspector.Inspect(ctx, attach.File{Object: o, Head: head, Open: open, Content: content})
}

// maxDetail bounds the names in the detail of a finding.
const maxDetail = 500

// find adds a finding, or counts it with the one of its kind in the same part.
func find(report *scan.Report, kind scan.Kind, section, detail string) {
	for i := range report.Findings {
		f := &report.Findings[i]
		if f.Kind == kind && f.Section == section {
			f.Count++
			if len(f.Detail) < maxDetail {
				f.Detail += ", " + detail
			}
			return
		}
	}
	report.Findings = append(report.Findings, scan.Finding{Kind: kind, Section: section, Detail: detail, Count: 1})
}
