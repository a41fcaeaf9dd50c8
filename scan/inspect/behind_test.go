package inspect

import (
	"bytes"
	"slices"
	"testing"

	"assay/scan"
	"assay/scan/attach"
)

// hiddenText is in all archives.
const hiddenText = "hidden behind something else\n"

// An archive behind an image, a document or a text is found, as programs find it that search for its beginning.
func TestArchiveBehind(t *testing.T) {
	fronts := map[string]string{
		"a.gif": "GIF89a\x01\x00\x01\x00\x00\x00\x00;", "a.jpg": "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9",
		"a.rtf": `{\rtf1 x}`, "a.pdf": "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
		"a.zip": zipped("a.txt", "hello"), "a.svg": `<svg xmlns="http://www.w3.org/2000/svg"/>`,
	}
	backs := map[string]string{
		"gzip": gzipped(hiddenText), "tar": tarred("x.txt", hiddenText),
		"bzip2": "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x90\x6a\x46\x29\x00\x00\x07\x51\x80\x00\x10\x40\x00\x16\xe7\x8c\x00\x20\x00\x22\x87\xa3\x53\x27\xa9\xea\x10\x00\x02\x3a\x4c\x8a\x1e\xa9\x08\xdd\xb5\x9d\xbd\x2c\x26\xa3\xe2\xee\x48\xa7\x0a\x12\x12\x0d\x48\xc5\x20",
	}
	for front, head := range fronts {
		for back, tail := range backs {
			for _, junk := range []string{"", "trailing junk"} {
				content := []byte(head + tail + junk)
				o := attach.Identify(front, "", content)
				o.Path = front
				_, r, sunk := inspected(t, Options{}, Job{Object: o, Content: content})
				found := slices.ContainsFunc(r.Objects, func(o scan.Object) bool { return o.Size == int64(len(hiddenText)) })
				odd := r.Objects[0].State != scan.Inspected || slices.ContainsFunc(r.Objects[0].Traits, func(t scan.Trait) bool {
					return t == scan.Polyglot || t == scan.Ambiguous
				})
				if !found || !odd {
					t.Errorf("%s behind %s: %d objects, %v, %d contents", back, front, len(r.Objects), r.Objects[0].Traits, len(sunk))
				}
			}
		}
	}
}

// What Word opens as a web page is found in the middle of a PDF, and so are archives between its objects. A text may quote
// the header of a mail.
func TestInsidePDF(t *testing.T) {
	page := "\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<script>hidden</script>\n--b--\n"
	start, end := "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n", "trailer<</Root 1 0 R>>\n%%EOF\n"
	for name, content := range map[string]string{
		"a.doc": start + page + end, "b.doc": start + end + page, "c.pdf": start + gzipped(hiddenText) + "\n" + end, "d.jpg": "\xff\xd8\xff\xe0\x00\x10JFIF\x00" + page,
		"e.txt": "They wrote:\n" + page,
	} {
		o := attach.Identify(name, "", []byte(content))
		o.Path = name
		got, r, _ := inspected(t, Options{}, Job{Object: o, Content: []byte(content)})
		want := name != "e.txt"
		if polyglot := slices.Contains(r.Objects[0].Traits, scan.Polyglot); polyglot != want || want && len(got) < 2 {
			t.Errorf("%s: %q, polyglot %v", name, got, polyglot)
		}
	}
}

// Octets that agree with a mark by chance are no archive, and many of them cost little.
func TestNothingBehind(t *testing.T) {
	noise := bytes.Repeat([]byte("\x1f\x8b\x08\x00....\x60\xea\x10\x00-lh5-1AY&SY\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff MSCF\x00\x00\x00\x00ustar7z\xbc\xaf\x27\x1c"), 100000)
	content := append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00"), noise...)
	o := attach.Identify("a.jpg", "", content[:attach.Window])
	o.Path = "a.jpg"
	begun := processorTime()
	_, r, _ := inspected(t, Options{}, Job{Object: o, Content: content})
	if took := processorTime() - begun; took.Seconds() > 1 {
		t.Errorf("it takes %v", took)
	}
	if len(r.Objects) != 1 || r.Objects[0].State != scan.Inspected || slices.Contains(r.Objects[0].Traits, scan.Polyglot) {
		t.Errorf("%+v", r.Objects)
	}
}
