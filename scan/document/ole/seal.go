package ole

import (
	"encoding/binary"
	"errors"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// A packageKey opens an encrypted package.
type packageKey interface {
	key
	open(body []byte) ([]byte, error)
	intact(stream []byte) bool
}

// sealed looks for a document of Office 2007 and later that lies encrypted in the file, and for one under rights management
// ([MS-OFFCRYPTO] 2.3.4, 2.2).
func (r *reading) sealed() error {
	root := r.c.root
	if root.child("\x09DRMContent") != nil || root.child("\x09DRMViewerContent") != nil || r.underRights() {
		r.lock("rights management")
		return nil
	}
	stream, e, err := r.content(root, "EncryptedPackage")
	if err != nil || e == nil {
		return err
	}
	r.mediaType = "application/x-ole-encrypted-package"
	info, _, err := r.content(root, "EncryptionInfo")
	if err != nil {
		r.lock("unknown encryption")
		return err
	}
	k, method, err := r.packageKey(info)
	if err != nil {
		r.lock(method)
		return nil
	}
	return r.openPackage(k, method, stream)
}

// underRights reports whether the transformation of the package is that of rights management ([MS-OFFCRYPTO] 2.2.6).
func (r *reading) underRights() bool {
	for _, folder := range []string{"TransformInfo", "DataSpaceInfo"} {
		f := r.c.root.child("\x06DataSpaces").child(folder)
		if f == nil {
			continue
		}
		for _, e := range f.children {
			if strings.HasPrefix(strings.ToUpper(e.name), "DRM") {
				return true
			}
		}
	}
	return false
}

// lock notes that something encrypted stays closed.
func (r *reading) lock(method string) {
	r.locked = true
	r.class, r.method = scan.ClassDocument, method
}

// packageKey reads the description of the encryption ([MS-OFFCRYPTO] 2.3.4.5, 2.3.4.6, 2.3.4.10).
func (r *reading) packageKey(info []byte) (k packageKey, method string, err error) {
	if len(info) < 8 {
		return nil, "unknown encryption", errKeyData
	}
	major, minor := binary.LittleEndian.Uint16(info), binary.LittleEndian.Uint16(info[2:])
	switch {
	case major == 4 && minor == 4:
		a, err := parseAgile(info[8:], r.f.Budget)
		return a, a.method(), err
	case major >= 2 && major <= 4 && minor == 2:
		h, err := parseCryptoHeader(info[4:])
		if err != nil {
			return nil, "standard", err
		}
		s, err := newStandard(h, r.f.Budget)
		return s, h.method("standard"), err
	case major >= 3 && major <= 4 && minor == 3:
		return nil, "extensible encryption", errKeyData
	}
	return nil, "unknown encryption", errKeyData
}

// openPackage tries the passwords, and yields the document. The package begins with its size ([MS-OFFCRYPTO] 2.3.4.4).
func (r *reading) openPackage(k packageKey, method string, stream []byte) error {
	trait, err := unlock(r.f, k)
	if err != nil || len(stream) < 8 {
		r.lock(method)
		return limitOf(err)
	}
	if err := r.f.Budget.Spend(int64(len(stream))); err != nil {
		r.lock(method)
		return err
	}
	plain, err := k.open(stream[8:])
	if err != nil {
		r.lock(method)
		return limitOf(err)
	}
	size := binary.LittleEndian.Uint64(stream)
	if size > uint64(len(plain)) {
		r.c.damaged("the encrypted package is cut off")
	}
	if !k.intact(stream) {
		r.c.damaged("the checksum of the encrypted package is wrong")
	}
	return r.opened(trait, method, plain[:min(size, uint64(len(plain)))])
}

// limitOf returns err if it is that of a limit of the whole file.
func limitOf(err error) error {
	if errors.Is(err, container.ErrLimit) {
		return err
	}
	return nil
}

// opened yields the plain form of the file.
func (r *reading) opened(trait scan.Trait, method string, plain []byte) error {
	r.class, r.method = scan.ClassDocument, method
	r.sign(trait, method)
	return r.member(container.Member{
		Name: r.f.Name, Content: plain, Plain: true, Signs: []container.Sign{{Trait: trait, Detail: method}},
	})
}
