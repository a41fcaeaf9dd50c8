package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// Reads implements container.Reader.
func (OpenPGP) Reads(f *container.File) bool {
	if len(f.Content) > 0 && f.Content[0]&0x80 != 0 && isOpenPGP(f.Content) {
		return true
	}
	return isVersionPart(f.Content) || isText(f.Content) && hasArmor(f.Content)
}

// Read implements container.Reader.
func (OpenPGP) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	r := pgpRun{f: f, yield: yield}
	switch {
	case len(f.Content) > 0 && f.Content[0]&0x80 != 0 && isOpenPGP(f.Content):
		r.plain = true
		r.packets(f.Content, 0)
		v := r.verdict()
		v.Type = binaryType(f.Content, v)
		return v
	case !isVersionPart(f.Content):
		r.text(f.Content)
	}
	return r.verdict()
}

// binaryType returns the media type of what has no armor, by its first packet (RFC 3156 Section 2).
func binaryType(content []byte, v container.Verdict) string {
	p, _, _ := cutPacket(content, false)
	switch {
	case v.State == scan.Encrypted || v.Class != "":
		return "application/pgp-encrypted"
	case p.tag == tagSignature:
		return "application/pgp-signature"
	case p.tag == tagPublicKey || p.tag == tagSecretKey:
		return "application/pgp-keys"
	}
	return "application/x-openpgp-message"
}

// Inline reports whether a text carries an encrypted OpenPGP message in ASCII armor, and how that is encrypted. Armor
// begins a line: what a reply quotes does not count.
func Inline(text []byte) (found bool, method string) {
	blocks(text, func(b block) bool {
		if !isArmor(b.label) || strings.HasPrefix(b.label, "PGP SIGNED") {
			return true
		}
		r := pgpRun{f: &container.File{}}
		data := b.data()
		if len(data) < smallestMessage {
			return true
		}
		switch m := r.sealed(data); {
		case m != "":
			found, method = true, m
		case b.label == "PGP MESSAGE" && !isOpenPGP(data):
			found, method = true, methodDamaged
		}
		return !found
	})
	return found, method
}

// sealed returns how a message is encrypted, "" if it is not, by its outermost packets.
func (r *pgpRun) sealed(data []byte) string {
	for range maxLooked {
		p, rest, ok := cutPacket(data, false)
		if !ok {
			break
		}
		if m := r.keyPacket(p); m != "" {
			return m
		}
		data = rest
	}
	if r.keys.count() > 0 {
		return r.keys.method("")
	}
	return ""
}

const (
	methodDamaged = "OpenPGP message, damaged"
	// smallestMessage is fewer octets than any encrypted message has. What is shorter stands in a text for an example.
	smallestMessage = 16
)

// isVersionPart reports whether a content is the first part of multipart/encrypted, which says no more than which version
// the second is of (RFC 3156 Section 4).
func isVersionPart(content []byte) bool {
	return len(content) < 100 && strings.EqualFold(strings.Join(strings.Fields(string(content)), ""), "Version:1")
}

// isArmor reports whether a label is one of OpenPGP (RFC 9580 Section 6.2.1), or what older programs wrote.
func isArmor(label string) bool {
	return strings.HasPrefix(label, "PGP ") && label != "PGP UNIVERSE"
}

func hasArmor(text []byte) bool {
	found := false
	blocks(text, func(b block) bool {
		found = isArmor(b.label)
		return !found
	})
	return found
}

// A pgpRun is the reading of one file. It collects what becomes the Verdict.
type pgpRun struct {
	f       *container.File
	yield   func(container.Member) bool
	stopped bool
	plain   bool // the whole file is one message
	limit   error
	keys    sessionKeys // for the encrypted packet that follows
	locked  []string    // methods of what cannot be read
	opened  []string    // methods of what was opened
	trouble []string    // why something was not read
	signs   []container.Sign
	hashed  int64 // octets that passwords were hashed with
}

func (r *pgpRun) verdict() container.Verdict {
	v := container.Verdict{State: scan.Inspected, Signs: r.signs}
	if len(r.opened) > 0 {
		v.Class, v.Method = scan.ClassOpenPGP, r.opened[0]
		v.Signs = append(v.Signs, container.Sign{Trait: scan.OpenedPassword, Detail: r.opened[0], Count: len(r.opened)})
	}
	switch {
	case len(r.locked) > 0:
		v.State, v.Class, v.Method = scan.Encrypted, scan.ClassOpenPGP, r.locked[0]
	case r.limit != nil:
		v.State, v.Method = scan.Uninspectable, r.limit.Error()
	case len(r.trouble) > 0:
		v.State, v.Method = scan.Uninspectable, r.trouble[0]
	case r.stopped:
		v.State = scan.Uninspectable
	}
	return v
}

// fail notes why something was not read.
func (r *pgpRun) fail(format string, args ...any) {
	r.trouble = append(r.trouble, fmt.Sprintf(format, args...))
}

// broken notes that a packet is damaged, once.
func (r *pgpRun) broken(what string) {
	r.fail("%s", what)
	if !slices.ContainsFunc(r.signs, func(s container.Sign) bool { return s.Trait == scan.Damaged }) {
		r.signs = append(r.signs, damaged(what))
	}
}

// over asks the budget whether to go on.
func (r *pgpRun) over(err error) bool {
	if err != nil && r.limit == nil {
		r.limit = err
	}
	return r.stopped || r.limit != nil
}

// text reads every armored block of a text. The text itself is for others to inspect.
func (r *pgpRun) text(text []byte) {
	blocks(text, func(b block) bool {
		if isArmor(b.label) && !r.over(r.f.Budget.Check()) {
			r.armor(b)
		}
		return !r.over(nil)
	})
}

// armor reads one block.
func (r *pgpRun) armor(b block) {
	if strings.HasPrefix(b.label, "PGP SIGNED") {
		r.cleartext(b)
		return
	}
	data := b.data()
	if len(data) < smallestMessage {
		return // a placeholder; the text is inspected as such
	}
	message := strings.HasPrefix(b.label, "PGP MESSAGE")
	first, _, ok := cutPacket(data, false)
	switch {
	case message && b.label != "PGP MESSAGE":
		r.locked = append(r.locked, "OpenPGP message in several parts") // RFC 4880 Section 6.2
	case ok && first.begins():
		r.packets(data, 0)
	case message:
		r.locked = append(r.locked, methodDamaged)
		r.signs = append(r.signs, damaged("ASCII armor without an OpenPGP message"))
	default:
		r.broken("ASCII armor that is not OpenPGP")
	}
}

// cleartext yields the text of a cleartext signature without the dashes that hide lines of it (RFC 9580 Section 7.1). Where
// there are none, it is the same as in the file.
func (r *pgpRun) cleartext(b block) {
	if !bytes.HasPrefix(b.text, []byte("- ")) && !bytes.Contains(b.text, []byte("\n- ")) {
		return
	}
	if r.over(r.f.Budget.Spend(int64(len(b.text)))) {
		return
	}
	out := make([]byte, 0, len(b.text))
	for at := 0; at < len(b.text); {
		_, next := nextLine(b.text, at)
		out = append(out, bytes.TrimPrefix(b.text[at:next], []byte("- "))...)
		at = next
	}
	r.member(container.Member{Name: "signed.txt", Content: out})
}

// member yields.
func (r *pgpRun) member(m container.Member) {
	if !r.over(r.f.Budget.Member()) && !r.yield(m) {
		r.stopped = true
	}
}

// maxNested is how deep packets are unpacked that are compressed or encrypted inside of each other. Honest messages need
// three levels.
const maxNested = 8

// packets reads a sequence of packets.
func (r *pgpRun) packets(data []byte, depth int) {
	if depth > maxNested {
		r.fail("OpenPGP packets nested more than %d deep", maxNested)
		return
	}
	for len(data) > 0 && !r.over(r.f.Budget.Check()) {
		p, rest, ok := cutPacket(data, true)
		if !ok {
			r.junk(data)
			return
		}
		if p.cut {
			r.signs = append(r.signs, damaged("the OpenPGP message is cut off"))
		}
		r.packet(p, depth)
		data = rest
	}
	r.keysAlone()
}

// junk reads what follows the last packet: line ends do no harm, and anything else is shown to others.
func (r *pgpRun) junk(data []byte) {
	r.keysAlone()
	if len(bytes.Trim(data, "\r\n\x00\x1a ")) == 0 {
		return
	}
	r.signs = append(r.signs, damaged("octets behind the OpenPGP packets"))
	r.member(container.Member{Content: data})
}

// keysAlone notes session keys without anything that they would open.
func (r *pgpRun) keysAlone() {
	if r.keys.count() > 0 {
		r.locked = append(r.locked, r.keys.method(""))
		r.keys = sessionKeys{}
	}
}

// packet reads one packet.
func (r *pgpRun) packet(p packet, depth int) {
	if method := r.keyPacket(p); method != "" {
		r.open(p, method, depth)
		return
	}
	switch p.tag {
	case tagCompressed:
		r.inflate(p, depth)
	case tagLiteral:
		r.literal(p)
	case tagPKESK, tagSKESK, tagSignature, tagOnePass, tagSecretKey, tagPublicKey, tagSecretSub, tagPublicSub, tagMarker, tagTrust,
		tagUserID, tagAttribute, tagMDC, tagPadding:
	default:
		if p.tag < tagPrivate && p.tag >= 40 && len(p.body) == 0 {
			return // RFC 9580 Section 4.3: not critical
		}
		r.fail("unknown OpenPGP packet %d", p.tag)
	}
}

// keyPacket notes a session key, and returns how a packet is encrypted that is.
func (r *pgpRun) keyPacket(p packet) string {
	switch p.tag {
	case tagPKESK:
		r.keys.public++
	case tagSKESK:
		r.keys.add(p.body)
	case tagSED:
		return r.keys.method("no integrity protection")
	case tagSEIPD:
		if len(p.body) > 3 && p.body[0] == 2 { // RFC 9580 Section 5.13.2
			r.keys.cipher = p.body[1]
			return r.keys.method(aeadName(p.body[2]))
		}
		return r.keys.method("")
	case tagAEAD:
		if len(p.body) > 3 {
			r.keys.cipher = p.body[1]
			return r.keys.method(aeadName(p.body[2]))
		}
		return r.keys.method("AEAD")
	}
	return ""
}

// open tries the passwords on an encrypted packet, and reads what is inside.
func (r *pgpRun) open(p packet, method string, depth int) {
	keys := r.keys
	r.keys = sessionKeys{}
	inside, ok := r.guess(&keys, p)
	switch {
	case r.over(nil):
		r.locked = append(r.locked, method)
	case !ok:
		r.locked = append(r.locked, method)
	default:
		r.opened = append(r.opened, method)
		r.packets(inside, depth+1)
	}
}

// inflate reads what is inside of a compressed packet.
func (r *pgpRun) inflate(p packet, depth int) {
	if r.over(r.f.Budget.Member()) {
		return
	}
	z, _ := decompressor(p.body)
	if z == nil {
		r.fail("unknown compression in an OpenPGP message")
		return
	}
	out, err := r.f.Budget.ReadAll(z, int64(len(p.body)))
	if errors.Is(err, container.ErrLimit) {
		r.over(err)
		return
	}
	if err != nil {
		r.broken("the compressed OpenPGP message is damaged")
	}
	r.packets(out, depth+1)
}

// literal yields the content of a literal data packet (RFC 9580 Section 5.9).
func (r *pgpRun) literal(p packet) {
	b := p.body
	if len(b) < 2 || len(b) < 6+int(b[1]) {
		r.broken("the literal data of an OpenPGP message are damaged")
		return
	}
	name := string(b[2 : 2+int(b[1])])
	if name == "_CONSOLE" { // for your eyes only: no name
		name = ""
	}
	r.member(container.Member{Name: name, Content: b[6+int(b[1]):], Plain: r.plain && name == ""})
}
