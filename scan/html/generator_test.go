package html

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// A generator makes hostile documents.
type generator struct {
	rand    *rand.Rand
	vectors []vector
}

// next returns the next document.
func (g *generator) next() hostileCase {
	var src []byte
	switch g.rand.IntN(5) {
	case 0:
		src = []byte(g.tree(4))
	case 1:
		src = []byte(g.soup())
	default:
		src = g.splice()
	}
	if g.rand.IntN(8) == 0 {
		src = g.mutate(src)
	}
	return g.encode(src)
}

func pick[T any](g *generator, list []T) T { return list[g.rand.IntN(len(list))] }

// splice cuts vectors and puts the pieces together.
func (g *generator) splice() []byte {
	var out []byte
	for range 2 + g.rand.IntN(3) {
		v := pick(g, g.vectors).src
		if len(v) == 0 || len(v) > 4000 {
			continue
		}
		from := g.rand.IntN(len(v))
		if g.rand.IntN(2) == 0 {
			from = 0
		}
		to := from + g.rand.IntN(len(v)-from+1)
		if g.rand.IntN(2) == 0 {
			to = len(v)
		}
		out = append(out, v[from:to]...)
		if g.rand.IntN(3) == 0 {
			out = append(out, g.token()...)
		}
	}
	return out
}

// mutate changes some octets.
func (g *generator) mutate(src []byte) []byte {
	out := append([]byte(nil), src...)
	for range 1 + g.rand.IntN(4) {
		if len(out) == 0 {
			break
		}
		i := g.rand.IntN(len(out))
		switch g.rand.IntN(3) {
		case 0:
			out[i] = pick(g, []byte("<>\"'`=/!-&;:\x00\t\n\x1b\\{}()x"))
		case 1:
			out = append(out[:i], out[i+1:]...)
		case 2:
			out = append(out[:i], append([]byte(g.token()), out[i:]...)...)
		}
	}
	return out
}

func (g *generator) elements() []string {
	return strings.Fields(`a b p i div span table tr td style title script svg math mi mtext mglyph annotation-xml foreignObject desc select
option template noscript iframe noembed noframes xmp plaintext textarea form input button img image body html head base meta link object embed
frameset frame font nobr li pre listing video audio source animate set use v:rect v:fill o:p xml marquee details summary dialog label map area`)
}

func (g *generator) attribute() string {
	return pick(g, []string{
		`onerror=alert(1)`, `onload="alert(1)"`, `ONCLICK='alert(1)'`, `href="javascript:alert(1)"`, `href=&#x6a;avascript:alert(1)`, `href="java	script:alert(1)"`,
		`src="http://leak.test/x"`, `src=x`, `src="//leak.test/y"`, `srcset="http://leak.test/z 2x"`, `background="http://leak.test/b"`,
		`style="background:url(http://leak.test/c)"`, `style="background:u\72l(http://leak.test/d)"`, `style="background:image-set('http://leak.test/e' 1x)"`,
		`style="--x:'http://leak.test/f';background:image-set(var(--x) 1x)"`, `style="x:expression(alert(1))"`, `style="behavior:url(x.htc)"`,
		`style="background:url(&quot;http://leak.test/g&quot;)"`, `title="--><script>alert(1)</script>"`, `alt='</style><img src=x onerror=alert(1)>'`,
		`xlink:href="javascript:alert(1)"`, `action="javascript:alert(1)"`, `formaction=javascript:alert(1)`, `http-equiv=refresh content="0;url=javascript:alert(1)"`,
		`rel=stylesheet href="http://leak.test/h.css"`, `type=image`, `autofocus onfocus=alert(1)`, `srcdoc="<script>alert(1)</script>"`, `data="data:text/html,<script>alert(1)</script>"`,
		`id=x`, `class='a"b'`, `title="a>b"`, "`", `=x`, `a"b=c`, `/`, `xmlns="http://www.w3.org/2000/svg"`, `encoding="text/html"`, `poster="http://leak.test/p"`, `ping="http://leak.test/q"`,
	})
}

func (g *generator) token() string {
	return pick(g, []string{
		"<!--", "-->", "--!>", "<!-->", "<!--->", "<![CDATA[", "]]>", "<?xml ", "?>", "<!DOCTYPE html>", "</style>", "<style>", "</title>", "<title>", "</noscript>",
		"<noscript>", "<!--[if mso]>", "<![endif]-->", "<!--[if !mso]><!-->", "<!--<![endif]-->", "<![if !mso]>", "<![endif]>", "<script>alert(1)</script>",
		"<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<svg><style>", "<math><mtext><table><mglyph><style>", "</p>", "</br>", "<p", "'", "\"", "`", ">", "<",
		"</", "<a href='", "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;", "\x00", "\r", "\f", "<style>@import 'http://leak.test/i.css';</style>",
		"<style>a{background:url(http://leak.test/j)}</style>", "<style><!--</style><img src=x onerror=alert(1)>-->", "<select><template>", "<table><form>", "<plaintext>",
		"<frameset onload=alert(1)>", "<body onload=alert(1)>", "<base href=//leak.test/>", "<link rel=preload href=http://leak.test/k as=image>", "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
		"\x1b$B", "\x1b(B", "~{", "~}", "\x81", "\xe2", "<isindex>", "<input type=image src=http://leak.test/l>",
	})
}

// tree returns nested random elements.
func (g *generator) tree(depth int) string {
	var b strings.Builder
	for range 1 + g.rand.IntN(3) {
		name := pick(g, g.elements())
		fmt.Fprintf(&b, "<%s", name)
		for range g.rand.IntN(3) {
			b.WriteString(" " + g.attribute())
		}
		b.WriteString(pick(g, []string{">", ">", ">", "/>", " >"}))
		if depth > 0 && g.rand.IntN(4) > 0 {
			b.WriteString(g.tree(depth - 1))
		} else {
			b.WriteString(pick(g, []string{"x", "", g.token()}))
		}
		if g.rand.IntN(5) > 0 {
			fmt.Fprintf(&b, "</%s>", pick(g, []string{name, name, name, pick(g, g.elements())}))
		}
	}
	return b.String()
}

// soup returns tokens in a row.
func (g *generator) soup() string {
	var b strings.Builder
	for range 3 + g.rand.IntN(12) {
		if g.rand.IntN(3) == 0 {
			b.WriteString(g.tree(0))
		} else {
			b.WriteString(g.token())
		}
	}
	return b.String()
}

// encode puts most documents into UTF-8, and some into a charset in which markup can hide, or into none.
func (g *generator) encode(src []byte) hostileCase {
	foreign := []struct {
		name string
		encoding.Encoding
	}{
		{"iso-2022-jp", japanese.ISO2022JP}, {"shift_jis", japanese.ShiftJIS}, {"euc-jp", japanese.EUCJP}, {"euc-kr", korean.EUCKR}, {"gb18030", simplifiedchinese.GB18030},
		{"gbk", simplifiedchinese.GBK}, {"hz-gb-2312", simplifiedchinese.HZGB2312}, {"big5", traditionalchinese.Big5},
		{"utf-16", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}, {"utf-16le", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)},
	}
	switch n := g.rand.IntN(20); {
	case n < 12:
		return hostileCase{src: src, charset: "utf-8"}
	case n < 14:
		return hostileCase{src: src, charset: pick(g, []string{"us-ascii", "iso-8859-1", "windows-1252", "koi8-r"})}
	case n < 15:
		return hostileCase{src: src}
	case n < 17: // the octets of one charset in the name of another
		return hostileCase{src: src, charset: pick(g, foreign).name}
	case n < 18:
		return hostileCase{src: src, charset: pick(g, []string{"utf-7", "x-unknown", "utf-32", "ibm037", "iso-2022-kr", "iso-2022-cn", "x-user-defined"})}
	}
	f := pick(g, foreign)
	out, err := encoding.ReplaceUnsupported(f.NewEncoder()).Bytes(src)
	if err != nil {
		return hostileCase{src: src, charset: f.name}
	}
	return hostileCase{src: out, charset: f.name}
}
