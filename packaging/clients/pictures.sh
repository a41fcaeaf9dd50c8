#!/bin/sh
# Makes the pictures in packaging/doc/pictures: messages that Assay's filter has written, in a real Roundcube in Chromium, and
# in Thunderbird if that is installed. It needs what "packaging/test/deps.sh test" installs, and "packaging/test/deps.sh clients".
set -eu
cd "$(dirname "$0")/../.."
mkdir -p packaging/doc/pictures
ASSAY_THUNDERBIRD=${ASSAY_THUNDERBIRD:-$(command -v thunderbird || true)} \
    go test -count=1 -run 'Roundcube|Thunderbird' ./cmd/internal/clienttest -args -pictures
ls -l packaging/doc/pictures
