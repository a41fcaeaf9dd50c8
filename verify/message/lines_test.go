package message

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lineText makes a text of the octets on which lines depend.
func lineText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(40) {
		b.WriteString([]string{"\r\n", "\r\n\r\n\r\n\r\n\r\n", "\n", "\r", "x", " ", "--b\r\n", "a longer line"}[r.IntN(8)])
	}
	return b.String()
}

// TestLineEnds compares the conversion of line ends, chunk by chunk, with one of the whole text.
func TestLineEnds(t *testing.T) {
	bare := regexp.MustCompile(`(^|[^\r])\n`)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := lineText(r)
		var e lineEnds
		var got []byte
		for chunk := range slices.Chunk([]byte(text), 1+r.IntN(30)) {
			got = e.convert(got, chunk)
		}
		want := bare.ReplaceAllString(bare.ReplaceAllString(text, "$1\r\n"), "$1\r\n") // twice, for LFs in a row
		crlf := strings.Count(text, "\r\n")
		if string(got) != want || e.crlf != crlf || e.lf != strings.Count(text, "\n")-crlf {
			t.Fatalf("%q: got %q, want %q; %d CRLF, %d LF", text, got, want, e.crlf, e.lf)
		}
	}
}

// TestSkippedEmptyLines: what an index is made of is the same, whether runs of empty lines are passed over or not.
func TestSkippedEmptyLines(t *testing.T) {
	scan := func(b *body, window int, skip bool) (seen []string, end string) {
		s := lineScanner{body: b, offset: 100, size: window}
		for s.next() {
			if line := s.line(); string(line) != "\r\n" {
				seen = append(seen, fmt.Sprintf("%q %d-%d %v %d", line, s.start, s.end, s.first, s.endBefore))
			}
			if skip {
				s.skipEmpty()
			}
		}
		return seen, fmt.Sprint(s.end, s.cr, s.crlf, s.lf, s.nul, s.long, s.err)
	}
	r, dir := rand.New(rand.NewPCG(3, 4)), t.TempDir()
	for range 3000 {
		text := lineText(r)
		memory := len(text)
		if r.IntN(2) == 0 {
			memory = 0
		}
		var b body
		if err := b.append([]byte(text), memory, dir); err != nil {
			t.Fatal(err)
		}
		window := 16 + r.IntN(40)
		want, wantEnd := scan(&b, window, false)
		got, gotEnd := scan(&b, window, true)
		if !slices.Equal(got, want) || gotEnd != wantEnd {
			t.Fatalf("%q:\n%q %s, want\n%q %s", text, got, gotEnd, want, wantEnd)
		}
		b.close()
	}
}
