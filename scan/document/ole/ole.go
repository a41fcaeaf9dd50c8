// Package ole reads compound files ([MS-CFB], also called OLE or structured storage) and what programs keep in them: Word,
// Excel and PowerPoint documents of 1997 to 2003, encrypted documents of later versions, Outlook messages, embedded objects.
//
// It tells how a document is encrypted and opens it with the password that Office tries by itself, with an empty one, or
// with a candidate ([MS-OFFCRYPTO]); it finds macros, Excel 4.0 macro sheets, fields and links that start programs or load
// something from elsewhere, and yields embedded files. It renders nothing and runs nothing.
//
// The container has a reader of its own. The library at hand moves the rest of a list for each pair of neighbouring sectors
// that it reads, which is quadratic in the size of a stream, and gives up altogether on one wrong number.
package ole

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// Reader reads compound files. The zero value is ready.
type Reader struct{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return bytes.HasPrefix(f.Content, []byte(magic)) }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	c, err := openCompound(f.Content, f.Budget)
	if err != nil {
		return container.Limited(err, container.Sign{Trait: scan.Damaged})
	}
	return container.Verdict{State: scan.Uninspectable, Method: c.damage}
}
