package message

// The codes of defects. A rule may name any of them, so they never change. The comment behind each says what was seen;
// the table of tiers is in Tier.
const (
	// Limits: what lies beyond was not looked at.
	LimitFields     = "limit.fields"     // more header fields than Limits.Fields
	LimitHeader     = "limit.header"     // a header section, or all part headers together, beyond Limits.HeaderOctets
	LimitBody       = "limit.body"       // a body beyond Limits.BodyOctets
	LimitDepth      = "limit.depth"      // nesting beyond Limits.Depth
	LimitParts      = "limit.parts"      // more parts than Limits.Parts
	LimitParameters = "limit.parameters" // more parameters in one field than Limits.Parameters
	LimitDefects    = "limit.defects"    // more defects than are listed

	// Lines, anywhere in the message.
	LineBareCR = "line.bare-cr" // CR that is not followed by LF
	LineBareLF = "line.bare-lf" // LF without CR, in a message that also has CRLF
	LineNUL    = "line.nul"     // NUL
	LineLong   = "line.long"    // more than 998 octets (RFC 5322 Section 2.1.1)

	// Header fields, of the message and of its parts.
	HeaderMboxFrom     = "header.mbox-from"          // first line is the "From " of an mbox file
	HeaderUnended      = "header.unended"            // no empty line behind the header section, and no body
	Header8Bit         = "header.8bit"               // octets above 127 that are not UTF-8
	HeaderNUL          = "header.nul"                // NUL
	HeaderBareCR       = "header.bare-cr"            // CR that is not followed by LF
	HeaderNoColon      = "header.no-colon"           // the section ends in a line that is no field; it counts as body
	HeaderLeadingBlank = "header.leading-blank"      // the first line is a continuation; there is no header at all
	HeaderNameBlank    = "header.blank-before-colon" // "Name : value"
	HeaderNameInvalid  = "header.name-invalid"       // a name that is not RFC 5322 ftext, handed over by the MTA
	HeaderFoldBlank    = "header.fold.blank"         // a continuation line of blanks only (RFC 5322 Section 4.2)
	HeaderFoldMIME     = "header.fold.mime"          // a continuation line that reads as a MIME field
	HeaderFoldInvalid  = "header.fold.invalid"       // a value handed over with a line break that does not fold
	HeaderDuplicate    = "header.duplicate"          // a field of RFC 5322 Section 3.6 that must be single is not

	// Content-Type, Content-Transfer-Encoding and Content-Disposition.
	MIMEVersionMissing    = "mime.version.missing"    // MIME fields without MIME-Version
	MIMEFieldDuplicate    = "mime.field.duplicate"    // a MIME field twice with different values; the first counts
	MIMEFieldRepeated     = "mime.field.repeated"     // a MIME field twice with one value
	MIMEFieldFolded       = "mime.field.folded"       // a fold inside a token or a quoted string
	MIMEFieldComment      = "mime.field.comment"      // a comment (RFC 822 syntax) inside the value
	MIMETypeInvalid       = "mime.type.invalid"       // Content-Type is not type/subtype; text/plain counts
	MIMEParamInvalid      = "mime.param.invalid"      // a parameter against the syntax of RFC 2045 Section 5.1
	MIMEParamDuplicate    = "mime.param.duplicate"    // a parameter twice with different values; the first counts
	MIMEParamRepeated     = "mime.param.repeated"     // a parameter twice with one value
	MIMEParamExtended     = "mime.param.extended"     // a structural parameter in the syntax of RFC 2231
	MIMEParamEncodedWord  = "mime.param.encoded-word" // a structural parameter that is an encoded word
	MIMENameEncodedWord   = "mime.name.encoded-word"  // a file name that is an encoded word, against RFC 2047 Section 5
	MIMENameDiffers       = "mime.name.differs"       // filename and name are different
	MIMENameBoth          = "mime.name.both"          // plain and RFC 2231 form of a file name; the latter counts
	MIMEEncodingUnknown   = "mime.encoding.unknown"   // a Content-Transfer-Encoding that is not of RFC 2045
	MIMEEncodingEmpty     = "mime.encoding.empty"     // an empty Content-Transfer-Encoding
	MIMEEncodingFolded    = "mime.encoding.folded"    // a folded Content-Transfer-Encoding
	MIMEEncodingMultipart = "mime.encoding.multipart" // a multipart with an encoding (RFC 2045 Section 6.4)
	MIMEEncodingMessage   = "mime.encoding.message"   // a message/rfc822 with an encoding; it is not opened
	MIMEMessagePartial    = "mime.message.partial"    // message/partial: the content is in several mails
	MIMEMessageExternal   = "mime.message.external"   // message/external-body: the content is elsewhere

	// Boundaries and what lies between them.
	BoundaryMissing    = "mime.boundary.missing"  // a multipart without a boundary parameter, or an empty one
	BoundaryInvalid    = "mime.boundary.invalid"  // blanks, characters or a length that RFC 2046 does not have
	BoundaryLeaf       = "mime.boundary.leaf"     // a boundary parameter on a part that is no multipart
	BoundaryReused     = "mime.boundary.reused"   // the boundary of an enclosing multipart again
	BoundaryPrefix     = "mime.boundary.prefix"   // a boundary that begins with that of an enclosing multipart, or the reverse
	BoundaryAbsent     = "mime.boundary.absent"   // no delimiter line in the whole multipart
	BoundaryUnclosed   = "mime.boundary.unclosed" // no closing delimiter line
	BoundaryBlanks     = "mime.boundary.blanks"   // blanks behind a delimiter (RFC 2046 allows them)
	BoundaryGarbage    = "mime.boundary.garbage"  // a line that begins as a delimiter and goes on
	BoundaryIndented   = "mime.boundary.indented" // a delimiter behind blanks
	PreambleMIME       = "mime.preamble.field"    // a MIME field in a preamble
	EpilogueMIME       = "mime.epilogue.field"    // a MIME field in an epilogue
	EpilogueBoundary   = "mime.epilogue.boundary" // a delimiter behind the closing delimiter
	BodyMIME           = "mime.body.field"        // the body of a part begins with a MIME field
	MIMEMultipartEmpty = "mime.multipart.empty"   // a closed multipart without parts

	// Transfer encodings of leaves.
	Base64Junk     = "mime.base64.junk"     // an octet outside the alphabet
	Base64Padding  = "mime.base64.padding"  // data behind the padding
	Base64Length   = "mime.base64.length"   // an incomplete last quantum
	Base64Blank    = "mime.base64.blank"    // a blank inside a line
	QPEscape       = "mime.qp.escape"       // "=" that is no escape and no soft line break
	QPSoftBreak    = "mime.qp.soft-break"   // blanks between "=" and the end of the line
	QPLowerHex     = "mime.qp.lower-hex"    // hexadecimal digits in lower case
	InlineUuencode = "mime.inline.uuencode" // a uuencoded file inside text
	InlineYEnc     = "mime.inline.yenc"     // a yEnc file inside text
	InlineBinHex   = "mime.inline.binhex"   // a BinHex file inside text
)

// A Tier says how much a defect matters to somebody who must see what the recipient will see.
type Tier int

// The tiers of defects. The zero value is the one to be careful with.
const (
	Ambiguous  Tier = iota // two readers of the message may see different content
	Suspicious             // readers differ in detail; look at every reading
	Info                   // against the letter, and common
)

// Tier returns how much the defect matters. A code that is not in the table, and every limit, is Ambiguous.
func (d Defect) Tier() Tier {
	switch d.Code {
	case LineBareLF, LineLong, HeaderMboxFrom, HeaderUnended, Header8Bit, MIMEVersionMissing, MIMEFieldRepeated,
		MIMEParamRepeated, MIMENameEncodedWord, MIMENameBoth, BoundaryBlanks, QPLowerHex:
		return Info
	case HeaderFoldBlank, HeaderDuplicate, MIMEFieldFolded, MIMEFieldComment, MIMENameDiffers, MIMEEncodingMultipart,
		MIMEEncodingMessage, BoundaryUnclosed, MIMEMultipartEmpty, Base64Length, Base64Blank, QPEscape, QPSoftBreak,
		InlineUuencode, InlineYEnc, InlineBinHex:
		return Suspicious
	}
	return Ambiguous
}

// maxDefects bounds the list; a message with more of them needs no further argument.
const maxDefects = 500

// defects collects the defects of one message, each code once per section. A hostile message has the same one on every
// line, so a second time must cost little.
type defects struct {
	list []Defect
	seen map[defectKey]struct{}
	last defectKey
}

type defectKey struct{ code, section string }

// add records a defect.
func (d *defects) add(code, section, detail string) {
	if d.isNew(code, section) {
		d.list = append(d.list, Defect{Code: code, Section: section, Detail: detail})
	}
}

// addText records a defect that quotes text of the message.
func (d *defects) addText(code, section string, text []byte) {
	if d.isNew(code, section) {
		d.list = append(d.list, Defect{Code: code, Section: section, Detail: quote(trimEOL(text))})
	}
}

// isNew reports whether the defect is to be added to the list.
func (d *defects) isNew(code, section string) bool {
	key := defectKey{code, section}
	if key == d.last || len(d.list) > maxDefects {
		return false
	}
	d.last = key
	if _, again := d.seen[key]; again {
		return false
	}
	if len(d.list) == maxDefects {
		d.list = append(d.list, Defect{Code: LimitDefects, Detail: "more defects than are listed"})
		return false
	}
	if d.seen == nil {
		d.seen = make(map[defectKey]struct{})
	}
	d.seen[key] = struct{}{}
	return true
}

// maxDetail bounds the text of a message that a defect quotes.
const maxDetail = 120

// quote shortens text of the message for a detail.
func quote[T string | []byte](text T) string {
	if len(text) > maxDetail {
		return string(text[:maxDetail]) + "..."
	}
	return string(text)
}
