package smime

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"assay/verify/message"
	"assay/verify/smime/cms"
	"assay/verify/smime/pki"
)

const (
	maxAhead = 24 * time.Hour      // of a signing time before the receipt
	maxAge   = 30 * 24 * time.Hour // of a signature that is not old
)

// newSigner describes a signer by what cryptography alone says.
func newSigner(res cms.SignerResult) Signer {
	s := Signer{Algorithm: clean(res.Algorithm), KeyBits: res.KeyBits, SigningTime: res.SigningTime, Certificate: res.Certificate}
	_, s.Integrity = cmsState(res.Integrity)
	if res.Integrity == cms.Intact {
		s.Integrity = Intact
	}
	c := res.Certificate
	if c == nil {
		return s
	}
	sum := sha256.Sum256(c.Raw)
	s.Fingerprint = hex.EncodeToString(sum[:])
	s.Subject, s.Issuer = pki.DN(c.RawSubject), pki.DN(c.RawIssuer)
	s.Serial = strings.ToUpper(c.SerialNumber.Text(16))
	s.NotBefore, s.NotAfter = c.NotBefore, c.NotAfter
	return s
}

// judge finds out what the certificates of intact signers are worth, and whose they are.
func (r *run) judge(o *object) {
	paths := make([]certainty, len(o.signers))
	for i := range o.signers {
		s := &o.signers[i]
		j := judgement{run: r, object: o, signer: s, result: o.results[i], n: i}
		if k := slices.IndexFunc(o.signers[:i], func(other Signer) bool { return other.Certificate.Equal(s.Certificate) }); k >= 0 {
			j.same(k, paths[k])
		} else {
			j.path()
		}
		paths[i] = certainty{trust: j.trust, reason: s.Reason}
		j.strength()
		j.time()
		j.author()
		r.step("signer %d: trust %s, identity %s, revocation %s", i+1, s.Trust, s.Identity, s.Revocation)
	}
}

// A judgement is about one signer.
type judgement struct {
	*run
	object *object
	signer *Signer
	result cms.SignerResult
	n      int
	trust  pki.Trust
}

// A certainty is what the path of a certificate came to.
type certainty struct {
	trust  pki.Trust
	reason string // why it is not good, "" if it is
}

// same takes over what is known about the certificate of signer k, which is this one's too: whoever repeats a signer must
// not be able to have the path looked for, and the lists of revoked certificates read, each time. What it means for the
// object was decided with signer k.
func (j *judgement) same(k int, known certainty) {
	s, other := j.signer, &j.object.signers[k]
	s.Trust, s.Path, s.Root = other.Trust, slices.Clone(other.Path), other.Root
	s.Level, s.Generation, s.Qualified = other.Level, other.Generation, other.Qualified
	s.Name, s.Organization = other.Name, other.Organization
	s.Revocation, s.RevokedAt = other.Revocation, other.RevokedAt
	j.trust, s.Reason = known.trust, known.reason
	j.step("signer %d: the certificate is that of signer %d", j.n+1, k+1)
}

// decide notes what is not good about the signer.
func (j *judgement) decide(s State, format string, args ...any) {
	reason := clean(fmt.Sprintf(format, args...))
	if j.signer.Reason == "" {
		j.signer.Reason = reason
	}
	j.step("signer %d: %s: %s", j.n+1, s, reason)
	j.object.decideFor(j.n, len(j.object.signers), s, reason)
}

// path asks for the path, and for revocation when it is good.
func (j *judgement) path() {
	s, c := j.signer, j.signer.Certificate
	if j.o.Validator == nil {
		s.Trust = UnknownRoot
		j.decide(Untrusted, "no root is trusted here")
		return
	}
	sd := j.object.parsed.Signed
	p := j.o.Validator.Path(j.ctx, pki.Query{Leaf: c, Pool: pool(sd), At: j.at, Fetch: !j.o.NoFetch, Work: j.limits.Work})
	j.trust, s.Trust = p.Trust, trustOf(p)
	for _, c := range p.Path {
		s.Path = append(s.Path, pki.DN(c.RawSubject))
	}
	j.step("signer %d: path %s", j.n+1, strings.Join(s.Path, " <- "))
	if p.Root != nil {
		s.Root = clean(p.Root.Name())
	}
	q := pki.QualityOf(c, p.Trust)
	s.Level, s.Generation, s.Qualified = Level(q.Level), q.Generation, clean(q.Qualified)
	s.Name, s.Organization = cleanName(q.Name), cleanName(q.Organization)
	switch {
	case p.Trust.Good():
		j.revocation(p, sd)
	case p.Trust == pki.Incomplete:
		j.object.pending = j.object.pending || p.Pending
		j.decide(Incomplete, "%s", p.Reason)
	case p.Trust == pki.Unsupported:
		j.decide(Unsupported, "%s", p.Reason)
	case p.Trust == pki.Weak:
		j.decide(Weak, "%s", p.Reason)
	default:
		j.decide(Untrusted, "%s", p.Reason)
	}
}

// trustOf translates the outcome of a path. A path that is weak or cannot be checked breaks a rule; which one, State and
// Reason say.
func trustOf(p pki.Result) Trust {
	switch p.Trust {
	case pki.Public:
		return PublicRoot
	case pki.Private:
		return PrivateRoot
	case pki.Expired:
		return Expired
	case pki.NotYetValid:
		return NotYetValid
	case pki.Constrained, pki.Weak, pki.Unsupported:
		return Constrained
	case pki.NotForMail:
		return NotForMail
	case pki.SelfSigned:
		return SelfSigned
	case pki.Incomplete:
		return NoPath
	}
	return UnknownRoot
}

// revocation asks whether a certificate of a good path was revoked.
func (j *judgement) revocation(p pki.Result, sd *cms.SignedData) {
	s := j.signer
	if j.o.Revocation == RevocationSkip {
		s.Revocation = RevocationOff
		return
	}
	rev := j.o.Validator.Revocation(j.ctx, pki.RevocationQuery{Path: p.Path, At: j.at, CRLs: sd.CRLs, OCSP: sd.OCSP, Fetch: !j.o.NoFetch})
	switch rev.Status {
	case pki.Valid:
		s.Revocation = RevocationGood
	case pki.Revoked:
		s.Revocation, s.RevokedAt = RevocationRevoked, rev.At
		j.decide(Revoked, "%s", rev.Reason)
	default:
		s.Revocation = RevocationUnknown
		j.step("signer %d: %s", j.n+1, rev.Reason)
		if j.o.Revocation == RevocationHard {
			j.decide(Unavailable, "whether the certificate was revoked could not be found out: %s", rev.Reason)
		}
	}
}

// strength says what is weak about the signature itself.
func (j *judgement) strength() {
	for _, w := range j.result.Weak {
		switch {
		case w == cms.WeakSHA1:
			j.decide(Weak, "the signature is made with SHA-1, which can be forged")
		case w == cms.WeakNoAttributes:
			j.decide(Weak, "the signature has no signed attributes")
		case strings.HasPrefix(w, "rsa-"):
			j.decide(Weak, "the signature is made with a short RSA key of %s bits", strings.TrimPrefix(w, "rsa-"))
		default:
			j.decide(Weak, "the signature is weak: %s", w)
		}
	}
}

// time looks at when the signer says that he signed.
func (j *judgement) time() {
	s := j.signer
	switch t := s.SigningTime; {
	case t.IsZero():
		j.object.flags = addFlag(j.object.flags, FlagNoSigningTime)
	case t.After(j.at.Add(maxAhead)):
		j.decide(Stale, "the signature says it was made on %s, after the message was received", day(t))
	case t.Before(s.NotBefore):
		j.decide(Stale, "the signature says it was made on %s, before its certificate was valid (%s)", day(t), day(s.NotBefore))
	case t.After(s.NotAfter):
		j.decide(Stale, "the signature says it was made on %s, after its certificate expired (%s)", day(t), day(s.NotAfter))
	case t.Before(j.at.Add(-maxAge)):
		j.object.flags = addFlag(j.object.flags, FlagOldSignature)
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// author compares the mailboxes of the certificate with the one mailbox in From (RFC 8550 Section 3). Sender and Reply-To
// name others than the author, and anybody can add them.
func (j *judgement) author() {
	s := j.signer
	boxes := pki.Mailboxes(s.Certificate, j.o.DNEmail.Allowed(j.trust))
	for _, b := range boxes {
		s.Emails = append(s.Emails, b.String())
	}
	if len(boxes) > 0 {
		s.Email = s.Emails[0]
	}
	from, ok := single(j.run.author)
	if !ok {
		s.Identity = NoAuthor
		j.decide(WrongSender, "%s", noAuthor(j.run.author, s.Email))
		return
	}
	best, at := pki.NoMatch, 0
	for i, b := range boxes {
		if match := b.Matches(from.Local, from.Domain); match == pki.FullMatch || match == pki.CaseMatch && best == pki.NoMatch {
			best, at = match, i
		}
	}
	switch {
	case len(boxes) == 0:
		s.Identity = NoMailbox
		j.decide(WrongSender, "%s", noMailbox(s.Certificate, from))
		return
	case best == pki.NoMatch:
		s.Identity = Differs
		j.decide(WrongSender, "signed by %s, not by the sender %s", s.Email, address(from))
		return
	}
	s.Identity, s.Email = Matches, s.Emails[at]
	if best == pki.CaseMatch {
		j.object.flags = addFlag(j.object.flags, FlagCase)
	}
	if boxes[at].Source == pki.FromSubject {
		j.object.flags = addFlag(j.object.flags, FlagSubjectMail)
	}
	if namesAnother(from.Name, from) || namesAnother(comments(j.m.Header), from) {
		j.object.flags = addFlag(j.object.flags, FlagAddressName)
	}
}

// noMailbox says why no mailbox of a certificate counts.
func noMailbox(c *x509.Certificate, from message.Mailbox) string {
	if subject := pki.Mailboxes(c, true); len(subject) > 0 {
		return "the certificate names " + subject[0].String() + " in its subject only, which does not count"
	}
	return "the certificate names no mailbox, so it cannot be that of the sender " + address(from)
}

// single returns the one author of a message.
func single(a message.Author) (message.Mailbox, bool) {
	if a.Problem != "" || len(a.Mailboxes) != 1 {
		return message.Mailbox{}, false
	}
	return a.Mailboxes[0], true
}

// noAuthor says why the signer cannot be compared with the author.
func noAuthor(a message.Author, signer string) string {
	if signer == "" {
		signer = "somebody"
	}
	switch a.Problem {
	case message.AuthorMissing:
		return "signed by " + signer + ", but the message names no sender in From"
	case message.AuthorSeveralFields:
		return "signed by " + signer + ", but the message has more than one From"
	case message.AuthorSeveral:
		return "signed by " + signer + ", but From names more than one sender"
	case message.AuthorGroup:
		return "signed by " + signer + ", but From names a group"
	}
	return "signed by " + signer + ", but From cannot be read for certain"
}

// address formats a mailbox.
func address(m message.Mailbox) string { return m.Local + "@" + m.Domain }

// namesAnother reports whether text has an address that is not the mailbox: many readers show only the display name, or
// the comment where there is none.
func namesAnother(text string, m message.Mailbox) bool {
	own := strings.ToLower(address(m))
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r <= ' ' || strings.ContainsRune("<>()[],;:\"'\u00a0", r) }) {
		if at := strings.IndexAny(word, "@\uff20\ufe6b"); at > 0 && at < len(word)-1 && strings.Trim(strings.ToLower(word), ".") != own {
			return true
		}
	}
	return false
}

// comments returns what stands in comments of From (RFC 5322 Section 3.2.2), decoded.
func comments(h message.Header) string {
	text := []byte("From: ")
	for f := range h.All("From") {
		depth, quoted, escaped := 0, false, false
		for _, c := range f.Value() {
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
				continue
			case c == '"' && depth == 0:
				quoted = !quoted
			case c == '(' && !quoted:
				depth++
				c = ' '
			case c == ')' && depth > 0:
				depth--
				c = ' '
			}
			if depth > 0 && c != '\r' && c != '\n' {
				text = append(text, c)
			}
		}
		text = append(text, ' ')
	}
	return message.Field{Name: "From", Raw: append(text, '\r', '\n')}.Text()
}
