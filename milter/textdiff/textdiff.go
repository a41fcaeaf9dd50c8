// Package textdiff shows what distinguishes two texts, as a unified diff for people. It is pure, and its cost is bounded:
// where two texts differ too much, everything between the first and the last difference is shown as replaced.
package textdiff

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a comparison.
const (
	maxDiff   = 1 << 20 // octets of the text
	maxEdits  = 1000    // edits of one text; with more, everything that differs is shown as replaced
	unchanged = 3       // lines shown around a change
)

// Unified returns what distinguishes two texts, with the names in front that diff(1) would show; "" if they are the same.
// What cannot be shown as text is only said to differ.
func Unified(oldName string, old []byte, newName string, current []byte) string {
	if bytes.Equal(old, current) {
		return ""
	}
	if !isText(old) || !isText(current) {
		return fmt.Sprintf("Binary files %s and %s differ\n", oldName, newName)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	a, b := splitLines(old), splitLines(current)
	writeHunks(&out, a, b, changes(a, b))
	if out.Len() > maxDiff {
		out.Truncate(maxDiff)
		out.WriteString("\n... the rest is left out\n")
	}
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

// isText says whether a file can be shown.
func isText(text []byte) bool {
	return utf8.Valid(text) && !bytes.ContainsRune(text, 0)
}

// splitLines returns lines without their ends. A last line without an end is marked as diff(1) marks it.
func splitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	lines := strings.Split(string(text), "\n")
	if last := len(lines) - 1; lines[last] == "" {
		return lines[:last]
	}
	lines[len(lines)-1] += "\n\\ No newline at end of file"
	return lines
}

// A change replaces lines a1 to a2 of the old text by lines b1 to b2 of the new one; ends are exclusive.
type change struct{ a1, a2, b1, b2 int }

// changes returns what leads from a to b. It is Myers' algorithm (An O(ND) Difference Algorithm and Its Variations,
// 1986), limited to maxEdits.
func changes(a, b []string) []change {
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	endA, endB := len(a), len(b)
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	if start == endA && start == endB {
		return nil
	}
	trail, ok := search(a[start:endA], b[start:endB])
	if !ok {
		return []change{{start, endA, start, endB}}
	}
	return merge(backtrack(trail, endA-start, endB-start), start)
}

// search returns, for every number of edits, how far each diagonal got, until the ends of both texts are reached.
func search(a, b []string) (trail [][]int32, ok bool) {
	limit := min(len(a)+len(b), maxEdits)
	v := make([]int32, 2*limit+3)
	at := limit + 1 // index of diagonal 0
	for d := 0; d <= limit; d++ {
		trail = append(trail, slices.Clone(v[at-d-1:at+d+2]))
		for k := -d; k <= d; k += 2 {
			x := v[at+k-1] + 1
			if k == -d || k != d && v[at+k-1] < v[at+k+1] {
				x = v[at+k+1]
			}
			y := x - int32(k)
			for int(x) < len(a) && int(y) < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			v[at+k] = x
			if int(x) >= len(a) && int(y) >= len(b) {
				return trail, true
			}
		}
	}
	return nil, false
}

// backtrack returns the single edits of a trail, the last one first.
func backtrack(trail [][]int32, x, y int) []change {
	var edits []change
	for d := len(trail) - 1; d > 0; d-- {
		v, at := trail[d], d+1
		k := x - y
		down := k == -d || k != d && v[at+k-1] < v[at+k+1]
		from := k - 1
		if down {
			from = k + 1
		}
		px := int(v[at+from])
		py := px - from
		if down {
			edits = append(edits, change{px, px, py, py + 1})
		} else {
			edits = append(edits, change{px, px + 1, py, py})
		}
		x, y = px, py
	}
	return edits
}

// merge joins edits that touch each other and moves them by offset.
func merge(edits []change, offset int) []change {
	slices.Reverse(edits)
	var joined []change
	for _, e := range edits {
		e = change{e.a1 + offset, e.a2 + offset, e.b1 + offset, e.b2 + offset}
		if n := len(joined); n > 0 && joined[n-1].a2 == e.a1 && joined[n-1].b2 == e.b1 {
			joined[n-1].a2, joined[n-1].b2 = e.a2, e.b2
			continue
		}
		joined = append(joined, e)
	}
	return joined
}

// writeHunks writes changes with unchanged lines around them.
func writeHunks(out *bytes.Buffer, a, b []string, all []change) {
	for len(all) > 0 && out.Len() <= maxDiff {
		n := 1
		for n < len(all) && all[n].a1-all[n-1].a2 <= 2*unchanged {
			n++
		}
		writeHunk(out, a, b, all[:n])
		all = all[n:]
	}
}

// writeHunk writes changes that are close to each other.
func writeHunk(out *bytes.Buffer, a, b []string, group []change) {
	first, last := group[0], group[len(group)-1]
	before := min(unchanged, first.a1)
	after := min(unchanged, len(a)-last.a2)
	fmt.Fprintf(out, "@@ -%s +%s @@\n", lineRange(first.a1-before, last.a2+after), lineRange(first.b1-before, last.b2+after))
	at := first.a1 - before
	for _, c := range group {
		writeLines(out, ' ', a[at:c.a1])
		writeLines(out, '-', a[c.a1:c.a2])
		writeLines(out, '+', b[c.b1:c.b2])
		at = c.a2
	}
	writeLines(out, ' ', a[at:last.a2+after])
}

// lineRange returns lines as a hunk's header names them.
func lineRange(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

func writeLines(out *bytes.Buffer, mark byte, lines []string) {
	for _, line := range lines {
		if out.Len() > maxDiff {
			return
		}
		out.WriteByte(mark)
		out.WriteString(line)
		out.WriteByte('\n')
	}
}
