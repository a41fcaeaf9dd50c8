package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Version is set by the linker: -X main.Version=1.2.3. Without it the version of the module counts.
var Version string

// version returns "version".
func (a *app) version() *cobra.Command {
	c := &cobra.Command{
		Use:   "version [PROGRAM]",
		Short: "Print the version",
		Long: "Print the version. --sbom prints what the program is made of as a CycloneDX document: every module with its version and\n" +
			"checksum, the version of Go, and the revision of the source; with PROGRAM those of another build of Assay.",
		Args: args(0, 1),
	}
	asJSON := c.Flags().Bool("json", false, "as JSON, with the modules the program is made of")
	sbom := c.Flags().Bool("sbom", false, "print a software bill of materials, CycloneDX JSON")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if *sbom {
			b, err := bomOf(strings.Join(args, ""))
			if err != nil {
				return err
			}
			return encode(a.out, b)
		}
		if len(args) > 0 {
			return usageError{errors.New("PROGRAM is for --sbom")}
		}
		if *asJSON {
			return json.NewEncoder(a.out).Encode(buildOf())
		}
		_, err := fmt.Fprintf(a.out, "assay %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	}
	return c
}

// A build describes the program.
type build struct {
	Version  string            `json:"version"`
	Go       string            `json:"go"`
	Platform string            `json:"platform"`
	Modules  map[string]string `json:"modules"`
}

// buildOf returns the description of the running program.
func buildOf() build {
	b := build{Version: versionText(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Modules: map[string]string{}}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			b.Modules[m.Path] = m.Version
		}
	}
	return b
}

// versionText returns the version of the program.
func versionText() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
