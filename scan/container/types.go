// Package container is the language that what opens files speaks with what reads one format: archives, documents, disk
// images, encrypted files. A Reader knows one family of formats and nothing of nesting; the walker in scan/inspect asks it,
// identifies what it yields and goes on with that.
//
// Every Reader works on octets in memory, in a process that has no files and no network, and may be killed at any moment.
// It is written for hostile input all the same: it asks the Budget before it allocates, loops or decompresses.
package container

import "assay/scan"

// A File is one file to be read.
type File struct {
	Name      string   // as a person sees it, "" if it has none
	Extension string   // of Name, lower case, without the dot
	Type      string   // media type by content, as scan/attach tells it
	Content   []byte   // all of it; not to be changed
	Passwords []string // candidates, the likeliest first; tried only to read, never shown
	Budget    *Budget
}

// A Reader reads the files of one family of formats. It is called from several goroutines, for different files.
type Reader interface {
	// Reads reports whether the file is one of this Reader's, by its content; the name alone decides only for what has no
	// magic, such as a middle volume of a split archive. Several Readers may claim the same file (a PNG picture that is a ZIP
	// file too); all of them are asked.
	Reads(f *File) bool
	// Read looks into the file. It yields what is inside, in the order of the file, and stops when yield returns false.
	// The error of a limit is part of the Verdict. It never panics on input.
	Read(f *File, yield func(Member) bool) Verdict
}

// A Member is one thing inside of a file: a member of an archive, an embedded object, an attached file, the plain text of
// something encrypted. Where programs would see different contents, each is a Member.
type Member struct {
	Name     string // as the container has it, with "/" between folders; "" if it has none
	Declared string // media type that the container claims, "" if none
	Content  []byte // decoded; nil if it cannot be read, and then State is not ""
	Size     int64  // that the container claims, for a Member without Content
	// State is "" for a Member with Content, which the walker looks into; scan.Encrypted or scan.Uninspectable otherwise.
	State  scan.State
	Class  string // of an encrypted Member
	Method string // how it is encrypted, or why it cannot be inspected
	Signs  []Sign // known already, such as OpenedPassword
	// Plain says that Content is the file itself in another form (decompressed, decrypted) rather than something in it.
	Plain bool
}

// A Verdict is what a Reader says about the file as a whole.
type Verdict struct {
	// State is scan.Inspected if everything in the file was read or yielded. For an archive whose members are encrypted it is
	// scan.Encrypted, also if that goes only for some. The zero value counts as scan.Uninspectable.
	State  scan.State
	Class  string // how it is encrypted, also if it was opened all the same
	Method string // how it is encrypted, or why it could not be read
	Type   string // a more exact media type, "" to leave it
	Signs  []Sign
	Links  []Link
}

// A Sign is something odd or active that a Reader saw.
type Sign struct {
	Trait  scan.Trait
	Detail string // for people: where, and what; may quote the file
	Count  int    // 0 counts as 1
}

// A Link is an address that a reader can follow, or that a program loads.
type Link struct {
	URL, Text string
	Source    scan.Source
}

// Limited returns the Verdict on a file that a limit or an error has kept from being read.
func Limited(err error, signs ...Sign) Verdict {
	return Verdict{State: scan.Uninspectable, Method: err.Error(), Signs: signs}
}
