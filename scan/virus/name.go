package virus

import "strings"

// maxName is how much of a signature's name is kept.
const maxName = 200

// Found returns the verdict for the name of a signature that matched. ClamAV reports by name what is no malware: that it
// could not open an encrypted file, that it has met a limit, that there are macros (clamd.conf(5), AlertEncrypted,
// AlertExceedsMax, AlertOLE2Macros). Any other name, PUA.* too, is malware; rules may look at the name. Signatures of third
// parties, whose names end in .UNOFFICIAL (perhaps with details of the file behind it), cannot borrow the meaning of a heuristic.
func Found(name string) Verdict {
	v := Verdict{Kind: Infected, Name: CleanName(name)}
	switch {
	case strings.Contains(name, ".UNOFFICIAL"):
	case strings.HasPrefix(name, "Heuristics.Encrypted."):
		v.Kind = Encrypted
	case strings.HasPrefix(name, "Heuristics.Limits.Exceeded"):
		v.Kind = Uninspectable
	case strings.HasPrefix(name, "Heuristics.OLE2.ContainsMacros"):
		v.Kind = Macros
	}
	return v
}

// CleanName makes what a scanner calls something fit for logs and headers: printable ASCII, not more than 200 octets, "?"
// for anything else, and "unnamed" for nothing.
func CleanName(s string) string {
	s = strings.TrimSpace(s[:min(len(s), maxName)])
	if s == "" {
		return "unnamed"
	}
	clean := []byte(s)
	for i, c := range clean {
		if c < ' ' || c > '~' {
			clean[i] = '?'
		}
	}
	return string(clean)
}
