package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"assay/rules"
)

// Quarantine says where quarantined mail is kept and who may have it.
type Quarantine struct {
	Mode             QuarantineMode
	Dir              string
	Mailbox          string
	ReleaseClass     rules.Release
	Retention        time.Duration
	Originals        time.Duration
	Audit            time.Duration
	TokenKeyFile     string
	Sendmail         string
	SMTP             string
	NotifyRecipients bool
	NotifySubject    bool
	NotifyEvery      time.Duration
	Contact          string
}

// A QuarantineMode says where quarantined mail is kept.
type QuarantineMode string

// The modes. The zero value is treated as QuarantineHold.
const (
	QuarantineHold    QuarantineMode = "hold"
	QuarantineStore   QuarantineMode = "store"
	QuarantineMailbox QuarantineMode = "mailbox"
)

// Stores reports whether the daemon keeps messages itself.
func (q Quarantine) Stores() bool { return q.Mode == QuarantineStore || q.Originals > 0 }

// quarantineRows are the keys about the quarantine.
func quarantineRows() []*key {
	at := func(c *Config) *Quarantine { return &c.Quarantine }
	return []*key{
		newSection("quarantine", "Mail that rules quarantine, and originals of mail that was changed: see assay quarantine."),
		newKey("quarantine.mode", choice(QuarantineHold, QuarantineStore, QuarantineMailbox), QuarantineHold,
			func(c *Config) *QuarantineMode { return &at(c).Mode },
			"Where quarantined mail is kept: hold, in the hold queue of Postfix or the quarantine of Sendmail's queue; store, in "+
				"quarantine.dir, before the MTA is told that it was taken, and what cannot be stored is deferred; mailbox, sent to "+
				"quarantine.mailbox with the envelope in PREFIX-Quarantine fields."),
		newKey("quarantine.dir", directory(), "/var/lib/assay/quarantine", func(c *Config) *string { return &at(c).Dir },
			"Directory of stored mail. It is made when it is needed; only Assay and root may enter it."),
		newKey("quarantine.mailbox", optional(mailbox()), "", func(c *Config) *string { return &at(c).Mailbox },
			"Address that gets quarantined mail in the mode mailbox."),
		newKey("quarantine.release_class", choice(rules.ReleaseUser, rules.ReleaseOperator, rules.ReleaseNever), rules.ReleaseOperator,
			func(c *Config) *rules.Release { return &at(c).ReleaseClass },
			"Who may release mail when the rule does not say so: user, its recipient for himself; operator; or never."),
		newKey("quarantine.retention", period(24*time.Hour, 3650*24*time.Hour), 30*24*time.Hour,
			func(c *Config) *time.Duration { return &at(c).Retention },
			"How long stored mail is kept. assay quarantine expire, which a timer calls, removes what is older."),
		newKey("quarantine.originals", period(0, 3650*24*time.Hour), 0, func(c *Config) *time.Duration { return &at(c).Originals },
			"How long the original of every message is kept whose text or attachments were changed. assay quarantine show --original "+
				"finds it by the hash in PREFIX-Result. What cannot be stored is deferred. 0 keeps none."),
		newKey("quarantine.audit", period(0, 3650*24*time.Hour), 365*24*time.Hour, func(c *Config) *time.Duration { return &at(c).Audit },
			"How long audit.log in quarantine.dir keeps who has looked at, released or deleted mail. 0 keeps it for good."),
		newKey("quarantine.token_key_file", optional(directory()), "", func(c *Config) *string { return &at(c).TokenKeyFile },
			"File with the key that tells released mail from mail that claims to be: 64 hexadecimal digits. Empty makes one in "+
				"quarantine.dir."),
		newKey("quarantine.sendmail", directory(), "/usr/sbin/sendmail", func(c *Config) *string { return &at(c).Sendmail },
			"Program that released mail is given to. It must hand the mail to an MTA that asks this milter (non_smtpd_milters in Postfix)."),
		newKey("quarantine.smtp", hostPort(), "", func(c *Config) *string { return &at(c).SMTP },
			"HOST:PORT of an SMTP server that released mail is given to instead. It must ask this milter."),
		newKey("quarantine.notify_recipients", boolean(), false, func(c *Config) *bool { return &at(c).NotifyRecipients },
			"Tell the recipients of quarantined mail. Rules may do so one by one: notify: recipients. Only recipients in "+
				"identity.domains are told, if it is set. notify.from and notify.smtp say how."),
		newKey("quarantine.notify_subject", boolean(), false, func(c *Config) *bool { return &at(c).NotifySubject },
			"Quote the subject of quarantined mail to its recipients."),
		newKey("quarantine.notify_every", duration(time.Minute, 7*24*time.Hour), time.Hour, func(c *Config) *time.Duration { return &at(c).NotifyEvery },
			"Shortest time between two notices to one recipient. What comes in between is told in one."),
		newKey("quarantine.contact", text(), "", func(c *Config) *string { return &at(c).Contact },
			"Who helps recipients, as the notice says it: the help desk, phone 4711. Empty is the administrator."),
	}
}

// mailbox reads one mail address.
func mailbox() scalar[string] {
	s := addresses()
	parse := s.parse
	s.parse = func(text string) (string, error) {
		address, err := parse(text)
		if err != nil || strings.Contains(address, ",") {
			return "", errors.New("is not one mail address such as quarantine@example.com")
		}
		return address, nil
	}
	return s
}

// day is what people count retention in.
const day = 24 * time.Hour

// period reads a span of time like duration does, or a number of days such as 30d.
func period(lowest, highest time.Duration) scalar[time.Duration] {
	s := duration(lowest, highest)
	parse := s.parse
	s.described = described("string", "pattern", `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$|^[0-9]+d$|^0$`)
	s.format = func(d time.Duration) any {
		if d > 0 && d%day == 0 {
			return fmt.Sprintf("%dd", d/day)
		}
		return showDuration(d)
	}
	s.parse = func(text string) (time.Duration, error) {
		days, found := strings.CutSuffix(text, "d")
		n, err := strconv.Atoi(days)
		switch {
		case !found || err != nil:
			return parse(text)
		case n < 0 || n > int(highest/day) || time.Duration(n)*day < lowest:
			return 0, fmt.Errorf("is out of range: %v to %v", s.format(lowest), s.format(highest))
		}
		return time.Duration(n) * day, nil
	}
	return s
}

// checkQuarantine reports what does not fit.
func (r *reader) checkQuarantine() {
	q := &r.config.Quarantine
	if _, set := r.origins["quarantine.audit"]; !set {
		q.Audit = max(q.Audit, q.Retention, q.Originals)
	}
	if longest := max(q.Retention, q.Originals); q.Audit > 0 && q.Audit < longest {
		r.at("quarantine.audit", "is shorter than mail is kept, %v: without it a rebuilt index would not know what was released", period(0, longest).format(longest))
	}
	switch {
	case q.Mode == QuarantineMailbox && q.Mailbox == "":
		r.at("quarantine.mode", "mailbox needs an address in quarantine.mailbox")
	case q.Mode != QuarantineMailbox && q.Mailbox != "":
		r.at("quarantine.mailbox", "has an effect only with quarantine.mode: mailbox")
	}
}
