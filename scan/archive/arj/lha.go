package arj

import (
	"strings"

	"assay/scan"
)

// isLHA tells an archive by its method, its level and, for the levels that have one, the checksum of the header.
func isLHA(b []byte) bool {
	it, _, ok := lhaHeader(b)
	return ok && it.method != ""
}

// lhaMethods are the methods that are undone. The table is never written.
var lhaMethods = map[string]params{
	"-lh4-": {window: 1 << 12, positions: 14, positionBits: 4},
	"-lh5-": {window: 1 << 13, positions: 14, positionBits: 4},
	"-lh6-": {window: 1 << 15, positions: 16, positionBits: 5},
	"-lh7-": {window: 1 << 16, positions: 17, positionBits: 5},
}

// lhaHeader reads a header, and returns its length. The packed octets follow it.
func lhaHeader(b []byte) (it item, length int, ok bool) {
	if len(b) < 27 || b[2] != '-' || b[3] != 'l' || b[6] != '-' || b[4] != 'h' && b[4] != 'z' || b[20] > 2 {
		return it, 0, false
	}
	method := string(b[2:7])
	it = item{size: int64(le32(b, 11)), method: "LHA compression " + strings.Trim(method, "-"), stored: method == "-lh0-" || method == "-lz4-"}
	if p, known := lhaMethods[method]; known {
		it.code = &p
	}
	packed := int(le32(b, 7))
	var sum uint16
	if b[20] == 2 {
		length, sum = int(le16(b, 0)), le16(b, 21)
		if length < 26 || length > len(b) {
			return it, 0, false
		}
		it.extended(b[:length], 24)
	} else {
		if length, packed, sum, ok = it.oldHeader(b, packed); !ok {
			return it, 0, false
		}
	}
	if packed < 0 {
		return it, 0, false
	}
	rest := b[length:]
	it.packed, it.whole = rest[:min(packed, len(rest))], packed <= len(rest)
	it.intact = func(content []byte) bool { return crc16(content) == sum }
	return it, length + len(it.packed), true
}

// oldHeader reads a header of level 0 or 1.
func (it *item) oldHeader(b []byte, packed int) (length, left int, sum uint16, ok bool) {
	length = int(b[0]) + 2
	nameEnd := 22 + int(b[21])
	if length > len(b) || nameEnd+2 > length || checksum(b[2:length]) != b[1] {
		return 0, 0, 0, false
	}
	it.name, sum = string(b[22:nameEnd]), le16(b, nameEnd)
	if b[20] == 0 {
		return length, packed, sum, true
	}
	if length-2 < nameEnd+2 {
		return 0, 0, 0, false
	}
	size := it.extended(b, length-2)
	return length + size, packed - size, sum, length+size <= len(b)
}

// extended reads extended headers, the length of the first of which is at a place, and returns how many octets they have.
func (it *item) extended(b []byte, at int) (total int) {
	folder := ""
	for at+2 <= len(b) {
		size := int(le16(b, at))
		if at += 2; size < 3 || at+size > len(b) {
			break
		}
		total += size
		switch data := string(b[at+1 : at+size-2]); b[at] {
		case 1:
			it.name = data
		case 2:
			folder = strings.ReplaceAll(data, "\xff", "/")
		}
		at += size - 2
	}
	it.name = folder + it.name
	return total
}

// checksum is the sum of octets.
func checksum(b []byte) (sum byte) {
	for _, c := range b {
		sum += c
	}
	return sum
}

// crc16 is CRC-16 with the polynomial 0x8005, least significant bit first.
func crc16(b []byte) (sum uint16) {
	for _, c := range b {
		sum ^= uint16(c)
		for range 8 {
			sum = sum>>1 ^ 0xa001&-(sum&1)
		}
	}
	return sum
}

// readLHA reads an LHA archive.
func readLHA(r *run) error {
	for at := 0; at < len(r.b) && r.b[at] != 0; {
		it, length, ok := lhaHeader(r.b[at:])
		if !ok {
			r.sign(scan.Damaged, errDamaged.Error())
			return errDamaged
		}
		at += length
		if it.method == "LHA compression lhd" { // a folder
			if err := r.file.Budget.Member(); err != nil {
				return err
			}
			continue
		}
		if err := r.member(it); err != nil {
			return err
		}
		if at < len(r.b) && r.b[at] == 0 {
			return r.behind(r.b[at:])
		}
	}
	return nil
}
