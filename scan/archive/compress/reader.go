// Package compress reads files that are compressed one by one.
package compress

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads files that are compressed one by one. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return bytes.HasPrefix(f.Content, []byte("\x1f\x8b")) }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "compressed file"}
}
