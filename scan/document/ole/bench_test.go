package ole

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/container"
)

func BenchmarkRead(b *testing.B) {
	text := strings.Repeat("Ordinary text with a field \x13 PAGE \x141\x15 in each line.\r", 20_000)
	rows := bytes.Repeat(record(0x0203, make([]byte, 14)), 55_000)
	var objects [][]byte
	for range 20 {
		objects = append(objects, holder(0x03ee, bytes.Repeat(atom(0, 0x0fa0, wide("text of a slide")), 1300)))
	}
	document, user, _ := slides(0, nil, objects...)
	var properties []*node
	for i := range 3000 {
		properties = append(properties, property(fmt.Sprintf("%04X001F", i), wide("some property of a message")))
	}
	for name, file := range map[string][]byte{
		"doc of 1 MB":            letter{pieces: []string{text}}.build(),
		"xls of 1 MB":            build(stream("Workbook", join(bof(0x0600, 5), rows, eof))),
		"ppt of 1 MB":            showFile(document, user),
		"msg of 3000 properties": build(message(append(properties, attached("0", property(dataBinary, make([]byte, 1<<20))))...)...),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				f := &container.File{Content: file, Budget: budget(container.Limits{})}
				if v := (Reader{}).Read(f, func(container.Member) bool { return true }); v.State != scan.Inspected {
					b.Fatal(v.Method)
				}
			}
		})
	}
}
