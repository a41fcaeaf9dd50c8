package sealed

import "assay/scan/container"

// Reads implements container.Reader.
func (OpenPGP) Reads(*container.File) bool { return false }

// Read implements container.Reader.
func (OpenPGP) Read(*container.File, func(container.Member) bool) container.Verdict {
	return container.Verdict{}
}

// Reads implements container.Reader.
func (CMS) Reads(*container.File) bool { return false }

// Read implements container.Reader.
func (CMS) Read(*container.File, func(container.Member) bool) container.Verdict {
	return container.Verdict{}
}

// Reads implements container.Reader.
func (PKCS12) Reads(*container.File) bool { return false }

// Read implements container.Reader.
func (PKCS12) Read(*container.File, func(container.Member) bool) container.Verdict {
	return container.Verdict{}
}

// Reads implements container.Reader.
func (Other) Reads(*container.File) bool { return false }

// Read implements container.Reader.
func (Other) Read(*container.File, func(container.Member) bool) container.Verdict {
	return container.Verdict{}
}

// Reads implements container.Reader.
func (HTML) Reads(*container.File) bool { return false }

// Read implements container.Reader.
func (HTML) Read(*container.File, func(container.Member) bool) container.Verdict {
	return container.Verdict{}
}

// Reads implements container.Reader.
func (Entropy) Reads(*container.File) bool { return false }

// Read implements container.Reader.
func (Entropy) Read(*container.File, func(container.Member) bool) container.Verdict {
	return container.Verdict{}
}

// Inline reports whether a text carries an encrypted OpenPGP message in ASCII armor, and how that is encrypted. Armor
// begins a line: what a reply quotes does not count.
func Inline([]byte) (found bool, method string) { return false, "" }
