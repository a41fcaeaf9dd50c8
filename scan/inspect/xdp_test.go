package inspect

import (
	"encoding/base64"
	"slices"
	"testing"

	"assay/scan"
	"assay/scan/attach"
)

// The PDF in an XDP is looked into like one of its own.
func TestXDP(t *testing.T) {
	pdf := "%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
	encoded := base64.StdEncoding.EncodeToString([]byte(pdf))
	start := `<?xml version="1.0" encoding="UTF-8"?><xdp:xdp xmlns:xdp="http://ns.adobe.com/xdp/">`
	for _, tt := range []struct {
		name, file, content string
		trait               scan.Trait
		state               scan.State
	}{
		{"base64", "a.xdp", start + `<pdf xmlns="http://ns.adobe.com/xdp/pdf/"><document><chunk>` + encoded + `</chunk></document></pdf></xdp:xdp>`, scan.JavaScript, scan.Inspected},
		{"another name", "a.txt", start + `<p:pdf><p:chunk>` + encoded + `</p:chunk></p:pdf></xdp:xdp>`, scan.JavaScript, scan.Inspected},
		{"in pieces", "a.xdp", start + `<chunk>` + encoded[:30] + `<!-- x -->` + "\n<![CDATA[" + encoded[30:] + `]]></chunk></xdp:xdp>`, scan.JavaScript, scan.Inspected},
		{"form", "a.xdp", start + `<template xmlns="http://www.xfa.org/schema/xfa-template/3.3/"/></xdp:xdp>`, scan.XFA, scan.Inspected},
		{"damaged", "a.xdp", start + `<chunk>` + encoded + `<`, "", scan.Uninspectable},
	} {
		o := attach.Identify(tt.file, "", []byte(tt.content))
		o.Path = tt.file
		got, r, _ := inspected(t, Options{}, Job{Object: o, Content: []byte(tt.content)})
		found := slices.ContainsFunc(r.Objects, func(o scan.Object) bool { return slices.Contains(o.Traits, tt.trait) })
		if tt.trait != "" && !found || r.Objects[0].State != tt.state {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
