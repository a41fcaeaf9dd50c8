package html

import "assay/scan"

// The kinds of findings. Rules name them, so they never change.
const (
	KindPart     scan.Kind = "html.part"         // a part with HTML; Detail says where it is used
	KindScript   scan.Kind = "html.script"       // <script>, but not data such as application/ld+json
	KindHandler  scan.Kind = "html.handler"      // an event handler attribute: onclick=
	KindForm     scan.Kind = "html.form"         // <form>, <input>, <button>, <select>, <textarea>
	KindFrame    scan.Kind = "html.frame"        // <iframe>, <frame>, <frameset>, <portal>, <fencedframe>
	KindObject   scan.Kind = "html.object"       // <object>, <embed>, <applet>, <bgsound>
	KindMedia    scan.Kind = "html.media"        // <audio>, <video>, <canvas>
	KindRefresh  scan.Kind = "html.meta-refresh" // <meta http-equiv=refresh>
	KindMeta     scan.Kind = "html.meta"         // another <meta http-equiv> that gives orders: set-cookie, security policy
	KindBase     scan.Kind = "html.base"         // <base>: moves every relative address
	KindLinkHint scan.Kind = "html.link-hint"    // <link> that is no style sheet or description: preload, prefetch, import
	KindURL      scan.Kind = "html.url"          // an address with a scheme that mail has no use for: javascript:, file:, \\host
	KindCSS      scan.Kind = "html.css"          // CSS that runs code or loads from a bad address: expression(), behavior
	KindRemote   scan.Kind = "html.remote"       // something that is loaded without a click
	KindTracker  scan.Kind = "html.tracker"      // a remote image that nobody can see
	KindSVG      scan.Kind = "html.svg"          // <svg> or <math>
	KindTemplate scan.Kind = "html.template"     // <template>, <noscript>, <xmp>, <plaintext> and others that parsers read differently
	KindElement  scan.Kind = "html.element"      // another element that is not on the allow-list
	KindAttr     scan.Kind = "html.attribute"    // another attribute that is not on the allow-list
	KindComment  scan.Kind = "html.comment"      // a comment that hides active content, or is none for some readers
	KindBroken   scan.Kind = "html.malformed"    // syntax that readers take differently, written anew
	KindCharset  scan.Kind = "html.charset"      // a charset in which markup can hide, an unknown one, or control characters
	KindFallback scan.Kind = "html.fallback"     // filtering was not enough: Detail says "tree" or "text"
	KindLimit    scan.Kind = "limit.html"        // beyond a limit, Detail says which; shown as text, or not inspected
	KindAMP      scan.Kind = "html.amp"          // an AMP part: HTML that has its own scripts
	KindFile     scan.Kind = "html.attachment"   // HTML, XHTML, SVG or MHTML as a file; Detail is the type
	KindHidden   scan.Kind = "html.hidden"       // HTML that only some readers see, as the message can be read in several ways
	KindCalendar scan.Kind = "html.calendar"     // HTML inside of a calendar entry
)

// A kind is an index into the counters of a document.
type kind uint8

const (
	kScript kind = iota
	kHandler
	kForm
	kFrame
	kObject
	kMedia
	kRefresh
	kMeta
	kBase
	kLinkHint
	kURL
	kCSS
	kRemote
	kTracker
	kSVG
	kTemplate
	kElement
	kAttr
	kComment
	kBroken
	kCharset
	kFallback
	kLimit
	kinds
	kNone
)

// names returns the names of the counters.
func names() [kinds]scan.Kind {
	return [kinds]scan.Kind{
		KindScript, KindHandler, KindForm, KindFrame, KindObject, KindMedia, KindRefresh, KindMeta, KindBase,
		KindLinkHint, KindURL, KindCSS, KindRemote, KindTracker, KindSVG, KindTemplate, KindElement, KindAttr,
		KindComment, KindBroken, KindCharset, KindFallback, KindLimit,
	}
}

// A tally counts by kind and keeps the first detail of each.
type tally struct {
	count  [kinds]int
	detail [kinds]string
}

// maxDetail bounds the octets of a Detail.
const maxDetail = 80

func (t *tally) add(k kind, detail []byte) {
	if k >= kinds {
		return
	}
	if t.count[k] == 0 {
		t.detail[k] = string(detail[:min(len(detail), maxDetail)])
	}
	t.count[k]++
}

func (t *tally) findings() []scan.Finding {
	var list []scan.Finding
	for k, name := range names() {
		if t.count[k] > 0 {
			list = append(list, scan.Finding{Kind: name, Detail: t.detail[k], Count: t.count[k]})
		}
	}
	return list
}
