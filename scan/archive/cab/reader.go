// Package cab reads cabinets.
package cab

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads cabinets. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return bytes.HasPrefix(f.Content, []byte("MSCF")) }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "cabinet"}
}
