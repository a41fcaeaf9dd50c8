#!/bin/sh
# Boots a small Debian 12 with systemd in a container of its own, installs the package there as an administrator does, and looks
# whether units, sandbox, socket, timers, upgrade, removal and return do what they should. Only root can do this, on Debian.
#
#   booted.sh PACKAGE.deb
#
# The first run makes the Debian in dist/test/booted.tar, which takes some minutes. The container has no network but its own loopback.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
tar=$root/dist/test/booted.tar
deb=$(realpath "${1:?usage: booted.sh PACKAGE.deb}")
name=assay-booted-$$

say() { printf '%s\n' "booted: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# pack makes the Debian.
pack() {
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)
    [ -n "$site" ] || die "apt-get names no mirror of Debian's packages"
    say "making a Debian in $tar"
    mkdir -p "$(dirname "$tar")"
    debootstrap --variant=minbase --include=postfix,ca-certificates,systemd,systemd-sysv,dbus,procps,init-system-helpers bookworm "$dir/made" "$site" >"$dir/log" 2>&1 ||
        { tail -n 5 "$dir/log" >&2; die "debootstrap failed"; }
    tar -C "$dir/made" -c --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude='./proc/*' --exclude='./sys/*' -f "$tar.new" .
    mv "$tar.new" "$tar"
    rm -rf "$dir/made"
}

# within runs a command in the container.
within() {
    nsenter -t "$init" -m -u -i -n -p -C -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}

# boot starts the container and waits until systemd has finished.
boot() {
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_SECCOMP=0 systemd-nspawn --quiet --boot --directory="$dir/root" --machine="$name" --register=no --keep-unit \
        --private-network --console=pipe </dev/null >"$dir/console" 2>&1 &
    nspawn=$!
    for _ in $(seq 60); do
        sleep 1
        kill -0 $nspawn 2>/dev/null || { cat "$dir/console" >&2; die "no container can be booted here"; }
        init=$(pgrep -P $nspawn -x systemd | head -n 1) || true
        [ -n "$init" ] && within systemctl is-system-running 2>/dev/null | grep -q -e running -e degraded && return 0
    done
    die "systemd was not up within a minute"
}

# end stops what was started and removes it.
end() {
    [ -z "${nspawn:-}" ] || kill $nspawn 2>/dev/null || true
    [ -z "${nspawn:-}" ] || wait $nspawn 2>/dev/null || true
    rm -rf "$dir"
}

[ "$(id -u)" -eq 0 ] || die "only root can boot a container"
command -v systemd-nspawn >/dev/null || die "systemd-nspawn is missing: apt-get install systemd-container debootstrap"
dir=$(mktemp -d)
trap end EXIT
trap 'exit 1' INT TERM
[ -e "$tar" ] || pack
mkdir "$dir/root"
tar -C "$dir/root" -xf "$tar"
cp "$deb" "$dir/root/assay.deb"
cp "$(dirname "$0")/booted-inside.sh" "$dir/root/inside.sh"
echo mx.assay.test >"$dir/root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 mx.assay.test mx\n' >"$dir/root/etc/hosts"
boot
within sh /inside.sh
