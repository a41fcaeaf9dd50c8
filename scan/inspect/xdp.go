package inspect

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"

	"assay/scan"
	"assay/scan/container"
)

// xdp reads packages of the XML Data Package Specification 2.0: a PDF in base64, which Adobe's programs open like the PDF
// itself, and forms in a language of their own.
type xdp struct{}

// xdpSpace is the namespace of such a package.
const xdpSpace = "http://ns.adobe.com/xdp/"

// Reads implements container.Reader.
func (xdp) Reads(f *container.File) bool {
	return f.Extension == "xdp" || f.Type == "application/xml" && bytes.Contains(f.Content, []byte(xdpSpace))
}

// Read implements container.Reader.
func (xdp) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	d := xml.NewDecoder(bytes.NewReader(f.Content))
	d.Strict = false
	d.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil } // base64 is ASCII
	v := container.Verdict{State: scan.Inspected}
	var chunk []byte
	inside := false
	for {
		if err := f.Budget.Check(); err != nil {
			return container.Limited(err, v.Signs...)
		}
		token, err := d.RawToken()
		switch {
		case errors.Is(err, io.EOF):
			return v
		case err != nil:
			v.State, v.Method = scan.Uninspectable, "damaged XDP"
			return v
		}
		switch t := token.(type) {
		case xml.StartElement:
			inside = t.Name.Local == "chunk"
			v.Signs = formSign(v.Signs, t.Name.Local)
		case xml.CharData:
			if inside {
				chunk = append(chunk, t...)
			}
		case xml.EndElement:
			if len(chunk) > 0 {
				more, err := enclosed(f, "document.pdf", "application/pdf", decodeBase64(chunk), yield)
				if err != nil || !more {
					return stopped(err, v)
				}
			}
			inside, chunk = false, nil
		}
	}
}

// formSign adds the sign of a form, whose template has scripts of its own.
func formSign(signs []container.Sign, element string) []container.Sign {
	if element != "template" || len(signs) > 0 {
		return signs
	}
	return []container.Sign{{Trait: scan.XFA, Detail: "a form in XML"}}
}
