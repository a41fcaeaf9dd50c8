package e2e

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/cmd/internal/clamtest"
	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
)

// An enclosure is a file in a mail.
type enclosure struct {
	name    string
	content []byte
}

// carrying is a mail with a text and files.
func carrying(text string, files ...enclosure) string {
	var b strings.Builder
	b.WriteString(smimeHead + "Content-Type: multipart/mixed; boundary=\"=_f\"\r\n\r\n--=_f\r\nContent-Type: text/plain\r\n\r\n" + text + "\r\n")
	for _, f := range files {
		fmt.Fprintf(&b, "--=_f\r\nContent-Type: application/octet-stream; name=%q\r\nContent-Disposition: attachment; filename=%q\r\n"+
			"Content-Transfer-Encoding: base64\r\n\r\n%s", f.name, f.name, wrapped(f.content))
	}
	b.WriteString("--=_f--\r\n")
	return b.String()
}

// packed is a ZIP file of one member.
func packed(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	must(t, err)
	_, err = f.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// gzipped is a compressed content.
func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// fixture reads a file that the tests of another package keep.
func fixture(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", path))
	must(t, err)
	return data
}

// malicious are mails with the test file of EICAR, each packed in a way of its own.
func malicious(t *testing.T) map[string]string {
	eicar := clamtest.EICAR()
	plain, b64 := string(eicar), base64.StdEncoding.EncodeToString(eicar)
	junk := b64[:20] + "!*\r\n" + b64[20:41] + "\r\n \r\n" + b64[41:]
	part := func(fields, body string) string {
		return smimeHead + "Content-Type: multipart/mixed; boundary=\"=_f\"\r\n\r\n--=_f\r\n\r\nhi\r\n--=_f\r\n" + fields + "\r\n\r\n" + body + "\r\n--=_f--\r\n"
	}
	octets := "Content-Type: application/octet-stream; name=x.bin\r\n"
	return map[string]string{
		"plain attachment":       part("Content-Type: text/plain; name=x.txt", plain),
		"base64":                 carrying("hi", enclosure{"x.com", eicar}),
		"base64 with junk":       part(octets+"Content-Transfer-Encoding: base64", junk),
		"base64 in pieces":       part(octets+"Content-Transfer-Encoding: base64", base64.StdEncoding.EncodeToString(eicar[:19])+"\r\n"+base64.StdEncoding.EncodeToString(eicar[19:])),
		"quoted-printable":       part(octets+"Content-Transfer-Encoding: quoted-printable", strings.ReplaceAll(strings.ReplaceAll(plain, "=", "=3D"), "X5O", "=58=\r\n5O")),
		"two encodings":          part(octets+"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64", b64),
		"two encodings, swapped": part(octets+"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit", b64),
		"two types":              part("Content-Type: text/plain\r\n"+octets+"Content-Transfer-Encoding: base64", b64),
		"text in base64":         smimeHead + "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64 + "\r\n",
		"two boundaries": smimeHead + "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\nhi\r\n--b\r\n" + octets +
			"Content-Transfer-Encoding: base64\r\n\r\n" + b64 + "\r\n--b--\r\n--a--\r\n",
		"encoded message": part("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64",
			base64.StdEncoding.EncodeToString([]byte(carrying("in", enclosure{"x.com", eicar})))),
		"ZIP":                  packedMail(t, "a.zip", eicar),
		"ZIP in ZIP":           carrying("hi", enclosure{"a.zip", packed(t, "b.zip", packed(t, "c.com", eicar))}),
		"ZIP under a prefix":   carrying("hi", enclosure{"a.exe", append([]byte("#!/bin/sh\nexit\n"), packed(t, "c.com", eicar)...)}),
		"two ZIP files":        carrying("hi", enclosure{"a.zip", append(packed(t, "c.com", eicar), packed(t, "d.txt", []byte("clean"))...)}),
		"gzip":                 carrying("hi", enclosure{"a.com.gz", gzipped(t, eicar)}),
		"gzip in ZIP":          carrying("hi", enclosure{"a.zip", packed(t, "b.gz", gzipped(t, eicar))}),
		"mail in ZIP":          carrying("hi", enclosure{"a.zip", packed(t, "b.eml", []byte(carrying("in", enclosure{"x.com", eicar})))}),
		"password in the text": carrying("Das Passwort lautet geheim-7.", enclosure{"a.zip", lockedZIP(t)}),
	}
}

// packedMail is a mail with a ZIP file.
func packedMail(t *testing.T, name string, content []byte) string {
	return carrying("hi", enclosure{name, packed(t, "x.com", content)})
}

// lockedZIP is the test file in a ZIP file with the password geheim-7, by the traditional encryption (APPNOTE.TXT Section 6.1).
func lockedZIP(t *testing.T) []byte {
	t.Helper()
	return runTool(t, clamtest.EICAR(), "python3", "-c", lockScript)
}

// lockScript writes the archive of what it reads.
const lockScript = `
import struct, sys, zlib
data = sys.stdin.buffer.read()
crc = zlib.crc32(data)
table = []
for n in range(256):
    c = n
    for _ in range(8): c = (c >> 1) ^ (0xEDB88320 if c & 1 else 0)
    table.append(c)
step = lambda c, b: (c >> 8) ^ table[(c ^ b) & 255]
k = [0x12345678, 0x23456789, 0x34567890]
def update(b):
    k[0] = step(k[0], b)
    k[1] = ((k[1] + (k[0] & 255)) * 134775813 + 1) & 0xffffffff
    k[2] = step(k[2], k[1] >> 24)
for b in b"geheim-7": update(b)
def seal(b):
    t = (k[2] | 2) & 0xffff
    c = b ^ (((t * (t ^ 1)) >> 8) & 255)
    update(b)
    return c
body = bytes(seal(b) for b in b"elevenbytes" + bytes([crc >> 24]) + data)
fixed = struct.pack("<HHHHHIIIHH", 20, 1, 0, 0, 0x5b76, crc, len(body), len(data), 5, 0)
local = b"PK\x03\x04" + fixed + b"x.com" + body
central = b"PK\x01\x02" + struct.pack("<H", 20) + fixed + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"x.com"
sys.stdout.buffer.write(local + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0))
`

// decidedConfig decides differently about each class of what cannot be looked into.
const decidedConfig = `
listen: {metrics: %q}
scan:
  virus: {clamd: [%q, %q], timeout: 5s}
  unscanned: {archive: quarantine, document: deliver, pdf: reject, openpgp: remove, smime: deliver, other: tag, uninspectable: deliver}
`

// TestFiles sends files through both MTAs: malware is refused however it is packed, what cannot be looked into is treated as
// decided, and bombs cost next to nothing.
func TestFiles(t *testing.T) {
	l, assay, clamd := newLane(t, setup{}), program(t, false), clamtest.For(t, clamtest.Options{})
	resolver, metrics := dnstest.New(t, smimeZone, dnstest.Options{}).Addr(), freeAddress(t)
	d, err := mtatest.StartDaemon(assay, l.config(t, fmt.Sprintf(decidedConfig, metrics, clamd.Unix(), clamd.TCP()), resolver), "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	env := between("alice@client.example", "b@rcpt.example")
	l.each(t, func(t *testing.T, m mtatest.MTA) {
		for name, mail := range malicious(t) {
			t.Run("malware, "+name, func(t *testing.T) {
				if reply := send(t, connect(t, m, "127.0.2.25"), env, mail, 550); !strings.Contains(reply.String(), "malware found") {
					t.Errorf("the reply is %s", reply)
				}
			})
		}
		t.Run("clean", func(t *testing.T) {
			mail := carrying("hi", enclosure{"a.zip", packed(t, "b.txt", []byte("hello"))})
			data := l.delivered(t, send(t, connect(t, m, "127.0.2.25"), env, mail, 250))
			if header, _ := fields(data); !strings.Contains(oneText(t, header, "X-Assay-Result"), "rules=none") {
				t.Errorf("%s", header)
			}
		})
		t.Run("decisions", func(t *testing.T) { l.decided(t, m) })
		t.Run("bombs", func(t *testing.T) { l.bombs(t, m) })
	})
	text, err := d.Metrics(metrics)
	must(t, err)
	for _, series := range []string{`assay_unscanned_total{class="archive",disposition="quarantine"}`, `assay_unscanned_total{class="openpgp",disposition="deliver"}`,
		`assay_virus_scans_total{result="infected"}`, `assay_virus_scanner_up{scanner="clamd ` + clamd.Unix() + `"} 1`} {
		if !strings.Contains(text, series) {
			t.Errorf("no metric %s", series)
		}
	}
	if log := d.Log(); !strings.Contains(log, " unscanned=archive ") || !strings.Contains(log, "malware="+clamtest.EICARName) || strings.Contains(log, "geheim-7") {
		t.Errorf("log: %.5000s", log)
	}
}

// decided sends one mail for each class of what cannot be looked into.
func (l *lane) decided(t *testing.T, m mtatest.MTA) {
	env := between("alice@client.example", "b@rcpt.example")
	reply := send(t, connect(t, m, "127.0.2.25"), env, carrying("hi", enclosure{"a.zip", fixture(t, "scan/archive/zip/testdata/aes256.zip")}), 250)
	if _, held := l.held(t, m, reply.QueueID()); !held {
		t.Error("an encrypted archive was not held")
	}
	data := l.delivered(t, send(t, connect(t, m, "127.0.2.25"), env, carrying("hi", enclosure{"a.pgp", fixture(t, "scan/sealed/testdata/pk1.gpg")}, enclosure{"b.txt", []byte("stays")}), 250))
	if header, body := fields(data); !strings.Contains(oneText(t, header, "X-Assay-Result"), "changed=attachment") || !strings.Contains(body, "An attachment was removed") ||
		!strings.Contains(body, "a.pgp") || !strings.Contains(body, base64.StdEncoding.EncodeToString([]byte("stays"))) {
		t.Errorf("a message with OpenPGP was delivered as\n%s", data)
	}
	data = l.delivered(t, send(t, connect(t, m, "127.0.2.25"), env, carrying("hi", enclosure{"a.enc", fixture(t, "scan/sealed/testdata/openssl.enc")}), 250))
	if header, _ := fields(data); !strings.Contains(oneText(t, header, "Subject"), "[not checked]") {
		t.Errorf("a file of openssl was delivered as\n%s", header)
	}
	data = l.delivered(t, send(t, connect(t, m, "127.0.2.25"), env, carrying("hi", enclosure{"a.p7m", fixture(t, "scan/sealed/testdata/enveloped.p7m")}), 250))
	if header, _ := fields(data); !strings.Contains(oneText(t, header, "X-Assay-Summary"), "could not be checked") {
		t.Errorf("a file of S/MIME was delivered as\n%s", header)
	}
}

// bombs sends what is made to exhaust whoever opens it.
func (l *lane) bombs(t *testing.T, m mtatest.MTA) {
	zeros := make([]byte, 100<<20)
	for name, content := range map[string][]byte{"a.gz": gzipped(t, zeros), "a.zip": packed(t, "zeros", zeros)} {
		began := time.Now()
		data := l.delivered(t, send(t, connect(t, m, "127.0.2.25"), between("alice@client.example", "b@rcpt.example"), carrying("hi", enclosure{name, content}), 250))
		header, _ := fields(data)
		if !strings.Contains(oneText(t, header, "X-Assay-Summary"), "could not be checked") || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v after %v", name, header, time.Since(began))
		}
	}
}

// TestScannerAway: without an answer of a virus scanner mail is deferred, says so where an operator looks, and flows again
// by itself.
func TestScannerAway(t *testing.T) {
	l, assay := newLane(t, setup{}), program(t, false)
	clamd := clamtest.For(t, clamtest.Options{})
	resolver, metrics := dnstest.New(t, smimeZone, dnstest.Options{}).Addr(), freeAddress(t)
	config := l.config(t, fmt.Sprintf("listen: {metrics: %q}\nscan: {virus: {clamd: [%q], timeout: 1s}}\n", metrics, clamd.Unix()), resolver)
	d, err := mtatest.StartDaemon(assay, config, "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	env, mail := between("alice@client.example", "b@rcpt.example"), carrying("hi", enclosure{"a.txt", []byte("hello")})
	l.each(t, func(t *testing.T, m mtatest.MTA) {
		l.delivered(t, send(t, connect(t, m, "127.0.2.25"), env, mail, 250))
		must(t, clamd.Signal(syscall.SIGSTOP))
		if reply := send(t, connect(t, m, "127.0.2.25"), env, mail, 451); !strings.Contains(reply.String(), "cannot be checked now") {
			t.Errorf("the reply is %s", reply)
		}
		if code := healthz(t, metrics); code != http.StatusServiceUnavailable {
			t.Errorf("/healthz says %d", code)
		}
		must(t, clamd.Signal(syscall.SIGCONT))
		awaitCode(t, m, env, mail, "250")
	})
	must(t, d.Configure(strings.Replace(config, "timeout: 1s", "on_error: deliver\n        timeout: 1s", 1)))
	if said, code, err := d.Run("ctl", "reload"); err != nil || code != 0 {
		t.Fatal(said, code, err)
	}
	must(t, clamd.Close())
	for _, m := range l.mtas() {
		data := l.delivered(t, send(t, connect(t, m, "127.0.2.25"), env, mail, 250))
		if header, _ := fields(data); !strings.Contains(oneText(t, header, "X-Assay-Summary"), "No virus scanner was available") {
			t.Errorf("%s", header)
		}
	}
}

// TestScannerHangs: of two scanners one takes what it is sent and never answers. The other one is asked within the time of the
// same message, whatever scan.virus.timeout says.
func TestScannerHangs(t *testing.T) {
	l, assay, clamd := newLane(t, setup{}), program(t, false), clamtest.For(t, clamtest.Options{})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	go swallow(silent)
	d, err := mtatest.StartDaemon(assay, l.config(t, fmt.Sprintf("limits: {time: 9s, dns_time: 2s}\nscan: {virus: {clamd: [%q, %q]}}\n",
		"tcp:"+silent.Addr().String(), clamd.Unix()), dnstest.New(t, smimeZone, dnstest.Options{}).Addr()), "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	l.each(t, func(t *testing.T, m mtatest.MTA) {
		send(t, connect(t, m, "127.0.2.25"), between("alice@client.example", "b@rcpt.example"), packedMail(t, "a.zip", clamtest.EICAR()), 550)
	})
}

// swallow reads what clients of a listener send, and says nothing.
func swallow(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}()
	}
}

// healthz returns what the daemon says about its health.
func healthz(t *testing.T, address string) int {
	t.Helper()
	response, err := http.Get("http://" + address + "/healthz")
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode
}

// awaitCode sends a mail until the reply has a code, for a scanner that was silent is asked again only after a while.
func awaitCode(t *testing.T, m mtatest.MTA, env mtatest.Envelope, mail, code string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		reply, err := connect(t, m, "127.0.2.25").Send(env, []byte(mail))
		must(t, err)
		if strings.HasPrefix(reply.String(), code) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the reply is still %s", reply)
		}
	}
}

// TestWorkersKilled kills the processes that open files while mail flows: every message is delivered, and nothing stays
// behind. When the daemon is killed they die with it.
func TestWorkersKilled(t *testing.T) {
	l, assay := newLane(t, setup{}), program(t, false)
	d, err := mtatest.StartDaemon(assay, l.config(t, "", dnstest.New(t, smimeZone, dnstest.Options{}).Addr()), "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	env, mail := between("alice@client.example", "b@rcpt.example"), packedMail(t, "a.zip", []byte("hello"))
	c := connect(t, l.mtas()[0], "127.0.2.25")
	l.delivered(t, send(t, c, env, mail, 250))
	before, err := d.OpenFiles()
	must(t, err)
	for range 50 {
		for _, pid := range workersOf(t, d.PID()) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		l.delivered(t, send(t, c, env, mail, 250))
	}
	if after, err := d.OpenFiles(); err != nil || after > before+8 {
		t.Errorf("%d files were open, and then %d: %v", before, after, err)
	}
	if len(workersOf(t, d.PID())) == 0 {
		t.Error("no process opens files")
	}
	last := workersOf(t, d.PID())
	must(t, d.Signal(syscall.SIGKILL))
	for deadline := time.Now().Add(20 * time.Second); slices.ContainsFunc(last, alive); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v outlive the daemon", last)
		}
	}
}

// alive reports whether there is a process, and it is not a worker's number that somebody else has got since.
func alive(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.HasPrefix(line, []byte("assay worker"))
}

// workersOf returns the processes of a daemon that open files.
func workersOf(t *testing.T, daemon int) []int {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	var found []int
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name of the program stands in parentheses and may hold anything; state and parent follow (proc(5)).
		rest := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(rest) > 1 && rest[0] != "Z" && rest[1] == strconv.Itoa(daemon) {
			pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
			found = append(found, pid)
		}
	}
	return found
}
