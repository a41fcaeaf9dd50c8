// Package mtatest runs real MTAs for tests and for the demonstration: private instances of Postfix and Sendmail with
// their own configuration, queue and ports on the loopback interface, an SMTP client that sends exactly the octets it is
// given, and a sink that keeps exactly the octets that were delivered. The system's own mail service is neither read nor
// touched, several instances run side by side, and nothing stays behind when the program dies, however it dies.
//
// It refuses to be a mail client: there is no retry, no address parser and no message builder in it.
package mtatest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// ErrUnavailable means that this machine cannot run the MTA: it is not installed, or the program lacks the rights.
var ErrUnavailable = errors.New("mtatest: MTA is not available")

// patience is how long an instance may take to answer. It is generous because a busy machine with two slow cores has to
// pass too; a healthy instance answers within a second.
const patience = time.Minute

// An MTA is a running instance that receives mail by SMTP, asks its milter, and delivers to a sink.
type MTA interface {
	// Name is "postfix" or "sendmail".
	Name() string
	// Addr is the SMTP listener, such as "127.0.0.1:2525".
	Addr() string
	// Queue lists the messages that are not delivered.
	Queue() ([]Queued, error)
	// Release lets a held message go, and has the MTA deliver it.
	Release(id string) error
	// Log returns what the instance has logged so far, for failing tests.
	Log() string
	// Close kills every process of the instance and removes its files.
	Close() error
}

// A Queued is one message in the queue of an MTA.
type Queued struct {
	ID   string
	Held bool // quarantined: Postfix's hold queue, a quarantined queue group of Sendmail
	// Reason is why it is held. Postfix keeps none.
	Reason string
}

// requireRoot returns ErrUnavailable for an ordinary user: both MTAs change their identity when they deliver.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: an MTA can only be run by root", ErrUnavailable)
	}
	return nil
}

// FreePort returns a TCP port on 127.0.0.1 that nobody listens on. Somebody else may take it before the caller does.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// freePorts returns n different free ports.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all at the end, so that they differ
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

// newDir creates the directory of an instance. Its path is short, because the path of a unix socket has to fit into
// 107 octets, and other users may enter it, because Postfix runs most of its processes as another user.
func newDir(name string) (string, error) {
	dir, err := os.MkdirTemp("", "assay-"+name+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}
