package config

import "time"

// Log configures the log.
type Log struct {
	Level             Level
	Format            Format
	Privacy           Privacy
	PseudonymKey      string
	PseudonymRotation time.Duration
}

// A Level is the least severe level that is logged.
type Level string

// The levels. The zero value is treated as LevelInfo.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// A Format is a log format.
type Format string

// The log formats. The zero value is treated as Logfmt.
const (
	Logfmt  Format = "logfmt"
	JSON    Format = "json"
	Journal Format = "journal" // fields of the systemd journal, Logfmt where there is none
)

// A Privacy is how much of a message its log line shows.
type Privacy string

// The privacy levels. The zero value is treated as PrivacyDomainOnly.
const (
	PrivacyFull       Privacy = "full"
	PrivacyDomainOnly Privacy = "domain_only"
	PrivacyMinimal    Privacy = "minimal"
)

// Health configures what the daemon says about its state.
type Health struct {
	MinFree int64
}

// logRows are the keys about the log.
func logRows() []*key {
	return []*key{
		newSection("log", "The log, on standard error."),
		newKey("log.level", choice(LevelDebug, LevelInfo, LevelWarn, LevelError), LevelInfo,
			func(c *Config) *Level { return &c.Log.Level },
			"Least severe level that is logged: debug, info, warn or error. The line per message is info."),
		newKey("log.format", choice(Logfmt, JSON, Journal), Logfmt, func(c *Config) *Format { return &c.Log.Format },
			"logfmt; json; or journal, which gives the systemd journal each value as a field of its own, ASSAY_QUEUE_ID and so on, and is "+
				"logfmt where standard error is not the journal."),
		newKey("log.privacy", choice(PrivacyFull, PrivacyDomainOnly, PrivacyMinimal), PrivacyDomainOnly,
			func(c *Config) *Privacy { return &c.Log.Privacy },
			"How much of a message its log line shows: full, with addresses; domain_only, with domains, the network of the client, and "+
				"pseudonyms of persons; minimal, with results only."),
		newKey("log.pseudonym_key", optional(directory()), "/var/lib/assay/pseudonym.key", func(c *Config) *string { return &c.Log.PseudonymKey },
			"File with the key of the pseudonyms, which is made when it is missing. Removing it makes all lines so far anonymous. Empty keeps "+
				"a key in memory, until the next restart."),
		newKey("log.pseudonym_rotation", period(time.Hour, 3650*24*time.Hour), 30*24*time.Hour,
			func(c *Config) *time.Duration { return &c.Log.PseudonymRotation },
			"Age at which the key is replaced and the old one destroyed. Lines from before cannot be linked to persons, nor to later lines, "+
				"any more."),
	}
}

// healthRows are the keys about health checks.
func healthRows() []*key {
	return []*key{
		newSection("health", "What the daemon says about its own state: /readyz at listen.metrics, and assay ctl health."),
		newKey("health.min_free", size(0, 1<<40), 64<<20, func(c *Config) *int64 { return &c.Health.MinFree },
			"Free space on the file systems of the directories that Assay writes to, below which it is not ready."),
	}
}

// Value returns the effective value of a key as it is written in the file, "" if there is no such key.
func (l *Loaded) Value(path string) string {
	for _, k := range keys() {
		if k.path == path {
			return flow(k.value(l.Config))
		}
	}
	return ""
}
