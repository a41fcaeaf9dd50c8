package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

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
		newKey("log.pseudonym_rotation", days(time.Hour, 3660*24*time.Hour), 30*24*time.Hour,
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

// days reads a span of time that may be written in days, from lowest to highest: 30d, 36h.
func days(lowest, highest time.Duration) scalar[time.Duration] {
	s := duration(lowest, highest)
	parse := s.parse
	s.format = func(d time.Duration) any { return showDays(d) }
	s.described = described("string", "pattern", `^[0-9]+d$|^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)
	s.parse = func(text string) (time.Duration, error) {
		if digits, found := strings.CutSuffix(text, "d"); found && isDigits(digits) {
			n, err := strconv.Atoi(digits)
			if err != nil || n > 1_000_000/24 {
				return 0, fmt.Errorf("is out of range: %s to %s", showDays(lowest), showDays(highest))
			}
			text = strconv.Itoa(24*n) + "h"
		}
		d, err := parse(text)
		if err == nil && d%time.Second != 0 || err != nil && !strings.HasPrefix(err.Error(), "is out of range") {
			return 0, errors.New("is not a span of time such as 30d or 36h")
		}
		if err != nil {
			return 0, fmt.Errorf("is out of range: %s to %s", showDays(lowest), showDays(highest))
		}
		return d, nil
	}
	return s
}

// showDays writes a span of time in days if it is a number of them.
func showDays(d time.Duration) string {
	const day = 24 * time.Hour
	if d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return showDuration(d)
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
