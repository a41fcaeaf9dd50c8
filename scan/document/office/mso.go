package office

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// ActiveMime reads the files "editdata.mso" and "oledata.mso" that belong to a document of Word or Excel saved as HTML or
// MHTML: a compound file with macros or objects, compressed.
type ActiveMime struct{}

// Reads implements container.Reader.
func (ActiveMime) Reads(f *container.File) bool {
	return bytes.HasPrefix(f.Content, []byte("ActiveMime"))
}

// Read implements container.Reader.
func (ActiveMime) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	if err := f.Budget.Member(); err != nil {
		return container.Limited(err)
	}
	v := container.Verdict{State: scan.Inspected, Signs: []container.Sign{{Trait: scan.EmbeddedObject, Detail: "ActiveMime"}}}
	plain, _ := activeMime(f.Content, f.Budget)
	if len(plain) == 0 || bytes.HasPrefix(plain, []byte("ActiveMime")) {
		v.State, v.Method = scan.Uninspectable, "ActiveMime without content"
		if over := f.Budget.Over(); over != nil {
			v.Method = over.Error()
		}
		return v
	}
	yield(container.Member{Content: plain, Plain: true})
	return v
}
