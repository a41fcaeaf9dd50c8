// Assay is a milter that verifies inbound mail beside Postfix or Sendmail. This package is its command line: one file per
// subcommand. Everything it does is in the packages; here the configuration is turned into their options.
//
// Exit codes: 0 the work was done, whatever its verdict on a message; 1 it could not be done; 2 the command line was
// wrong, or "config check --strict" found warnings.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"assay/cmd/internal/config"
	"assay/cmd/internal/logline"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerCommand {
		os.Exit(runWorker())
	}
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(), now: time.Now,
		workers: []string{"/proc/self/exe", workerCommand}, journal: logline.JournalSocket}
	os.Exit(a.run(context.Background(), os.Args[1:]))
}

// An app is the world as the subcommands see it; tests make their own.
type app struct {
	in      io.Reader
	out     io.Writer
	err     io.Writer
	environ []string
	now     func() time.Time
	journal string   // the socket of the systemd journal
	workers []string // the command that opens files; none: they are opened in this process
}

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// A usageError is a mistake on the command line.
type usageError struct{ error }

// An exitError ends the program with a code; everything has been said already.
type exitError int

// Error implements the error interface.
func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run runs one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var usage usageError
	var exit exitError
	var problems config.Problems
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &usage):
		fmt.Fprintf(a.err, "assay: %v\nSee: %s --help\n", err, cmd.CommandPath())
		return exitUsage
	case errors.As(err, &problems):
		fmt.Fprintln(a.err, problems)
	default:
		fmt.Fprintf(a.err, "assay: %v\n", err)
	}
	return exitFailed
}
