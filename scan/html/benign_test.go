package html

import (
	"testing"

	"assay/scan"
)

// TestHarmlessPiecesStay holds what good mail is made of, piece by piece. Nothing of it is changed at level active.
func TestHarmlessPiecesStay(t *testing.T) {
	for name, doc := range map[string]string{
		"root selector first":   "<style>:root{color-scheme:light dark;supported-color-schemes:light dark}</style>",
		"root on a new line":    "<style type=\"text/css\">\n:root { color-scheme: light dark; }\n</style>",
		"pseudo class first":    "<style>::selection{color:red}</style><style>:hover{color:red}</style>",
		"dark mode":             "<style>@media (prefers-color-scheme: dark){.d{background:#111 !important}}[data-ogsc] .d{color:#fff !important}</style>",
		"web font":              "<style>@import url('https://fonts.example/css?family=A:400,700');@font-face{font-family:'I';src:local('I'),url(https://a.test/i.woff2) format('woff2')}</style>",
		"hacks of mail":         "<style>#outlook a{padding:0}u + .body .x{display:none}@media yahoo{.y{display:none}}a[x-apple-data-detectors]{color:inherit !important}</style>",
		"smooth behavior":       "<style>html{scroll-behavior:smooth;overscroll-behavior:none;transition-behavior:normal}</style>",
		"custom properties":     "<style>:root{--brand:#123;--pad:calc(1px + 2%)}p{color:var(--brand,red);padding:env(safe-area-inset-top,0)}</style>",
		"animation":             "<style>@keyframes f{from{opacity:0}to{opacity:1}}.f{animation:f 1s}@supports (display:grid){.g{display:grid}}</style>",
		"content":               `<style>.q::before{content:"\201C";quotes:"\00ab" "\00bb"}li::marker{content:"\2022  "}</style>`,
		"Word":                  "<style><!--\n@font-face\n\t{font-family:\"Cambria Math\";\n\tpanose-1:2 4 5 3 5 4 6 3 2 4;}\np.MsoNormal\n\t{mso-style-unhide:no;\n\tmso-ligatures:standardcontextual;}\n@page WordSection1\n\t{size:612.0pt 792.0pt;}\n@list l0:level1\n\t{mso-level-text:\\F0B7;}\n--></style>",
		"VML of Word":           "<!--[if !mso]><style>v\\:* {behavior:url(#default#VML);}\no\\:* {behavior:url(#default#VML);}\n.shape {behavior:url(#default#VML);}\n</style><![endif]-->",
		"button for Outlook":    `<!--[if mso]><v:roundrect xmlns:v="urn:schemas-microsoft-com:vml" xmlns:w="urn:schemas-microsoft-com:office:word" href="https://a.test/?a=1&amp;b=2" style="height:40px;v-text-anchor:middle" arcsize="10%" strokecolor="#1e3650" fillcolor="#556270"><w:anchorlock/><center style="color:#fff">Show</center></v:roundrect><![endif]--><!--[if !mso]><!-- --><a href="https://a.test/?a=1&b=2" target="_blank" rel="noopener" style="mso-hide:all">Show</a><!--<![endif]-->`,
		"background of Outlook": `<!--[if gte mso 9]><v:rect xmlns:v="urn:schemas-microsoft-com:vml" fill="true" stroke="false" style="width:600px"><v:fill type="tile" src="https://a.test/b.jpg" color="#222" /><v:textbox inset="0,0,0,0"><![endif]--><p>x</p><!--[if gte mso 9]></v:textbox></v:rect><![endif]-->`,
		"settings of Outlook":   "<!--[if mso]><noscript><xml><o:OfficeDocumentSettings><o:AllowPNG/><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml></noscript><style>td{font-family:Arial !important}</style><![endif]-->",
		"preheader":             `<div style="display:none;font-size:1px;max-height:0;opacity:0;overflow:hidden;mso-hide:all">Hi &#847;&zwnj;&nbsp;</div>`,
		"Gmail":                 `<div dir="ltr" class="gmail_attr">On X wrote:<br></div><blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204)"><u></u><div class="gmail-yj6qo"></div></blockquote>`,
		"Apple Mail":            `<body style="overflow-wrap: break-word; -webkit-nbsp-mode: space; line-break: after-white-space;"><div apple-content-edited="true"><br class="Apple-interchange-newline"></div>`,
		"Thunderbird":           `<p><a moz-do-not-send="true" class="moz-txt-link-freetext" href="https://a.test">https://a.test</a></p><blockquote type="cite" cite="mid:a@b.test"><pre class="moz-quote-pre" wrap="">y</pre></blockquote>`,
		"images":                `<picture><source media="(max-width:600px)" srcset="https://a.test/s.png"><img src="https://a.test/a.png" srcset="https://a.test/b.png 2x" width="600" alt="A &quot;b&quot;" style="-ms-interpolation-mode:bicubic"></picture><img src="data:image/png;base64,iVBORw0KGgo=" alt=""><img src="cid:logo@x">`,
		"links":                 `<a href="mailto:x@a.test?subject=a%20b">m</a> <a href="tel:+491234">t</a> <a name="top"></a><a href="#top">up</a> <a href="https://a.test/?x={{y}}&z=%7B">z</a>`,
		"meta":                  `<meta http-equiv="Content-Type" content="text/html; charset=utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><meta name="x-apple-disable-message-reformatting"><meta name="format-detection" content="telephone=no">`,
	} {
		if r := Clean([]byte(doc), "utf-8", scan.Active, Options{}); r.Changed {
			t.Errorf("%s: took %v:\n%s\nbecame\n%s", name, r.Taken, doc, r.Output)
		}
	}
}
