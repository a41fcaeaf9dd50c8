// Package reading shows what other readers could find in a message. The MIME tree of verify/message is one strict
// reading; mail programs differ from it wherever a message departs from the standards, and they open containers that are
// no MIME at all: uuencode, yEnc and BinHex inside of text, and TNEF (winmail.dat). Scanning the union of all readings
// finds what any of them would show.
//
// It decodes and decides nothing: a reading that no program would make costs time and is otherwise harmless.
//
// RFC 2045 to 2049 (MIME), RFC 1741 (BinHex 4.0), MS-OXTNEF (TNEF), POSIX uuencode, the yEnc draft 1.3.
package reading

// A How says by which reading a content came to light.
type How string

// The readings.
const (
	Base64     How = "base64"    // base64 that goes on behind padding, or that is started anew there
	Encoding   How = "encoding"  // the content under another of the encodings that the header can be understood to name
	Raw        How = "raw"       // a run of base64 lines, whatever stands around it
	Structure  How = "structure" // a part that other boundaries, other header fields or a tolerant splitter bring to light
	Nested     How = "message"   // a message that is encoded, or that is attached as a file
	Uuencode   How = "uuencode"  // a uuencoded file
	YEnc       How = "yenc"      // a yEnc file
	BinHex     How = "binhex"    // the data fork or the resource fork of a BinHex 4.0 file
	TNEF       How = "tnef"      // an attachment or a body inside of TNEF
	Embedded   How = "embedded"  // what is encoded behind MIME fields that stand in a text
	Quoted     How = "quoted"    // what stands behind MIME fields in a text as it is
	OutOfReach How = "limit"     // no content: Name says which of the Limits is exceeded, and other readings may be missing
)

// A Reading is one content that somebody could find in a message beside the strict reading of it.
type Reading struct {
	Section string // IMAP section of the part in which it was found
	How     How
	Name    string // file name that the container gives, decoded; "" if there is none
	Content []byte // decoded octets, not to be changed
	Depth   int    // 0 for what a program shows as a part of the message itself, 1 for what lies in one of its files, ...
	Damaged bool   // the container ended early or has a wrong checksum; Content is what could be decoded
	Known   bool   // the strict reading has this content too, but does not take it for HTML, as HTML says that others do
	HTML    bool   // some program would show it as HTML: by the fields in front of it, its name, or how it begins
}

// Limits bound what readings may cost. The zero value means the documented defaults.
type Limits struct {
	PartOctets int64 // octets of a part that are looked at, and of one reading; default 64 MiB
	Octets     int64 // octets of all readings together; default 256 MiB
	Readings   int   // readings of one message; default 500
	Depth      int   // containers and messages inside of each other; default 8
}
