package ole

import (
	"bytes"
	"encoding/binary"
	"errors"

	"assay/scan"
)

// Flags of a FibBase ([MS-DOC] 2.5.2), at 0x0a.
const (
	flagComplex    = 0x0004
	flagEncrypted  = 0x0100
	flagTable1     = 0x0200
	flagObfuscated = 0x8000
)

// Places in a FIB: indices in FibRgFcLcb97 ([MS-DOC] 2.5.6), and octets of the FIB that are never encrypted (2.2.6).
const (
	indexAssociated = 32
	indexClx        = 33
	plainFIB        = 68
)

// A fib is a file information block, which begins a document of Word.
type fib struct {
	b     []byte // the stream from the block on
	flags uint16
	fcLcb []byte
}

// word looks into a document of Word 97 to 2003.
func (r *reading) word(s *entry) error {
	main, e, err := r.content(s, "WordDocument")
	if err != nil || e == nil {
		return err
	}
	r.nameType(s, "application/msword")
	if len(main) < plainFIB {
		r.lack("the document of Word is cut off")
		return nil
	}
	f := parseFIB(main)
	name := "0Table"
	if f.flags&flagTable1 != 0 {
		name = "1Table"
	}
	table, tableEntry, err := r.content(s, name)
	switch ident := binary.LittleEndian.Uint16(main); {
	case err != nil:
		return err
	case f.flags&flagEncrypted != 0:
		return r.openWord(s, f, tableEntry)
	case ident == 0xa5ec && binary.LittleEndian.Uint16(main[2:]) > 0x69:
		return r.wordText(main, f, table)
	case ident&0xff == 0xdc || ident == 0xa5ec:
		r.oldWordText(f)
		r.lack("a document of Word 6 or 95, which does not tell about macros")
	default:
		r.lack("not a document of Word, despite its name")
	}
	return nil
}

// nameType gives the file the type of its root storage.
func (r *reading) nameType(s *entry, mediaType string) {
	if s.kind == kindRoot && r.mediaType == "" {
		r.mediaType = mediaType
	}
}

// parseFIB finds the parts of a FIB, which tells how long they are ([MS-DOC] 2.5.1).
func parseFIB(b []byte) fib {
	f := fib{b: b, flags: binary.LittleEndian.Uint16(b[0x0a:])}
	var part []byte
	at := 32
	for _, width := range []int{2, 4, 8} {
		if at+2 > len(b) {
			return f
		}
		size := width * int(binary.LittleEndian.Uint16(b[at:]))
		at += 2
		part = b[min(at, len(b)):min(at+size, len(b))]
		at += size
	}
	f.fcLcb = part
	return f
}

// part returns a part of the table stream by its index; ok is false if the document says that it is there, and it is not.
func (f *fib) part(table []byte, index int) (b []byte, ok bool) {
	if len(f.fcLcb) < 8*index+8 {
		return nil, false
	}
	from, size := binary.LittleEndian.Uint32(f.fcLcb[8*index:]), binary.LittleEndian.Uint32(f.fcLcb[8*index+4:])
	if size == 0 {
		return nil, true
	}
	if uint64(from)+uint64(size) > uint64(len(table)) {
		return nil, false
	}
	return table[from : from+size], true
}

// wordText reads all text of a document, and that of the building blocks behind it ([MS-DOC] 2.5.2 pnNext).
func (r *reading) wordText(main []byte, f fib, table []byte) error {
	if err := r.wordParts(main, f, table); err != nil {
		return err
	}
	next := int(binary.LittleEndian.Uint16(main[8:])) * 512
	if next == 0 || next+plainFIB > len(main) {
		return nil
	}
	return r.wordParts(main, parseFIB(main[next:]), table)
}

// wordParts reads the text and the attached template that one FIB names.
func (r *reading) wordParts(main []byte, f fib, table []byte) error {
	if b, ok := f.part(table, indexAssociated); ok {
		if template := associated(b, 1); isRemote(template) {
			r.remote(scan.RemoteTemplate, "attached template", template)
		}
	}
	clx, ok := f.part(table, indexClx)
	if !ok {
		r.lack("the text of the document cannot be found")
		return nil
	}
	fields := fieldReader{report: r.field}
	if err := r.pieces(main, f, clx, &fields); err != nil {
		return err
	}
	fields.end()
	if fields.tooDeep {
		r.lack("too many fields, or nested too deep")
	}
	return nil
}

// pieces reads the pieces that the text is made of ([MS-DOC] 2.8.35, 2.9.38, 2.9.177), in their order.
func (r *reading) pieces(main []byte, f fib, clx []byte, fields *fieldReader) error {
	for len(clx) >= 3 && clx[0] == 1 { // Prc: formatting only
		clx = clx[min(len(clx), 3+int(binary.LittleEndian.Uint16(clx[1:]))):]
	}
	if len(clx) < 5 || clx[0] != 2 {
		if len(clx) > 0 || f.flags&flagComplex != 0 {
			r.lack("the table of the text is broken")
		}
		r.oldWordText(f)
		return nil
	}
	plc := clx[5:min(uint64(len(clx)), 5+uint64(binary.LittleEndian.Uint32(clx[1:])))]
	if len(plc) < 4 {
		return nil
	}
	count, octets := (len(plc)-4)/12, uint64(0)
	for i := range count {
		from, to := binary.LittleEndian.Uint32(plc[4*i:]), binary.LittleEndian.Uint32(plc[4*i+4:])
		where := binary.LittleEndian.Uint32(plc[4*(count+1)+8*i+2:])
		if to < from {
			r.lack("the table of the text is broken")
			continue
		}
		octets += min(uint64(to-from), uint64(len(main)))
		if octets > 2*uint64(len(main)) { // they do not overlap in what Word writes
			r.lack("pieces of the text overlap")
			return nil
		}
		if err := r.f.Budget.Check(); err != nil {
			return err
		}
		r.piece(main, where, uint64(to-from), fields)
	}
	return nil
}

// piece reads one piece of text: octets, or UTF-16 ([MS-DOC] 2.9.73).
func (r *reading) piece(main []byte, where uint32, count uint64, fields *fieldReader) {
	const compressed = 1 << 30
	at, width := uint64(where&(compressed-1)), uint64(2)
	if where&compressed != 0 {
		at, width = at/2, 1
	}
	end := at + count*width
	if end > uint64(len(main)) {
		r.lack("a piece of the text is missing")
		at, end = min(at, uint64(len(main))), uint64(len(main))
	}
	text := main[at:end]
	if width == 1 {
		for i := 0; i < len(text); i++ {
			if len(fields.stack) == 0 { // outside of fields, nothing but their beginning counts
				skip := bytes.IndexByte(text[i:], fieldBegin)
				if skip < 0 {
					break
				}
				i += skip
			}
			fields.char(rune(text[i]))
		}
		return
	}
	for ; len(text) >= 2; text = text[2:] {
		fields.char(rune(binary.LittleEndian.Uint16(text)))
	}
}

// oldWordText reads the text of a document without a table of pieces, which is in one place.
func (r *reading) oldWordText(f fib) {
	from, to := binary.LittleEndian.Uint32(f.b[0x18:]), binary.LittleEndian.Uint32(f.b[0x1c:])
	if from >= to || uint64(to) > uint64(len(f.b)) {
		return
	}
	fields := fieldReader{report: r.field}
	for _, c := range f.b[from:to] {
		fields.char(rune(c))
	}
	fields.end()
}

// associated returns one of the strings that belong to a document ([MS-DOC] 2.9.279 SttbfAssoc).
func associated(b []byte, index int) string {
	if len(b) < 6 || binary.LittleEndian.Uint16(b) != 0xffff {
		return ""
	}
	extra := int(binary.LittleEndian.Uint16(b[4:]))
	b = b[6:]
	for i := 0; len(b) >= 2; i++ {
		end := min(len(b), 2+2*int(binary.LittleEndian.Uint16(b)))
		if i == index {
			return fromUTF16(b[2:end])
		}
		b = b[min(len(b), end+extra):]
	}
	return ""
}

// openWord tries passwords on a document ([MS-DOC] 2.2.6), and yields it in plain.
func (r *reading) openWord(s *entry, f fib, table *entry) error {
	if f.flags&flagObfuscated != 0 {
		return r.openObfuscatedWord(s, f, table)
	}
	description, err := r.c.stream(table)
	if err != nil {
		return err
	}
	k, method, err := parseStreamKey(description)
	if err != nil {
		r.lock(method)
		return nil
	}
	size := min(int(binary.LittleEndian.Uint32(f.b[0x0e:])&0xffffff), len(description))
	return r.unlockStreams(k, method, func() ([]change, error) {
		return r.plainWord(s, table, func(stream []byte, from int) error {
			return decryptBlocks(k, stream, 512, from, r.f.Budget.Check)
		}, size)
	})
}

// openObfuscatedWord does the same for an exclusive or. Which half of the field is the key, writers disagree on.
func (r *reading) openObfuscatedWord(s *entry, f fib, table *entry) error {
	low, high := binary.LittleEndian.Uint16(f.b[0x0e:]), binary.LittleEndian.Uint16(f.b[0x10:])
	k := &eitherObfuscation{halves: [2]obfuscation{
		{key: high, verifier: low, rotation: 7}, {key: low, verifier: high, rotation: 7},
	}}
	return r.unlockStreams(k, "XOR obfuscation", func() ([]change, error) {
		return r.plainWord(s, table, k.right.decryptWord, 0)
	})
}

// An eitherObfuscation is one of two.
type eitherObfuscation struct {
	halves [2]obfuscation
	right  *obfuscation
}

// try implements key.
func (k *eitherObfuscation) try(password string) (bool, error) {
	for i := range k.halves {
		if ok, err := k.halves[i].try(password); ok || err != nil {
			k.right = &k.halves[i]
			return ok, err
		}
	}
	return false, nil
}

// A change is what a stream becomes.
type change struct {
	e       *entry
	content []byte
}

// unlockStreams tries passwords, and yields the file with streams that are decrypted in their places.
func (r *reading) unlockStreams(k key, method string, plain func() ([]change, error)) error {
	trait, err := unlock(r.f, k)
	if err != nil {
		r.lock(method)
		return limitOf(err)
	}
	if err := r.f.Budget.Spend(int64(len(r.c.data))); err != nil {
		r.lock(method)
		return err
	}
	changes, err := plain()
	if err != nil {
		r.lock(method)
		return limitOf(err)
	}
	file := append([]byte(nil), r.c.data...)
	for _, ch := range changes {
		if err := r.c.replace(file, ch.e, ch.content); err != nil {
			return err
		}
	}
	return r.opened(trait, method, file)
}

// plainWord decrypts the streams of a document; the beginnings of two of them never are encrypted.
func (r *reading) plainWord(s, table *entry, decrypt func(stream []byte, from int) error, description int) ([]change, error) {
	var out []change
	for _, e := range []*entry{s.child("WordDocument"), table, s.child("Data")} {
		b, err := r.c.stream(e)
		if err != nil {
			return nil, err
		}
		if e == nil || len(b) == 0 {
			continue
		}
		b = append([]byte(nil), b...)
		from, isMain := 0, len(out) == 0
		switch {
		case e == table:
			from = description
		case isMain:
			from = plainFIB
		}
		if err := decrypt(b, from); err != nil {
			return nil, err
		}
		if isMain {
			binary.LittleEndian.PutUint16(b[0x0a:], binary.LittleEndian.Uint16(b[0x0a:])&^(flagEncrypted|flagObfuscated))
		}
		out = append(out, change{e, b})
	}
	if len(out) == 0 {
		return nil, errors.New("no document")
	}
	return out, nil
}
