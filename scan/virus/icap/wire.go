package icap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
	"strings"
)

// Limits of what is read.
const (
	maxHead   = 64 << 10 // of a header, in octets
	maxFields = 200
)

// Fields are the header fields of ICAP or HTTP. The names are in lower case; the lines of a folded value are joined by LF,
// because X-Violations-Found has a meaning per line.
type fields map[string][]string

// get returns the first value of a field, or "".
func (f fields) get(name string) string {
	if v := f[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// A head is a status or request line with its fields.
type head struct {
	line   string
	status int // 0 in a request
	fields fields
}

// readHead reads a status line of a protocol ("ICAP/1.0", "HTTP/1.1") and the fields after it (RFC 3507 Section 4.3.2).
func readHead(r *bufio.Reader, protocol string) (head, error) {
	left := maxHead
	line, err := readLine(r, &left)
	if err != nil {
		return head{}, err
	}
	h := head{line: line}
	if version, rest, ok := strings.Cut(line, " "); ok && strings.HasPrefix(version, protocol) {
		code, _, _ := strings.Cut(rest, " ")
		if h.status, err = strconv.Atoi(code); err != nil || h.status < 100 || h.status > 599 {
			return head{}, fmt.Errorf("unexpected answer %q", short(line))
		}
	}
	h.fields, err = readFields(r, &left)
	return h, err
}

// readFields reads header fields, or trailers, and the empty line after them.
func readFields(r *bufio.Reader, left *int) (fields, error) {
	f, last := fields{}, ""
	for n := 0; ; n++ {
		line, err := readLine(r, left)
		switch {
		case err != nil:
			return nil, err
		case line == "":
			return f, nil
		case n == maxFields:
			return nil, errors.New("too many header fields")
		case line[0] == ' ' || line[0] == '\t':
			if v := f[last]; len(v) > 0 {
				v[len(v)-1] += "\n" + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("header field %q has no colon", short(line))
		}
		last = strings.ToLower(strings.TrimSpace(name))
		f[last] = append(f[last], strings.TrimSpace(value))
	}
}

// readLine reads one line without its end. left is how many octets may still be read.
func readLine(r *bufio.Reader, left *int) (string, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		if *left -= len(piece); *left < 0 {
			return "", errors.New("header is too long")
		}
		line = append(line, piece...)
		switch {
		case err == nil:
			return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
		case err == io.EOF && len(line) == 0:
			return "", fmt.Errorf("connection closed without an answer: %w", io.ErrUnexpectedEOF)
		case err == io.EOF:
			return "", fmt.Errorf("answer is cut off: %w", io.ErrUnexpectedEOF)
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// short returns the beginning of what a server says, for errors.
func short(s string) string { return s[:min(len(s), 100)] }

// A response is what a service answers, up to the body that it encapsulates.
type response struct {
	head
	request  *head // encapsulated header of a request; nil if there is none
	response *head // and of a response
	body     bool  // a body follows
}

// readResponse reads an answer and the headers in it. Encapsulated names the parts in their order (RFC 3507 Section 4.4.1);
// where they begin is read off the parts themselves.
func readResponse(r *bufio.Reader) (response, error) {
	h, err := readHead(r, "ICAP/1.")
	if err != nil {
		return response{}, err
	}
	resp := response{head: h}
	if h.status == 0 {
		return response{}, fmt.Errorf("unexpected answer %q: is this an ICAP server?", short(h.line))
	}
	for part := range strings.SplitSeq(h.fields.get("encapsulated"), ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
		if resp.body && name != "" {
			return response{}, fmt.Errorf("part %q after the body", short(name))
		}
		switch name = strings.ToLower(name); name {
		case "req-hdr", "res-hdr":
			h, err := readHead(r, "HTTP/")
			if err != nil {
				return response{}, err
			}
			if name == "req-hdr" {
				resp.request = &h
			} else if resp.response = &h; h.status == 0 {
				return response{}, fmt.Errorf("unexpected HTTP status %q", short(h.line))
			}
		case "req-body", "res-body", "opt-body":
			resp.body = true
		case "null-body", "":
		default:
			return response{}, fmt.Errorf("unknown part %q", short(name))
		}
	}
	return resp, nil
}

// readBody reads a chunked body into w, and its trailers.
func readBody(r *bufio.Reader, w io.Writer) (fields, error) {
	if _, err := io.Copy(w, httputil.NewChunkedReader(r)); err != nil {
		return nil, err
	}
	left := maxHead
	return readFields(r, &left)
}
