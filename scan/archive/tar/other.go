package tar

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// member is a member whose content is there.
func member(name string, content []byte) container.Member {
	if content == nil {
		content = []byte{}
	}
	return container.Member{Name: name, Content: content}
}

// isAr tells an archive of ar(1).
func isAr(b []byte) bool { return bytes.HasPrefix(b, []byte("!<arch>\n")) }

// readAr reads an archive of ar(1): headers of 60 octets in decimal text. Long names stand in a member of their own (GNU), or at
// the start of the content (BSD).
func readAr(r *run) error {
	b := r.file.Content
	var long []byte
	for at := int64(8); at < int64(len(b)); {
		h, whole := part(b, at, 60)
		if !whole || string(h[58:]) != "`\n" {
			return r.junk(b[at:])
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
		if err != nil || size < 0 {
			return errBroken
		}
		content, whole := part(b, at+60, size)
		name := strings.TrimRight(string(h[:16]), " ")
		at += 60 + int64(len(content)) + size&1
		switch {
		case name == "//" && whole:
			long = content
			continue
		case strings.HasPrefix(name, "#1/"):
			n, _ := strconv.Atoi(name[3:])
			n = max(0, min(n, len(content)))
			name, content = strings.TrimRight(string(content[:n]), "\x00"), content[n:]
		case len(name) > 1 && name[0] == '/':
			name = longName(long, name[1:])
		}
		if err := r.member(strings.TrimSuffix(name, "/"), content); err != nil {
			return err
		}
		if !whole {
			return errCutOff
		}
	}
	return nil
}

// longName returns the name at a place of the member that holds the long ones.
func longName(long []byte, place string) string {
	at, err := strconv.Atoi(place)
	if err != nil || at < 0 || at >= len(long) {
		return place
	}
	name, _, _ := strings.Cut(string(long[at:]), "\n")
	return name
}

// junk yields what follows an archive.
func (r *run) junk(rest []byte) error {
	if len(bytes.Trim(rest, "\x00\n")) == 0 {
		return nil
	}
	r.sign(scan.Polyglot, "%d octets behind the end of the archive", len(rest))
	return r.member("", rest)
}

// A record is one member of a cpio archive.
type record struct {
	mode, nameSize, size int64
	header               int64 // its length
	align                int64 // of the name, with the header, and of the content
}

// cpioFormat returns what reads the headers of a cpio archive, nil if it is none.
func cpioFormat(b []byte) func([]byte) (record, bool) {
	for _, format := range []func([]byte) (record, bool){newcRecord, odcRecord, binaryRecord} {
		if rec, ok := format(b); ok && rec.nameSize > 0 && rec.nameSize < 4096 && rec.header+rec.nameSize <= int64(len(b)) &&
			b[rec.header+rec.nameSize-1] == 0 {
			return format
		}
	}
	return nil
}

// newcRecord reads a header of SVR4: numbers in eight hexadecimal digits.
func newcRecord(b []byte) (rec record, ok bool) {
	if len(b) < 110 || string(b[:6]) != "070701" && string(b[:6]) != "070702" {
		return rec, false
	}
	raw, err := hex.DecodeString(string(b[6:110]))
	if err != nil {
		return rec, false
	}
	field := func(i int) int64 { return int64(binary.BigEndian.Uint32(raw[4*i:])) }
	return record{mode: field(1), size: field(6), nameSize: field(11), header: 110, align: 4}, true
}

// odcRecord reads a header of POSIX: numbers in octal digits.
func odcRecord(b []byte) (rec record, ok bool) {
	if len(b) < 76 || string(b[:6]) != "070707" {
		return rec, false
	}
	mode, ok1 := octal(b[18:24])
	name, ok2 := octal(b[59:65])
	size, ok3 := octal(b[65:76])
	return record{mode: mode, size: size, nameSize: name, header: 76, align: 1}, ok1 && ok2 && ok3
}

// binaryRecord reads a header of the oldest format, in either byte order.
func binaryRecord(b []byte) (rec record, ok bool) {
	if len(b) < 26 {
		return rec, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 0x71 && b[1] == 0xc7 {
		order = binary.BigEndian
	}
	field := func(at int) int64 { return int64(order.Uint16(b[at:])) }
	return record{mode: field(6), nameSize: field(20), size: field(22)<<16 | field(24), header: 26, align: 2}, field(0) == 0o70707
}

// readCpio reads a cpio archive.
func readCpio(r *run) error {
	b := r.file.Content
	format := cpioFormat(b)
	round := func(n, align int64) int64 { return (n + align - 1) / align * align }
	for at := int64(0); at < int64(len(b)); {
		if len(bytes.Trim(b[at:min(at+512, int64(len(b)))], "\x00")) == 0 { // padding
			at += 512
			continue
		}
		rec, ok := format(b[at:])
		if !ok {
			if at%4 != 0 { // the padding ends within four octets
				at++
				continue
			}
			return r.junk(b[at:])
		}
		rawName, whole := part(b, at+rec.header, rec.nameSize)
		if !whole {
			return errCutOff
		}
		content, whole := part(b, at+round(rec.header+rec.nameSize, rec.align), rec.size)
		at += round(rec.header+rec.nameSize, rec.align) + round(rec.size, rec.align)
		name := strings.TrimRight(string(rawName), "\x00")
		if err := r.cpioMember(name, rec.mode, content); err != nil {
			return err
		}
		if !whole {
			return errCutOff
		}
	}
	return nil
}

// cpioMember yields a member, unless it is the mark of the end or has no content by its kind.
func (r *run) cpioMember(name string, mode int64, content []byte) error {
	const kind, regular = 0o170000, 0o100000
	if name == "TRAILER!!!" && len(content) == 0 {
		return nil
	}
	if mode&kind != regular && len(content) == 0 {
		return r.count()
	}
	return r.member(name, content)
}

// isRPM tells an RPM package by its lead.
func isRPM(b []byte) bool { return len(b) > 112 && string(b[:4]) == "\xed\xab\xee\xdb" }

// readRPM yields the payload of a package, which lies behind the lead, the signature and the header, and the headers, which hold
// scripts.
func readRPM(r *run) error {
	b := r.file.Content
	at := int64(96)
	for _, aligned := range []bool{true, false} {
		h, whole := part(b, at, 16)
		if !whole || string(h[:3]) != "\x8e\xad\xe8" {
			return errBroken
		}
		size := 16 + 16*int64(binary.BigEndian.Uint32(h[8:])) + int64(binary.BigEndian.Uint32(h[12:]))
		header, whole := part(b, at, size)
		if !whole {
			return errCutOff
		}
		if at += size; aligned {
			at = (at + 7) &^ 7
			continue
		}
		if err := r.member("header", header); err != nil {
			return err
		}
	}
	payload, _ := part(b, at, int64(len(b))-at)
	if len(payload) == 0 {
		return errCutOff
	}
	return r.member("payload", payload)
}
