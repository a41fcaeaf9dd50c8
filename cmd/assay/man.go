package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"assay/cmd/internal/config"
)

// manual holds the pages that people have written. packaging/man has the originals.
//
//go:embed manual
var manual embed.FS

// pages are the manual pages by name, and the sections by which two of them can be asked for.
func pages() map[string]string {
	return map[string]string{"assay": "assay.1", "1": "assay.1", "assay-serve": "manual/assay-serve.8", "assay.yaml": "assay.yaml.5",
		"5": "assay.yaml.5", "assay-rules": "manual/assay-rules.5", "assay-headers": "manual/assay-headers.7"}
}

// manualDate is the day of the manual pages, fixed so that the same program prints the same pages. It moves with a release.
const manualDate = "2026-11-22"

// man returns "man".
func (a *app) man() *cobra.Command {
	return &cobra.Command{
		Use:   "man assay|assay-serve|assay.yaml|assay-rules|assay-headers",
		Short: "Print a manual page, as man(7) source",
		Long: "Print a manual page, as man(7) source: assay(1), assay-serve(8), assay.yaml(5), assay-rules(5), assay-headers(7).\n" +
			"To read one: assay man assay-headers | man -l -",
		Args:      args(1, 1),
		ValidArgs: []string{"assay", "assay-serve", "assay.yaml", "assay-rules", "assay-headers"},
		RunE: func(c *cobra.Command, args []string) error {
			page, err := manualPage(c.Root(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, page)
			return err
		},
	}
}

// manualPage returns a page by its name.
func manualPage(root *cobra.Command, name string) (string, error) {
	switch file := pages()[name]; file {
	case "":
		return "", usageError{fmt.Errorf("there is no manual page %q", name)}
	case "assay.1":
		return commandManual(root), nil
	case "assay.yaml.5":
		return configManual(), nil
	default:
		text, err := manual.ReadFile(file)
		return string(text), err
	}
}

// commandManual returns assay(1), from the tree of commands.
func commandManual(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(".TH ASSAY 1 \"" + manualDate + "\" Assay \"User Commands\"\n.SH NAME\nassay \\- " + roff(strings.ToLower(root.Short[:1])+root.Short[1:]) + "\n")
	b.WriteString(".SH SYNOPSIS\n.B assay\n.I COMMAND\n.RI [ OPTION \"...] [\" ARGUMENT \"...]\"\n")
	b.WriteString(".SH DESCRIPTION\n" + roff(root.Long) + "\n.SH COMMANDS\n")
	commandSections(&b, root)
	b.WriteString(".SH SIGNALS\n.TP\n.BR SIGTERM , \" SIGINT\"\n" +
		roff("Finish the messages in work, within limits.drain, and end. A second one ends the program at once.") +
		"\n.TP\n.B SIGHUP\n" + roff("Read the configuration again. If it is wrong, its problems are logged and the old one stays in force. "+
		"Messages that have begun keep the old one. Listeners, the log's format and level, and limits of connections and messages "+
		"take effect only after a restart; the log says so.") + "\n")
	b.WriteString(".SH ENVIRONMENT\n.TP\n.B ASSAY__SECTION__KEY\n" +
		roff("Overrides a key of the configuration: ASSAY__RESOLVER__TIMEOUT=5s sets resolver.timeout. Lists are separated by commas.") +
		"\n.TP\n.BR NOTIFY_SOCKET , \" WATCHDOG_USEC\" , \" LISTEN_FDS\" , \" LISTEN_FDNAMES\" , \" JOURNAL_STREAM\"\n" +
		roff("As systemd sets them.") + "\n")
	b.WriteString(".SH FILES\n.TP\n.I " + config.DefaultPath + "\n" + roff("The configuration; it need not exist.") + "\n")
	b.WriteString(".SH \"EXIT STATUS\"\n.TP\n.B 0\nThe work was done, whatever its verdict on a message.\n.TP\n.B 1\nThe work could not be done.\n" +
		".TP\n.B 2\nThe command line was wrong, or \\fBconfig check \\-\\-strict\\fR found warnings.\n.SH \"SEE ALSO\"\n.BR assay\\-serve (8),\n.BR assay.yaml (5),\n.BR assay\\-rules (5),\n.BR assay\\-headers (7)\n")
	return b.String()
}

// commandSections writes one entry for every command that does something.
func commandSections(b *strings.Builder, c *cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.HasSubCommands() {
			commandSections(b, sub)
			continue
		}
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		text := sub.Short + "."
		if sub.Long != "" {
			text = sub.Long
		}
		fmt.Fprintf(b, ".SS %q\n%s\n", strings.TrimPrefix(sub.UseLine(), "assay "), roff(text))
		sub.LocalFlags().VisitAll(func(f *pflag.Flag) {
			name, usage := pflag.UnquoteUsage(f)
			if f.Name == "help" {
				return
			}
			fmt.Fprintf(b, ".TP\n.BI \\-\\-%s \" %s\"\n%s\n", roff(f.Name), name, roff(strings.ToUpper(usage[:1])+usage[1:]+"."))
		})
	}
}

// configManual returns assay.yaml(5), from the table of keys.
func configManual() string {
	var b strings.Builder
	b.WriteString(".TH ASSAY.YAML 5 \"" + manualDate + "\" Assay \"File Formats\"\n.SH NAME\nassay.yaml \\- configuration of Assay\n.SH DESCRIPTION\n")
	b.WriteString(roff("One YAML document. Unknown and duplicate keys are errors, and a configuration with an error is never used in "+
		"part; \"assay config check\" reports every problem at once. What is not set has its default. A list may be written as one "+
		"value. Durations have a unit (500ms, 5s, 2m, 1h), sizes too (64KiB, 10MiB, 1GiB).") + "\n")
	b.WriteString(".PP\n" + roff("Every key can be overridden by an environment variable: ASSAY__RESOLVER__TIMEOUT=5s sets "+
		"resolver.timeout. \"assay config show --origin\" says where each value comes from.") + "\n.SH KEYS\n")
	for _, d := range config.Docs() {
		if d.Section {
			fmt.Fprintf(&b, ".SS %s\n%s\n", roff(d.Path), roff(d.Text))
			continue
		}
		fmt.Fprintf(&b, ".TP\n.BR %s \" (default: %s)\"\n%s\n", roff(d.Path), strings.ReplaceAll(roff(d.Default), `"`, `\(dq`), roff(d.Text))
	}
	b.WriteString(".SH EXAMPLE\n.nf\nformat: 1\nlisten:\n  milter: unix:/var/spool/postfix/assay/milter.sock\n  socket_group: postfix\n" +
		"resolver:\n  servers: [127.0.0.1]\n.fi\n.SH \"SEE ALSO\"\n.BR assay (1),\n.BR assay\\-serve (8),\n.BR assay\\-rules (5),\n.BR assay\\-headers (7)\n")
	return b.String()
}

// roff escapes text for man(7): backslashes, hyphens that must stay hyphens, and lines that would be requests.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, "\n\n", "\n.PP\n").Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "'") || strings.HasPrefix(l, ".") && l != ".PP" {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
