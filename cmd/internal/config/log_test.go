package config

import (
	"strings"
	"testing"
	"time"
)

// Spans of days are written and read as such; whatever else is wrong is said in the same terms.
func TestDays(t *testing.T) {
	c := days(time.Hour, 3660*24*time.Hour)
	for text, want := range map[string]string{
		"30d": "30d", "720h": "30d", "36h": "36h", "1h30m": "1h30m", "3660d": "3660d",
		"0d": "out of range: 1h to 3660d", "3661d": "out of range: 1h to 3660d", "99999999999999999999d": "out of range", "30m": "out of range: 1h",
		"30": "such as 30d", "d": "such as 30d", "-1d": "such as 30d", "1.5d": "such as 30d", "x": "such as 30d", "1h1ms": "such as 30d",
	} {
		d, err := c.parse(text)
		if got := c.format(d); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %q", text, got, err, want)
		}
	}
}

// Every key has a value that reads as it is written in the file.
func TestValue(t *testing.T) {
	l, err := Parse("x.yaml", []byte("format: 1\nlog: {pseudonym_rotation: 7d}\nhealth: {min_free: 1GiB}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"log.pseudonym_rotation": "7d", "health.min_free": "1GiB", "log.privacy": "domain_only", "log": "", "x": ""} {
		if got := l.Value(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
