package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A notifier tells the service manager about the state of the daemon, as sd_notify(3) describes. The zero value tells
// nobody.
type notifier struct{ socket string }

// newNotifier returns the notifier for the service manager that started the process, if one did.
func newNotifier(getenv func(string) string) notifier { return notifier{getenv("NOTIFY_SOCKET")} }

// send sends one datagram. Nobody depends on its arrival: an error is dropped.
func (n notifier) send(lines ...string) {
	if n.socket == "" {
		return
	}
	name := n.socket
	if strings.HasPrefix(name, "@") { // the abstract namespace
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(strings.Join(lines, "\n")))
}

// ready says that the daemon serves, and what it is doing.
func (n notifier) ready(status string) { n.send("READY=1", "STATUS="+status) }

// reloading says that a reload has begun; ready ends it. The instant is needed since systemd 253 (Type=notify-reload).
func (n notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// stopping says that the daemon is finishing its messages.
func (n notifier) stopping() { n.send("STOPPING=1", "STATUS=finishing messages in work") }

// watchdog returns how often the service manager wants to hear from the daemon, 0 for not at all. Half of WATCHDOG_USEC is
// what sd_watchdog_enabled(3) recommends.
func watchdog(getenv func(string) string, pid int) time.Duration {
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	if p := getenv("WATCHDOG_PID"); p != "" && p != strconv.Itoa(pid) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}

// isJournal says whether a file is the stream that systemd connects to its journal, which adds the time to every line
// (JOURNAL_STREAM in systemd.exec(5)).
func isJournal(w any, getenv func(string) string) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && getenv("JOURNAL_STREAM") == strconv.FormatUint(uint64(stat.Dev), 10)+":"+strconv.FormatUint(stat.Ino, 10)
}
