#!/bin/sh
# What booted.sh does in its container. Each line of the output is one thing that was looked at; the exit code is 1 if one was wrong.
set -u
failed=0
log=/inside.log

# is compares what something is with what it should be.
is() { # name, is, should be
    if [ "$2" = "$3" ]; then
        echo "ok      $1"
    else
        echo "FAILED  $1: \"$2\", should be \"$3\""
        failed=1
    fi
}

# quiet runs a command and keeps what it says for the end.
quiet() { "$@" >>$log 2>&1 || is "$*" "exit code $?" 0; }

# mail sends a mail to root by SMTP and says how often it arrived, with how many fields.
mail() { # subject
    printf 'From: a@client.example\nSubject: %s\n\nhello\n' "$1" | sendmail -f a@client.example root
    for _ in $(seq 100); do
        grep -q "^Subject: $1\$" /var/mail/root 2>/dev/null && break
        sleep 0.1
    done
    awk -v s="Subject: $1" '/^From /{n=0} /^X-Assay-Result: /{n++} $0==s{c++; f=n} END{print c+0 " mail, " f+0 " field"}' /var/mail/root
}

units="assay.service assay.socket assay-expire.timer assay-dmarc-report.timer"
state() { for u in $units; do printf '%s ' "$(systemctl is-active "$u")"; done; }
pid() { systemctl show -p MainPID --value assay.service; }
socket=/var/spool/postfix/assay/milter.sock

began=$(date +%s)
quiet dpkg -i /assay.deb
is "installed: units" "$(state)" "active inactive active active "
quiet assay setup --apply
is "set up: units" "$(state)" "active active active active "
is "set up: socket" "$(stat -c '%a %U %G' $socket)" "660 assay postfix"
is "set up: a mail" "$(mail first)" "1 mail, 1 field"
is "within two minutes" "$([ $(($(date +%s) - began)) -lt 120 ] && echo yes)" yes

is "sandbox: capabilities" "$(sed -n 's/^CapEff:\t//p' "/proc/$(pid)/status")" 0000000000000000
is "sandbox: system calls" "$(sed -n 's/^Seccomp:\t//p' "/proc/$(pid)/status")" 2
is "sandbox: workers" "$(journalctl -u assay -o cat --no-pager | sed -n 's/.*in processes of their own" //p' | sort -u)" "seccomp=true landlock=true limits=true"
is "sandbox: disk" "$(nsenter -t "$(pid)" -m touch /etc/x /usr/x /var/spool/postfix/x 2>&1 | grep -c 'Read-only')" 3

old=$(pid)
quiet systemctl reload assay
is "reload: the same process" "$(pid)" "$old"
echo 'unknown: 1' >>/etc/assay/assay.yaml
is "reload of a broken configuration" "$(systemctl reload assay 2>/dev/null || echo refused) $(systemctl is-active assay)" "refused active"
quiet dpkg -i /assay.deb
is "upgrade with a broken configuration: the same process" "$(pid)" "$old"
sed -i '$d' /etc/assay/assay.yaml
quiet dpkg -i /assay.deb
is "upgrade: another process" "$([ "$(pid)" != "$old" ] && echo yes) $(state)" "yes active active active active "
is "upgrade: a mail" "$(mail second)" "1 mail, 1 field"

rm $socket
quiet systemctl restart assay.socket
is "socket made again" "$(stat -c '%a %U %G' $socket) $(mail third)" "660 assay postfix 1 mail, 1 field"
systemctl stop assay.service 2>>$log
is "stopped, and started by a mail" "$(mail fourth) $(state)" "1 mail, 1 field active active active active "
kill -9 "$(pid)"
is "killed, and started again" "$(mail fifth) $(systemctl is-active assay)" "1 mail, 1 field active"
for u in assay-expire assay-dmarc-report; do
    quiet systemctl start $u.service
done

quiet apt-get -y remove assay
is "removed: Postfix" "$(postconf -n | grep -c milters)" 0
is "removed: a mail" "$(mail sixth)" "1 mail, 0 field"
quiet dpkg -i /assay.deb
is "returned: units" "$(state)" "active inactive active active "
quiet assay setup --apply
is "returned: a mail" "$(mail seventh) $(state)" "1 mail, 1 field active active active active "
quiet assay setup --undo
is "undone: units" "$(state)" "active inactive active active "
quiet apt-get -y purge assay
is "purged: what is left" "$(find / -xdev \( -path /proc -o -path /sys -o -path /run/systemd \) -prune -o -name '*assay*' ! -name assay.deb ! -path '/var/log/*' -print)" ""
is "failed units" "$(systemctl --failed --plain --no-legend)" ""
[ $failed -eq 0 ] || cat $log
exit $failed
