#!/bin/sh
# Makes the pictures in packaging/doc/pictures: messages that Assay's filter has written, in a real Roundcube in Chromium. It
# needs what packaging/test/deps.sh test installs.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p packaging/doc/pictures
go test -count=1 -run 'TestRoundcube' ./cmd/internal/clienttest -args -pictures
ls -l packaging/doc/pictures
