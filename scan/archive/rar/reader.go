// Package rar reads RAR archives of the versions 1.5 to 7, also self-extracting ones.
//
// The headers are read, and decrypted, here: what they ask for is known before anything is done for it. A library unpacks, and
// sees only headers whose dictionaries and rounds of key derivation are bounded. Members that lie in one volume of a split archive
// in full are read; it does not put volumes together.
//
// Specifications: RAR 5.0 archive format (rarlab.com/technote.htm), technote.txt of unrar 4 for the format before.
package rar

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// The signatures of archives.
const (
	signature4 = "Rar!\x1a\x07\x00"
	signature5 = "Rar!\x1a\x07\x01\x00"
	signature1 = "RE~^"
)

// searched is how far into a program or a picture an archive may begin.
const searched = 4 << 20

// A Reader reads RAR archives. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool {
	return bytes.HasPrefix(f.Content, []byte(signature4[:6])) || isOld(f) || find(f) >= 0
}

// isOld tells an archive of RAR 1.4, which nothing has written since 1995: the signature, and a header of at least seven octets.
func isOld(f *container.File) bool {
	return len(f.Content) > 7 && string(f.Content[:4]) == signature1 && f.Content[5] == 0 && f.Content[4] >= 7
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	if isOld(f) {
		return container.Verdict{State: scan.Uninspectable, Method: "RAR 1.4"}
	}
	at := find(f)
	if at < 0 {
		const text = "damaged RAR archive"
		return container.Verdict{State: scan.Uninspectable, Method: text, Signs: []container.Sign{{Trait: scan.Damaged, Detail: text}}}
	}
	r := &run{file: f, yield: yield, keys: keyring{budget: f.Budget}}
	r.read(f.Content[at:])
	return r.verdict()
}

// find returns where an archive begins, -1 if there is none: at the start, or inside of what may carry one.
func find(f *container.File) int {
	b := f.Content[:min(len(f.Content), searched)]
	for from := 0; from < len(b); {
		at := bytes.Index(b[from:], []byte(signature4[:6]))
		if at < 0 || from+at > 0 && !carries(f) {
			return -1
		}
		at += from
		if begins(f.Content[at:]) {
			return at
		}
		from = at + 1
	}
	return -1
}

// begins reports whether a signature and a first block with the right checksum are there.
func begins(b []byte) bool {
	w := newWalker(b)
	if w == nil {
		return false
	}
	k, err := w.next()
	return err == nil && k != nil && (!w.five && k.kind == main4 || w.five && (k.kind == main5 || k.kind == encrypt5))
}

// newWalker returns what reads the blocks, nil if there is no signature.
func newWalker(b []byte) *walker {
	switch {
	case bytes.HasPrefix(b, []byte(signature5)):
		return &walker{b: b, at: len(signature5), five: true}
	case bytes.HasPrefix(b, []byte(signature4)):
		return &walker{b: b, at: len(signature4)}
	}
	return nil
}

// carries reports whether an archive may be hidden behind the beginning of the file: a program that extracts it, or something
// that is shown. What holds files of its own has another Reader, which finds archives in it.
func carries(f *container.File) bool {
	b := f.Content
	switch {
	case bytes.HasPrefix(b, []byte("MZ")), bytes.HasPrefix(b, []byte("\x7fELF")), bytes.HasPrefix(b, []byte("#!")):
		return true
	case len(b) > 512 && b[510] == 0x55 && b[511] == 0xaa: // a disk image
		return false
	}
	switch group, _, _ := strings.Cut(f.Type, "/"); group {
	case "", "image", "audio", "video", "text":
		return true
	}
	return f.Type == "application/octet-stream" || f.Type == "application/pdf" || f.Type == "application/x-mach-binary"
}

// volumeOf returns the number in the name of a volume, 1 if there is none: name.part3.rar, name.r01.
func volumeOf(name string) int {
	name = strings.ToLower(name)
	if base, ok := strings.CutSuffix(name, ".rar"); ok {
		digits := base[strings.LastIndexByte(base, '.')+1:]
		if number, ok := strings.CutPrefix(digits, "part"); ok {
			return max(1, decimal(number))
		}
		return 1
	}
	ext := name[strings.LastIndexByte(name, '.')+1:]
	if len(ext) == 3 && ext[0] >= 'r' && ext[0] <= 'z' {
		if n := decimal(ext[1:]); n >= 0 {
			return n + 2 + int(ext[0]-'r')*100
		}
	}
	return 1
}

// decimal reads up to five digits, -1 if it is something else.
func decimal(s string) int {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' || n > 9999 {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	if s == "" {
		return -1
	}
	return n
}
