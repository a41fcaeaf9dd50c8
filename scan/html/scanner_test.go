package html

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"assay/scan"
	"assay/verify/message"
)

// multipart writes a mail of parts, each with its header fields and content.
func multipart(kind string, parts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/%s; boundary=b\r\n\r\n", kind)
	for _, p := range parts {
		b.WriteString("--b\r\n" + p + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

const (
	activeHTML = "<p onclick=x>Hello <a href=\"https://example.com/\">there</a></p><script>1</script>"
	quietHTML  = "<p>Hello</p>"
)

func scannerMails() map[string]string {
	body := func(content string) string { return "Content-Type: text/html; charset=utf-8\r\n\r\n" + content }
	file := func(kind, name, content string) string {
		return "Content-Type: " + kind + "; name=\"" + name + "\"\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\n\r\n" + content
	}
	return map[string]string{
		"body":           "MIME-Version: 1.0\r\n" + body(activeHTML),
		"quiet body":     "MIME-Version: 1.0\r\n" + body(quietHTML),
		"alternative":    multipart("alternative", "Content-Type: text/plain\r\n\r\nHello", body(activeHTML)),
		"amp":            multipart("alternative", "Content-Type: text/x-amp-html\r\n\r\n<html amp4email><body>Hello</body></html>", body(quietHTML)),
		"file":           multipart("mixed", body(quietHTML), file("text/html", "a.html", activeHTML)),
		"quiet file":     multipart("mixed", body(quietHTML), file("text/html", "a.html", quietHTML)),
		"disguised file": multipart("mixed", body(quietHTML), file("application/octet-stream", "a.HTM", activeHTML)),
		"svg":            multipart("mixed", body(quietHTML), file("image/svg+xml", "a.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>`)),
		"quiet svg":      multipart("mixed", body(quietHTML), file("image/svg+xml", "a.svg", `<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>`)),
		"prefixed svg":   multipart("mixed", body(quietHTML), file("image/svg+xml", "a.svg", `<s:svg xmlns:s="http://www.w3.org/2000/svg"><s:script>1</s:script></s:svg>`)),
		"xhtml":          multipart("mixed", body(quietHTML), file("application/xhtml+xml", "a.xhtml", `<h:html xmlns:h="http://www.w3.org/1999/xhtml"><h:script>1</h:script></h:html>`)),
		"mhtml":          multipart("mixed", body(quietHTML), file("application/octet-stream", "a.mht", "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"+activeHTML)),
		"signed":         multipart("signed", body(activeHTML), "Content-Type: application/pgp-signature\r\n\r\nx"),
		"forwarded":      multipart("mixed", body(quietHTML), "Content-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"+activeHTML),
		"calendar": multipart("mixed", "Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nX-ALT-DESC;FMTTYPE=text/html:<p onclick=x>Meet\\, now</p><scr\r\n ipt>1</scri"+
			"pt>\r\nSUMMARY:x\r\nEND:VCALENDAR"),
		"calendar without": multipart("mixed", "Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\nSUMMARY:x\r\nEND:VCALENDAR"),
		"charset":          "MIME-Version: 1.0\r\nContent-Type: text/html; charset=iso-2022-jp\r\n\r\n<p title=\"\x1b$B\"><script>1</script>\">\x1b(Bx</p>",
	}
}

func scanMail(t *testing.T, mail string) scan.Report {
	t.Helper()
	m, err := message.Read(strings.NewReader(mail), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	var s Scanner
	return s.Scan(context.Background(), m)
}

// describe writes a report and what level active makes of it.
func describe(r scan.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %q x%d\n", f.Section, f.Kind, f.Detail, f.Count)
	}
	for _, l := range r.Links {
		fmt.Fprintf(&b, "%s link %s %s %q\n", l.Section, l.Source, l.URL, l.Text)
	}
	for _, remedy := range r.Remedies {
		fmt.Fprintf(&b, "%s remedy signed=%v\n", remedy.Section, remedy.Signed)
		if edit, taken, ok := remedy.Edit(scan.Active); ok {
			fmt.Fprintf(&b, "  type=%q replace=%v taken=%d %q\n", edit.MediaType, edit.Replace, len(taken), edit.Content)
		}
	}
	return b.String()
}

func TestScanGolden(t *testing.T) {
	mails := scannerMails()
	var got strings.Builder
	for _, name := range slices.Sorted(maps.Keys(mails)) {
		fmt.Fprintf(&got, "== %s\n%s", name, describe(scanMail(t, mails[name])))
	}
	golden(t, "scan.golden", got.String())
}

func TestScanOfLevels(t *testing.T) {
	mail := "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>Hi <img src=\"http://example.com/x.png\" alt=\"us\" width=1 height=1></p>"
	r := scanMail(t, mail)
	if len(r.Remedies) != 1 {
		t.Fatalf("%+v", r)
	}
	edit := r.Remedies[0].Edit
	if _, _, ok := edit(scan.Off); ok {
		t.Error("level off edits")
	}
	if _, _, ok := edit(scan.Active); ok {
		t.Error("level active edits what is harmless")
	}
	if e, taken, ok := edit(scan.Remote); !ok || strings.Contains(string(e.Content), "example.com") || !strings.Contains(string(e.Content), `alt="us"`) || len(taken) != 2 {
		t.Errorf("level remote: %v %v %q", ok, taken, e.Content)
	}
	if e, _, ok := edit(scan.Text); !ok || e.MediaType != "text/plain" || string(e.Content) != "Hi us\n" {
		t.Errorf("level text: %v %q %q", ok, e.MediaType, e.Content)
	}
}

func TestScanIsBounded(t *testing.T) {
	m, err := message.Read(strings.NewReader("MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"+strings.Repeat("<p>x", 1000)), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // nothing is read from it any more
	for name, s := range map[string]Scanner{"message": {Octets: 100}, "part": {Options: Options{Limits: Limits{Octets: 100}}}} {
		r := s.Scan(context.Background(), m)
		if len(r.Remedies) != 1 || !slices.ContainsFunc(r.Findings, func(f scan.Finding) bool { return f.Kind == KindLimit }) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if r := (&Scanner{}).Scan(canceled, m); len(r.Findings) != 1 || r.Findings[0].Kind != KindLimit {
		t.Errorf("canceled: %+v", r)
	}
}
