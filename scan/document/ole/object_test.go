package ole

import (
	"strings"
	"testing"

	"assay/scan"
)

// packager makes what the Packager writes.
func packager(label, path string, kind int, content string, wideLabel string) []byte {
	b := join(le16(2), []byte(label+"\x00"+path+"\x00"), le16(0), le16(kind))
	if kind == 3 {
		temp := `C:\Temp\` + path + "\x00"
		b = join(b, numbers([]uint32{uint32(len(temp))}), []byte(temp), numbers([]uint32{uint32(len(content))}), []byte(content))
		for _, s := range []string{"", wideLabel, ""} {
			b = join(b, numbers([]uint32{uint32(len(wide(s)) / 2)}), wide(s))
		}
	}
	return append(numbers([]uint32{uint32(len(b))}), b...)
}

func TestPackager(t *testing.T) {
	for name, c := range map[string]struct {
		native  []byte
		member  string
		content string
		traits  string
		names   bool
	}{
		"a file":          {packager("a.txt", `C:\a.txt`, 3, "content", ""), "a.txt", "content", "embedded-object", false},
		"in Unicode":      {packager("?.txt", `C:\?.txt`, 3, "content", "ü.txt"), "ü.txt", "content", "embedded-object", false},
		"another name":    {packager("a.pdf", `C:\a.exe`, 3, "MZ", ""), "a.exe", "MZ", "embedded-object", true},
		"empty":           {packager("a.txt", `a.txt`, 3, "", ""), "a.txt", "", "embedded-object", false},
		"a link":          {packager("a.exe", `C:\a.exe`, 1, "", ""), "", "", "embedded-object", false},
		"a remote link":   {packager("a.exe", `\\evil\share\a.exe`, 1, "", ""), "", "", "embedded-object remote-object", false},
		"something else":  {append(numbers([]uint32{9}), "\x07 not this"...), "", "", "embedded-object", false},
		"a file directly": {append(numbers([]uint32{9}), "%PDF-1.4\n1 0 obj"...), "ObjectPool/_123", "%PDF-1.4\n1 0 obj", "embedded-object", false},
		"nothing":         {[]byte{1}, "", "", "embedded-object", false},
		"cut off":         {packager("a.txt", `a.txt`, 3, "content", "")[:30], "", "", "embedded-object", false},
	} {
		t.Run(name, func(t *testing.T) {
			v, members := look(t, build(folder("ObjectPool", folder("_123", stream("\x01Ole10Native", c.native)))))
			want(t, v, scan.Inspected, "", c.traits)
			if (c.member != "") != (len(members) == 1) {
				t.Fatalf("%d members", len(members))
			}
			if len(members) == 1 && (members[0].Name != c.member || string(members[0].Content) != c.content || (traits(members[0].Signs) != "") != c.names) {
				t.Errorf("%+v", members[0])
			}
		})
	}
}

func TestObjects(t *testing.T) {
	url := join([]byte("\x01\x00\x00\x02\x01\x00\x00\x00"), make([]byte, 12), []byte(urlMoniker), numbers([]uint32{62}), wide("http://evil.example/a.hta\x00"))
	share := `\\evil\share\a.doc` + "\x00"
	file := join([]byte("\x01\x00\x00\x02\x01\x00\x00\x00"), make([]byte, 12), []byte(fileMoniker), le16(0), numbers([]uint32{uint32(len(share))}), []byte(share), make([]byte, 24), numbers([]uint32{0}))
	compObj := join(make([]byte, 28), numbers([]uint32{10}), []byte("My Object\x00"))
	pdf := []byte("%PDF-1.4\n1 0 obj")
	for name, c := range map[string]struct {
		nodes   []*node
		traits  string
		detail  string
		members string
	}{
		"equation":                 {[]*node{folder("x", stream("Equation Native", []byte("x"))).of("\x02\xce\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46")}, "embedded-object", "Equation Editor", ""},
		"class alone":              {[]*node{folder("x").of("\x02\xce\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46")}, "embedded-object", "Equation Editor", ""},
		"flash":                    {[]*node{folder("ObjectPool", folder("_1", stream("contents", []byte("fUfU"))).of("\x6e\xdb\x7c\xd2\x6d\xae\xcf\x11\x96\xb8\x44\x45\x53\x54\x00\x00"))}, "activex", "control: Flash", ""},
		"control":                  {[]*node{folder("ObjectPool", folder("_1", stream("\x03OCXNAME", wide("Button1")), stream("\x01CompObj", compObj)))}, "activex", "control: My Object", ""},
		"empty name of a control":  {[]*node{folder("ObjectPool", folder("_1", stream("\x03OCXNAME", nil), stream("\x01CompObj", compObj)))}, "embedded-object", "My Object", ""},
		"linked":                   {[]*node{folder("ObjectPool", folder("_1", stream("\x01Ole", url)))}, "embedded-object remote-object", "linked object: http://evil.example/a.hta", ""},
		"linked share":             {[]*node{stream("\x01Ole", file)}, "remote-object", `linked object: \\evil\share\a.doc`, ""},
		"package":                  {[]*node{folder("MBD00012345", stream("Package", aPackage))}, "embedded-object", "MBD00012345", "MBD00012345/Package"},
		"contents":                 {[]*node{folder("ObjectPool", folder("_1", stream("CONTENTS", pdf)))}, "embedded-object", "ObjectPool/_1", "ObjectPool/_1/CONTENTS"},
		"a program in some stream": {[]*node{folder("x", stream("y", append([]byte("MZ"), make([]byte, 200)...)))}, "", "", "x/y"},
		"text in some stream":      {[]*node{stream("y", []byte("ordinary text of a document"))}, "", "", ""},
		"a document in an object":  {[]*node{folder("MBD00012345", stream("Workbook", globals(sheet("Macro1", 0, 1))))}, "embedded-object xlm-macros", "macro sheet Macro1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, members := look(t, build(c.nodes...))
			want(t, v, scan.Inspected, "", c.traits)
			found := c.detail == ""
			for _, s := range v.Signs {
				found = found || s.Detail == c.detail
			}
			var names []string
			for _, m := range members {
				names = append(names, m.Name)
			}
			if !found || strings.Join(names, " ") != c.members {
				t.Errorf("%v %q", v.Signs, names)
			}
		})
	}
}

func TestIsRemote(t *testing.T) {
	for place, want := range map[string]bool{
		"http://a/": true, "HTTPS:\\\\a": true, `\\a\b`: true, "//a/b": true, "file://a/b": true, "file:////a/b": true, "mhtml:http://a": true,
		"ms-msdt:/id": true, " \"http://a\"": true,
		"": false, "//": false, "C:\\a": false, "a.doc": false, "file:///c:/a": false, "file:///c|/a": false, "file:": false, "a b:c": false, "cid:image001.png@x": false, "HD:Users:a": false, "mailto:a@b": false, "script:http://a": true, "/a": false, "file:///home/a": false,
	} {
		if got := isRemote(place); got != want {
			t.Errorf("%q: %v", place, got)
		}
	}
}
