package zip

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"hash/crc32"
	"path"
	"strings"
	"testing"

	"assay/scan/attach"
	"assay/scan/container"
)

// A record is a local header or an entry of a directory, field by field, so that tests can make them differ.
type record struct {
	flags, method      uint16
	time               uint16
	crc                uint32
	packed, size       uint32
	name, extra, after string // after is the comment of an entry
	disk               uint16
	offset             int // of an entry; -1 is where the local header is
	sig                string
}

// A piece is a member of a built archive: what stands before its local header, that, the content, and its entries.
type piece struct {
	before  string
	local   *record
	data    string
	behind  string // a descriptor, or garbage
	entries []record
}

// A built archive has pieces, a directory and an end.
type built struct {
	pieces        []piece
	beforeEntries string
	comment       string
	noEnd         bool
	end           func(*record) // changes the end: packed is the size of the directory, offset where it is, disk the number of entries
	behind        string
}

// member returns a piece whose headers agree.
func member(name, content string, method uint16) piece {
	data := pack(content, method)
	r := record{method: method, crc: crc32.ChecksumIEEE([]byte(content)), packed: uint32(len(data)), size: uint32(len(content)), name: name, offset: -1}
	local := r
	return piece{local: &local, data: data, entries: []record{r}}
}

// pack compresses with DEFLATE, or not at all.
func pack(content string, method uint16) string {
	if method != methodDeflate {
		return content
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 9)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return out.String()
}

func (r *record) local() []byte {
	sig := sigLocal
	if r.sig != "" {
		sig = r.sig
	}
	b := append([]byte(sig), 20, 0)
	for _, v := range []uint16{r.flags, r.method, r.time, 0x5821} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	for _, v := range []uint32{r.crc, r.packed, r.size} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.name)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.extra)))
	return append(append(b, r.name...), r.extra...)
}

func (r *record) central(at int) []byte {
	if r.offset >= 0 {
		at = r.offset
	}
	b := append([]byte(sigCentral), 20, 0, 20, 0)
	for _, v := range []uint16{r.flags, r.method, r.time, 0x5821} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	for _, v := range []uint32{r.crc, r.packed, r.size} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	for _, v := range []uint16{uint16(len(r.name)), uint16(len(r.extra)), uint16(len(r.after)), r.disk, 0} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	return append(append(append(b, r.name...), r.extra...), r.after...)
}

// octets writes the archive.
func (z built) octets() []byte {
	var b, directory []byte
	count := 0
	for _, p := range z.pieces {
		b = append(b, p.before...)
		at := len(b)
		if p.local != nil {
			b = append(b, p.local.local()...)
		}
		b = append(append(b, p.data...), p.behind...)
		for _, e := range p.entries {
			directory = append(directory, e.central(at)...)
			count++
		}
	}
	b = append(b, z.beforeEntries...)
	end := record{disk: uint16(count), packed: uint32(len(directory)), offset: len(b)}
	b = append(b, directory...)
	if z.noEnd {
		return append(b, z.behind...)
	}
	if z.end != nil {
		z.end(&end)
	}
	return append(append(b, end.end(z.comment)...), z.behind...)
}

// end writes an end of a directory.
func (r *record) end(comment string) []byte {
	b := []byte(sigEnd + "\x00\x00\x00\x00")
	b = binary.LittleEndian.AppendUint16(b, r.disk)
	b = binary.LittleEndian.AppendUint16(b, r.disk)
	b = binary.LittleEndian.AppendUint32(b, r.packed)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.offset))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(comment)))
	return append(b, comment...)
}

// file makes a container.File of octets, with a fresh Budget.
func file(name string, content []byte, passwords ...string) *container.File {
	return &container.File{
		Name: name, Extension: strings.TrimPrefix(strings.ToLower(path.Ext(name)), "."), Type: attach.Sniff(content), Content: content,
		Passwords: passwords, Budget: container.NewBudget(context.Background(), container.Limits{}, nil),
	}
}

// read returns the members and the verdict of a file that has to be a ZIP file.
func read(t testing.TB, f *container.File) ([]container.Member, container.Verdict) {
	t.Helper()
	if !(Reader{}).Reads(f) {
		t.Fatalf("%s is not recognized", f.Name)
	}
	var members []container.Member
	v := Reader{}.Read(f, func(m container.Member) bool {
		members = append(members, m)
		return true
	})
	return members, v
}

// within reports whether a content is in the members of a file, or of files in it.
func within(f *container.File, want string, depth int) bool {
	found := false
	if depth == 0 || !(Reader{}).Reads(f) {
		return false
	}
	Reader{}.Read(f, func(m container.Member) bool {
		found = found || m.Content != nil && strings.Contains(string(m.Content), want) || m.Content != nil && within(file(m.Name, m.Content), want, depth-1)
		return !found
	})
	return found
}

// contents returns the contents of the members by their names, without those that could not be read.
func contents(members []container.Member) map[string]string {
	out := map[string]string{}
	for _, m := range members {
		if m.Content != nil {
			out[m.Name] = string(m.Content)
		}
	}
	return out
}

// has reports whether a verdict has a sign.
func hasSign(v container.Verdict, trait string) bool {
	for _, s := range v.Signs {
		if string(s.Trait) == trait {
			return true
		}
	}
	return false
}
