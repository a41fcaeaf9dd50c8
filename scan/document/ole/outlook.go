package ole

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// Properties of messages and attachments, with their types, as the names of streams spell them ([MS-OXMSG] 2.1.3,
// [MS-OXPROPS]).
const (
	propertyPrefix   = "__substg1.0_"
	attachmentPrefix = "__attach_version1.0_"
	dataBinary       = "37010102" // PidTagAttachDataBinary
	dataObject       = "3701000D" // PidTagAttachDataObject
)

// outlook looks into a message of Outlook, also one that is attached to another, and into its attachments.
func (r *reading) outlook(s *entry) error {
	if s.child("__properties_version1.0") == nil {
		return nil
	}
	if strings.HasPrefix(strings.ToLower(s.name), attachmentPrefix) {
		return r.attachment(s)
	}
	if s.kind != kindRoot && !strings.EqualFold(s.name, propertyPrefix+dataObject) {
		return nil // a recipient
	}
	r.nameType(s, "application/vnd.ms-outlook")
	if err := r.reminder(s); err != nil {
		return err
	}
	return r.body(s)
}

// body yields the text of a message in all its forms ([MS-OXCMSG] 2.2.1.58).
func (r *reading) body(s *entry) error {
	if _, err := r.property(s, "007D"); err != nil { // the header of the mail that it came as
		return err
	}
	if text, err := r.property(s, "1000"); err != nil {
		return err
	} else if text != "" {
		if err := r.member(container.Member{Name: "body.txt", Declared: "text/plain", Content: []byte(text)}); err != nil {
			return err
		}
	}
	page, _, err := r.content(s, propertyPrefix+"10130102")
	if err != nil {
		return err
	}
	if page == nil {
		text, err := r.property(s, "1013")
		if err != nil {
			return err
		}
		page = []byte(text)
	}
	if len(page) > 0 {
		if err := r.member(container.Member{Name: "body.html", Declared: "text/html", Content: page}); err != nil {
			return err
		}
	}
	packed, _, err := r.content(s, propertyPrefix+"10090102")
	if err != nil || len(packed) == 0 {
		return err
	}
	text, err := decompressRTF(packed, r.f.Budget)
	if err != nil {
		if limitOf(err) != nil {
			return err
		}
		r.lack("the text of the message cannot be decompressed")
		return nil
	}
	return r.member(container.Member{Name: "body.rtf", Declared: "application/rtf", Content: text})
}

// property returns a text, which is in UTF-16 or in a code page ([MS-OXMSG] 2.1.1).
func (r *reading) property(s *entry, number string) (string, error) {
	b, e, err := r.content(s, propertyPrefix+number+"001F")
	if err != nil || e != nil {
		return fromUTF16(b), err
	}
	b, _, err = r.content(s, propertyPrefix+number+"001E")
	return strings.TrimRight(latin(b), "\x00"), err
}

// attachment yields what is attached. A message or an object in it has a storage of its own, which is looked into later.
func (r *reading) attachment(s *entry) error {
	var name string
	for _, number := range []string{"3707", "3704", "3001"} { // long file name, file name, display name
		text, err := r.property(s, number)
		if err != nil {
			return err
		}
		if name == "" {
			name = text
		}
	}
	path, err := r.property(s, "370D")
	if err != nil {
		return err
	}
	if isRemote(path) { // an attachment that is only a place
		r.remote(scan.RemoteObject, "linked attachment", path)
	}
	declared, err := r.property(s, "370E")
	if err != nil {
		return err
	}
	b, e, err := r.content(s, propertyPrefix+dataBinary)
	if err != nil || e == nil || len(b) == 0 {
		return err
	}
	return r.member(container.Member{Name: clip(name, 255), Declared: clip(strings.ToLower(declared), maxText), Content: b})
}

// reminder looks for the sound that a reminder plays: a network path there makes Outlook log on to a server of the sender's
// choice, without a click (CVE-2023-23397).
func (r *reading) reminder(s *entry) error {
	if s.kind == kindRoot {
		if err := r.nameSounds(); err != nil {
			return err
		}
	}
	for _, number := range r.sounds {
		place, err := r.property(s, number)
		if err != nil {
			return err
		}
		if isRemote(place) {
			r.remote(scan.RemoteObject, "sound of a reminder", place)
		}
	}
	return nil
}

// nameSounds finds which number the property has in this file ([MS-OXMSG] 2.2.3.1).
func (r *reading) nameSounds() error {
	const soundFile = 0x851f // PidLidReminderFileParameter
	list, _, err := r.content(r.c.root.child("__nameid_version1.0"), propertyPrefix+"00030102")
	if err != nil {
		return err
	}
	for ; len(list) >= 8 && len(r.sounds) < 4; list = list[8:] {
		if isText := list[4]&1 != 0; !isText && binary.LittleEndian.Uint32(list) == soundFile {
			r.sounds = append(r.sounds, fmt.Sprintf("%04X", 0x8000+uint32(binary.LittleEndian.Uint16(list[6:]))&0x7fff))
		}
	}
	return nil
}

// rtfDictionary is what the window of compressed RTF begins with ([MS-OXRTFCP] 2.1.2.1).
const rtfDictionary = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript " +
	"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par " +
	"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"

// decompressRTF decompresses the text of a message ([MS-OXRTFCP] 2.1.3).
func decompressRTF(in []byte, budget *container.Budget) ([]byte, error) {
	const header, compressed, stored = 16, 0x75465a4c, 0x414c454d
	if len(in) < header {
		return nil, errKeyData
	}
	size, kind := int64(binary.LittleEndian.Uint32(in[4:])), binary.LittleEndian.Uint32(in[8:])
	in = in[header:]
	switch {
	case kind == stored:
		return in[:min(int64(len(in)), size)], nil
	case kind != compressed:
		return nil, errKeyData
	}
	z := &rtfReader{in: in, at: len(rtfDictionary)}
	copy(z.window[:], rtfDictionary)
	return budget.ReadAll(z, int64(len(in)))
}

// An rtfReader decompresses. References lead into a window that goes round.
type rtfReader struct {
	in     []byte
	window [4096]byte
	at     int    // where in the window the next octet goes
	out    []byte // not read yet
	done   bool
}

// Read implements io.Reader.
func (z *rtfReader) Read(p []byte) (int, error) {
	for len(z.out) == 0 && !z.done {
		z.run()
	}
	return z.give(p)
}

// give hands out what was decompressed.
func (z *rtfReader) give(p []byte) (int, error) {
	if len(z.out) == 0 {
		return 0, io.EOF
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

// put adds one octet to the output and the window.
func (z *rtfReader) put(c byte) {
	z.out = append(z.out, c)
	z.window[z.at&0xfff] = c
	z.at++
}

// run decompresses what one octet of flags tells about: eight octets or references.
func (z *rtfReader) run() {
	z.out = z.out[:0]
	if len(z.in) == 0 {
		z.done = true
		return
	}
	flags := z.in[0]
	z.in = z.in[1:]
	for bit := range 8 {
		switch {
		case len(z.in) == 0, flags>>bit&1 != 0 && len(z.in) < 2:
			z.done = true
			return
		case flags>>bit&1 == 0:
			z.put(z.in[0])
			z.in = z.in[1:]
			continue
		}
		token := int(binary.BigEndian.Uint16(z.in))
		z.in = z.in[2:]
		from, count := token>>4, token&15+2
		if from == z.at&0xfff { // the end
			z.done = true
			return
		}
		for i := range count {
			z.put(z.window[(from+i)&0xfff])
		}
	}
}
