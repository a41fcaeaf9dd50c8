package sealed

import (
	"slices"
	"strings"
	"testing"
)

// Armour counts at the start of a line only, and a byte order mark is no part of the first one.
func TestBlocks(t *testing.T) {
	armour := "-----BEGIN PGP MESSAGE-----\n\nabc\n-----END PGP MESSAGE-----\n"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"plain", armour, []string{"PGP MESSAGE"}},
		{"behind text", "hello\n" + armour, []string{"PGP MESSAGE"}},
		{"behind a byte order mark", "\ufeff" + armour, []string{"PGP MESSAGE"}},
		{"quoted", "> " + strings.ReplaceAll(armour, "\n", "\n> "), nil},
		{"two", armour + "-----BEGIN CERTIFICATE-----\nMII\n", []string{"PGP MESSAGE", "CERTIFICATE"}},
	} {
		var got []string
		blocks([]byte(tt.text), func(b block) bool { got = append(got, b.label); return true })
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
}
