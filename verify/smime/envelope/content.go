package envelope

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A sealed is an encrypted content before a key is tried on it.
type sealed struct {
	cipher contentCipher
	nonce  []byte // or initialization vector
	data   []byte // of GCM with the tag behind it
	tag    int    // octets of the tag
	aad    []byte // what GCM authenticates besides
}

// content reads the algorithm of the content.
func (e *envelope) content() (*sealed, error) {
	c, err := findContent(e.algorithm.oid, e.auth)
	if err != nil {
		return nil, err
	}
	s := &sealed{cipher: c}
	if c.mode == modeCBC && len(e.segments) == 1 {
		s.data = e.segments[0]
	} else {
		s.data = slices.Concat(append(e.segments, e.mac)...)
	}
	parameters := cryptobyte.String(e.algorithm.parameters)
	if c.mode == modeGCM {
		return s, s.readGCM(parameters, e)
	}
	var iv cryptobyte.String
	size := 16
	if c.old {
		size = 8
	}
	// RFC 3565 Section 2.1, RFC 3370 Section 5.1: the parameter is the initialization vector.
	if !parameters.ReadASN1(&iv, cbasn1.OCTET_STRING) || !parameters.Empty() || len(iv) != size {
		return nil, syntax("initialization vector")
	}
	if len(s.data) == 0 || len(s.data)%size != 0 {
		return nil, syntax("encryptedContent, which is not a number of blocks")
	}
	s.nonce = iv
	return s, nil
}

// readGCM reads GCMParameters (RFC 5084 Section 3.2).
func (s *sealed) readGCM(parameters cryptobyte.String, e *envelope) error {
	var seq, nonce cryptobyte.String
	if !parameters.ReadASN1(&seq, cbasn1.SEQUENCE) || !parameters.Empty() || !seq.ReadASN1(&nonce, cbasn1.OCTET_STRING) {
		return syntax("parameters of GCM")
	}
	s.nonce, s.tag = nonce, 12 // the default
	if !seq.Empty() && !seq.ReadASN1Integer(&s.tag) || !seq.Empty() {
		return syntax("parameters of GCM")
	}
	switch {
	case s.tag < 12 || s.tag > 16 || len(e.mac) != s.tag || len(nonce) == 0 || len(nonce) > 64:
		return syntax("parameters of GCM")
	case s.tag != 16 && len(nonce) != 12:
		return unsupported("a short tag and an unusual nonce of GCM")
	}
	if e.attributes != nil {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(e.attributes) })
		s.aad = b.BytesOrPanic() // nothing in it can fail
	}
	return nil
}

// open decrypts the content with a key of the right size. ok is false if it is the wrong one, as far as can be told.
func (s *sealed) open(key []byte) (content []byte, ok bool) {
	block, err := s.cipher.block(key)
	if err != nil {
		return nil, false
	}
	if s.cipher.mode == modeGCM {
		return s.openGCM(block)
	}
	return s.openCBC(block)
}

func (s *sealed) openGCM(block cipher.Block) ([]byte, bool) {
	var aead cipher.AEAD
	var err error
	if s.tag == 16 {
		aead, err = cipher.NewGCMWithNonceSize(block, len(s.nonce))
	} else {
		aead, err = cipher.NewGCMWithTagSize(block, s.tag)
	}
	if err != nil {
		return nil, false
	}
	content, err := aead.Open(nil, s.nonce, s.data, s.aad)
	return content, err == nil
}

// maxHead is how much of a content is decrypted to tell whether the key is right.
const maxHead = 16 << 10

// openCBC decrypts in the one mode that does not say whether the key was right. What the padding says about it must not be
// told: a sender who learns whether the padding of an altered content is right reads the content octet by octet (Vaudenay,
// 2002), and whether a mail was opened can be seen by what becomes of it. So the beginning decides, which has to be that of
// a MIME entity, and a padding that is none is left where it is.
func (s *sealed) openCBC(block cipher.Block) ([]byte, bool) {
	size := block.BlockSize()
	head := make([]byte, min(len(s.data), maxHead/size*size))
	cipher.NewCBCDecrypter(block, s.nonce).CryptBlocks(head, s.data[:len(head)])
	if !isEntity(head) {
		return nil, false
	}
	content := make([]byte, len(s.data))
	cipher.NewCBCDecrypter(block, s.nonce).CryptBlocks(content, s.data)
	return content[:len(content)-padding(content, size)], true
}

// padding returns how many octets of padding are at the end (RFC 5652 Section 6.3), 0 if it is none. The time does not depend
// on them.
func padding(content []byte, size int) int {
	last := content[len(content)-size:]
	n := int(last[size-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, size)
	for i := range last {
		inside := subtle.ConstantTimeLessOrEq(size-i, n)
		equal := subtle.ConstantTimeByteEq(last[i], byte(n))
		good &= 1 ^ inside&(1^equal)
	}
	return subtle.ConstantTimeSelect(good, n, 0)
}

// isEntity reports whether octets begin as a MIME entity that was encrypted does (RFC 8551 Section 3.1): with a header that
// names its content, and a first field that is known. A wrong key leaves nothing that looks like it, and nobody who alters a
// content can find out by trying what it decrypts to: five octets are too many to be guessed, while any letter and a colon
// would not be.
func isEntity(head []byte) bool {
	named := false
	for first := true; ; first = false {
		line, rest, whole := bytes.Cut(head, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case !isText(line), first && !isKnown(line):
			return false
		case !whole || len(line) == 0:
			return named
		case line[0] == ' ' || line[0] == '\t': // folded
		case !isField(line):
			return false
		default:
			named = named || namesContent(line)
		}
		head = rest
	}
}

// isKnown reports whether a line is one of the fields that entities begin with, those of a protected header (RFC 9788) among
// them. None of the names is shorter than four octets.
func isKnown(line []byte) bool {
	name, _, found := bytes.Cut(line, []byte(":"))
	if !found || len(name) > 40 {
		return false
	}
	if namesContent(line) {
		return true
	}
	switch string(bytes.ToLower(name)) {
	case "from", "subject", "date", "message-id", "reply-to", "sender", "references", "in-reply-to", "received", "return-path",
		"user-agent", "x-mailer", "hp-outer", "autocrypt", "organization", "thread-topic", "importance", "priority":
		return true
	}
	return false
}

// isText reports whether a line has no control characters.
func isText(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isField reports whether a line begins with the name of a field (RFC 5322 Section 2.2).
func isField(line []byte) bool {
	n := bytes.IndexByte(line, ':')
	for _, c := range line[:max(n, 0)] {
		if c < '!' || c > '~' {
			return false
		}
	}
	return n > 0
}

// namesContent reports whether a field is one of MIME (RFC 2045 Sections 4 to 8).
func namesContent(line []byte) bool {
	name, _, _ := bytes.Cut(line, []byte(":"))
	name = bytes.ToLower(name)
	return bytes.HasPrefix(name, []byte("content-")) || bytes.Equal(name, []byte("mime-version"))
}
