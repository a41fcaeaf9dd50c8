// Package cab reads cabinets, also inside of programs that extract them. It undoes MSZIP and LZX; it does not undo Quantum, and
// does not put the cabinets of a set together.
//
// Specifications: [MS-CAB] Cabinet File Format, [MS-MCI] MSZIP, [MS-PATCH] LZX.
package cab

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"assay/scan"
	"assay/scan/container"
)

// signature begins a cabinet: four octets, and four that are zero.
const signature = "MSCF\x00\x00\x00\x00"

// searched is how far into a program a cabinet may begin.
const searched = 4 << 20

// A Reader reads cabinets. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return find(f.Content) >= 0 }

// find returns where a cabinet begins, -1 if there is none.
func find(b []byte) int {
	if bytes.HasPrefix(b, []byte("MSCF")) && len(b) >= 36 {
		return 0
	}
	if !bytes.HasPrefix(b, []byte("MZ")) {
		return -1
	}
	for from, limit := 0, min(len(b), searched); from < limit; {
		at := bytes.Index(b[from:limit], []byte(signature))
		if at < 0 {
			return -1
		}
		at += from
		// The reserved fields are zero, the version is 1.3, and the cabinet lies in the file.
		if h := b[at:]; len(h) >= 36 && le32(h, 12) == 0 && le32(h, 20) == 0 && h[24] == 3 && h[25] == 1 && uint64(le32(h, 8)) <= uint64(len(h)) {
			return at
		}
		from = at + 1
	}
	return -1
}

// le16 and le32 read numbers.
func le16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }

// errDamaged is the error about what makes no sense.
var errDamaged = errors.New("damaged cabinet")

// A refusal says why a folder cannot be read.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	at := find(f.Content)
	if at < 0 {
		return container.Verdict{State: scan.Uninspectable, Method: errDamaged.Error()}
	}
	r := &run{file: f, b: f.Content[at:], yield: yield}
	err := r.header()
	if err == nil {
		err = r.files()
	}
	if err != nil {
		r.failed(err)
	}
	if r.limit != nil {
		return container.Limited(r.limit, r.signs...)
	}
	if r.reason != "" {
		return container.Verdict{State: scan.Uninspectable, Method: r.reason, Signs: r.signs}
	}
	return container.Verdict{State: scan.Inspected, Signs: r.signs}
}

// A run reads one cabinet.
type run struct {
	file    *container.File
	b       []byte
	yield   func(container.Member) bool
	folders []folder
	first   int // where the entries of files are
	count   int // how many
	reserve int // octets in front of data blocks
	open    int // the folder that is decompressed, one more than its number
	data    []byte
	dataErr error
	signs   []container.Sign
	reason  string
	limit   error
}

// A folder is what is compressed in one go.
type folder struct {
	at, blocks int
	method     uint16
}

// sign adds a trait, once.
func (r *run) sign(trait scan.Trait, detail string) {
	for i := range r.signs {
		if r.signs[i].Trait == trait {
			return
		}
	}
	r.signs = append(r.signs, container.Sign{Trait: trait, Detail: detail})
}

// failed remembers an error, and returns it in words.
func (r *run) failed(err error) string {
	var refused refusal
	switch limit := new(container.LimitError); {
	case errors.As(err, &limit):
		if r.limit = err; limit.Limit == "ratio" {
			r.sign(scan.Bomb, err.Error())
		}
		return err.Error()
	case errors.As(err, &refused):
		if r.reason == "" {
			r.reason = string(refused)
		}
		return string(refused)
	}
	if r.reason == "" {
		r.reason = errDamaged.Error()
	}
	r.sign(scan.Damaged, errDamaged.Error())
	return errDamaged.Error()
}

// header reads CFHEADER and the CFFOLDERs ([MS-CAB] 2.1, 2.2).
func (r *run) header() error {
	b := r.b
	flags := le16(b, 30)
	r.first, r.count = int(le32(b, 16)), int(le16(b, 28))
	at, folderReserve := 36, 0
	if flags&4 != 0 {
		if len(b) < 40 {
			return errDamaged
		}
		r.reserve, folderReserve = int(b[39]), int(b[38])
		at = 40 + int(le16(b, 36))
	}
	for i := range 4 { // names of the cabinet before and behind, and of their disks
		if flags&(1<<(i/2)) == 0 {
			continue
		}
		end := bytes.IndexByte(b[min(at, len(b)):], 0)
		if end < 0 {
			return errDamaged
		}
		at += end + 1
	}
	if flags&3 != 0 {
		r.reason = fmt.Sprintf("volume %d of a split cabinet", int(le16(b, 34))+1)
		r.sign(scan.SplitVolume, r.reason)
	}
	for range le16(b, 26) {
		if at+8 > len(b) {
			return errDamaged
		}
		r.folders = append(r.folders, folder{int(le32(b, at)), int(le16(b, at+4)), le16(b, at+6)})
		at += 8 + folderReserve
	}
	return nil
}

// files yields the files ([MS-CAB] 2.3).
func (r *run) files() error {
	at := r.first
	for range r.count {
		if at < 0 || at+17 > len(r.b) {
			return errDamaged
		}
		e := r.b[at:]
		end := bytes.IndexByte(e[16:min(len(e), 16+1024)], 0)
		if end < 0 {
			return errDamaged
		}
		at += 16 + end + 1
		m := container.Member{Name: string(bytes.ReplaceAll(e[16:16+end], []byte("\\"), []byte("/"))), Size: int64(le32(e, 0))}
		if err := r.file.Budget.Member(); err != nil {
			return err
		}
		if err := r.fill(&m, int64(le32(e, 4)), int(le16(e, 8))); err != nil {
			m.State, m.Method = scan.Uninspectable, r.failed(err)
		}
		if !r.yield(m) || r.limit != nil && r.file.Budget.Over() != nil {
			return nil
		}
	}
	return nil
}

// fill sets the content of a file that lies at a place of a folder.
func (r *run) fill(m *container.Member, at int64, number int) error {
	if number >= 0xfffd {
		return refusal("continues in another cabinet")
	}
	if number >= len(r.folders) {
		return errDamaged
	}
	if r.open != number+1 {
		r.open = number + 1
		r.data, r.dataErr = r.unpack(r.folders[number])
	}
	if have := int64(len(r.data)); at+m.Size > have {
		if at < have { // what there is
			m.Content = r.data[at:]
			m.Signs = []container.Sign{{Trait: scan.Damaged, Detail: r.failed(errors.Join(r.dataErr, errDamaged))}}
			return nil
		}
		if r.dataErr == nil {
			return errDamaged
		}
		return r.dataErr
	}
	m.Content = r.data[at : at+m.Size]
	return nil
}

// unpack decompresses a folder.
func (r *run) unpack(f folder) ([]byte, error) {
	s := &blocks{run: r, at: f.at, left: f.blocks}
	switch f.method & 0xf {
	case 0:
		s.unpack = func(packed []byte, _ int) ([]byte, error) { return packed, nil }
	case 1:
		s.unpack = new(mszip).unpack
	case 2:
		return nil, refusal("Quantum compression")
	case 3:
		bits := uint(f.method >> 8 & 0x1f)
		if bits < 15 || bits > 21 {
			return nil, errDamaged
		}
		s.unpack = newLZX(bits).frame
	default:
		return nil, refusal("unknown compression method")
	}
	return r.file.Budget.ReadAll(s, int64(len(r.b)-min(len(r.b), max(0, f.at))))
}

// blocks reads the data blocks of a folder.
type blocks struct {
	*run
	at, left int
	unpack   func(packed []byte, size int) ([]byte, error)
	out      []byte
}

// Read implements io.Reader.
func (s *blocks) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// next decompresses the next CFDATA ([MS-CAB] 2.4).
func (s *blocks) next() error {
	if s.left == 0 {
		return io.EOF
	}
	s.left--
	start := s.at + 8 + s.reserve
	if s.at < 0 || start > len(s.b) {
		return errDamaged
	}
	packed, size := int(le16(s.b, s.at+4)), int(le16(s.b, s.at+6))
	if start+packed > len(s.b) || size > 32<<10 {
		return errDamaged
	}
	if want := le32(s.b, s.at); want != 0 && want != checksum(s.b[s.at+4:start+packed]) {
		return errDamaged
	}
	s.at = start + packed
	if size == 0 && packed > 0 {
		return refusal("continues in another cabinet")
	}
	out, err := s.unpack(s.b[start:start+packed], size)
	if err != nil || len(out) != size {
		return errDamaged
	}
	s.out = out
	return nil
}

// checksum is that of a data block: the exclusive or of its words, of which the last, shorter one is read the other way around. The
// sizes in front of the data count last, which makes no difference.
func checksum(b []byte) (sum uint32) {
	head, data := b[:4], b[4:]
	for ; len(data) >= 4; data = data[4:] {
		sum ^= le32(data, 0)
	}
	var last uint32
	for _, c := range data {
		last = last<<8 | uint32(c)
	}
	return sum ^ last ^ le32(head, 0)
}

// mszip undoes MSZIP ([MS-MCI]): every block is DEFLATE with what came before as dictionary.
type mszip struct {
	z    io.ReadCloser
	last []byte
}

// unpack decompresses one block.
func (m *mszip) unpack(packed []byte, size int) ([]byte, error) {
	if len(packed) < 2 || packed[0] != 'C' || packed[1] != 'K' {
		return nil, errDamaged
	}
	in := bytes.NewReader(packed[2:])
	if m.z == nil {
		m.z = flate.NewReader(in)
	} else if err := m.z.(flate.Resetter).Reset(in, m.last); err != nil {
		return nil, err
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(m.z, out); err != nil {
		return nil, err
	}
	m.last = out
	return out, nil
}
