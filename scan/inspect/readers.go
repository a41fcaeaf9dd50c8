package inspect

import (
	"assay/scan/archive/arj"
	"assay/scan/archive/cab"
	"assay/scan/archive/compress"
	"assay/scan/archive/disk"
	"assay/scan/archive/rar"
	"assay/scan/archive/sevenzip"
	"assay/scan/archive/tar"
	"assay/scan/archive/zip"
	"assay/scan/container"
	"assay/scan/document/office"
	"assay/scan/document/ole"
	"assay/scan/document/pdf"
	"assay/scan/document/rtf"
	"assay/scan/document/sheet"
	"assay/scan/sealed"
)

// Readers returns the Readers of all formats. The groups are asked in this order; a document that is a ZIP file is read
// as a document.
func Readers() [][]container.Reader {
	return [][]container.Reader{
		{office.Reader{}, zip.Reader{}},
		{ole.Reader{}},
		{office.ActiveMime{}},
		{pdf.Reader{}},
		{rtf.Reader{}},
		{sheet.Reader{}},
		{sevenzip.Reader{}},
		{rar.Reader{}},
		{compress.Reader{}},
		{tar.Reader{}},
		{cab.Reader{}},
		{arj.Reader{}},
		{disk.Reader{}},
		{sealed.OpenPGP{}},
		{sealed.CMS{}},
		{sealed.PKCS12{}},
		{sealed.Other{}},
		{sealed.HTML{}},
		{mail{}},
		{web{}},
		{card{}},
		{xdp{}},
		{behind{}},
	}
}

// LastResort returns the Readers for what has no magic.
func LastResort() []container.Reader { return []container.Reader{sealed.Entropy{}} }
