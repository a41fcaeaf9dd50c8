package rar

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
)

// The archives of these tests are written here: there is no free program that writes RAR.

// block5 writes a block of RAR 5.
func block5(kind, flags uint64, fields, extra, data []byte) []byte {
	b := binary.AppendUvarint(nil, kind)
	if len(extra) > 0 {
		flags |= hasExtra5
	}
	if data != nil {
		flags |= hasData5
	}
	b = binary.AppendUvarint(b, flags)
	if len(extra) > 0 {
		b = binary.AppendUvarint(b, uint64(len(extra)))
	}
	if data != nil {
		b = binary.AppendUvarint(b, uint64(len(data)))
	}
	b = append(append(b, fields...), extra...)
	b = append(binary.AppendUvarint(nil, uint64(len(b))), b...)
	return append(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)), b...)
}

// A file5 is a member of RAR 5.
type member5 struct {
	name    string
	content string
	how     uint64 // compression information
	flags   uint64 // of the block
	power   byte   // of the key derivation; with a password
	secret  string
}

// salt is that of all encrypted things in these tests.
var salt = []byte("0123456789abcdef")

// block writes the member.
func (m member5) block() []byte {
	fields := binary.AppendUvarint(nil, crc5)
	fields = binary.AppendUvarint(fields, uint64(len(m.content)))
	fields = binary.LittleEndian.AppendUint32(append(fields, 0), crc32.ChecksumIEEE([]byte(m.content)))
	fields = append(binary.AppendUvarint(fields, m.how), 1)
	fields = append(binary.AppendUvarint(fields, uint64(len(m.name))), m.name...)
	data, extra := []byte(m.content), []byte(nil)
	if m.secret != "" {
		extra = append([]byte{0, crypt5, 0, 1, m.power}, salt...)
		extra = append(append(extra, salt...), check(m.secret, m.power)...)
		extra[0] = byte(len(extra) - 1)
		data = encrypt(m.secret, m.power, data)
	}
	return append(block5(file5, m.flags, fields, extra, data), data...)
}

// check is the value that tells a right password.
func check(password string, power byte) []byte {
	if power > 20 {
		return make([]byte, 12)
	}
	key, _ := pbkdf2.Key(sha256.New, password, salt, 1<<power+32, 32)
	var v [8]byte
	for i, c := range key {
		v[i%8] ^= c
	}
	sum := sha256.Sum256(v[:])
	return append(v[:], sum[:4]...)
}

// encrypt encrypts with padding.
func encrypt(password string, power byte, plain []byte) []byte {
	if power > 20 {
		return plain
	}
	key, _ := pbkdf2.Key(sha256.New, password, salt, 1<<power, 32)
	c, _ := aes.NewCipher(key)
	out := append(bytes.Clone(plain), make([]byte, -len(plain)&15)...)
	cipher.NewCBCEncrypter(c, salt).CryptBlocks(out, out)
	return out
}

// rar5 writes an archive.
func rar5(mainFlags byte, members ...member5) []byte {
	b := append([]byte(signature5), block5(main5, 0, []byte{mainFlags}, nil, nil)...)
	for _, m := range members {
		b = append(b, m.block()...)
	}
	return append(b, block5(end5, 0, []byte{0}, nil, nil)...)
}

// rar5Hidden writes an archive with encrypted headers.
func rar5Hidden(secret string, power byte, m member5) []byte {
	fields := append([]byte{0, 1, power}, salt...)
	b := append([]byte(signature5), block5(encrypt5, 0, append(fields, check(secret, power)...), nil, nil)...)
	hide := func(block []byte) { b = append(append(b, salt...), encrypt(secret, power, block)...) }
	hide(block5(main5, 0, []byte{0}, nil, nil))
	m.secret, m.power = secret, power
	whole := m.block()
	size := headerSize(whole, true)
	hide(whole[:size])
	b = append(b, whole[size:]...)
	hide(block5(end5, 0, []byte{0}, nil, nil))
	return b
}

// rar4 writes an archive of RAR 4 with one stored member.
func rar4(mainFlags uint16, fileFlags uint16, content string) []byte {
	sum := func(b []byte) []byte {
		return append(binary.LittleEndian.AppendUint16(nil, uint16(crc32.ChecksumIEEE(b))), b...)
	}
	b := append([]byte(signature4), sum(append(binary.LittleEndian.AppendUint16([]byte{main4}, mainFlags), 13, 0, 0, 0, 0, 0, 0, 0))...)
	h := binary.LittleEndian.AppendUint16([]byte{file4}, fileFlags|longBlock4)
	h = append(h, 32+5, 0)
	h = binary.LittleEndian.AppendUint32(h, uint32(len(content)))
	h = binary.LittleEndian.AppendUint32(h, uint32(len(content)))
	h = append(h, 2)
	h = binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE([]byte(content)))
	h = append(h, 0, 0, 0, 0, 29, method4Copy, 5, 0, 0, 0, 0, 0)
	b = append(append(b, sum(append(h, "a.txt"...))...), content...)
	return append(b, sum([]byte{end4, 0, 0x40, 7, 0})...)
}

func TestArchives(t *testing.T) {
	plain := member5{name: "a.txt", content: "hello"}
	locked := member5{name: "b.txt", content: "geheim", secret: "secret", power: 4}
	huge := member5{name: "c.bin", content: strings.Repeat("x", 100), how: 1<<6 | 1<<7 | 12<<10}
	for _, c := range []struct {
		name    string
		content []byte
		state   scan.State
		method  string
		want    string // names of members, with their state or content
		trait   scan.Trait
	}{
		{"plain 5", rar5(0, plain), scan.Inspected, "", "a.txt=hello", ""},
		{"plain 4", rar4(0, 0, "hello"), scan.Inspected, "", "a.txt=hello", ""},
		{"encrypted and opened", rar5(0, locked), scan.Inspected, "RAR5 AES-256", "b.txt=geheim", scan.OpenedPassword},
		{"mixed", rar5(0, plain, member5{name: "z", content: "?", secret: "unknown", power: 4}), scan.Encrypted, "RAR5 AES-256", "a.txt=hello z:encrypted", ""},
		{"names hidden, opened", rar5Hidden("secret", 4, plain), scan.Inspected, "RAR5 AES-256, names hidden", "a.txt=hello", scan.OpenedPassword},
		{"names hidden", rar5Hidden("unknown", 4, plain), scan.Encrypted, "RAR5 AES-256, names hidden", "", ""},
		{"names hidden in 4", rar4(encrypted4, 0, "hello"), scan.Encrypted, "RAR4 AES-128, names hidden", "", ""},
		{"encrypted 4", rar4(0, password4, "hello"), scan.Encrypted, "RAR4 AES-128", "a.txt:encrypted", ""},
		{"2^24 rounds", rar5(0, member5{name: "b", content: "x", secret: "secret", power: 24}), scan.Encrypted, "RAR5 AES-256", "b:encrypted", ""},
		{"2^24 rounds, names hidden", rar5Hidden("secret", 24, plain)[:100], scan.Encrypted, "RAR5 AES-256, names hidden", "", ""},
		{"dictionary of 512 MiB", rar5(0, huge, plain), scan.Uninspectable, "RAR, dictionary of 512 MiB", "c.bin:uninspectable a.txt=hello", ""},
		{"volume 5", rar5(volume5, plain, member5{name: "b", content: "x", flags: after5}), scan.Uninspectable, "volume 1 of a split archive", "a.txt=hello b:uninspectable", scan.SplitVolume},
		{"volume 4", rar4(volume4, before4, "hello"), scan.Uninspectable, "volume 1 of a split archive", "a.txt:uninspectable", scan.SplitVolume},
		{"program", append(append([]byte("MZ"), make([]byte, 3000)...), rar5(0, plain)...), scan.Inspected, "", "a.txt=hello", ""},
		{"something behind", append(rar5(0, plain), "trailing"...), scan.Inspected, "", "a.txt=hello =trailing", scan.Polyglot},
		{"cut off", rar5(0, plain, member5{name: "b", content: "content"})[:70], scan.Uninspectable, "damaged RAR archive", "a.txt=hello b=content", scan.Damaged},
		{"no archive", []byte(signature5 + "nothing that would be a block"), scan.Uninspectable, "damaged RAR archive", "", scan.Damaged},
		{"old", []byte("RE~^\x0e\x00\x00\x00\x00"), scan.Uninspectable, "RAR 1.4", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			v, members := inspect(t, "x.rar", c.content, "wrong", "secret")
			var got []string
			for _, m := range members {
				if m.State != "" {
					got = append(got, m.Name+":"+string(m.State))
				} else {
					got = append(got, m.Name+"="+string(m.Content))
				}
			}
			if s := strings.Join(got, " "); v.State != c.state || v.Method != c.method || s != c.want {
				t.Errorf("%s %q %q", v.State, v.Method, s)
			}
			if c.trait != "" && (len(v.Signs) != 1 || v.Signs[0].Trait != c.trait) {
				t.Errorf("signs %+v", v.Signs)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// A panic of the library is damage.
func TestPanic(t *testing.T) {
	if err := guard(func() error { panic("index out of range") }); err != errDamaged {
		t.Error(err)
	}
}

func TestVolumeNames(t *testing.T) {
	for name, want := range map[string]int{"a.rar": 1, "a.part3.rar": 3, "a.part12.RAR": 12, "a.r00": 2, "a.s01": 103, "a.txt": 1, "": 1, "x.partn.rar": 1} {
		if got := volumeOf(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}

func TestNotOurs(t *testing.T) {
	for _, f := range []container.File{
		{Content: []byte("a text about Rar!\x1a\x07\x01\x00 and nothing else")},
		{Content: append([]byte("PK\x03\x04"), rar5(0)...), Type: "application/zip"},
		{Content: []byte("RE~^ is no archive")},
		{Content: []byte("RE~")},
	} {
		if (Reader{}).Reads(&f) {
			t.Errorf("%q is claimed", f.Content)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(rar5(0, member5{name: "a", content: "hello"}, member5{name: "b", content: "x", secret: "secret", power: 2}))
	f.Add(rar5Hidden("secret", 2, member5{name: "a", content: "hello"}))
	f.Add(rar4(0, 0, "hello"))
	f.Add(rar4(encrypted4, password4, "hello"))
	f.Add(rar5(volume5, member5{name: "c", content: "some packed octets", how: 1<<6 | 1<<7}))
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		file := &container.File{Name: "x.rar", Content: b, Passwords: []string{"a", "secret"}, Budget: container.NewBudget(t.Context(),
			container.Limits{Members: 100, Octets: 4 << 20, Member: 1 << 20, Free: 1 << 18, Time: 5 * time.Second, Guesses: 3},
			func() time.Duration { return time.Since(start) })}
		if !(Reader{}).Reads(file) {
			return
		}
		if v := (Reader{}).Read(file, func(container.Member) bool { return true }); v.State == "" {
			t.Error("no state")
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%s for %d octets", took, len(b))
		}
	})
}
