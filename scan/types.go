// Package scan looks inside a message: what is in there, and how could it be made safe? A scanner reports what it saw
// as Findings, Links and Objects and proposes Remedies; it has no severity and decides nothing.
package scan

import (
	"cmp"
	"context"
	"slices"

	"assay/verify/message"
)

// A Kind is the stable dotted name of a class of findings: "html.script", "attachment.encrypted", "limit.archive".
type Kind string

// A Finding is one observation about the content of a message. What it means is for the rules to say.
type Finding struct {
	Kind    Kind   // what was seen
	Section string // IMAP section of the part, "" for the whole message
	Detail  string // for people; may quote the message, so it is escaped wherever it is shown
	Count   int    // how often it was seen in that part, at least 1
}

// A Link is an address that a reader can follow, or that a mail client loads.
type Link struct {
	Section string // IMAP section of the part
	URL     string // as written, blanks and line ends removed
	Text    string // what the reader sees in its place, blanks collapsed; "" when nothing is shown
	Source  Source // where it was found
}

// A Source says where a Link was found.
type Source string

// The sources of links.
const (
	FromText   Source = "text"   // written in plain text
	FromAnchor Source = "anchor" // <a href> and <area href>
	FromForm   Source = "form"   // where a form would be sent
	FromRemote Source = "remote" // loaded without a click: images, style sheets, fonts
)

// A State says how much of an object could be looked at. The zero value is Uninspectable: what nobody looked at is never
// called clean.
type State string

// The states of an object.
const (
	Inspected     State = "inspected"     // read in full
	Encrypted     State = "encrypted"     // cannot be read without a key that Assay does not have
	Uninspectable State = "uninspectable" // a limit, a broken or unknown format, a volume of a split archive
	Bad           State = "bad"           // a virus scanner calls it malicious
)

// An Object is one file that a message carries: an attachment, or what was found inside of one.
type Object struct {
	Path       string    // section and names from the outside to the inside: "2", "2/a.zip", "2/a.zip/b.docx"
	Section    string    // IMAP section of the part that carries it
	Depth      int       // 0 for an attachment, 1 for a member of an archive, ...
	Name       string    // file name a person sees, decoded, without tricks; "" if there is none
	Names      []string  // every name that a mail client could show or save it under, tricks removed, without repetitions
	Extension  string    // of Name, lower case, without the dot; "" if there is none
	Declared   string    // media type that the message or the container claims, lower case
	Type       string    // media type by content, "application/octet-stream" when unknown
	Size       int64     // octets, decoded
	SHA256     string    // of the decoded octets, lower-case hex
	Inline     bool      // shown as a part of the text: an image, or text without a file name
	State      State     // "" is treated as Uninspectable
	Class      string    // how it is encrypted: one of the Class constants; "" if it never was
	Method     string    // how it is encrypted, why it cannot be inspected, or the name of the malware, in words: "ZipCrypto"
	Traits     []Trait   // what is odd or active about it, in alphabetical order, without repetitions
	Findings   []Finding // the traits and states with where they come from: Kind is "attachment." and the trait
	Compressed bool      // it was found inside of an archive
}

// The classes of encryption. An object that was opened all the same keeps its class; its state is Inspected then.
const (
	ClassArchive  = "archive"  // ZIP, 7z, RAR, ARJ
	ClassDocument = "document" // Office, OpenDocument, EPUB
	ClassPDF      = "pdf"
	ClassOpenPGP  = "openpgp"
	ClassSMIME    = "smime" // CMS of any packaging
	ClassDisk     = "disk"  // LUKS and the like
	ClassOther    = "other" // age, openssl enc, password stores, self-decrypting HTML
)

// A Trait is a stable word for something about an object that rules ask for.
type Trait string

// Traits of names and types. Packages that look deeper add their own.
const (
	DoubleExtension Trait = "double-extension" // invoice.pdf.exe
	RightToLeft     Trait = "right-to-left"    // a control character reverses a part of the name
	HiddenExtension Trait = "hidden-extension" // the extension is pushed out of sight or cut off by blanks, dots or NUL
	TypeMismatch    Trait = "type-mismatch"    // the content is of another type than the name or the message says
	NamesDiffer     Trait = "names-differ"     // clients would show different names
	Executable      Trait = "executable"       // runs when it is opened: programs, scripts, shortcuts, installers
	HTMLDocument    Trait = "html-document"    // HTML, XHTML, SVG or MHTML sent as a file
	Archive         Trait = "archive"          // a container of files
	DiskImage       Trait = "disk-image"       // ISO, IMG, VHD
)

// Traits of contents. Those that Active names act when the file is opened, or one click later.
const (
	Macros         Trait = "macros"          // a VBA project, also in PowerPoint's compressed storage
	XLMMacros      Trait = "xlm-macros"      // Excel 4.0 macro sheets
	DDE            Trait = "dde"             // a field or formula that starts a program by Dynamic Data Exchange
	RemoteTemplate Trait = "remote-template" // a template that is loaded from elsewhere
	RemoteObject   Trait = "remote-object"   // an object, picture or part that is loaded from elsewhere
	EmbeddedObject Trait = "embedded-object" // an OLE object or package inside of a document
	EmbeddedFile   Trait = "embedded-file"   // a file attached to a PDF
	ActiveX        Trait = "activex"         // an ActiveX control
	JavaScript     Trait = "javascript"      // in a PDF
	OpenAction     Trait = "open-action"     // a PDF acts when it is opened or closed, or a page is shown
	Launch         Trait = "launch"          // a PDF, a click in a presentation or an alarm of a calendar starts a program
	SubmitForm     Trait = "submit-form"     // a PDF sends what is typed in
	RemoteGoTo     Trait = "remote-goto"     // a PDF leads into another file
	RichMedia      Trait = "rich-media"      // Flash, sound, film or 3D in a PDF
	XFA            Trait = "xfa"             // a form in PDF that brings a language of its own
	ActiveHTML     Trait = "active-html"     // HTML, SVG, MHTML or a calendar with script, forms, frames or the like
	SelfDecrypting Trait = "self-decrypting" // HTML whose script decrypts the page
	Ambiguous      Trait = "ambiguous"       // programs would see different contents in it
	Polyglot       Trait = "polyglot"        // it is of two formats, or one is hidden behind another
	SplitVolume    Trait = "split-volume"    // one volume of an archive in several files
	HighEntropy    Trait = "high-entropy"    // looks like random numbers and has no known format
	Bomb           Trait = "bomb"            // made to exhaust what opens it
	OpenedEmpty    Trait = "opened-empty"    // encrypted, and opens with an empty password: anybody reads it
	OpenedDefault  Trait = "opened-default"  // encrypted, and opens with the password that Office tries by itself
	OpenedPassword Trait = "opened-password" // encrypted, and one of the candidate passwords has opened it
	OpenedKey      Trait = "opened-key"      // encrypted, and a key of the gateway has opened it
	Damaged        Trait = "damaged"         // broken, cut off, or with a wrong checksum
)

// Active reports whether a file with this trait acts by itself, when it is opened or one click later.
func (t Trait) Active() bool {
	switch t {
	case Macros, XLMMacros, DDE, RemoteTemplate, RemoteObject, EmbeddedObject, ActiveX, JavaScript, OpenAction, Launch, SubmitForm,
		RichMedia, XFA, ActiveHTML, SelfDecrypting:
		return true
	}
	return false
}

// A Level says how much is taken out of HTML. The zero value is Active.
type Level string

// The levels, from nothing to everything.
const (
	Off    Level = "off"    // nothing is changed
	Active Level = "active" // whatever acts on its own: scripts, handlers, forms, frames, objects
	Remote Level = "remote" // Active, and whatever is loaded without a click
	Text   Level = "text"   // the HTML is replaced by its text
)

// A Remedy is the edit that would make one part of a message safe. It is made only if a rule asks.
type Remedy struct {
	Section string
	Signed  bool // the part lies under a signature, or inside of encryption; it is edited only if a rule says so in words
	// Edit returns the edit for a level, and what it takes out by kind. ok is false when the level changes nothing. It may
	// read the message again; it is called at most once per message, before the message is closed.
	Edit func(level Level) (edit message.Edit, taken []Finding, ok bool)
}

// A Report is what a scanner saw in one message.
type Report struct {
	Findings []Finding
	Links    []Link
	Objects  []Object
	Remedies []Remedy
	Virus    Virus
}

// A Virus is what the virus scanners say about a message. The zero value says that none was asked.
type Virus struct {
	State VirusState
	Names []string // of the malware, as the scanners call it, in alphabetical order, without repetitions
	Error string   // why there is no verdict, or none about everything; "" otherwise
}

// A VirusState sums up what virus scanners say. The zero value is VirusOff.
type VirusState string

// The states, from best to worst; the worst of a message counts.
const (
	VirusOff   VirusState = ""      // no scanner is configured
	VirusClean VirusState = "clean" // everything was scanned and nothing found
	VirusError VirusState = "error" // no scanner has answered about everything; nothing was found in the rest
	VirusFound VirusState = "found" // something is malicious, whatever else happened
)

// Add appends what another scanner saw.
func (r *Report) Add(more Report) {
	r.Findings = append(r.Findings, more.Findings...)
	r.Links = append(r.Links, more.Links...)
	r.Objects = append(r.Objects, more.Objects...)
	r.Remedies = append(r.Remedies, more.Remedies...)
	r.Virus.add(more.Virus)
}

// Unscanned returns the classes of what nobody could look into, in alphabetical order: the class of encryption, ClassOther for
// one that has no name, and "uninspectable".
func (r *Report) Unscanned() []string {
	known := []string{ClassArchive, ClassDocument, ClassPDF, ClassOpenPGP, ClassSMIME, ClassDisk}
	var classes []string
	for i := range r.Objects {
		o, class := &r.Objects[i], ClassOther
		switch {
		case o.State == Uninspectable || o.State == "":
			class = string(Uninspectable)
		case o.State != Encrypted:
			continue
		case slices.Contains(known, o.Class):
			class = o.Class
		}
		classes = append(classes, class)
	}
	slices.Sort(classes)
	return slices.Compact(classes)
}

// add takes the worse of two states, and all names.
func (v *Virus) add(more Virus) {
	rank := func(s VirusState) int {
		return slices.Index([]VirusState{VirusOff, VirusClean, VirusError, VirusFound}, s)
	}
	if rank(more.State) > rank(v.State) {
		v.State = more.State
	}
	v.Names = append(v.Names, more.Names...)
	slices.Sort(v.Names)
	v.Names = slices.Compact(v.Names)
	v.Error = cmp.Or(v.Error, more.Error)
}

// A Scanner inspects one aspect of a message. Scan is called once per message, from several goroutines for different
// messages. It reports what it cannot finish as a finding; it never returns an error and never panics on input.
type Scanner interface {
	Scan(ctx context.Context, m *message.Message) Report
}
