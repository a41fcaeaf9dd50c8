package ruletest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"assay/rules"
	"assay/rules/facts"
	"assay/scan"
	"assay/verify"
	"assay/verify/dns/zone"
	"assay/verify/message"
)

// inspect verifies and scans a message, as the daemon does.
func inspect(ctx context.Context, v *verify.Verifier, scanners []scan.Scanner, m *message.Message) facts.Input {
	found := make([]scan.Report, len(scanners))
	var wg sync.WaitGroup
	for i, s := range scanners {
		wg.Go(func() { found[i] = look(ctx, s, m) })
	}
	in := facts.Input{Message: m, Results: v.Verify(ctx, m)}
	wg.Wait()
	for _, r := range found {
		in.Report.Add(r)
	}
	return in
}

// look runs one scanner. One that panics has not looked at everything, and that is what the rules are told.
func look(ctx context.Context, s scan.Scanner, m *message.Message) (r scan.Report) {
	defer func() {
		if cause := recover(); cause != nil {
			r = scan.Report{Findings: []scan.Finding{{Kind: "limit.panic", Detail: fmt.Sprintf("%T: %v", s, cause), Count: 1}}}
		}
	}()
	return s.Scan(ctx, m)
}

// A scene supplies the facts of one test.
type scene struct {
	provider rules.Provider
	subject  string // as received
	close    func()
}

// scene makes a test real. Messages of the rules that come with Assay are verified with defaults: what an operator has
// configured, such as trusted networks, is no mistake in those tests.
func (r *runner) scene(ctx context.Context, t *test, source rules.Source) (*scene, error) {
	if t.facts != nil {
		return &scene{facts.Stated(*t.facts), t.facts.Subject, func() {}}, nil
	}
	verifying, limits := r.opt.Verify, r.opt.Limits
	if source.Name == "" {
		verifying, limits = verify.Options{}, message.Limits{}
	}
	m, err := r.message(t, source.Files, limits)
	if err != nil {
		return nil, err
	}
	z, err := r.zone(t.dns, source.Files)
	if err != nil {
		m.Close()
		return nil, err
	}
	verifying.Resolver = z
	in := inspect(ctx, verify.New(verifying), r.opt.Scanners, m)
	return &scene{facts.New(in), strings.TrimSpace(m.Header.Text("Subject")), func() { m.Close() }}, nil
}

// message reads the message of a test.
func (r *runner) message(t *test, files fs.FS, limits message.Limits) (*message.Message, error) {
	f, err := files.Open(t.eml.name)
	if err != nil {
		return nil, fmt.Errorf("the message of the test: %w", err)
	}
	defer f.Close()
	env := t.session
	if env.ReceivedAt = t.now; t.now.IsZero() {
		env.ReceivedAt = r.opt.Load.Now
	}
	m, err := message.Read(f, env, limits)
	if err != nil {
		return nil, fmt.Errorf("the message of the test: %w", err)
	}
	return m, nil
}

// zone reads the DNS of a test. A test without has an empty one: nothing exists, and nobody is asked.
func (r *runner) zone(at place, files fs.FS) (*zone.Zone, error) {
	if at.name == "" {
		return zone.Parse(strings.NewReader(""), "no DNS")
	}
	text, err := fs.ReadFile(files, at.name)
	if err != nil {
		return nil, fmt.Errorf("the DNS of the test: %w", err)
	}
	z, err := zone.Parse(bytes.NewReader(text), at.name)
	if err != nil {
		return nil, fmt.Errorf("the DNS of the test: %w", err)
	}
	return z, nil
}
