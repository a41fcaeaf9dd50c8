package message

import (
	"bytes"
	"slices"
	"strings"
)

// Content-Transfer-Encodings (RFC 2045 Section 6).
const (
	encoding7Bit   = "7bit"
	encoding8Bit   = "8bit"
	encodingBinary = "binary"
	encodingQP     = "quoted-printable"
	encodingBase64 = "base64"
)

func knownEncoding(name string) bool {
	switch name {
	case encoding7Bit, encoding8Bit, encodingBinary, encodingQP, encodingBase64:
		return true
	}
	return false
}

// Media types with a meaning for the structure of a message.
const (
	typeText   = "text/plain"
	typeRFC822 = "message/rfc822"
)

// describe fills in what the header of p says about its content. fallback is the media type of a part that names none.
func (d *defects) describe(p *Part, fallback string, parameters int) {
	p.MediaType, p.Encoding = fallback, encoding7Bit
	var ctype, encoding, disposition *Field
	version := false
	for i := range p.Header {
		f := &p.Header[i]
		switch {
		case len(f.Name) < 12 || f.Name[0]|0x20 != 'c' && f.Name[0]|0x20 != 'm':
		case sameName(f.Name, "Content-Type"):
			d.single(&ctype, f, p.Section)
		case sameName(f.Name, "Content-Transfer-Encoding"):
			d.single(&encoding, f, p.Section)
		case sameName(f.Name, "Content-Disposition"):
			d.single(&disposition, f, p.Section)
		case sameName(f.Name, "MIME-Version"):
			version = true
		case looksLikeMIMEName(f.Name) && !isPlainName(f.Name):
			d.add(MIMEFieldName, p.Section, quote(f.Name))
		}
	}
	if ctype != nil {
		d.describeType(p, ctype, parameters)
	}
	if encoding != nil {
		d.describeEncoding(p, encoding)
	}
	d.describeNames(p, disposition, parameters)
	if p.Parent == nil && !version && (ctype != nil || encoding != nil) {
		d.add(MIMEVersionMissing, p.Section, "MIME fields without MIME-Version")
	}
}

// isPlainName reports whether the name of a field is made of what all registered names are made of.
func isPlainName(name string) bool {
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && name[i] != '-' {
			return false
		}
	}
	return true
}

// looksLikeMIMEName reports whether a name begins as that of a MIME field, whatever its case.
func looksLikeMIMEName(name string) bool {
	const prefix = "content-"
	return len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// single keeps the first field of a kind; a second one is a defect. A third one is not compared any more.
func (d *defects) single(first **Field, f *Field, section string) {
	switch {
	case *first == nil:
		*first = f
	case f.Nth == 2 && strings.TrimSpace(unfold(f.Value())) == strings.TrimSpace(unfold((*first).Value())):
		d.add(MIMEFieldRepeated, section, quote(f.Name))
	default:
		d.add(MIMEFieldDuplicate, section, quote(f.Name))
	}
}

// structured reads the value of a MIME field and records the defects of its form.
func (d *defects) structured(f *Field, slash bool, section string, parameters int) structured {
	value := f.Value()
	s := parseStructured(unfold(value), slash, parameters)
	if foldsInside(value) {
		d.add(MIMEFieldFolded, section, quote(f.Name))
	}
	if s.comment {
		d.add(MIMEFieldComment, section, quote(f.Name))
	}
	if s.garbled || s.invalid {
		d.addText(MIMEParamInvalid, section, f.Raw)
	}
	if s.tooMany {
		d.add(LimitParameters, section, quote(f.Name))
	}
	return s
}

func (d *defects) describeType(p *Part, f *Field, parameters int) {
	s := d.structured(f, true, p.Section, parameters)
	if s.value == "" {
		d.addText(MIMETypeInvalid, p.Section, f.Raw)
		p.MediaType = typeText // RFC 2045 Section 5.2
	} else {
		p.MediaType = s.value
	}
	p.Params = d.resolve(s.params, p.Section)
}

func (d *defects) describeEncoding(p *Part, f *Field) {
	s := d.structured(f, false, p.Section, 1)
	if bytes.IndexByte(f.Value(), '\n') >= 0 {
		d.add(MIMEEncodingFolded, p.Section, quote(s.value))
	}
	switch {
	case s.value == "":
		d.addText(MIMEEncodingEmpty, p.Section, f.Raw)
	case !knownEncoding(s.value):
		d.add(MIMEEncodingUnknown, p.Section, quote(s.value))
		p.Encoding = s.value
	default:
		p.Encoding = s.value
	}
}

// describeNames fills in the disposition and the name of the file.
func (d *defects) describeNames(p *Part, disposition *Field, parameters int) {
	name := p.Params["name"]
	if disposition != nil {
		s := d.structured(disposition, false, p.Section, parameters)
		p.Disposition = s.value
		p.Filename = d.resolve(s.params, p.Section)["filename"]
	}
	switch {
	case p.Filename == "":
		p.Filename = name
	case name != "" && name != p.Filename:
		d.add(MIMENameDiffers, p.Section, quote(name)+" and "+quote(p.Filename))
	}
}

// resolve puts parameters together: the first of two with one name counts, continuations are joined, RFC 2231 and
// encoded words are decoded.
func (d *defects) resolve(params []parameter, section string) map[string]string {
	if len(params) == 0 {
		return nil
	}
	out := make(map[string]string, len(params))
	var rfc2231 []parameter
	for _, p := range params {
		if p.extended || p.index >= 0 {
			rfc2231 = append(rfc2231, p)
			continue
		}
		value := p.value
		if p.blank && p.name == "boundary" {
			d.add(MIMEParamBlank, section, quote(p.name))
		}
		if strings.Contains(value, "=?") {
			value = d.encodedWord(p.name, value, section)
		}
		if isFileName(p.name) {
			value = strings.ToValidUTF8(value, "\uFFFD")
		}
		if first, again := out[p.name]; again {
			d.repeated(p.name, first == value, section)
			continue
		}
		out[p.name] = value
	}
	if rfc2231 != nil {
		d.resolveExtended(out, rfc2231, section)
	}
	return out
}

func (d *defects) repeated(name string, same bool, section string) {
	if same {
		d.add(MIMEParamRepeated, section, quote(name))
	} else {
		d.add(MIMEParamDuplicate, section, quote(name))
	}
}

// encodedWord decodes a parameter that is made of encoded words. RFC 2047 Section 5 forbids them; mail programs decode
// them in names of files, and nobody should in anything else.
func (d *defects) encodedWord(name, value, section string) string {
	text, found := decodeWords(value)
	switch {
	case !found:
	case isFileName(name):
		d.add(MIMENameEncodedWord, section, quote(value))
		return text
	case isStructural(name):
		d.add(MIMEParamEncodedWord, section, quote(name))
	}
	return value
}

func isFileName(name string) bool { return name == "name" || name == "filename" }

// isStructural reports whether readers of a message depend on a parameter to find or to check its content.
func isStructural(name string) bool {
	switch name {
	case "boundary", "charset", "protocol", "micalg", "smime-type":
		return true
	}
	return false
}

// resolveExtended adds the parameters of RFC 2231 to out. Beside a plain parameter of the same name the extended one
// counts for names of files, for which the plain one is the fallback, and the plain one for everything else.
func (d *defects) resolveExtended(out map[string]string, params []parameter, section string) {
	slices.SortStableFunc(params, func(a, b parameter) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return a.index - b.index // "name*" before "name*0"
	})
	for len(params) > 0 {
		n := 1
		for n < len(params) && params[n].name == params[0].name {
			n++
		}
		name, value := params[0].name, d.join(params[:n], section)
		params = params[n:]
		if isStructural(name) {
			d.add(MIMEParamExtended, section, quote(name))
		}
		if _, plain := out[name]; !plain {
			out[name] = value
		} else if isFileName(name) {
			d.add(MIMENameBoth, section, quote(name))
			out[name] = value
		}
	}
}

// join puts the pieces of one parameter together, which are sorted by index.
func (d *defects) join(pieces []parameter, section string) string {
	if pieces[0].index < 0 {
		if len(pieces) > 1 {
			d.repeated(pieces[0].name, false, section)
		}
		pieces = pieces[:1]
	}
	var text []byte
	charset := ""
	for i, p := range pieces {
		if p.index >= 0 && p.index != i {
			d.add(MIMEParamInvalid, section, quote(p.name)) // a piece is missing or there twice
			break
		}
		value := p.value
		if p.extended && i == 0 {
			var rest string
			var found bool
			if charset, rest, found = strings.Cut(value, "'"); found {
				if _, value, found = strings.Cut(rest, "'"); !found {
					value = rest
				}
			} else {
				charset = ""
			}
		}
		if p.extended {
			text = appendUnescaped(text, value)
		} else {
			text = append(text, value...)
		}
	}
	if charset == "" && !isFileName(pieces[0].name) {
		return string(text)
	}
	return toUTF8(text, charset)
}

// appendUnescaped appends s with its percent encoding undone (RFC 2231 Section 4).
func appendUnescaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			dst = append(dst, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		dst = append(dst, s[i])
	}
	return dst
}
