#!/bin/sh
# Builds the container image below the directory OUT, dist/image by default, without a container engine: an OCI image layout
# for amd64 and arm64, and the build context of packaging/container/Containerfile for this machine in OUT/context.
# VERSION, SOURCE_DATE_EPOCH and ARCHES are those of packaging/build.sh.
set -eu
umask 022

cd "$(dirname "$0")/.."
out=${1:-dist/image}
vcs=false
if git rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
    vcs=true
    REVISION=${REVISION:-$(git rev-parse HEAD)}
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    VERSION=${VERSION:-$(git describe --tags --always)}
fi
if [ -z "${SOURCE_DATE_EPOCH:-}" ] || [ -z "${VERSION:-}" ]; then
    echo "image: there is no git here: set VERSION and SOURCE_DATE_EPOCH" >&2
    exit 1
fi
export VERSION SOURCE_DATE_EPOCH REVISION="${REVISION:-}"

mkdir -p "$out"
programs=
for arch in ${ARCHES:-amd64 arm64}; do
    CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=$vcs -ldflags "-s -w -X main.Version=$VERSION" \
        -o "$out/assay-$arch" ./cmd/assay
    programs="$programs $arch=$out/assay-$arch"
done
# shellcheck disable=SC2086 # a list
go run ./cmd/internal/release image "$out/assay-oci.tar" $programs

rm -rf "$out/context"
mkdir -p "$out/context/state" "$out/context/run"
here=$out/assay-$(go env GOHOSTARCH)
[ ! -e "$here" ] || cp "$here" "$out/context/assay"
echo 'assay:x:65532:65532:Assay:/var/lib/assay:/nonexistent' >"$out/context/passwd"
echo 'assay:x:65532:' >"$out/context/group"
echo "image: $out/assay-oci.tar" >&2
