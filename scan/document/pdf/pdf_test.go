package pdf_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/document/pdf"
)

// A result is a verdict and what was yielded.
type result struct {
	container.Verdict
	members []container.Member
}

// read reads a file with the default limits.
func read(t testing.TB, content []byte, passwords ...string) result {
	t.Helper()
	return readWithin(t, container.Limits{}, content, passwords...)
}

// readWithin reads a file within limits.
func readWithin(t testing.TB, l container.Limits, content []byte, passwords ...string) result {
	t.Helper()
	f := &container.File{Name: "a.pdf", Extension: "pdf", Type: "application/pdf", Content: content, Passwords: passwords,
		Budget: container.NewBudget(context.Background(), l, nil)}
	if !(pdf.Reader{}).Reads(f) {
		t.Fatalf("not taken for a PDF: %.80q", content)
	}
	var out result
	out.Verdict = pdf.Reader{}.Read(f, func(m container.Member) bool {
		out.members = append(out.members, m)
		return true
	})
	return out
}

// traits returns the traits in alphabetical order.
func (r result) traits() string {
	var out []string
	for _, s := range r.Signs {
		out = append(out, string(s.Trait))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

// has reports whether a trait was seen.
func (r result) has(t scan.Trait) bool {
	return slices.ContainsFunc(r.Signs, func(s container.Sign) bool { return s.Trait == t })
}

// String implements fmt.Stringer, for failures.
func (r result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "state %q class %q method %q", r.State, r.Class, r.Method)
	for _, s := range r.Signs {
		fmt.Fprintf(&b, "\n  %s x%d: %s", s.Trait, s.Count, s.Detail)
	}
	for _, l := range r.Links {
		fmt.Fprintf(&b, "\n  link %s %s", l.Source, l.URL)
	}
	for _, m := range r.members {
		fmt.Fprintf(&b, "\n  member %q %s %s %s %.60q", m.Name, m.Declared, m.State, m.Method, m.Content)
	}
	return b.String()
}

// readUntil reads a file with a clock of the processor.
func readUntil(t testing.TB, clock func() time.Duration, content []byte) result {
	t.Helper()
	var out result
	f := &container.File{Content: content, Budget: container.NewBudget(context.Background(), container.Limits{}, clock)}
	out.Verdict = pdf.Reader{}.Read(f, func(m container.Member) bool {
		out.members = append(out.members, m)
		return true
	})
	return out
}
