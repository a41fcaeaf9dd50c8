package rtf

import "strings"

// Remote reports whether a program that loads from this address would leave the machine: over the network, by a path that
// names another machine (UNC), or through the handler of a scheme. A drive, a path and what is inside of the document are
// local.
func Remote(address string) bool {
	address = strings.ToLower(strings.Trim(address, " \t\r\n\"\x00"))
	address = strings.ReplaceAll(address, `\`, "/")
	if strings.HasPrefix(address, "//") {
		return remoteHost(strings.TrimLeft(address, "/"))
	}
	scheme, rest, ok := strings.Cut(address, ":")
	if !ok || len(scheme) < 2 || !isScheme(scheme) {
		return false // relative, or a drive
	}
	switch scheme {
	case "file":
		return remoteFile(rest)
	case "mailto", "tel", "sms", "cid", "mid", "data", "about", "urn", "news", "callto", "sip", "wordml", "excelml":
		return false
	case "javascript", "vbscript":
		return true
	}
	return !strings.HasPrefix(scheme, "vnd.sun.star.") && !strings.HasPrefix(rest, "embedded:")
}

// Protocol reports whether an address starts a program by its scheme, as Follina did: ms-msdt and its kin, search-ms, and
// MHTML, which wraps another address.
func Protocol(address string) bool {
	scheme, _, _ := strings.Cut(strings.ToLower(strings.TrimLeft(address, " \t\r\n\"\x00")), ":")
	switch scheme {
	case "mhtml", "search", "search-ms", "script", "scriptlet", "its", "ms-its", "mk", "shell", "vbscript", "javascript", "hcp", "res":
		return true
	}
	return isScheme(scheme) && strings.HasPrefix(scheme, "ms-")
}

// isScheme reports whether s is written as a scheme (RFC 3986 Section 3.1).
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c < 'a' || c > 'z' {
			if i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
				return false
			}
		}
	}
	return s != ""
}

// remoteFile reports whether the rest of a file URL (RFC 8089, Appendix E.3) names another machine.
func remoteFile(rest string) bool {
	path := strings.TrimLeft(rest, "/")
	switch len(rest) - len(path) {
	case 0, 1, 3:
		return false
	}
	return remoteHost(path)
}

// remoteHost reports whether a path that begins with the name of a machine is on another one.
func remoteHost(path string) bool {
	path = strings.TrimPrefix(path, "?/unc/")
	host, _, _ := strings.Cut(path, "/")
	switch {
	case host == "", host == "localhost", host == "127.0.0.1", host == "?", host == ".":
		return false
	case len(host) == 2 && (host[1] == ':' || host[1] == '|'): // a drive
		return false
	}
	return true
}
