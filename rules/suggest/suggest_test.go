package suggest

import (
	"strings"
	"testing"
)

func TestClosest(t *testing.T) {
	names := []string{"attachments", "auth", "from_count", "listen", "tls_version"}
	for word, want := range map[string]string{
		"atachments": "attachments", "attachement": "attachments", "form-count": "from_count", "TLS_Version": "tls_version",
		"lis": "listen", "auht": "auth", "x": "", "subject": "", strings.Repeat("a", 65): "",
	} {
		if got := Closest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := Question("listne", names); got != ` (did you mean "listen"?)` {
		t.Error(got)
	}
	if got := Question("subject", names); got != "" {
		t.Error(got)
	}
}
