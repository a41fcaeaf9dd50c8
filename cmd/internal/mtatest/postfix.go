package mtatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Postfix is a private Postfix instance.
type Postfix struct {
	dir  string
	addr string
	proc *process
}

// PostfixOptions say how an instance differs from a plain one.
type PostfixOptions struct {
	Milter string            // as in smtpd_milters, such as "unix:/path" or "inet:127.0.0.1:8894"; also for sendmail(1) mail
	Sink   *Sink             // where everything is delivered
	Main   map[string]string // further main.cf parameters; they win
	Chroot bool              // smtpd and cleanup run in the queue directory, as Debian has it
}

// plainMain is main.cf without what differs between instances. Every client is a stranger, as on an MX: every domain
// is a relay domain, no network is ours, and no header is completed. Clients on loopback may claim to be any client
// (XCLIENT). Nothing cuts or recodes what is delivered, and nothing asks the DNS.
const plainMain = `compatibility_level = 3.6
myhostname = postfix.test
mydestination =
mynetworks =
inet_protocols = all
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
relay_domains = static:all
smtpd_relay_restrictions = reject_unauth_destination
smtpd_authorized_xclient_hosts = 127.0.0.0/8 [::1]/128
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_error_sleep_time = 0
smtpd_tls_security_level = may
smtpd_tls_session_cache_database =
message_size_limit = 0
mailbox_size_limit = 0
disable_dns_lookups = yes
disable_mime_output_conversion = yes
smtp_line_length_limit = 0
smtp_tls_security_level = none
milter_default_action = tempfail
`

// plainMaster is master.cf behind the smtpd line. The argument says whether cleanup is in a chroot, y or n.
const plainMaster = `pickup unix n - n 60 1 pickup
cleanup unix n - %[1]s - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// StartPostfix starts an instance and waits until it answers.
func StartPostfix(opt PostfixOptions) (*Postfix, error) {
	if err := requireRoot(); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("postconf"); err != nil {
		return nil, fmt.Errorf("%w: Postfix is not installed", ErrUnavailable)
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	dir, err := newDir("pf")
	if err != nil {
		return nil, err
	}
	p := &Postfix{dir: dir, addr: "127.0.0.1:" + ports[0]}
	if err := p.start(opt); err != nil {
		err = fmt.Errorf("mtatest: postfix: %w\n%s", err, p.Log())
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Name implements MTA.
func (p *Postfix) Name() string { return "postfix" }

// Addr implements MTA.
func (p *Postfix) Addr() string { return p.addr }

// Log implements MTA.
func (p *Postfix) Log() string { return readLog(filepath.Join(p.dir, "log")) }

// Spool returns the queue directory, which is the root directory of chrooted services.
func (p *Postfix) Spool() string { return filepath.Join(p.dir, "spool") }

// Close implements MTA.
func (p *Postfix) Close() error {
	if p.proc == nil {
		return os.RemoveAll(p.dir)
	}
	return p.proc.close()
}

// start writes the configuration, creates the queue and runs master(8).
func (p *Postfix) start(opt PostfixOptions) error {
	if err := p.configure(opt); err != nil {
		return err
	}
	if out, err := p.command("postfix", "check").CombinedOutput(); err != nil {
		return fmt.Errorf("postfix check: %w\n%s", err, out)
	}
	daemons, err := p.command("postconf", "-h", "daemon_directory").Output()
	if err != nil {
		return err
	}
	console, err := os.Create(filepath.Join(p.dir, "console"))
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }()
	// -d keeps master from leaving the session in which the guard finds it. Everything below ends with it.
	master := exec.Command(filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-c", p.etc(), "-d")
	master.Stdout, master.Stderr = console, console
	if p.proc, err = startProcess(master, p.dir); err != nil {
		return err
	}
	return p.proc.await(func() error { return answers(p.addr) })
}

// configure writes main.cf, master.cf and a certificate.
func (p *Postfix) configure(opt PostfixOptions) error {
	for _, dir := range []string{p.etc(), p.Spool(), p.data()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(owner.Uid)
	if err := os.Chown(p.data(), uid, -1); err != nil {
		return err
	}
	if err := writeCertificate(filepath.Join(p.dir, "tls.pem"), "postfix.test"); err != nil {
		return err
	}
	chroot := map[bool]string{true: "y", false: "n"}[opt.Chroot]
	master := fmt.Sprintf("%s inet n - %s - - smtpd\n", p.addr, chroot) + fmt.Sprintf(plainMaster, chroot)
	if err := os.WriteFile(filepath.Join(p.etc(), "master.cf"), []byte(master), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.etc(), "main.cf"), []byte(p.main(opt)), 0o644)
}

// main returns main.cf.
func (p *Postfix) main(opt PostfixOptions) string {
	transport := "smtp:[127.0.0.1]:" + portOf(opt.Sink.Addr())
	own := map[string]string{
		"queue_directory":       p.Spool(),
		"data_directory":        p.data(),
		"maillog_file":          filepath.Join(p.dir, "log"),
		"maillog_file_prefixes": p.dir,
		"inet_interfaces":       "127.0.0.1",
		"smtpd_tls_cert_file":   filepath.Join(p.dir, "tls.pem"),
		"smtpd_tls_key_file":    filepath.Join(p.dir, "tls.pem"),
		"default_transport":     transport,
		"relay_transport":       transport,
		"smtpd_milters":         opt.Milter,
		"non_smtpd_milters":     opt.Milter,
	}
	maps.Copy(own, opt.Main)
	text := plainMain
	for _, name := range slices.Sorted(maps.Keys(own)) {
		text += name + " = " + own[name] + "\n"
	}
	return text
}

// etc returns the configuration directory.
func (p *Postfix) etc() string { return filepath.Join(p.dir, "etc") }

// data returns the data directory.
func (p *Postfix) data() string { return filepath.Join(p.dir, "data") }

// command returns a Postfix command for this instance.
func (p *Postfix) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, append([]string{"-c", p.etc()}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		cmd.Path, cmd.Err = path, nil
	}
	return cmd
}

// Environ returns the environment in which the commands of Postfix, sendmail(1) among them, work on this instance.
func (p *Postfix) Environ() []string { return append(os.Environ(), "MAIL_CONFIG="+p.etc()) }

// Submit hands a message to sendmail(1), as programs on the same host do. Lines end with LF there.
func (p *Postfix) Submit(from string, to []string, message io.Reader) error {
	args := append([]string{"-C", p.etc(), "-i", "-f", from, "--"}, to...)
	sendmail := exec.Command("/usr/sbin/sendmail", args...)
	sendmail.Stdin = message
	if out, err := sendmail.CombinedOutput(); err != nil {
		return fmt.Errorf("sendmail: %w: %s", err, out)
	}
	return nil
}

// Queue implements MTA.
func (p *Postfix) Queue() ([]Queued, error) {
	out, err := p.command("postqueue", "-j").Output()
	if err != nil {
		return nil, fmt.Errorf("postqueue: %w", err)
	}
	var queue []Queued
	for line := range bytes.Lines(out) {
		var entry struct {
			Queue string `json:"queue_name"`
			ID    string `json:"queue_id"`
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("postqueue: %w", err)
		}
		queue = append(queue, Queued{ID: entry.ID, Held: entry.Queue == "hold"})
	}
	return queue, nil
}

// Release implements MTA.
func (p *Postfix) Release(id string) error {
	if out, err := p.command("postsuper", "-H", id).CombinedOutput(); err != nil {
		return fmt.Errorf("postsuper: %w: %s", err, out)
	}
	if out, err := p.command("postqueue", "-i", id).CombinedOutput(); err != nil {
		return fmt.Errorf("postqueue: %w: %s", err, out)
	}
	return nil
}

// Set changes main.cf parameters of the running instance.
func (p *Postfix) Set(params map[string]string) error {
	for name, value := range params {
		if out, err := p.command("postconf", "-e", name+"="+value).CombinedOutput(); err != nil {
			return fmt.Errorf("postconf: %w: %s", err, out)
		}
	}
	if out, err := p.command("postfix", "reload").CombinedOutput(); err != nil {
		return fmt.Errorf("postfix reload: %w: %s", err, out)
	}
	return nil
}

// answers returns nil when an SMTP server greets at addr.
func answers(addr string) error {
	c, err := Dial(addr, netip.Addr{})
	if err != nil {
		return err
	}
	_, _ = c.Command("QUIT")
	return c.Close()
}

// portOf returns the port of an address.
func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// SocketDir creates a directory for a milter socket in the queue directory, as the manual tells administrators to: group
// postfix and mode 2750. It returns its absolute path.
func (p *Postfix) SocketDir(name string) (string, error) {
	group, err := user.LookupGroup("postfix")
	if err != nil {
		return "", err
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(p.Spool(), name)
	if err := os.Mkdir(dir, 0o750); err != nil {
		return "", err
	}
	return dir, errors.Join(os.Chown(dir, -1, gid), os.Chmod(dir, 0o750|os.ModeSetgid))
}
