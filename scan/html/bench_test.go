package html

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/scan"
)

// BenchmarkNewsletters cleans the foreign newsletters at each level, verification included.
func BenchmarkNewsletters(b *testing.B) {
	docs := newsletters(b)
	total := 0
	for _, src := range docs {
		total += len(src)
	}
	for _, level := range []scan.Level{scan.Active, scan.Remote} {
		b.Run(string(level), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(total))
			start := cpuTime(b)
			for b.Loop() {
				for _, src := range docs {
					Clean(src, "utf-8", level, Options{})
				}
			}
			b.ReportMetric(float64(total)*float64(b.N)/1e6/(cpuTime(b)-start).Seconds(), "MB/cpu-s")
		})
	}
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(total))
		for b.Loop() {
			for _, src := range docs {
				Text(src, "utf-8")
			}
		}
	})
}

// synthetic builds a newsletter with what real ones have: tables, inline styles, links, media queries, conditionals.
func synthetic(rows int) []byte {
	var b bytes.Buffer
	b.WriteString(`<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:v="urn:schemas-microsoft-com:vml"><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
<title>News of the month</title><style type="text/css">@media only screen and (max-width:600px){.col{width:100% !important;display:block}}
a[x-apple-data-detectors]{color:inherit !important} .btn:hover{background:#c00}</style>
<!--[if mso]><noscript><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml></noscript><![endif]--></head><body bgcolor="#ffffff">`)
	for i := range rows {
		fmt.Fprintf(&b, `<table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0"><tr><td align="center" style="padding:20px 10px; font-family:'Open Sans', Arial, sans-serif; color:#333333">
<!--[if mso]><v:rect fill="true" stroke="false" style="width:600px"><v:fill type="tile" src="https://example.com/bg.png" /></v:rect><![endif]-->
<a href="https://example.com/article?id=%d&amp;utm_source=mail" target="_blank" style="text-decoration:none;color:#06c"><img src="https://example.com/img/%d.jpg" width="300" height="200" alt="Picture of the article" style="display:block" /></a>
<p style="margin:0 0 16px">Some words about what there is to read, and a few more so that it looks like prose &mdash; or nearly.</p></td></tr></table>
`, i, i)
	}
	b.WriteString("</body></html>")
	return b.Bytes()
}

func BenchmarkSynthetic(b *testing.B) {
	for _, c := range []struct {
		name string
		src  []byte
	}{
		{"unchanged", synthetic(100)},
		{"changed", bytes.Replace(synthetic(100), []byte("<p style"), []byte("<p onclick=1 style"), 1)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.src)))
			for b.Loop() {
				Clean(c.src, "utf-8", scan.Active, Options{})
			}
		})
	}
}

// pathological returns what makes documents, of about n octets, that make careless code slow.
func pathological() map[string]func(n int) []byte {
	fill := func(head, unit, tail string) func(n int) []byte {
		return func(n int) []byte {
			return []byte(head + strings.Repeat(unit, max(1, (n-len(head)-len(tail))/len(unit))) + tail)
		}
	}
	var fonts strings.Builder
	for i := range 400 {
		fmt.Fprintf(&fonts, "<font size=%d>", i)
	}
	return map[string]func(n int) []byte{
		"less than":        fill("", "<", ""),
		"tags":             fill("", "<b>", ""),
		"closed tags":      fill("", "<b></b>", ""),
		"divs":             fill("", "<div>", ""),
		"end tags":         fill("", "</b>", ""),
		"svg":              fill("", "<svg>", ""),
		"svg with end":     fill("", "<svg>", "</svg>"),
		"closed svg":       fill("", "<svg></svg>", ""),
		"select":           fill("", "<select>", "</select>"),
		"comments":         fill("", "<!---->", ""),
		"open comments":    fill("", "<!--", ""),
		"commented markup": fill("", "<!-- <b>x</b> -->", ""),
		"comment of tags":  fill("<!-- ", "<b>", "-->"),
		"conditions":       fill("", "<!--[if mso]><v:rect><![endif]-->", ""),
		"nested comments":  fill("<!--[if mso]>", "<!--", "<![endif]-->"),
		"bogus":            fill("", "<?x>", ""),
		"dashes":           fill("<!--", "-", "-->"),
		"scripts":          fill("", "<script>", ""),
		"closed scripts":   fill("", "<script></script>", ""),
		"script ends":      fill("<script>", "</scrip", ""),
		"styles":           fill("", "<style></style>", ""),
		"open style":       fill("<style>", "a{b:c}", ""),
		"brackets":         fill("<style>", "(", "</style>"),
		"braces":           fill("<style>", "{", "</style>"),
		"functions":        fill("<style>", "a(", "</style>"),
		"expressions":      fill("<style>", "a:expression(", "</style>"),
		"expression rules": fill("<style>", "a{b:expression(1)}", "</style>"),
		"addresses":        fill("<style>", "a{b:url(javascript:1)}", "</style>"),
		"bad addresses":    fill("<style>", "a{b:url(x y)}", "</style>"),
		"imports":          fill("<style>", "@import ", "</style>"),
		"import rules":     fill("<style>", "@import 'http://x.test/';", "</style>"),
		"css comments":     fill("<style>", "a/**/b", "</style>"),
		"open css comment": fill("<style>", "/*", "</style>"),
		"css strings":      fill("<style>", "\"\n", "</style>"),
		"behavior blanks":  fill("<style>", "behavior ", "</style>"),
		"behaviors":        fill("<style>", "a{behavior:x}", "</style>"),
		"escapes":          fill("<style>", `\41 `, "</style>"),
		"css in attribute": fill("<p style='", "a:url(x);", "'>"),
		"attributes":       fill("<p ", "a ", ">"),
		"other attributes": fill("<p ", "a=b c d=e ", ">"),
		"many attributes":  fill("", "<p a b c d e f g h i j k l m n o p q r s t u v w x y z>", ""),
		"references":       fill("<a href='", "&#x6a;", "'>"),
		"names":            fill("<a href='", "&NotEqualTilde", "'>"),
		"ampersands":       fill("<a href='", "&", "'>"),
		"long name":        fill("<", "a", ">"),
		"tables":           fill("", "<table><tr><td>", ""),
		"formatting":       fill(fonts.String(), "<p>x</p>", ""),
		"formatting cells": fill(fonts.String()+"<table>", "<td>x", ""),
		"misnested":        fill("", "<b><i></b></i>", ""),
		"anchors":          fill("", "<a href=x>", ""),
		"handlers":         fill("", "<b onclick=x>", ""),
		"text":             fill("", "a b\n", ""),
		"nul":              fill("", "\x00<", ""),
		"meta":             fill("", "<meta charset=x>", ""),
		"textarea":         fill("", "<textarea>", ""),
		"plaintext":        fill("<plaintext>", "<", ""),
		"srcset":           fill("<img srcset='", "a b,", "'>"),
		"amp in text":      fill("", "&amp", ""),
	}
}

func BenchmarkPathological(b *testing.B) {
	for name, fill := range pathological() {
		b.Run(name, func(b *testing.B) {
			src := fill(1 << 20)
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				Clean(src, "utf-8", scan.Active, Options{})
			}
		})
	}
}

// BenchmarkHostile cleans 10 MB of each pathological kind at level remote.
func BenchmarkHostile(b *testing.B) {
	for name, fill := range pathological() {
		b.Run(name, func(b *testing.B) {
			src := fill(10_000_000)
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			start := cpuTime(b)
			for b.Loop() {
				Clean(src, "utf-8", scan.Remote, Options{})
			}
			b.ReportMetric((cpuTime(b)-start).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// cpuTime returns the CPU time of the process.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestHostileInputIsBounded cleans 10 MB of each pathological kind. The bounds of time are wide, for the machine may be
// slow and busy; what is quadratic takes minutes.
func TestHostileInputIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("10 MB of everything (-short)")
	}
	for name, fill := range pathological() {
		t.Run(name, func(t *testing.T) {
			src := fill(10_000_000)
			start := cpuTime(t)
			r := Clean(src, "utf-8", scan.Remote, Options{})
			took := cpuTime(t) - start
			if took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if len(r.Output) > 2*len(src)+1<<20 {
				t.Errorf("%d octets became %d", len(src), len(r.Output))
			}
			var usage syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
			t.Logf("%.2f s CPU, %d octets, %q, most memory so far %d MiB", took.Seconds(), len(r.Output), r.Fallback, usage.Maxrss/1024)
		})
	}
}
