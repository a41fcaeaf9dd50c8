package milter

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstActivated is SD_LISTEN_FDS_START.
const firstActivated = 3

// maxActivated bounds LISTEN_FDS.
const maxActivated = 1024

// SocketActivation returns the sockets that the service manager has passed to the process pid, by their names, as
// sd_listen_fds_with_names(3) describes: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, which getenv reads. A socket
// without a name is called "unknown". The map is empty when the variables are not set or meant for another process.
// Usually open is OpenActivated.
func SocketActivation(getenv func(string) string, pid int, open func(fd int) (net.Listener, error)) (map[string][]net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > maxActivated {
		return nil, fmt.Errorf("milter: LISTEN_FDS is %q", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	if getenv("LISTEN_FDNAMES") != "" && len(names) != n {
		return nil, fmt.Errorf("milter: LISTEN_FDNAMES has %d names for %d sockets", len(names), n)
	}
	activated := map[string][]net.Listener{}
	var failed error
	for i := range n {
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		ln, err := open(firstActivated + i)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("milter: activated socket %q: %w", name, err))
			continue
		}
		activated[name] = append(activated[name], ln)
	}
	return activated, failed
}

// OpenActivated makes a listener of an inherited file descriptor, which it closes: the listener has its own, and programs
// that the process starts inherit neither.
func OpenActivated(fd int) (net.Listener, error) {
	file := os.NewFile(uintptr(fd), "LISTEN_FD_"+strconv.Itoa(fd))
	if file == nil {
		return nil, fmt.Errorf("file descriptor %d is not open", fd)
	}
	defer file.Close()
	return net.FileListener(file)
}
