package lookalike

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"
)

// maxDomain is the length of a domain name as text (RFC 1035 Section 2.3.4).
const maxDomain = 253

// Lengths of registrable labels, in characters of the skeleton, from which on a likeness says something.
const (
	minLabel      = 5  // shorter ones are one letter from everything
	minOtherTLD   = 8  // for a typing error that also has another suffix
	minTwoChanges = 12 // for two typing errors
)

// Confusable reports whether two domains, or two names, look the same without being the same: their skeletons are equal.
// Case, a final dot and the way in which a domain is encoded make no difference.
func Confusable(a, b string) bool {
	x, y := same(a), same(b)
	return x != y && x != "" && y != "" && Skeleton(strings.TrimSuffix(a, ".")) == Skeleton(strings.TrimSuffix(b, "."))
}

// same returns what two ways to write one name have in common.
func same(s string) string {
	s = strings.TrimSuffix(strings.TrimSpace(bound(s)), ".")
	return norm.NFKC.String(strings.ToLower(norm.NFKC.String(unicodeName(s))))
}

// Like reports whether a domain could be taken for one's own. It is false when both have the same organizational domain
// (by the public suffix list), when one is no domain name, and when nothing of the following holds. The registrable label
// is what stands before the public suffix: "example" of www.example.co.uk.
//
//   - The two look the same: Confusable, the whole domains or the organizational ones.
//   - The own organizational domain stands in front of another one: example.com.login.test, example-com.login.test.
//
// If the own registrable label has at least five characters also:
//
//   - It is the same, or looks the same, under another public suffix: example.net for example.com.
//   - It is a piece between hyphens: example-login.com, my-example.net.
//   - It is one typing error away, which is a letter too many, too few, wrong, or two that have changed places
//     (Damerau-Levenshtein distance, optimal string alignment); two errors if both have at least twelve characters. When
//     the suffix is another one too, both must have at least eight.
//
// Honest neighbours can be alike: example.net may well belong to somebody else of that name. Own domains under several
// suffixes are like each other as well; who keeps a list asks first whether the domain is on it.
func Like(domain, own string) bool { return Parse(domain).Like(Parse(own)) }

// Like reports what the function Like does, for domains that are compared with many others.
func (a Domain) Like(b Domain) bool {
	if a.org == "" || b.org == "" || a.org == b.org {
		return false
	}
	// Different organizational domains of the same form are confusable when their skeletons are equal.
	if a.orgSkeleton == b.orgSkeleton || a.wholeSkeleton == b.wholeSkeleton || a.carries(b) {
		return true
	}
	if utf8.RuneCountInString(b.skeleton) < minLabel {
		return false
	}
	return a.skeleton == b.skeleton || a.hasPiece(b) || a.isNear(b)
}

// A Domain is a domain name, taken apart by the public suffix list. The zero value is like no other.
type Domain struct {
	whole         string // A-labels, lower case, no final dot
	org           string // organizational domain, "" if there is none
	suffix        string // public suffix
	skeleton      string // of what is before it in org
	orgSkeleton   string
	wholeSkeleton string
}

// Parse takes a domain name apart. What is none gives the zero Domain.
func Parse(name string) Domain {
	name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
	if len(name) > 4*maxDomain {
		return Domain{}
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil {
		ascii = name // a name with "_" or hyphens in the third and fourth place is one for the DNS
	}
	if len(ascii) > maxDomain {
		return Domain{}
	}
	org, err := publicsuffix.EffectiveTLDPlusOne(ascii)
	if err != nil {
		return Domain{}
	}
	label, suffix, _ := strings.Cut(org, ".")
	d := Domain{whole: ascii, org: org, suffix: suffix, skeleton: Skeleton(label), orgSkeleton: Skeleton(org)}
	d.wholeSkeleton = d.orgSkeleton
	if front := strings.TrimSuffix(ascii, org); front != "" {
		d.wholeSkeleton = Skeleton(ascii)
	}
	return d
}

// carries reports whether the organizational domain of own stands in front of the one of d, as labels or as one label with
// hyphens.
func (d Domain) carries(own Domain) bool {
	front := "." + strings.TrimSuffix(d.whole, d.org)
	return strings.Contains(front, "."+own.org+".") ||
		strings.Contains("."+d.whole, "."+strings.ReplaceAll(own.org, ".", "-")+".")
}

// hasPiece reports whether the label of own is a piece between the hyphens of d's.
func (d Domain) hasPiece(own Domain) bool {
	return strings.Contains(d.skeleton, "-") && strings.Contains("-"+d.skeleton+"-", "-"+own.skeleton+"-")
}

// isNear reports whether the labels are a few typing errors apart.
func (d Domain) isNear(own Domain) bool {
	a, b := []rune(d.skeleton), []rune(own.skeleton)
	least, allowed := min(len(a), len(b)), 1
	if least >= minTwoChanges {
		allowed = 2
	}
	if least < minLabel-1 || d.suffix != own.suffix && least < minOtherTLD {
		return false
	}
	return distance(a, b, allowed) <= allowed
}

// distance is the Damerau-Levenshtein distance (optimal string alignment), or more than limit. Labels have at most 63
// characters, so quadratic time is little.
func distance(a, b []rune, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
