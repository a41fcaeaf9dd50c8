package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"assay/milter/store"
	"assay/verify/dmarc"
	"assay/verify/dmarc/report"
	"assay/verify/dns/dnstest"
)

// reportZone has owners of domains who want reports: at their own organization, at one that has agreed, and at one that has not.
const reportZone = `$ORIGIN example.
good TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.good TXT "v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@good.example"
_dmarc.agreed TXT "v=DMARC1; p=none; rua=mailto:agreed@collector.example"
agreed.example._report._dmarc.collector TXT "v=DMARC1"
_dmarc.foreign TXT "v=DMARC1; p=none; rua=mailto:victim@elsewhere.example"
mixed.example._report._dmarc.silent SERVFAIL
`

// An inbox is an SMTP server that keeps what it is sent.
type inbox struct {
	addr string
	mu   sync.Mutex
	got  []received
	say  map[string]string // the reply to RCPT, by recipient
}

// A received is a mail that came to an inbox.
type received struct{ from, to, text string }

// newInbox starts an inbox.
func newInbox(t *testing.T) *inbox {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &inbox{addr: ln.Addr().String(), say: map[string]string{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			i.serve(conn)
			conn.Close()
		}
	})
	t.Cleanup(func() { ln.Close(); serving.Wait() })
	return i
}

// serve is one session.
func (i *inbox) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	say := func(text string) { fmt.Fprintf(conn, "%s\r\n", text) }
	address := func(line string) string { return line[strings.IndexByte(line, '<')+1 : strings.IndexByte(line, '>')] }
	var m received
	say("220 ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(line[:4]); verb {
		case "MAIL":
			m = received{from: address(line)}
			say("250 ok")
		case "RCPT":
			m.to = address(line)
			i.mu.Lock()
			reply, refused := i.say[m.to]
			i.mu.Unlock()
			if !refused {
				reply = "250 ok"
			}
			say(reply)
		case "DATA":
			say("354 go on")
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				m.text += strings.TrimPrefix(line, ".")
			}
			i.mu.Lock()
			i.got = append(i.got, m)
			i.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// answer sets what is said to RCPT; "" is a yes.
func (i *inbox) answer(to, reply string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.say[to] = reply
	if reply == "" {
		delete(i.say, to)
	}
}

// all returns what came, and forgets it.
func (i *inbox) all() []received {
	i.mu.Lock()
	defer i.mu.Unlock()
	got := i.got
	i.got = nil
	return got
}

// A feedback is what these tests read of a document.
type feedback struct {
	Org    string   `xml:"report_metadata>org_name"`
	Email  string   `xml:"report_metadata>email"`
	Begin  int64    `xml:"report_metadata>date_range>begin"`
	End    int64    `xml:"report_metadata>date_range>end"`
	Domain string   `xml:"policy_published>domain"`
	P      string   `xml:"policy_published>p"`
	Record []record `xml:"record"`
}

// A record is what they read of one of its records.
type record struct {
	IP          string `xml:"row>source_ip"`
	Count       int    `xml:"row>count"`
	Disposition string `xml:"row>policy_evaluated>disposition"`
	SPF         string `xml:"row>policy_evaluated>spf"`
	Reason      string `xml:"row>policy_evaluated>reason>type"`
	From        string `xml:"identifiers>header_from"`
}

// document returns the document in a mail.
func (r received) document(t *testing.T) feedback {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(r.text))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatalf("no attachment: %v", err)
		}
		if !strings.HasPrefix(part.Header.Get("Content-Type"), "application/gzip") {
			continue
		}
		packed, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, part))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(packed)
		if err != nil {
			t.Fatal(err)
		}
		var f feedback
		if err := xml.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// A postOffice is the command line beside a store.
type postOffice struct {
	t      *testing.T
	dir    string // of the store
	config string
	inbox  *inbox
	dns    *dnstest.Server
	now    time.Time
}

// newPostOffice starts what reports need. more is added to verify.dmarc.reports.
func newPostOffice(t *testing.T, more string) *postOffice {
	t.Helper()
	dns := dnstest.New(t, reportZone, dnstest.Options{})
	p := &postOffice{t: t, dir: filepath.Join(t.TempDir(), "dmarc"), config: filepath.Join(t.TempDir(), "assay.yaml"), inbox: newInbox(t), dns: dns, now: time.Now()}
	text := fmt.Sprintf("format: 1\nresolver: {servers: [%q]}\nverify: {dmarc: {reports: %s}}\n", dns.Addr(), p.section(more))
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// section is verify.dmarc.reports.
func (p *postOffice) section(more string) string {
	return fmt.Sprintf("{send: true, from: reports@receiver.example, organization: Receiver, smtp: %q, dir: %q%s}", p.inbox.addr, p.dir, more)
}

// run runs "assay dmarc" and wants an exit code.
func (p *postOffice) run(code int, args ...string) string {
	p.t.Helper()
	var out, said bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &said, now: func() time.Time { return p.now }}
	if got := a.run(context.Background(), append([]string{"dmarc", args[0], "--config", p.config}, args[1:]...)); got != code {
		p.t.Fatalf("assay dmarc %s: exit code %d, want %d: %s%s", strings.Join(args, " "), got, code, &out, &said)
	}
	return out.String() + said.String()
}

// collect puts results of yesterday into the store.
func (p *postOffice) collect(domains ...string) {
	p.t.Helper()
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	s, err := store.Open(p.t.Context(), store.Options{Path: filepath.Join(p.dir, rowsFile), Now: func() time.Time { return p.now }})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, domain := range domains {
		record := map[string]string{"good.example": "v=DMARC1; p=reject; rua=mailto:dmarc@good.example",
			"agreed.example":  "v=DMARC1; p=none; rua=mailto:agreed@collector.example",
			"foreign.example": "v=DMARC1; p=none; rua=mailto:victim@elsewhere.example",
			"mixed.example":   "v=DMARC1; p=none; rua=mailto:x@silent.example,mailto:dmarc@mixed.example"}[domain]
		row, ok := report.NewRow(report.Input{ClientIP: netip.MustParseAddr("192.0.2.1"), Evaluation: dmarc.Evaluation{Result: "pass", Domain: domain, PolicyDomain: domain, Record: record,
			Published: dmarc.PolicyNone, SPFAligned: true}})
		if !ok {
			p.t.Fatalf("%s: no row", domain)
		}
		s.Add(p.now.Add(-24*time.Hour), row)
	}
	if err := s.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// What the daemon has seen on one day is reported about on the next one, once, to whoever wants to know.
func TestDMARCReports(t *testing.T) {
	p := newPostOffice(t, "")
	if left := time.Until(report.Day(p.now).End); left < 30*time.Second {
		time.Sleep(left) // the messages below are of one day
		p.now = time.Now()
	}
	s := serve(t, "verify: {dmarc: {reports: "+p.section("")+"}}\n")
	for range 3 {
		session := s.dial(t)
		for i, from := range []string{"a@good.example", "b@good.example", "c@sub.good.example", "d@unknown.example"} {
			send(t, session, fmt.Sprintf("4X%d", i), from)
		}
	}
	s.stop()
	<-s.exit
	s.exit = nil

	if out := p.run(0, "send"); !strings.Contains(out, "0 reports sent") || len(p.inbox.all()) > 0 {
		t.Errorf("sent about a day that is not over: %s", out)
	}
	dir := t.TempDir()
	if out := p.run(0, "send", "--dry-run", dir, "--today"); !strings.Contains(out, "1 mail written") || len(p.inbox.all()) > 0 {
		t.Errorf("dry run: %s", out)
	}
	day := report.Day(p.now)
	p.now = day.End.Add(time.Hour)
	if out := p.run(0, "send"); !strings.Contains(out, "1 report sent, 0 to be tried again, 0 failed") {
		t.Errorf("%s", out)
	}
	mails := p.inbox.all()
	if len(mails) != 1 || mails[0].from != "reports@receiver.example" || mails[0].to != "dmarc@good.example" {
		t.Fatalf("%+v", mails)
	}
	f := mails[0].document(t)
	if f.Org != "Receiver" || f.Domain != "good.example" || f.P != "reject" || f.Begin != day.Begin.Unix() || f.End != day.End.Unix()-1 || len(f.Record) != 2 {
		t.Errorf("%+v", f)
	}
	slices.SortFunc(f.Record, func(a, b record) int { return b.Count - a.Count })
	pass, fail := f.Record[0], f.Record[1]
	if pass.Count != 6 || pass.IP != "192.0.2.1" || pass.Disposition != "pass" || pass.SPF != "pass" || pass.From != "good.example" {
		t.Errorf("%+v", pass)
	}
	if fail.Count != 3 || fail.Disposition != "none" || fail.SPF != "fail" || fail.Reason != "local_policy" || fail.From != "sub.good.example" {
		t.Errorf("%+v", fail)
	}
	if strings.Contains(mails[0].text, "a@good") || strings.Contains(mails[0].text, "bob@") {
		t.Error("the mail names persons")
	}
	if out := p.run(0, "send"); !strings.Contains(out, "0 reports sent") || len(p.inbox.all()) > 0 {
		t.Errorf("sent again: %s", out)
	}
	var st reportStatus
	if err := json.Unmarshal([]byte(p.run(0, "status", "--json")), &st); err != nil || len(st.Reports) != 1 || st.Reports[0].State != store.Sent {
		t.Errorf("%v %+v", err, st)
	}
}

// Mail to the address that reports come from is not counted, and neither is what was deferred.
func TestDMARCLoop(t *testing.T) {
	p := newPostOffice(t, "")
	s := serve(t, "verify: {dmarc: {reports: "+strings.Replace(p.section(""), "reports@receiver.example", "Bob@example.org", 1)+"}}\n")
	send(t, s.dial(t), "4X", "a@good.example")
	s.stop()
	<-s.exit
	s.exit = nil
	p.now = p.now.Add(48 * time.Hour)
	if out := p.run(0, "send"); !strings.Contains(out, "0 reports sent") {
		t.Errorf("%s", out)
	}
}

// What the MTA does not take is tried again or given up, and says so; nothing goes to those who have not agreed.
func TestDMARCDestinations(t *testing.T) {
	p := newPostOffice(t, ", exclude: [other@good.example]")
	p.collect("good.example", "agreed.example", "foreign.example")
	p.inbox.answer("dmarc@good.example", "451 later")
	if out := p.run(0, "send"); !strings.Contains(out, "1 report sent, 1 to be tried again") || !strings.Contains(out, "451") {
		t.Errorf("%s", out)
	}
	if got := p.inbox.all(); len(got) != 1 || got[0].to != "agreed@collector.example" {
		t.Errorf("%+v", got)
	}
	p.inbox.answer("dmarc@good.example", "")
	if out := p.run(0, "send"); !strings.Contains(out, "0 reports sent") {
		t.Errorf("at once again: %s", out)
	}
	if out := p.run(0, "send", "--retry"); !strings.Contains(out, "1 report sent") || len(p.inbox.all()) != 1 {
		t.Errorf("%s", out)
	}
	p.now = p.now.Add(24 * time.Hour)
	p.collect("good.example", "agreed.example")
	p.inbox.answer("dmarc@good.example", "550 no such user")
	p.run(0, "suppress", "collector.example", "--reason", "asked by phone")
	if out := p.run(0, "send"); !strings.Contains(out, "0 reports sent") || !strings.Contains(out, "1 failed") {
		t.Errorf("%s", out)
	}
	if out := p.run(0, "status"); !strings.Contains(out, "asked by phone") || !strings.Contains(out, "no such user") || !strings.Contains(out, "other@good.example") {
		t.Errorf("%s", out)
	}
	p.now = p.now.Add(24 * time.Hour)
	p.collect("good.example")
	p.inbox.answer("dmarc@good.example", "421 closing")
	if out := p.run(1, "send"); !strings.Contains(out, "took no report") {
		t.Errorf("%s", out)
	}
	p.run(0, "unsuppress", "collector.example")
	p.run(1, "unsuppress", "collector.example")
	p.run(2, "suppress", "collector.example")
	p.run(2, "send", "--today")
}

// A domain whose DNS does not answer is asked again by the next run, and keeps nobody waiting.
func TestDMARCWithoutAnswer(t *testing.T) {
	p := newPostOffice(t, "")
	p.collect("agreed.example", "good.example")
	p.dns.Set(dnstest.Options{Rcode: 2})
	if out := p.run(0, "send"); !strings.Contains(out, "0 reports sent") || !strings.Contains(out, "agreed.example") || len(p.inbox.all()) > 0 {
		t.Errorf("%s", out)
	}
	p.dns.Set(dnstest.Options{})
	if out := p.run(0, "send"); !strings.Contains(out, "2 reports sent") || len(p.inbox.all()) != 2 {
		t.Errorf("%s", out)
	}
}

// One address whose DNS never answers keeps the others of the same record waiting for half a day only.
func TestDMARCWithoutOneAnswer(t *testing.T) {
	p := newPostOffice(t, "")
	p.now = report.Day(p.now).Begin.Add(6 * time.Hour)
	p.collect("mixed.example")
	if out := p.run(0, "send"); !strings.Contains(out, "0 reports sent") {
		t.Errorf("%s", out)
	}
	p.now = p.now.Add(7 * time.Hour)
	if out := p.run(0, "send"); !strings.Contains(out, "1 report sent") {
		t.Errorf("%s", out)
	}
	if got := p.inbox.all(); len(got) != 1 || got[0].to != "dmarc@mixed.example" {
		t.Errorf("%+v", got)
	}
}

// Without anything collected, and where reports are off, commands that timers run say so and succeed.
func TestDMARCNothing(t *testing.T) {
	p := newPostOffice(t, "")
	for _, command := range []string{"send", "status"} {
		if out := p.run(0, command); !strings.Contains(out, "nothing has been collected yet") {
			t.Errorf("%s: %s", command, out)
		}
	}
	if out := p.run(0, "expire"); out != "" {
		t.Errorf("%s", out)
	}
	p.collect("good.example")
	if err := os.WriteFile(p.config, fmt.Appendf(nil, "format: 1\nverify: {dmarc: {reports: {dir: %q}}}\n", p.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := p.run(0, "send"); !strings.Contains(out, "verify.dmarc.reports.send is false") || len(p.inbox.all()) > 0 {
		t.Errorf("%s", out)
	}
	p.now = p.now.Add(5 * 24 * time.Hour)
	if out := p.run(0, "expire"); !strings.Contains(out, "1 row deleted") {
		t.Errorf("%s", out)
	}
}

// Mail does not depend on where results are kept; the log says that they are lost, and that they are not any more.
func TestDMARCUnwritable(t *testing.T) {
	p := newPostOffice(t, "")
	if err := os.WriteFile(p.dir, nil, 0o600); err != nil { // a file where the directory has to be
		t.Fatal(err)
	}
	s := serve(t, "verify: {dmarc: {reports: "+p.section("")+"}}\n")
	fields, _ := send(t, s.dial(t), "4X", "a@good.example")
	if !strings.Contains(fields["Authentication-Results"], "dmarc=pass") {
		t.Errorf("%q", fields)
	}
	s.log.await(t, `results for DMARC reports cannot be written`)
	if err := os.Remove(p.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, `results for DMARC reports are written again`)
}
