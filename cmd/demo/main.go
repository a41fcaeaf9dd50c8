// Demo shows what Assay does with real mail. It brings up a private Postfix on the loopback interface, a DNS server with
// a zone of its own, a clamd and Assay between them, sends a handful of telling mails, and prints what a user would find
// delivered. It touches nothing of the system's own mail service and leaves nothing behind. The exit status is 1 if
// anything is not as it should be, so that it is a test too.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"assay/cmd/internal/clamtest"
	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
	"assay/verify/dns/zone"
)

func main() {
	program := flag.String("assay", "", "the assay program; \"\" builds it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, os.Stdout); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A stage is everything that plays a part.
type stage struct {
	dir     string
	rules   string // directory of the operator's rules
	program string
	port    int // of the milter
	signer  *signer
	dns     *dnstest.Server
	sink    *mtatest.Sink
	postfix *mtatest.Postfix
	clamd   *clamtest.Server
	assay   *mtatest.Daemon
	out     io.Writer
}

// run sets the stage, plays every act, and clears up.
func run(ctx context.Context, program string, out io.Writer) (err error) {
	s := &stage{program: program, out: out}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(); err != nil {
		return err
	}
	fmt.Fprintf(out, "A private Postfix listens on %s, the DNS on %s, ClamAV's clamd on %s, Assay on 127.0.0.1:%d.\n",
		s.postfix.Addr(), s.dns.Addr(), s.clamd.Unix(), s.port)
	failed := 0
	for n, act := range acts() {
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(out, "\n%d. %s\n", n+1, act.title)
		if err := s.play(act); err != nil {
			failed++
			fmt.Fprintf(out, "   NOT AS EXPECTED: %v\n", err)
			continue
		}
		fmt.Fprintf(out, "   ok: %s\n", act.shows)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d mails were not treated as expected; log of assay:\n%s", failed, len(acts()), s.assay.Log())
	}
	fmt.Fprintf(out, "\nAll %d mails were treated as expected. Everything was taken down again.\n", len(acts()))
	return nil
}

// open starts everything but Assay, and then Assay.
func (s *stage) open() (err error) {
	if s.dir, err = os.MkdirTemp("", "assay-demo-"); err != nil {
		return err
	}
	s.rules = filepath.Join(s.dir, "rules.d")
	if err = os.Mkdir(s.rules, 0o755); err != nil {
		return err
	}
	if s.program == "" {
		if s.program, err = mtatest.BuildAssay(s.dir, false); err != nil {
			return err
		}
	}
	if s.port, err = mtatest.FreePort(); err != nil {
		return err
	}
	if s.signer, err = newSigner(s.dir); err != nil {
		return err
	}
	z, err := zone.Parse(strings.NewReader(s.signer.publish(zoneFile)), "demo.zone")
	if err != nil {
		return err
	}
	if s.dns, err = dnstest.Start(z, dnstest.Options{}); err != nil {
		return err
	}
	if s.sink, err = mtatest.NewSink(); err != nil {
		return err
	}
	s.postfix, err = mtatest.StartPostfix(mtatest.PostfixOptions{Milter: fmt.Sprintf("inet:127.0.0.1:%d", s.port), Sink: s.sink})
	if err != nil {
		return err
	}
	if s.clamd, err = clamtest.Start(clamtest.Options{}); err != nil {
		return err
	}
	return s.startAssay()
}

// startAssay starts Assay. Its log goes on where it ended.
func (s *stage) startAssay() (err error) {
	s.assay, err = mtatest.StartDaemon(s.program, s.config(false), filepath.Join(s.dir, "assay.log"))
	return err
}

// config is the whole configuration: where Assay listens, what it is called, which DNS it asks, and whether it enforces.
func (s *stage) config(enforce bool) string {
	return fmt.Sprintf(`format: 1
listen: {milter: "inet:127.0.0.1:%d"}
identity: {authserv_id: mx.demo.example}
resolver: {servers: [%q], timeout: 500ms}
verify: {dmarc: {enforce: %t}}
rules: {dirs: [shipped, %q]}
scan: {virus: {clamd: [%q]}}
`, s.port, s.dns.Addr(), enforce, s.rules, s.clamd.Unix())
}

// close takes everything down.
func (s *stage) close() error {
	var errs []error
	if s.assay != nil {
		errs = append(errs, s.assay.Close())
	}
	if s.clamd != nil {
		errs = append(errs, s.clamd.Close())
	}
	if s.postfix != nil {
		errs = append(errs, s.postfix.Close())
	}
	if s.sink != nil {
		errs = append(errs, s.sink.Close())
	}
	if s.dns != nil {
		errs = append(errs, s.dns.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// play makes what the act wants true before it, sends its mail, and compares what came of it.
func (s *stage) play(a act) error {
	if a.before != nil {
		if err := a.before(s); err != nil {
			return err
		}
	}
	message := a.message()
	if a.sign != "" {
		signed, err := s.signer.sign(a.sign, message)
		if err != nil {
			return err
		}
		message = signed
	}
	if a.alter != nil {
		message = a.alter(message)
	}
	reply, err := s.send(a, message)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "   client %s, MAIL FROM:<%s>, From: %s\n   reply to the sender: %s\n", a.client, a.mailFrom, a.from, reply)
	if reply.Code != a.code {
		return fmt.Errorf("the reply is %d, not %d", reply.Code, a.code)
	}
	if reply.Code != 250 {
		return contains(reply.String(), a.want)
	}
	d, err := s.sink.Wait(context.Background(), reply.QueueID())
	if err != nil {
		return err
	}
	found := added(d.Data)
	fmt.Fprintf(s.out, "   delivered with\n%s", indent(found))
	switch {
	case a.body == nil && !bytes.HasSuffix(d.Data, body(message)):
		return errors.New("the body was changed")
	case a.body != nil:
		fmt.Fprintf(s.out, "   and the text\n%s", indent(string(body(d.Data))))
		if err := contains(string(body(d.Data)), a.body); err != nil {
			return err
		}
	}
	return contains(found, a.want)
}

// send sends a message as the client of the act.
func (s *stage) send(a act, message []byte) (mtatest.Reply, error) {
	c, err := mtatest.Dial(s.postfix.Addr(), netip.Addr{})
	if err != nil {
		return mtatest.Reply{}, err
	}
	defer func() { _ = c.Close() }()
	err = errors.Join(c.Expect(250, "EHLO %s", a.helo), c.Expect(220, "XCLIENT ADDR=%s NAME=%s", a.client, a.helo),
		c.Expect(250, "EHLO %s", a.helo))
	if err != nil {
		return mtatest.Reply{}, err
	}
	return c.Send(mtatest.Envelope{From: a.mailFrom, To: []string{"you@demo.example"}}, message)
}

// contains checks that a text holds everything it should, and nothing that is marked with "no: ".
func contains(text string, want []string) error {
	flat := strings.Join(strings.Fields(text), " ")
	for _, w := range want {
		if unwanted, found := strings.CutPrefix(w, "no: "); found {
			if strings.Contains(flat, unwanted) {
				return fmt.Errorf("there is %q", unwanted)
			}
		} else if !strings.Contains(flat, w) {
			return fmt.Errorf("there is no %q", w)
		}
	}
	return nil
}

// added returns the fields that a mail program would look at: results and our own, encoded words decoded.
func added(message []byte) string {
	header, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	var out strings.Builder
	show := false
	for line := range strings.SplitSeq(string(header), "\r\n") {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			name := strings.ToLower(line)
			show = strings.HasPrefix(name, "authentication-results") || strings.HasPrefix(name, "x-assay-")
		}
		if show {
			if text, err := new(mime.WordDecoder).DecodeHeader(line); err == nil {
				line = text
			}
			out.WriteString(strings.ReplaceAll(line, "\t", "    ") + "\n")
		}
	}
	return out.String()
}

// body returns what is behind the header.
func body(message []byte) []byte {
	_, b, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	return b
}

// indent puts every line under the text above it.
func indent(text string) string {
	return "     " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n     ") + "\n"
}
