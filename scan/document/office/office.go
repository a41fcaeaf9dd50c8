// Package office reads documents that are XML inside.
package office

import (
	"assay/scan"
	"assay/scan/container"
)

// Reader reads documents that are XML inside: Office Open XML, OpenDocument and EPUB, and their forms in one file.
type Reader struct{}

// Reads implements container.Reader.
func (Reader) Reads(*container.File) bool { return false }

// Read implements container.Reader.
func (Reader) Read(*container.File, func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "document"}
}
