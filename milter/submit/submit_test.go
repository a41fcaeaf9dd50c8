package submit

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLocalLines(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for in, want := range map[string]string{
		"a\r\nb\r\n": "a\nb\n", "a\rb\r\n\r\n": "a\rb\n\n", "": "", "a": "a", "a\r": "a\r", "a\n": "a\n",
		long + "\r\ny": long + "\ny", strings.Repeat("x", 4095) + "\r\ny": strings.Repeat("x", 4095) + "\ny", "\r\n": "\n", "\r\r\n": "\r\n",
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "by octet": iotest.OneByteReader(strings.NewReader(in))} {
			got, err := io.ReadAll(&localLines{in: bufio.NewReader(r)})
			if err != nil || string(got) != want {
				t.Errorf("%s %.20q: %.40q, %v", name, in, got, err)
			}
		}
	}
}

func TestSendmail(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "sendmail")
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" >" + dir + "/args\ncat >" + dir + "/stdin\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	submit := Sendmail(program)
	if err := submit(t.Context(), Mail{To: []string{"-evil@example.com", "b@example.com"}, Octets: strings.NewReader("A: b\r\n\r\n.\r\nx\r\n")}); err != nil {
		t.Fatal(err)
	}
	args, _ := os.ReadFile(filepath.Join(dir, "args"))
	stdin, _ := os.ReadFile(filepath.Join(dir, "stdin"))
	if string(args) != "-G\n-i\n-f\n<>\n--\n-evil@example.com\nb@example.com\n" || string(stdin) != "A: b\n\n.\nx\n" {
		t.Errorf("%q %q", args, stdin)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no such user >&2; exit 67\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := submit(t.Context(), Mail{To: []string{"x"}, Octets: strings.NewReader("")}); err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("%v", err)
	}
}

func TestSMTP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var said bytes.Buffer
		in := bufio.NewReader(conn)
		data := false
		_, _ = io.WriteString(conn, "220 x\r\n")
		for {
			line, err := in.ReadString('\n')
			said.WriteString(line)
			if err != nil || line == "QUIT\r\n" {
				heard <- said.String()
				return
			}
			switch {
			case strings.HasPrefix(line, "EHLO"):
				_, _ = io.WriteString(conn, "250-x\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n")
			case line == "DATA\r\n":
				data = true
				_, _ = io.WriteString(conn, "354 x\r\n")
			case !data || line == ".\r\n":
				data = false
				_, _ = io.WriteString(conn, "250 x\r\n")
			}
		}
	}()
	submit := SMTP(ln.Addr().String(), "host.example")
	if err := submit(t.Context(), Mail{From: "a@example.net", To: []string{"b@example.com"}, Octets: strings.NewReader("A: b\r\n\r\n.x\r\n")}); err != nil {
		t.Fatal(err)
	}
	want := "EHLO host.example\r\nMAIL FROM:<a@example.net> BODY=8BITMIME\r\nRCPT TO:<b@example.com>\r\nDATA\r\nA: b\r\n\r\n..x\r\n.\r\nQUIT\r\n"
	if got := <-heard; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
