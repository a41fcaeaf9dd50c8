package html

import (
	"bytes"

	"assay/scan"
)

// Bounds of what is reported about a link.
const (
	maxLinkText = 400
	maxLinkURL  = 4096
)

// link reports an address.
func (f *filter) link(url []byte, source scan.Source) {
	if f.quiet || len(f.c.links) >= f.c.limits.Links {
		return
	}
	u := bytes.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, url[:min(len(url), maxLinkURL)])
	if len(u) == 0 || u[0] == '#' {
		return
	}
	f.c.links = append(f.c.links, scan.Link{URL: string(u), Source: source})
}

// follow reports an address that is followed with a click; what is shown for <a> is read up to its end.
func (f *filter) follow(a attr, value []byte) {
	switch {
	case string(a.name) == "action":
		f.link(value, scan.FromForm)
	case string(a.name) != "href":
	case string(f.lexer.name) == "a":
		n := len(f.c.links)
		if f.link(value, scan.FromAnchor); len(f.c.links) > n {
			f.anchor, f.shown = n, f.shown[:0]
		}
	default:
		f.link(value, scan.FromAnchor)
	}
}

// endAnchor gives a link the text that was shown for it.
func (f *filter) endAnchor() {
	if f.anchor >= 0 && !f.quiet {
		f.c.links[f.anchor].Text = string(collapse(f.doc.asUTF8(decode(f.shown))))
	}
	f.anchor = -1
}

// collapse makes one blank of many and cuts those around.
func collapse(text []byte) []byte {
	return bytes.Join(bytes.Fields(text), []byte(" "))
}

// dropped reports the addresses of an element that is taken out.
func (f *filter) dropped() {
	if f.quiet {
		return
	}
	l := &f.lexer
	get := func(name string, source scan.Source) {
		if a, ok := attribute(l.attrs, name); ok {
			f.link(decode(a.value), source)
		}
	}
	switch string(l.name) {
	case "form":
		get("action", scan.FromForm)
	case "button", "input":
		get("formaction", scan.FromForm)
	case "iframe", "frame", "embed", "script", "audio", "video", "bgsound":
		get("src", scan.FromRemote)
	case "object":
		get("data", scan.FromRemote)
	case "link":
		get("href", scan.FromRemote)
	case "meta":
		a, _ := attribute(l.attrs, "content")
		if _, url, ok := bytes.Cut(bytes.ToLower(decode(a.value)), []byte("url=")); ok {
			v := decode(a.value)
			f.link(bytes.Trim(v[len(v)-min(len(url), len(v)):], `"' `), scan.FromRemote)
		}
	}
}

// invisible says whether an image is too small to be seen, or hidden.
func invisible(attrs []attr) bool {
	tiny := 0
	for _, side := range []string{"width", "height"} {
		if a, ok := attribute(attrs, side); ok {
			v := bytes.TrimSuffix(bytes.TrimSpace(a.value), []byte("px"))
			if len(v) == 1 && (v[0] == '0' || v[0] == '1') {
				tiny++
			}
		}
	}
	if tiny == 2 {
		return true
	}
	a, _ := attribute(attrs, "style")
	css := bytes.ToLower(bytes.Join(bytes.Fields(a.value[:min(len(a.value), 1024)]), nil))
	for _, side := range []string{"width:", "height:"} {
		for _, size := range []string{"0", "1px", "0px"} {
			for _, end := range []string{";", "!"} {
				if bytes.Contains(append(css, ';'), []byte(side+size+end)) {
					tiny++
				}
			}
		}
	}
	return tiny >= 2 || bytes.Contains(css, []byte("display:none")) || bytes.Contains(css, []byte("visibility:hidden"))
}
