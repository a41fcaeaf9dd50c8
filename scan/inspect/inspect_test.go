package inspect

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// A list is a Reader of a made-up format: "list\n", and a line "name=content" per member.
type list struct{}

func (list) Reads(f *container.File) bool { return bytes.HasPrefix(f.Content, []byte("list\n")) }

func (list) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	for line := range strings.Lines(string(f.Content[len("list\n"):])) {
		if err := f.Budget.Member(); err != nil {
			return container.Limited(err)
		}
		name, content, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		content = strings.ReplaceAll(content, `\n`, "\n")
		m := container.Member{Name: name, Content: []byte(content)}
		switch content {
		case "secret":
			m = container.Member{Name: name, Size: 6, State: scan.Encrypted, Class: scan.ClassArchive, Method: "made up"}
		case "plain":
			m.Plain = true
		}
		if !yield(m) {
			break
		}
	}
	return container.Verdict{State: scan.Inspected, Signs: []container.Sign{{Trait: scan.Ambiguous, Detail: "always"}}}
}

// A macro is a Reader that calls a content active.
type macro struct{ state scan.State }

func (macro) Reads(f *container.File) bool {
	return bytes.Contains(f.Content, []byte("macro")) || bytes.Equal(f.Content, []byte("plain"))
}

func (m macro) Read(*container.File, func(container.Member) bool) container.Verdict {
	return container.Verdict{State: m.state, Method: "of macro", Class: scan.ClassOther,
		Signs: []container.Sign{{Trait: scan.Macros, Detail: strings.Repeat("x", 1000), Count: 2}, {Trait: scan.Macros}}}
}

// inspected inspects a content and returns the objects in words.
func inspected(t *testing.T, opt Options, job Job) ([]string, Result, map[string]string) {
	t.Helper()
	if job.Object.Path == "" {
		job.Object = attach.Identify("a.lst", "", job.Content)
		job.Object.Path, job.Object.Size = "2", int64(len(job.Content))
	}
	sunk := map[string]string{}
	r, err := New(opt).Inspect(context.Background(), job, func(path string, content []byte) error {
		sunk[path] = string(content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range r.Objects {
		got = append(got, strings.TrimRight(fmt.Sprintf("%s %d %s %s %s", o.Path, o.Depth, o.State, o.Class, o.Method), " "))
	}
	return got, r, sunk
}

func TestWalk(t *testing.T) {
	readers := Options{Readers: [][]container.Reader{{list{}}, {macro{scan.Inspected}}}, LastResort: []container.Reader{}}
	for _, tt := range []struct {
		name, content string
		want          []string
		sunk          int
	}{
		{"text", "hello\n", []string{"2 0 inspected"}, 0},
		{"unknown", "\x01\x02\x03\xff", []string{"2 0 uninspectable  unknown format"}, 0},
		{"members", "list\na.txt=hello\nb/c.txt=you\n", []string{"2 0 inspected", "2/a.txt 1 inspected", "2/b/c.txt 1 inspected"}, 2},
		{"encrypted member", "list\na.doc=secret\n", []string{"2 0 inspected", "2/a.doc 1 encrypted archive made up"}, 0},
		{"nested", "list\na=list\\nb=hello\n", []string{"2 0 inspected", "2/a 1 inspected", "2/a/b 2 inspected"}, 2},
		{"the same twice", "list\na=hello\nb=hello\n", []string{"2 0 inspected", "2/a 1 inspected", "2/b 1 inspected"}, 1},
		{"a name full of tricks", "list\n../../e\x01tc\\pass\u202ewd=x\n", []string{"2 0 inspected", "2/../../etc/passwd 1 inspected"}, 1},
		{"no name", "list\n=x\n", []string{"2 0 inspected", "2/- 1 inspected"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, sunk := inspected(t, readers, Job{Content: []byte(tt.content)})
			if !slices.Equal(got, tt.want) || len(sunk) != tt.sunk {
				t.Errorf("got %q, %d contents", got, len(sunk))
			}
		})
	}
}

// A document that is only wrapped is as active, and as readable, as what is in it.
func TestInherit(t *testing.T) {
	readers := Options{Readers: [][]container.Reader{{list{}}, {macro{scan.Uninspectable}}}, LastResort: []container.Reader{}}
	got, r, _ := inspected(t, readers, Job{Content: []byte("list\na=plain\n")})
	if want := []string{"2 0 uninspectable other of macro", "2/a 1 uninspectable other of macro"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if !slices.Contains(r.Objects[0].Traits, scan.Macros) {
		t.Errorf("got %v", r.Objects[0].Traits)
	}
	for _, f := range r.Objects[1].Findings {
		if f.Kind != "attachment.macros" || f.Count != 3 || len(f.Detail) != maxDetail {
			t.Errorf("got %+v", f)
		}
	}
}

// Of several readers that claim a file the one that can say least about it counts.
func TestSeveralReaders(t *testing.T) {
	for _, tt := range []struct {
		states []scan.State
		want   string
	}{
		{[]scan.State{scan.Inspected, scan.Inspected}, "2 0 inspected other of macro"},
		{[]scan.State{scan.Inspected, scan.Uninspectable}, "2 0 uninspectable other of macro"},
		{[]scan.State{scan.Encrypted, scan.Uninspectable}, "2 0 encrypted other of macro"},
		{[]scan.State{scan.Inspected, ""}, "2 0 uninspectable other of macro"},
	} {
		opt := Options{LastResort: []container.Reader{}}
		for _, s := range tt.states {
			opt.Readers = append(opt.Readers, []container.Reader{macro{s}})
		}
		if got, _, _ := inspected(t, opt, Job{Content: []byte("macro")}); got[0] != tt.want {
			t.Errorf("%q: got %q", tt.states, got)
		}
	}
	first := Options{Readers: [][]container.Reader{{macro{scan.Inspected}, macro{scan.Encrypted}}}, LastResort: []container.Reader{}}
	if got, _, _ := inspected(t, first, Job{Content: []byte("macro")}); got[0] != "2 0 inspected other of macro" {
		t.Errorf("the second of a group was asked: %q", got)
	}
}

// What lies deeper than the limit is not called clean, nor is what holds it when members run out.
func TestLimits(t *testing.T) {
	readers := Options{Readers: [][]container.Reader{{list{}}}, LastResort: []container.Reader{}}
	content := "list\na=list\\nb=c\n"
	got, r, _ := inspected(t, readers, Job{Content: []byte(content), Limits: container.Limits{Depth: 1}})
	if want := "2/a/b 2 uninspectable  more than 1 files inside of each other"; len(got) != 3 || got[2] != want || !slices.Equal(r.Limits, []string{"depth"}) {
		t.Errorf("got %q, %q", got, r.Limits)
	}
	got, r, _ = inspected(t, readers, Job{Content: []byte("list\n" + strings.Repeat("a=b\n", 10)), Limits: container.Limits{Members: 5}})
	if len(got) != 6 || got[0] != "2 0 uninspectable  more than 5 members" || !slices.Equal(r.Limits, []string{"members"}) {
		t.Errorf("got %q, %q", got, r.Limits)
	}
}

// What a data: URL holds is found however the address is written. "cabled" is what the file says.
func TestDataURLs(t *testing.T) {
	long := "<a href=\"data:application/x;a=" + strings.Repeat("b", 300) + ";base64,Y2FibGVk\">"
	for name, text := range map[string]string{
		"quoted":               `<a href="data:application/x;base64,Y2FibGVk">`,
		"without quotes":       `<a href=data:application/x;base64,Y2FibGVk>`,
		"style":                `a { b: url(data:application/x;base64,Y2FibGVk) }`,
		"plain":                `<a href="data:,cabled">`,
		"escaped":              `<a href="data:,%63abled">`,
		"blanks in base64":     `<a href="data:;base64,Y2 Fi bGVk">`,
		"line ends in base64":  "<a href='data:;base64,Y2Fi\n\tbGVk'>",
		"blanks in the head":   `<a href=" data:application/x; base64 ,Y2FibGVk">`,
		"line end in the head": "<a href=\"data:application/x;\nbase64,Y2FibGVk\">",
		"a long head":          long,
		"brackets in the head": `<a href="data:application/x;a=({<>});base64,Y2FibGVk">`,
		"behind an open quote": `"data:,x <a href='data:;base64,Y2 FibGVk'>`,
		"behind a picture":     `<img src="data:image/gif;base64,R0lGODlh"><a href="data:;base64,Y2FibGVk">`,
	} {
		found := false
		DataURLs([]byte(text), func(_ string, content []byte) bool {
			found = found || string(content) == "cabled"
			return true
		})
		if !found {
			t.Errorf("%s: not found", name)
		}
	}
	DataURLs([]byte(`let a = {data: f(x), b: "data:" + y, c}; data: 1`), func(_ string, content []byte) bool {
		t.Errorf("found %q", content)
		return true
	})
}

// The error of the sink ends the inspection.
func TestSinkError(t *testing.T) {
	broken := errors.New("no")
	opt := Options{Readers: [][]container.Reader{{list{}}}, LastResort: []container.Reader{}}
	calls := 0
	job := Job{Object: scan.Object{Path: "2"}, Content: []byte("list\na=1\nb=2\n")}
	_, err := New(opt).Inspect(context.Background(), job, func(string, []byte) error { calls++; return broken })
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// A mail inside of a file is taken apart, and HTML is read as a browser would.
func TestMailAndWeb(t *testing.T) {
	mime := "From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n" +
		"Content-Type: text/html; name=\"x.html\"\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==\r\n--b--\r\n"
	for _, tt := range []struct {
		name, file, content string
		trait               scan.Trait
		objects             int
	}{
		{"mail", "x.eml", mime, "", 3},
		{"svg", "x.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, scan.ActiveHTML, 1},
		{"quiet svg", "x.svg", `<svg xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>`, "", 1},
		{"page", "x.html", `<html><body onload="x()">`, scan.ActiveHTML, 1},
		{"quiet page", "x.html", `<html><body><p>hello`, "", 1},
		{"calendar", "x.ics", "BEGIN:VCALENDAR\r\nX-ALT-DESC;FMTTYPE=text/html:<script>x</script>\r\nEND:VCALENDAR\r\n", scan.ActiveHTML, 1},
		{"calendar that loads a file", "x.ics", "BEGIN:VCALENDAR\r\nATTACH:fi\r\n le://host/a.exe\r\nEND:VCALENDAR\r\n", scan.RemoteObject, 1},
		{"calendar that starts a program", "x.ics", "BEGIN:VCALENDAR\r\nACTION:PROCEDURE\r\nEND:VCALENDAR\r\n", scan.Launch, 1},
		{"calendar with a file", "x.ics", "BEGIN:VCALENDAR\r\nATTACH:data:application/x;base64,Y2Fi\r\n bGVk\r\nEND:VCALENDAR\r\n", "", 3},
		{"quiet calendar", "x.ics", "BEGIN:VCALENDAR\r\nURL:https://example.com/\r\nSUMMARY:file the report\r\nEND:VCALENDAR\r\n", "", 1},
		{"card", "x.vcf", "BEGIN:VCARD\r\nitem1.URL:\\\\host\\share\r\nEND:VCARD\r\n", scan.RemoteObject, 1},
		{"quiet card", "x.vcf", "BEGIN:VCARD\nURL:https://example.com/\nEND:VCARD\n", "", 1},
		{"uuencoded", "x.txt", "hello\nbegin 644 a.exe\n#0V%T\n`\nend\n", "", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := attach.Identify(tt.file, "", []byte(tt.content))
			o.Path = tt.file
			got, r, _ := inspected(t, Options{Readers: [][]container.Reader{{mail{}}, {web{}}, {card{}}}, LastResort: []container.Reader{}}, Job{Object: o, Content: []byte(tt.content)})
			if len(got) != tt.objects || slices.ContainsFunc(r.Objects[0].Traits, scan.Trait.Active) != (tt.trait != "") ||
				tt.trait != "" && !slices.Contains(r.Objects[0].Traits, tt.trait) {
				t.Errorf("got %q, %v", got, r.Objects[0].Traits)
			}
			if last := r.Objects[len(r.Objects)-1]; tt.name == "mail" && !slices.Contains(last.Traits, scan.ActiveHTML) {
				t.Errorf("the attachment of the mail: %v", last.Traits)
			}
		})
	}
}

// A page that loads what lies beside it is not active: the chapters of a book have a style sheet and pictures.
func TestPageOfABook(t *testing.T) {
	const page = `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><link rel="stylesheet" href="../s.css"/></head>` +
		`<body><img src="a.png" alt=""/>%s</body></html>`
	for body, active := range map[string]bool{"": false, `<img src="file://h/s"/>`: true, `<a href="javascript:x()">x</a>`: true} {
		content := fmt.Sprintf(page, body)
		o := attach.Identify("a.xhtml", "", []byte(content))
		_, r, _ := inspected(t, Options{}, Job{Object: o, Content: []byte(content)})
		if slices.Contains(r.Objects[0].Traits, scan.ActiveHTML) != active {
			t.Errorf("%q: %v", body, r.Objects[0].Traits)
		}
	}
}

// Drawings and XML that run something without an element of the name script, or under a prefix.
func TestActiveXML(t *testing.T) {
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:l="http://www.w3.org/1999/xlink">%s</svg>`
	for _, test := range []struct {
		name, content string
		active        bool
	}{
		{"a.svg", `<!DOCTYPE svg [<!ENTITY x "<script>x()</script>">]>` + fmt.Sprintf(svg, "&x;"), true},
		{"b.svg", `<!DOCTYPE svg [<!ENTITY x "&#60;script>x()&#60;/script>">]>` + fmt.Sprintf(svg, "&x;"), true},
		{"c.svg", `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [<!ENTITY ns "http://ns.adobe.com/x/1.0/">]>` + fmt.Sprintf(svg, ""), false},
		{"d.svg", fmt.Sprintf(svg, `<a><set attributeName="l:href" to="javascript:x()"/></a>`), true},
		{"e.svg", fmt.Sprintf(svg, `<animate attributeName="fill" to="red"/>`), false},
		{"f.xml", `<a><x:script xmlns:x="http://www.w3.org/1999/xhtml">x()</x:script></a>`, true},
		{"h.mso", "ActiveMime" + strings.Repeat("\x00", 40) + zlibbed("hello"), true},
	} {
		o := attach.Identify(test.name, "", []byte(test.content))
		o.Path = test.name
		_, r, _ := inspected(t, Options{}, Job{Object: o, Content: []byte(test.content)})
		if slices.ContainsFunc(r.Objects[0].Traits, scan.Trait.Active) != test.active || r.Objects[0].State != scan.Inspected {
			t.Errorf("%s: %+v", test.name, r.Objects)
		}
	}
}

// zlibbed compresses.
func zlibbed(content string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return b.String()
}
