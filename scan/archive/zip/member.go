package zip

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"

	"assay/scan/container"
)

// Why a Member cannot be opened, or not well. An exceeded limit is a container.ErrLimit.
var (
	ErrFormat    = errors.New("zip: not a ZIP file")
	ErrEncrypted = errors.New("zip: encrypted")
	ErrMethod    = errors.New("zip: unsupported compression method")
	ErrDamaged   = errors.New("zip: damaged")
)

// A Member is one member of a ZIP file as one program or another sees it. Nothing of it is decompressed before Open.
type Member struct {
	Name      string // with "/" between folders, otherwise as it is in the file
	Size      int64  // that the file claims
	Encrypted bool   // one of its headers says so
	Method    string // in words: how it is encrypted, or else how it is compressed
	file      *zip.File
}

// Open returns the content. It tries the passwords of the file. An error of the content (ErrDamaged) comes with what could be
// read all the same; with ErrEncrypted and ErrMethod there is none.
func (m *Member) Open(b *container.Budget) ([]byte, error) {
	if m.Encrypted {
		return nil, ErrEncrypted
	}
	r, err := m.file.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMethod, err)
	}
	content, err := b.ReadAll(r, int64(m.file.CompressedSize64))
	if err != nil && !errors.Is(err, container.ErrLimit) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return content, err
}

// Members returns the members of a ZIP file in the order of the file, those of every reading: where programs would see
// different names, methods or places for one member, or where a member is in no directory, each is there. Folders are not.
// It counts nothing in the Budget; Open spends what it reads. The error is ErrFormat or that of a limit, and comes with
// the members that were found before.
func Members(f *container.File) ([]*Member, error) {
	r, err := zip.NewReader(bytes.NewReader(f.Content), int64(len(f.Content)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	var members []*Member
	for _, file := range r.File {
		members = append(members, &Member{
			Name: file.Name, Size: int64(file.UncompressedSize64), Encrypted: file.Flags&1 != 0, file: file,
		})
	}
	return members, nil
}
