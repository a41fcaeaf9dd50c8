package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"assay/milter/textdiff"
	"assay/scan"
	"assay/scan/html"
	"assay/verify/message"
)

// scan returns "scan", and the commands below it.
func (a *app) scan() *cobra.Command {
	c := a.scanFiles()
	c.AddCommand(a.scanHTML())
	return c
}

// maxHTMLFile is the largest file that "scan html" reads, in octets.
const maxHTMLFile = 256 << 20

// A htmlScan is one run of "scan html".
type htmlScan struct {
	app     *app
	level   scan.Level
	charset string
	options html.Options
	output  string
	json    bool
}

// A htmlReport is what was found in one document.
type htmlReport struct {
	Name     string        `json:"name"`
	Changed  bool          `json:"changed"`
	Fallback string        `json:"fallback"` // "", "tree" or "text"
	Charset  string        `json:"charset"`  // that has to be declared for the output, "" if it stays
	Findings []htmlFinding `json:"findings"`
	Taken    []htmlFinding `json:"taken"`
	Links    []htmlLink    `json:"links"`
	Output   *string       `json:"output,omitempty"`        // for documents from html in JSON lines
	Octets   []byte        `json:"output_base64,omitempty"` // for those from html_base64
	Error    string        `json:"error,omitempty"`
}

// A htmlFinding is one kind of finding.
type htmlFinding struct {
	Kind   string `json:"kind"`
	Count  int    `json:"count"`
	Detail string `json:"detail"`
}

// A htmlLink is one link.
type htmlLink struct {
	URL    string `json:"url"`
	Text   string `json:"text"`
	Source string `json:"source"`
}

// scanHTML returns "scan html".
func (a *app) scanHTML() *cobra.Command {
	c := &cobra.Command{
		Use:   "html [FILE...|-]",
		Short: "Show what is active in HTML, and make it safe",
		Long: "Show what is active in HTML files, and how they would be made safe, as a diff. A file that ends in .eml is a message,\n" +
			"whose HTML is looked at part by part. With --jsonl each line of standard input is a JSON object with html (text), or with\n" +
			"html_base64 (octets) and charset or content_type, and with an id if there is one; each line of the output is a JSON\n" +
			"object with the result, and output or output_base64.\n" +
			"Exit codes: 0 done, whatever was found; 1 a file could not be read.",
		Args: cobra.ArbitraryArgs,
	}
	s := &htmlScan{app: a}
	level := c.Flags().String("level", "active", "what is taken out: `LEVEL` active, remote, text, or off")
	forms := c.Flags().Bool("keep-forms", false, "leave forms in")
	lines := c.Flags().Bool("jsonl", false, "read JSON lines from standard input")
	c.Flags().StringVar(&s.charset, "charset", "", "charset that the document was declared with, a `NAME`")
	c.Flags().StringVarP(&s.output, "output", "o", "", "write what was made safe to `FILE`, or into a directory if there are several files; - is\nstandard output, and the report goes to standard error")
	c.Flags().BoolVar(&s.json, "json", false, "print one JSON object per document")
	c.RunE = func(_ *cobra.Command, args []string) error {
		switch s.level = scan.Level(*level); s.level {
		case scan.Off, scan.Active, scan.Remote, scan.Text:
		default:
			return usageError{fmt.Errorf("--level %q is not active, remote, text or off", *level)}
		}
		if *forms {
			s.options.Forms = html.KeepForms
		}
		if *lines {
			if len(args) > 0 {
				return usageError{errors.New("--jsonl takes no files")}
			}
			return s.lines()
		}
		if len(args) == 0 {
			return usageError{errors.New("scan html needs a file, - or --jsonl")}
		}
		return s.files(args)
	}
	return c
}

// lines answers JSON lines.
func (s *htmlScan) lines() error {
	in := bufio.NewReaderSize(s.app.in, 64<<10)
	out := bufio.NewWriter(s.app.out)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if len(line) > maxHTMLFile {
			return fmt.Errorf("line %d is larger than %d octets", n, maxHTMLFile)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			if err := encoder.Encode(s.line(n, line)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// line answers one JSON line.
func (s *htmlScan) line(n int, line []byte) htmlReport {
	var doc struct {
		ID      json.RawMessage `json:"id"`
		HTML    string          `json:"html"`
		Octets  []byte          `json:"html_base64"`
		Charset string          `json:"charset"`
		Type    string          `json:"content_type"`
	}
	if err := json.Unmarshal(line, &doc); err != nil {
		return htmlReport{Name: fmt.Sprint(n), Error: err.Error()}
	}
	name := strings.Trim(string(doc.ID), `"`)
	if name == "" {
		name = fmt.Sprint(n)
	}
	source, charset := []byte(doc.HTML), doc.Charset
	if charset == "" {
		_, params, _ := mime.ParseMediaType(doc.Type)
		charset = params["charset"]
	}
	if doc.Octets != nil {
		source = doc.Octets
	} else {
		charset = "utf-8" // as JSON is
	}
	result := html.Clean(source, charset, s.level, s.options)
	r := newHTMLReport(name, result)
	if doc.Octets != nil {
		r.Octets = result.Output
	} else {
		text := string(result.Output)
		r.Output = &text
	}
	return r
}

// newHTMLReport returns the report of a document.
func newHTMLReport(name string, r html.Result) htmlReport {
	out := htmlReport{Name: name, Changed: r.Changed, Fallback: string(r.Fallback), Charset: r.Charset, Links: []htmlLink{},
		Findings: htmlFindings(r.Findings), Taken: htmlFindings(r.Taken)}
	for _, l := range r.Links {
		out.Links = append(out.Links, htmlLink{l.URL, l.Text, string(l.Source)})
	}
	return out
}

// htmlFindings returns the report of findings.
func htmlFindings(all []scan.Finding) []htmlFinding {
	out := []htmlFinding{}
	for _, f := range all {
		out = append(out, htmlFinding{string(f.Kind), max(f.Count, 1), f.Detail})
	}
	return out
}

// files looks at files one after the other. One that cannot be read does not keep the others from being looked at.
func (s *htmlScan) files(names []string) error {
	if len(names) > 1 && s.output != "" && s.output != "-" {
		if err := os.MkdirAll(s.output, 0o755); err != nil {
			return err
		}
	}
	var failed error
	for _, name := range names {
		if err := s.file(name, len(names) > 1); err != nil {
			fmt.Fprintf(s.app.err, "assay: %v\n", err)
			failed = exitError(exitFailed)
		}
	}
	return failed
}

// file looks at one file.
func (s *htmlScan) file(name string, several bool) error {
	text, err := s.read(name)
	if err != nil {
		return err
	}
	var r htmlReport
	var cleaned []byte
	if strings.EqualFold(filepath.Ext(name), ".eml") {
		r, cleaned, err = s.mail(name, text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	} else {
		result := html.Clean(text, s.charset, s.level, s.options)
		r, cleaned = newHTMLReport(name, result), result.Output
	}
	if err := s.report(r, text, cleaned); err != nil || s.output == "" {
		return err
	}
	target := s.output
	if several && target != "-" {
		target = filepath.Join(target, filepath.Base(name))
	}
	return s.app.writeFile(target, func(w io.Writer) error {
		_, err := w.Write(cleaned)
		return err
	})
}

// read reads a file.
func (s *htmlScan) read(name string) ([]byte, error) {
	in := s.app.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxHTMLFile+1))
	if err == nil && len(text) > maxHTMLFile {
		err = fmt.Errorf("%s is larger than %d octets", name, maxHTMLFile)
	}
	return text, err
}

// mail makes the HTML of a message safe.
func (s *htmlScan) mail(name string, text []byte) (htmlReport, []byte, error) {
	m, err := message.Read(bytes.NewReader(text), message.Envelope{}, message.Limits{Memory: len(text) + 1})
	if err != nil {
		return htmlReport{}, nil, err
	}
	defer m.Close()
	found := (&html.Scanner{Options: s.options}).Scan(context.Background(), m)
	var edits []message.Edit
	all := html.Result{Findings: found.Findings, Links: found.Links}
	for _, remedy := range found.Remedies {
		edit, taken, ok := remedy.Edit(s.level)
		if !ok {
			continue
		}
		if err := m.Editable(edit.Part); err != nil {
			fmt.Fprintf(s.app.err, "assay: %s: part %s cannot be made safe in its place, a daemon would hold the mail\n", name, remedy.Section)
			continue
		}
		edits, all.Taken, all.Changed = append(edits, edit), append(all.Taken, taken...), true
	}
	rewritten, err := m.Rewrite(edits)
	if err != nil {
		return htmlReport{}, nil, err
	}
	var out bytes.Buffer
	if _, err := rewritten.WriteTo(&out); err != nil {
		return htmlReport{}, nil, err
	}
	return newHTMLReport(name, all), out.Bytes(), nil
}

// report prints what was found, as JSON or for a person.
func (s *htmlScan) report(r htmlReport, before, after []byte) error {
	w := s.app.out
	if s.output == "-" {
		w = s.app.err
	}
	if s.json {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(r)
	}
	word := "nothing to change"
	if r.Changed {
		word = "changed"
		if r.Fallback != "" {
			word += ", written anew as " + r.Fallback
		}
	}
	fmt.Fprintf(w, "%s: %s\n", r.Name, word)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "  %-20s %d %s\n", f.Kind, f.Count, visible(f.Detail))
	}
	for _, l := range r.Links {
		if l.Text != "" && l.Text != l.URL {
			fmt.Fprintf(w, "  %-20s %s (shown as %s)\n", "link "+l.Source, visible(l.URL), visible(l.Text))
		} else {
			fmt.Fprintf(w, "  %-20s %s\n", "link "+l.Source, visible(l.URL))
		}
	}
	_, err := io.WriteString(w, visibleLines(textdiff.Unified("as received", lineFeed(before), "made safe", lineFeed(after))))
	return err
}

// lineFeed returns text with LF line ends.
func lineFeed(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) }

// visible replaces what could garble a terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, text)
}

// visibleLines is visible for a text of several lines.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = visible(strings.ReplaceAll(l, "\t", " "))
	}
	return strings.Join(lines, "\n")
}
