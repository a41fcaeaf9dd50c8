package pdf

import (
	"assay/scan"
	"assay/scan/container"
)

// Read implements [container.Reader].
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "no readable object"}
}
