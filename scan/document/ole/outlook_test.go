package ole

import (
	"bytes"
	"testing"

	"assay/scan"
	"assay/scan/container"
)

// property makes the stream of a property of a message.
func property(tag string, content []byte) *node { return stream(propertyPrefix+tag, content) }

// message makes the contents of a message.
func message(nodes ...*node) []*node {
	return append(nodes, stream("__properties_version1.0", make([]byte, 32)))
}

// attached makes an attachment.
func attached(number string, nodes ...*node) *node {
	return folder("__attach_version1.0_#0000000"+number, message(nodes...)...)
}

// compressedRTF is the example of [MS-OXRTFCP] 3.1.
const compressedRTF = "\x2d\x00\x00\x00\x2b\x00\x00\x00\x4c\x5a\x46\x75\xf1\xc5\xc7\xa7\x03\x00\x0a\x00\x72\x63\x70\x67\x31\x32\x35\x42\x32\x0a\xf3\x20\x68\x65\x6c\x09\x00\x20\x62\x77" +
	"\x05\xb0\x6c\x64\x7d\x0a\x80\x0f\xa0"

func TestDecompressRTF(t *testing.T) {
	if len(rtfDictionary) != 207 {
		t.Errorf("the dictionary has %d octets", len(rtfDictionary))
	}
	for in, want := range map[string]string{
		compressedRTF: "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
		"\x10\x00\x00\x00\x05\x00\x00\x00MELA\x00\x00\x00\x00{\\rtfrubbish":                                "{\\rtf",
		"\x1a\x00\x00\x00\x1c\x00\x00\x00LZFu\xe2\xd4\x4b\x51\x41\x00\x04\x20WXYZ\x0d\x6e\x7d\x01\x0e\xb0": "{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}", // 3.2
	} {
		got, err := decompressRTF([]byte(in), budget(container.Limits{}))
		if err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	for _, broken := range []string{"", "short", "\x10\x00\x00\x00\x05\x00\x00\x00????\x00\x00\x00\x00x"} {
		if _, err := decompressRTF([]byte(broken), budget(container.Limits{})); err == nil {
			t.Errorf("%q: no error", broken)
		}
	}
}

func TestOutlook(t *testing.T) {
	inner := folder(propertyPrefix+dataObject, message(property("1000001F", wide("inner text")),
		attached("0", property("3707001F", wide("evil.exe")), property(dataBinary, []byte("MZ inner"))))...)
	file := build(message(
		property("1000001F", wide("the text")), property("007D001E", []byte("Received: from a\r\nSubject: b\r\n\r\n")), property("10130102", []byte("<html><p>text")), property("10090102", []byte(compressedRTF)),
		folder("__recip_version1.0_#00000000", message(property("3001001F", wide("somebody")))...),
		attached("0", property("3707001F", wide("a long name.pdf")), property("3704001F", wide("along~1.pdf")), property("370E001F", wide("Application/PDF")), property(dataBinary, []byte("%PDF"))),
		attached("1", property("3704001E", []byte("short.doc")), property(dataBinary, bytes.Repeat([]byte("text"), 3000))),
		attached("2", property("3001001F", wide("A message")), inner),
		attached("3", property("3707001F", wide("empty"))),
	)...)
	v, members := look(t, file)
	want(t, v, scan.Inspected, "", "")
	if v.Type != "application/vnd.ms-outlook" {
		t.Errorf("type %q", v.Type)
	}
	got := map[string]string{}
	for _, m := range members {
		got[m.Name+" "+m.Declared] += string(m.Content[:min(len(m.Content), 10)]) + ";"
	}
	for name, content := range map[string]string{
		"body.txt text/plain": "the text;inner text;", "body.html text/html": "<html><p>t;", "body.rtf application/rtf": "{\\rtf1\\ans;",
		"a long name.pdf application/pdf": "%PDF;", "short.doc ": "texttextte;", "evil.exe ": "MZ inner;",
	} {
		if got[name] != content {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	if len(got) != 6 {
		t.Errorf("%q", got)
	}
}

// An attachment that is only a place, and the sound of a reminder on another computer (CVE-2023-23397).
func TestOutlookRemote(t *testing.T) {
	names := folder("__nameid_version1.0", property("00030102", join(numbers([]uint32{0x8501}), le16(4), le16(0), numbers([]uint32{0x851f}), le16(4), le16(5))))
	for name, c := range map[string]struct {
		nodes  []*node
		traits string
	}{
		"sound":                  {[]*node{names, property("8005001F", wide(`\\evil\share\a.wav`))}, "remote-object"},
		"local sound":            {[]*node{names, property("8005001F", wide("reminder.wav"))}, ""},
		"other":                  {[]*node{names, property("8000001F", wide(`\\evil\share\a.wav`))}, ""},
		"attachment":             {[]*node{attached("0", property("370D001F", wide("https://evil.example/a.exe")))}, "remote-object"},
		"in an attached message": {[]*node{names, attached("0", folder(propertyPrefix+dataObject, message(property("8005001F", wide(`\\evil\share\a.wav`)))...))}, "remote-object"},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := look(t, build(message(c.nodes...)...))
			want(t, v, scan.Inspected, "", c.traits)
		})
	}
	v, _ := look(t, build(message(property("10090102", []byte("neither compressed nor stored")))...))
	want(t, v, scan.Uninspectable, "the text of the message cannot be decompressed", "")
}
