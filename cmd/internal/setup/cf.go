package setup

import (
	"regexp"
	"slices"
	"strings"
)

// A cf is what counts here of a sendmail.cf.
type cf struct {
	filters []filter
	input   []string // InputMailFilters, in their order
	daemons []string // DaemonPortOptions
	pidFile string
}

// A filter is an X line.
type filter struct{ name, socket string }

// option matches an O line with a long name.
var option = regexp.MustCompile(`^O\s*([A-Za-z][A-Za-z.]*)\s*=\s*(.*)$`)

// parseCF reads a sendmail.cf.
func parseCF(text []byte) cf {
	var c cf
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if name, rest, found := strings.Cut(line, ","); found && strings.HasPrefix(line, "X") {
			c.filters = append(c.filters, filter{strings.TrimSpace(name[1:]), equate(rest, "S")})
			continue
		}
		m := option.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch m[1] {
		case "InputMailFilters":
			c.input = listed(m[2])
		case "DaemonPortOptions":
			c.daemons = append(c.daemons, m[2])
		case "PidFile":
			c.pidFile = strings.TrimSpace(m[2])
		}
	}
	return c
}

// listed returns the names of a list.
func listed(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' })
}

// equate returns the value of an equate in a list of them, "" if it is not there.
func equate(list, name string) string {
	for word := range strings.SplitSeq(list, ",") {
		if key, value, ok := strings.Cut(word, "="); ok && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// named returns the name of the milter at one of some sockets that Sendmail asks for every mail, "" if it asks none.
func (c cf) named(sockets []string) string {
	for _, f := range c.filters {
		if slices.Contains(c.input, f.name) && slices.Contains(sockets, f.socket) {
			return f.name
		}
	}
	return ""
}

// effective returns the lines of a sendmail.cf that are no comments: those say when it was built.
func effective(text []byte) []string {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, " \t\r\n"); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// sense returns the SHA-256 of what a sendmail.cf says, apart from comments.
func sense(text []byte) string { return Hash([]byte(strings.Join(effective(text), "\n"))) }

// others returns the lines that only one of two texts has and that do not belong to milters, with a sign in front.
func others(before, after []byte) []string {
	count := map[string]int{}
	for _, line := range effective(after) {
		count[line]++
	}
	for _, line := range effective(before) {
		count[line]--
	}
	var differ []string
	for line, n := range count {
		if m := option.FindStringSubmatch(line); n == 0 || line[0] == 'X' || m != nil && (m[1] == "InputMailFilters" || strings.HasPrefix(m[1], "Milter.")) {
			continue
		}
		differ = append(differ, map[bool]string{true: "+", false: "-"}[n > 0]+line)
	}
	slices.Sort(differ)
	return differ
}

// withoutFilter returns a sendmail.cf without a milter: the lines of the others stay as they are.
func withoutFilter(text []byte, name string) []byte {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		m := option.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		switch {
		case strings.HasPrefix(line, "X"+name+","):
		case m != nil && m[1] == "InputMailFilters" && slices.Contains(listed(m[2]), name):
			if rest := slices.DeleteFunc(listed(m[2]), func(n string) bool { return n == name }); len(rest) > 0 {
				b.WriteString("O InputMailFilters=" + strings.Join(rest, ", ") + "\n")
			}
		default:
			b.WriteString(line)
		}
	}
	return []byte(b.String())
}
