package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/mtatest"
	"assay/milter/store"
	"assay/verify/dmarc"
	"assay/verify/dmarc/report"
	"assay/verify/dns/dnstest"
)

// reportZone has a domain whose reports go to another organization, which has agreed, and the one that reports.
const reportZone = `
client.example. TXT "v=spf1 ip4:127.0.2.25 -all"
_dmarc.client.example. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@rcpt.example"
client.example._report._dmarc.rcpt.example. TXT "v=DMARC1"
_dmarc.reporter.example. TXT "v=DMARC1; p=reject"
rsa2048._domainkey.reporter.example. TXT "v=DKIM1; k=rsa; p={{rsa2048}}"
`

// TestDMARCReports: what both MTAs have shown to the daemon is in the report, which is made while the daemon runs. A report about
// a day that is over goes through the MTA, and passes DMARC there.
func TestDMARCReports(t *testing.T) {
	k, dir := newKeys(t), filepath.Join(t.TempDir(), "dmarc")
	l := newLane(t, setup{})
	if l.postfix == nil {
		t.Skip("no MTA can be run here")
	}
	config := fmt.Sprintf("verify: {dmarc: {enforce: true, reports: {send: true, from: r@reporter.example, smtp: %q, dir: %q, selector: rsa2048, key_file: %q}}}\n",
		l.postfix.Addr(), dir, k.file("rsa2048"))
	d, err := mtatest.StartDaemon(program(t, false), l.config(t, config, dnstest.New(t, k.fill(reportZone), dnstest.Options{}).Addr()), "")
	must(t, err)
	defer d.Close()
	l.each(t, func(t *testing.T, m mtatest.MTA) {
		message := "From: a@client.example\r\nTo: b@rcpt.example\r\nMessage-ID: <1@client.example>\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\nhello\r\n"
		l.delivered(t, send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), message, 250))
		send(t, connect(t, m, "127.0.2.66"), between("a@client.example", "b@rcpt.example"), message, 550)
	})
	text := documentOf(t, rehearsed(t, d, 2*len(l.mtas())))
	for _, want := range []string{"<domain>client.example</domain>", "<source_ip>127.0.2.25</source_ip>", "<disposition>pass</disposition>",
		"<source_ip>127.0.2.66</source_ip>", "<disposition>reject</disposition>", fmt.Sprintf("<count>%d</count>", len(l.mtas()))} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}

	yesterday(t, dir)
	out, code, err := d.Run("dmarc", "send")
	must(t, err)
	if code != 0 || !strings.Contains(out, "1 report sent") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	got, err := l.sink.WaitTo(t.Context(), "dmarc@rcpt.example")
	must(t, err)
	header, _ := fields(got.Data)
	if results := strings.Join(named(header, "Authentication-Results"), ""); !strings.Contains(results, "dkim=pass") || !strings.Contains(results, "dmarc=pass") {
		t.Errorf("the report does not pass: %s", results)
	}
	if text := documentOf(t, got.Data); !strings.Contains(text, "<source_ip>192.0.2.7</source_ip>") || got.From != "r@reporter.example" {
		t.Errorf("%s: %s", got.From, text)
	}
	if out, _, err := d.Run("dmarc", "send"); err != nil || !strings.Contains(out, "0 reports sent") || len(l.sink.To("dmarc@rcpt.example")) != 1 {
		t.Errorf("sent again: %s", out)
	}
}

// rehearsed returns the mail that would be sent about today once it has n messages, which are on the disk after a second.
func rehearsed(t *testing.T, d *mtatest.Daemon, n int) []byte {
	t.Helper()
	dir, said := t.TempDir(), ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		out, code, err := d.Run("dmarc", "send", "--dry-run", dir, "--today")
		must(t, err)
		files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
		must(t, err)
		if said = out; code == 0 && len(files) == 1 {
			text, err := os.ReadFile(files[0])
			must(t, err)
			if said = string(text); bytes.Contains(text, fmt.Appendf(nil, "Messages: %d,", n)) {
				return text
			}
		}
	}
	t.Fatalf("no report about %d messages: %s", n, said)
	return nil
}

// yesterday adds a message of yesterday to a store that the daemon uses.
func yesterday(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "reports.db"), Existing: true})
	must(t, err)
	row, ok := report.NewRow(report.Input{ClientIP: netip.MustParseAddr("192.0.2.7"), Evaluation: dmarc.Evaluation{Result: "pass", Domain: "client.example",
		PolicyDomain: "client.example", Record: "v=DMARC1; p=reject; rua=mailto:dmarc@rcpt.example", Published: dmarc.PolicyReject, SPFAligned: true}})
	if !ok {
		t.Fatal("no row")
	}
	s.Add(time.Now().Add(-24*time.Hour), row)
	must(t, s.Close())
}

// documentOf returns the document in a report mail.
func documentOf(t *testing.T, text []byte) string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(text))
	must(t, err)
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	must(t, err)
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextPart()
		must(t, err)
		if part.FileName() == "" {
			continue
		}
		packed, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, part))
		must(t, err)
		document, err := io.ReadAll(packed)
		must(t, err)
		return string(document)
	}
}
