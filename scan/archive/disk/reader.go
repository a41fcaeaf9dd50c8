// Package disk reads disk images.
package disk

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads disk images. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return bytes.HasPrefix(f.Content, []byte("LUKS\xba\xbe")) }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "disk image"}
}
