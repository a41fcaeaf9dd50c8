package disk

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/archive/archivetest"
	"assay/scan/container"
	"assay/verify/vectors"
)

// The files in testdata hold a.txt ("hello") and "folder/A long name of a document.txt" ("a document"). They were made with
// genisoimage 1.1.11 (-J -R, -udf -J), xorriso 1.5.4, mkfs.fat 4.2 and mcopy 4.0.33 (the larger ones without their empty ends),
// qemu-img 7.2, cryptsetup 2.6 (headers only) and mkfs.ext4 1.47 (beginning only), and packed with gzip.

// inspect reads a file and returns what was yielded.
func inspect(t testing.TB, content []byte) (container.Verdict, []container.Member) {
	t.Helper()
	return archivetest.Read(t, Reader{}, &container.File{Name: "x.img", Content: content})
}

// names are the names and beginnings of members.
func names(members []container.Member) string {
	var s []string
	for _, m := range members {
		s = append(s, m.Name+"="+strings.TrimSpace(string(m.Content[:min(len(m.Content), 12)])))
	}
	return strings.Join(s, "|")
}

func TestFileSystems(t *testing.T) {
	const both = "a.txt=hello|folder/A long name of a document.txt=a document"
	for file, want := range map[string]string{
		"iso9660.iso.gz": "A.TXT=hello|FOLDER/A_LONG_N.TXT=a document", "joliet-rr.iso.gz": both, "xorriso.iso.gz": both,
		"bridge.iso.gz": both,
		"fat12.img.gz":  both, "fat16.img.gz": both, "fat32.img.gz": both, "fixed.vhd.gz": both,
	} {
		v, members := inspect(t, archivetest.Expanded(t, filepath.Join("testdata", file)))
		if got := names(members); v.State != scan.Inspected || got != want || len(v.Signs) != 0 {
			t.Errorf("%s: %+v %q", file, v, got)
		}
	}
}

// The UDF tree is read when there is no other.
func TestUDF(t *testing.T) {
	b := archivetest.Expanded(t, "testdata/bridge.iso.gz")
	for at := 16 * sector; string(b[at+1:at+6]) == "CD001"; at += sector {
		copy(b[at+1:], "BEA01")
	}
	v, members := inspect(t, b)
	if got := names(members); v.State != scan.Inspected || got != "a.txt=hello|folder/A long name of a document.txt=a document" {
		t.Errorf("%+v %q", v, got)
	}
}

func TestUnreadable(t *testing.T) {
	pad := func(s string, n int) []byte { return append([]byte(s), make([]byte, n)...) }
	at := func(n int, s string) []byte { b := make([]byte, 4096); copy(b[n:], s); return b }
	boot := func(name string) []byte { b := at(3, name); b[510], b[511] = 0x55, 0xaa; return b }
	locked := pad("QFI\xfb", 100)
	locked[35] = 2
	for method, b := range map[string][]byte{
		"LUKS1 aes-xts-plain64": archivetest.Expanded(t, "testdata/luks1.gz"), "LUKS2 aes-xts-plain64": archivetest.Expanded(t, "testdata/luks2.gz"),
		"BitLocker": boot("-FVE-FS-"), "encrypted Apple disk image": pad("encrcdsa", 100), "QCOW2 LUKS": locked,
	} {
		if v, _ := inspect(t, b); v.State != scan.Encrypted || v.Class != scan.ClassDisk || v.Method != method {
			t.Errorf("%s: %+v", method, v)
		}
	}
	for method, b := range map[string][]byte{
		"dynamic VHD image": archivetest.Expanded(t, "testdata/dynamic.vhd.gz"), "VMDK image": archivetest.Expanded(t, "testdata/x.vmdk.gz"),
		"QCOW2 image": archivetest.Expanded(t, "testdata/x.qcow2.gz"), "VirtualBox disk image": archivetest.Expanded(t, "testdata/x.vdi.gz"),
		"ext file system": archivetest.Expanded(t, "testdata/ext4.gz"), "VHDX image": pad("vhdxfile", 100), "NTFS image": boot("NTFS    "),
		"exFAT image": boot("EXFAT   "), "HFS+ file system": at(1024, "H+\x00\x04"),
		"Apple disk image": append(make([]byte, 1000), pad("koly\x00\x00\x00\x04", 504)...),
	} {
		if v, _ := inspect(t, b); v.State != scan.Uninspectable || v.Method != method {
			t.Errorf("%s: %+v", method, v)
		}
	}
}

func TestPartitions(t *testing.T) {
	fs := archivetest.Expanded(t, "testdata/fat12.img.gz")
	mbr := make([]byte, 2048*lba)
	mbr[510], mbr[511], mbr[446], mbr[450] = 0x55, 0xaa, 0x80, 1
	binary.LittleEndian.PutUint32(mbr[454:], 2048)
	binary.LittleEndian.PutUint32(mbr[458:], uint32(len(fs)/lba))
	gpt := bytes.Clone(mbr)
	copy(gpt[lba:], "EFI PART")
	gpt[lba+72], gpt[lba+80], gpt[lba+84] = 2, 4, 128
	binary.LittleEndian.PutUint64(gpt[2*lba+32:], 2048)
	binary.LittleEndian.PutUint64(gpt[2*lba+40:], uint64(2048+len(fs)/lba-1))
	for name, disk := range map[string][]byte{"MBR": mbr, "GPT": gpt} {
		v, members := inspect(t, append(bytes.Clone(disk), fs...))
		if v.State != scan.Inspected || len(members) != 1 || !bytes.Equal(members[0].Content, fs) {
			t.Errorf("%s: %+v, %d members", name, v, len(members))
		}
	}
	footer := make([]byte, lba)
	copy(footer, "conectix")
	footer[63] = 2
	v, members := inspect(t, append(append(bytes.Clone(mbr), fs...), footer...))
	if v.State != scan.Inspected || len(members) != 1 {
		t.Errorf("VHD with partitions: %+v, %d members", v, len(members))
	}
}

// Trees that lead to different extents are ambiguous, and all files are yielded.
func TestDifferentTrees(t *testing.T) {
	b := archivetest.Expanded(t, "testdata/joliet-rr.iso.gz")
	joliet := 17 * sector
	if b[joliet] != 2 {
		t.Fatal("no Joliet where it was expected")
	}
	root := int(binary.LittleEndian.Uint32(b[joliet+158:])) * sector
	name := bytes.Index(b[root:root+sector], []byte("\x00a\x00.\x00t\x00x\x00t"))
	record := root + name - 33
	binary.LittleEndian.PutUint32(b[record+2:], 16)
	binary.BigEndian.PutUint32(b[record+6:], 16)
	v, members := inspect(t, b)
	if len(v.Signs) != 1 || v.Signs[0].Trait != scan.Ambiguous || len(members) != 3 {
		t.Errorf("%+v %q", v, names(members))
	}
}

func TestCutOffAndCircles(t *testing.T) {
	b := archivetest.Expanded(t, "testdata/joliet-rr.iso.gz")
	if v, _ := inspect(t, b[:26*sector]); v.State != scan.Uninspectable || len(v.Signs) == 0 {
		t.Errorf("cut off: %+v", v)
	}
	fs := archivetest.Expanded(t, "testdata/fat12.img.gz")
	for i := lba; i < 10*lba; i++ { // every cluster leads to cluster 0x222 or 0x333
		fs[i] = 0x22 + byte(i&1)*0x11
	}
	start := time.Now()
	if v, _ := inspect(t, fs); v.State == "" {
		t.Errorf("circle: %+v", v)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestVectors(t *testing.T) {
	root := vectors.Path(t, "scan/samples")
	for file, want := range map[string]int{"active/strelka-test.iso": 1, "active/strelka-test_udf_1.50.img": 1, "other/fat.img": 1} {
		v, members := inspect(t, archivetest.Expanded(t, filepath.Join(root, file)))
		if v.State != scan.Inspected || len(members) < want {
			t.Errorf("%s: %+v, %q", file, v, names(members))
		}
		t.Logf("%s: %+v %q", file, v, names(members))
	}
	for _, folder := range []string{"7z", "active", "odf", "office", "other", "pdf", "pgp", "rar", "smime", "zip"} {
		files, err := os.ReadDir(filepath.Join(root, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range files {
			b, err := os.ReadFile(filepath.Join(root, folder, d.Name()))
			if err != nil {
				t.Fatal(err)
			}
			ext := filepath.Ext(d.Name())
			if (Reader{}).Reads(&container.File{Content: b}) && ext != ".iso" && ext != ".img" && !strings.Contains(d.Name(), "luks") {
				t.Errorf("%s is claimed", d.Name())
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.gz")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		if b := archivetest.Expanded(f, path); len(b) < 1<<20 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		file := &container.File{Content: b, Budget: container.NewBudget(t.Context(),
			container.Limits{Members: 100, Octets: 4 << 20, Member: 1 << 20, Free: 1 << 18, Time: 5 * time.Second},
			func() time.Duration { return time.Since(start) })}
		if !(Reader{}).Reads(file) {
			return
		}
		if v := (Reader{}).Read(file, func(m container.Member) bool { return m.Content != nil }); v.State == "" {
			t.Error("no state")
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%s for %d octets", took, len(b))
		}
	})
}
