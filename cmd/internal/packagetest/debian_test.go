package packagetest

import (
	"strings"
	"testing"
	"time"
)

// On a fresh Debian 12: the package, one command, a mail, the header. Under two minutes, no other step.
func TestFreshDebian(t *testing.T) {
	begun := time.Now()
	out := inside(t, `
postfix start 2>&1
dpkg -i /assay.deb 2>&1
assay setup --check && exit 1 || say "check $?"
assay setup --apply 2>&1
say "applied"
printf 'Subject: hello\nFrom: a@example.org\nX-Assay-Result: v=1; trust=verified\n\nhi\n' | sendmail root
for i in $(seq 100); do [ "$(grep -c '^X-Assay-Result' /var/mail/root)" -ge 2 ] && break; sleep 0.1; done
say "mails $(grep -c '^Subject:' /var/mail/root), fields $(grep -c '^X-Assay-Result' /var/mail/root), forged $(grep -c 'trust=verified' /var/mail/root || true)"
assay setup --check; say "check $?"
assay setup --apply --json >/again; say "again $(grep -c '"changed": false' /again) $(grep -c '"state": "proven"' /again)"
cp /etc/postfix/main.cf /changed
postconf -n smtpd_milters non_smtpd_milters
assay setup --undo
say "left $(grep -c milters /etc/postfix/main.cf || true)"
cmp /etc/postfix/main.cf /var/lib/assay/setup/main.cf.2* && say "same"
assay setup --undo
`)
	wants(t, out, "== check 3", "proven: a mail to root@mx.assay.test", "X-Assay-Result: v=1; trust=unverified; disposition=deliver", "== applied",
		"== mails 2, fields 2, forged 0", "nothing has to be changed", "== check 0", "== again 1 1", "smtpd_milters = inet:127.0.0.1:8894",
		"what was there was put back", "== left 0", "== same", "has changed nothing here")
	took := time.Since(begun).Round(100 * time.Millisecond)
	t.Logf("package, setup, proof, a second mail and undo took %s", took)
	if took > 2*time.Minute {
		t.Errorf("it took %s", took)
	}
}

// An upgrade keeps a changed configuration and restarts the daemon; one that does not accept the configuration restarts nothing.
func TestUpgrade(t *testing.T) {
	out := inside(t, `
dpkg -i /assay.deb 2>&1
/etc/init.d/assay start
first=$(cat /run/assay.pid)
echo '# mine' >>/etc/assay/assay.yaml
dpkg -i /new.deb 2>&1
second=$(cat /run/assay.pid)
[ "$first" != "$second" ] && say "restarted"
grep -c '# mine' /etc/assay/assay.yaml | sed 's/^/== kept /'
assay ctl status >/dev/null && say "answers"
echo 'unknown: key' >>/etc/assay/assay.yaml
dpkg -i /assay.deb 2>&1 && say "installed"
[ "$second" = "$(cat /run/assay.pid)" ] && kill -0 "$second" && say "still running"
sed -i '/unknown/d' /etc/assay/assay.yaml
assay ctl status >/dev/null && say "still answers"
/etc/init.d/assay restart
[ "$second" != "$(cat /run/assay.pid)" ] && assay ctl status >/dev/null && say "restarted by hand"
`)
	wants(t, out, "== restarted", "== kept 1", "== answers", "does not accept the configuration", `unknown key "unknown"`, "nothing was restarted",
		"== installed", "== still running", "== still answers", "== restarted by hand")
}

// In a container the first process may be one that waits for nobody else's children: a daemon that has ended stays there as a
// zombie, and a restart must not take that for one that still works.
func TestRestartUnderAnIdleInit(t *testing.T) {
	out := inside(t, `
dpkg -i /assay.deb 2>&1
cat >/inner <<'EOF'
/etc/init.d/assay start
first=$(cat /run/assay.pid)
begun=$(date +%s)
/etc/init.d/assay restart && [ $(($(date +%s) - begun)) -lt 30 ] && echo "== soon"
grep -q '^State:.*Z' /proc/$first/status && echo "== zombie"
[ "$first" != "$(cat /run/assay.pid)" ] && assay ctl status >/dev/null && echo "== answers"
/etc/init.d/assay stop && [ ! -e /run/assay.pid ] && /etc/init.d/assay stop && echo "== stopped"
EOF
unshare --pid --fork --kill-child --mount-proc perl -e 'my $child = fork; exec "sh", "/inner" unless $child; waitpid $child, 0'
`)
	wants(t, out, "== soon", "== zombie", "== answers", "== stopped")
}

// Removing puts the MTA back and keeps configuration and state; purging takes them away, but never mail in the quarantine.
func TestRemoveAndPurge(t *testing.T) {
	out := inside(t, `
postfix start 2>&1
dpkg -i /assay.deb 2>&1
echo '# mine' >>/etc/assay/assay.yaml
assay setup --apply --no-probe >/dev/null
pid=$(cat /run/assay.pid)
dpkg -r assay 2>&1
say "milters $(grep -c milters /etc/postfix/main.cf || true)"
[ ! -e /usr/sbin/assay ] && [ -d /var/lib/assay ] && grep -q mine /etc/assay/assay.yaml && say "removed"
kill -0 "$pid" 2>/dev/null || say "stopped"
dpkg -i /assay.deb 2>&1
grep -q mine /etc/assay/assay.yaml && say "installed again"
find /etc/systemd/system -lname /dev/null | grep assay || say "nothing is masked"
mkdir -p /var/lib/assay/quarantine/messages/xx
echo mail >/var/lib/assay/quarantine/messages/xx/onexx
dpkg -P assay 2>&1
[ ! -e /etc/assay ] && [ -e /var/lib/assay/quarantine/messages/xx/onexx ] && say "mail kept"
rm -r /var/lib/assay/quarantine/messages
echo index >/var/lib/assay/quarantine/index.db
dpkg -i /assay.deb 2>&1
dpkg -P assay 2>&1
[ ! -e /etc/assay ] && [ ! -e /var/lib/assay ] && [ ! -e /run/assay ] && [ ! -e /var/log/assay.log ] && say "purged"
find / -xdev -path /proc -prune -o -name '*assay*' -print | grep -v -e '^/assay.deb$' -e '^/var/lib/dpkg' -e '^/var/log/dpkg' -e '^/etc/postfix' -e '^/var/lib/systemd' || say "nothing left"
`)
	wants(t, out, "what was there was put back", "== milters 0", "== removed", "== stopped", "== installed again", "== nothing is masked", "holds quarantined mail and is kept",
		"== mail kept", "== purged", "== nothing left")
	if strings.Contains(out, "No such file or directory") {
		t.Errorf("a maintainer script trips:\n%s", out)
	}
}
