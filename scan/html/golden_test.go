package html

import (
	"fmt"
	"strings"
	"testing"

	"assay/scan"
)

// goldenCases are documents with one thing in each; what becomes of them is in testdata/clean.golden.
func goldenCases() []string {
	return []string{
		// what stays to the octet
		`<!DOCTYPE html><html lang=en><head><title>A &amp; B</title></head><body bgcolor="#fff"><p class=x style="color:red">Hi</p></body></html>`,
		`<a href="https://example.com/?a=1&b=2" target=_blank>x</a> <a href=mailto:a@example.com>m</a> <a href="{{unsubscribe}}">u</a>`,
		`<!--[if mso]><v:rect href="https://example.com/" fillcolor="#f00"><w:anchorlock/><center>x</center></v:rect><![endif]--><!--[if !mso]><!--><b>y</b><!--<![endif]-->`,
		`<![if !vml]><img src="cid:1@x" v:shapes="i"><![endif]><o:p>&nbsp;</o:p>`,
		`<!-- <b>old</b> -- kept --><!-- ---- -->`,
		`<style>@media (width <= 600px){a{b:c}} .x{behavior:url(#default#VML)} a[href^="tel:"]{color:red}</style>`,
		`<td background="https://example.com/b.png" style="background:url(https://example.com/b.png)">`,
		`<p data-id=1 mc:edit="x" aria-label="y">x</p>`,
		// what goes
		`<p onclick="x()">a</p><SCRIPT>b</SCRIPT><script type="application/ld+json">{}</script>c`,
		`<form action="https://example.com/login"><label>Name</label><input name=a><textarea>t<b></textarea><select><option>o</select><button>Go</button></form>`,
		`<iframe src="https://example.com/">f</iframe><object data=x>o<embed src=y></object><video src=z><img src=v.png></video>`,
		`<meta http-equiv=refresh content="0;url=https://example.com/x"><base href="https://example.com/"><link rel=preload href=x>`,
		`<a href="java&#x73;cript:alert(1)">a</a><a href=" \\host\share">b</a><a href="file:///c:/x">c</a><a href="data:text/html,x">d</a>`,
		`<p style="color:red;width:expression(alert(1));top:0">a</p><p style="behavior:url(x.htc)">b</p><p style="background:u\72l(javascript:x)">c</p>`,
		`<p style="width:exp/**/ression(alert(1))">a</p><p style="-moz-binding:url(http://x/)">b</p>`,
		`<style>@import 'javascript:x'; a{b:url("vbscript:x")} /* expression(1) */</style>`,
		`<svg><script>1</script><text>t</text></svg>m<math><mi>x</math>`,
		`<noscript><p>shown</p></noscript><template>t</template><xmp><b></xmp><plaintext><i>p`,
		`<!-- <script>1</script> -->a<!--[if mso]><script>1</script><b onclick=x>m</b><![endif]-->`,
		`a < b <> </ > <? x ?> <!x> </p/x> <p a"b=c =d e='f>'>g</p`,
		`<p title="a<b" title='c' x>d</p><img src='a"b.png' alt=` + "`" + `>`,
		`<style>a{b:c}`,
		"<p>\x00a\x1b$B\"</p>",
		`<meta charset=iso-2022-jp><meta http-equiv=Content-Type content="text/html; charset=utf-16">a`,
		// what is loaded
		`<img src="https://example.com/a.png" alt=A width=1 height=1><img srcset="https://example.com/b.png 2x"><link rel=stylesheet href="https://example.com/c.css">`,
		`<p style="background:url(https://example.com/d.png) no-repeat;--x:'https://example.com/e';border-image:image-set(var(--x) 1x)">a</p>`,
		`<style>@import "https://example.com/f.css"; a{b:image-set("https://example.com/g" 1x)} @font-face{src:url(https://example.com/h)}</style>`,
		`<!--[if mso]><v:fill src="https://example.com/i.png" /><![endif]--><img src="data:image/png;base64,AA"><img src="cid:x"><img src=""><img src="#"><img src=rel.png>`,
	}
}

func TestCleanGolden(t *testing.T) {
	var got strings.Builder
	for _, src := range goldenCases() {
		fmt.Fprintf(&got, "== %q\n", src)
		for _, level := range []scan.Level{scan.Active, scan.Remote} {
			r := Clean([]byte(src), "utf-8", level, Options{})
			mustBeSafe(t, src, r, "utf-8", level)
			if !r.Changed {
				fmt.Fprintf(&got, "%s: unchanged\n", level)
				continue
			}
			fmt.Fprintf(&got, "%s: %q\n", level, r.Output)
			for _, f := range r.Taken {
				fmt.Fprintf(&got, "\t%s %q x%d\n", f.Kind, f.Detail, f.Count)
			}
		}
		r := Clean([]byte(src), "utf-8", scan.Off, Options{})
		for _, l := range r.Links {
			fmt.Fprintf(&got, "\tlink %s %s %q\n", l.Source, l.URL, l.Text)
		}
		fmt.Fprintf(&got, "text: %q\n", Text([]byte(src), "utf-8"))
	}
	golden(t, "clean.golden", got.String())
}

func TestLevels(t *testing.T) {
	src := []byte(`<p onclick=x>a <b>b</b></p>`)
	off := Clean(src, "utf-8", scan.Off, Options{})
	if off.Changed || &off.Output[0] != &src[0] || len(off.Findings) != 1 || off.Taken != nil {
		t.Errorf("off: %+v", off)
	}
	zero := Clean(src, "utf-8", "", Options{})
	if string(zero.Output) != "<p>a <b>b</b></p>" || len(zero.Taken) != 1 {
		t.Errorf("the zero level is not active: %+v", zero)
	}
	if text := Clean(src, "iso-8859-1", scan.Text, Options{}); string(text.Output) != "a b\n" || text.Charset != "utf-8" || !text.Changed {
		t.Errorf("text: %+v", text)
	}
}

func TestUnchangedIsTheVeryInput(t *testing.T) {
	src := []byte(`<p>a</p>`)
	if r := Clean(src, "utf-8", scan.Active, Options{}); r.Changed || &r.Output[0] != &src[0] {
		t.Errorf("%+v", r)
	}
}

func TestCharsets(t *testing.T) {
	for _, c := range []struct{ name, charset, src, want, declared string }{
		{"latin1 stays", "iso-8859-1", "<p onclick=x>\xe4</p>", "<p>\xe4</p>", ""},
		{"latin1 unchanged", "ISO-8859-1", "<p>\xe4</p>", "<p>\xe4</p>", ""},
		{"utf-16", "utf-16le", "<\x00b\x00>\x00\xe4\x00", "<b>ä", "utf-8"},
		{"utf-16 by its mark", "iso-8859-1", "\xfe\xff\x00<\x00b\x00>", "<b>", "utf-8"},
		{"utf-7", "utf-7", "+ADw-script+AD4-alert(1)+ADw-/script+AD4-a", "a", "utf-8"},
		{"shift_jis", "shift_jis", "<p>\x82\xa0</p>", "<p>あ</p>", "utf-8"},
		{"iso-2022-jp", "iso-2022-jp", "<p>\x1b$B$\"\x1b(B</p>", "<p>あ</p>", "utf-8"},
		{"iso-2022-jp by meta", "", "<meta charset=iso-2022-jp><p>\x1b$B$\"\x1b(B</p>", "<meta><p>あ</p>", "utf-8"},
		{"hz", "hz-gb-2312", "<p>~{VPND~}</p>", "<p>中文</p>", "utf-8"},
		{"unknown, utf-8", "x-unknown", "<p>ä</p>", "<p>ä</p>", "utf-8"},
		{"unknown, octets", "x-unknown", "<p>\xe4</p>", "<p>ä</p>", "utf-8"},
		{"none, backslash swallowed", "", "<p style=\"x:'\xe0\\'\">", "<p style=\"x:'à\\'\">", "utf-8"},
		{"a mark that moves", "koi8-r", "<svg></svg>\xfe\xff\x00<", "\n\xfe\xff&lt;", ""},
		{"ebcdic", "ibm037", "\x4c\x82\x6e\x81", "<b>a", "utf-8"},
	} {
		r := Clean([]byte(c.src), c.charset, scan.Active, Options{})
		if string(r.Output) != c.want || r.Charset != c.declared {
			t.Errorf("%s: %q %q, want %q %q", c.name, r.Output, r.Charset, c.want, c.declared)
		}
		mustBeSafe(t, c.name, r, c.charset, scan.Active)
	}
}

func TestLimits(t *testing.T) {
	many := strings.Repeat("<p>x</p>", 200)
	for name, c := range map[string]struct {
		limits Limits
		src    string
	}{
		"octets": {Limits{Octets: 100}, many},
		"tags":   {Limits{Tags: 100}, many},
		"nodes":  {Limits{Nodes: 100}, many + "<p onclick=x>"},
	} {
		r := Clean([]byte(c.src), "utf-8", scan.Active, Options{Limits: c.limits})
		if r.Fallback != TextFallback || len(r.Taken) < 2 || !strings.Contains(string(r.Output), "<pre") || strings.Contains(string(r.Output), "<p>") {
			t.Errorf("%s: %+v", name, r)
		}
		found := false
		for _, f := range r.Findings {
			found = found || f.Kind == KindLimit && f.Detail == name
		}
		if !found {
			t.Errorf("%s: no finding %s in %v", name, KindLimit, r.Findings)
		}
		mustBeSafe(t, name, r, "utf-8", scan.Active)
	}
	deep := Clean([]byte(strings.Repeat("<div>", 600)+"x"), "utf-8", scan.Active, Options{})
	if deep.Fallback != TextFallback {
		t.Errorf("600 open elements: %q", deep.Fallback)
	}
	links := Clean([]byte(strings.Repeat("<a href=http://x.test/>x</a>", 10)), "utf-8", scan.Active, Options{Limits: Limits{Links: 3}})
	if len(links.Links) != 3 {
		t.Errorf("%d links", len(links.Links))
	}
}

// TestTreeFallback gives the verification something to refuse: it must never be trusted to pass.
func TestTreeFallback(t *testing.T) {
	c := cleaner{limits: Limits{}.withDefaults()}
	out, ok := c.tree([]byte("<table><b onclick=x>a<svg><p>b"), reading{utf8: true, charset: "utf-8"})
	if !ok || strings.Contains(string(out), "onclick") || !strings.Contains(string(out), "<tbody>") && !strings.Contains(string(out), "<b>") {
		t.Errorf("%v %q", ok, out)
	}
	f := newFilter(&c, nil, reading{utf8: true})
	for _, bad := range []string{
		"<script>x</script>", "<p onclick=x>", "<svg>", "<a href=javascript:x>", "<style>a{b:expression(1)}</style>", "<!-- <script> -->", "<noscript><p></noscript>",
		"<p style='x:expression(1)'>", "<form>", "<meta http-equiv=refresh content=0>", "<title>a</title><iframe>", "<p",
	} {
		f.changed = true
		if f.verify([]byte(bad)) == proven && bad != "<p" {
			t.Errorf("the tree parser accepted %s", bad)
		}
		f.changed = false
		if f.verify([]byte(bad)) == proven {
			t.Errorf("the tokenizer accepted %s", bad)
		}
	}
}

func TestKeepForms(t *testing.T) {
	src := `<form action="https://example.com/" method=post><input name=a type=text><button>b</button></form><form action="javascript:x"><input formaction=x></form>`
	r := Clean([]byte(src), "utf-8", scan.Active, Options{Forms: KeepForms})
	want := `<form action="https://example.com/" method=post><input name=a type=text><button>b</button></form><input></form>`
	if string(r.Output) != want {
		t.Errorf("%s", r.Output)
	}
}

func TestSchemeOf(t *testing.T) {
	for in, want := range map[string]scheme{
		"": schemeFragment, "#a": schemeFragment, " #a": schemeFragment, "\u200b": schemeNone, "\u200b#a": schemeNone, "a/b": schemeNone, "a?b:c": schemeNone, "a%20b": schemeNone,
		"HTTP://x/": schemeWeb, "https:x": schemeWeb, "ht\ntps://x": schemeWeb, "//x/": schemeNetwork, `\\x\y`: schemeUNC, `/\x`: schemeUNC, "cid:x": schemePart,
		"mailto:a": schemeLink, "tel:1": schemeLink, "javascript:x": schemeBad, "JaVa\tScRiPt:x": schemeBad, "\x01javascript:x": schemeBad, "java\u00adscript:x": schemeBad,
		"file:///x": schemeBad, "ms-word:x": schemeBad, "search-ms:x": schemeBad, "data:x": schemeData, "x y:z": schemeBad, "é:x": schemeBad,
		"javascript%3aalert(1)": schemeNone,
	} {
		if got := schemeOf([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func TestInsertNote(t *testing.T) {
	for in, want := range map[string]string{
		"<html><head><title>a</title></head><body class=x>b</body></html>": "<html><head><title>a</title></head><body class=x>NOTEb</body></html>",
		"<p>a":                                   "NOTE<p>a",
		"a":                                      "NOTEa",
		"":                                       "NOTE",
		"<style><body></style><p>a":              "<style><body></style>NOTE<p>a",
		"<!--[if mso]><body><![endif]--><body>a": "<!--[if mso]><body><![endif]--><body>NOTEa",
	} {
		if got := string(InsertNote([]byte(in), []byte("NOTE"))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
