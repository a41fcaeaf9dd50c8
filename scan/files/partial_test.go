package files

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/virus"
)

// A small scanner takes contents up to a size, as clamd does by StreamMaxLength, and knows the marker.
type small struct{ limit int }

func (s *small) Scan(_ context.Context, _ string, open virus.Open) (virus.Verdict, error) {
	r, err := open()
	if err != nil {
		return virus.Verdict{}, err
	}
	content, err := io.ReadAll(r)
	switch {
	case err != nil:
		return virus.Verdict{}, err
	case len(content) > s.limit:
		return virus.Verdict{Kind: virus.Uninspectable, Name: "too large"}, nil
	case bytes.Contains(content, []byte(marker)):
		return virus.Verdict{Kind: virus.Infected, Name: "Test.Marker"}, nil
	}
	return virus.Verdict{Kind: virus.Clean}, nil
}

// TestMessageLargerThanTheScannerTakes has a message that the scanner has not looked into as a whole. Each of its texts is asked
// about then, and what is too large by itself is reported as something that nobody could look into.
func TestMessageLargerThanTheScannerTakes(t *testing.T) {
	const limit = 10_000
	fill := func(n int) string { return strings.Repeat(strings.Repeat("a", 70)+"\n", n/71) }
	head := "From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
	text := func(encoding, body string) string {
		if encoding == "base64" {
			body = wrap(base64.StdEncoding.EncodeToString([]byte(body)))
		}
		return "\n--b\nContent-Type: text/plain\nContent-Transfer-Encoding: " + encoding + "\n\n" + body
	}
	for _, tt := range []struct {
		name, body string
		state      scan.VirusState
		unscanned  []string
	}{
		{"small", text("7bit", "hello"), scan.VirusClean, nil},
		{"many small texts", text("7bit", fill(6000)) + text("8bit", fill(7000)), scan.VirusClean, nil},
		{"malware in plain", text("7bit", fill(6000)) + text("8bit", fill(7000)+marker), scan.VirusFound, nil},
		{"a large text in plain", text("7bit", fill(11000)), scan.VirusClean, []string{"uninspectable"}},
		{"a large text in base64", text("base64", fill(11000)), scan.VirusClean, []string{"uninspectable"}},
		{"malware behind a large text", text("7bit", fill(11000)) + text("7bit", marker), scan.VirusFound, []string{"uninspectable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New(Options{Engine: indifferent{}, Virus: &small{limit: limit}}).Scan(t.Context(), read(t, head+tt.body+"\n--b--\n"))
			if r.Virus.State != tt.state || !slices.Equal(r.Unscanned(), tt.unscanned) {
				t.Errorf("%+v, unscanned %v; want %s, %v", r.Virus, r.Unscanned(), tt.state, tt.unscanned)
			}
		})
	}
}
