package rules

// names are the words for the dispositions in rule files, logs and headers, indexed by Disposition.
var names = [...]string{Defer: "defer", Deliver: "deliver", Junk: "junk", Quarantine: "quarantine", Reject: "reject"}

// String returns the word for d. An unknown value reads as what it is treated as.
func (d Disposition) String() string {
	if d < 0 || int(d) >= len(names) {
		return names[Defer]
	}
	return names[d]
}

// MarshalText implements encoding.TextMarshaler.
func (d Disposition) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Strictness orders the dispositions: deliver < junk < defer < quarantine < reject.
func (d Disposition) Strictness() int {
	switch d {
	case Deliver:
		return 0
	case Junk:
		return 1
	case Quarantine:
		return 3
	case Reject:
		return 4
	default:
		return 2
	}
}

// Stricter returns the stricter of two dispositions.
func Stricter(a, b Disposition) Disposition {
	if b.Strictness() > a.Strictness() {
		return b
	}
	return a
}
