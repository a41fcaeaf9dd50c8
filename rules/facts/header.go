package facts

import (
	"math"
	"strconv"
	"strings"

	"assay/verify"
	"assay/verify/authres"
)

// conn describes the connection.
func (f *Facts) conn() Conn {
	env := &f.in.Message.Envelope
	c := Conn{
		RDNS:          clientName(env.ClientName),
		IPRev:         result(f.in.Results.IPRev.Result),
		Helo:          bounded(env.Helo),
		TLS:           env.TLS.Version != "",
		TLSVersion:    bounded(env.TLS.Version),
		TLSCipher:     bounded(env.TLS.Cipher),
		TLSBits:       env.TLS.Bits,
		TLSClientCert: env.TLS.Verified,
		SASLUser:      bounded(env.AuthUser),
		Local:         env.Local,
		Daemon:        bounded(env.Daemon),
	}
	if env.ClientIP.IsValid() {
		c.IP = env.ClientIP.Unmap().WithZone("").String()
	}
	return c
}

// clientName is the name that the MTA gives the client. MTAs write "unknown", or the address in brackets, for none.
func clientName(name string) string {
	if strings.EqualFold(name, "unknown") || strings.HasPrefix(name, "[") {
		return ""
	}
	return canonical(bounded(name))
}

// result is the word for the outcome of a check, "none" for one that was not made.
func result(r authres.Result) string {
	if r == "" {
		return string(authres.None)
	}
	return string(r)
}

// The values of skipped.
const (
	skippedNot           = ""
	skippedAuthenticated = "authenticated"
	skippedNetwork       = "network"
	skippedLocal         = "local"
)

// skipped says in one word why the checks were not made.
func skipped(s verify.Skip) string {
	switch s {
	case "":
		return skippedNot
	case verify.SkipAuthenticated:
		return skippedAuthenticated
	case verify.SkipLocal:
		return skippedLocal
	}
	return skippedNetwork
}

// header is the text of the first field of a name.
func (f *Facts) header(name string) string { return oneLine(bounded(f.in.Message.Header.Text(name))) }

// headers are all fields by their name in lower case.
func (f *Facts) headers() map[string][]string {
	header := f.in.Message.Header
	out := make(map[string][]string, min(len(header), MaxHeaders))
	for i := range header {
		name := bounded(strings.ToLower(header[i].Name))
		values, known := out[name]
		if !known && len(out) == MaxHeaders || len(values) == MaxHeaders {
			continue
		}
		out[name] = append(values, bounded(header[i].Text()))
	}
	return out
}

// listID is the identifier of List-Id (RFC 2919) in lower case: what stands in the last angle brackets, else all.
func (f *Facts) listID() string {
	value := f.header("List-Id")
	if end := strings.LastIndexByte(value, '>'); end >= 0 {
		if start := strings.LastIndexByte(value[:end], '<'); start >= 0 {
			value = value[start+1 : end]
		}
	}
	return strings.ToLower(strings.TrimSpace(value))
}

// forwarded reports whether anything points to a forwarder or a mailing list. None of it is proof.
func (f *Facts) forwarded() bool {
	header := f.in.Message.Header
	for i := range header {
		if hasPrefixFold(header[i].Name, "List-") || hasPrefixFold(header[i].Name, "Resent-") || strings.EqualFold(header[i].Name, "ARC-Seal") {
			return true
		}
	}
	from := f.from().OrgDomain
	for _, s := range f.in.Results.DKIM {
		if s.Result == authres.Fail && from != "" && orgDomain(s.Domain) == from {
			return true
		}
	}
	return false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// autoSubmitted reports whether a program has written the message: Auto-Submitted (RFC 3834 Section 5) other than "no",
// the null reverse-path of a bounce, or Precedence as older programs use it.
func (f *Facts) autoSubmitted() bool {
	word, _, _ := strings.Cut(f.header("Auto-Submitted"), ";")
	if word = strings.TrimSpace(word); word != "" && !strings.EqualFold(word, "no") {
		return true
	}
	env := &f.in.Message.Envelope
	if env.MailFrom == "" && !env.Local {
		return true
	}
	return strings.EqualFold(f.header("Precedence"), "auto_reply")
}

// upstream reads what common spam filters write. Anybody can write these fields; whoever relies on them has the MTA
// remove foreign ones.
func (f *Facts) upstream() Upstream {
	u := Upstream{SpamFlag: strings.EqualFold(f.header("X-Spam-Flag"), "yes") || strings.EqualFold(f.header("X-Spam"), "yes")}
	for _, name := range []string{"X-Spam-Score", "X-Rspamd-Score"} {
		if score, ok := number(f.header(name)); ok {
			u.SpamScore = score
			return u
		}
	}
	// "Yes, score=12.3 required=5.0 tests=..."
	status := f.header("X-Spam-Status")
	if _, rest, found := strings.Cut(status, "score="); found {
		u.SpamScore, _ = number(rest)
	}
	return u
}

// number reads the decimal number that s begins with.
func number(s string) (float64, bool) {
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	n, err := strconv.ParseFloat(strings.TrimRight(s, ","), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, false
	}
	return n, true
}
