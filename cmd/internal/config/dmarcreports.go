package config

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"

	"assay/verify/dmarc/report"
	"assay/verify/dns"
)

// DMARCReports configures the aggregate reports to domain owners (RFC 9990).
type DMARCReports struct {
	Send         bool
	From         string
	Organization string
	Contact      string
	SMTP         string
	Dir          string
	Retention    time.Duration
	Exclude      []string
	Selector     string
	KeyFile      string
}

// dmarcReportRows are the keys about aggregate reports.
func dmarcReportRows() []*key {
	at := func(c *Config) *DMARCReports { return &c.Verify.DMARC.Reports }
	return []*key{
		newSection("verify.dmarc.reports", "Aggregate reports to the owners of domains (RFC 9990): once a day, how many messages with their domain in From "+
			"came from which address, and whether they passed. They name no person and no recipient. assay dmarc send, which a timer calls, sends them."),
		newKey("verify.dmarc.reports.send", boolean(), false, func(c *Config) *bool { return &at(c).Send },
			"Collect results and send reports to domains that ask for them. Whether to do so is for the institution to decide "+
				"(APP.5.3.A9)."),
		newKey("verify.dmarc.reports.from", optional(mailbox()), "", func(c *Config) *string { return &at(c).From },
			"Address that reports come from, in From and in the envelope, such as dmarc-reports@example.com. Somebody should read what "+
				"comes back; mail to it is not reported about. The reports must pass DMARC themselves: the domain needs SPF for this host, or a key below."),
		newKey("verify.dmarc.reports.organization", text(), "", func(c *Config) *string { return &at(c).Organization },
			"Name of the organization that reports. Empty takes the domain of from."),
		newKey("verify.dmarc.reports.contact", text(), "", func(c *Config) *string { return &at(c).Contact },
			"How else to get in touch, such as a URL."),
		newKey("verify.dmarc.reports.smtp", hostPort(), "127.0.0.1:25", func(c *Config) *string { return &at(c).SMTP },
			"HOST:PORT of the SMTP server that takes reports."),
		newKey("verify.dmarc.reports.dir", directory(), "/var/lib/assay/dmarc", func(c *Config) *string { return &at(c).Dir },
			"Directory of the results that wait for their report. It is made when it is needed."),
		newKey("verify.dmarc.reports.retention", period(day, 90*day), 3*day, func(c *Config) *time.Duration { return &at(c).Retention },
			"How long results are kept after the day they are about, whether the report could be sent or not."),
		newKey("verify.dmarc.reports.exclude", list[string]{destination()}, nil, func(c *Config) *[]string { return &at(c).Exclude },
			"Who gets no reports although a record asks for it: mail addresses, domains of addresses with everything below, and "+
				"policy domains. assay dmarc suppress does the same without a reload."),
		newKey("verify.dmarc.reports.selector", optional(selector()), "", func(c *Config) *string { return &at(c).Selector },
			"Selector of the key that reports are signed with (DKIM), for the domain of from. Empty leaves signing to the MTA."),
		newKey("verify.dmarc.reports.key_file", optional(directory()), "", func(c *Config) *string { return &at(c).KeyFile },
			"Private key in PEM (PKCS #1 or PKCS #8): RSA of at least 2048 bits, or Ed25519. The user that Assay runs as must be able to "+
				"read it, and everybody must not."),
	}
}

// destination reads a mail address or a domain.
func destination() scalar[string] {
	address := mailbox()
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		if strings.Contains(text, "@") {
			return address.parse(text)
		}
		name, err := dns.Canonical(text)
		if err != nil || name == "" {
			return "", errors.New("is neither a mail address nor a domain")
		}
		return name, nil
	}}
}

// Domain returns the domain that reports come from.
func (d DMARCReports) Domain() string {
	return strings.ToLower(d.From[strings.LastIndexByte(d.From, '@')+1:])
}

// Key reads the key that reports are signed with, nil if the MTA signs.
func (d DMARCReports) Key() (crypto.Signer, error) {
	if d.KeyFile == "" {
		return nil, nil
	}
	key, err := readKey(d.KeyFile)
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case ed25519.PrivateKey:
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, fmt.Errorf("%s: an RSA key of %d bits; receivers want 2048", d.KeyFile, k.N.BitLen())
		}
	default:
		return nil, fmt.Errorf("%s: %T is neither an RSA nor an Ed25519 key", d.KeyFile, key)
	}
	return key, nil
}

// checkReports reports what is missing.
func (r *reader) checkReports() {
	d := r.config.Verify.DMARC.Reports
	if d.Send && d.From == "" {
		r.at("verify.dmarc.reports.send", "needs an address in verify.dmarc.reports.from")
	}
	switch {
	case d.From != "" && !strings.Contains(d.Domain(), "."):
		r.at("verify.dmarc.reports.from", "must have a domain with a dot, such as dmarc-reports@example.com")
	case d.From != "" && len(report.Addresses([]string{"mailto:" + d.From})) == 0:
		r.at("verify.dmarc.reports.from", "is not an address that every receiver takes; use letters, digits, dots and dashes")
	}
	switch {
	case d.Selector != "" && d.KeyFile == "":
		r.at("verify.dmarc.reports.selector", "has an effect only together with verify.dmarc.reports.key_file")
	case d.Selector == "" && d.KeyFile != "":
		r.at("verify.dmarc.reports.key_file", "has an effect only together with verify.dmarc.reports.selector")
	}
}

// warnReports reports what is wrong with the key on this system.
func (r *reader) warnReports() {
	if _, err := r.config.Verify.DMARC.Reports.Key(); err != nil {
		r.at("verify.dmarc.reports.key_file", "%v", err)
	}
}
