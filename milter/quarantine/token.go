package quarantine

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"assay/verify/message"
)

// A released message carries one field that makes the filter accept it:
//
//	X-Assay-Release: v=1; id=q1m5k2c7-x8d2pq; t=1795324758; n=YV4CJJ...; h=3b1f...; s=9c0e...
//
// It names the entry, the end of its time, a number that is used once, and the hash of the message below the field (see
// Sum); s authenticates the others with a key that never leaves this host. A token is worth something only as long as the
// index has it, unspent. Whoever reads one can do nothing with it: it fits one message, which its recipients get anyway.
const tokenSuffix = "-Release"

// TokenField is the name of the field under a prefix.
func TokenField(prefix string) string { return prefix + tokenSuffix }

// A token is the parsed value of the field.
type token struct {
	id      string
	expires int64
	nonce   string
	sum     string
}

// maxToken bounds the value of the field.
const maxToken = 512

// text returns what is authenticated.
func (t token) text() string {
	return fmt.Sprintf("v=1; id=%s; t=%d; n=%s; h=%s", t.id, t.expires, t.nonce, t.sum)
}

// sign returns the value of the field, folded.
func (t token) sign(key []byte) string {
	return strings.NewReplacer("; n=", ";\n n=", "; h=", ";\n h=").Replace(t.text()) + ";\n s=" + t.mac(key)
}

// mac authenticates a token.
func (t token) mac(key []byte) string {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, "assay quarantine release\n"+t.text())
	return hex.EncodeToString(h.Sum(nil))
}

// parseToken reads the value of a field and checks that it was made with key. It says nothing about the time.
func parseToken(value string, key []byte) (token, error) {
	if len(value) > maxToken {
		return token{}, fmt.Errorf("%w: it is too long", ErrToken)
	}
	var t token
	var version, mac string
	want := []struct {
		name string
		to   *string
	}{{"v", &version}, {"id", &t.id}, {"t", new(string)}, {"n", &t.nonce}, {"h", &t.sum}, {"s", &mac}}
	parts := strings.Split(strings.TrimSpace(value), ";")
	if len(parts) != len(want) {
		return token{}, fmt.Errorf("%w: it has %d parts", ErrToken, len(parts))
	}
	for i, part := range parts {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		if name != want[i].name {
			return token{}, fmt.Errorf("%w: it cannot be read", ErrToken)
		}
		*want[i].to = text
	}
	expires, err := strconv.ParseInt(*want[2].to, 10, 64)
	if err != nil || version != "1" || !ValidID(t.id) {
		return token{}, fmt.Errorf("%w: it cannot be read", ErrToken)
	}
	t.expires = expires
	if !hmac.Equal([]byte(t.mac(key)), []byte(mac)) {
		return token{}, fmt.Errorf("%w: it was not made here", ErrToken)
	}
	return t, nil
}

// A Summer computes what a token says about a message: a hash of its header fields, from the one below the token on, and
// its body. Fields that MTAs drop on the way in (message_drop_headers of Postfix) do not count.
type Summer struct{ h hash.Hash }

// NewSummer returns a Summer.
func NewSummer() Summer { return Summer{sha256.New()} }

// Field adds a header field as it was received, with its line end.
func (s Summer) Field(name string, raw []byte) {
	switch strings.ToLower(name) {
	case "bcc", "resent-bcc", "return-path", "content-length":
		return
	}
	_, _ = s.h.Write(raw)
}

// Body adds the body and returns the hash in lower-case hex.
func (s Summer) Body(body io.Reader) (string, error) {
	_, _ = io.WriteString(s.h, "\r\n")
	if _, err := io.Copy(s.h, body); err != nil {
		return "", err
	}
	return hex.EncodeToString(s.h.Sum(nil)), nil
}

// sumOf computes the hash of a stored message.
func sumOf(r io.Reader) (string, error) {
	m, err := message.Read(r, message.Envelope{}, message.Limits{})
	if err != nil {
		return "", err
	}
	defer m.Close()
	return SumBelow(m, -1)
}

// SumBelow computes the hash of the fields behind the one with an index, and the body.
func SumBelow(m *message.Message, index int) (string, error) {
	s := NewSummer()
	for _, f := range m.Header[index+1:] {
		s.Field(f.Name, f.Raw)
	}
	return s.Body(m.Body())
}

// issue makes a token for an entry. It is on the disk before anybody can use it.
func (s *Store) issue(ctx context.Context, id, sum string) (token, error) {
	t := token{id: id, expires: s.opt.Now().Add(s.opt.TokenLife).Unix(), nonce: rand.Text(), sum: sum}
	_, err := s.db.ExecContext(ctx, "INSERT INTO tokens (nonce, entry, expires) VALUES (?, ?, ?)", t.nonce, id, t.expires)
	return t, err
}

// revoke takes a token back that nobody has used.
func (s *Store) revoke(ctx context.Context, t token) error {
	_, err := s.db.ExecContext(ctx, "DELETE FROM tokens WHERE nonce = ? AND spent = 0", t.nonce)
	return err
}

// spent reports whether the filter has accepted the message of a token.
func (s *Store) spent(ctx context.Context, t token) bool {
	var at int64
	err := s.db.QueryRowContext(ctx, "SELECT spent FROM tokens WHERE nonce = ?", t.nonce).Scan(&at)
	return err == nil && at != 0
}

// A Redeemed is a message that is released: its entry, and the token that is spent.
type Redeemed struct {
	Entry *Entry
	nonce string
}

// Redeem spends the token in the value of a field that stands above a message with a hash. It is ErrToken for a token that
// was forged, has been used, is too old or belongs to another message, and another error when that cannot be found out.
func (s *Store) Redeem(ctx context.Context, value, sum string) (*Redeemed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return nil, err
	}
	t, err := parseToken(value, s.key)
	if err != nil {
		return nil, err
	}
	now := s.opt.Now()
	switch {
	case t.sum != sum:
		return nil, fmt.Errorf("%w: it belongs to another message than this one", ErrToken)
	case now.After(time.Unix(t.expires, 0)):
		return nil, fmt.Errorf("%w: its time is over", ErrToken)
	}
	r := &Redeemed{nonce: t.nonce}
	err = s.begin(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE tokens SET spent = ? WHERE nonce = ? AND entry = ? AND spent = 0", now.Unix(), t.nonce, t.id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("%w: it has been used", ErrToken)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	e, content, err := s.Message(t.id)
	if err != nil {
		return nil, err
	}
	r.Entry = e
	return r, content.Close()
}

// Restore makes a token good again whose message the MTA has not taken, because the connection to it broke.
func (s *Store) Restore(ctx context.Context, r *Redeemed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, "UPDATE tokens SET spent = 0 WHERE nonce = ?", r.nonce)
	return err
}

// stamped returns the message with the token on top. Lines of the field end as those of the message do.
func stamped(prefix string, t token, key []byte, content io.Reader) io.Reader {
	field := TokenField(prefix) + ": " + strings.ReplaceAll(t.sign(key), "\n", "\r\n") + "\r\n"
	return io.MultiReader(bytes.NewReader([]byte(field)), content)
}
