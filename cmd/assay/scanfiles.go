package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/files"
	"assay/verify/message"
)

// A fileScan is one run of "scan".
type fileScan struct {
	app     *app
	scanner *files.Scanner
	limits  message.Limits
	json    bool
}

// scanFiles returns "scan" for files.
func (a *app) scanFiles() *cobra.Command {
	s := &fileScan{app: a}
	var passwords []string
	var passwordFile string
	var noVirus bool
	c := &cobra.Command{
		Use:   "scan FILE...",
		Short: "Look into files: what they are, what is inside of them, and whether it can be read",
		Long: "Look into files as the daemon looks into attachments, and print the tree of what is inside: type by content, state\n" +
			"(inspected, encrypted, uninspectable or bad), how it is encrypted, and what is odd or active about it. A mail is\n" +
			"taken apart first. \"-\" reads standard input. Virus scanners are asked if the configuration names some.\n\n" +
			"With --json one document per file, described in packaging/scan-json.md.",
		Args: args(1, 100000),
	}
	path := configFlag(c)
	flags := c.Flags()
	flags.BoolVar(&s.json, "json", false, "print one JSON document per file")
	flags.StringArrayVar(&passwords, "password", nil, "a password to try on encrypted files; visible to other users of this machine while it runs")
	flags.StringVar(&passwordFile, "password-file", "", "file with passwords to try, one per line")
	flags.BoolVar(&noVirus, "no-virus", false, "ask no virus scanner")
	c.RunE = func(c *cobra.Command, names []string) error {
		loaded, err := a.load(*path)
		if err != nil {
			return err
		}
		cfg := *loaded.Config
		cfg.Scan.Files.Passwords = append(passwords, cfg.Scan.Files.Passwords...)
		if passwordFile != "" {
			cfg.Scan.Files.PasswordsFile = passwordFile
		}
		if noVirus {
			cfg.Scan.Virus.Clamd, cfg.Scan.Virus.ICAP = nil, nil
		}
		i, err := a.newInspection(&cfg, inspectionObserver{})
		if err != nil {
			return err
		}
		defer i.close()
		s.scanner, s.limits = files.New(fileOptions(&cfg, i)), messageLimits(&cfg)
		return s.all(c.Context(), names)
	}
	return c
}

// all looks into one file after the other. One that cannot be read does not keep the others from being looked at.
func (s *fileScan) all(ctx context.Context, names []string) error {
	var failed error
	for _, name := range names {
		if err := s.file(ctx, name); err != nil {
			fmt.Fprintf(s.app.err, "assay: %v\n", err)
			failed = exitError(exitFailed)
		}
	}
	return failed
}

// file looks into one file.
func (s *fileScan) file(ctx context.Context, name string) error {
	content, err := s.app.readFile(name)
	if err != nil {
		return err
	}
	short := filepath.Base(name)
	report, err := s.look(ctx, short, content)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if s.json {
		e := json.NewEncoder(s.app.out)
		e.SetEscapeHTML(false)
		return e.Encode(newScanReport(name, report))
	}
	return s.text(name, report)
}

// maxScanned is the largest file that "scan" reads, in octets.
const maxScanned = 1 << 30

// readFile reads a file, or standard input for "-".
func (a *app) readFile(name string) ([]byte, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, maxScanned+1))
	if err == nil && len(content) > maxScanned {
		err = fmt.Errorf("%s is larger than %d octets", name, maxScanned)
	}
	return content, err
}

// look looks into a mail part by part, and into everything else as one file.
func (s *fileScan) look(ctx context.Context, name string, content []byte) (scan.Report, error) {
	isMail := strings.EqualFold(filepath.Ext(name), ".eml") || attach.Sniff(content[:min(len(content), attach.Window)]) == "message/rfc822"
	if !isMail {
		return s.scanner.File(ctx, name, content), nil
	}
	limits := s.limits
	limits.BodyOctets = max(limits.BodyOctets, int64(len(content))+1)
	m, err := message.Read(bytes.NewReader(content), message.Envelope{}, limits)
	if err != nil {
		return scan.Report{}, err
	}
	defer m.Close()
	report := s.scanner.Scan(ctx, m)
	root := attach.Identify(name, "", content[:min(len(content), attach.Window)])
	root.Path, root.Size, root.State, root.Type = name, int64(len(content)), scan.Inspected, "message/rfc822"
	if m.Exceeded() != nil {
		root.State, root.Method = scan.Uninspectable, m.Exceeded().Error()
	}
	for n := range report.Objects {
		report.Objects[n].Path = name + "/" + report.Objects[n].Path
		report.Objects[n].Depth++
	}
	report.Objects = append([]scan.Object{root}, report.Objects...)
	return report, nil
}

// A scanReport is what "scan --json" prints about one file. See packaging/scan-json.md.
type scanReport struct {
	File     string        `json:"file"`
	Objects  []scanObject  `json:"objects"`
	Findings []scanFinding `json:"findings"`
	Links    []scanLink    `json:"links"`
	Virus    *scanVirus    `json:"virus,omitempty"`
}

// A scanObject is one object.
type scanObject struct {
	Path     string        `json:"path"`
	Name     string        `json:"name"`
	Depth    int           `json:"depth"`
	Type     string        `json:"type"`
	Declared string        `json:"declared,omitempty"`
	Size     int64         `json:"size"`
	SHA256   string        `json:"sha256,omitempty"`
	State    string        `json:"state"`
	Class    string        `json:"class"`
	Method   string        `json:"method"`
	Traits   []scan.Trait  `json:"traits"`
	Findings []scanFinding `json:"findings"`
}

// A scanFinding is one finding.
type scanFinding struct {
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
	Count  int    `json:"count"`
}

// A scanLink is one link.
type scanLink struct {
	URL    string `json:"url"`
	Text   string `json:"text"`
	Source string `json:"source"`
}

// A scanVirus is what virus scanners say.
type scanVirus struct {
	State string   `json:"state"`
	Names []string `json:"names"`
	Error string   `json:"error,omitempty"`
}

// newScanReport returns the report of a file.
func newScanReport(name string, r scan.Report) scanReport {
	out := scanReport{File: name, Objects: []scanObject{}, Findings: scanFindings(r.Findings), Links: []scanLink{}}
	for i := range r.Objects {
		o := &r.Objects[i]
		out.Objects = append(out.Objects, scanObject{
			Path: o.Path, Name: o.Name, Depth: o.Depth, Type: o.Type, Declared: o.Declared, Size: o.Size, SHA256: o.SHA256,
			State: stateWord(o.State), Class: o.Class, Method: o.Method, Traits: append([]scan.Trait{}, o.Traits...), Findings: scanFindings(o.Findings),
		})
	}
	for _, l := range r.Links {
		out.Links = append(out.Links, scanLink{l.URL, l.Text, string(l.Source)})
	}
	if r.Virus.State != scan.VirusOff {
		out.Virus = &scanVirus{string(r.Virus.State), append([]string{}, r.Virus.Names...), r.Virus.Error}
	}
	return out
}

// scanFindings returns the report of findings.
func scanFindings(all []scan.Finding) []scanFinding {
	out := []scanFinding{}
	for _, f := range all {
		out = append(out, scanFinding{string(f.Kind), f.Detail, max(f.Count, 1)})
	}
	return out
}

// stateWord is the word for a state; what nobody looked at is uninspectable.
func stateWord(s scan.State) string {
	if s == "" {
		s = scan.Uninspectable
	}
	return string(s)
}

// text prints the tree for a person.
func (s *fileScan) text(name string, r scan.Report) error {
	w := s.app.out
	fmt.Fprintf(w, "%s\n", visible(name))
	for i := range r.Objects {
		o := &r.Objects[i]
		indent := strings.Repeat("  ", o.Depth+1)
		fmt.Fprintf(w, "%s%s: %s, %s, %d octets\n", indent, visible(label(o)), stateWord(o.State), visible(o.Type), o.Size)
		if o.Method != "" {
			class := ""
			if o.Class != "" {
				class = o.Class + ": "
			}
			fmt.Fprintf(w, "%s    %s%s\n", indent, class, visible(o.Method))
		}
		for _, f := range o.Findings {
			fmt.Fprintf(w, "%s    %s %s\n", indent, f.Kind, visible(f.Detail))
		}
	}
	if r.Virus.State != scan.VirusOff {
		fmt.Fprintf(w, "  virus scanners: %s\n", visible(strings.TrimSpace(strings.Join(append([]string{string(r.Virus.State)}, r.Virus.Names...), " ")+" "+r.Virus.Error)))
	}
	return nil
}

// label is what an object is called in the tree: the last name of its path, and the file name where that is another.
func label(o *scan.Object) string {
	last := lastOf(o.Path)
	if o.Name == "" || o.Name == last {
		return last
	}
	return last + " " + o.Name
}

// lastOf is what the last name adds to a path.
func lastOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[i+1:]
	}
	return path
}
