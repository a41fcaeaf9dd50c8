package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"assay/cmd/internal/config"
	"assay/cmd/internal/report"
)

// verifySMIME returns "verify smime".
func (a *app) verifySMIME() *cobra.Command {
	c := &cobra.Command{
		Use:   "smime FILE|-",
		Short: "Verify the S/MIME signature of a message",
		Long: "Verify the S/MIME signature of a message: whether the text is what was signed, what the certificate leads to, whether\n" +
			"it belongs to the one mailbox in From, and whether it was revoked. Flags lay themselves over verify.smime in the\n" +
			"configuration.",
		Args: args(1, 1),
	}
	s := sceneFlags(c)
	roots := c.Flags().StringArray("roots", nil, "file or directory (`PEM`) of further root certificates; may be given several times")
	intermediates := c.Flags().StringArray("intermediates", nil, "file or directory (`PEM`) of intermediate certificates; may be given several times")
	public := c.Flags().Bool("public-roots", true, "trust the certificate authorities that Mozilla trusts for e-mail")
	revocation := c.Flags().String("revocation", "", "`MODE` of revocation: off, soft or hard")
	online := c.Flags().Bool("fetch", false, "fetch missing intermediates and revocation lists")
	c.RunE = func(c *cobra.Command, args []string) error {
		st, err := a.set(s, c.Flags())
		if err != nil {
			return err
		}
		o := &st.config.Verify.SMIME
		o.Roots, o.Intermediates = append(o.Roots, *roots...), append(o.Intermediates, *intermediates...)
		if c.Flags().Changed("public-roots") {
			o.PublicRoots = *public
		}
		if c.Flags().Changed("fetch") {
			o.Fetch = *online
		}
		switch mode := config.Revocation(*revocation); mode {
		case "":
		case config.RevocationOff, config.RevocationSoft, config.RevocationHard:
			o.Revocation = mode
		default:
			return usageError{fmt.Errorf("--revocation %q is not off, soft or hard", *revocation)}
		}
		return a.printSMIME(c.Context(), st, args[0], s.json)
	}
	return c
}

// printSMIME verifies the message in a file and prints the outcome.
func (a *app) printSMIME(ctx context.Context, st *stage, name string, asJSON bool) error {
	m, _, err := a.readMessage(name, st)
	if err != nil {
		return err
	}
	defer m.Close()
	v, err := newSignatures(st.config, true)
	if err != nil {
		return err
	}
	defer v.Close()
	author := m.Header.Author()
	result := v.Verify(ctx, m, author)
	if asJSON {
		return encode(a.out, struct {
			Version int            `json:"version"`
			Results map[string]any `json:"results"`
		}{report.Version, map[string]any{"author": report.NewAuthor(author), "smime": report.NewSMIME(result)}})
	}
	return report.SMIMEText(a.out, author, result)
}
