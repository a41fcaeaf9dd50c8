package ole

import (
	"encoding/binary"
	"fmt"
	"strings"

	"assay/scan"
)

// Records of a workbook ([MS-XLS] 2.3), and their ancestors in BIFF5.
const (
	recordName       = 0x0018 // Lbl
	recordExternal   = 0x0017 // ExternSheet: a name in BIFF5
	recordExternName = 0x0023
	recordFilePass   = 0x002f
	recordSheet      = 0x0085 // BoundSheet8
	recordSupBook    = 0x01ae
	recordLink       = 0x01b8 // HLink
	recordBOF        = 0x0809
	recordInterface  = 0x00e1 // InterfaceHdr
)

// typeMacroSheet is what a BOF record calls an Excel 4.0 macro sheet.
const typeMacroSheet = 0x40

// maxSheets bounds how many macro sheets are named.
const maxSheets = 8

// A workbook is what is gathered while the records go by.
type workbook struct {
	r        *reading
	wide     bool     // BIFF8: text may be UTF-16
	sheets   []string // macro sheets
	declared int      // of sheets: declared by the list of sheets
	begun    int      // of sheets: whose beginning was seen
	autos    []string // names that start macros
	dde      string   // a link of which the next record tells more, "" if none
}

// excel looks into a workbook of Excel 5 to 2003. A file may have two, for older and for newer programs.
func (r *reading) excel(s *entry) error {
	for _, name := range []string{"Workbook", "Book"} {
		stream, e, err := r.content(s, name)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		r.nameType(s, "application/vnd.ms-excel")
		if err := r.workbook(stream, e); err != nil {
			return err
		}
	}
	if ctls := s.child("Ctls"); ctls != nil && ctls.size > 0 && (s.child("Workbook") != nil || s.child("Book") != nil) {
		r.sign(scan.ActiveX, "controls in a workbook")
	}
	return nil
}

// workbook reads the records of one stream.
func (r *reading) workbook(stream []byte, e *entry) error {
	w := workbook{r: r}
	if len(stream) < 8 || stream[1] > 8 || stream[0] != 9 {
		r.lack("not a workbook of Excel, despite its name")
		return nil
	}
	sealed, whole := false, false
	err := eachRecord(stream, func(id uint16, at int, body []byte) (bool, error) {
		if id == recordFilePass {
			sealed = true
			w.sum()
			return false, r.openWorkbook(stream, e, at, body)
		}
		return true, w.record(id, body)
	}, &whole, r.f.Budget.Check)
	if err != nil || sealed {
		return err
	}
	if !whole {
		r.lack("the workbook is cut off")
	}
	w.sum()
	return nil
}

// eachRecord calls f for each record with its number, where its content lies, and that. Whole tells whether the last one
// ends in the stream; zeros may follow.
func eachRecord(stream []byte, f func(id uint16, at int, body []byte) (bool, error), whole *bool, check func() error) error {
	at := 0
	for ; at+4 <= len(stream); at += 4 {
		if err := check(); err != nil {
			return err
		}
		id, size := binary.LittleEndian.Uint16(stream[at:]), int(binary.LittleEndian.Uint16(stream[at+2:]))
		if id == 0 && size == 0 {
			continue
		}
		if at+4+size > len(stream) {
			*whole = false
			return nil
		}
		next, err := f(id, at+4, stream[at+4:at+4+size])
		if err != nil || !next {
			return err
		}
		at += size
	}
	*whole = isZero(stream[min(at, len(stream)):])
	return nil
}

// record takes note of one record.
func (w *workbook) record(id uint16, body []byte) error {
	if w.dde != "" && id == recordExternName {
		w.externName(body)
	}
	switch id {
	case recordBOF, 0x0009, 0x0209, 0x0409: // [MS-XLS] 2.4.21; the others are of Excel 2 to 4
		w.begin(id, body)
	case recordSheet:
		w.sheet(body)
	case recordName:
		w.name(body)
	case recordSupBook:
		if len(body) >= 4 {
			w.external(w.text(body[2:], 2))
		}
	case recordExternal:
		if !w.wide && len(body) > 1 {
			w.external(string(body[1:min(len(body), 1+int(body[0]))]))
		}
	case recordLink:
		for _, place := range monikers(body) {
			w.r.link(scan.FromAnchor, place, "")
		}
	}
	return nil
}

// begin reads the beginning of a sheet ([MS-XLS] 2.4.21).
func (w *workbook) begin(id uint16, body []byte) {
	if len(body) < 4 {
		return
	}
	if id == recordBOF {
		w.wide = w.wide || binary.LittleEndian.Uint16(body) >= 0x0600
	}
	if binary.LittleEndian.Uint16(body[2:]) == typeMacroSheet {
		w.begun++
	}
}

// sheet reads one line of the list of sheets ([MS-XLS] 2.4.28).
func (w *workbook) sheet(body []byte) {
	if len(body) < 7 || body[5] != 1 {
		return
	}
	if w.declared++; w.declared > maxSheets {
		return
	}
	name := w.text(body[6:], 1)
	switch body[4] & 3 {
	case 1:
		name += " (hidden)"
	case 2:
		name += " (very hidden)"
	}
	w.sheets = append(w.sheets, name)
}

// name takes note of names that start a macro when the workbook is opened or closed ([MS-XLS] 2.4.150).
func (w *workbook) name(body []byte) {
	const fixed = 14
	if len(body) < fixed+1 || len(w.autos) >= 8 {
		return
	}
	text := body[fixed:min(len(body), fixed+1+2*int(body[3]))]
	if w.wide {
		text = text[1:]
	}
	builtIn := body[0]&0x20 != 0
	lower := strings.ToLower(strings.ReplaceAll(string(text), "\x00", ""))
	switch {
	case builtIn && lower == "\x01", strings.Contains(lower, "auto_open"):
		w.autos = append(w.autos, "Auto_Open")
	case builtIn && lower == "\x02", strings.Contains(lower, "auto_close"):
		w.autos = append(w.autos, "Auto_Close")
	case builtIn && lower == "\x0a", strings.Contains(lower, "auto_activate"):
		w.autos = append(w.autos, "Auto_Activate")
	}
}

// external reads what a link to another document leads to ([MS-XLS] 2.5.277 VirtualPath). A character between service and
// topic makes it one of DDE or OLE; which, the names tell that belong to it.
func (w *workbook) external(path string) {
	if w.dde != "" {
		w.r.sign(scan.DDE, "link to "+w.dde)
		w.dde = ""
	}
	if path == "" || len(path) > 1 && path[0] == 2 {
		return
	}
	if service, topic, ok := strings.Cut(strings.TrimLeft(path, "\x01\x02"), "\x03"); ok && service != "" && path[0] > ' ' {
		w.dde = clip(service+"|"+topic, maxText)
		return
	}
	if place := decodePath(path); isRemote(place) {
		w.r.remote(scan.RemoteObject, "link to another workbook", place)
	}
}

// externName tells a link of OLE from one of DDE ([MS-XLS] 2.4.105).
func (w *workbook) externName(body []byte) {
	const flagOLELink = 0x10
	if len(body) >= 2 && body[0]&flagOLELink != 0 {
		program, place, _ := strings.Cut(w.dde, "|")
		if isRemote(place) {
			w.r.remote(scan.RemoteObject, "linked "+program, place)
		}
		w.dde = ""
		return
	}
	w.r.sign(scan.DDE, "link to "+w.dde)
	w.dde = ""
}

// decodePath undoes how a path is written in a link: a character 1, and others for drives and folders ([MS-XLS] 2.5.277).
func decodePath(path string) string {
	rest, ok := strings.CutPrefix(path, "\x01")
	if !ok {
		return path
	}
	if url, ok := strings.CutPrefix(rest, "\x05"); ok {
		return strings.TrimLeftFunc(url, func(c rune) bool { return c < ' ' || c > '~' })
	}
	if share, ok := strings.CutPrefix(rest, "\x01@"); ok {
		return `\\` + strings.ReplaceAll(share, "\x03", `\`)
	}
	return strings.ReplaceAll(rest, "\x03", `\`)
}

// text reads a text behind its length in characters, of that many octets. In BIFF8 an octet says whether it is UTF-16
// ([MS-XLS] 2.5.240, 2.5.294).
func (w *workbook) text(b []byte, width int) string {
	if len(b) < width+1 {
		return ""
	}
	count := int(b[0])
	if width == 2 {
		count = int(binary.LittleEndian.Uint16(b))
		if count == 0x0401 || count == 0x3a01 {
			return "" // [MS-XLS] 2.4.271: this workbook, or functions of an add-in
		}
	}
	b = b[width:]
	if !w.wide {
		return string(b[:min(len(b), count)])
	}
	if b[0]&1 == 0 {
		return latin(b[1:min(len(b), 1+count)])
	}
	return fromUTF16(b[1:min(len(b), 1+2*count)])
}

// latin decodes octets that are the lower halves of characters.
func latin(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// sum tells what follows from the records together.
func (w *workbook) sum() {
	w.external("")
	autos := ""
	if len(w.autos) > 0 {
		autos = ", starts by itself: " + strings.Join(w.autos, ", ")
	}
	for _, s := range w.sheets {
		w.r.sign(scan.XLMMacros, fmt.Sprintf("macro sheet %s%s", clip(s, maxText), autos))
	}
	if w.begun > w.declared {
		w.r.sign(scan.XLMMacros, "a macro sheet that is not in the list of sheets"+autos)
	}
}

// openWorkbook tries passwords on a workbook ([MS-XLS] 2.2.10), and yields it in plain. In BIFF5 there is only the
// exclusive or, and no word about it.
func (r *reading) openWorkbook(stream []byte, e *entry, at int, body []byte) error {
	old := len(stream) > 6 && binary.LittleEndian.Uint16(stream[4:]) < 0x0600
	if len(body) < 4 {
		r.lock("unknown encryption")
		return nil
	}
	switch kind := binary.LittleEndian.Uint16(body); {
	case old || kind == 0 && len(body) >= 6:
		if !old {
			body = body[2:]
		}
		k := &obfuscation{key: binary.LittleEndian.Uint16(body), verifier: binary.LittleEndian.Uint16(body[2:]), rotation: 2}
		return r.unlockStreams(k, "XOR obfuscation", func() ([]change, error) {
			return r.plainWorkbook(stream, e, at, func(out []byte) error { return k.decryptRecords(out, r.f.Budget.Check) })
		})
	default:
		k, method, err := parseStreamKey(body[2:])
		if err != nil {
			r.lock(method)
			return nil
		}
		return r.unlockStreams(k, method, func() ([]change, error) {
			return r.plainWorkbook(stream, e, at, func(out []byte) error { return decryptBlocks(k, out, 1024, 0, r.f.Budget.Check) })
		})
	}
}

// decryptRecords decrypts the contents of all records in place.
func (o *obfuscation) decryptRecords(stream []byte, check func() error) error {
	whole := false
	return eachRecord(stream, func(_ uint16, at int, body []byte) (bool, error) {
		o.decryptExcel(body, at)
		return true, nil
	}, &whole, check)
}

// plainWorkbook decrypts a workbook, puts back what never was encrypted, and blanks the record that says so ([MS-XLS]
// 2.2.10).
func (r *reading) plainWorkbook(stream []byte, e *entry, pass int, decrypt func(out []byte) error) ([]change, error) {
	if err := r.f.Budget.Spend(int64(len(stream))); err != nil {
		return nil, err
	}
	out := append([]byte(nil), stream...)
	if err := decrypt(out); err != nil {
		return nil, err
	}
	whole := false
	err := eachRecord(stream, func(id uint16, at int, body []byte) (bool, error) {
		plain := 0
		switch id {
		case recordBOF, 0x0009, 0x0209, 0x0409, recordInterface, 0x0138, 0x0194, 0x0195, 0x0196:
			plain = len(body)
		case recordSheet:
			plain = min(4, len(body)) // where the sheet begins
		}
		copy(out[at-4:], stream[at-4:at+plain])
		if at == pass {
			binary.LittleEndian.PutUint16(out[at-4:], 0x0001) // no record of that number is read
			clear(out[at : at+len(body)])
		}
		return true, nil
	}, &whole, r.f.Budget.Check)
	return []change{{e, out}}, err
}
