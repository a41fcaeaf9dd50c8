//go:build !linux

package milter

import "net"

// acknowledge does nothing where the kernel cannot be told to acknowledge at once.
func acknowledge(net.Conn) {}
