package ole

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"assay/scan"
	"assay/scan/container"
)

// Records of a presentation ([MS-PPT] 2.13.24).
const (
	recordSession    = 0x2f14 // CryptSession10Container
	recordString     = 0x0fba // CString
	recordOLEAtom    = 0x0fc3 // ExOleObjAtom
	recordOLELink    = 0x0fce // ExOleLinkContainer
	recordHyperlink  = 0x0fd7 // ExHyperlinkContainer
	recordControl    = 0x0fee // ExControlContainer
	recordUserEdit   = 0x0ff5 // UserEditAtom
	recordAction     = 0x0ff3 // InteractiveInfoAtom
	recordVideo      = 0x1005 // ExVideoContainer
	recordAVI        = 0x1006 // ExAviMovieContainer
	recordMCI        = 0x1007 // ExMCIMovieContainer
	recordMIDI       = 0x100d // ExMIDIAudioContainer
	recordWAVLink    = 0x1010 // ExWAVAudioLinkContainer
	recordStorage    = 0x1011 // ExOleObjStg and the like: an object or a VBA project
	recordPersistent = 0x1772 // PersistDirectoryAtom
)

// maxObjects bounds how many objects the directories may name.
const maxObjects = 200_000

// recordHeader is the size of the head of each record ([MS-PPT] 2.3.1).
const recordHeader = 8

// powerPoint looks into a presentation of PowerPoint 97 to 2003.
func (r *reading) powerPoint(s *entry) error {
	stream, e, err := r.content(s, "PowerPoint Document")
	if err != nil {
		return err
	}
	if e == nil {
		if s.child("PP40") != nil || s.child("PP97_DUALSTORAGE") == nil && s.child("Header") != nil && s.child("Current User") != nil {
			r.lack("a presentation of PowerPoint 95")
		}
		return nil
	}
	r.nameType(s, "application/vnd.ms-powerpoint")
	user, _, err := r.content(s, "Current User")
	if err != nil {
		return err
	}
	p := &presentation{r: r, stream: stream, user: user, seen: make(map[int]bool)}
	last := p.persistent()
	if p.sealed() || last.session != nil {
		return p.unlock(s, e, last)
	}
	for _, at := range last.places {
		p.seen[at] = false
	}
	if err := p.records(last); err != nil {
		return err
	}
	// What the directory of objects names, PowerPoint finds also where a walk does not come by.
	for _, at := range last.places {
		if b := p.at(at, recordStorage); b != nil && !p.seen[at] {
			if err := p.object(binary.LittleEndian.Uint16(stream[at:])>>4, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// A presentation is the work on one.
type presentation struct {
	r       *reading
	stream  []byte
	user    []byte // the stream "Current User"
	objects int
	named   int          // objects that directories have named
	inside  []span       // the containers that are open
	seen    map[int]bool // the places that the directory names, true once the walk came by
}

// A span is a container and where it ends.
type span struct {
	id  uint16
	end int
}

// sealed reports whether the user's last edit says that the presentation is encrypted ([MS-PPT] 2.3.2).
func (p *presentation) sealed() bool {
	const token = 0xf3d1c4df
	return len(p.user) >= 16 && binary.LittleEndian.Uint32(p.user[12:]) == token
}

// records goes through all records, containers and what is in them, in the order of the stream. Where rubbish lies between
// them, it goes on with the next object that the directory names.
func (p *presentation) records(last edit) error {
	starts := slices.AppendSeq(last.marks, maps.Values(last.places))
	slices.Sort(starts)
	for at := 0; at+recordHeader <= len(p.stream); {
		if err := p.r.f.Budget.Check(); err != nil {
			return err
		}
		next, err := p.step(at)
		if err != nil {
			return err
		}
		if next > at {
			at = next
			continue
		}
		i, _ := slices.BinarySearch(starts, at+1)
		if i == len(starts) {
			if !isZero(p.stream[at:]) {
				p.r.lack("the presentation is cut off")
			}
			return nil
		}
		at, p.inside = starts[i], nil
	}
	return nil
}

// step looks at the record at a place, and returns where the next one is; the same place, if there is no record.
func (p *presentation) step(at int) (int, error) {
	kind, id := binary.LittleEndian.Uint16(p.stream[at:]), binary.LittleEndian.Uint16(p.stream[at+2:])
	size := uint64(binary.LittleEndian.Uint32(p.stream[at+4:]))
	body := at + recordHeader
	for len(p.inside) > 0 && at >= p.inside[len(p.inside)-1].end {
		p.inside = p.inside[:len(p.inside)-1]
	}
	if id == 0 || uint64(body)+size > uint64(len(p.stream)) {
		return at, nil
	}
	if kind&0x0f == 0x0f { // a container: its records are next
		p.open(id, body, int(size))
		return body, nil
	}
	if _, ok := p.seen[at]; ok {
		p.seen[at] = true
	}
	next := body + int(size)
	return next, p.record(kind>>4, id, p.stream[body:next])
}

// open enters a container.
func (p *presentation) open(id uint16, at, size int) {
	const deepest = 64
	if len(p.inside) < deepest {
		p.inside = append(p.inside, span{id, at + size})
	}
	if id == recordControl {
		p.r.sign(scan.ActiveX, "a control on a slide")
	}
}

// within returns the innermost container.
func (p *presentation) within() uint16 {
	if len(p.inside) == 0 {
		return 0
	}
	return p.inside[len(p.inside)-1].id
}

// record takes note of one record.
func (p *presentation) record(instance, id uint16, body []byte) error {
	switch id {
	case recordStorage:
		return p.object(instance, body)
	case recordString:
		p.text(instance, fromUTF16(body))
	case recordAction:
		p.action(body)
	}
	return nil
}

// text takes note of addresses. What they are for, the container around them tells ([MS-PPT] 2.10).
func (p *presentation) text(instance uint16, text string) {
	switch id := p.within(); id {
	case recordHyperlink:
		if instance == 1 {
			p.r.link(scan.FromAnchor, text, "")
		}
	case recordOLELink, recordVideo, recordAVI, recordMCI, recordMIDI, recordWAVLink:
		if isRemote(text) {
			p.r.remote(scan.RemoteObject, "linked from a slide", text)
		}
	}
}

// action takes note of what a click, or the mouse alone, starts ([MS-PPT] 2.8.2, 2.13.10).
func (p *presentation) action(body []byte) {
	const runProgram = 2
	if len(body) >= 9 && body[8] == runProgram {
		p.r.sign(scan.Launch, "a click on a slide starts a program")
	}
}

// object inflates an embedded object or a VBA project, which is a compound file again, and yields it ([MS-PPT] 2.10.34,
// 2.4.10).
func (p *presentation) object(instance uint16, body []byte) error {
	content := body
	if instance == 1 { // compressed: the size, and zlib
		var err error
		if content, err = inflate(body, p.r.f.Budget); err != nil {
			if limitOf(err) != nil {
				return err
			}
			p.r.lack("an embedded object cannot be decompressed")
			p.r.sign(scan.Damaged, "an embedded object cannot be decompressed")
		}
	}
	p.objects++
	if err := p.look(content); err != nil {
		return err
	}
	if len(content) == 0 {
		return nil
	}
	return p.r.member(container.Member{Name: fmt.Sprintf("object %d", p.objects), Content: content})
}

// inflate decompresses an object behind its size.
func inflate(body []byte, budget *container.Budget) ([]byte, error) {
	if len(body) < 4 {
		return nil, errors.New("no object")
	}
	z, err := zlib.NewReader(bytes.NewReader(body[4:]))
	if err != nil {
		return nil, err
	}
	return budget.ReadAll(z, int64(len(body)))
}

// look tells a VBA project from an object. The storage itself is read once it is walked.
func (p *presentation) look(content []byte) error {
	c, err := openCompound(content, p.r.f.Budget)
	if err != nil {
		p.r.sign(scan.EmbeddedObject, "an object on a slide")
		return limitOf(err)
	}
	inner := &reading{f: p.r.f, c: c, done: make(map[*entry]bool)}
	for storages := []*entry{c.root}; len(storages) > 0; {
		s := storages[len(storages)-1]
		storages = append(storages[:len(storages)-1], s.children...)
		if s.kind == kindStream {
			continue
		}
		if err := inner.project(s); err != nil {
			return err
		}
	}
	for _, s := range inner.signs {
		p.r.sign(s.Trait, s.Detail)
	}
	if len(inner.signs) == 0 {
		p.r.sign(scan.EmbeddedObject, objectName(c, c.root))
	}
	return nil
}

// An edit is the last one of a presentation, with what it leads to.
type edit struct {
	at      int            // of its record
	places  map[uint32]int // of each object
	marks   []int          // of edits and directories
	session []byte         // how the presentation is encrypted, nil if it is not
}

// unlock tries passwords on a presentation ([MS-PPT] 2.3.7), and yields it in plain.
func (p *presentation) unlock(s, e *entry, last edit) error {
	k, method, err := parseStreamKey(last.session)
	if err != nil {
		p.r.lock(method)
		return nil
	}
	return p.r.unlockStreams(k, method, func() ([]change, error) {
		out := append([]byte(nil), p.stream...)
		if err := p.decrypt(out, k, last.places); err != nil {
			return nil, err
		}
		binary.LittleEndian.PutUint32(out[last.at+recordHeader+28:], 0)
		user := append([]byte(nil), p.user...)
		binary.LittleEndian.PutUint32(user[12:], 0xe391c05f)
		return []change{{e, out}, {s.child("Current User"), user}}, nil
	})
}

// persistent follows the edits, the last one first, to where each object lies, and finds the description of the encryption
// ([MS-PPT] 2.3.3 to 2.3.5).
func (p *presentation) persistent() edit {
	const most = 1000
	last := edit{places: make(map[uint32]int)}
	if len(p.user) < 20 {
		return last
	}
	last.at = int(binary.LittleEndian.Uint32(p.user[16:]))
	session := uint32(0)
	for at, n := last.at, 0; n < most; n++ {
		body := p.at(at, recordUserEdit)
		if len(body) < 28 {
			break
		}
		if n == 0 && len(body) >= 32 {
			session = binary.LittleEndian.Uint32(body[28:])
		}
		list := int(binary.LittleEndian.Uint32(body[12:]))
		last.marks = append(last.marks, at, list)
		p.directory(p.at(list, recordPersistent), last.places)
		before := int(binary.LittleEndian.Uint32(body[8:]))
		if before == 0 || before >= at {
			break
		}
		at = before
	}
	if place, ok := last.places[session]; ok && session != 0 {
		last.session = p.at(place, recordSession)
		delete(last.places, session)
	}
	return last
}

// at returns the content of the record at a place, nil if it is another one.
func (p *presentation) at(at int, id uint16) []byte {
	if at < 0 || at+recordHeader > len(p.stream) || binary.LittleEndian.Uint16(p.stream[at+2:]) != id {
		return nil
	}
	size := uint64(binary.LittleEndian.Uint32(p.stream[at+4:]))
	if uint64(at+recordHeader)+size > uint64(len(p.stream)) {
		return nil
	}
	return p.stream[at+recordHeader : at+recordHeader+int(size)]
}

// directory reads where objects lie, unless a later edit has said so ([MS-PPT] 2.3.5).
func (p *presentation) directory(b []byte, places map[uint32]int) {
	for len(b) >= 4 {
		if p.named > maxObjects {
			p.r.lack("too many objects in the presentation")
			return
		}
		head := binary.LittleEndian.Uint32(b)
		b = b[4:]
		p.named += 1 + int(head>>20)
		for id, n := head&0xfffff, head>>20; n > 0 && len(b) >= 4; id, n, b = id+1, n-1, b[4:] {
			if _, ok := places[id]; !ok {
				places[id] = int(binary.LittleEndian.Uint32(b))
			}
		}
	}
}

// decrypt decrypts every object in place: head and content, with a key of its own ([MS-PPT] 2.3.7). Objects do not overlap,
// or else they are none.
func (p *presentation) decrypt(out []byte, k streamKey, places map[uint32]int) error {
	seen := int64(0)
	for id, at := range places {
		if err := p.r.f.Budget.Check(); err != nil {
			return err
		}
		if at < 0 || at+recordHeader > len(out) {
			return errKeyData
		}
		c := k.cipher(id)
		c.XORKeyStream(out[at:at+recordHeader], p.stream[at:at+recordHeader])
		size := uint64(binary.LittleEndian.Uint32(out[at+4:]))
		if seen += int64(min(size, 1<<40)); uint64(at+recordHeader)+size > uint64(len(out)) || seen > int64(len(out)) {
			return errKeyData
		}
		at += recordHeader
		c.XORKeyStream(out[at:at+int(size)], p.stream[at:at+int(size)])
	}
	return nil
}
