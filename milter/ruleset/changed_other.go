//go:build !linux

package ruleset

import (
	"io/fs"
	"time"
)

// changed returns when a file was last changed.
func changed(info fs.FileInfo) time.Time { return info.ModTime() }
