package config

import "testing"

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
