package config

import "time"

// SMIME configures S/MIME (RFC 8551).
type SMIME struct {
	Roots          []string
	Intermediates  []string
	PublicRoots    bool
	DNEmail        DNEmail
	RequireEKU     bool
	Revocation     Revocation
	RevocationTime time.Duration
	Fetch          bool
	FetchHosts     []string
	Cache          string
	Harvest        string
}

// A Revocation says how revocation is asked for.
type Revocation string

// The modes of revocation. The zero value is treated as RevocationSoft.
const (
	RevocationOff  Revocation = "off"
	RevocationSoft Revocation = "soft"
	RevocationHard Revocation = "hard"
)

// A DNEmail says whether a mail address in the subject of a certificate counts.
type DNEmail string

// When the address in the subject counts. The zero value is treated as DNEmailPrivate.
const (
	DNEmailNever   DNEmail = "never"
	DNEmailPrivate DNEmail = "private"
	DNEmailAlways  DNEmail = "always"
)

// smimeRows are the keys about S/MIME.
func smimeRows() []*key {
	at := func(c *Config) *SMIME { return &c.Verify.SMIME }
	return []*key{
		newSection("verify.smime", "S/MIME signatures (RFC 8551). Certificates are judged as of the receipt of the message."),
		newKey("verify.smime.public_roots", boolean(), true, func(c *Config) *bool { return &at(c).PublicRoots },
			"Trust the certificate authorities that Mozilla trusts for e-mail. The list is part of Assay; the system's own list is "+
				"made for web servers."),
		newKey("verify.smime.roots", list[string]{directory()}, nil, func(c *Config) *[]string { return &at(c).Roots },
			"Files and directories of further root certificates (PEM or DER), such as those of the organization itself."),
		newKey("verify.smime.intermediates", list[string]{directory()}, nil, func(c *Config) *[]string { return &at(c).Intermediates },
			"Files and directories of intermediate certificates, for senders who leave theirs out. They are not trusted by "+
				"themselves."),
		newKey("verify.smime.dn_email", choice(DNEmailNever, DNEmailPrivate, DNEmailAlways), DNEmailPrivate,
			func(c *Config) *DNEmail { return &at(c).DNEmail },
			"Whether the mail address in the subject of a certificate without a subjectAltName counts: never; private, only under "+
				"roots of verify.smime.roots; or always."),
		newKey("verify.smime.require_eku", boolean(), true, func(c *Config) *bool { return &at(c).RequireEKU },
			"Ask of certificates under public roots that they say to be for e-mail (extended key usage)."),
		newKey("verify.smime.revocation", choice(RevocationOff, RevocationSoft, RevocationHard), RevocationSoft,
			func(c *Config) *Revocation { return &at(c).Revocation },
			"Ask whether certificates were revoked: off; soft, what cannot be known in time does not count; hard, what cannot be "+
				"known is temperror."),
		newKey("verify.smime.revocation_time", duration(100*time.Millisecond, 30*time.Second), 2*time.Second,
			func(c *Config) *time.Duration { return &at(c).RevocationTime },
			"How long a message waits for lists of revoked certificates and for missing intermediates. What comes later is used "+
				"for the next one."),
		newKey("verify.smime.fetch", boolean(), false, func(c *Config) *bool { return &at(c).Fetch },
			"Fetch missing intermediates and lists of revoked certificates by HTTP from the addresses that certificates name, of "+
				"public hosts only. Without it only what is in the message, in verify.smime.intermediates and in the cache is used."),
		newKey("verify.smime.fetch_hosts", list[string]{domain()}, nil, func(c *Config) *[]string { return &at(c).FetchHosts },
			"Hosts that may be asked. Empty allows those that certificates under trusted roots name."),
		newKey("verify.smime.cache", optional(directory()), "/var/lib/assay/smime", func(c *Config) *string { return &at(c).Cache },
			"Directory for what was fetched. Empty keeps it in memory only."),
		newKey("verify.smime.harvest", optional(directory()), "", func(c *Config) *string { return &at(c).Harvest },
			"Directory into which the certificates of verified signers are written, for an address book. Empty writes none."),
	}
}
