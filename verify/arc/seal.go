package arc

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/message"
)

// Why a message gets no set although everything is as it should be. Neither is a fault.
var (
	// ErrEnded means that the chain ends here: a sealer before us has found it broken (RFC 8617 Section 5.1, step 2), or
	// it has as many sets as there can be.
	ErrEnded = errors.New("arc: the chain has ended")
	// ErrUndecided means that it is not known whether the chain is valid, because a key could not be fetched. Any cv= would
	// be a guess, and a wrong one could not be taken back.
	ErrUndecided = errors.New("arc: the state of the chain is not known")
)

// maxNames bounds h=: verifiers do not look at a signature with more names (dkim.Options.MaxNames).
const maxNames = 100

// A Hop is a message on its way through a sealer.
type Hop struct {
	Chain   Verification   // of the message as it was received
	Results authres.Header // what is recorded of the checks
	// Header and Body are those of the message as it is passed on, apart from the set itself: all other modifications
	// come before sealing (RFC 8617 Section 5.1, step 1). Line ends are as in dkim.Bodies.
	Header message.Header
	Body   io.Reader
	At     time.Time // t=; the zero time leaves it out
}

// A Set holds the values of the three fields that a sealer adds. They are folded with LF and a blank, without a leading
// blank. In the message they stand above everything else, the seal on top.
type Set struct {
	Results   string // ARC-Authentication-Results
	Signature string // ARC-Message-Signature
	Seal      string // ARC-Seal
}

// The names of the fields of a set, as they are written.
const (
	ResultsName   = "ARC-Authentication-Results"
	SignatureName = "ARC-Message-Signature"
	SealName      = "ARC-Seal"
)

// Seal returns the set that records a hop (RFC 8617 Section 5.1). The same hop and an RSA or Ed25519 key give the same
// set. The error says why there is none; the message can be passed on all the same.
func (s *Sealer) Seal(h Hop) (Set, error) {
	c, cv, err := s.continued(h)
	if err != nil {
		return Set{}, err
	}
	w := &setWriter{sealer: s, instance: c.highest + 1, at: h.At}
	results, err := h.Results.Format()
	if err != nil {
		return Set{}, fmt.Errorf("arc: %w", err)
	}
	var set Set
	// RFC 8617 Section 4.1.1: the instance, a semicolon, and what an Authentication-Results field holds.
	set.Results = fmt.Sprintf("i=%d; %s", w.instance, results)
	if set.Signature, err = w.signature(h); err != nil {
		return Set{}, err
	}
	if set.Seal, err = w.seal(c, cv, set); err != nil {
		return Set{}, err
	}
	return set, nil
}

// continued returns the sets that the new seal covers besides its own, the highest instance of all, and cv= of the new
// seal.
func (s *Sealer) continued(h Hop) (*chain, string, error) {
	c, err := newChain(h.Header, Options{}.withDefaults())
	switch {
	case h.Chain.Result != authres.None && h.Chain.Result != authres.Pass && h.Chain.Result != authres.Fail:
		return nil, "", fmt.Errorf("%w: arc=%s", ErrUndecided, h.Chain.Result)
	case h.Chain.Result == authres.None && c.highest > 0, h.Chain.Result == authres.Pass && (err != nil || c.highest == 0):
		// What is passed on is not what was validated.
		return nil, "", fmt.Errorf("arc: arc=%s, but the message has %d sets", h.Chain.Result, c.highest)
	case c.failed():
		return nil, "", fmt.Errorf("%w: seal with cv=fail", ErrEnded)
	case max(c.highest, h.Chain.Instance) >= maxInstance:
		return nil, "", fmt.Errorf("%w: instance %d", ErrEnded, max(c.highest, h.Chain.Instance))
	}
	if h.Chain.Result == authres.Fail {
		// RFC 8617 Section 5.1.2: the seal of a broken chain covers its own set as if it were the only one.
		return &chain{highest: c.highest}, "fail", nil
	}
	return c, string(h.Chain.Result), nil
}

// failed reports whether a sealer has found the chain broken.
func (c *chain) failed() bool {
	for _, s := range c.sets {
		if s.seal != nil && s.seal.cv == "fail" {
			return true
		}
	}
	return false
}

// A setWriter builds the signed fields of one set. They are signed with the crypto package: go-msgauth, which signs
// Assay's own mail, cannot write a signature under another field name than DKIM-Signature.
type setWriter struct {
	sealer   *Sealer
	instance int
	at       time.Time
}

// signature returns the value of the ARC-Message-Signature (RFC 8617 Section 4.1.2): a DKIM signature of the message
// with an instance instead of v= and i=.
func (w *setWriter) signature(h Hop) (string, error) {
	bodies := dkim.NewBodies()
	digest := bodies.Digest(dkim.Relaxed, -1)
	if h.Body != nil {
		if _, err := bodies.ReadFrom(h.Body); err != nil {
			return "", fmt.Errorf("arc: reading the body: %w", err)
		}
	}
	sum, _, err := digest.Sum()
	if err != nil {
		return "", fmt.Errorf("arc: reading the body: %w", err)
	}
	names, octets := w.sealer.cover(h.Header)
	if len(names) == 0 || len(names) > maxNames {
		return "", fmt.Errorf("arc: %d fields to sign, not 1 to %d", len(names), maxNames)
	}
	t := w.tags(SignatureName, "c=relaxed/relaxed")
	t.list("h=", names, ":")
	t.tag("bh=" + base64.StdEncoding.EncodeToString(sum[:]))
	return w.sign(SignatureName, t, octets)
}

// cover returns the names for h= and the fields they stand for in canonical form. Every occurrence of a field is
// signed, the last one first (RFC 6376 Section 5.4.2), and From once more than there is, so that none can be added.
func (s *Sealer) cover(h message.Header) (names []string, octets []byte) {
	fields := make(map[string][]message.Field, len(s.names))
	for _, name := range s.names {
		fields[name] = nil
	}
	for _, f := range h {
		name := strings.ToLower(f.Name)
		if found, wanted := fields[name]; wanted {
			fields[name] = append(found, f)
		}
	}
	for _, name := range s.names {
		found := fields[name]
		for i := len(found) - 1; i >= 0 && len(names) <= maxNames; i-- {
			names = append(names, name)
			octets = dkim.AppendField(octets, found[i].Raw, dkim.Relaxed)
		}
		if name == "from" && len(found) > 0 {
			names = append(names, name)
		}
	}
	return names, octets
}

// seal returns the value of the ARC-Seal (RFC 8617 Section 4.1.3). It covers the sets of c and then its own, in the
// order of Section 5.1.1.
func (w *setWriter) seal(c *chain, cv string, set Set) (string, error) {
	var octets []byte
	for _, s := range c.sets {
		for _, f := range []message.Field{s.results, s.message, s.seal.field} {
			octets = dkim.AppendField(octets, f.Raw, dkim.Relaxed)
		}
	}
	octets = dkim.AppendField(octets, raw(ResultsName, set.Results), dkim.Relaxed)
	octets = dkim.AppendField(octets, raw(SignatureName, set.Signature), dkim.Relaxed)
	return w.sign(SealName, w.tags(SealName, "cv="+cv), octets)
}

// tags begins the tag list of a field with what both signed fields say.
func (w *setWriter) tags(name, own string) *tagWriter {
	t := &tagWriter{line: len(name + ":")}
	t.tag("i=" + strconv.Itoa(w.instance))
	t.tag("a=" + w.sealer.algorithm)
	t.tag(own)
	t.tag("d=" + w.sealer.domain)
	t.tag("s=" + w.sealer.selector)
	if !w.at.IsZero() && w.at.Unix() >= 0 {
		t.tag("t=" + strconv.FormatInt(w.at.Unix(), 10))
	}
	return t
}

// sign completes a tag list with b=, the signature of octets and of the field itself (RFC 6376 Section 3.7).
func (w *setWriter) sign(name string, t *tagWriter, octets []byte) (string, error) {
	t.tag("b=")
	octets = dkim.AppendOwnField(octets, raw(name, t.String()), dkim.Relaxed)
	digest := sha256.Sum256(octets)
	// RFC 8463 Section 3: Ed25519 signs the hash, and does not hash again.
	opts := crypto.SignerOpts(crypto.SHA256)
	if w.sealer.algorithm == ed25519Algorithm {
		opts = crypto.Hash(0)
	}
	signature, err := w.sealer.key.Sign(w.sealer.rand, digest[:], opts)
	if err != nil {
		return "", fmt.Errorf("arc: signing %s: %w", name, err)
	}
	t.base64(signature)
	return t.String(), nil
}

// raw returns the field that a value makes, as it is passed on.
func raw(name, value string) []byte {
	return []byte(name + ": " + strings.ReplaceAll(value, "\n", "\r\n") + "\r\n")
}

// maxLine bounds the lines of a tag list (RFC 5322 Section 2.1.1).
const maxLine = 78

// A tagWriter writes a tag list (RFC 6376 Section 3.2), folded between tags and within long ones.
type tagWriter struct {
	strings.Builder
	line int // octets of the line so far
}

// tag writes one tag, on a line of its own where it would make this one too long.
func (t *tagWriter) tag(s string) {
	switch {
	case t.Len() == 0:
		t.line += len(" ")
	case t.line+len("; ;")+len(s) > maxLine:
		t.write(";")
		t.fold()
	default:
		t.write("; ")
	}
	t.write(s)
}

// list writes a tag with a list of words.
func (t *tagWriter) list(name string, words []string, separator string) {
	t.tag(name + words[0])
	for _, word := range words[1:] {
		t.write(separator)
		if t.line+len(word)+1 > maxLine {
			t.fold()
		}
		t.write(word)
	}
}

// base64 writes the value of the tag that was begun.
func (t *tagWriter) base64(octets []byte) {
	text := base64.StdEncoding.EncodeToString(octets)
	for text != "" {
		if t.line >= maxLine {
			t.fold()
		}
		n := min(maxLine-t.line, len(text))
		t.write(text[:n])
		text = text[n:]
	}
}

// fold begins a new line.
func (t *tagWriter) fold() {
	t.WriteString("\n\t")
	t.line = 1
}

// write writes s into the current line.
func (t *tagWriter) write(s string) {
	t.WriteString(s)
	t.line += len(s)
}
