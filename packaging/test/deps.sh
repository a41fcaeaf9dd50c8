#!/bin/sh
# Installs what the demonstration and the tests need on Debian 12, and nothing when all of it is there:
#
#   deps.sh demo    Postfix, dkimpy, which signs the mails of honest senders, and ClamAV's daemon
#   deps.sh test    Postfix, Sendmail, a C compiler for the race detector, two other DKIM implementations, OpenSSL, xmllint,
#                   ClamAV's daemon, Chromium, which shows what HTML does, and what recipients use: Dovecot with Pigeonhole,
#                   PHP and Roundcube
#   deps.sh clients Thunderbird, beside what deps.sh test installs
#   deps.sh booted  systemd-nspawn and debootstrap
#
# Postfix and Dovecot are installed as packages, because their programs know their directories. Their own services are neither
# configured nor started by this script, and the private instances of the tests do not touch them. Sendmail cannot be installed
# beside Postfix, so its packages are unpacked below dist/test/sendmail. So are those of ClamAV, below dist/test/clamav: installed,
# they would bring freshclam, which loads signatures from the network, services that start with the machine, and a profile of
# AppArmor that keeps clamd from the files of tests. And so is Roundcube, below dist/test/roundcube, which would bring Apache.
set -eu

what=${1:-test}
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=$root/dist/test
sendmail=$cache/sendmail
clamav=$cache/clamav
roundcube=$cache/roundcube

say() { printf '%s\n' "deps: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# missing prints the packages among its arguments that are not installed.
missing() {
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || printf ' %s' "$package"
    done
}

# as_root runs a command as root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "\"$*\" has to be run as root, and there is no sudo. Run this script as root once."
    fi
}

# update refreshes the package lists once per run: those of a fresh machine or image are old or empty.
update() {
    [ -z "${updated:-}" ] || return 0
    say "refreshing package lists"
    as_root apt-get -q update >&2 || die "apt-get update failed; is the network up?"
    updated=yes
}

# install installs packages without asking anything and without starting a service.
install() {
    wanted=$(missing "$@")
    [ -n "$wanted" ] || return 0
    update
    say "installing$wanted"
    # A policy-rc.d that forbids starting services is there only while apt runs, and only if the machine has none.
    policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then policy=; else printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null && as_root chmod 755 $policy; fi
    status=0
    # shellcheck disable=SC2086 # a list of package names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
        -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 install $wanted >&2 </dev/null || status=$?
    [ -z "$policy" ] || as_root rm -f "$policy"
    [ "$status" -eq 0 ] || die "apt-get install failed ($status):$wanted"
}

# unpack_sendmail unpacks Sendmail below the build directory and installs the libraries its program asks for.
unpack_sendmail() {
    program=$sendmail/usr/libexec/sendmail/sendmail
    shim=$sendmail/hostname.so
    if [ -x "$program" ] && [ -e "$shim" ] && [ -d "$sendmail/usr/share/sendmail/cf/m4" ] && ! ldd "$program" | grep -q 'not found'; then
        return 0
    fi
    update
    say "unpacking Sendmail into dist/test/sendmail"
    rm -rf "$sendmail" "$cache/deb"
    mkdir -p "$sendmail" "$cache/deb"
    (cd "$cache/deb" && apt-get -q download sendmail-bin sendmail-cf >&2) || die "cannot download Sendmail's packages"
    for deb in "$cache"/deb/*.deb; do
        dpkg -x "$deb" "$sendmail"
    done
    rm -rf "$cache/deb"
    chmod 755 "$program" # without set-group-ID, which would make it ignore LD_PRELOAD
    # shellcheck disable=SC2046 # a list of package names
    install $(apt-cache depends sendmail-bin | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p')
    if ldd "$program" | grep 'not found' >&2; then
        die "libraries of Sendmail are missing"
    fi
    # Where the host name has no dot, as in most containers, Sendmail sleeps for a minute when it starts, before it has
    # read its configuration. To the private instances the host is called sendmail.test.
    gcc -x c -shared -fPIC -o "$shim" - <<'C'
#include <string.h>
int gethostname(char *name, size_t size) { strncpy(name, "sendmail.test", size); return 0; }
C
}

# clamd_lacks prints the libraries that the unpacked clamd does not find.
clamd_lacks() { LD_LIBRARY_PATH=$(printf '%s:' "$clamav"/usr/lib/*) ldd "$clamav/usr/sbin/clamd" | grep 'not found'; }

# unpack_clamav unpacks clamd and its own library below the build directory, and installs the other libraries it asks for.
unpack_clamav() {
    if [ -x "$clamav/usr/sbin/clamd" ] && ! clamd_lacks >/dev/null; then
        return 0
    fi
    update
    say "unpacking ClamAV into dist/test/clamav"
    rm -rf "$clamav" "$cache/deb"
    mkdir -p "$clamav" "$cache/deb"
    library=$(apt-cache depends clamav-daemon | sed -n 's/^ *Depends: \(libclamav[0-9][^ ]*\)$/\1/p' | head -n 1)
    (cd "$cache/deb" && apt-get -q download clamav-daemon "$library" >&2) || die "cannot download ClamAV's packages"
    for deb in "$cache"/deb/*.deb; do
        dpkg -x "$deb" "$clamav"
    done
    rm -rf "$cache/deb"
    # shellcheck disable=SC2046 # a list of package names
    install $(apt-cache depends clamav-daemon "$library" | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p' | grep -v '^libclamav' | sort -u)
    if clamd_lacks >&2; then
        die "libraries of ClamAV are missing"
    fi
}

# unpack_roundcube unpacks Roundcube below the build directory, with the libraries in PHP and JavaScript that it uses.
unpack_roundcube() {
    if [ -e "$roundcube/usr/share/roundcube/index.php" ] && [ -e "$roundcube/usr/share/php/GuzzleHttp/autoload.php" ]; then
        return 0
    fi
    update
    say "unpacking Roundcube into dist/test/roundcube"
    rm -rf "$roundcube" "$cache/deb"
    mkdir -p "$roundcube" "$cache/deb"
    (cd "$cache/deb" && apt-get -q download roundcube-core php-pear php-auth-sasl php-mail-mime php-net-socket php-net-smtp \
        php-net-sieve php-masterminds-html5 php-guzzlehttp-guzzle php-guzzlehttp-promises php-guzzlehttp-psr7 php-getallheaders \
        php-psr-http-client php-psr-http-factory php-psr-http-message php-symfony-deprecation-contracts \
        libjs-jquery libjs-jquery-ui libjs-jquery-minicolors libjs-bootstrap4 libjs-jstimezonedetect libjs-codemirror >&2) ||
        die "cannot download Roundcube's packages"
    for deb in "$cache"/deb/*.deb; do
        dpkg -x "$deb" "$roundcube"
    done
    rm -rf "$cache/deb"
}

# pack_debian makes a small Debian 12 with Postfix, on which the tests install the packages.
pack_debian() {
    [ ! -e "$cache/debian.tar" ] || return 0
    say "making a Debian for the packages in dist/test/debian.tar"
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1)
    [ -n "$site" ] || die "apt-get names no mirror of Debian's packages to make a Debian from"
    dir=$(as_root mktemp -d)
    as_root debootstrap --variant=minbase --include=postfix,ca-certificates bookworm "$dir/root" "$site" >"$cache/debootstrap.log" 2>&1 ||
        die "debootstrap failed, see dist/test/debootstrap.log"
    as_root tar -C "$dir/root" -c --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude='./proc/*' -f - . >"$cache/debian.tar.new"
    as_root rm -rf "$dir"
    mv "$cache/debian.tar.new" "$cache/debian.tar"
}

command -v apt-get >/dev/null 2>&1 || {
    say "this is not Debian: install Postfix, m4, gcc, python3-dkim and libmail-dkim-perl in your own way"
    say "and unpack Sendmail below $sendmail (or set ASSAY_SENDMAIL), and install ClamAV's clamd (or set ASSAY_CLAMD);"
    say "what is missing is reported by the tests"
    exit 0
}
case $what in
demo)
    install postfix ca-certificates python3 python3-dkim
    unpack_clamav
    ;;
test)
    install postfix ca-certificates m4 gcc libc6-dev python3 python3-dkim python3-authres python3-nacl libmail-dkim-perl libxml2-utils openssl chromium lintian fonts-liberation fonts-dejavu-core \
        dovecot-sieve dovecot-imapd php-cli php-intl php-mbstring php-xml php-sqlite3 \
        debootstrap mandoc groff-base zsh fish rpm apparmor systemd
    unpack_sendmail
    unpack_clamav
    unpack_roundcube
    pack_debian
    ;;
clients)
    install thunderbird
    ;;
booted)
    install systemd-container debootstrap procps util-linux
    ;;
*)
    die "usage: deps.sh demo|test|clients|booted"
    ;;
esac
