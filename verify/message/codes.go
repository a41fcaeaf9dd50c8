package message

// A DefectDoc documents one code of defects.
type DefectDoc struct {
	Code string
	Tier Tier
	Doc  string // one line: what was seen
}

// Codes returns every code that a Defect can have, in the order of the documentation.
func Codes() []DefectDoc {
	docs := []DefectDoc{
		{Code: LimitFields, Doc: "more header fields than the limit; the rest was not looked at"},
		{Code: LimitHeader, Doc: "header fields, or those of all parts together, beyond the limit of octets; the rest was not looked at"},
		{Code: LimitBody, Doc: "a body beyond the limit; the rest was not looked at"},
		{Code: LimitDepth, Doc: "multiparts and messages nested beyond the limit; what is deeper counts as one part"},
		{Code: LimitParts, Doc: "more parts than the limit; the rest was not looked at"},
		{Code: LimitParameters, Doc: "more parameters in a MIME field than the limit; the rest was not looked at"},
		{Code: LimitDefects, Doc: "more defects than are listed"},
		{Code: LineBareCR, Doc: "CR that is not followed by LF, in the body"},
		{Code: LineBareLF, Doc: "lines that end in LF alone beside lines that end in CRLF"},
		{Code: LineNUL, Doc: "NUL in the body"},
		{Code: LineLong, Doc: "a line of more than 998 octets (RFC 5322 Section 2.1.1)"},
		{Code: HeaderMboxFrom, Doc: "the first line is the \"From \" of an mbox file"},
		{Code: HeaderUnended, Doc: "a header section without an empty line behind it, and without a body"},
		{Code: Header8Bit, Doc: "octets above 127 in a header field that are not UTF-8"},
		{Code: HeaderNUL, Doc: "NUL in a header field"},
		{Code: HeaderBareCR, Doc: "CR that is not followed by LF, in a header field"},
		{Code: HeaderNoColon, Doc: "a header section that ends in a line that is no field; the line counts as body"},
		{Code: HeaderLeadingBlank, Doc: "the first line is a continuation, so there is no header at all"},
		{Code: HeaderNameBlank, Doc: "a blank between the name of a field and its colon"},
		{Code: HeaderNameInvalid, Doc: "the name of a field has characters that RFC 5322 does not allow"},
		{Code: HeaderFoldBlank, Doc: "a continuation line of nothing but blanks (RFC 5322 Section 4.2)"},
		{Code: HeaderFoldMIME, Doc: "a continuation line that reads as a MIME field"},
		{Code: HeaderFoldInvalid, Doc: "a field with a line break that does not fold"},
		{Code: HeaderDuplicate, Doc: "a field that RFC 5322 Section 3.6 allows once is there several times"},
		{Code: MIMEVersionMissing, Doc: "MIME fields in a message without MIME-Version"},
		{Code: MIMEFieldDuplicate, Doc: "a MIME field twice with different values; the first counts"},
		{Code: MIMEFieldRepeated, Doc: "a MIME field twice with one value"},
		{Code: MIMEFieldFolded, Doc: "a fold inside a token or a quoted string"},
		{Code: MIMEFieldComment, Doc: "a comment inside of the value of a MIME field"},
		{Code: MIMEFieldName, Doc: "a field whose name is that of a MIME field to a reader that drops characters"},
		{Code: MIMETypeInvalid, Doc: "Content-Type is not type/subtype; text/plain counts"},
		{Code: MIMEParamInvalid, Doc: "a parameter against the syntax of RFC 2045 Section 5.1"},
		{Code: MIMEParamDuplicate, Doc: "a parameter twice with different values; the first counts"},
		{Code: MIMEParamRepeated, Doc: "a parameter twice with one value"},
		{Code: MIMEParamBlank, Doc: "blanks around the \"=\" or behind the value of a boundary parameter"},
		{Code: MIMEParamExtended, Doc: "a structural parameter in the syntax of RFC 2231"},
		{Code: MIMEParamEncodedWord, Doc: "a structural parameter that is an encoded word"},
		{Code: MIMENameEncodedWord, Doc: "a file name that is an encoded word, against RFC 2047 Section 5"},
		{Code: MIMENameDiffers, Doc: "filename and name are different"},
		{Code: MIMENameBoth, Doc: "plain and RFC 2231 form of a file name; the latter counts"},
		{Code: MIMEEncodingUnknown, Doc: "a Content-Transfer-Encoding that is not of RFC 2045"},
		{Code: MIMEEncodingEmpty, Doc: "an empty Content-Transfer-Encoding"},
		{Code: MIMEEncodingFolded, Doc: "a folded Content-Transfer-Encoding"},
		{Code: MIMEEncodingMultipart, Doc: "a multipart with an encoding (RFC 2045 Section 6.4)"},
		{Code: MIMEEncodingMessage, Doc: "a message/rfc822 with an encoding; it is not opened"},
		{Code: MIMEMessagePartial, Doc: "message/partial: the content is in several mails"},
		{Code: MIMEMessageExternal, Doc: "message/external-body: the content is elsewhere"},
		{Code: BoundaryMissing, Doc: "a multipart without a boundary parameter, or with an empty one"},
		{Code: BoundaryInvalid, Doc: "a boundary with blanks, or with characters or a length that RFC 2046 does not have"},
		{Code: BoundaryLeaf, Doc: "a boundary parameter on a part that is no multipart"},
		{Code: BoundaryReused, Doc: "the boundary of an enclosing multipart again"},
		{Code: BoundaryPrefix, Doc: "a boundary that begins with that of an enclosing multipart, or the reverse"},
		{Code: BoundaryAbsent, Doc: "no delimiter line in the whole multipart"},
		{Code: BoundaryUnclosed, Doc: "no closing delimiter line"},
		{Code: BoundaryBlanks, Doc: "blanks behind a delimiter (RFC 2046 allows them)"},
		{Code: BoundaryGarbage, Doc: "a line that begins as a delimiter and goes on"},
		{Code: BoundaryIndented, Doc: "a delimiter line that begins with blanks or NUL"},
		{Code: PreambleMIME, Doc: "a MIME field in a preamble"},
		{Code: EpilogueMIME, Doc: "a MIME field in an epilogue"},
		{Code: EpilogueBoundary, Doc: "a delimiter behind the closing delimiter"},
		{Code: BodyMIME, Doc: "the body of a part begins with a MIME field"},
		{Code: MIMEMultipartEmpty, Doc: "a closed multipart without parts"},
		{Code: Base64Junk, Doc: "an octet in base64 that is not of its alphabet"},
		{Code: Base64Padding, Doc: "data behind the padding of base64"},
		{Code: Base64Length, Doc: "base64 that ends in the middle of a quantum"},
		{Code: Base64Blank, Doc: "a blank inside of a line of base64"},
		{Code: QPEscape, Doc: "\"=\" in quoted-printable that is neither an escape nor a soft line break"},
		{Code: QPSoftBreak, Doc: "blanks between \"=\" and the end of a line of quoted-printable"},
		{Code: QPLowerHex, Doc: "quoted-printable with hexadecimal digits in lower case"},
		{Code: QP8Bit, Doc: "octets above 127 in quoted-printable that are not encoded"},
		{Code: InlineUuencode, Doc: "a uuencoded file inside text"},
		{Code: InlineYEnc, Doc: "a yEnc file inside text"},
		{Code: InlineBinHex, Doc: "a BinHex file inside text"},
	}
	for i := range docs {
		docs[i].Tier = Defect{Code: docs[i].Code}.Tier()
	}
	return docs
}
