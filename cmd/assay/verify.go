package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"assay/cmd/internal/report"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/message"
	"assay/verify/spf"
)

// verify returns the commands for single checks.
func (a *app) verify() *cobra.Command {
	return group("verify", "Make a single check", "",
		a.check("spf", "Check SPF for MAIL FROM and HELO; no message is needed", 0, check.spf, "spf"),
		a.check("dkim", "Verify the DKIM signatures of a message", 1, check.dkim, "dkim"),
		a.check("dmarc", "Evaluate DMARC for a message, with the SPF and DKIM it depends on", 1, check.dmarc, "spf", "dkim", "dmarc"),
		a.check("arc", "Validate the ARC chain of a message", 1, check.arc, "arc"),
		a.verifySMIME())
}

// A check is one message under a single check.
type check struct {
	ctx     context.Context
	stage   *stage
	memo    *dns.Memo
	message *message.Message // an empty one if none was given
	results *verify.Results
}

// check returns a command that makes one check and prints the methods it involves.
func (a *app) check(name, short string, files int, run func(check), methods ...string) *cobra.Command {
	use := name + " FILE|-"
	if files == 0 {
		use = name + " [FILE|-]"
	}
	c := &cobra.Command{Use: use, Short: short, Args: args(files, 1)}
	s := sceneFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		st, err := a.set(s, c.Flags())
		if err != nil {
			return err
		}
		if name == "spf" && s.clientIP == "" {
			return usageError{fmt.Errorf("verify spf needs --client-ip")}
		}
		m, err := a.messageOrNone(args, st)
		if err != nil {
			return err
		}
		defer m.Close()
		ctx, cancel := context.WithTimeout(c.Context(), st.config.Limits.DNSTime)
		defer cancel()
		k := check{ctx: ctx, stage: st, message: m, results: &verify.Results{Author: m.Header.Author()},
			memo: dns.NewMemo(st.resolver, dns.Budget{Queries: st.config.Limits.DNSQueries, Time: st.config.Limits.DNSTime})}
		run(k)
		return a.printCheck(k, s.json, methods)
	}
	return c
}

// messageOrNone reads the message that is named on the command line, or an empty one.
func (a *app) messageOrNone(args []string, st *stage) (*message.Message, error) {
	if len(args) == 0 {
		return message.Read(strings.NewReader(""), st.envelope, messageLimits(st.config))
	}
	m, _, err := a.readMessage(args[0], st)
	return m, err
}

// printCheck prints the outcomes of the methods that were checked.
func (a *app) printCheck(k check, asJSON bool, methods []string) error {
	r, questions := report.NewResults(*k.results), report.NewQuestions(k.memo.Questions())
	if !asJSON {
		return report.ResultsText(a.out, r, questions, methods...)
	}
	all := map[string]any{"spf": r.SPF, "dkim": r.DKIM, "dmarc": r.DMARC, "arc": r.ARC}
	results := map[string]any{"author": r.Author}
	for _, m := range methods {
		results[m] = all[m]
	}
	return encode(a.out, struct {
		Version int               `json:"version"`
		Results map[string]any    `json:"results"`
		DNS     []report.Question `json:"dns"`
	}{report.Version, results, questions})
}

// spf checks both identities of SPF; the null reverse-path makes them one (RFC 7208 Section 2.4).
func (k check) spf() {
	env := k.message.Envelope
	identities := []spf.Identity{spf.MailFrom}
	if env.MailFrom != "" {
		identities = append(identities, spf.Helo)
	}
	for _, id := range identities {
		in := spf.Input{IP: env.ClientIP, Helo: env.Helo, MailFrom: env.MailFrom, Identity: id}
		opt := spfOptions(k.stage.config)
		opt.At, opt.Receiver, opt.Explain = env.ReceivedAt, env.ReceiverMTA, true
		k.results.SPF = append(k.results.SPF, spf.Verify(k.ctx, k.memo, in, opt))
	}
}

// dkim verifies every signature.
func (k check) dkim() {
	opt := dkimOptions(k.stage.config, nil)
	opt.Explain = true
	k.results.DKIM = dkim.Verify(k.ctx, k.memo, k.message, opt)
}

// dmarc evaluates DMARC and what it depends on.
func (k check) dmarc() {
	k.spf()
	k.dkim()
	opt := dmarcOptions(k.stage.config)
	opt.Explain = true
	in := dmarc.Input{Author: k.results.Author, SPF: k.results.SPF, DKIM: k.results.DKIM}
	k.results.DMARC = dmarc.Evaluate(k.ctx, k.memo, in, opt)
}

// arc validates the chain.
func (k check) arc() {
	opt := arcOptions(k.stage.config, nil)
	opt.Explain = true
	k.results.ARC = arc.Verify(k.ctx, k.memo, k.message, opt)
}
