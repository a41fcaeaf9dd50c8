package message

// An Edit replaces one part of a message. Every octet outside of edited parts is copied as it was received, and in an
// edited part every header field that the edit does not name.
type Edit struct {
	Part *Part // of the message that is rewritten: a leaf, or a multipart that is replaced as a whole
	// MediaType is the new media type, "" to keep the Content-Type field as it is. A text type is written with
	// charset=utf-8, so Content then is UTF-8.
	MediaType string
	// Replace makes another thing of the part: its Content-Disposition, Content-ID, Content-Description and file names go,
	// as when an attachment becomes a notice. Otherwise the part stays what it is, and only its content changes.
	Replace bool
	// Content is the new content before transfer encoding, which the rewriter chooses.
	Content []byte
}

// A FieldChange is one change of the top-level header that goes with a rewritten body.
type FieldChange struct {
	Name  string
	Nth   int    // occurrence among the fields of that name; 0 adds a field
	Value string // new value, folded with LF; "" removes the field
}
