package clamtest

import (
	"io"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// guardScript waits until the program that started it is gone, or closes the pipe on purpose. Then it kills clamd, which is
// one process, and removes its directory.
const guardScript = `
trap '' HUP INT TERM
read -r _
kill -KILL "$1" 2>/dev/null
rm -rf -- "$2"
`

// A guard ends clamd when this program ends.
type guard struct {
	cmd  *exec.Cmd // clamd
	sh   *exec.Cmd
	pipe io.WriteCloser
	once sync.Once
}

// startGuarded starts cmd in a session of its own, and its guard.
func startGuarded(cmd *exec.Cmd, dir string) (*guard, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	sh := exec.Command("/bin/sh", "-c", guardScript, "guard", strconv.Itoa(cmd.Process.Pid), dir)
	sh.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := sh.StdinPipe()
	if err == nil {
		err = sh.Start()
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return &guard{cmd: cmd, sh: sh, pipe: pipe}, nil
}

// exited reports whether clamd has ended, without reaping it: as long as it is a zombie nobody else can get its number, and
// the guard cannot hit a stranger.
func (g *guard) exited() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, g.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil || info.Signo != 0
}

// close kills clamd, lets the guard remove the directory, and waits for both.
func (g *guard) close() error {
	var err error
	g.once.Do(func() {
		_ = g.cmd.Process.Kill()
		_ = g.pipe.Close()
		err = g.sh.Wait()
		_ = g.cmd.Wait() // killed: its status says nothing
	})
	return err
}
