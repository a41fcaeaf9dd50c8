package milter

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emersion/go-milter"

	"assay/verify/message"
)

// The commands that macros belong to, in the order in which they arrive: those that describe the connection, and those
// that belong to one message.
const (
	connectionStages = "CH"
	messageStages    = "MRTLNBE"
	stages           = connectionStages + messageStages
)

// macros are the macro definitions of a connection, kept by the command they came with: MTAs define most of them once, at
// the stage they belong to, and Postfix defines others again before every single header field.
type macros [len(stages)]struct {
	defined []byte // name NUL value NUL ...
	fresh   bool   // defined since the last event of that command
}

// define keeps the payload of a macro packet. An empty packet and one for a command without a stage of its own are
// normal and say nothing.
func (m *macros) define(p []byte) {
	if len(p) == 0 {
		return
	}
	if i := strings.IndexByte(stages, p[0]); i >= 0 {
		m[i].defined = append(m[i].defined[:0], p[1:]...)
		m[i].fresh = true
	}
}

// event marks the arrival of a command. Definitions of an earlier event of the same command end: a second MAIL without
// macros is not authenticated because the first one was.
func (m *macros) event(stage byte) {
	i := strings.IndexByte(stages, stage)
	if !m[i].fresh {
		m[i].defined = m[i].defined[:0]
	}
	m[i].fresh = false
}

// forget drops the definitions of the given stages.
func (m *macros) forget(these string) {
	for _, stage := range []byte(these) {
		i := strings.IndexByte(stages, stage)
		m[i].defined = m[i].defined[:0]
		m[i].fresh = false
	}
}

// at returns a macro as defined for one stage, "" if it is not. The name is without braces.
func (m *macros) at(stage byte, name string) string {
	rest := m[strings.IndexByte(stages, stage)].defined
	for len(rest) > 0 {
		var key, value []byte
		key, rest, _ = bytes.Cut(rest, []byte{0})
		value, rest, _ = bytes.Cut(rest, []byte{0})
		if n := len(key); n > 2 && key[0] == '{' && key[n-1] == '}' {
			key = key[1 : n-1]
		}
		if string(key) == name {
			return string(value)
		}
	}
	return ""
}

// get returns the latest definition of a macro that is not empty.
func (m *macros) get(name string) string {
	for i := len(stages) - 1; i >= 0; i-- {
		if v := m.at(stages[i], name); v != "" {
			return v
		}
	}
	return ""
}

// queueID returns the latest i macro that is not empty: Postfix has none before the second RCPT, Sendmail none at the end.
func (m *macros) queueID() string { return m.get("i") }

// clientAddr returns the client's address where CONNECT did not tell.
func (m *macros) clientAddr() netip.Addr {
	if addr := parseAddr(m.at(byte(milter.CodeConn), "client_addr")); addr.IsValid() {
		return addr
	}
	return bracketed(m.at(byte(milter.CodeConn), "_"))
}

// tls returns the encryption of the hop. Unset macros mean that there is none.
func (m *macros) tls() message.TLSInfo {
	info := message.TLSInfo{
		Version:     m.get("tls_version"),
		Cipher:      m.get("cipher"),
		CertSubject: m.get("cert_subject"),
		CertIssuer:  m.get("cert_issuer"),
	}
	if info.Version == "" {
		return message.TLSInfo{}
	}
	if bits, err := strconv.Atoi(m.get("cipher_bits")); err == nil && bits > 0 {
		info.Bits = bits
	}
	// Sendmail says so. Postfix has no such macro, and names the subject of trusted certificates only.
	verify := m.get("verify")
	postfix := strings.HasPrefix(m.get("v"), "Postfix")
	info.Verified = verify == "OK" || verify == "" && postfix && info.CertSubject != ""
	return info
}

// complete fills in the MTA knows beside the commands.
func (m *macros) complete(env *message.Envelope) {
	env.QueueID = m.queueID()
	env.TLS = m.tls()
	env.ReceiverMTA = m.get("j")
	env.Daemon = m.get("daemon_name")
	if !env.ClientIP.IsValid() {
		env.ClientIP = m.clientAddr()
	}
	if env.ClientName == "" {
		env.ClientName = m.at(byte(milter.CodeConn), "client_name")
	}
	if user := m.get("auth_authen"); user != "" {
		env.AuthUser, env.AuthMethod = user, m.get("auth_type")
	}
}
