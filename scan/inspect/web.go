package inspect

import (
	"bytes"
	"context"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/html"
	"assay/verify/message"
)

// web reads what a browser shows: HTML, XHTML, SVG, MHTML, and calendar entries with HTML.
type web struct{}

// Reads implements container.Reader.
func (web) Reads(f *container.File) bool { return webType(f) != "" }

// webType returns the media type under which the HTML engine reads a file, "" if a browser does not show it.
func webType(f *container.File) string {
	switch f.Extension {
	case "xml", "xsl", "xslt": // a browser runs what it finds of these languages in any XML
		if bytes.Contains(f.Content, []byte("http://www.w3.org/1999/xhtml")) || bytes.Contains(f.Content, []byte("http://www.w3.org/2000/svg")) {
			return "application/xhtml+xml"
		}
	}
	switch f.Type {
	case "text/html", "application/xhtml+xml", "image/svg+xml", "text/calendar":
		return f.Type
	case "application/x-mimearchive":
		return "application/x-mimearchive"
	}
	switch f.Extension { // what decides how a browser opens it
	case "html", "htm", "shtml", "hta":
		return "text/html"
	case "xhtml", "xht":
		return "application/xhtml+xml"
	case "svg", "svgz":
		return "image/svg+xml"
	case "ics", "ical", "vcs":
		return "text/calendar"
	}
	return ""
}

// Read implements container.Reader.
func (web) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	if err := f.Budget.Check(); err != nil {
		return container.Limited(err)
	}
	head := "MIME-Version: 1.0\r\nContent-Type: " + webType(f) + "; name=\"file." + extensionOf(webType(f)) +
		"\"\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: binary\r\n\r\n"
	text := append([]byte(head), f.Content...)
	m, err := message.Read(bytes.NewReader(text), message.Envelope{}, memoryLimits(len(text)))
	if err != nil {
		return container.Limited(err)
	}
	defer m.Close()
	report := (&html.Scanner{}).Scan(context.Background(), m)
	v := container.Verdict{State: scan.Inspected}
	for _, finding := range report.Findings {
		if finding.Kind == html.KindLimit {
			v.State, v.Method = scan.Uninspectable, "HTML beyond a limit: "+finding.Detail
		}
		if activeKind(finding.Kind) {
			v.Signs = append(v.Signs, container.Sign{Trait: scan.ActiveHTML, Detail: string(finding.Kind), Count: finding.Count})
		}
	}
	for _, l := range report.Links {
		v.Links = append(v.Links, container.Link{URL: l.URL, Text: l.Text, Source: l.Source})
	}
	return dataFiles(f, v, yield)
}

// extensionOf returns the extension that fits a type.
func extensionOf(mediaType string) string {
	switch mediaType {
	case "application/xhtml+xml":
		return "xhtml"
	case "image/svg+xml":
		return "svg"
	case "text/calendar":
		return "ics"
	case "application/x-mimearchive":
		return "mht"
	}
	return "html"
}

// activeKind reports whether a finding is about something that acts in a browser.
func activeKind(kind scan.Kind) bool {
	switch kind {
	case html.KindScript, html.KindHandler, html.KindForm, html.KindFrame, html.KindObject, html.KindRefresh, html.KindBase, html.KindURL,
		html.KindCSS, html.KindAMP, html.KindCalendar:
		return true
	}
	return false
}
