package milter

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/emersion/go-milter"
)

// Commands that go-milter does not know or that it does not answer.
const (
	codeUnknown     = 'U' // SMFIC_UNKNOWN: an SMTP command the MTA does not know
	codeData        = byte(milter.CodeData)
	codeQuitNewConn = byte(milter.CodeQuitNewConn)
	actProgress     = 'p' // SMFIR_PROGRESS
)

// A response is one packet to the MTA.
type response struct {
	code byte
	data string
}

// proceed is the answer that lets the MTA go on.
func proceed() response { return response{code: byte(milter.ActContinue)} }

// discard is the answer that has the MTA take the message from the client and deliver it to nobody.
func discard() response { return response{code: byte(milter.ActDiscard)} }

// replyWith answers with a complete SMTP reply. The NUL is part of the packet: without it Postfix logs uninitialised
// memory and Sendmail answers 554 whatever the code was.
func replyWith(reply string) response {
	return response{code: byte(milter.ActReplyCode), data: reply + "\x00"}
}

// canonical appends the packet that go-milter sees in place of the one that arrived. It carries the command and no data:
// go-milter closes the connection over a short CONNECT, swallows a header whose value holds a NUL, shifts a header
// without a name, drops ESMTP arguments, and copies each body chunk. The session reads the packet as it arrived. It
// reports false for a command that go-milter does not know.
func canonical(dst []byte, code byte) ([]byte, bool) {
	switch milter.Code(code) {
	case milter.CodeConn: // no host name, unknown family
		return append(dst, 0, 0, 0, 3, code, 0, byte(milter.FamilyUnknown)), true
	case milter.CodeHeader: // any name, no value
		return append(dst, 0, 0, 0, 4, code, 'x', 0, 0), true
	case milter.CodeHelo, milter.CodeMail, milter.CodeRcpt, milter.CodeEOH, milter.CodeBody, milter.CodeEOB,
		milter.CodeAbort, milter.CodeQuit:
		return append(dst, 0, 0, 0, 1, code), true
	}
	return dst, false
}

// A client is what the CONNECT command said about the SMTP client.
type client struct {
	host string
	addr netip.Addr // unmapped, zero when unknown
	port uint16
}

// parseConnect reads the payload of a CONNECT command: host name, NUL, family, and for all families but 'U' a port and
// an address.
func parseConnect(p []byte) (c client, ok bool) {
	host, rest, found := bytes.Cut(p, []byte{0})
	if !found || len(rest) == 0 {
		return client{}, false
	}
	c.host = string(host)
	switch family := milter.ProtoFamily(rest[0]); family {
	case milter.FamilyUnknown, milter.FamilyUnix:
		return c, true
	case milter.FamilyInet, milter.FamilyInet6:
		if len(rest) < 3 {
			return c, false
		}
		c.port = binary.BigEndian.Uint16(rest[1:])
		addr, _, _ := bytes.Cut(rest[3:], []byte{0})
		c.addr = parseAddr(string(addr))
		return c, true // Postfix writes "unknown" for a client that XCLIENT does not name
	}
	return c, false
}

// parseAddr reads a client address as MTAs write it: bare, in brackets, with the tag of an RFC 5321 address literal
// (Sendmail writes "IPv6:..."), or IPv4-mapped. It returns the zero Addr for anything else.
func parseAddr(s string) netip.Addr {
	s = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "["), "]")
	if tag := "IPv6:"; len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag) {
		s = s[len(tag):]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// bracketed returns the address in the last pair of brackets of the _ macro: "host [192.0.2.1]", where Sendmail may put
// "IDENT:user@" before and " (may be forged)" behind.
func bracketed(s string) netip.Addr {
	start, end := strings.LastIndexByte(s, '['), strings.LastIndexByte(s, ']')
	if start < 0 || end < start {
		return netip.Addr{}
	}
	return parseAddr(s[start : end+1])
}

// parsePath reads the payload of a MAIL or RCPT command: the path and the ESMTP arguments (RFC 5321 Section 4.1.1.11), each
// ended by a NUL. The path loses one pair of angle brackets and is otherwise as the client typed it.
func parsePath(p []byte) (path string, args []string) {
	words := strings.Split(strings.TrimSuffix(string(p), "\x00"), "\x00")
	path = words[0]
	if strings.HasPrefix(path, "<") && strings.HasSuffix(path, ">") {
		path = path[1 : len(path)-1]
	}
	return path, words[1:]
}

// parseField reads the payload of a header command: name, NUL, value, NUL. Anything else could be read as two different
// fields, so it is not read at all. The value is only valid until the next packet.
func parseField(p []byte) (name string, value []byte, ok bool) {
	if bytes.Count(p, []byte{0}) != 2 || p[len(p)-1] != 0 || p[0] == 0 {
		return "", nil, false
	}
	n, v, _ := bytes.Cut(p[:len(p)-1], []byte{0})
	return string(n), v, true
}

// parseText reads the payload of a HELO command: one string, with or without its NUL.
func parseText(p []byte) string {
	text, _, _ := bytes.Cut(p, []byte{0})
	return string(text)
}
