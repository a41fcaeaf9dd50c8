package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"assay/cmd/internal/config"
	"assay/cmd/internal/report"
	"assay/milter/filter"
	"assay/milter/plan"
	"assay/milter/textdiff"
	"assay/rules"
	"assay/verify/dns"
	"assay/verify/dns/zone"
	"assay/verify/message"
)

// A scene is the world in which a message in a file is judged, as flags describe it.
type scene struct {
	config     *string
	clientIP   string
	clientName string
	helo       string
	mailFrom   string
	rcpt       []string
	user       string
	tls        string
	queueID    string
	local      bool
	zone       string
	now        string
	json       bool
}

// sceneFlags adds the flags of a scene to a command.
func sceneFlags(c *cobra.Command) *scene {
	s := &scene{config: configFlag(c)}
	f := c.Flags()
	f.StringVar(&s.clientIP, "client-ip", "", "address (`IP`) of the SMTP client")
	f.StringVar(&s.clientName, "client-name", "", "`NAME` of the client as the MTA looked it up")
	f.StringVar(&s.helo, "helo", "", "`NAME` in HELO or EHLO")
	f.StringVar(&s.mailFrom, "mail-from", "", "reverse-path, an `ADDRESS`; empty is the null reverse-path")
	f.StringArrayVar(&s.rcpt, "rcpt", nil, "forward-path, an `ADDRESS`; may be given several times")
	f.StringVar(&s.user, "auth-user", "", "SASL identity of an authenticated client, a `NAME`")
	f.StringVar(&s.tls, "tls-version", "", "TLS `VERSION` of the connection, such as TLSv1.3")
	f.StringVar(&s.queueID, "queue-id", "", "the MTA's name (`ID`) for the message")
	f.BoolVar(&s.local, "local", false, "submitted on this host with sendmail(1)")
	f.StringVar(&s.zone, "dns", "", "answer DNS questions from `ZONEFILE`, a master file that may say SERVFAIL or TIMEOUT")
	f.StringVar(&s.now, "now", "", "instant of the checks, such as 2026-11-01T12:00:00Z (`RFC3339`; default now)")
	f.BoolVar(&s.json, "json", false, "print JSON")
	f.SortFlags = false
	return s
}

// A stage is a scene made real.
type stage struct {
	app      *app
	config   *config.Config
	rules    *rules.Set
	envelope message.Envelope
	resolver dns.Resolver
}

// set makes the scene real. Mistakes in flags are usage errors.
func (a *app) set(s *scene, flags *pflag.FlagSet) (*stage, error) {
	loaded, err := a.load(*s.config)
	if err != nil {
		return nil, err
	}
	if s.zone == "" && flags.Changed("dns") { // an unset shell variable must not ask the real DNS
		return nil, usageError{errors.New("--dns needs the name of a zone file")}
	}
	st := &stage{app: a, config: loaded.Config}
	if st.envelope, err = a.envelope(s); err != nil {
		return nil, usageError{err}
	}
	if st.resolver, err = s.resolver(st.config); err != nil {
		return nil, err
	}
	if id := flags.Lookup("authserv-id"); id != nil && id.Changed {
		// The value is checked as the key of the configuration file is.
		one, err := config.Parse("", nil, []string{"ASSAY__IDENTITY__AUTHSERV_ID=" + id.Value.String()})
		if err != nil {
			return nil, usageError{fmt.Errorf("--authserv-id %q is not a host name with a dot and without a version number", id.Value)}
		}
		st.config.Identity.AuthservID = one.Config.Identity.AuthservID
	}
	return st, nil
}

// envelope returns the envelope of the scene.
func (a *app) envelope(s *scene) (message.Envelope, error) {
	e := message.Envelope{
		QueueID: s.queueID, ClientName: s.clientName, Helo: s.helo, MailFrom: unbracket(s.mailFrom), AuthUser: s.user,
		Local: s.local, TLS: message.TLSInfo{Version: s.tls}, ReceiverMTA: hostname(), ReceivedAt: a.now(),
	}
	for _, r := range s.rcpt {
		e.RcptTo = append(e.RcptTo, unbracket(r))
	}
	if s.clientIP != "" {
		ip, err := netip.ParseAddr(s.clientIP)
		if err != nil {
			return e, fmt.Errorf("--client-ip %q is not an IP address", s.clientIP)
		}
		e.ClientIP = ip.Unmap()
	}
	if s.now != "" {
		at, err := time.Parse(time.RFC3339, s.now)
		if err != nil {
			return e, fmt.Errorf("--now %q is not an instant such as 2026-11-01T12:00:00Z", s.now)
		}
		e.ReceivedAt = at
	}
	return e, nil
}

// resolver returns the zone file, or the resolver of the configuration.
func (s *scene) resolver(c *config.Config) (dns.Resolver, error) {
	if s.zone == "" {
		return newResolver(c.Resolver, nil)
	}
	f, err := os.Open(s.zone)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return zone.Parse(f, s.zone)
}

// unbracket takes the angle brackets off a path.
func unbracket(path string) string {
	if strings.HasPrefix(path, "<") && strings.HasSuffix(path, ">") {
		return path[1 : len(path)-1]
	}
	return path
}

// hostname returns the name of this host, which stands for the MTA's when a message comes from a file.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// explain returns "explain".
func (a *app) explain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain FILE|-",
		Short: "Show what Assay finds out about a message in a file, and what it would do",
		Long: "Show what Assay finds out about a message in a file, and what it would do with it. The message goes through the\n" +
			"same filter as in \"assay serve\"; flags say what SMTP and the DNS would have said. With --json the output is the\n" +
			"stable interface that is documented in explain-json.md.",
		Args: args(1, 1),
	}
	s := sceneFlags(c)
	c.Flags().String("authserv-id", "", "authserv-`ID`, instead of identity.authserv_id")
	ruleDirs := c.Flags().StringArray("rules", nil, "decide by the rules in `DIR` and those that come with Assay, instead of the rules of the\nconfiguration; may be given several times")
	colour := c.Flags().String("color", "auto", "colours in the report: auto, always or never")
	showFacts := c.Flags().Bool("facts", false, "also print every fact that rules could see")
	output := c.Flags().StringP("output", "o", "", "write the message as it would be delivered to `FILE`; with - it goes to standard "+
		"output\nand the report to standard error")
	c.RunE = func(c *cobra.Command, args []string) error {
		st, err := a.set(s, c.Flags())
		if err != nil {
			return err
		}
		colours, err := a.colours(*colour, *output == "-")
		if err != nil {
			return err
		}
		l, err := a.loadRules(&ruleFlags{config: s.config}, *ruleDirs)
		if err != nil {
			return err
		}
		if l.problem = l.problem.Errors(); l.set == nil {
			return a.printProblems(l)
		}
		st.rules = l.set
		m, crlf, err := a.readMessage(args[0], st)
		if err != nil {
			return err
		}
		defer m.Close()
		return a.explainMessage(c.Context(), st, m, explainOutput{json: s.json, facts: *showFacts, colours: colours, file: *output, lf: !crlf})
	}
	return c
}

// explainOutput says what "explain" writes.
type explainOutput struct {
	json    bool
	facts   bool
	colours bool
	file    string // "" for no message
	lf      bool   // lines of the message end in LF, as in the file that was read
}

// explainMessage judges a message and writes what is asked for.
func (a *app) explainMessage(ctx context.Context, st *stage, m *message.Message, out explainOutput) error {
	o, err := st.judge(ctx, m)
	if err != nil {
		return err
	}
	w := a.out
	if out.file == "-" {
		w = a.err
	}
	r := report.New(o)
	if r.Diff, err = diffOf(o.Plan, m); err != nil {
		return err
	}
	if out.json {
		err = encode(w, r)
	} else {
		if err = r.Text(w, out.colours); err == nil && out.facts && o.Facts != nil {
			fmt.Fprintf(w, "\nFacts\n")
			err = o.Facts.Dump().WriteText(w)
		}
	}
	if err != nil || out.file == "" {
		return err
	}
	if o.Plan.Verdict != plan.Accept {
		fmt.Fprintf(a.err, "assay: nothing is written to %s: the message is not delivered: %s\n", out.file,
			cmp.Or(firstLine(o.Plan.Text()), "it is taken into the quarantine"))
		return nil
	}
	return a.writeMessage(o.Plan, m, out)
}

// judge runs the filter on a message, which may have every modification that a plan can ask for. A message beyond a limit
// never reaches the filter, as in the milter server.
func (st *stage) judge(ctx context.Context, m *message.Message) (*filter.Outcome, error) {
	if exceeded := exceeded(m, st.config); exceeded != nil {
		return exceeded, nil
	}
	ctx, cancel := context.WithTimeout(ctx, st.config.Limits.Time)
	defer cancel()
	s, err := newSignatures(st.config, true)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	files, err := st.app.newInspection(st.config, inspectionObserver{})
	if err != nil {
		return nil, err
	}
	defer files.close()
	opt, err := filterOptions(st.config, checks{st.resolver, s.Verifier, files}, nil, true)
	if err != nil {
		return nil, err
	}
	opt.Rules, opt.Quarantine = st.rules, quarantineOf(st.config, rehearsal{})
	caps := plan.Capabilities{AddHeaders: true, ChangeHeaders: true, ChangeBody: true, Quarantine: true, AddRecipients: true,
		DeleteRecipients: true}
	return filter.New(opt).Explain(ctx, m, caps), nil
}

// maxDiffed is the largest message whose changes are shown line by line, in octets.
const maxDiffed = 4 << 20

// diffOf shows what a plan changes in a message as a unified diff, "" if it is not delivered or too large.
func diffOf(p plan.Plan, m *message.Message) (string, error) {
	if p.Verdict != plan.Accept || len(p.Ops) == 0 || m.Size() > maxDiffed {
		return "", nil
	}
	var before, after bytes.Buffer
	if _, err := m.WriteTo(&before); err != nil {
		return "", err
	}
	if err := plan.Apply(p, m, &after); err != nil {
		return "", err
	}
	lines := func(b *bytes.Buffer) []byte { return bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n")) }
	return textdiff.Unified("received", lines(&before), "delivered", lines(&after)), nil
}

// colours decides whether a report is coloured.
func (a *app) colours(when string, onError bool) (bool, error) {
	switch when {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		w := a.out
		if onError {
			w = a.err
		}
		f, ok := w.(*os.File)
		if !ok || a.getenv("NO_COLOR") != "" || a.getenv("TERM") == "dumb" {
			return false, nil
		}
		info, err := f.Stat()
		return err == nil && info.Mode()&os.ModeCharDevice != 0, nil
	}
	return false, usageError{fmt.Errorf("--color %q is not auto, always or never", when)}
}

// exceeded returns what becomes of a message beyond a limit, nil if it is within all of them.
func exceeded(m *message.Message, c *config.Config) *filter.Outcome {
	err := m.Exceeded()
	if err == nil {
		return nil
	}
	reason := strings.ReplaceAll(err.Error(), "\n", ", ")
	o := &filter.Outcome{Envelope: m.Envelope, Size: m.Size(), Defects: m.Defects}
	o.Results.Author, o.Results.Skipped = m.Header.Author(), "message beyond a limit"
	o.Decision = rules.Decision{Disposition: rules.Reject, Trust: rules.Unverified, Reason: reason}
	o.Plan = plan.Plan{Verdict: plan.Refuse, Reply: "550 5.6.0 Message header exceeds the limits of this system"}
	switch {
	case errors.Is(err, message.ErrTooManyFields), errors.Is(err, message.ErrHeaderTooLarge):
	case c.Limits.OnMessage == config.LimitReject:
		o.Plan.Reply = "552 5.3.4 Message is too large to be checked"
	default:
		o.Decision.Disposition = rules.Defer
		o.Plan = plan.Plan{Reply: "451 4.3.4 Message is too large to be checked at this time"}
	}
	return o
}

// encode writes a value as indented JSON.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// readMessage reads a message from a file, "-" is standard input, and says whether its first line ends in CRLF.
func (a *app) readMessage(name string, st *stage) (m *message.Message, crlf bool, err error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, false, err
		}
		defer f.Close()
		in = f
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	start, err := buffered.Peek(buffered.Size())
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	end := bytes.IndexByte(start, '\n')
	crlf = end > 0 && start[end-1] == '\r' // start is overwritten when the message is read
	m, err = message.Read(buffered, st.envelope, messageLimits(st.config))
	return m, crlf, err
}

// writeMessage writes the message as it would be delivered, with the line ends of the file it came from.
func (a *app) writeMessage(p plan.Plan, m *message.Message, out explainOutput) (err error) {
	w := a.out
	if out.file != "-" {
		f, err := os.OpenFile(out.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w = f
	}
	buffered := bufio.NewWriter(w)
	var to io.Writer = buffered
	if out.lf {
		to = &lineFeeds{w: buffered}
	}
	if err := plan.Apply(p, m, to); err != nil {
		return err
	}
	return buffered.Flush()
}

// A lineFeeds writes CRLF as LF.
type lineFeeds struct {
	w    *bufio.Writer
	held bool // a CR is waiting for what comes next
}

// Write implements io.Writer.
func (l *lineFeeds) Write(p []byte) (int, error) {
	for _, c := range p {
		if l.held && c != '\n' {
			l.w.WriteByte('\r')
		}
		if l.held = c == '\r'; !l.held {
			l.w.WriteByte(c) // errors stay in w and show in Flush
		}
	}
	return len(p), nil
}
