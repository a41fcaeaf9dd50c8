package sealed

import (
	"bytes"
	"compress/zlib"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/smime/cms"
)

// Tags of optional fields.
const (
	explicit0 = cbasn1.Tag(0xa0)
	explicit1 = cbasn1.Tag(0xa1)
)

// Reads implements container.Reader.
func (CMS) Reads(f *container.File) bool {
	return isCMS(f.Content) || isText(f.Content) && (isCMSText(f.Content) || hasBlock(f.Content, isCMSLabel))
}

// Read implements container.Reader.
func (CMS) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	r := cmsRun{f: f, yield: yield, whole: true}
	switch {
	case isCMS(f.Content):
		r.object(f.Content)
	case isCMSText(f.Content):
		r.object(decodeBase64(trimText(f.Content)))
	default:
		r.whole = false
		r.pem(f.Content)
	}
	return r.verdict()
}

// isCMS reports whether a content begins as a ContentInfo of a kind that is known does (RFC 5652 Section 3), in DER or BER.
func isCMS(content []byte) bool {
	oid := leadingOID(content)
	return oid != nil && (cms.KindOf(oid) != cms.Unknown || oid.Equal(oidSignedAndEnveloped))
}

// oidSignedAndEnveloped is a content type of PKCS #7 that CMS has left out (RFC 2315 Section 11).
var oidSignedAndEnveloped = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 4}

// leadingOID returns the object identifier that a SEQUENCE begins with, nil if there is none. It looks at the first octets
// alone, for the rest may be damaged.
func leadingOID(content []byte) asn1.ObjectIdentifier {
	if len(content) < 8 || content[0] != 0x30 {
		return nil
	}
	at := 2
	if content[1] > 0x80 {
		at += int(content[1] & 0x7f)
	}
	if at+2 > min(len(content), 16) || content[at] != 6 || content[at+1] > 20 || at+2+int(content[at+1]) > len(content) {
		return nil
	}
	in := cryptobyte.String(content[at : at+2+int(content[at+1])])
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1ObjectIdentifier(&oid) {
		return nil
	}
	return oid
}

// isCMSText reports whether a text is the base64 of a ContentInfo and nothing else.
func isCMSText(content []byte) bool {
	text := trimText(content)
	if len(text) < 16 || text[0] != 'M' { // the first six bits of a SEQUENCE
		return false
	}
	return isCMS(decodeBase64(text[:min(len(text), 64)])) && allBase64(text)
}

// isCMSLabel reports whether a label is one of CMS (RFC 7468 Sections 8 and 9), or one that older programs wrote.
func isCMSLabel(label string) bool {
	return label == "CMS" || label == "PKCS7" || strings.HasPrefix(label, "PKCS #7")
}

// hasBlock reports whether a text has a block with a label that is wanted.
func hasBlock(text []byte, wanted func(label string) bool) bool {
	found := false
	blocks(text, func(b block) bool {
		found = wanted(b.label)
		return !found
	})
	return found
}

// A cmsRun is the reading of one file.
type cmsRun struct {
	f       *container.File
	yield   func(container.Member) bool
	whole   bool // the file is one object
	stopped bool
	locked  []string
	trouble []string
	signs   []container.Sign
}

func (r *cmsRun) verdict() container.Verdict {
	v := container.Verdict{State: scan.Inspected, Signs: r.signs, Type: "application/pkcs7-mime"}
	if !r.whole {
		v.Type = "" // a text with an object in it
	}
	switch {
	case len(r.locked) > 0:
		v.State, v.Class, v.Method = scan.Encrypted, scan.ClassSMIME, r.locked[0]
	case len(r.trouble) > 0:
		v.State, v.Method = scan.Uninspectable, r.trouble[0]
	case r.stopped:
		v.State = scan.Uninspectable
	}
	return v
}

// fail notes why something was not read.
func (r *cmsRun) fail(format string, args ...any) {
	r.trouble = append(r.trouble, fmt.Sprintf(format, args...))
}

// member yields.
func (r *cmsRun) member(m container.Member) {
	if err := r.f.Budget.Member(); err != nil {
		r.fail("%s", err)
		return
	}
	r.stopped = r.stopped || !r.yield(m)
}

// pem reads every block of a text.
func (r *cmsRun) pem(text []byte) {
	blocks(text, func(b block) bool {
		if isCMSLabel(b.label) {
			if data := b.data(); len(data) >= smallestMessage {
				r.object(data)
			}
		}
		return !r.stopped && r.f.Budget.Check() == nil
	})
	if err := r.f.Budget.Check(); err != nil {
		r.fail("%s", err)
	}
}

// limits are those of the normalizer. The content is in memory, so its size is no reason to leave it unread.
func limits(ber []byte) cms.Limits {
	return cms.Limits{Size: len(ber) + 1, Detached: len(ber) + 1, Elements: 200_000, Recipients: 2000}
}

// object reads one ContentInfo.
func (r *cmsRun) object(ber []byte) {
	if err := r.f.Budget.Spend(int64(len(ber))); err != nil {
		r.fail("%s", err)
		return
	}
	kind := cms.KindOf(leadingOID(ber))
	ber, behind := r.split(ber)
	der, err := cms.Normalize(ber, limits(ber))
	if err != nil {
		r.unreadable(kind, err)
		return
	}
	if len(bytes.Trim(behind, "\r\n\x00\x1a ")) > 0 {
		r.signs = append(r.signs, container.Sign{Trait: scan.Polyglot, Detail: "octets behind the CMS object"})
		r.member(container.Member{Content: behind})
	}
	r.info(der)
}

// split cuts off what follows an element of definite length, and blanks behind one of indefinite length.
func (r *cmsRun) split(ber []byte) (element, behind []byte) {
	n := len(ber)
	switch {
	case n < 4:
	case ber[1] < 0x80:
		n = 2 + int(ber[1])
	case ber[1] == 0x80:
		n = indefiniteEnd(ber)
	case ber[1] <= 0x84 && n > 6:
		size := int(ber[1] & 0x7f)
		n = 0
		for _, c := range ber[2 : 2+size] {
			n = n<<8 | int(c)
		}
		n += 2 + size
	}
	n = min(n, len(ber))
	return ber[:n], ber[n:]
}

// indefiniteEnd finds where an element of indefinite length ends that is followed by line ends. The normalizer says whether
// it is right.
func indefiniteEnd(ber []byte) int {
	n := len(bytes.TrimRight(ber, "\r\n\x1a "))
	if n >= 2 && ber[n-1] == 0 {
		return n
	}
	return len(ber)
}

// unreadable is for an object that the normalizer refuses: how it begins says what it is.
func (r *cmsRun) unreadable(kind cms.Kind, err error) {
	why := "damaged"
	if errors.Is(err, cms.ErrLimit) {
		why = "too deeply nested or too many elements"
	} else {
		r.signs = append(r.signs, damaged("the CMS object is damaged or cut off"))
	}
	if name := sealedKind(kind); name != "" {
		r.locked = append(r.locked, name+", "+why)
		return
	}
	r.fail("CMS object: %s", why)
}

// sealedKind names a kind that is encrypted, "" for all others.
func sealedKind(kind cms.Kind) string {
	switch kind {
	case cms.Enveloped:
		return "CMS EnvelopedData"
	case cms.AuthEnveloped:
		return "CMS AuthEnvelopedData"
	case cms.EncryptedData:
		return "CMS EncryptedData"
	}
	return ""
}

// info reads a ContentInfo in DER.
func (r *cmsRun) info(der []byte) {
	var seq, content cryptobyte.String
	var oid asn1.ObjectIdentifier
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&oid) {
		r.fail("CMS object: damaged")
		return
	}
	if !seq.Empty() && !seq.ReadASN1(&content, explicit0) {
		r.fail("CMS object: damaged")
		return
	}
	kind := cms.KindOf(oid)
	switch {
	case oid.Equal(oidSignedAndEnveloped):
		r.locked = append(r.locked, "PKCS #7 signedAndEnvelopedData")
	case sealedKind(kind) != "":
		r.locked = append(r.locked, sealedKind(kind)+encryptionOf(der))
	case content.Empty() && kind != cms.Unknown:
		// Nothing is in it.
	case kind == cms.Data:
		r.octets(content, oid)
	case kind == cms.Signed, kind == cms.Compressed, kind == cms.Digested, kind == cms.Authenticated:
		if !r.encapsulated(content, kind) {
			r.fail("CMS object: damaged")
		}
	default:
		r.fail("CMS object of the unknown type %s", oid)
	}
}

// encryptionOf says what is visible of an encrypted object: ", AES-256-CBC, 2 recipients, RSA".
func encryptionOf(der []byte) string {
	o, err := cms.Parse(der, limits(der))
	if err != nil || o.Encryption == nil {
		return ""
	}
	out := ", " + clip(strings.ToUpper(o.Encryption.Algorithm))
	if o.Kind == cms.EncryptedData {
		return out
	}
	n := len(o.Encryption.Recipients) + o.Encryption.Others
	if out += fmt.Sprintf(", %d recipients", n); n == 1 {
		out = strings.TrimSuffix(out, "s")
	}
	var seen []string
	for _, rc := range o.Encryption.Recipients {
		word := recipientKind(rc)
		if !strings.Contains(strings.Join(seen, "\n")+"\n", word+"\n") && len(seen) < 4 {
			seen = append(seen, word)
		}
	}
	if len(seen) > 0 {
		out += " (" + strings.Join(seen, ", ") + ")"
	}
	return out
}

// recipientKind names how a recipient gets the key.
func recipientKind(r cms.Recipient) string {
	switch {
	case r.Kind == "password":
		return "password"
	case r.Algorithm != "":
		return clip(strings.ToUpper(r.Algorithm))
	}
	return r.Kind
}

// encapsulated reads SignedData, CompressedData, DigestedData or AuthenticatedData up to its EncapsulatedContentInfo (RFC
// 5652 Sections 5.1, 7 and 9.1, RFC 3274 Section 1.1): the first SEQUENCE that begins with an object identifier and is no
// algorithm.
func (r *cmsRun) encapsulated(content cryptobyte.String, kind cms.Kind) bool {
	var seq, info, wrapped cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !content.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.SkipASN1(cbasn1.INTEGER) {
		return false
	}
	ok := true
	switch kind {
	case cms.Signed:
		ok = seq.SkipASN1(cbasn1.SET)
	case cms.Authenticated:
		ok = seq.SkipOptionalASN1(explicit0) && seq.SkipASN1(cbasn1.SET) && seq.SkipASN1(cbasn1.SEQUENCE) && seq.SkipOptionalASN1(explicit1)
	default:
		ok = seq.SkipASN1(cbasn1.SEQUENCE)
	}
	if !ok || !seq.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&oid) {
		return false
	}
	if info.Empty() {
		return true // a detached signature, or certificates alone
	}
	if !info.ReadASN1(&wrapped, explicit0) {
		return false
	}
	if kind == cms.Compressed {
		r.inflate(wrapped, oid)
		return true
	}
	r.octets(wrapped, oid)
	return true
}

// inflate unpacks CompressedData (RFC 3274 Section 2).
func (r *cmsRun) inflate(wrapped cryptobyte.String, oid asn1.ObjectIdentifier) {
	var packed cryptobyte.String
	if !wrapped.ReadASN1(&packed, cbasn1.OCTET_STRING) {
		r.fail("CMS object: damaged")
		return
	}
	z, err := zlib.NewReader(bytes.NewReader(packed))
	var out []byte
	if err == nil {
		out, err = r.f.Budget.ReadAll(z, int64(len(packed)))
	}
	switch {
	case errors.Is(err, container.ErrLimit):
		r.fail("%s", err)
		return
	case err != nil:
		r.fail("the compressed content of a CMS object is damaged")
		r.signs = append(r.signs, damaged("compressed content of a CMS object"))
	}
	if len(out) > 0 {
		r.content(out, oid)
	}
}

// octets reads an OCTET STRING, or what PKCS #7 version 1.5 had in its place.
func (r *cmsRun) octets(wrapped cryptobyte.String, oid asn1.ObjectIdentifier) {
	var value, element cryptobyte.String
	var tag cbasn1.Tag
	if !wrapped.ReadAnyASN1Element(&element, &tag) {
		r.fail("CMS object: damaged")
		return
	}
	if tag != cbasn1.OCTET_STRING {
		r.content(element, oid)
		return
	}
	if !element.ReadASN1(&value, cbasn1.OCTET_STRING) {
		r.fail("CMS object: damaged")
		return
	}
	r.content(value, oid)
}

// structures are types of content that hold no file: a time stamp (RFC 3161), what Authenticode signs, a list of trusted
// certificates, a list of hashes in a passport. The table is never written.
var structures = [...]string{
	"1.2.840.113549.1.9.16.1.4", "1.3.6.1.4.1.311.2.1.4", "1.3.6.1.4.1.311.10.1", "2.23.136.1.1.1",
}

// content yields what an object carries. A type other than data says that it is another CMS structure without its
// ContentInfo (RFC 5652 Section 5.2).
func (r *cmsRun) content(content []byte, oid asn1.ObjectIdentifier) {
	for _, s := range structures {
		if oid.String() == s {
			return
		}
	}
	kind := cms.KindOf(oid)
	if name := sealedKind(kind); name != "" {
		r.locked = append(r.locked, name+" inside of another CMS object")
		return
	}
	if kind != cms.Data && kind != cms.Unknown && !isCMS(content) {
		content = wrapInfo(oid, content)
	}
	m := container.Member{Content: content, Plain: r.whole}
	m.Name, m.Declared = innerName(r.f.Name), ""
	if isEntity(content) {
		m.Name, m.Declared = "", "message/rfc822"
	}
	r.member(m)
}

// wrapInfo makes a ContentInfo around a CMS structure, for it to be read as one.
func wrapInfo(oid asn1.ObjectIdentifier, content []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	})
	out, err := b.Bytes()
	if err != nil {
		return content
	}
	return out
}

// innerName is the name of what a signed file carries: "invoice.pdf" of "invoice.pdf.p7m". The names that mail programs give
// to whole messages name nothing.
func innerName(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || !strings.Contains(name[:dot], ".") {
		return ""
	}
	switch strings.ToLower(name[dot+1:]) {
	case "p7m", "p7", "p7s", "p7z", "p7e":
		return name[:dot]
	}
	return ""
}

// isEntity reports whether a content begins with header fields of MIME, as the content of an S/MIME message does (RFC 8551
// Section 3.1).
func isEntity(content []byte) bool {
	text := bytes.TrimLeft(content[:min(len(content), 4096)], "\r\n")
	mime := false
	for at, n := 0, 0; at < len(text) && n < 50; n++ {
		line, next := nextLine(text, at)
		at = next
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || !isFieldName(name) {
			return false
		}
		lower := strings.ToLower(string(name))
		mime = mime || strings.HasPrefix(lower, "content-") || lower == "mime-version"
	}
	return mime
}

// isFieldName reports whether a name consists of the letters that names of header fields are made of.
func isFieldName(name []byte) bool {
	name = bytes.TrimRight(name, " \t")
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(name) > 0 && len(name) <= 70
}
