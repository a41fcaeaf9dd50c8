// Package sevenzip reads 7z archives.
package sevenzip

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads 7z archives. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return bytes.HasPrefix(f.Content, []byte("7z\xbc\xaf\x27\x1c")) }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "7z archive"}
}
