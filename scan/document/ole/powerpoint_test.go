package ole

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"testing"

	"assay/scan"
	"assay/scan/container"
)

// atom makes a record of a presentation.
func atom(instance, id int, body ...[]byte) []byte {
	b := join(body...)
	return join(le16(instance<<4), le16(id), numbers([]uint32{uint32(len(b))}), b)
}

// holder makes a record that holds others.
func holder(id int, records ...[]byte) []byte {
	b := join(records...)
	return join(le16(0x0f), le16(id), numbers([]uint32{uint32(len(b))}), b)
}

// squeeze makes a compressed object.
func squeeze(content []byte) []byte {
	var out bytes.Buffer
	out.Write(numbers([]uint32{uint32(len(content))}))
	z := zlib.NewWriter(&out)
	_, _ = z.Write(content)
	_ = z.Close()
	return out.Bytes()
}

// slides makes a presentation of objects, of which each has a number from 1 on, with a directory and an edit at its end.
func slides(session uint32, between []byte, objects ...[]byte) (document, user []byte, places []uint32) {
	for _, o := range objects {
		places = append(places, uint32(len(document)))
		document = append(append(document, o...), between...)
	}
	directory := uint32(len(document))
	document = append(document, atom(0, recordPersistent, numbers([]uint32{uint32(len(places))<<20 | 1}), numbers(places))...)
	edit := uint32(len(document))
	body := numbers([]uint32{0, 0x03000000, 0, directory, 1, 9, 0})
	if session != 0 {
		body = append(body, numbers([]uint32{session})...)
	}
	document = append(document, atom(0, recordUserEdit, body)...)
	token := uint32(0xe391c05f)
	if session != 0 {
		token = 0xf3d1c4df
	}
	return document, join(le16(0), le16(0x0ff6), numbers([]uint32{0x18, 0x14, token, edit})), places
}

// showFile makes a file of a presentation.
func showFile(document, user []byte) []byte {
	return build(stream("Current User", user), stream("PowerPoint Document", document))
}

func TestPowerPoint(t *testing.T) {
	macros := build(folder("VBA", project("Modul1", "Sub Auto_Open()\r\n").children...))
	native := build(stream("\x01Ole10Native", join(numbers([]uint32{9}), []byte("\x00\x00 nothing"))))
	text := func(instance int, s string) []byte { return atom(instance, recordString, wide(s)) }
	action := func(kind byte) []byte {
		return holder(0x0ff2, atom(0, recordAction, make([]byte, 8), []byte{kind, 0, 0, 0, 0, 0, 0, 0}))
	}
	for name, c := range map[string]struct {
		record []byte
		traits string
		links  int
	}{
		"plain":                  {holder(0x03e8, text(0, "Title")), "", 0},
		"macros":                 {atom(1, recordStorage, squeeze(macros)), "macros", 0},
		"macros not packed":      {atom(0, recordStorage, macros), "macros", 0},
		"object":                 {atom(1, recordStorage, squeeze(native)), "embedded-object", 0},
		"object of another kind": {atom(1, recordStorage, squeeze([]byte("something"))), "embedded-object", 0},
		"control":                {holder(0x0409, holder(recordControl, atom(0, recordOLEAtom, make([]byte, 24)))), "activex", 0},
		"hyperlink":              {holder(0x0409, holder(recordHyperlink, text(0, "shown"), text(1, "http://example.org/"))), "", 1},
		"linked object":          {holder(0x0409, holder(recordOLELink, text(1, "http://evil.example/a.doc"))), "remote-object", 1},
		"linked film":            {holder(0x0409, holder(recordVideo, text(0, `\\evil\share\a.avi`))), "remote-object", 1},
		"local film":             {holder(0x0409, holder(recordVideo, text(0, `C:\a.avi`))), "", 0},
		"program":                {holder(0x03ee, action(2)), "launch", 0},
		"next slide":             {holder(0x03ee, action(3)), "", 0},
	} {
		for gap := range 3 { // zeros between objects, of a number that is no multiple of the head of a record
			t.Run(fmt.Sprint(name, gap), func(t *testing.T) {
				document, user, _ := slides(0, make([]byte, 5*gap), holder(0x03e8, atom(0, 0x03e9, make([]byte, 40))), c.record)
				v, _ := look(t, showFile(document, user))
				want(t, v, scan.Inspected, "", c.traits)
				if len(v.Links) != c.links {
					t.Errorf("%v", v.Links)
				}
			})
		}
	}
}

// An object that hides inside of another record is found by the directory; what is broken is not called inspected.
func TestPowerPointBroken(t *testing.T) {
	macros := atom(1, recordStorage, squeeze(build(folder("VBA", project().children...))))
	document, user, _ := slides(0, nil, atom(0, 0x1234, macros))
	i := bytes.Index(document, numbers([]uint32{1<<20 | 1}))
	binary.LittleEndian.PutUint32(document[i+4:], recordHeader)
	v, _ := look(t, showFile(document, user))
	want(t, v, scan.Inspected, "", "macros")

	document, _, _ = slides(0, nil, macros)
	for name, c := range map[string]struct {
		document []byte
		method   string
		traits   string
	}{
		"cut off":             {document[:len(document)-5], "the presentation is cut off", "macros"},
		"broken compression":  {atom(1, recordStorage, []byte("1234rubbish")), "an embedded object cannot be decompressed", "damaged embedded-object"},
		"compression cut off": {atom(1, recordStorage, squeeze(aPackage)[:40]), "an embedded object cannot be decompressed", "damaged embedded-object"},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := look(t, showFile(c.document, nil))
			want(t, v, scan.Uninspectable, c.method, c.traits)
		})
	}
}

// A small object that becomes a large one is stopped.
func TestPowerPointBomb(t *testing.T) {
	bomb := atom(1, recordStorage, squeeze(make([]byte, 64<<20)))
	document, user, _ := slides(0, nil, bomb, bomb, bomb)
	f := &container.File{Content: showFile(document, user), Budget: budget(container.Limits{})}
	v := Reader{}.Read(f, func(container.Member) bool { return true })
	if v.State != scan.Uninspectable || f.Budget.Over() == nil || f.Budget.Over().Limit != "ratio" {
		t.Errorf("%s %q", v.State, v.Method)
	}
}

func TestPowerPointEncrypted(t *testing.T) {
	macros := atom(1, recordStorage, squeeze(build(folder("VBA", project().children...))))
	for password, trait := range map[string]string{defaultPassword: "opened-default", "": "opened-empty", "geheim": "opened-password", "other": ""} {
		k, description := cryptoAPI128(password, 128)
		document, user, places := slides(3, nil, holder(0x03e8, make([]byte, 40)), macros, holder(recordSession, description))
		for i, at := range places[:2] {
			size := recordHeader + binary.LittleEndian.Uint32(document[at+4:])
			k.cipher(uint32(i+1)).XORKeyStream(document[at:at+size], document[at:at+size])
		}
		v, signs, _ := deep(t, showFile(document, user), "geheim")
		if trait == "" {
			want(t, v, scan.Encrypted, "RC4 128 bit (CryptoAPI)", "")
			continue
		}
		want(t, v, scan.Inspected, "RC4 128 bit (CryptoAPI)", trait)
		if got := traits(signs); got != "macros "+trait {
			t.Errorf("%q: %q", password, got)
		}
	}
	document, user, _ := slides(9, nil, macros)
	v, _ := look(t, showFile(document, user))
	want(t, v, scan.Encrypted, "unknown encryption", "")
}
