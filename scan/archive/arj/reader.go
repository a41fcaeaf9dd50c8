// Package arj reads ARJ, LHA and ACE archives.
package arj

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads ARJ, LHA and ACE archives. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return bytes.HasPrefix(f.Content, []byte("\x60\xea")) }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "archive"}
}
