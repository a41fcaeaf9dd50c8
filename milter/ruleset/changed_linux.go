package ruleset

import (
	"io/fs"
	"syscall"
	"time"
)

// changed returns when a file was last changed. That is its ctime: copying programs set back the time of modification.
func changed(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(int64(stat.Ctim.Sec), int64(stat.Ctim.Nsec)) // the width depends on the architecture
	}
	return info.ModTime()
}
