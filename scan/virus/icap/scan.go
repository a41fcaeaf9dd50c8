package icap

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"assay/scan/virus"
)

// Sizes of what is sent.
const (
	chunkSize = 64 << 10
	maxName   = 200 // of a file, in octets before it is escaped
)

// Scan sends r to the service. It implements virus.Engine. An error that wraps virus.ErrTooLarge or virus.ErrRefused is about
// this content, every other one about the service, or about reading r.
func (c *Client) Scan(ctx context.Context, name string, r io.Reader) (virus.Verdict, error) {
	s, err := c.service(ctx)
	if err != nil {
		return virus.Verdict{}, fmt.Errorf("icap: %w", err)
	}
	var v virus.Verdict
	err = s.dialer.Do(ctx, func(conn net.Conn) error {
		x := &exchange{
			conn: conn, in: bufio.NewReader(conn), content: r, upload: c.method == "REQMOD", sum: sha256.New(), finish: func() error { return nil },
		}
		defer func() {
			if x.tag != "" && x.tag != s.tag {
				c.forget(s)
			}
		}()
		var err error
		v, err = x.run(c.head(s, name, r), s.preview)
		return err
	})
	if err != nil {
		c.forget(s)
		return virus.Verdict{}, fmt.Errorf("icap: %w", err)
	}
	return v, nil
}

// head returns what goes before the body: the ICAP header and the HTTP headers that it encapsulates (RFC 3507 Sections 4.4.1,
// 4.8.1 and 4.9.1). The name of the file is that of a resource of nobody's (RFC 2606 Section 2).
func (c *Client) head(s *service, name string, r io.Reader) []byte {
	path := "/" + url.PathEscape(name[:min(len(name), maxName)])
	length := ""
	if sized, ok := r.(interface{ Len() int }); ok {
		length = "Content-Length: " + strconv.Itoa(sized.Len()) + "\r\n"
	}
	const kind = "Content-Type: application/octet-stream\r\n"
	request, answer := "GET http://assay.invalid"+path+" HTTP/1.1\r\nHost: assay.invalid\r\n\r\n", "HTTP/1.1 200 OK\r\n"+kind+length+"\r\n"
	parts := fmt.Sprintf("req-hdr=0, res-hdr=%d, res-body=%d", len(request), len(request)+len(answer))
	if c.method == "REQMOD" {
		request, answer = "POST http://assay.invalid"+path+" HTTP/1.1\r\nHost: assay.invalid\r\n"+kind+length+"\r\n", ""
		parts = fmt.Sprintf("req-hdr=0, req-body=%d", len(request))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s ICAP/1.0\r\nHost: %s\r\nUser-Agent: Assay\r\nConnection: close\r\nAllow: 204\r\n", c.method, c.url, c.host)
	if s.preview >= 0 {
		fmt.Fprintf(&b, "Preview: %d\r\n", s.preview)
	}
	fmt.Fprintf(&b, "Encapsulated: %s\r\n\r\n%s%s", parts, request, answer)
	return b.Bytes()
}

// An exchange is one request with its answer.
type exchange struct {
	conn    net.Conn
	in      *bufio.Reader
	content io.Reader
	upload  bool         // REQMOD
	sum     hash.Hash    // of what was sent; to be read after finish
	sent    atomic.Int64 // octets of the content
	all     atomic.Bool  // everything was sent
	finish  func() error // waits until everything is sent
	tag     string       // ISTag of the answer
}

// A contentError says that the content could not be read, which is nobody's fault here.
type contentError struct{ err error }

func (e *contentError) Error() string { return "reading the content: " + e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

// run sends the head and the content, with a preview of so many octets or with none (-1), and returns the verdict.
func (x *exchange) run(head []byte, preview int) (virus.Verdict, error) {
	if preview < 0 {
		return x.rest(head)
	}
	if err := x.preview(head, preview); err != nil {
		return virus.Verdict{}, err
	}
	resp, err := x.answer()
	switch {
	case err != nil:
		return virus.Verdict{}, err
	case resp.status == 100 && !x.all.Load():
		return x.rest(nil)
	}
	return x.verdict(resp)
}

// preview sends the beginning of the content (RFC 3507 Section 4.5). After that content continues with what is not sent.
func (x *exchange) preview(head []byte, size int) error {
	start := make([]byte, size+1) // one more to see whether there is more
	n, err := io.ReadFull(x.content, start)
	done := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !done {
		return &contentError{err}
	}
	end := "0; ieof\r\n\r\n"
	if !done {
		end, n = "0\r\n\r\n", size
		x.content = io.MultiReader(bytes.NewReader(start[size:]), x.content)
	}
	x.all.Store(done)
	_, err = x.conn.Write(append(x.chunk(head, start[:n]), end...))
	return err
}

// chunk appends a chunk to out and counts it. An empty one would end the body.
func (x *exchange) chunk(out, content []byte) []byte {
	if len(content) == 0 {
		return out
	}
	x.sum.Write(content)
	x.sent.Add(int64(len(content)))
	out = strconv.AppendInt(out, int64(len(content)), 16)
	return append(append(append(out, "\r\n"...), content...), "\r\n"...)
}

// rest sends what is left of the content while it reads the answer: a service may send back what it gets as it gets it. One
// that answers early has no verdict about the whole, unless it has found something.
func (x *exchange) rest(head []byte) (virus.Verdict, error) {
	sent := make(chan error, 1)
	go func() {
		err := x.send(head)
		var foreign *contentError
		if errors.As(err, &foreign) {
			_ = x.conn.Close() // nobody is to answer a part
		}
		sent <- err
	}()
	x.finish = sync.OnceValue(func() error { return <-sent })
	v, err := virus.Verdict{}, error(nil)
	resp, err := x.answer()
	if err == nil {
		v, err = x.verdict(resp)
	}
	if err != nil || v.Kind == virus.Infected {
		_ = x.conn.Close() // nothing more has to be sent
	}
	var foreign *contentError
	failed := x.finish()
	switch {
	case errors.As(failed, &foreign):
		return virus.Verdict{}, failed
	case err == nil && failed != nil && v.Kind != virus.Infected:
		return virus.Verdict{}, fmt.Errorf("the service has answered before it had everything: %w", failed)
	}
	return v, err
}

// send sends the head, the rest of the content and the end of the body.
func (x *exchange) send(out []byte) error {
	buf := make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(x.content, buf)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return &contentError{err}
		}
		out = x.chunk(out, buf[:n])
		if last {
			out = append(out, "0\r\n\r\n"...)
		}
		if _, err := x.conn.Write(out); err != nil {
			return err
		}
		if last {
			x.all.Store(true)
			return nil
		}
		out = out[:0]
	}
}

// answer reads an answer up to the body in it.
func (x *exchange) answer() (response, error) {
	resp, err := readResponse(x.in)
	if tag := resp.fields.get("istag"); err == nil && tag != "" {
		x.tag = strings.Trim(tag, `"`)
	}
	return resp, err
}

// verdict says what an answer means. What its fields say counts, whatever the status is.
func (x *exchange) verdict(resp response) (virus.Verdict, error) {
	for _, h := range []*head{&resp.head, resp.response, resp.request} {
		if h == nil {
			continue
		}
		if v, ok, err := judge(h.fields); ok || err != nil {
			return v, err
		}
	}
	switch resp.status {
	case 204: // RFC 3507 Section 4.6: no modification
		return virus.Verdict{Kind: virus.Clean}, nil
	case 200:
		return x.compare(resp)
	}
	return virus.Verdict{}, refusal(resp.head)
}

// compare says whether what came back is what was sent. An answer of a web server in place of the content is one to the
// user: the content is blocked, or the service itself has failed.
func (x *exchange) compare(resp response) (virus.Verdict, error) {
	modified := virus.Verdict{Kind: virus.Infected, Name: blocked}
	h := resp.response
	switch {
	case h != nil && h.status >= 500:
		return virus.Verdict{}, fmt.Errorf("%w: %q", virus.ErrRefused, short(h.line))
	case h != nil && (x.upload || h.status != 200):
		return modified, nil
	case h == nil && resp.request == nil && !resp.body:
		return virus.Verdict{}, fmt.Errorf("answer %q has nothing in it", short(resp.line))
	}
	got := &echo{sum: sha256.New(), x: x}
	if resp.body {
		trailers, err := readBody(x.in, got)
		if errors.Is(err, errLonger) {
			return modified, nil
		}
		if err != nil {
			return virus.Verdict{}, err
		}
		if v, ok, err := judge(trailers); ok || err != nil {
			return v, err
		}
	}
	if got.n < x.sent.Load() {
		return modified, nil
	}
	if err := x.finish(); err != nil {
		return virus.Verdict{}, err
	}
	if !x.all.Load() { // the preview came back, which is not the whole
		return modified, nil
	}
	if got.n != x.sent.Load() || !bytes.Equal(got.sum.Sum(nil), x.sum.Sum(nil)) {
		return modified, nil
	}
	return virus.Verdict{Kind: virus.Clean}, nil
}

// errLonger ends a body that is longer than what was sent.
var errLonger = errors.New("longer than what was sent")

// An echo is what comes back.
type echo struct {
	x   *exchange
	sum hash.Hash
	n   int64
}

func (e *echo) Write(p []byte) (int, error) {
	e.n += int64(len(p))
	if e.x.all.Load() && e.n > e.x.sent.Load() {
		return 0, errLonger
	}
	return e.sum.Write(p)
}
