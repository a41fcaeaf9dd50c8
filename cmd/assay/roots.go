package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"assay/verify/smime/pki"
	"assay/verify/smime/pki/certdata"
)

// roots returns the commands about the certificate authorities for e-mail.
func (a *app) roots() *cobra.Command {
	return group("roots", "Show and make the list of certificate authorities that are trusted for e-mail", "", a.rootsList(), a.rootsImport())
}

// rootsList returns "roots list".
func (a *app) rootsList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the certificate authorities of the shipped list",
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			bundle, err := pki.ShippedBundle()
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s of %s, from %s\n", plural(len(bundle.Anchors), "certificate"), bundle.Date, bundle.Origin)
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, anchor := range bundle.Anchors {
				until := ""
				if !anchor.DistrustAfter.IsZero() {
					until = "certificates issued until " + anchor.DistrustAfter.Format(time.DateOnly)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", anchor.Name(), anchor.Certificate.NotAfter.Format(time.DateOnly), until)
			}
			return w.Flush()
		},
	}
}

// rootsImport returns "roots import".
func (a *app) rootsImport() *cobra.Command {
	c := &cobra.Command{
		Use:   "import CERTDATA|-",
		Short: "Make the list from certdata.txt of Mozilla's NSS",
		Long: "Make the list of certificate authorities that are trusted for e-mail from certdata.txt of Mozilla's NSS, in the form in\n" +
			"which Assay ships it (verify/smime/pki/roots.pem). Certificates are facts; the file itself is not copied.",
		Args: args(1, 1),
	}
	origin := c.Flags().String("origin", "NSS certdata.txt", "where the file is from, a `TEXT` for the head of the list")
	date := c.Flags().String("date", "", "`DATE` of the file, such as 2026-11-01 (default today)")
	version := c.Flags().String("version", "", "its `VERSION`, for the head of the list")
	output := c.Flags().StringP("output", "o", "-", "write the list to `FILE`; - is standard output")
	c.RunE = func(_ *cobra.Command, args []string) error {
		at := a.now().UTC()
		if *date != "" {
			var err error
			if at, err = time.Parse(time.DateOnly, *date); err != nil {
				return usageError{fmt.Errorf("--date %q is not a date such as 2026-11-01", *date)}
			}
		}
		in := a.in
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		anchors, err := certdata.Parse(in)
		if err != nil {
			return err
		}
		bundle := pki.Bundle{Date: at.Format(time.DateOnly), Version: *version, Origin: *origin, Anchors: anchors}
		return a.writeFile(*output, func(w io.Writer) error {
			_, err := bundle.WriteTo(w)
			return err
		})
	}
	return c
}
