package milter

import (
	"net"
	"syscall"
)

// acknowledge has the kernel acknowledge at once what was read from a TCP connection. The MTA writes macros and command apart,
// and its own kernel keeps the second back until the first is acknowledged (RFC 896). Macros have no answer that could
// carry the acknowledgement, so that it would wait for the 40 ms of its timer: Sendmail loses 220 ms per message. The
// option holds until the next delay only, hence not once per connection. A failure costs nothing but time.
func acknowledge(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) })
	}
}
