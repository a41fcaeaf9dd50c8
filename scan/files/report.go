package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"

	"assay/scan"
	"assay/scan/html"
	"assay/scan/inspect"
	"assay/scan/sealed"
	"assay/scan/virus"
	"assay/verify/message"
)

// maxBody bounds how much of one text is read for passwords and for encryption between its lines.
const maxBody = 256 << 10

// describe returns the findings of the message about a file and what is inside of it: one per kind and state.
func describe(o *scan.Object, inside []scan.Object) []scan.Finding {
	var found []scan.Finding
	one := func(o *scan.Object) {
		for _, f := range o.Findings {
			f.Detail = strings.TrimSuffix(o.Path+": "+f.Detail, ": ")
			found = merge(found, f)
		}
		switch o.State {
		case scan.Encrypted:
			found = merge(found, scan.Finding{Kind: Encrypted, Section: o.Section, Detail: o.Path + ": " + o.Method, Count: 1})
		case scan.Uninspectable, "":
			found = merge(found, scan.Finding{Kind: Uninspectable, Section: o.Section, Detail: o.Path + ": " + o.Method, Count: 1})
		}
	}
	one(o)
	for n := range inside {
		one(&inside[n])
	}
	return found
}

// maxDetail bounds the words of one finding.
const maxDetail = 500

// merge adds a finding, or counts it with the one of its kind in the same part.
func merge(all []scan.Finding, f scan.Finding) []scan.Finding {
	f.Detail = clip(f.Detail, maxDetail)
	for n := range all {
		if all[n].Kind == f.Kind && all[n].Section == f.Section {
			all[n].Count += f.Count
			return all
		}
	}
	return append(all, f)
}

// texts asks about the parts that are no files: what is shown as text. What is written there in plain stands in the message
// that the scanners have seen as a whole.
func (i *inspection) texts(ctx context.Context) {
	for p := range i.m.Root.Leaves() {
		if ctx.Err() != nil {
			return
		}
		if !strings.HasPrefix(p.MediaType, "text/") {
			continue
		}
		if i.scanner.opt.Virus != nil && (p.Encoding == "base64" || p.Encoding == "quoted-printable") {
			i.askText(ctx, p)
		}
		if p.Filename == "" && p.Disposition != "attachment" {
			i.inline(p)
		}
		if i.scanner.opt.Virus != nil && p.MediaType == "text/html" {
			inspect.DataURLs(i.read(p, i.left.Member), func(_ string, content []byte) bool {
				i.askAbout(ctx, p.Section, "data", content)
				return ctx.Err() == nil
			})
		}
	}
}

// plainTexts asks about the texts that stand in the message in plain, if the answer about the message says that a scanner has not
// looked into all of it.
func (i *inspection) plainTexts(ctx context.Context, whole virus.Verdict, err error) {
	if i.scanner.opt.Virus == nil || err != nil || whole.Kind == virus.Clean || whole.Kind == virus.Infected {
		return
	}
	for p := range i.m.Root.Leaves() {
		if ctx.Err() != nil {
			return
		}
		if strings.HasPrefix(p.MediaType, "text/") {
			i.askText(ctx, p)
		}
	}
}

// askText asks about a text, once. One that is no file, and that a scanner does not look into, is reported like a file that nobody
// can read.
func (i *inspection) askText(ctx context.Context, p *message.Part) {
	hash := sha256.New()
	size, err := io.Copy(hash, i.m.Content(p))
	if err != nil || size == 0 {
		return
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if _, known := i.asked[sum]; known {
		return
	}
	v, err := i.ask(ctx, p.Filename, func() io.Reader { return i.m.Content(p) })
	i.asked[sum] = verdict{v, err}
	i.note(p.Section, p.Filename, v, err)
	if v.Kind == virus.Uninspectable && p.Filename == "" && p.Disposition != "attachment" {
		i.objects = append(i.objects, scan.Object{
			Path: p.Section, Section: p.Section, Declared: p.MediaType, Type: "text/plain", Inline: true, Size: size, SHA256: sum,
			State: scan.Uninspectable, Method: scannerLimit + v.Name,
		})
	}
}

// read returns the decoded content of a part up to a limit; what cannot be read is empty, and reported by scan/attach.
func (i *inspection) read(p *message.Part, limit int64) []byte {
	content, err := io.ReadAll(io.LimitReader(i.m.Content(p), limit))
	if err != nil {
		return nil
	}
	return content
}

// inline reports a text that is encrypted between its lines (RFC 9580 Section 6.2), which is no file but as unreadable as
// one.
func (i *inspection) inline(p *message.Part) {
	text := i.read(p, maxBody)
	if p.MediaType == "text/html" && bytes.Contains(text, []byte("BEGIN PGP MESSAGE")) {
		text = []byte(html.Text(text, p.Params["charset"]))
	}
	found, method := sealed.Inline(text)
	if !found {
		return
	}
	o := scan.Object{
		Path: p.Section, Section: p.Section, Declared: p.MediaType, Type: "text/plain", Inline: true,
		State: scan.Encrypted, Class: scan.ClassOpenPGP, Method: method,
	}
	hash := sha256.New()
	var err error
	if o.Size, err = io.Copy(hash, i.m.Content(p)); err == nil {
		o.SHA256 = hex.EncodeToString(hash.Sum(nil))
	}
	i.objects = append(i.objects, o)
}

// summarize adds to the report what concerns the message as a whole.
func (i *inspection) summarize(report *scan.Report) {
	for n := range i.objects {
		report.Findings = append(report.Findings, describe(&i.objects[n], nil)...)
	}
	report.Objects = append(report.Objects, i.objects...)
	report.Findings = append(report.Findings, i.findings...)
	report.Virus = i.virus
}

// subject is the decoded subject.
func subject(m *message.Message) string {
	return m.Header.Text("Subject")
}

// bodies are the texts of the message as a person reads them.
func bodies(m *message.Message) []string {
	var out []string
	left := int64(maxBody)
	for p := range m.Root.Leaves() {
		if left <= 0 || p.Filename != "" || p.Disposition == "attachment" {
			continue
		}
		isHTML := p.MediaType == "text/html"
		if p.MediaType != "text/plain" && !isHTML {
			continue
		}
		content, err := io.ReadAll(io.LimitReader(m.Content(p), left))
		if err != nil {
			continue
		}
		left -= int64(len(content))
		text := string(content)
		if isHTML {
			text = html.Text(content, p.Params["charset"])
		}
		out = append(out, text)
	}
	return out
}
