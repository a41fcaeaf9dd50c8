// Package html takes out of HTML mail what acts on its own and changes nothing else. What is harmless stays as it is to
// the octet, so most newsletters come out unchanged and their DKIM signatures keep verifying.
//
// The filter does not try to understand bad HTML as a browser would. It writes a small language in which all readers
// agree: start tags of a strict form with elements and attributes of allow-lists, end tags, text without "<", comments
// that are harmless for whoever opens them, and the raw text of <style> and <title>. What already is of that language is
// copied, everything else is rewritten or dropped. Elements that switch the tokenizer or the insertion mode of the HTML
// parser (script, svg, math, select, template, frameset, plaintext, xmp, iframe, noembed, noframes, noscript, textarea)
// are not part of it, and therefore every HTML parser sees the tags that the filter saw.
//
// That claim is checked on every output by another implementation: the tokenizer of golang.org/x/net/html when nothing
// was changed and nothing is unusual, its tree parser in every other case, for readers with scripting and without (see
// verify). What does not pass is parsed and written anew ("tree"), and what does not pass then is shown as plain text
// ("text").
//
// The package refuses to follow a link, to load anything, to run anything, and to judge: findings are values.
//
// HTML Standard Sections 13.2.5 (tokenization) and 13.2.6 (tree construction), CSS Syntax Module Level 3, Encoding
// Standard, RFC 2557 (MHTML), RFC 5545 (calendars).
package html

import "assay/scan"

// Options say what Clean does beyond the level. The zero value is useful.
type Options struct {
	Forms  Forms  // what happens to forms
	Limits Limits // what one document may cost
}

// Forms says what happens to forms. The zero value is RemoveForms.
type Forms string

// What can happen to forms.
const (
	RemoveForms Forms = "remove" // the form and its fields go, labels and other content stay
	KeepForms   Forms = "keep"   // form, input and button stay if they send to http, https or mailto; select and textarea go
)

// Limits bound what one document may cost. The zero value means the documented defaults. All of them are counts, no
// clock is read: the same octets always give the same result. A document beyond a limit is never left as it is. It is
// shown as plain text and has the finding limit.html, as is one that grows by more than a quarter; beyond Octets only the
// beginning of that text is there.
type Limits struct {
	Octets int // octets of the document; default 16 MiB
	Tags   int // tags, attributes and comments; default 2,000,000
	Nodes  int // nodes that the tree parser may have to build, estimated; default 60,000
	Depth  int // open elements when nothing is ever closed by another; default 500, the tree parser has 512
	Text   int // octets of the text that a document is replaced with, and of one <plaintext>; default 1 MiB
	Links  int // links reported; default 2,000
}

func (l Limits) withDefaults() Limits {
	set := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	set(&l.Octets, 16<<20)
	set(&l.Tags, 2_000_000)
	set(&l.Nodes, 60_000)
	set(&l.Depth, 500)
	set(&l.Text, 1<<20)
	set(&l.Links, 2_000)
	return l
}

// A Fallback says how a document was made safe that the filter alone could not make safe.
type Fallback string

// The fallbacks.
const (
	NoFallback   Fallback = ""     // filtered
	TreeFallback Fallback = "tree" // parsed, written anew and filtered
	TextFallback Fallback = "text" // the text in <pre>
)

// A Result is a document and what was seen in it.
type Result struct {
	// Output is the safe document: the very octets of the input when nothing is Changed, else in the charset of the input
	// or in that of Charset. At level text it is plain text with LF line ends.
	Output   []byte
	Charset  string         // charset that has to be declared for Output: "utf-8", or "" when the declaration stays
	Changed  bool           // Output is not the input
	Findings []scan.Finding // what was seen, by kind; the level makes no difference. Section is ""
	Taken    []scan.Finding // what is missing in Output, by kind
	Links    []scan.Link    // what can be followed or is loaded, in the order of the document. Section is ""
	Fallback Fallback
}

// Clean makes one document safe. charset is the one that the MIME part declares, "" if it declares none. A document is
// read as the Encoding Standard does: byte order mark, then charset, then <meta>.
func Clean(src []byte, charset string, level scan.Level, opt Options) Result {
	c := cleaner{level: level, forms: opt.Forms, limits: opt.Limits.withDefaults(), declared: charset}
	return c.clean(src)
}
