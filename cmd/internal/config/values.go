package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"assay/milter"
	"assay/verify/authres"
	"assay/verify/dns"
)

// listener reads the address of a milter socket.
func listener() scalar[milter.ListenAddress] {
	return scalar[milter.ListenAddress]{parse: parseListener, format: shown[milter.ListenAddress], described: described("string",
		"pattern", "^(inet:|inet6:|(unix|local):/|fd:).+$")}
}

// parseListener reads inet:HOST:PORT, inet6:[HOST]:PORT, unix:PATH or fd:NAME.
func parseListener(text string) (milter.ListenAddress, error) {
	l, err := milter.ParseListen(text)
	if err == nil {
		return l, nil
	}
	if inner := errors.Unwrap(err); inner != nil { // without the text, which is shown already
		err = inner
	}
	hint := ""
	if host, err := checkHostPort(text); err == nil && host != "" {
		hint = fmt.Sprintf(" (did you mean \"inet:%s\"?)", text)
		if strings.Contains(host, ":") {
			hint = fmt.Sprintf(" (did you mean \"inet6:%s\"?)", text)
		}
	}
	return l, fmt.Errorf("is not a listener: %w%s", err, hint)
}

// checkHostPort splits HOST:PORT and checks the port.
func checkHostPort(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", errors.New("is not HOST:PORT (an IPv6 address is written in brackets)")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return "", errors.New("has no valid port: 0 to 65535")
	}
	return host, nil
}

// hostPort reads HOST:PORT; "" switches the key off.
func hostPort() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		if text == "" {
			return "", nil
		}
		_, err := checkHostPort(text)
		return text, err
	}}
}

// server reads the address of a DNS server: an IP address, with or without a port.
func server() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		if ip, err := netip.ParseAddr(text); err == nil {
			return net.JoinHostPort(ip.String(), "53"), nil
		}
		ap, err := netip.ParseAddrPort(text)
		if err != nil || ap.Port() == 0 {
			return "", errors.New("is not the address of a DNS server: write IP or IP:PORT, not a name")
		}
		return ap.String(), nil
	}}
}

// prefix reads a network in CIDR notation; an address alone is a network of one.
func prefix() scalar[netip.Prefix] {
	return scalar[netip.Prefix]{parse: parsePrefix, format: shown[netip.Prefix], described: described("string")}
}

// parsePrefix reads a network in CIDR notation.
func parsePrefix(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, errors.New("is not a network such as 192.0.2.0/24 or 2001:db8::/32")
	}
	if p.Addr().Is4In6() {
		return p, errors.New("is an IPv4 network in IPv6 notation: write it as IPv4")
	}
	if p != p.Masked() {
		return p, fmt.Errorf("has address bits behind the prefix (did you mean %q?)", p.Masked())
	}
	return p, nil
}

// domain reads a domain name and returns it as lower-case A-labels.
func domain() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		name, err := dns.Canonical(text)
		if err != nil || name == "" {
			return "", errors.New("is not a domain name")
		}
		return name, nil
	}}
}

// authservID reads an authserv-id; "" stands for the name the MTA gives itself.
//
// A version number or a name without a dot makes common readers of the header trust forged ones.
func authservID() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string", "pattern", `^$|^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$`), parse: func(text string) (string, error) {
		if text == "" {
			return "", nil
		}
		if name, version, found := strings.Cut(text, " "); found && isDigits(strings.TrimSpace(version)) {
			return "", fmt.Errorf("must not carry a version number (did you mean %q?)", name)
		}
		name, ok := authres.CanonicalID(text)
		switch {
		case ok:
			return name, nil
		case !strings.Contains(text, "."):
			return "", errors.New("must be a full host name with a dot, such as mx.example.com")
		}
		return "", errors.New("is not a host name such as mx.example.com")
	}}
}

// isDigits says whether text is a non-empty run of digits.
func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// headerPrefix reads the beginning of the names of our own header fields.
func headerPrefix() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string", "pattern", "^X-[A-Za-z0-9]+(-[A-Za-z0-9]+)*$"), parse: func(text string) (string, error) {
		rest, found := strings.CutPrefix(text, "X-")
		word := func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}
		if !found || rest == "" || len(text) > 40 || strings.ContainsFunc(rest, word) || strings.HasSuffix(rest, "-") {
			return "", errors.New("is not the beginning of a header field name such as X-Assay")
		}
		return text, nil
	}}
}

// text reads any word.
func text() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", errors.New("holds control characters")
		}
		return text, nil
	}}
}

// directory reads the absolute path of a directory.
func directory() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string", "pattern", "^/"), parse: func(text string) (string, error) {
		if !strings.HasPrefix(text, "/") {
			return "", errors.New("is not an absolute path")
		}
		return text, nil
	}}
}

// boolean reads true or false.
func boolean() scalar[bool] {
	return scalar[bool]{format: plain[bool], described: described("boolean"), parse: func(text string) (bool, error) {
		switch strings.ToLower(text) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		case "yes", "on", "y":
			return false, errors.New("is not true or false (did you mean true?)")
		case "no", "off", "n":
			return false, errors.New("is not true or false (did you mean false?)")
		}
		return false, errors.New("is not true or false")
	}}
}

// integer reads a whole number from lowest to highest.
func integer(lowest, highest int) scalar[int] {
	return scalar[int]{
		format:    func(n int) any { return int64(n) },
		described: described("integer", "minimum", lowest, "maximum", highest),
		parse: func(text string) (int, error) {
			n, err := strconv.Atoi(text)
			if err != nil {
				return 0, errors.New("is not a whole number")
			}
			if n < lowest || n > highest {
				if lowest == highest {
					return 0, fmt.Errorf("is not %d", lowest)
				}
				return 0, fmt.Errorf("is out of range: %d to %d", lowest, highest)
			}
			return n, nil
		},
	}
}

// duration reads a span of time with a unit, from lowest to highest.
func duration(lowest, highest time.Duration) scalar[time.Duration] {
	return scalar[time.Duration]{
		format:    func(d time.Duration) any { return showDuration(d) },
		described: described("string", "pattern", `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$|^0$`),
		parse: func(text string) (time.Duration, error) {
			d, err := time.ParseDuration(text)
			switch {
			case err != nil && isDigits(text):
				return 0, fmt.Errorf("lacks a unit (did you mean \"%ss\"?)", text)
			case err != nil:
				return 0, errors.New("is not a duration such as 500ms, 5s, 2m or 1h")
			case d < lowest || d > highest:
				return 0, fmt.Errorf("is out of range: %s to %s", showDuration(lowest), showDuration(highest))
			}
			return d, nil
		},
	}
}

// showDuration writes a duration without zero units: "2m" and not "2m0s".
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// size reads a number of octets such as 64MiB, from lowest to highest.
func size(lowest, highest int64) scalar[int64] {
	return scalar[int64]{
		format: func(n int64) any { return showSize(n) },
		described: map[string]any{"oneOf": []any{
			described("string", "pattern", "^[0-9]+(B|KiB|MiB|GiB)$"), described("integer", "minimum", lowest, "maximum", highest)}},
		parse: func(text string) (int64, error) {
			n, err := parseSize(text)
			if err != nil {
				return 0, err
			}
			if n < lowest || n > highest {
				return 0, fmt.Errorf("is out of range: %s to %s", showSize(lowest), showSize(highest))
			}
			return n, nil
		},
	}
}

// A unit is a unit of size.
type unit struct {
	name   string
	octets int64
}

// units returns the units of size, largest first.
func units() []unit {
	return []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
}

// parseSize reads a number of octets with a unit; a number alone counts octets.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BbKkMmGgIi ")
	name := strings.TrimSpace(text[len(digits):])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, errors.New("is not a size such as 512KiB, 64MiB or 1GiB")
	}
	for _, u := range units() {
		if name == u.name || name == "" && u.octets == 1 {
			if n > math.MaxInt64/u.octets {
				return 0, errors.New("is too large")
			}
			return n * u.octets, nil
		}
	}
	for _, u := range units() {
		if strings.EqualFold(name[:1], u.name[:1]) {
			return 0, fmt.Errorf("has an unknown unit (did you mean \"%d%s\"?)", n, u.name)
		}
	}
	return 0, errors.New("has an unknown unit: B, KiB, MiB or GiB")
}

// showSize writes a number of octets in the largest unit that is exact.
func showSize(n int64) string {
	for _, u := range units() {
		if n != 0 && n%u.octets == 0 {
			return strconv.FormatInt(n/u.octets, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// fileMode reads octal permission bits.
func fileMode() scalar[uint32] {
	return scalar[uint32]{
		format: func(m uint32) any { return fmt.Sprintf("%04o", m) },
		described: map[string]any{"oneOf": []any{
			described("string", "pattern", "^0?[0-7]{3}$"), described("integer")}},
		parse: func(text string) (uint32, error) {
			m, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
			if err != nil || m > 0o777 {
				return 0, errors.New("is not an octal file mode such as 0660")
			}
			if m&0o600 != 0o600 {
				return 0, errors.New("takes the socket away from Assay itself: the mode must contain 0600")
			}
			return uint32(m), nil
		},
	}
}

// choice reads one of a few words.
func choice[T ~string](words ...T) scalar[T] {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	return scalar[T]{
		format:    func(w T) any { return string(w) },
		described: described("string", "enum", names),
		parse: func(text string) (T, error) {
			if i := slices.Index(names, text); i >= 0 {
				return words[i], nil
			}
			if len(names) == 1 {
				return "", fmt.Errorf("is not %s, the only choice", names[0])
			}
			named := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" }) // not set has no name
			return "", fmt.Errorf("is not one of %s%s", strings.Join(named, ", "), DidYouMean(text, named))
		},
	}
}

// described builds a JSON Schema from a type and pairs of keyword and value.
func described(kind string, pairs ...any) map[string]any {
	schema := map[string]any{"type": kind}
	for i := 0; i+1 < len(pairs); i += 2 {
		schema[pairs[i].(string)] = pairs[i+1]
	}
	return schema
}

// plain shows a value as it is.
func plain[T any](v T) any { return v }

// shown shows a value by its String method.
func shown[T fmt.Stringer](v T) any { return v.String() }
