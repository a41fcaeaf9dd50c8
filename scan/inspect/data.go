package inspect

import (
	"bytes"
	"encoding/base64"
	"html"
	"net/url"
	"strings"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// maxDataURLs bounds the files that one text carries in addresses.
const maxDataURLs = 500

// DataURLs calls found with what each data: URL in a text holds (RFC 2397): a browser or a mail program saves it as a file.
// Pictures and fonts are passed over. It stops when found returns false, and reports whether there were too many of them.
func DataURLs(text []byte, found func(mediaType string, content []byte) bool) (tooMany bool) {
	count := 0
	for {
		at := indexFold(text, "data:")
		if at < 0 {
			return false
		}
		quote := quoteBefore(text[:at])
		text = text[at+len("data:"):]
		head, ok := headOf(text, quote)
		if !ok {
			continue
		}
		rest := text[len(head)+1:]
		end := lengthOfURL(rest, quote)
		words := strings.ToLower(string(bytes.Join(bytes.Fields(head), nil)))
		content := dataOf(rest[:end], strings.HasSuffix(words, ";base64"))
		text = rest
		if len(content) == 0 || isPageData(content) {
			continue
		}
		if count++; count > maxDataURLs {
			return true
		}
		mediaType, _, _ := strings.Cut(words, ";")
		if !found(mediaType, content) {
			return false
		}
		text = rest[end:]
	}
}

// isPageData reports whether a content is a picture or a font, of which pages carry many.
func isPageData(content []byte) bool {
	for _, magic := range []string{"wOFF", "wOF2", "OTTO", "true", "\x00\x01\x00\x00", "ttcf"} {
		if bytes.HasPrefix(content, []byte(magic)) {
			return true
		}
	}
	sniffed := attach.Sniff(content[:min(len(content), attach.Window)])
	return strings.HasPrefix(sniffed, "image/") && sniffed != "image/svg+xml" && len(content) < maxPicture
}

// maxPicture is from where on a picture is looked at like a file of its own.
const maxPicture = 256 << 10

// indexFold is where a word of lower-case letters begins in text, in either case; -1 if it is not there.
func indexFold(text []byte, word string) int {
	for at := 0; ; {
		n := bytes.IndexByte(text[at:], ':')
		if n < 0 {
			return -1
		}
		at += n + 1
		if at >= len(word) && strings.EqualFold(string(text[at-len(word):at]), word) {
			return at - len(word)
		}
	}
}

// headOf returns the media type with which the rest of an address begins, up to the comma. Without a quotation mark in front
// of it the word may as well be one of a script.
func headOf(text []byte, quote string) (head []byte, ok bool) {
	const longest, longestQuoted = 200, 4 << 10
	if quote != "" {
		head, _, ok = bytes.Cut(text[:min(len(text), longestQuoted)], []byte(","))
		return head, ok && !bytes.Contains(head, []byte(quote))
	}
	head, _, ok = bytes.Cut(text[:min(len(text), longest)], []byte(","))
	return head, ok && !bytes.ContainsAny(head, "<>{}()\r\n")
}

// quoteBefore returns the quotation mark that stands in front of an address, "" if there is none.
func quoteBefore(text []byte) string {
	text = bytes.TrimRight(text[max(0, len(text)-20):], " \t\r\n\f")
	if n := len(text); n > 0 && (text[n-1] == '"' || text[n-1] == '\'') {
		return string(text[n-1:])
	}
	return ""
}

// lengthOfURL is how far an address goes: to the quotation mark in front of it, unless another one begins before that, or to
// a quote, an angle bracket, a parenthesis or a blank. Browsers drop line ends and tabs, and from base64 blanks as well.
func lengthOfURL(text []byte, quote string) int {
	if quote != "" {
		n := bytes.IndexByte(text, quote[0])
		if n >= 0 && indexFold(text[:n], "data:") < 0 {
			return n
		}
	}
	n := bytes.IndexAny(text, "\"'<>`) \x00")
	if n < 0 {
		return len(text)
	}
	return n
}

// dataOf decodes the data of an address.
func dataOf(text []byte, isBase64 bool) []byte {
	plain := string(bytes.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == '\t' {
			return -1
		}
		return r
	}, text))
	if strings.Contains(plain, "%") {
		if unescaped, err := url.PathUnescape(plain); err == nil {
			plain = unescaped
		}
	}
	if !isBase64 {
		return []byte(plain)
	}
	return decodeBase64([]byte(plain))
}

// decodeBase64 decodes what is there of base64, in either alphabet and with or without padding, and passes over all else.
func decodeBase64(text []byte) []byte {
	digits := make([]byte, 0, len(text))
	for _, c := range text {
		switch {
		case c == '-':
			c = '+'
		case c == '_':
			c = '/'
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			digits = append(digits, c)
		}
	}
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, _ := base64.RawStdEncoding.Decode(out, digits)
	return out[:n]
}

// enclosed yields a file that a text carries, and returns what keeps that from being done.
func enclosed(f *container.File, name, mediaType string, content []byte, yield func(container.Member) bool) (more bool, err error) {
	if err := f.Budget.Member(); err != nil {
		return false, err
	}
	if err := f.Budget.Spend(int64(len(content))); err != nil {
		return false, err
	}
	return yield(container.Member{Name: name, Declared: mediaType, Content: content}), nil
}

// dataFiles yields what the data: URLs of a page hold, and makes a verdict worse if not all could be looked at.
func dataFiles(f *container.File, v container.Verdict, yield func(container.Member) bool) container.Verdict {
	var failed error
	text := f.Content
	if bytes.IndexByte(text, '&') >= 0 { // references to characters in an attribute
		text = []byte(html.UnescapeString(string(text)))
	}
	tooMany := DataURLs(text, func(mediaType string, content []byte) (more bool) {
		more, failed = enclosed(f, "data", mediaType, content, yield)
		return more
	})
	switch {
	case v.State != scan.Inspected:
	case failed != nil:
		v.State, v.Method = scan.Uninspectable, failed.Error()
	case tooMany:
		v.State, v.Method = scan.Uninspectable, "too many files in addresses"
	}
	return v
}
