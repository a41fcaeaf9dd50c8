package clamd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"assay/scan/virus"
)

// How clamd itself behaves is tested with it, in cmd/internal/clamtest; here are answers that a clamd rarely gives.

// serve starts a server that answers every connection, and returns its address.
func serve(t *testing.T, network string, handle func(net.Conn)) string {
	t.Helper()
	address, prefix := "127.0.0.1:0", "tcp:"
	if network == "unix" {
		address, prefix = filepath.Join(t.TempDir(), "s"), "unix:"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return prefix + l.Addr().String()
}

// receive reads what a scan sends, as clamd(8) describes INSTREAM.
func receive(conn net.Conn) ([]byte, error) {
	command := make([]byte, len("zINSTREAM\x00"))
	if _, err := io.ReadFull(conn, command); err != nil || string(command) != "zINSTREAM\x00" {
		return nil, fmt.Errorf("command %q, %v", command, err)
	}
	var content []byte
	for {
		var size uint32
		if err := binary.Read(conn, binary.BigEndian, &size); err != nil {
			return nil, err
		}
		if size == 0 {
			return content, nil
		}
		chunk := make([]byte, size)
		if _, err := io.ReadFull(conn, chunk); err != nil {
			return nil, err
		}
		content = append(content, chunk...)
	}
}

func client(t *testing.T, opt Options) *Client {
	t.Helper()
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsSent(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		got := make(chan []byte, 1)
		c := client(t, Options{Address: serve(t, network, func(conn net.Conn) {
			content, err := receive(conn)
			if err != nil {
				t.Error(err)
			}
			got <- content
			_, _ = io.WriteString(conn, "stream: OK\x00")
		})})
		for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 5} {
			content := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
			v, err := c.Scan(t.Context(), "", io.MultiReader(bytes.NewReader(content)))
			if err != nil || v.Kind != virus.Clean || !bytes.Equal(<-got, content) {
				t.Errorf("%s, %d octets: %v, %v", network, size, v, err)
			}
		}
	}
}

func TestReplies(t *testing.T) {
	long := strings.Repeat("n", 300)
	tests := []struct {
		name, reply string
		want        virus.Verdict
		err         string // "" for none
	}{
		{"clean", "stream: OK\x00", virus.Verdict{Kind: virus.Clean}, ""},
		{"found", "stream: Win.Test.EICAR_HDB-1 FOUND\x00", virus.Verdict{Kind: virus.Infected, Name: "Win.Test.EICAR_HDB-1"}, ""},
		{"a name with blanks", "stream: A B(44d8:68) FOUND\x00", virus.Verdict{Kind: virus.Infected, Name: "A B(44d8:68)"}, ""},
		{"a name that ends like a reply", "stream: OK FOUND\x00", virus.Verdict{Kind: virus.Infected, Name: "OK"}, ""},
		{"PUA", "stream: PUA.Win.Packer FOUND\x00", virus.Verdict{Kind: virus.Infected, Name: "PUA.Win.Packer"}, ""},
		{"encrypted", "stream: Heuristics.Encrypted.PDF FOUND\x00", virus.Verdict{Kind: virus.Encrypted, Name: "Heuristics.Encrypted.PDF"}, ""},
		{"limit", "stream: Heuristics.Limits.Exceeded.MaxFiles FOUND\x00", virus.Verdict{Kind: virus.Uninspectable, Name: "Heuristics.Limits.Exceeded.MaxFiles"}, ""},
		{"macros", "stream: Heuristics.OLE2.ContainsMacros.VBA FOUND\x00", virus.Verdict{Kind: virus.Macros, Name: "Heuristics.OLE2.ContainsMacros.VBA"}, ""},
		{"another heuristic", "stream: Heuristics.Phishing.Email FOUND\x00", virus.Verdict{Kind: virus.Infected, Name: "Heuristics.Phishing.Email"}, ""},
		{"a borrowed name", "stream: Heuristics.Encrypted.X.UNOFFICIAL FOUND\x00", virus.Verdict{Kind: virus.Infected, Name: "Heuristics.Encrypted.X.UNOFFICIAL"}, ""},
		{"a strange name", "stream: a\r\nb\xff FOUND\x00", virus.Verdict{Kind: virus.Infected, Name: "a??b?"}, ""},
		{"a long name", "stream: " + long + " FOUND\x00", virus.Verdict{Kind: virus.Infected, Name: long[:200]}, ""},
		{"too large", "INSTREAM size limit exceeded. ERROR\x00", virus.Verdict{}, "clamd: larger than the virus scanner takes: it is more than StreamMaxLength in clamd.conf"},
		{"error", "stream: Can't allocate memory ERROR\x00", virus.Verdict{}, `clamd: the virus scanner refuses the content: "stream: Can't allocate memory ERROR"`},
		{"error without more", "ERROR\x00", virus.Verdict{}, `clamd: unexpected reply "ERROR"`},
		{"nothing", "", virus.Verdict{}, "clamd: connection closed without a reply: unexpected EOF"},
		{"empty", "\x00", virus.Verdict{}, `clamd: unexpected reply ""`},
		{"cut off", "stream: OK", virus.Verdict{}, `clamd: reply "stream: OK" is cut off: unexpected EOF`},
		{"a line", "stream: OK\n", virus.Verdict{}, `clamd: reply "stream: OK\n" is cut off: unexpected EOF`},
		{"more behind it", "stream: OK\x00stream: X FOUND\x00", virus.Verdict{}, `clamd: unexpected reply "stream: OK\x00stream: X FOUND\x00"`},
		{"another file", "/etc/passwd: OK\x00", virus.Verdict{}, `clamd: unexpected reply "/etc/passwd: OK"`},
		{"not quite", "stream: NOT OK\x00", virus.Verdict{}, `clamd: unexpected reply "stream: NOT OK"`},
		{"no name", "stream:  FOUND\x00", virus.Verdict{}, `clamd: unexpected reply "stream:  FOUND"`},
		{"unknown command", "UNKNOWN COMMAND\x00", virus.Verdict{}, `clamd: unexpected reply "UNKNOWN COMMAND"`},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", virus.Verdict{}, `clamd: reply "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" is cut off: unexpected EOF`},
		{"endless", strings.Repeat("x", 1<<20), virus.Verdict{}, `clamd: reply "` + strings.Repeat("x", 100) + `" goes on and on`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := serve(t, "unix", func(conn net.Conn) {
				_, _ = receive(conn)
				_, _ = io.WriteString(conn, tt.reply)
			})
			v, err := client(t, Options{Address: address}).Scan(t.Context(), "", strings.NewReader("content"))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if v != tt.want || got != tt.err {
				t.Errorf("%+v, %q; want %+v, %q", v, got, tt.want, tt.err)
			}
		})
	}
}

// TestWrongServer has one that talks first and hangs up.
func TestWrongServer(t *testing.T) {
	for _, greeting := range []string{"220 mail.example.org ESMTP\r\n", "HTTP/1.0 400 Bad Request\r\n\r\n", "stream: OK\x00"} {
		address := serve(t, "tcp", func(conn net.Conn) { _, _ = io.WriteString(conn, greeting) })
		v, err := client(t, Options{Address: address}).Scan(t.Context(), "", bytes.NewReader(make([]byte, 20<<20)))
		if err == nil || v != (virus.Verdict{}) {
			t.Errorf("%q: %v, %v", greeting, v, err)
		}
	}
}

func TestSizeLimit(t *testing.T) {
	asked := make(chan error, 10)
	address := serve(t, "unix", func(conn net.Conn) {
		_, err := receive(conn)
		asked <- err
		_, _ = io.WriteString(conn, "stream: OK\x00")
	})
	c := client(t, Options{Address: address, StreamMaxLength: 100_000})
	if v, err := c.Scan(t.Context(), "", bytes.NewReader(make([]byte, 100_000))); err != nil || v.Kind != virus.Clean {
		t.Error(v, err)
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
	if v, err := c.Scan(t.Context(), "", bytes.NewReader(make([]byte, 100_001))); !errors.Is(err, virus.ErrTooLarge) {
		t.Error(v, err)
	}
	if v, err := c.Scan(t.Context(), "", io.MultiReader(bytes.NewReader(make([]byte, 100_001)))); !errors.Is(err, virus.ErrTooLarge) {
		t.Error(v, err)
	}
	if err := <-asked; err == nil || len(asked) > 0 {
		t.Errorf("a stream that is too large was ended properly, or the size known before was sent: %v", err)
	}
}

func TestUnreadableContent(t *testing.T) {
	broken := errors.New("disk on fire")
	ended := make(chan error, 1)
	address := serve(t, "unix", func(conn net.Conn) {
		_, err := receive(conn)
		ended <- err
	})
	r := io.MultiReader(bytes.NewReader(make([]byte, 100_000)), failing{broken})
	if v, err := client(t, Options{Address: address}).Scan(t.Context(), "", r); !errors.Is(err, broken) {
		t.Error(v, err)
	}
	if err := <-ended; err == nil {
		t.Error("clamd was told that this is all")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestMaxConnections(t *testing.T) {
	var open, most atomic.Int32
	address := serve(t, "unix", func(conn net.Conn) {
		n := open.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		_, _ = receive(conn)
		open.Add(-1) // before the reply, after which the client may go on
		_, _ = io.WriteString(conn, "stream: OK\x00")
	})
	c := client(t, Options{Address: address, MaxConnections: 3})
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			if _, err := c.Scan(t.Context(), "", strings.NewReader("x")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d connections at a time", most.Load())
	}
}

// TestBusy has a content on the only connection that is allowed. Another one waits for it, and a ping does
// not.
func TestBusy(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	address := serve(t, "unix", func(conn net.Conn) {
		command := make([]byte, 1+len(ping))
		if n, _ := conn.Read(command); string(command[:n]) == ping {
			_, _ = io.WriteString(conn, "PONG\x00")
			return
		}
		entered <- struct{}{}
		<-release
	})
	defer close(release)
	c := client(t, Options{Address: address, MaxConnections: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := c.Scan(ctx, "", strings.NewReader("x"))
		done <- err
	}()
	<-entered
	short, cancelShort := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelShort()
	if _, err := c.Scan(short, "", strings.NewReader("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting: %v", err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("scanning: %v", err)
	}
}

func TestSocketMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	_, err := client(t, Options{Address: "unix:" + path}).Scan(t.Context(), "", strings.NewReader("x"))
	want := "clamd: dial unix " + path + ": connect: no such file or directory (is the scanner running, and is this the path of its socket?)"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestCommands(t *testing.T) {
	for _, tt := range []struct {
		reply         string
		ping, version string
	}{
		{"PONG\x00", "", `clamd: unexpected reply "PONG" to VERSION`},
		{"ClamAV 1.4.6/27432/Mon Nov 16 09:30:11 2026\x00", `clamd: unexpected reply "ClamAV 1.4.6/27432/Mon Nov 16 09:30:11 2026" to PING`, ""},
		{"", "clamd: connection closed without a reply: unexpected EOF", "clamd: connection closed without a reply: unexpected EOF"},
	} {
		c := client(t, Options{Address: serve(t, "tcp", func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 100))
			_, _ = io.WriteString(conn, tt.reply)
		})})
		_, versionErr := c.Version(t.Context())
		for i, got := range []error{c.Ping(t.Context()), versionErr} {
			want := []string{tt.ping, tt.version}[i]
			if got == nil && want != "" || got != nil && got.Error() != want {
				t.Errorf("%q: %v, want %q", tt.reply, got, want)
			}
		}
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"unix:/run/clamav/clamd.ctl": "unix /run/clamav/clamd.ctl",
		"tcp:127.0.0.1:3310":         "tcp 127.0.0.1:3310",
		"inet:[::1]:3310":            "tcp [::1]:3310",
		"tcp:av.example:3310":        "tcp av.example:3310",
		"tcp:av.example":             "",
		"tcp:av.example:":            "",
		"unix:clamd.ctl":             "",
		"/run/clamav/clamd.ctl":      "",
		"":                           "",
	} {
		network, address, err := parseAddress(in)
		if got := strings.TrimSpace(network + " " + address); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := New(Options{Address: "clamd"}); err == nil || err.Error() != `clamd: address "clamd": want "unix:/path" or "tcp:host:port"` {
		t.Error(err)
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"stream: OK\x00", "stream: A FOUND\x00", "INSTREAM size limit exceeded. ERROR\x00", "stream: OK", "\x00", "stream: Heuristics.Encrypted.Zip FOUND\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reply, err := readReply(bytes.NewReader(data), make([]byte, maxReply))
		if err != nil {
			return
		}
		v, err := parseReply(reply)
		switch {
		case err != nil && v != (virus.Verdict{}), err == nil && v.Kind == "":
			t.Errorf("%q: %v, %v", reply, v, err)
		case v.Kind == virus.Clean && string(data) != "stream: OK\x00":
			t.Errorf("%q is clean", data)
		case v.Kind != "" && v.Kind != virus.Clean && v.Name != virus.CleanName(v.Name):
			t.Errorf("name %q", v.Name)
		}
	})
}
