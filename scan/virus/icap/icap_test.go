package icap

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/textproto"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"assay/scan/virus"
)

// marker is what the services of these tests call malware.
const marker = "this is malware"

// A server is an ICAP service as RFC 3507 describes one. It fails the test when a request is not as the RFC wants it.
type server struct {
	t        *testing.T
	addr     string
	options  string        // header fields of the answer to OPTIONS
	handle   func(c *call) // anything but OPTIONS
	asked    atomic.Int32  // OPTIONS
	open     atomic.Int32  // connections
	mostOpen atomic.Int32  // at a time
}

// A call is one request.
type call struct {
	s       *server
	conn    net.Conn
	in      *bufio.Reader
	method  string
	url     string
	fields  textproto.MIMEHeader
	parts   []string // encapsulated headers
	preview bool     // only a preview has been read
	body    []byte
}

// serve starts a server.
func serve(t *testing.T, options string, handle func(*call)) *server {
	t.Helper()
	return serveOn(t, listen(t), options, handle)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serveOn(t *testing.T, l net.Listener, options string, handle func(*call)) *server {
	t.Helper()
	s := &server{t: t, addr: l.Addr().String(), options: options, handle: handle}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return s
}

// serve answers one request.
func (s *server) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	defer s.open.Add(-1)
	for n := s.open.Add(1); ; {
		if most := s.mostOpen.Load(); n <= most || s.mostOpen.CompareAndSwap(most, n) {
			break
		}
	}
	c := &call{s: s, conn: conn, in: bufio.NewReader(conn)}
	if err := c.readHead(); err != nil {
		var alert *net.OpError // a client does not trust the certificate
		if !errors.Is(err, io.EOF) && !(errors.As(err, &alert) && alert.Op == "remote error") {
			s.t.Errorf("request: %v", err)
		}
		return
	}
	if c.method == "OPTIONS" {
		s.asked.Add(1)
		c.write("ICAP/1.0 200 OK\r\n" + s.options + "Encapsulated: null-body=0\r\n\r\n")
		return
	}
	s.handle(c)
}

// readHead reads the request line, the fields, and the encapsulated headers by their offsets (Section 4.4.1).
func (c *call) readHead() error {
	r := textproto.NewReader(c.in)
	line, err := r.ReadLine()
	if err != nil {
		return err
	}
	words := strings.Fields(line)
	if len(words) != 3 || words[2] != "ICAP/1.0" {
		return fmt.Errorf("request line %q", line)
	}
	c.method, c.url = words[0], words[1]
	if c.fields, err = r.ReadMIMEHeader(); err != nil {
		return err
	}
	if c.fields.Get("Host") == "" || c.fields.Get("Encapsulated") == "" {
		return fmt.Errorf("no Host or Encapsulated in %v", c.fields)
	}
	last := 0
	for i, part := range strings.Split(c.fields.Get("Encapsulated"), ", ") {
		name, at, _ := strings.Cut(part, "=")
		offset, err := strconv.Atoi(at)
		if err != nil || offset < last || i == 0 && offset != 0 {
			return fmt.Errorf("offset %q", part)
		}
		if i > 0 {
			h := make([]byte, offset-last)
			if _, err := io.ReadFull(c.in, h); err != nil {
				return err
			}
			if !bytes.HasSuffix(h, []byte("\r\n\r\n")) || bytes.Count(h, []byte("\r\n\r\n")) != 1 {
				return fmt.Errorf("%s is before %q", name, h)
			}
			c.parts = append(c.parts, string(h))
		}
		last = offset
	}
	return nil
}

// read reads chunks to the end of the body or of the preview.
func (c *call) read() {
	c.preview = false
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return
		}
		size, ext, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ";")
		n, err := strconv.ParseInt(size, 16, 32)
		if err != nil {
			c.s.t.Errorf("chunk %q", line)
			return
		}
		data := make([]byte, n+2)
		if _, err := io.ReadFull(c.in, data); err != nil {
			return
		}
		if !bytes.HasSuffix(data, []byte("\r\n")) {
			c.s.t.Errorf("chunk does not end with CRLF")
		}
		c.body = append(c.body, data[:n]...)
		if n == 0 {
			c.preview = c.fields.Get("Preview") != "" && strings.TrimSpace(ext) != "ieof"
			return
		}
	}
}

// all reads the whole body, and says 100 Continue where it has to.
func (c *call) all() []byte {
	c.read()
	if want := c.fields.Get("Preview"); want != "" {
		if n, _ := strconv.Atoi(want); len(c.body) > n || c.preview && len(c.body) != n {
			c.s.t.Errorf("preview of %d octets, want %s", len(c.body), want)
		}
	}
	if c.preview {
		c.write("ICAP/1.0 100 Continue\r\n\r\n")
		c.read()
	}
	return c.body
}

func (c *call) write(s string) { _, _ = io.WriteString(c.conn, s) }

// chunked returns a body in chunks of at most 1000 octets.
func chunked(body []byte) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(len(body), 1000)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// ok returns an answer with a header and a body of HTTP.
func ok(extra, http string, body []byte) string {
	http += "\r\nContent-Type: text/html\r\n\r\n"
	return fmt.Sprintf("ICAP/1.0 200 OK\r\nISTag: \"one\"\r\n%sEncapsulated: res-hdr=0, res-body=%d\r\n\r\n%s%s", extra, len(http), http, chunked(body))
}

const (
	noContent = "ICAP/1.0 204 No Modifications Needed\r\nISTag: \"one\"\r\n\r\n"
	basics    = "Methods: RESPMOD\r\nISTag: \"one\"\r\nService: Test 1\r\nAllow: 204\r\n"
)

// client returns a client of a server.
func client(t *testing.T, s *server, change func(*Options)) *Client {
	t.Helper()
	opt := Options{URL: "icap://" + s.addr + "/avscan"}
	if change != nil {
		change(&opt)
	}
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scanner is a well-behaved service.
func scanner(c *call) {
	if bytes.Contains(c.all(), []byte(marker)) {
		c.write(ok("X-Infection-Found: Type=0; Resolution=2; Threat=Test.Marker;\r\n", "HTTP/1.1 403 Forbidden", []byte("no")))
		return
	}
	c.write(noContent)
}

func TestSizesAndPreviews(t *testing.T) {
	for _, preview := range []string{"", "Preview: 0\r\n", "Preview: 30\r\n", "Preview: 1024\r\n", "Preview: 99999999\r\n"} {
		s := serve(t, basics+preview, scanner)
		c := client(t, s, func(o *Options) { o.Preview = 1 << 20 })
		for _, size := range []int{0, 1, 29, 30, 31, 1023, 1024, 1025, 64 << 10, 64<<10 + 1, 3 << 20} {
			for _, want := range []virus.Verdict{{Kind: virus.Clean}, {Kind: virus.Infected, Name: "Test.Marker"}} {
				content := bytes.Repeat([]byte("x"), size)
				if want.Kind == virus.Infected {
					content = append(content, marker...)
				}
				for _, r := range []io.Reader{bytes.NewReader(content), io.MultiReader(bytes.NewReader(content))} {
					if v, err := c.Scan(t.Context(), "a b/ü?.txt", r); v != want || err != nil {
						t.Errorf("%q, %d octets: %v, %v; want %v", preview, size, v, err, want)
					}
				}
			}
		}
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked for OPTIONS %d times", n)
		}
	}
}

func TestRequests(t *testing.T) {
	seen := make(chan *call, 2)
	s := serve(t, "Methods: RESPMOD, REQMOD\r\nPreview: 4\r\n", func(c *call) {
		c.all()
		c.write(noContent)
		seen <- c
	})
	for _, upload := range []bool{false, true} {
		c := client(t, s, func(o *Options) { o.Request = upload })
		if v, err := c.Scan(t.Context(), "Über uns.pdf\r\nX: y", strings.NewReader("content")); v.Kind != virus.Clean || err != nil {
			t.Fatal(v, err)
		}
		got := <-seen
		const path = "http://assay.invalid/%C3%9Cber%20uns.pdf%0D%0AX:%20y HTTP/1.1\r\nHost: assay.invalid\r\n"
		method, want := "RESPMOD", []string{
			"GET " + path + "\r\n", "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 7\r\n\r\n",
		}
		if upload {
			method, want = "REQMOD", []string{"POST " + path + "Content-Type: application/octet-stream\r\nContent-Length: 7\r\n\r\n"}
		}
		if got.method != method || fmt.Sprintf("%q", got.parts) != fmt.Sprintf("%q", want) || got.url != "icap://"+s.addr+"/avscan" {
			t.Errorf("%s %s %q, want %s %q", got.method, got.url, got.parts, method, want)
		}
		if got.fields.Get("Allow") != "204" || got.fields.Get("Preview") != "1" || string(got.body) != "content" {
			t.Errorf("%v, body %q", got.fields, got.body)
		}
	}
}

func TestAnswers(t *testing.T) {
	const body = "0123456789 this is the content"
	infected := func(name string) virus.Verdict { return virus.Verdict{Kind: virus.Infected, Name: name} }
	http := func(line string) string { return line + "\r\n\r\n" }
	clean := virus.Verdict{Kind: virus.Clean}
	tests := []struct {
		name, answer string
		want         virus.Verdict
		wantErr      error // nil: no error; errAny: any
	}{
		{"204", noContent, clean, nil},
		{"200 and the same", ok("", "HTTP/1.1 200 OK", []byte(body)), clean, nil},
		{"200 and the same without a header", "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n" + chunked([]byte(body)), clean, nil},
		{"200 and another", ok("", "HTTP/1.1 200 OK", []byte("0123456789 this is the CONTENT")), infected(blocked), nil},
		{"200 and less", ok("", "HTTP/1.1 200 OK", []byte(body[:10])), infected(blocked), nil},
		{"200 and more", ok("", "HTTP/1.1 200 OK", []byte(body+"!")), infected(blocked), nil},
		{"200 and nothing", "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, null-body=19\r\n\r\n" + http("HTTP/1.1 200 OK"), infected(blocked), nil},
		{"200 and the same of another status", ok("", "HTTP/1.1 403 Forbidden", []byte(body)), infected(blocked), nil},
		{"redirect", ok("", "HTTP/1.1 307 Temporary Redirect", nil), infected(blocked), nil},
		{"c-icap", ok("X-Infection-Found: Type=0; Resolution=2; Threat=Win.Test.EICAR_HDB-1;\r\nX-Violations-Found: 1\r\n\t-\r\n\t"+
			"Win.Test.EICAR_HDB-1\r\n\t0\r\n\t0\r\n", "HTTP/1.0 403 Forbidden", []byte("x")), infected("Win.Test.EICAR_HDB-1"), nil},
		{"in the header of HTTP", ok("", "HTTP/1.0 307 Redirect\r\nX-Virus-ID: {HEX}EICAR.3", nil), infected("{HEX}EICAR.3"), nil},
		{"in trailers", strings.Replace(ok("", "HTTP/1.1 200 OK", []byte(body)), "\r\n0\r\n\r\n", "\r\n0\r\nX-Virus-ID: Late\r\n\r\n", 1), infected("Late"), nil},
		{"204 and a name", "ICAP/1.0 204 No\r\nX-Virus-ID: Odd\r\n\r\n", infected("Odd"), nil},
		{"403 and a name", "ICAP/1.0 403 Forbidden\r\nX-Virus-ID: Odd\r\n\r\n", infected("Odd"), nil},
		{"the same and a name", ok("X-Virus-ID: Odd\r\n", "HTTP/1.1 200 OK", []byte(body)), infected("Odd"), nil},
		{"violations only", ok("X-Violations-Found: 2\r\n\ta b.zip\r\n\tOne\r\n\t1\r\n\t0\r\n\tb\r\n\tTwo\r\n\t2\r\n\t0\r\n", "HTTP/1.1 200 OK", nil), infected("One"), nil},
		{"violations without a name", ok("X-Violations-Found: 1\r\n", "HTTP/1.1 200 OK", nil), infected(blocked), nil},
		{"no violations", ok("X-Violations-Found: 0\r\n", "HTTP/1.1 200 OK", []byte(body)), clean, nil},
		{"Kaspersky passes", "ICAP/1.0 204 No\r\nX-Virus-ID: no threats\r\nX-Response-Info: passed\r\n\r\n", clean, nil},
		{"Kaspersky blocks", ok("X-Virus-ID: no threats\r\nX-Response-Info: blocked\r\n", "HTTP/1.1 200 OK", []byte(body)), infected(blocked), nil},
		{"ESET", ok("X-Infection-Found: Type=0; Resolution=0; Threat=VBA/Agent.JOA;\r\nX-Virus-ID: Trojaner\r\nX-Response-Info: Blocked\r\n",
			"HTTP/1.1 403 Forbidden", nil), infected("VBA/Agent.JOA"), nil},
		{"Symantec, size", ok("X-Infection-Found: Type=2; Resolution=2; Threat=Container size violation\r\n", "HTTP/1.1 403 Forbidden", nil),
			virus.Verdict{Kind: virus.Uninspectable, Name: "Container size violation"}, nil},
		{"Symantec, encrypted", ok("X-Infection-Found: Type=2; Resolution=2; Threat=Encrypted container violation;\r\n", "HTTP/1.1 403 Forbidden", nil),
			virus.Verdict{Kind: virus.Encrypted, Name: "Encrypted container violation"}, nil},
		{"OPSWAT, encrypted", ok("X-Response-Info: Blocked\r\nX-Response-Desc: Encrypted Archive\r\nX-Blocked-Reason: Encrypted Archive\r\n"+
			"X-Virus-ID: Encrypted Archive\r\nX-Infection-Found: Type=0; Resolution=0; Threat=Encrypted Archive;\r\n", "HTTP/1.1 403 Forbidden", nil),
			virus.Verdict{Kind: virus.Encrypted, Name: "Encrypted Archive"}, nil},
		{"Trellix", ok("X-Media-Type: text/plain\r\nX-Block-Result: 80\r\nX-Block-Reason: Malware found\r\n", "HTTP/1.0 403 VirusFound", nil), infected("Malware found"), nil},
		{"Trellix, archive", ok("X-Block-Reason: Archive not supported\r\n", "HTTP/1.0 403 Blocked", nil),
			virus.Verdict{Kind: virus.Uninspectable, Name: "Archive not supported"}, nil},
		{"Sophos", ok("", "HTTP/1.1 403 Forbidden\r\nX-Blocked: Virus found during virus scan\r\nX-Blocked-By: Sophos Anti-Virus", nil), infected("Virus found during virus scan"), nil},
		{"F-Secure", ok("X-FSecure-Scan-Result: infected\r\nX-FSecure-Infection-Name: \"Exploit.D-Encrypted.Gen\"\r\n", "HTTP/1.1 403 Forbidden", nil), infected("Exploit.D-Encrypted.Gen"), nil},
		{"F-Secure, clean", "ICAP/1.0 204 No\r\nX-FSecure-Scan-Result: clean\r\n\r\n", clean, nil},
		{"F-Secure, failed", "ICAP/1.0 204 No\r\nX-FSecure-Scan-Result: incomplete\r\n\r\n", virus.Verdict{}, virus.ErrRefused},
		{"ClamAV's heuristics", ok("X-Infection-Found: Type=0; Resolution=2; Threat=Heuristics.Encrypted.Zip;\r\n", "HTTP/1.1 403 Forbidden", nil),
			virus.Verdict{Kind: virus.Encrypted, Name: "Heuristics.Encrypted.Zip"}, nil},
		{"malware is worse than encryption", ok("X-Infection-Found: Type=2; Threat=Encrypted container violation;\r\nX-Virus-ID: Trojan\r\n", "HTTP/1.1 403 Forbidden", nil), infected("Trojan"), nil},
		{"a name with strange octets", ok("X-Virus-ID: a\x01\xffb\r\n", "HTTP/1.1 403 Forbidden", nil), infected("a??b"), nil},
		{"HTTP 500", ok("", "HTTP/1.1 502 Bad Gateway", []byte("x")), virus.Verdict{}, virus.ErrRefused},
		{"500", "ICAP/1.0 500 Server error\r\n\r\n", virus.Verdict{}, virus.ErrRefused},
		{"413", "ICAP/1.0 413 Too large\r\n\r\n", virus.Verdict{}, virus.ErrTooLarge},
		{"404", "ICAP/1.0 404 Service not found\r\n\r\n", virus.Verdict{}, errAny},
		{"503", "ICAP/1.0 503 Overloaded\r\n\r\n", virus.Verdict{}, errAny},
		{"100 for nothing", "ICAP/1.0 100 Continue\r\n\r\n", virus.Verdict{}, errAny},
		{"206", "ICAP/1.0 206 Partial\r\nEncapsulated: res-body=0\r\n\r\n" + chunked([]byte(body)), virus.Verdict{}, errAny},
		{"nothing", "", virus.Verdict{}, errAny},
		{"cut off", "ICAP/1.0 204 No", virus.Verdict{}, errAny},
		{"cut off in the fields", "ICAP/1.0 204 No\r\nISTag: x\r\n", virus.Verdict{}, errAny},
		{"cut off in the body", strings.TrimSuffix(ok("", "HTTP/1.1 200 OK", []byte(body)), "0\r\n\r\n"), virus.Verdict{}, errAny},
		{"chunk of nonsense", "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\nxyz\r\n", virus.Verdict{}, errAny},
		{"HTTP", "HTTP/1.1 204 No Content\r\n\r\n", virus.Verdict{}, errAny},
		{"SMTP", "220 mail.example.org ESMTP\r\n", virus.Verdict{}, errAny},
		{"200 without parts", "ICAP/1.0 200 OK\r\n\r\n", virus.Verdict{}, errAny},
		{"unknown part", "ICAP/1.0 200 OK\r\nEncapsulated: odd=0\r\n\r\n", virus.Verdict{}, errAny},
		{"endless header", "ICAP/1.0 204 No\r\nA: " + strings.Repeat("x", 100_000) + "\r\n\r\n", virus.Verdict{}, errAny},
		{"endless fields", "ICAP/1.0 204 No\r\n" + strings.Repeat("a: b\r\n", 1000) + "\r\n", virus.Verdict{}, errAny},
	}
	for _, preview := range []string{"", "Preview: 4\r\n"} {
		var answer string
		c := client(t, serve(t, basics+preview, func(c *call) {
			c.all()
			c.write(answer)
		}), nil)
		for _, tt := range tests {
			answer = tt.answer
			v, err := c.Scan(t.Context(), "", strings.NewReader(body))
			if v != tt.want || (err == nil) != (tt.wantErr == nil) || tt.wantErr != errAny && !errors.Is(err, tt.wantErr) {
				t.Errorf("%q, %s: %v, %v; want %v, %v", preview, tt.name, v, err, tt.want, tt.wantErr)
			}
		}
	}
}

// errAny stands for any error.
var errAny = errors.New("any")

func TestUpload(t *testing.T) {
	const request = "POST http://assay.invalid/ HTTP/1.1\r\n\r\n"
	answer := ""
	c := client(t, serve(t, "Methods: REQMOD\r\n", func(c *call) {
		c.all()
		c.write(answer)
	}), func(o *Options) { o.Request = true })
	for _, tt := range []struct {
		name, answer string
		want         virus.Kind
	}{
		{"same", fmt.Sprintf("ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, req-body=%d\r\n\r\n%s%s", len(request), request, chunked([]byte("abc"))), virus.Clean},
		{"another", fmt.Sprintf("ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, req-body=%d\r\n\r\n%s%s", len(request), request, chunked([]byte("abd"))), virus.Infected},
		{"an answer to the user", ok("", "HTTP/1.1 200 OK", []byte("abc")), virus.Infected},
	} {
		answer = tt.answer
		if v, err := c.Scan(t.Context(), "", strings.NewReader("abc")); v.Kind != tt.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", tt.name, v, err, tt.want)
		}
	}
}

// TestEarlyAnswers has services that answer before they have everything.
func TestEarlyAnswers(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 8<<20) // more than fits into buffers
	tests := []struct {
		name, options string
		handle        func(*call)
		want          virus.Kind
	}{
		{"204 after the preview", "Preview: 10\r\n", func(c *call) { c.read(); c.write(noContent) }, virus.Clean},
		{"blocked after the preview", "Preview: 10\r\n", func(c *call) { c.read(); c.write(ok("", "HTTP/1.1 403 Forbidden", nil)) }, virus.Infected},
		{"the preview comes back", "Preview: 10\r\n", func(c *call) { c.read(); c.write(ok("", "HTTP/1.1 200 OK", c.body)) }, virus.Infected},
		{"204 at once", "", func(c *call) { c.write(noContent) }, ""},
		{"500 at once", "", func(c *call) { c.write("ICAP/1.0 500 Server error\r\n\r\n") }, ""},
		{"found at once", "", func(c *call) { c.write("ICAP/1.0 200 OK\r\nX-Virus-ID: Early\r\nEncapsulated: null-body=0\r\n\r\n") }, virus.Infected},
		{"another body at once", "", func(c *call) {
			c.write(ok("", "HTTP/1.1 200 OK", []byte("x")))
			_, _ = c.conn.Read(make([]byte, 1))
			<-c.s.t.Context().Done() // keeps the connection and takes nothing more
		}, virus.Infected},
		{"echo as it comes", "Preview: 0\r\n", func(c *call) {
			c.read()
			c.write("ICAP/1.0 100 Continue\r\n\r\n")
			c.write("ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n")
			_, _ = io.Copy(c.conn, c.in) // chunks as they are, and the end with them
		}, virus.Clean},
		{"more and more", "", func(c *call) {
			c.all()
			c.write("ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n")
			chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat("x", 1<<16))
			for err := error(nil); err == nil; {
				_, err = io.WriteString(c.conn, chunk)
			}
		}, virus.Infected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, serve(t, basics+tt.options, tt.handle), func(o *Options) { o.Timeout = 20 * time.Second })
			v, err := c.Scan(t.Context(), "", bytes.NewReader(content))
			if v.Kind != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%v, %v; want %q", v, err, tt.want)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	hang := make(chan struct{})
	s := serve(t, basics, func(c *call) { <-hang })
	defer close(hang)
	c := client(t, s, func(o *Options) { o.Timeout = 200 * time.Millisecond })
	start := time.Now()
	v, err := c.Scan(t.Context(), "", bytes.NewReader(make([]byte, 20<<20)))
	if !errors.Is(err, context.DeadlineExceeded) || v.Kind != "" || time.Since(start) > 5*time.Second {
		t.Errorf("%v, %v after %v", v, err, time.Since(start))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Scan(ctx, "", strings.NewReader("")); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestUnreadableContent(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, preview := range []string{"", "Preview: 10\r\n"} {
		c := client(t, serve(t, basics+preview, func(c *call) { c.all(); c.write(noContent) }), nil)
		for _, size := range []int{0, 5, 500, 100_000} {
			r := io.MultiReader(bytes.NewReader(make([]byte, size)), failing{broken})
			if v, err := c.Scan(t.Context(), "", r); !errors.Is(err, broken) || v.Kind != "" {
				t.Errorf("%q, %d: %v, %v", preview, size, v, err)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // for its certificate
	web.StartTLS()
	defer web.Close()
	s := serveOn(t, tls.NewListener(listen(t), &tls.Config{Certificates: web.TLS.Certificates}), basics+"Preview: 4\r\n", scanner)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	for _, config := range []*tls.Config{nil, {RootCAs: roots}} {
		c := client(t, s, func(o *Options) { o.URL, o.TLS = "icaps://"+s.addr+"/avscan", config })
		v, err := c.Scan(t.Context(), "", strings.NewReader(marker))
		if trusted := config != nil; trusted != (err == nil) || trusted && v.Kind != virus.Infected {
			t.Errorf("trusted %t: %v, %v", trusted, v, err)
		}
	}
}

func TestISTagAndConnections(t *testing.T) {
	tag, n := "one", 0
	s := serve(t, basics+"Max-Connections: 2\r\n", func(c *call) {
		c.all()
		c.write("ICAP/1.0 204 No\r\nISTag: \"" + tag + "\"\r\n\r\n")
	})
	c := client(t, s, func(o *Options) { o.MaxConnections = 8 })
	for range 50 {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if v, err := c.Scan(t.Context(), "", strings.NewReader("x")); err != nil || v.Kind != virus.Clean {
					t.Error(v, err)
				}
			})
			if n++; n == 1 {
				wg.Wait() // OPTIONS first
			}
		}
		wg.Wait()
	}
	if s.asked.Load() != 1 {
		t.Errorf("asked for OPTIONS %d times", s.asked.Load())
	}
	tag = "two"
	for range 2 {
		if _, err := c.Scan(t.Context(), "", strings.NewReader("x")); err != nil {
			t.Error(err)
		}
	}
	if s.asked.Load() != 2 {
		t.Errorf("asked for OPTIONS %d times after another ISTag", s.asked.Load())
	}
	if most := s.mostOpen.Load(); most > 3 { // one may still be closing
		t.Errorf("%d connections at a time, allowed were 2", most)
	}
}

// TestConnectionsAfterErrors has a service that allows one connection and fails: what it is asked next still waits for that one.
func TestConnectionsAfterErrors(t *testing.T) {
	s := serve(t, basics+"Max-Connections: 1\r\n", func(c *call) { c.all() })
	c := client(t, s, func(o *Options) { o.MaxConnections = 8 })
	first, err := c.service(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Scan(t.Context(), "", strings.NewReader("x")); err == nil {
		t.Error(v)
	}
	again, err := c.service(t.Context())
	if err != nil || again == first || again.dialer != first.dialer || s.asked.Load() != 2 {
		t.Errorf("%v, asked for OPTIONS %d times, connections counted anew: %v", err, s.asked.Load(), again.dialer != first.dialer)
	}
}

// TestPing asks a service that is busy with all that it may be sent, one that refuses, and one that is not there.
func TestPing(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	s := serve(t, basics, func(c *call) { entered <- struct{}{}; <-release })
	c := client(t, s, func(o *Options) { o.MaxConnections = 1 })
	var scan sync.WaitGroup
	scan.Go(func() { _, _ = c.Scan(t.Context(), "", strings.NewReader("x")) })
	<-entered
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	close(release)
	scan.Wait()
	other := serve(t, "Methods: REQMOD\r\n", nil)
	if err := client(t, other, nil).Ping(t.Context()); err == nil || err.Error() != "icap: the service takes REQMOD, but not RESPMOD" {
		t.Error(err)
	}
	l := listen(t)
	_ = l.Close()
	if err := client(t, &server{addr: l.Addr().String()}, nil).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name, options string
		handle        func(*call)
		size          int64
		version, warn string
		err           string
	}{
		{"well", basics, scanner, 1 << 20, "Test 1 one", "", ""},
		{"another method", "Methods: REQMOD\r\n", scanner, 0, "", "", "icap: the service takes REQMOD, but not RESPMOD"},
		{"too large", basics, func(c *call) { c.all(); c.write("ICAP/1.0 413 Too large\r\n\r\n") }, 1 << 20, "Test 1 one", "",
			`icap: larger than the virus scanner takes: "ICAP/1.0 413 Too large"`},
		{"malware everywhere", basics, func(c *call) { c.all(); c.write(ok("X-Virus-ID: All\r\n", "HTTP/1.1 403 Forbidden", nil)) }, 10, "Test 1 one", "",
			"icap: the service takes 10 octets without anything in them for malware (All)"},
		{"limits", basics, func(c *call) {
			c.all()
			c.write(ok("X-Infection-Found: Type=2; Threat=Container size violation;\r\n", "HTTP/1.1 403 Forbidden", nil))
		}, 10, "Test 1 one", "The ICAP service does not look into 10 octets (Container size violation), the size of the largest message: raise its limits.", ""},
	} {
		health, err := client(t, serve(t, tt.options, tt.handle), nil).Check(t.Context(), tt.size)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if health.Version != tt.version || strings.Join(health.Warnings, "") != tt.warn || got != tt.err {
			t.Errorf("%s: %+v, %q", tt.name, health, got)
		}
	}
}

func TestNew(t *testing.T) {
	for in, want := range map[string]string{
		"icap://av.example/scan":            "av.example:1344",
		"icaps://av.example/scan":           "av.example:11344",
		"icap://av.example:99/scan?a=b":     "av.example:99",
		"icap://[2001:db8::1]/scan":         "[2001:db8::1]:1344",
		"icap://[2001:db8::1]:1345/scan":    "[2001:db8::1]:1345",
		"http://av.example/scan":            "",
		"av.example:1344":                   "",
		"icap:///scan":                      "",
		"icap://user:secret@av.example/":    "",
		"icap://av.example/\r\nInjected: x": "",
	} {
		c, err := New(Options{URL: in})
		switch {
		case (err == nil) != (want != ""):
			t.Errorf("%q: %v", in, err)
		case err == nil && c.options.Address != want:
			t.Errorf("%q: %q, want %q", in, c.options.Address, want)
		}
	}
}

func TestNothingLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("scans", func(t *testing.T) {
		c := client(t, serve(t, basics+"Preview: 2\r\n", scanner), nil)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				content := strings.Repeat("y", i)
				if i%3 == 0 {
					content += marker
				}
				if _, err := c.Scan(t.Context(), "", strings.NewReader(content)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before it were %d", runtime.NumGoroutine(), before)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(noContent))
	f.Add([]byte(ok("X-Infection-Found: Type=2; Threat=Encrypted container violation;\r\n", "HTTP/1.1 403 Forbidden", []byte("content"))))
	f.Add([]byte(ok("X-Violations-Found: 1\r\n\t-\r\n\tA\r\n\t0\r\n\t0\r\n", "HTTP/1.1 200 OK", []byte("content"))))
	f.Add([]byte("ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n7\r\ncontent\r\n0\r\nX-Virus-ID: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sum := sha256.New()
		sum.Write([]byte("content"))
		x := &exchange{in: bufio.NewReader(bytes.NewReader(data)), sum: sum, finish: func() error { return nil }}
		x.sent.Store(int64(len("content")))
		x.all.Store(true)
		resp, err := x.answer()
		if err != nil {
			return
		}
		v, err := x.verdict(resp)
		switch {
		case err != nil && v != (virus.Verdict{}), err == nil && v.Kind == "":
			t.Errorf("%v, %v", v, err)
		case err == nil && v.Kind == virus.Clean && resp.status == 200 && !bytes.Contains(data, []byte("t")):
			t.Errorf("clean without the content")
		case err == nil && v.Kind != virus.Clean && v.Name != virus.CleanName(v.Name):
			t.Errorf("name %q", v.Name)
		}
	})
}
