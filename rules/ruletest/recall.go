package ruletest

import (
	"net/mail"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"assay/verify/message"
)

// recall guesses the envelope of a stored message from the fields that MTAs add: Return-Path, Delivered-To and X-Original-To,
// and the topmost Received field that names a client which is not this host, in the forms that Postfix and Sendmail write.
// It is good enough to see what rules would do, and no more: anybody can have written fields below those of one's own MTA.
func recall(h message.Header, now time.Time) message.Envelope {
	env := message.Envelope{ReceivedAt: now, MailFrom: unbracket(clean(h.Text("Return-Path")))}
	for _, name := range []string{"X-Original-To", "Delivered-To"} {
		if to := unbracket(clean(h.Text(name))); to != "" {
			env.RcptTo = []string{to}
			break
		}
	}
	fields := 0
	dated := false
	for f := range h.All("Received") {
		if fields++; fields > maxReceived {
			break
		}
		text := f.Text()
		if at, ok := receivedAt(text); ok && !dated {
			env.ReceivedAt, dated = at, true
		}
		if hop(text, &env) {
			break
		}
	}
	return env
}

// maxReceived bounds the Received fields that are looked at.
const maxReceived = 20

// The parts of a Received field. The client is "from HELO (NAME [ADDRESS])".
var (
	clientPattern = regexp.MustCompile(`^from\s+(\S+)\s+\((?:HELO \S+ )?(?:[^()\s]+@)?([^()\s\[\]]*)\s*\[(?:IPv6:)?([0-9A-Fa-f.:]+)\]`)
	tlsPattern    = regexp.MustCompile(`(?:using |version=)(TLSv[0-9.]+|SSLv[0-9])\b(?:.{0,20}?cipher[ =]([A-Za-z0-9_-]+))?`)
	withPattern   = regexp.MustCompile(`\bwith (?:UTF8)?E?(?:SMTP|LMTP)SA?\b`)
	loginPattern  = regexp.MustCompile(`\(Authenticated sender: ([^()\s]+)`)
	forPattern    = regexp.MustCompile(`\bfor <([^<>\s]+)>`)
)

// hop reads the session from a Received field and reports whether it names a client that is not this host.
func hop(text string, env *message.Envelope) bool {
	found := clientPattern.FindStringSubmatch(text)
	if found == nil {
		return false
	}
	ip, err := netip.ParseAddr(found[3])
	if err != nil || ip.IsLoopback() {
		return false
	}
	env.Helo, env.ClientName, env.ClientIP = found[1], found[2], ip.Unmap()
	if tls := tlsPattern.FindStringSubmatch(text); tls != nil {
		env.TLS = message.TLSInfo{Version: tls[1], Cipher: tls[2]}
	} else if withPattern.MatchString(text) {
		env.TLS.Version = "TLS" // RFC 3848: some version of it
	}
	if login := loginPattern.FindStringSubmatch(text); login != nil {
		env.AuthUser = login[1]
	}
	if to := forPattern.FindStringSubmatch(text); to != nil && len(env.RcptTo) == 0 {
		env.RcptTo = []string{to[1]}
	}
	return true
}

// receivedAt returns the date of a Received field, which stands behind the last semicolon.
func receivedAt(text string) (time.Time, bool) {
	i := strings.LastIndexByte(text, ';')
	if i < 0 {
		return time.Time{}, false
	}
	at, err := mail.ParseDate(strings.TrimSpace(text[i+1:]))
	return at, err == nil
}

// clean takes blanks off an address.
func clean(s string) string { return strings.TrimSpace(s) }
