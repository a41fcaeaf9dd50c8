package config

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"assay/rules"
)

// Shipped in Rules.Dirs stands for the rule set that comes with Assay.
const Shipped = "shipped"

// Where packages put rules. The set that comes with Assay is in the program; its copy at VendorRules is for reading, and
// naming it means the same when it is not there.
const (
	VendorRules = "/usr/share/assay/rules.d"
	LocalRules  = "/etc/assay/rules.d"
)

// Rules says where rule files are and how they are used.
type Rules struct {
	Dirs            []string
	State           string
	RunTests        bool
	SplitRecipients bool
	Time            time.Duration
}

// Scan configures the inspection of contents.
type Scan struct {
	HTML       HTML
	Templates  string
	Files      Files
	Virus      Virus
	Unscanned  Unscanned
	Decryption Decryption
}

// HTML says how HTML is made safe.
type HTML struct {
	Forms Forms
	Note  NoteWhen
}

// A Forms says what happens to forms in HTML.
type Forms string

// The treatments of forms. The zero value is treated as FormsRemove.
const (
	FormsRemove Forms = "remove"
	FormsKeep   Forms = "keep"
)

// A NoteWhen says when a changed message tells its reader so in its text.
type NoteWhen string

// When readers are told. The zero value is treated as NoteVisible.
const (
	NoteOff     NoteWhen = "off"
	NoteVisible NoteWhen = "visible" // when something was taken that the reader would have seen
	NoteAlways  NoteWhen = "always"
)

// Notify configures the channels of the action notify.
type Notify struct {
	Mail    map[string]string
	Webhook map[string]string
	From    string
	SMTP    string
}

// rulesRows are the keys about rules.
func rulesRows() []*key {
	return []*key{
		newSection("rules", "Rule files: see assay-rules(5)."),
		newKey("rules.dirs", list[string]{ruleDir()}, []string{Shipped, LocalRules}, func(c *Config) *[]string { return &c.Rules.Dirs },
			"Directories of rule files, in this order. The word shipped stands for the rules that come with Assay. The local "+
				"directory of the default may be missing; any other one must exist."),
		newKey("rules.state", directory(), "/var/lib/assay/rules", func(c *Config) *string { return &c.Rules.State },
			"Directory where activated rule sets are kept for rollback, and for a start with broken rule files."),
		newKey("rules.run_tests_on_reload", boolean(), true, func(c *Config) *bool { return &c.Rules.RunTests },
			"Run the tests beside the rules before a set is activated, and refuse it when one fails."),
		newKey("rules.split_recipients", boolean(), false, func(c *Config) *bool { return &c.Rules.SplitRecipients },
			"Answer 452 to recipients to whom other exceptions or recipient_groups apply than to the first one, so that the client "+
				"sends them a message of their own. Without it the strictest outcome of all recipients counts."),
		newKey("rules.time", duration(10*time.Millisecond, time.Minute), time.Second, func(c *Config) *time.Duration { return &c.Rules.Time },
			"How long all rules may take for one message. Rules that are left then count as failed."),
	}
}

// scanRows are the keys about the inspection of contents.
func scanRows() []*key {
	return []*key{
		newSection("scan", "Inspection of contents."),
		newKey("scan.templates", optional(directory()), "", func(c *Config) *string { return &c.Scan.Templates },
			"Directory with own texts for readers of changed messages: removed.en.txt in the place of an attachment, unsigned.en.txt in "+
				"that of a signature, note.en.txt and note.en.html at the top of a message, held.en.txt to the recipient of quarantined mail; likewise with de. They are templates of Go's "+
				"text/template. What is missing there is taken from Assay."),
		newSection("scan.html", "How HTML is made safe when a rule says strip_active_html."),
		newKey("scan.html.forms", choice(FormsRemove, FormsKeep), FormsRemove, func(c *Config) *Forms { return &c.Scan.HTML.Forms },
			"Forms in mail: remove, or keep."),
		newKey("scan.html.note", choice(NoteOff, NoteVisible, NoteAlways), NoteVisible, func(c *Config) *NoteWhen { return &c.Scan.HTML.Note },
			"A sentence at the top of a changed message that says what was changed: off; visible, when images or attachments were "+
				"taken that the reader would have seen; always, also when only scripts and the like went."),
	}
}

// notifyRows are the keys about notifications.
func notifyRows() []*key {
	return []*key{
		newSection("notify", "Channels that rules name in notify. A channel has recipients of mail, a webhook, or both."),
		newKey("notify.mail", table[string]{channel(), addresses()}, nil, func(c *Config) *map[string]string { return &c.Notify.Mail },
			"Recipients of mail by channel, separated by commas: {security: soc@example.com}."),
		newKey("notify.webhook", table[string]{channel(), webhook()}, nil, func(c *Config) *map[string]string { return &c.Notify.Webhook },
			"URL by channel that gets each notification as a JSON document by POST: {security: \"https://soc.example.com/assay\"}."),
		newKey("notify.from", optional(addresses()), "", func(c *Config) *string { return &c.Notify.From },
			"Address in From of notifications. Empty takes postmaster at the name of this host. The reverse-path is always empty."),
		newKey("notify.smtp", hostPort(), "127.0.0.1:25", func(c *Config) *string { return &c.Notify.SMTP },
			"HOST:PORT of the SMTP server that takes notifications."),
	}
}

// ruleDir reads the absolute path of a directory of rules, or the word for those that come with Assay.
func ruleDir() scalar[string] {
	s := directory()
	parse := s.parse
	s.described = described("string", "pattern", "^/|^"+Shipped+"$")
	s.parse = func(text string) (string, error) {
		if text == Shipped {
			return text, nil
		}
		path, err := parse(text)
		if err != nil {
			return "", fmt.Errorf("%w, nor the word %s", err, Shipped)
		}
		return path, nil
	}
	return s
}

// channel reads the name of a channel, as rules write it.
func channel() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		if text == "" || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errors.New("is not the name of a channel: use lower-case letters, digits, dashes and underscores")
		}
		if text == rules.Recipients {
			return "", errors.New("stands for the recipients of a message: choose another name")
		}
		return text, nil
	}}
}

// addresses reads mail addresses, separated by commas.
func addresses() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string"), parse: func(text string) (string, error) {
		parsed, err := mail.ParseAddressList(text)
		if err != nil {
			return "", errors.New("is not a mail address such as soc@example.com")
		}
		plain := make([]string, len(parsed))
		for i, a := range parsed {
			if strings.ContainsFunc(a.Address, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }) {
				return "", errors.New("is not a mail address in ASCII such as soc@example.com")
			}
			plain[i] = a.Address
		}
		return strings.Join(plain, ","), nil
	}}
}

// webhook reads the URL of a webhook.
func webhook() scalar[string] {
	return scalar[string]{format: plain[string], described: described("string", "format", "uri"), parse: func(text string) (string, error) {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return "", errors.New("is not a URL that begins with https:// or http://")
		}
		return text, nil
	}}
}
