package message

// The codes of defects. A rule may name any of them, so they never change. Codes says what each one means.
const (
	// Limits: what lies beyond was not looked at.
	LimitFields     = "limit.fields"
	LimitHeader     = "limit.header"
	LimitBody       = "limit.body"
	LimitDepth      = "limit.depth"
	LimitParts      = "limit.parts"
	LimitParameters = "limit.parameters"
	LimitDefects    = "limit.defects"

	// Lines, anywhere in the message.
	LineBareCR = "line.bare-cr"
	LineBareLF = "line.bare-lf"
	LineNUL    = "line.nul"
	LineLong   = "line.long"

	// Header fields, of the message and of its parts.
	HeaderMboxFrom     = "header.mbox-from"
	HeaderUnended      = "header.unended"
	Header8Bit         = "header.8bit"
	HeaderNUL          = "header.nul"
	HeaderBareCR       = "header.bare-cr"
	HeaderNoColon      = "header.no-colon"
	HeaderLeadingBlank = "header.leading-blank"
	HeaderNameBlank    = "header.blank-before-colon"
	HeaderNameInvalid  = "header.name-invalid"
	HeaderFoldBlank    = "header.fold.blank"
	HeaderFoldMIME     = "header.fold.mime"
	HeaderFoldInvalid  = "header.fold.invalid"
	HeaderDuplicate    = "header.duplicate"

	// Content-Type, Content-Transfer-Encoding and Content-Disposition.
	MIMEVersionMissing    = "mime.version.missing"
	MIMEFieldDuplicate    = "mime.field.duplicate"
	MIMEFieldRepeated     = "mime.field.repeated"
	MIMEFieldFolded       = "mime.field.folded"
	MIMEFieldComment      = "mime.field.comment"
	MIMEFieldName         = "mime.field.name"
	MIMETypeInvalid       = "mime.type.invalid"
	MIMEParamInvalid      = "mime.param.invalid"
	MIMEParamDuplicate    = "mime.param.duplicate"
	MIMEParamRepeated     = "mime.param.repeated"
	MIMEParamBlank        = "mime.param.blank"
	MIMEParamExtended     = "mime.param.extended"
	MIMEParamEncodedWord  = "mime.param.encoded-word"
	MIMENameEncodedWord   = "mime.name.encoded-word"
	MIMENameDiffers       = "mime.name.differs"
	MIMENameBoth          = "mime.name.both"
	MIMEEncodingUnknown   = "mime.encoding.unknown"
	MIMEEncodingEmpty     = "mime.encoding.empty"
	MIMEEncodingFolded    = "mime.encoding.folded"
	MIMEEncodingMultipart = "mime.encoding.multipart"
	MIMEEncodingMessage   = "mime.encoding.message"
	MIMEMessagePartial    = "mime.message.partial"
	MIMEMessageExternal   = "mime.message.external"

	// Boundaries and what lies between them.
	BoundaryMissing    = "mime.boundary.missing"
	BoundaryInvalid    = "mime.boundary.invalid"
	BoundaryLeaf       = "mime.boundary.leaf"
	BoundaryReused     = "mime.boundary.reused"
	BoundaryPrefix     = "mime.boundary.prefix"
	BoundaryAbsent     = "mime.boundary.absent"
	BoundaryUnclosed   = "mime.boundary.unclosed"
	BoundaryBlanks     = "mime.boundary.blanks"
	BoundaryGarbage    = "mime.boundary.garbage"
	BoundaryIndented   = "mime.boundary.indented"
	PreambleMIME       = "mime.preamble.field"
	EpilogueMIME       = "mime.epilogue.field"
	EpilogueBoundary   = "mime.epilogue.boundary"
	BodyMIME           = "mime.body.field"
	MIMEMultipartEmpty = "mime.multipart.empty"

	// Transfer encodings of leaves.
	Base64Junk     = "mime.base64.junk"
	Base64Padding  = "mime.base64.padding"
	Base64Length   = "mime.base64.length"
	Base64Blank    = "mime.base64.blank"
	QPEscape       = "mime.qp.escape"
	QPSoftBreak    = "mime.qp.soft-break"
	QPLowerHex     = "mime.qp.lower-hex"
	QP8Bit         = "mime.qp.8bit"
	InlineUuencode = "mime.inline.uuencode"
	InlineYEnc     = "mime.inline.yenc"
	InlineBinHex   = "mime.inline.binhex"
)

// A Tier says how much a defect matters to somebody who must see what the recipient will see.
type Tier int

// The tiers of defects. The zero value is the one to be careful with.
const (
	Ambiguous  Tier = iota // two readers of the message may see different content
	Suspicious             // readers differ in detail; look at every reading
	Info                   // against the letter, and common
)

// String returns the name of the tier as rules spell it.
func (t Tier) String() string {
	switch t {
	case Info:
		return "info"
	case Suspicious:
		return "suspicious"
	}
	return "ambiguous"
}

// Tier returns how much the defect matters. A code that is not in the table, and every limit, is Ambiguous.
func (d Defect) Tier() Tier {
	switch d.Code {
	case LineBareLF, LineLong, HeaderMboxFrom, HeaderUnended, Header8Bit, MIMEVersionMissing, MIMEFieldRepeated,
		MIMEParamRepeated, MIMENameEncodedWord, MIMENameBoth, BoundaryBlanks, QPLowerHex, QP8Bit:
		return Info
	case HeaderFoldBlank, HeaderDuplicate, MIMEFieldFolded, MIMEFieldComment, MIMEFieldName, MIMEParamBlank, MIMENameDiffers,
		MIMEEncodingMultipart, MIMEEncodingMessage, BoundaryUnclosed, MIMEMultipartEmpty, Base64Length, Base64Blank,
		QPEscape, QPSoftBreak, InlineUuencode, InlineYEnc, InlineBinHex:
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
