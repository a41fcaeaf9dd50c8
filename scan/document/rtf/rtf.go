// Package rtf reads Rich Text Format (Microsoft, Rich Text Format Specification 1.9.1) as Word reads it: groups, control
// words and destinations, tolerantly. It finds embedded and linked objects, templates and fields, and yields what is
// embedded. It shows nothing: the text is for others. Its Fields serve for other formats of Word as well.
package rtf

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"assay/scan"
	"assay/scan/container"
)

// Reader reads Rich Text Format.
type Reader struct{}

// Reads implements container.Reader. Word asks for no more than the first four octets of the mark.
func (Reader) Reads(f *container.File) bool {
	head := bytes.TrimLeft(f.Content[:min(len(f.Content), 1024)], " \t\r\n\x00\xef\xbb\xbf")
	return len(head) >= 4 && strings.EqualFold(string(head[:4]), `{\rt`)
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	r := reader{src: f.Content, budget: f.Budget, yield: yield, state: group{skip: 1}}
	err := r.run()
	r.fields.Close()
	for _, s := range r.fields.Signs {
		r.sign(s.Trait, s.Detail)
	}
	v := container.Verdict{State: scan.Inspected, Signs: r.signs, Links: append(r.links, r.fields.Links...)}
	switch {
	case err != nil:
		v.State, v.Method = scan.Uninspectable, err.Error()
	case r.stopped:
		v.State, v.Method = scan.Uninspectable, "not read to the end"
	case r.wrong != "":
		v.State, v.Method = scan.Uninspectable, r.wrong
	}
	return v
}

// A destination is where the text of a group goes to.
type destination int

const (
	body     destination = iota
	ignored              // a destination that does not matter
	objData              // hexadecimal digits of an object
	picture              // hexadecimal digits of a picture
	blob                 // hexadecimal digits of something else
	template             // name of the template
	code                 // code of a field
	result               // result of a field
	class                // name of the class of an object
	source               // name of the source of data for mail merge
)

// maxGroups bounds how deep groups may nest.
const maxGroups = 10000

// A group is the state that a group inherits, and that ends with it.
type group struct {
	to      destination
	skip    int  // characters that stand for one in Unicode (\ucN)
	star    bool // \* has been read
	begun   bool // something stood in the group before
	field   bool // \field has been read in it
	codes   bool // it is the code of a field: \fldinst
	collect bool // it is the group whose end ends the collection
	foreign bool // it is a destination of its own inside of one with digits
	hex     *hexData
}

// A reader reads one file.
type reader struct {
	src     []byte
	at      int
	budget  *container.Budget
	yield   func(container.Member) bool
	stopped bool
	wrong   string

	state  group
	groups []group
	pass   int // characters that a \u still replaces

	fields Fields
	text   []byte // of the collecting destination
	class  string

	signs []container.Sign
	links []container.Link
}

// run reads to the end.
func (r *reader) run() error {
	for r.at < len(r.src) && !r.stopped {
		if err := r.budget.Check(); err != nil {
			return err
		}
		var err error
		switch c := r.src[r.at]; c {
		case '{':
			r.at++
			err = r.open()
		case '}':
			r.at++
			err = r.close()
		case '\\':
			err = r.control()
		case '\r', '\n', 0:
			r.at++
		default:
			r.run1()
		}
		if err != nil {
			return err
		}
	}
	for len(r.groups) > 0 && !r.stopped { // Word reads files that are cut off
		if err := r.close(); err != nil {
			return err
		}
	}
	return nil
}

// run1 reads text up to the next character that means something.
func (r *reader) run1() {
	from := r.at
	for r.at < len(r.src) && strings.IndexByte("{}\\\r\n\x00", r.src[r.at]) < 0 {
		r.at++
	}
	text := r.src[from:r.at]
	n := min(r.pass, len(text))
	r.pass -= n
	r.put(text[n:])
}

// open begins a group.
func (r *reader) open() error {
	if len(r.groups) >= maxGroups {
		r.wrong, r.stopped = "groups nest too deeply", true
		return nil
	}
	r.state.begun = true
	r.groups = append(r.groups, r.state)
	r.state.star, r.state.begun, r.state.field, r.state.codes, r.state.collect = false, false, false, false, false
	if r.state.hex != nil {
		r.state.hex.mark(markOpen)
	}
	return nil
}

// close ends a group.
func (r *reader) close() error {
	var err error
	ended := r.state
	if ended.collect {
		err = r.collected(ended)
	} else if ended.hex != nil {
		ended.hex.mark(markClose)
	}
	if ended.codes {
		r.fields.Separate()
	}
	if ended.field {
		r.fields.End()
	}
	if n := len(r.groups); n > 0 {
		r.state = r.groups[n-1]
		r.groups = r.groups[:n-1]
	}
	r.pass = 0
	return err
}

// put takes text.
func (r *reader) put(text []byte) {
	if len(text) == 0 {
		return
	}
	r.state.begun = true
	switch r.state.to {
	case objData, picture, blob:
		if r.state.foreign {
			r.state.hex.digits(text, foreignDigit)
		} else {
			r.state.hex.digits(text, 0)
		}
	case template, class, source:
		r.text = append(r.text, text[:min(len(text), 4096-min(4096, len(r.text)))]...)
	case code:
		r.fields.Code(string(text))
	case body, result:
		if r.fields.Inside() {
			r.fields.Text(string(text))
		}
	}
}

// putRune takes a character that was escaped.
func (r *reader) putRune(c rune) {
	if r.pass > 0 {
		r.pass--
		return
	}
	if r.state.hex != nil {
		r.state.hex.mark(markEscape)
		return
	}
	r.put(utf8.AppendRune(nil, c))
}

// control reads what a backslash begins.
func (r *reader) control() error {
	r.at++
	if r.at >= len(r.src) {
		return nil
	}
	c := r.src[r.at]
	if isLetter(c) {
		return r.word()
	}
	r.at++
	switch c {
	case '*':
		r.state.star = true
	case '\'':
		r.hexChar()
	case '\\', '{', '}':
		r.putRune(rune(c))
	case '~':
		r.putRune(' ')
	case '_':
		r.putRune('-')
	default: // also \ before an end of line, and what Word ignores
		r.state.begun = true
	}
	return nil
}

// hexChar reads \'hh.
func (r *reader) hexChar() {
	n := min(2, len(r.src)-r.at)
	v := 0
	for i := range n {
		d := hexValue(r.src[r.at+i])
		if d < 0 {
			n = i
			break
		}
		v = v<<4 | d
	}
	r.at += n
	r.putRune(rune(v))
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// word reads a control word, its number and the blank behind it.
func (r *reader) word() error {
	from := r.at
	for r.at < len(r.src) && isLetter(r.src[r.at]) {
		r.at++
	}
	name := strings.ToLower(string(r.src[from:min(r.at, from+40)]))
	value, has, sign := 0, false, 1
	if r.at+1 < len(r.src) && r.src[r.at] == '-' && isDigit(r.src[r.at+1]) {
		sign = -1
		r.at++
	}
	for r.at < len(r.src) && isDigit(r.src[r.at]) {
		value, has = min(value*10+int(r.src[r.at]-'0'), 1<<31-1), true
		r.at++
	}
	if r.at < len(r.src) && r.src[r.at] == ' ' {
		r.at++
	}
	err := r.act(name, sign*value, has)
	r.state.begun = true
	return err
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// act does what a control word says.
func (r *reader) act(name string, value int, has bool) error {
	switch name {
	case "bin":
		return r.binary(value)
	case "u":
		r.unicode(value)
		return nil
	case "uc":
		if has {
			r.state.skip = min(max(0, value), 1000)
		}
		return nil
	case "objautlink", "objlink", "linkself", "objupdate", "objsub", "objpub":
		r.linked(name)
		return nil
	case "objocx":
		r.sign(scan.ActiveX, `\objocx`)
		return nil
	case "field":
		r.state.field, r.state.to, r.state.hex = true, body, nil
		r.fields.Begin()
		return nil
	}
	return r.enter(name)
}

// unicode takes \uN.
func (r *reader) unicode(value int) {
	if value < 0 {
		value += 1 << 16
	}
	r.pass = 0
	r.putRune(rune(value))
	r.pass = r.state.skip
}

// linked takes note of an object that is elsewhere, or that is loaded anew when the file is opened.
func (r *reader) linked(name string) {
	switch name {
	case "objautlink", "objlink", "linkself":
		r.sign(scan.RemoteObject, `a linked object (\`+name+`)`)
	case "objupdate":
		r.sign(scan.RemoteObject, `an object that is updated on opening (\objupdate)`)
	}
}

// enter begins a destination.
func (r *reader) enter(name string) error {
	to, ok := destinationOf(name)
	star := r.state.star
	r.state.star = false
	switch {
	case !ok && r.state.hex != nil: // Word skips the text of a destination inside of digits
		r.state.foreign = r.state.foreign || star || isDestination(name)
		return nil
	case !ok && star:
		r.state.to = ignored
		return nil
	case !ok, to == r.state.to && r.state.collect:
		return nil
	}
	switch to {
	case objData, picture, blob:
		r.state.hex, r.state.collect, r.state.foreign = new(hexData), true, false
	case template, class, source:
		r.text = r.text[:0]
		r.state.hex, r.state.collect = nil, true
	case code:
		r.state.hex, r.state.codes = nil, true
		if !r.fields.Inside() {
			r.fields.Begin()
			r.state.field = true
		}
	default:
		r.state.hex = nil
	}
	r.state.to = to
	return nil
}

// isDestination reports whether a control word without \* begins a destination, of those that stand inside of digits.
func isDestination(name string) bool {
	switch name {
	case "proptype", "propname", "staticval", "info", "title", "author", "comment", "footnote", "header", "footer", "fonttbl", "colortbl",
		"stylesheet", "sp", "sn", "sv", "object", "result", "nonshppict", "shppict", "picprop", "txe", "xe", "rxe", "tc":
		return true
	}
	return false
}

// destinationOf tells the destinations that matter.
func destinationOf(name string) (destination, bool) {
	switch name {
	case "objdata":
		return objData, true
	case "pict":
		return picture, true
	case "themedata", "datastore", "fontemb", "fontfile":
		return blob, true
	case "template":
		return template, true
	case "fldinst":
		return code, true
	case "fldrslt":
		return result, true
	case "objclass":
		return class, true
	case "mmdatasource", "mmconnectstr", "mmconnectstrdata", "mmodsosrc", "mmheadersource", "mmodsoudldata":
		return source, true
	}
	return body, false
}

// binary takes \binN: octets as they are.
func (r *reader) binary(n int) error {
	if n > len(r.src)-r.at {
		r.wrong = "binary data that is cut off"
		return nil // what follows is read as if the word were not there, so that nothing hides behind it
	}
	n = max(0, n)
	data := r.src[r.at : r.at+n]
	r.at += n
	if r.state.hex == nil {
		return nil
	}
	r.state.hex.octets(data)
	return r.budget.Spend(2 * int64(n))
}

// sign adds a Sign; of many for a Trait, only those that come first.
func (r *reader) sign(trait scan.Trait, detail string) {
	same := 0
	for i := range r.signs {
		if r.signs[i].Trait != trait {
			continue
		}
		if same++; r.signs[i].Detail == detail || same >= 5 {
			r.signs[i].Count++
			return
		}
	}
	r.signs = append(r.signs, container.Sign{Trait: trait, Detail: detail, Count: 1})
}
