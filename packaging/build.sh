#!/bin/sh
# Builds the packages below the directory OUT, dist/packages by default: deb and rpm, for amd64 and arm64.
#
#   VERSION            default: the tag of the commit, or 0.1.0~git and its time and name
#   SOURCE_DATE_EPOCH  default: the time of the commit. It is the time of every file, so that two builds are the same
#                      octet for octet
#   BUILDVCS           default: true, the revision is written into the program
#   ARCHES, FORMATS    default: "amd64 arm64", "deb rpm"
set -eu
umask 022

cd "$(dirname "$0")/.."
root=$(pwd)
out=${1:-dist/packages}
nfpm_version=v2.45.0 # later ones do not build from the module proxy

say() { printf '%s\n' "packages: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# in_git says whether this is a work tree that git can read; go build asks git for the revision.
in_git() { git rev-parse --verify --quiet HEAD >/dev/null 2>&1; }

if in_git; then
    vcs=${BUILDVCS:-true}
    epoch=$(git log -1 --format=%ct)
    tag=$(git tag --points-at HEAD --list 'v[0-9]*' | head -n 1)
    version=${tag#v}
    : "${version:=0.1.0~git$(date -u -d "@$epoch" +%Y%m%d%H%M%S).$(git rev-parse --short=12 HEAD)}"
else
    vcs=false
    epoch= version=
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$epoch}
VERSION=${VERSION:-$version}
[ -n "$SOURCE_DATE_EPOCH" ] && [ -n "$VERSION" ] || die "there is no git here: set VERSION and SOURCE_DATE_EPOCH"
export SOURCE_DATE_EPOCH
arches=${ARCHES:-amd64 arm64}
formats=${FORMATS:-deb rpm}
mtime=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# find_nfpm installs nfpm once, through the Go module proxy.
find_nfpm() {
    nfpm=${NFPM:-$root/dist/tools/nfpm-$nfpm_version}
    [ ! -x "$nfpm" ] || return 0
    say "building nfpm $nfpm_version"
    mkdir -p "$root/dist/tools/new"
    GOBIN=$root/dist/tools/new GOFLAGS='' GOOS='' GOARCH='' go install "github.com/goreleaser/nfpm/v2/cmd/nfpm@$nfpm_version" ||
        die "nfpm $nfpm_version CANNOT BE DOWNLOADED OR BUILT, so there are no packages. It comes from the Go module proxy (GOPROXY); NFPM=/path/to/nfpm names one that is there"
    mv "$root/dist/tools/new/nfpm" "$nfpm"
    rmdir "$root/dist/tools/new"
}

# program builds the program for architecture $1 as $2.
program() {
    CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=$vcs -ldflags "-s -w -X main.Version=$VERSION" -o "$2" ./cmd/assay
}

# common generates what is the same for every architecture into $1, with the program $2, which runs here.
common() {
    mkdir -p "$1/share/rules.d" "$1/doc/examples" "$1/completion"
    cp rules/shipped/*.yaml "$1/share/rules.d/"
    "$2" config schema >"$1/share/assay.schema.json"
    "$2" rules schema >"$1/share/rules.schema.json"
    cp -R packaging/grafana packaging/prometheus packaging/clients "$1/share/"
    rm "$1/share/clients/pictures.sh" # draws the pictures of the documentation, with the tests of the source tree
    cp -R packaging/doc/. "$1/doc/"
    cp README.md packaging/README.Debian packaging/explain-json.md packaging/scan-json.md "$1/doc/"
    gzip -9nc CHANGELOG.md >"$1/doc/changelog.gz"
    cp -R packaging/assay.yaml packaging/postfix packaging/sendmail "$1/doc/examples/"
    mkdir "$1/doc/examples/systemd"
    cp packaging/systemd/*.conf "$1/doc/examples/systemd/"
    for page in assay.1 assay.yaml.5 assay-rules.5 assay-headers.7 assay-serve.8; do
        mkdir -p "$1/man/man${page##*.}"
        "$2" man "${page%.*}" | gzip -9nc >"$1/man/man${page##*.}/$page.gz"
    done
    for shell in bash zsh fish; do
        "$2" completion $shell >"$1/completion/assay.$shell"
    done
    changelog | gzip -9nc >"$1/changelog.Debian.gz"
}

# changelog prints the changelog of the Debian package: what has changed is in the one of the program.
changelog() {
    printf 'assay (%s-1) unstable; urgency=medium\n\n' "$VERSION"
    printf '  * Packaged as released; changelog.gz beside this file says what has changed.\n\n'
    printf ' -- Assay maintainers <maintainers@assay.invalid>  %s\n' "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

# of_format prints the lines of nfpm's configuration that only the format $1 has.
of_format() {
    [ "$1" = rpm ] || return 0
    printf 'license: Apache-2.0\nchangelog: %s/changelog.yaml\n' "$2"
}

# package makes one package: format $1, architecture $2, from the files in $3.
package() {
    printf -- '- semver: 0.1.0\n  date: %s\n  packager: Assay maintainers <maintainers@assay.invalid>\n  changes:\n    - note: "%s, see changelog.gz in the documentation"\n' \
        "$mtime" "$VERSION" >"$3/changelog.yaml"
    of_format "$1" "$3" >"$3/format"
    sed -e "/@FORMAT@/{r $3/format" -e 'd}' -e "s|@ARCH@|$2|; s|@VERSION@|$VERSION|; s|@MTIME@|$mtime|; s|@STAGE@|$3|" packaging/nfpm.yaml >"$3/nfpm.yaml"
    "$nfpm" package --config "$3/nfpm.yaml" --packager "$1" --target "$out/" >&2
}

find_nfpm
mkdir -p "$out"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' INT TERM
say "version $VERSION, $mtime"
here=$stage/here
program "$(go env GOHOSTARCH)" "$here"
common "$stage/common" "$here"
for arch in $arches; do
    mkdir "$stage/$arch"
    cp -R "$stage/common/." "$stage/$arch/"
    if [ "$arch" = "$(go env GOHOSTARCH)" ]; then cp "$here" "$stage/$arch/assay"; else program "$arch" "$stage/$arch/assay"; fi
    "$here" version --sbom "$stage/$arch/assay" >"$stage/$arch/share/sbom.cdx.json"
    go run ./cmd/internal/release copyright "$stage/$arch/assay" >"$stage/$arch/doc/copyright"
    find "$stage/$arch" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    for format in $formats; do
        package "$format" "$arch" "$stage/$arch"
    done
done
