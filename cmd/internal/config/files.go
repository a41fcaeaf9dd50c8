package config

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"time"
)

// Files says how attachments are opened.
type Files struct {
	Workers       int
	WorkerMemory  int64
	WorkerTime    time.Duration
	Memory        int64
	Depth         int
	Members       int
	Octets        int64
	Member        int64
	Ratio         int
	Passwords     []string // of the command line
	PasswordsFile string
	Guesses       int
}

// Virus says which virus scanners are asked.
type Virus struct {
	Clamd       []string
	ICAP        []string
	Mode        VirusMode
	Timeout     time.Duration
	Connections int
	MaxSize     int64
	OnError     OnVirusError
}

// A VirusMode says which of several scanners are asked.
type VirusMode string

// The modes. The zero value is treated as VirusFirst.
const (
	VirusFirst VirusMode = "first"
	VirusAll   VirusMode = "all"
)

// An OnVirusError says what happens to mail about which no scanner has answered.
type OnVirusError string

// What happens without an answer. The zero value is treated as OnVirusDefer.
const (
	OnVirusDefer   OnVirusError = "defer"
	OnVirusDeliver OnVirusError = "deliver"
)

// Unscanned holds the decisions about what nobody can look into, by class.
type Unscanned struct {
	Archive, Document, PDF, OpenPGP, SMIME, Other, Uninspectable Handling
}

// A Class is a class of what nobody can look into, and what was decided about it.
type Class struct {
	Name     string // as in the key
	Handling Handling
}

// Classes returns the decisions in the order of the configuration.
func (u Unscanned) Classes() []Class {
	return []Class{
		{"archive", u.Archive}, {"document", u.Document}, {"pdf", u.PDF}, {"openpgp", u.OpenPGP}, {"smime", u.SMIME}, {"other", u.Other},
		{"uninspectable", u.Uninspectable},
	}
}

// A Handling says what happens to a message. The zero value is Undecided.
type Handling string

// The ways to handle a message.
const (
	Undecided        Handling = ""
	HandleRules      Handling = "rules"
	HandleDeliver    Handling = "deliver"
	HandleTag        Handling = "tag"
	HandleRemove     Handling = "remove"
	HandleQuarantine Handling = "quarantine"
	HandleReject     Handling = "reject"
)

// Decryption says which S/MIME mail the gateway may open.
type Decryption struct {
	Keys    []string
	Deliver DecryptedForm
}

// A DecryptedForm says what is delivered of a message that was opened.
type DecryptedForm string

// What is delivered. The zero value is treated as DeliverOriginal.
const (
	DeliverOriginal DecryptedForm = "original"
	DeliverOpened   DecryptedForm = "opened"
)

// fileRows are the keys about attachments.
func fileRows() []*key {
	at := func(c *Config) *Files { return &c.Scan.Files }
	return []*key{
		newSection("scan.files", "How attachments are opened. Each file is opened in a process of its own without files and network. A "+
			"file that exceeds a limit is uninspectable; it is never called clean."),
		newKey("scan.files.workers", integer(0, 256), 0, func(c *Config) *int { return &at(c).Workers },
			"Processes that open files at a time. 0 takes one per processor."),
		newKey("scan.files.worker_memory", size(128<<20, 4<<30), 256<<20, func(c *Config) *int64 { return &at(c).WorkerMemory },
			"Memory that such a process may use."),
		newKey("scan.files.worker_time", duration(100*time.Millisecond, 5*time.Minute), 10*time.Second,
			func(c *Config) *time.Duration { return &at(c).WorkerTime },
			"How long one file may take. Of the processor it may use a second, and a quarter of a second for each MiB."),
		newKey("scan.files.memory", size(16<<20, 16<<30), 256<<20, func(c *Config) *int64 { return &at(c).Memory },
			"Memory that files of all messages together may use in the daemon while they are opened; others wait."),
		newKey("scan.files.depth", integer(1, 64), 8, func(c *Config) *int { return &at(c).Depth },
			"Files inside of each other."),
		newKey("scan.files.members", integer(1, 100000), 2000, func(c *Config) *int { return &at(c).Members },
			"Files inside of all attachments of a message together."),
		newKey("scan.files.octets", size(1<<20, 16<<30), 200<<20, func(c *Config) *int64 { return &at(c).Octets },
			"What may be unpacked of all attachments of a message together."),
		newKey("scan.files.member", size(1<<20, 2<<30), 64<<20, func(c *Config) *int64 { return &at(c).Member },
			"Size of one file, as an attachment or inside of one."),
		newKey("scan.files.ratio", integer(10, 100000), 200, func(c *Config) *int { return &at(c).Ratio },
			"How many times larger than packed a file of more than 20 MiB may become."),
		newKey("scan.files.passwords_file", optional(directory()), "", func(c *Config) *string { return &at(c).PasswordsFile },
			"File with passwords, one per line, that are tried on encrypted files, only to look inside; read at start and on reload. They "+
				"appear in no log."),
		newKey("scan.files.guesses", integer(0, 100), 20, func(c *Config) *int { return &at(c).Guesses },
			"Passwords that are taken from the text of a message, where people write them. 0 switches that off."),
	}
}

// virusRows are the keys about virus scanners.
func virusRows() []*key {
	at := func(c *Config) *Virus { return &c.Scan.Virus }
	return []*key{
		newSection("scan.virus", "Virus scanners. They are given the whole message, and everything that Assay finds inside of it by "+
			"itself. None is asked unless clamd or icap is set."),
		newKey("scan.virus.clamd", list[string]{scanner("unix", "tcp")}, nil, func(c *Config) *[]string { return &at(c).Clamd },
			"Where ClamAV's clamd listens: unix:/run/clamav/clamd.ctl or tcp:HOST:3310, one or several. StreamMaxLength in "+
				"clamd.conf should be at least limits.message, and AlertExceedsMax yes, so that clamd says what it has not looked at."),
		newKey("scan.virus.icap", list[string]{scanner("icap", "icaps")}, nil, func(c *Config) *[]string { return &at(c).ICAP },
			"URLs of ICAP services (RFC 3507): icap://HOST:1344/avscan, or icaps:// with TLS."),
		newKey("scan.virus.mode", choice(VirusFirst, VirusAll), VirusFirst, func(c *Config) *VirusMode { return &at(c).Mode },
			"With several scanners: first asks the next one only when one does not answer; all asks every one of them, and the worst "+
				"answer counts."),
		newKey("scan.virus.timeout", duration(time.Second, 10*time.Minute), time.Minute, func(c *Config) *time.Duration { return &at(c).Timeout },
			"How long a scanner may take for one content. It is never longer than what lets every scanner be asked within limits.time."),
		newKey("scan.virus.connections", integer(1, 256), 4, func(c *Config) *int { return &at(c).Connections },
			"Connections to one scanner at a time; more contents wait. Keep it below MaxThreads in clamd.conf."),
		newKey("scan.virus.max_size", size(1<<20, 4<<30), 100<<20, func(c *Config) *int64 { return &at(c).MaxSize },
			"Larger contents are not sent; they count as not inspected."),
		newKey("scan.virus.on_error", choice(OnVirusDefer, OnVirusDeliver), OnVirusDefer, func(c *Config) *OnVirusError { return &at(c).OnError },
			"What happens to mail about which no scanner has answered: defer, so that the sending side tries again; or deliver, with a "+
				"sentence in the summary."),
	}
}

// unscannedRows are the decisions that APP.5.3.A4 asks for.
func unscannedRows() []*key {
	at := func(c *Config) *Unscanned { return &c.Scan.Unscanned }
	row := func(name, what string, field func(*Unscanned) *Handling) *key {
		return newKey("scan.unscanned."+name,
			choice(Undecided, HandleRules, HandleDeliver, HandleTag, HandleRemove, HandleQuarantine, HandleReject), Undecided,
			func(c *Config) *Handling { return field(at(c)) }, what)
	}
	return []*key{
		newSection("scan.unscanned", "What happens to mail with content that nobody can look into. BSI IT-Grundschutz APP.5.3.A4 asks for "+
			"an explicit decision about each class: deliver, and say so in the summary; tag the subject; remove the attachment and leave a "+
			"notice; quarantine; reject; or rules, when rule files of your own decide. Empty is no decision: the shipped rules watch, and "+
			"config check and the start warn."),
		row("archive", "Archives with a password: ZIP, 7z, RAR, ARJ.", func(u *Unscanned) *Handling { return &u.Archive }),
		row("document", "Office and OpenDocument files with a password, e-books with DRM.", func(u *Unscanned) *Handling { return &u.Document }),
		row("pdf", "PDF that opens only with a password.", func(u *Unscanned) *Handling { return &u.PDF }),
		row("openpgp", "OpenPGP, which is encrypted from person to person.", func(u *Unscanned) *Handling { return &u.OpenPGP }),
		row("smime", "S/MIME, which is encrypted from person to person.", func(u *Unscanned) *Handling { return &u.SMIME }),
		row("other", "Everything else that is encrypted: disk images, password stores, files of age and openssl, HTML that decrypts itself.",
			func(u *Unscanned) *Handling { return &u.Other }),
		row("uninspectable", "What cannot be read for another reason: broken, unknown or too large files, volumes of split archives.",
			func(u *Unscanned) *Handling { return &u.Uninspectable }),
	}
}

// decryptionRows are the keys about opening S/MIME mail.
func decryptionRows() []*key {
	at := func(c *Config) *Decryption { return &c.Scan.Decryption }
	return []*key{
		newSection("scan.smime", "Opening of encrypted S/MIME mail at the gateway, to verify the signature inside and to scan. Off unless keys are set."),
		newKey("scan.smime.keys", list[string]{directory()}, nil, func(c *Config) *[]string { return &at(c).Keys },
			"Files, or directories of files, with private keys and the certificates of recipients in PEM, read at start and on reload. Assay "+
				"must be able to read them, and everybody else must not."),
		newKey("scan.smime.deliver", choice(DeliverOriginal, DeliverOpened), DeliverOriginal, func(c *Config) *DecryptedForm { return &at(c).Deliver },
			"What is delivered of mail that was opened: the original, which the recipient opens again; or what was inside of it, so that "+
				"programs behind Assay can read it. Nothing is delivered opened unless it is authenticated, and "+
				"encrypted for every recipient, by the addresses in the certificates."),
	}
}

// scanner reads the address of a virus scanner.
func scanner(kinds ...string) scalar[string] {
	return scalar[string]{format: plain[string], described: described("string", "pattern", "^("+strings.Join(kinds, "|")+"):"), parse: func(text string) (string, error) {
		kind, rest, _ := strings.Cut(text, ":")
		switch {
		case kind == "unix" && kinds[0] == "unix" && strings.HasPrefix(rest, "/"):
			return text, nil
		case kind == "tcp" && kinds[0] == "unix":
			if _, err := hostPort().parse(rest); err != nil || rest == "" {
				return "", errors.New("is not tcp:HOST:PORT")
			}
			return text, nil
		case (kind == "icap" || kind == "icaps") && kinds[0] == "icap":
			if u, err := url.Parse(text); err == nil && u.Host != "" {
				return text, nil
			}
		}
		if kinds[0] == "icap" {
			return "", errors.New("is not a URL such as icap://127.0.0.1:1344/avscan")
		}
		return "", errors.New("is not an address such as unix:/run/clamav/clamd.ctl or tcp:127.0.0.1:3310")
	}}
}

// maxPasswords bounds the passwords in a file.
const maxPasswords = 1000

// List returns the configured passwords, those of the file behind the others. The error does not quote them.
func (f Files) List() ([]string, error) {
	all := append([]string(nil), f.Passwords...)
	if f.PasswordsFile == "" {
		return all, nil
	}
	data, err := os.ReadFile(f.PasswordsFile)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			all = append(all, line)
		}
	}
	if len(all) > maxPasswords {
		return nil, errors.New("holds too many passwords: at most 1000 are tried")
	}
	return all, nil
}

// undecided returns the keys about which a decision is missing.
func (u Unscanned) undecided() []string {
	var missing []string
	for _, c := range u.Classes() {
		if c.Handling == Undecided {
			missing = append(missing, c.Name)
		}
	}
	return missing
}
