package mtatest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardScript waits until the program that started it is gone, or closes the pipe on purpose. Then it kills the process
// group and removes the directory. It needs two rounds because a process may just be forking. There is no "--" before the
// group because Debian's sh takes it for a number.
const guardScript = `
trap '' HUP INT TERM
read -r _
kill -KILL "-$1" 2>/dev/null
sleep 0.05
kill -KILL "-$1" 2>/dev/null
rm -rf -- "$2"
`

// A process is a program with all its children in a session of its own, and a guard that ends them all.
type process struct {
	cmd   *exec.Cmd
	guard *exec.Cmd
	pipe  io.WriteCloser
	once  sync.Once
}

// startProcess starts cmd, and a guard that kills its process group and removes dir when this program ends.
func startProcess(cmd *exec.Cmd, dir string) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	guard := exec.Command("/bin/sh", "-c", guardScript, "guard", strconv.Itoa(cmd.Process.Pid), dir)
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	if err != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		return nil, err
	}
	return &process{cmd: cmd, guard: guard, pipe: pipe}, nil
}

// exited reports whether the program has ended, without reaping it: as long as it is a zombie nobody else can get its
// number, and the guard cannot hit a stranger.
func (p *process) exited() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil || info.Signo != 0
}

// close kills the process group, lets the guard remove the directory, and waits for it.
func (p *process) close() error {
	var err error
	p.once.Do(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		_ = p.pipe.Close()
		err = p.guard.Wait()
		_ = p.cmd.Wait() // killed: its status says nothing
	})
	return err
}

// await calls ready until it returns nil. It gives up when the program has ended or patience is at an end.
func (p *process) await(ready func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ready()
		switch {
		case err == nil:
			return nil
		case p.exited():
			return errors.Join(errors.New("the program has ended"), err)
		case time.Now().After(deadline):
			return fmt.Errorf("not ready after %v: %w", patience, err)
		}
		time.Sleep(20 * time.Millisecond) // another program gives no signal to wait for
	}
}

// readLog returns the content of a log file, or why there is none.
func readLog(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
