package clamtest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"assay/scan/virus"
	"assay/scan/virus/clamd"
)

// client returns a client of the clamd at an address.
func client(t testing.TB, opt clamd.Options) *clamd.Client {
	t.Helper()
	c, err := clamd.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// both runs a test with clamd's unix socket and with its port.
func both(t *testing.T, s *Server, test func(t *testing.T, address string)) {
	t.Run("unix", func(t *testing.T) { test(t, s.Unix()) })
	t.Run("tcp", func(t *testing.T) { test(t, s.TCP()) })
}

// must returns its first argument.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// zipped returns a ZIP file with one member.
func zipped(name string, content []byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_ = must(must(w.Create(name)).Write(content))
	_ = must(0, w.Close())
	return b.Bytes()
}

// encrypted returns a ZIP file with a member that is flagged as encrypted (APPNOTE 4.4.4, bit 0), and perhaps one that is not.
func encrypted(plain []byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: "secret.txt", Flags: 1, CompressedSize64: 40, UncompressedSize64: 28, CRC32: 1}
	_ = must(must(w.CreateRaw(header)).Write([]byte("these are 40 octets that look encrypted.")))
	if plain != nil {
		_ = must(must(w.Create("plain.txt")).Write(plain))
	}
	_ = must(0, w.Close())
	return b.Bytes()
}

// tarred returns a tar file in gzip with one member.
func tarred(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	_ = must(0, w.WriteHeader(&tar.Header{Name: "a.com", Mode: 0o644, Size: int64(len(content))}))
	_ = must(w.Write(content))
	_ = must(0, w.Close())
	_ = must(0, z.Close())
	return b.Bytes()
}

// mail returns a message with an attachment. encode is its Content-Transfer-Encoding, body is encoded.
func mail(encode, body string) []byte {
	return []byte("From: a@example.org\r\nTo: b@example.org\r\nSubject: test\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=frontier\r\n\r\n--frontier\r\nContent-Type: text/plain\r\n\r\nHello\r\n" +
		"--frontier\r\nContent-Type: application/octet-stream; name=a.com\r\nContent-Disposition: attachment; filename=a.com\r\n" +
		"Content-Transfer-Encoding: " + encode + "\r\n\r\n" + body + "\r\n--frontier--\r\n")
}

// quoted returns content in quoted-printable, every octet of it escaped so that no scanner sees it without decoding.
func quoted(content []byte) string {
	var b strings.Builder
	for i, c := range content {
		if i > 0 && i%20 == 0 {
			b.WriteString("=\r\n")
		}
		fmt.Fprintf(&b, "=%02X", c)
	}
	if got := must(io.ReadAll(quotedprintable.NewReader(strings.NewReader(b.String())))); !bytes.Equal(got, content) {
		panic("quoted-printable is wrong")
	}
	return b.String()
}

// uuencoded returns content in the form of uuencode(5).
func uuencoded(content []byte) string {
	var b strings.Builder
	b.WriteString("begin 644 a.com\r\n")
	for len(content) > 0 {
		line := content[:min(45, len(content))]
		content = content[len(line):]
		b.WriteByte(byte(32 + len(line)))
		for i := 0; i < len(line); i += 3 {
			var g [3]byte
			copy(g[:], line[i:])
			for _, c := range []byte{g[0] >> 2, g[0]<<4&0x30 | g[1]>>4, g[1]<<2&0x3c | g[2]>>6, g[2] & 0x3f} {
				b.WriteByte(32 + c)
			}
		}
		b.WriteString("\r\n")
	}
	return strings.ReplaceAll(b.String(), "  ", "``") + "`\r\nend\r\n"
}

func TestVerdicts(t *testing.T) {
	s := For(t, Options{})
	base64Of := base64.StdEncoding.EncodeToString
	found := virus.Verdict{Kind: virus.Infected, Name: EICARName}
	locked := virus.Verdict{Kind: virus.Encrypted, Name: "Heuristics.Encrypted.Zip"}
	clean := virus.Verdict{Kind: virus.Clean}
	tests := []struct {
		name    string
		content []byte
		want    virus.Verdict
	}{
		{"nothing", nil, clean},
		{"text", []byte("Dear customer,\r\n"), clean},
		{"EICAR", EICAR(), found},
		{"the whole-file signature", Malware(), virus.Verdict{Kind: virus.Infected, Name: MalwareName}},
		{"not the whole file", append(Malware(), 'x'), clean},
		{"behind a megabyte", append(bytes.Repeat([]byte("some text "), 100_000), EICAR()...), found},
		{"at the border of two chunks", append(bytes.Repeat([]byte{'x'}, 64<<10-30), EICAR()...), found},
		{"mail, 7bit", mail("7bit", string(EICAR())), found},
		{"mail, base64", mail("base64", base64Of(EICAR())), found},
		{"mail, quoted-printable", mail("quoted-printable", quoted(EICAR())), found},
		{"mail, uuencode", mail("x-uuencode", uuencoded(EICAR())), found},
		{"mail, base64 of the other", mail("base64", base64Of(Malware())), virus.Verdict{Kind: virus.Infected, Name: MalwareName}},
		{"mail in mail", mail("base64", base64Of(mail("base64", base64Of(EICAR())))), found},
		{"ZIP", zipped("a.com", EICAR()), found},
		{"ZIP in ZIP", zipped("a.zip", zipped("a.com", EICAR())), found},
		{"tar.gz", tarred(EICAR()), found},
		{"mail, ZIP, tar.gz", mail("base64", base64Of(zipped("a.tgz", tarred(EICAR())))), found},
		{"encrypted ZIP", encrypted(nil), locked},
		{"encrypted ZIP in a mail", mail("base64", base64Of(encrypted(nil))), locked},
		{"encrypted ZIP with a clean member", encrypted([]byte("nothing")), locked},
		{"malware beside encryption is malware", encrypted(EICAR()), found},
		{"clean ZIP", zipped("a.txt", []byte("nothing")), clean},
	}
	both(t, s, func(t *testing.T, address string) {
		c := client(t, clamd.Options{Address: address})
		for _, tt := range tests {
			got, err := c.Scan(t.Context(), "a.com", bytes.NewReader(tt.content))
			if err != nil || got != tt.want {
				t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
			}
		}
	})
}

// TestLimits has content that clamd's own limits keep it from.
func TestLimits(t *testing.T) {
	s := For(t, Options{StreamMaxLength: "4M", Conf: "MaxFileSize 1M\nMaxScanSize 2M\nMaxRecursion 3"})
	nested := EICAR()
	for range 6 {
		nested = zipped("a.zip", nested)
	}
	both(t, s, func(t *testing.T, address string) {
		c := client(t, clamd.Options{Address: address})
		for name, content := range map[string][]byte{
			"Heuristics.Limits.Exceeded.MaxRecursion": nested,
			"Heuristics.Limits.Exceeded.MaxFileSize":  bytes.Repeat([]byte("x"), 2<<20),
		} {
			want := virus.Verdict{Kind: virus.Uninspectable, Name: name}
			if got, err := c.Scan(t.Context(), "", bytes.NewReader(content)); got != want || err != nil {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
		}
		for i := range 20 { // the reply must survive that clamd closes on us
			content := bytes.Repeat([]byte("y"), 4<<20+i<<18+1)
			if got, err := c.Scan(t.Context(), "", bytes.NewReader(content)); !errors.Is(err, virus.ErrTooLarge) {
				t.Fatalf("%d octets: %v, %v", len(content), got, err)
			}
		}
	})
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name     string
		opt      Options
		size     int64
		wantErr  string
		warnings string
	}{
		{"well", Options{}, 50 << 20, "", ""},
		{"no size", Options{}, 0, "", ""},
		{
			"StreamMaxLength", Options{StreamMaxLength: "1M"}, 2 << 20,
			"clamd: larger than the virus scanner takes: it is more than StreamMaxLength in clamd.conf; messages may have " +
				"2097152 octets, so set \"StreamMaxLength 2097152\" or more in clamd.conf and restart clamd", "",
		},
		{
			"MaxFileSize", Options{Conf: "MaxFileSize 1M"}, 2 << 20, "",
			"clamd does not look into 2097152 octets (Heuristics.Limits.Exceeded.MaxFileSize), the size of the largest message: " +
				"raise MaxFileSize and MaxScanSize in clamd.conf.",
		},
		{
			"AlertExceedsMax", Options{Conf: "AlertExceedsMax no\nMaxRecursion 100"}, 1 << 20, "",
			"clamd calls clean what it has not looked at because of its limits: set \"AlertExceedsMax yes\" in clamd.conf.",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, clamd.Options{Address: For(t, tt.opt).Unix()})
			health, err := c.Check(t.Context(), tt.size)
			if got := fmt.Sprint(err); got != tt.wantErr && (err != nil || tt.wantErr != "") {
				t.Errorf("error %q, want %q", got, tt.wantErr)
			}
			if got := strings.Join(health.Warnings, "\n"); got != tt.warnings {
				t.Errorf("warnings %q, want %q", got, tt.warnings)
			}
			if !strings.HasPrefix(health.Version, "ClamAV 1.") && !strings.HasPrefix(health.Version, "ClamAV 0.") {
				t.Errorf("version %q", health.Version)
			}
		})
	}
}

// A hook is a content that calls something after its first half.
type hook struct {
	io.Reader
	call func()
}

func (h *hook) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if err == io.EOF && h.call != nil {
		h.call()
		h.call = nil
	}
	return n, err
}

func TestKilledInTheMiddle(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			s := For(t, Options{})
			address := s.Unix()
			if network == "tcp" {
				address = s.TCP()
			}
			half := bytes.NewReader(bytes.Repeat([]byte("half of it "), 20_000))
			kill := func() { _ = s.Signal(syscall.SIGKILL) }
			r := io.MultiReader(&hook{half, kill}, bytes.NewReader(EICAR()))
			c := client(t, clamd.Options{Address: address})
			if v, err := c.Scan(t.Context(), "", r); err == nil || v != (virus.Verdict{}) {
				t.Errorf("killed: %v, %v; want an error", v, err)
			}
			if v, err := c.Scan(t.Context(), "", bytes.NewReader(EICAR())); err == nil || v != (virus.Verdict{}) {
				t.Errorf("gone: %v, %v; want an error", v, err)
			}
		})
	}
}

// TestHanging stops clamd: the kernel still takes connections and octets for it.
func TestHanging(t *testing.T) {
	s := For(t, Options{})
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Signal(syscall.SIGCONT) }()
	both(t, s, func(t *testing.T, address string) {
		for _, size := range []int{100, 20 << 20} { // the second does not fit into the buffers
			c := client(t, clamd.Options{Address: address, Timeout: 300 * time.Millisecond})
			start := time.Now()
			v, err := c.Scan(t.Context(), "", bytes.NewReader(make([]byte, size)))
			took := time.Since(start)
			if !errors.Is(err, context.DeadlineExceeded) || v != (virus.Verdict{}) || took > 5*time.Second {
				t.Errorf("%v, %v after %v; want no answer within 300ms", v, err, took)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		c := client(t, clamd.Options{Address: address})
		if v, err := c.Scan(ctx, "", bytes.NewReader(nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v, %v", v, err)
		}
	})
}

// openFiles counts the file descriptors of this process.
func openFiles() int { return len(must(os.ReadDir("/proc/self/fd"))) }

func TestManyScansLeakNothing(t *testing.T) {
	scans := 1000
	if testing.Short() {
		scans = 100
	}
	s := For(t, Options{})
	goroutines, files := runtime.NumGoroutine(), openFiles()
	both(t, s, func(t *testing.T, address string) {
		c := client(t, clamd.Options{Address: address, MaxConnections: 4})
		var wg sync.WaitGroup
		for i := range scans {
			wg.Go(func() {
				content, want := []byte(fmt.Sprintf("content %d", i)), virus.Clean
				if i%2 == 1 {
					content, want = append(content, EICAR()...), virus.Infected
				}
				if v, err := c.Scan(t.Context(), "", bytes.NewReader(content)); err != nil || v.Kind != want {
					t.Errorf("%d: %v, %v", i, v, err)
				}
			})
		}
		wg.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		g, f := runtime.NumGoroutine(), openFiles()
		if g <= goroutines && f <= files {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d files, before it were %d and %d", g, f, goroutines, files)
		}
	}
}

// TestFailover kills the first of two clamds.
func TestFailover(t *testing.T) {
	first, second := For(t, Options{}), For(t, Options{})
	var seen []string
	group := must(virus.New(virus.Options{
		Engines: []virus.Named{
			{Name: "first", Engine: client(t, clamd.Options{Address: first.Unix()})},
			{Name: "second", Engine: client(t, clamd.Options{Address: second.TCP()})},
		},
		Now:     time.Now,
		Observe: func(o virus.Observation) { seen = append(seen, o.Engine+" "+string(o.Kind)) },
	}))
	if err := group.Check(t.Context(), 1<<20); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if i == 1 {
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
		}
		v, err := group.Scan(t.Context(), "", func() (io.Reader, error) { return bytes.NewReader(EICAR()), nil })
		if err != nil || v.Kind != virus.Infected {
			t.Errorf("scan %d: %v, %v", i, v, err)
		}
	}
	if got, want := strings.Join(seen, ", "), "first infected, first , second infected, second infected"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	status := group.Status()
	if status[0].Up || !strings.Contains(status[0].Error, "is the scanner running") || !status[1].Up || status[1].Version == "" {
		t.Errorf("status %+v", status)
	}
}

// BenchmarkScan measures a client with the clamd beside it; clamd-ms/op is clamd's own processor time. Every content is
// another one, because clamd knows again what it has scanned.
func BenchmarkScan(b *testing.B) {
	for _, size := range []int{10 << 10, 1 << 20} {
		for _, network := range []string{"unix", "tcp"} {
			b.Run(fmt.Sprintf("%s/%dKB", network, size>>10), func(b *testing.B) {
				s := For(b, Options{})
				address := s.Unix()
				if network == "tcp" {
					address = s.TCP()
				}
				benchmark(b, client(b, clamd.Options{Address: address}), s, size)
			})
		}
	}
}

func benchmark(b *testing.B, c *clamd.Client, s *Server, size int) {
	content := bytes.Repeat([]byte("Dear customer, this is your invoice. "), size/37+1)[:size]
	i := 0
	clamdBefore, selfBefore := processorTime(b, s.PID()), processorTime(b, os.Getpid())
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() {
		i++
		copy(content, fmt.Sprintf("%020d", i))
		if v, err := c.Scan(b.Context(), "", bytes.NewReader(content)); err != nil || v.Kind != virus.Clean {
			b.Fatal(v, err)
		}
	}
	b.ReportMetric(float64(processorTime(b, s.PID())-clamdBefore)/float64(i)/1e6, "clamd-ms/op")
	b.ReportMetric(float64(processorTime(b, os.Getpid())-selfBefore)/float64(i)/1e6, "client-ms/op")
}

// processorTime returns the processor time of a process (proc(5), /proc/pid/stat, fields 14 and 15, in hundredths of seconds).
func processorTime(b *testing.B, pid int) time.Duration {
	text := must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system int
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
