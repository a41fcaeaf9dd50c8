package disk

import (
	"encoding/binary"
	"fmt"

	"assay/scan/container"
)

// lba is the size of a block of disks.
const lba = 512

// partitions returns the partitions of a disk: by GUID (UEFI 5.3) or by the table in the first sector (UEFI 5.2).
func partitions(b []byte) []extent {
	if len(b) < 2*lba || b[510] != 0x55 || b[511] != 0xaa {
		return nil
	}
	if found := byGUID(b); len(found) > 0 {
		return found
	}
	var found []extent
	for i := range 4 {
		p := b[446+16*i : 462+16*i]
		start, size := int64(le32(p, 8)), int64(le32(p, 12))
		switch {
		case p[0] != 0 && p[0] != 0x80:
			return nil
		case p[4] == 0 && start == 0 && size == 0:
			continue
		case p[4] == 0 || start == 0 || size == 0 || start*lba >= int64(len(b)):
			return nil
		}
		found = append(found, extent{start * lba, size * lba})
	}
	return found
}

// byGUID reads a GUID partition table.
func byGUID(b []byte) (found []extent) {
	h := b[lba:]
	if string(h[:8]) != "EFI PART" {
		return nil
	}
	at, n, size := int64(min(le64(h, 72), 1<<40))*lba, int64(min(le32(h, 80), 256)), int64(le32(h, 84))
	if size < 128 || size > 4096 {
		return nil
	}
	for ; n > 0 && at+128 <= int64(len(b)); n-- {
		e := b[at:]
		at += size
		first, last := le64(e, 32), le64(e, 40)
		if first == 0 || last < first || last > 1<<40 {
			continue
		}
		found = append(found, extent{int64(first) * lba, int64(last-first+1) * lba})
	}
	return found
}

// isPartitioned tells a disk with partitions.
func isPartitioned(b []byte) bool { return len(partitions(b)) > 0 }

// readPartitions yields the partitions.
func readPartitions(r *run) error {
	for i, e := range partitions(r.b) {
		if e.at > int64(len(r.b)) {
			r.problem("cut off disk image")
			continue
		}
		if err := r.member(fmt.Sprintf("partition %d", i+1), []extent{e}); err != nil {
			return err
		}
	}
	return nil
}

// isFixedVHD tells a fixed hard disk image by its footer (Virtual Hard Disk Image Format, "Hard Disk Footer Format").
func isFixedVHD(b []byte) bool {
	if len(b) < 2*lba {
		return false
	}
	footer := b[len(b)-lba:]
	return string(footer[:8]) == "conectix" && binary.BigEndian.Uint32(footer[60:]) == 2
}

// readVHD yields the disk before the footer, unless it was read already: a file system needs no footer.
func readVHD(r *run) error {
	if len(r.seen) > 0 {
		return nil
	}
	r.whole = true
	disk := r.b[:len(r.b)-lba]
	if err := r.file.Budget.Member(); err != nil {
		return err
	}
	if !r.yield(container.Member{Name: r.file.Name, Content: disk, Plain: true}) {
		return errStopped
	}
	return nil
}
