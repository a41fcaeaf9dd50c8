// Package files looks into all files of a message: attachments, whatever other readings of the message bring to light, and
// what is inside of them. It joins scan/attach and scan/reading with the Engine that opens files and with the virus scanners,
// and keeps one budget for the message.
//
// What could not be opened is never called clean: it stays uninspectable, and says why.
package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sync/semaphore"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
	"assay/scan/inspect"
	"assay/scan/reading"
	"assay/scan/virus"
	"assay/verify/message"
)

// The kinds of findings beside those of scan/attach and scan/reading. What the Engine sees is "attachment." and the trait.
const (
	Encrypted     scan.Kind = "attachment.encrypted"     // a file that opens only with a key or password that nobody gave
	Uninspectable scan.Kind = "attachment.uninspectable" // a file that could not be read in full
	Fault         scan.Kind = "attachment.fault"         // what opens files failed
	VirusFound    scan.Kind = "virus.found"              // Detail is what the scanner calls it
	VirusNoted    scan.Kind = "virus.noted"              // a scanner reports encryption, macros or a limit of its own
	VirusError    scan.Kind = "virus.error"              // there is no verdict about something
	Limit         scan.Kind = "limit.archive"            // one of Options.Limits; Detail says which
)

// A Virus asks virus scanners. *virus.Group is one. It is called from several goroutines; the error says that there is no
// verdict.
type Virus interface {
	Scan(ctx context.Context, name string, open virus.Open) (virus.Verdict, error)
}

// Options configure a Scanner.
type Options struct {
	Engine    inspect.Engine   // opens files
	Virus     Virus            // nil for none
	Limits    container.Limits // of one message; a file may use all that is left
	Passwords []string         // tried on encrypted files, besides those that the message names
	Guesses   int              // passwords taken from the text of one message; default 20, less than 0 for none
	Memory    int64            // octets of files in memory at a time, of all messages together; default 256 MiB
	// Open opens a message that is encrypted as a whole, if the gateway has a key for it; nil opens none. What it returns stays in
	// memory, is scanned like a message, and appears in no report.
	Open func(m *message.Message) (entity []byte, ok bool)
	// Inside look into what was opened, besides this Scanner: for what is no file of a message. What they would change stays
	// as it is, because it is encrypted.
	Inside   []scan.Scanner
	Readings reading.Limits
	Attach   attach.Options
}

// A Scanner implements scan.Scanner. It is safe for concurrent use.
type Scanner struct {
	opt    Options
	attach *attach.Scanner
	memory *semaphore.Weighted
}

// New returns a Scanner.
func New(opt Options) *Scanner {
	opt.Limits = opt.Limits.WithDefaults()
	if opt.Guesses == 0 {
		opt.Guesses = 20
	}
	if opt.Memory <= 0 {
		opt.Memory = 256 << 20
	}
	return &Scanner{opt: opt, attach: attach.New(opt.Attach), memory: semaphore.NewWeighted(opt.Memory)}
}

// Scan implements scan.Scanner.
func (s *Scanner) Scan(ctx context.Context, m *message.Message) scan.Report {
	if m.Root == nil {
		return scan.Report{}
	}
	i := &inspection{scanner: s, m: m, left: s.opt.Limits, asked: map[string]verdict{}}
	var whole sync.WaitGroup
	var all virus.Verdict
	var failed error
	if s.opt.Virus != nil {
		whole.Go(func() {
			all, failed = i.ask(ctx, "message", func() io.Reader { return m.Open(message.Range{Start: 0, End: m.Size()}) })
		})
	}
	found := i.files(ctx)
	i.texts(ctx)
	whole.Wait()
	if s.opt.Virus != nil {
		i.note("", "message", all, failed)
		i.plainTexts(ctx, all, failed)
	}
	i.summarize(&found)
	return found
}

// files reports the files of the message.
func (i *inspection) files(ctx context.Context) scan.Report {
	found := i.scanner.attach.With(i).Scan(ctx, i.m)
	other := &reading.Scanner{Limits: i.scanner.opt.Readings, Inspectors: []attach.Inspector{i}}
	if i.scanner.opt.Virus != nil {
		other.Observe = func(r reading.Reading, hash string) { i.askOnce(ctx, r.Section, r.Name, r.Content, hash) }
	}
	found.Add(other.Scan(ctx, i.m))
	return found
}

// withoutControls is a name as it may stand in a path.
func withoutControls(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, name)
}

// File looks into one file that is no part of a message. Its object is the first of the report, with the name as path.
func (s *Scanner) File(ctx context.Context, name string, content []byte) scan.Report {
	o := attach.Identify(name, "", content[:min(len(content), attach.Window)])
	sum := sha256.Sum256(content)
	o.Path, o.Size, o.SHA256 = withoutControls(name), int64(len(content)), hex.EncodeToString(sum[:])
	i := &inspection{scanner: s, left: s.opt.Limits, asked: map[string]verdict{}, guessed: true, passwords: s.opt.Passwords}
	var report scan.Report
	if o.Size > i.left.Member {
		o.State, o.Method = scan.Uninspectable, fmt.Sprintf("larger than %d octets", i.left.Member)
		i.askObject(ctx, &o, func() io.Reader { return bytes.NewReader(content) })
		report.Findings = describe(&o, nil)
	} else {
		report = i.open(ctx, &o, content)
	}
	report.Objects = append([]scan.Object{o}, report.Objects...)
	i.summarize(&report)
	return report
}
