package pdf_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/document/pdf"
)

// itoa writes a number.
func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// repeat makes about 4 MB of a pattern behind a header.
func repeat(pattern string) []byte {
	return []byte("%PDF-1.7\n" + strings.Repeat(pattern, (4<<20)/len(pattern)))
}

// TestLinear reads files that make a careless reader look at everything again and again.
func TestLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: it reads many large files")
	}
	var pointers strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&pointers, "%010d 00000 n \n", 20+i*10)
	}
	var index strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&index, "%d 0 ", i)
	}
	overlap := document("", flated(fmt.Sprintf("/Type/ObjStm/N 200000/First %d", index.Len()), []byte(index.String()+strings.Repeat("[0 ", 100_000))))
	for _, c := range []struct {
		name    string
		content []byte
	}{
		{"obj", repeat("obj ")},
		{"1 0 obj", repeat("1 0 obj ")},
		{"objects", repeat("1 0 obj<<>>endobj ")},
		{"streams without an end", repeat("1 0 obj<<>>stream\n")},
		{"streams with one end", append(repeat("1 0 obj<<>>stream\n"), "endstream"...)},
		{"stream", repeat("stream\n")},
		{"endstream", repeat("endstream ")},
		{"endobj", repeat("endobj ")},
		{"open strings", repeat("1 0 obj(")},
		{"open strings in a dictionary", repeat("1 0 obj<</A(")},
		{"open hexadecimal strings", repeat("1 0 obj< ")},
		{"parentheses", append(repeat("("), repeat(")")...)},
		{"arrays", repeat("1 0 obj[")},
		{"dictionaries", repeat("1 0 obj<</A")},
		{"one array", append([]byte("%PDF-1.7\n1 0 obj["), repeat("1 ")...)},
		{"one array of names", append([]byte("%PDF-1.7\n1 0 obj["), repeat("/A")...)},
		{"one array of strings", append([]byte("%PDF-1.7\n1 0 obj["), repeat("()")...)},
		{"one array of dictionaries", append([]byte("%PDF-1.7\n1 0 obj["), repeat("<</A 1>>")...)},
		{"trailers", repeat("trailer<</Encrypt 1 0 R/Root 1 0 R>>")},
		{"trailers without an end", repeat("trailer<</A ")},
		{"encryption dictionaries", repeat("1 0 obj<</Filter/Standard/V 1/R 2/O(x)/U(y)/P 1>>endobj trailer<</Encrypt 1 0 R>>")},
		{"startxref", repeat("startxref 20\n")},
		{"xref", repeat("xref\n0 1\n")},
		{"pointers to open arrays", append(append([]byte("%PDF-1.7\n"), strings.Repeat("1 0 obj[[ ", 200_000)...), "xref\n0 1\n"+pointers.String()...)},
		{"pointers into a stream", append(append([]byte("%PDF-1.7\n1 0 obj<<>>stream\n"), strings.Repeat("1 0 obj[( ", 200_000)...), "endstream xref\n0 1\n"+pointers.String()...)},
		{"ends", repeat("%%EOF ")},
		{"comments", repeat("%1 0 obj ")},
		{"numbers", repeat("1111111111111111111111111111 ")},
		{"a number", append([]byte("%PDF-1.7\n1 0 obj "), repeat("1")...)},
		{"a name", append([]byte("%PDF-1.7\n1 0 obj /"), repeat("#41")...)},
		{"blanks between numbers", append([]byte("%PDF-1.7\n1 0 obj ["), repeat("1 "+strings.Repeat(" ", 1000))...)},
		{"references to themselves", repeat("1 0 obj 1 0 R endobj ")},
		{"actions", repeat("1 0 obj<</OpenAction 1 0 R/S/GoTo/Next 1 0 R/JS 1 0 R>>endobj ")},
		{"attachments", repeat("1 0 obj<</EF<</F 2 0 R>>/F(a)>>endobj 2 0 obj<<>>stream\nx endstream ")},
		{"indirect lengths", repeat("1 0 obj<</Length 2 0 R>>stream\nx endstream endobj 2 0 obj 1 endobj ")},
		{"objects of a stream over each other", overlap},
		{"an endobj in a string", append([]byte("%PDF-1.7\n1 0 obj("), append(repeat("endobj 1 0 obj("), ')')...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			start, before := processor(t), allocated()
			r := read(t, c.content, "x")
			took, memory := processor(t)-start, allocated()-before
			t.Logf("%v, %d MiB allocated, %s %s", took, memory>>20, r.State, r.Method)
			if took > 3*time.Second || memory > 1<<30 {
				t.Errorf("%v, %d MiB allocated", took, memory>>20)
			}
		})
	}
}

// processor returns the processor time that the process has used: other processes do not count.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// allocated returns how many octets were ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestBombs stops what unpacks to far more than it is.
func TestBombs(t *testing.T) {
	zeros := make([]byte, 100<<20)
	once := deflate(zeros)
	for _, c := range []struct {
		name    string
		content []byte
		method  string
	}{
		{"object stream", document("", stream("/Type/ObjStm/N 1/First 4/Filter/FlateDecode", once)), "octets unpack to more than"},
		{"attached file", document("", stream("/Type/EmbeddedFile/Filter/FlateDecode", once)), "octets unpack to more than"},
		{"twice", document("", stream("/Type/EmbeddedFile/Filter[/FlateDecode/FlateDecode]", deflate(once))), "octets unpack to more than"},
		{"runs", document("", stream("/Type/EmbeddedFile/Filter[/FlateDecode/RunLengthDecode]", deflate(bytes.Repeat([]byte{129, 0}, 1<<20)))), "octets unpack to more than"},
		{"script", document("", "<</S/JavaScript/JS 5 0 R>>", stream("/Filter/FlateDecode", once)), "octets unpack to more than"},
		{"cross-reference stream", document("", stream("/Type/XRef/W[1 2 1]/Filter/FlateDecode", once)), "octets unpack to more than"},
		{"many attached files", document("", strings.Split(strings.Repeat(stream("/Type/EmbeddedFile", []byte("x"))+"\x00", 3000), "\x00")...), "more than 2000 members"},
		{"many unpacked files", document("", slices.Repeat([]string{stream("/Type/EmbeddedFile/Filter/FlateDecode", deflate(zeros[:15<<20]))}, 20)...), "octets altogether"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := processor(t)
			r := read(t, c.content)
			if r.State != scan.Uninspectable || !strings.Contains(r.Method, c.method) {
				t.Errorf("%s %s", r.State, r.Method)
			}
			if r.has(scan.Bomb) != strings.Contains(c.method, "unpack") {
				t.Errorf("%s", r)
			}
			t.Logf("%v for %d octets", processor(t)-start, len(c.content))
		})
	}
}

// TestLZWBomb stops LZW, which packs a thousandfold, with small limits.
func TestLZWBomb(t *testing.T) {
	content := document("", stream("/Type/EmbeddedFile/Filter/LZWDecode", encodeLZW(make([]byte, 200<<10), 1)))
	if r := readWithin(t, container.Limits{Free: 64 << 10}, content); r.State != scan.Uninspectable || !r.has(scan.EmbeddedFile) {
		t.Errorf("%s", r)
	}
}

// TestTime stops when the time of the budget is up.
func TestTime(t *testing.T) {
	now := time.Duration(0)
	clock := func() time.Duration { now += time.Second; return now }
	if r := readUntil(t, clock, document("", strings.Split(strings.Repeat("<</A[1 2 3]>>\x00", 5000), "\x00")...)); r.State != scan.Uninspectable {
		t.Errorf("%s", r)
	}
}

// TestObjects stops at a number of objects.
func TestObjects(t *testing.T) {
	content := append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("1 0 obj<<>>endobj "), 500_001)...)
	if r := readWithin(t, container.Limits{}, content); r.State != scan.Uninspectable || r.Method != "too many objects" {
		t.Errorf("%s", r)
	}
}

// A file of nothing but headers is handed out neither as a whole nor nearly so: it would be read again at every depth.
func TestHeadersOnly(t *testing.T) {
	content := bytes.Repeat([]byte("%PDF-1.4\n"), 100_000)
	f := &container.File{Name: "a.pdf", Extension: "pdf", Content: content, Budget: container.NewBudget(t.Context(), container.Limits{}, nil)}
	members := 0
	v := pdf.Reader{}.Read(f, func(container.Member) bool { members++; return true })
	if members != 0 || v.State != scan.Uninspectable {
		t.Errorf("%d members, %+v", members, v)
	}
}
