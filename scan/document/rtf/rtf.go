// Package rtf reads Rich Text Format.
package rtf

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// Reader reads Rich Text Format.
type Reader struct{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool {
	return bytes.HasPrefix(bytes.TrimLeft(f.Content[:min(len(f.Content), 1024)], " \t\r\n\x00\xef\xbb\xbf"), []byte(`{\rt`))
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, _ func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "rich text"}
}
