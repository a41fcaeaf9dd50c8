package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	mdns "github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// RFC 1035 Section 2.3.4: a label has at most 63 octets, and a name at most 255 on the wire, which are 253 as text
// without the final dot.
const (
	maxLabel = 63
	maxName  = 253
)

// maxULabelName bounds what is given to the IDNA mapping. No name that fits into 253 octets of A-labels is longer.
const maxULabelName = 4 * maxName

// lookupProfile maps U-labels to A-labels as RFC 5891 Section 5 does for lookups, with the mapping of UTS 46
// (non-transitional). Hyphens and ASCII characters are left to checkLabel, which knows underscores. It is a constant.
var lookupProfile = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false),
	idna.CheckJoiners(true),
	idna.BidiRule(),
)

// Canonical returns name in lower-case A-labels without the final dot, the form in which names are compared. U-labels
// are converted (RFC 5890, UTS 46). Labels consist of letters, digits, hyphens and underscores; everything else, an
// empty label, and a label or name that is too long are errors. An A-label that is none (RFC 5890 Section 2.3.1, "fake
// A-label") is a name like any other.
func Canonical(name string) (string, error) {
	s := name
	if !isASCII(s) {
		if len(s) > maxULabelName {
			return "", fmt.Errorf("dns: name of %d octets is too long", len(s))
		}
		if !utf8.ValidString(s) {
			return "", fmt.Errorf("dns: name %q is not UTF-8", s)
		}
		a, err := lookupProfile.ToASCII(s)
		if err != nil {
			return "", fmt.Errorf("dns: name %q has no A-labels: %w", s, err)
		}
		s = a
	}
	s = lower(strings.TrimSuffix(s, "."))
	if err := checkHost(s); err != nil {
		return "", fmt.Errorf("dns: name %s %w", quoteShort(name), err)
	}
	return s, nil
}

// quoteShort quotes a name of any length for an error.
func quoteShort(name string) string {
	if len(name) > maxName {
		return strconv.Quote(name[:maxName]) + "..."
	}
	return strconv.Quote(name)
}

// checkHost checks the lengths and characters of a name without final dot.
func checkHost(name string) error {
	if name == "" {
		return errors.New("is empty")
	}
	if len(name) > maxName {
		return fmt.Errorf("has %d octets", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

// checkLabel accepts letters, digits, hyphens and underscores. Where hyphens may stand is a rule for registering names
// (RFC 952), not for looking them up: names beginning with one exist.
func checkLabel(label string) error {
	if label == "" {
		return errors.New("has an empty label")
	}
	if len(label) > maxLabel {
		return fmt.Errorf("has a label of %d octets", len(label))
	}
	for i := 0; i < len(label); i++ {
		if !isHostOctet(label[i]) {
			return fmt.Errorf("has %q in a label", label[i:i+1])
		}
	}
	return nil
}

func isHostOctet(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_'
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// lower folds ASCII letters only (RFC 4343): other octets of a name are not text. It does not allocate for names that
// are in lower case.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// fold returns the form of a name under which its answers are remembered.
func fold(name string) string { return lower(strings.TrimSuffix(name, ".")) }

// Reverse returns the name under in-addr.arpa (RFC 1035 Section 3.5) or ip6.arpa (RFC 3596 Section 2.5) that holds the
// PTR records of addr, without the final dot. An IPv4-mapped IPv6 address is its IPv4 address. It returns "" for the
// zero Addr.
func Reverse(addr netip.Addr) string {
	addr = addr.Unmap()
	switch {
	case addr.Is4():
		a := addr.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", a[3], a[2], a[1], a[0])
	case addr.Is6():
		const digits = "0123456789abcdef"
		a := addr.As16()
		b := make([]byte, 0, 72)
		for i := len(a) - 1; i >= 0; i-- {
			b = append(b, digits[a[i]&15], '.', digits[a[i]>>4], '.')
		}
		return string(append(b, "ip6.arpa"...))
	}
	return ""
}

// present returns name, whose dots all separate labels, fully qualified and escaped as in a master file (RFC 1035
// Section 5.1), which is how the DNS library writes names. Every octet may stand in a label: the names that SPF macros
// make out of local parts are looked up as they are. It fails for a name that cannot exist.
func present(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if checkHost(name) == nil {
		return lower(name) + ".", nil
	}
	if name == "" || len(name) > maxName {
		return "", checkHost(name)
	}
	b := make([]byte, 0, len(name)+16)
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return "", checkLabel(label)
		}
		for i := 0; i < len(label); i++ {
			if isHostOctet(label[i]) {
				b = append(b, label[i])
			} else {
				b = append(b, '\\', '0'+label[i]/100, '0'+label[i]/10%10, '0'+label[i]%10)
			}
		}
		b = append(b, '.')
	}
	return normalize(string(b))
}

// normalize writes an escaped name the way the DNS library writes the names of a response, so that they can be compared.
func normalize(name string) (string, error) {
	wire := make([]byte, 256)
	n, err := mdns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		return "", errors.New("is not a domain name")
	}
	text, _, err := mdns.UnpackDomainName(wire[:n], 0)
	if err != nil {
		return "", errors.New("is not a domain name")
	}
	return lower(text), nil
}

// sameName compares two names as the DNS library writes them. They are ASCII: everything else is escaped.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// host returns a name of a response in lower case without the final dot. It reports false for one that no host can
// have: dots, blanks, control characters or 8-bit octets in a label have no place in addresses, headers and logs.
func host(name string) (string, bool) {
	s := fold(name)
	return s, checkHost(s) == nil
}
