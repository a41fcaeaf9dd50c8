package html

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/html/internal/chromium"
)

// startBrowser starts Chromium, or skips the test where there is none.
func startBrowser(t *testing.T) *chromium.Page {
	t.Helper()
	browser, err := chromium.Start()
	if errors.Is(err, chromium.ErrAbsent) {
		t.Skipf("NOT RUN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := browser.Close(); err != nil {
			t.Error(err)
		}
	})
	page, err := browser.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// batch is how many documents are shown at once.
const batch = 40

// A hostileCase is a document as it is sent.
type hostileCase struct {
	name    string
	src     []byte
	charset string
}

// cleaned returns what is delivered at a level, and its UTF-8 form.
func cleaned(c hostileCase, level scan.Level) (whole, text chromium.Document) {
	r := Clean(c.src, c.charset, level, Options{})
	charset := c.charset
	if r.Charset != "" {
		charset = r.Charset
	}
	whole = chromium.Document{ContentType: "text/html", Body: r.Output}
	if charset != "" {
		whole.ContentType += "; charset=" + charset
	}
	doc := read(r.Output, charset)
	return whole, chromium.Document{Body: doc.asUTF8(doc.src)}
}

// mustDoNothing shows the cases as whole documents and by innerHTML, and fails for what runs, is active, or is asked for at
// level remote.
func mustDoNothing(t *testing.T, page *chromium.Page, cases []hostileCase, levels ...scan.Level) {
	t.Helper()
	for _, level := range levels {
		for part := range slices.Chunk(cases, batch) {
			whole, text := make([]chromium.Document, len(part)), make([]chromium.Document, len(part))
			for i, c := range part {
				whole[i], text[i] = cleaned(c, level)
			}
			shown, err := page.Show(whole)
			if err != nil {
				t.Fatalf("%s: %v", part[0].name, err)
			}
			inserted, err := page.Insert(text)
			if err != nil {
				t.Fatalf("%s: %v", part[0].name, err)
			}
			for i, c := range part {
				mustBeQuiet(t, c, level, "whole", shown[i])
				mustBeQuiet(t, c, level, "innerHTML", inserted[i])
			}
		}
	}
}

func mustBeQuiet(t *testing.T, c hostileCase, level scan.Level, how string, s chromium.Sighting) {
	t.Helper()
	if len(s.Ran) > 0 || len(s.Active) > 0 || level == scan.Remote && len(s.Requests) > 0 {
		r := Clean(c.src, c.charset, level, Options{})
		t.Errorf("%s %s %s: ran %q, active %q, requests %q\n--- source (%s)\n%q\n--- output\n%q", c.name, level, how, s.Ran, s.Active, s.Requests, c.charset, c.src, r.Output)
	}
	for _, request := range s.Requests {
		if kind, _, _ := strings.Cut(request, " "); kind != "Image" && kind != "Stylesheet" && kind != "Font" {
			t.Errorf("%s %s %s: %s", c.name, level, how, request)
		}
	}
}

// TestChromiumSees proves that the harness sees what it looks for: unfiltered vectors run and load.
func TestChromiumSees(t *testing.T) {
	page := startBrowser(t)
	docs := []chromium.Document{
		{ContentType: "text/html", Body: []byte(`<script>alert(1)</script>`)},
		{ContentType: "text/html", Body: []byte(`<img src=x onerror=alert(1)>`)},
		{ContentType: "text/html", Body: []byte(`<p style="background:url(http://leak.test/x.png)">x</p>`)},
		{ContentType: "text/html", Body: []byte(`<form action="javascript:alert(1)"></form>`)},
		{ContentType: "text/html", Body: []byte(`<p>nothing</p>`)},
	}
	shown, err := page.Show(docs)
	if err != nil {
		t.Fatal(err)
	}
	if len(shown[0].Ran) == 0 || len(shown[0].Active) == 0 || len(shown[1].Ran) == 0 || len(shown[1].Active) == 0 {
		t.Errorf("scripts were not seen: %+v", shown[:2])
	}
	if len(shown[2].Requests) != 1 || len(shown[3].Active) != 2 {
		t.Errorf("a request or a form was not seen: %+v", shown[2:4])
	}
	if s := shown[4]; len(s.Ran)+len(s.Active)+len(s.Requests) > 0 {
		t.Errorf("there was nothing to see: %+v", s)
	}
	inserted, err := page.Insert(docs)
	if err != nil {
		t.Fatal(err)
	}
	if len(inserted[1].Ran) == 0 || len(inserted[0].Active) == 0 {
		t.Errorf("innerHTML was not seen: %+v", inserted[:2])
	}
	if err := page.Hold(len(docs)); err != nil {
		t.Fatal(err)
	}
	for _, insert := range []bool{false, true} {
		texts := make([]string, len(docs))
		for i, d := range docs {
			texts[i] = strings.ReplaceAll(string(d.Body), "x.png", fmt.Sprintf("%v.png", insert)) // not in a cache
		}
		s, err := page.Rewrite(texts, insert)
		if err != nil {
			t.Fatal(err)
		}
		if len(s[0].Ran) == 0 && !insert || len(s[1].Ran) == 0 || len(s[2].Requests) != 1 || len(s[3].Active) < 2 || len(s[4].Ran)+len(s[4].Active)+len(s[4].Requests) > 0 {
			t.Errorf("rewritten, insert %v: %+v", insert, s)
		}
	}
}

// TestChromiumVectors shows the foreign vectors after cleaning: a sample of them, or all with ASSAY_CHROMIUM_ALL=1.
func TestChromiumVectors(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser (-short)")
	}
	var cases []hostileCase
	all := hostile(t)
	step := max(1, len(all)/160)
	if os.Getenv("ASSAY_CHROMIUM_ALL") != "" {
		step = 1
	}
	for i := 0; i < len(all); i += step {
		cases = append(cases, hostileCase{all[i].ID, all[i].src, charsetOf(all[i].Type)})
	}
	t.Logf("%d documents", len(cases))
	mustDoNothing(t, startBrowser(t), cases, scan.Remote, scan.Active) // in this order, lest an image come from a cache
}

// TestChromiumFuzz shows documents that are spliced from vectors and random trees in random charsets. ASSAY_CHROMIUM_FUZZ
// says how many, ASSAY_CHROMIUM_SEED which.
func TestChromiumFuzz(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("ASSAY_CHROMIUM_FUZZ"))
	if err != nil || n <= 0 {
		t.Skip("ASSAY_CHROMIUM_FUZZ is not set to a number of cases")
	}
	seed, err := strconv.ParseUint(os.Getenv("ASSAY_CHROMIUM_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	// A browser for each level: what is loaded at level active must not be in a cache at level remote.
	pages := map[scan.Level]*chromium.Page{scan.Active: startBrowser(t), scan.Remote: startBrowser(t)}
	for _, page := range pages {
		if err := page.Hold(batch); err != nil {
			t.Fatal(err)
		}
	}
	g := generator{rand: rand.New(rand.NewPCG(seed, 1)), vectors: hostile(t)}
	var framed []hostileCase // the charset of the output matters
	for done := 0; done < n; done += batch {
		cases := make([]hostileCase, 0, batch)
		for i := range min(batch, n-done) {
			c := g.next()
			c.name = fmt.Sprintf("seed %d case %d", seed, done+i)
			cases = append(cases, c)
			if r := Clean(c.src, c.charset, scan.Remote, Options{}); r.Charset == "" && c.charset != "utf-8" && !isASCII(r.Output) {
				framed = append(framed, c)
			}
		}
		level := scan.Active
		if done/batch%2 == 1 {
			level = scan.Remote
		}
		mustDoNothingRewritten(t, pages[level], cases, level)
		if done%1000 == 0 {
			t.Logf("%d of %d", done+len(cases), n)
		}
	}
	t.Logf("%d in frames", len(framed))
	mustDoNothing(t, pages[scan.Remote], framed, scan.Remote)
}

// isASCII says whether the charset of an output makes no difference.
func isASCII(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 })
}

// mustDoNothingRewritten is mustDoNothing in the frames that are held.
func mustDoNothingRewritten(t *testing.T, page *chromium.Page, cases []hostileCase, level scan.Level) {
	t.Helper()
	texts := make([]string, len(cases))
	for i, c := range cases {
		_, text := cleaned(c, level)
		texts[i] = string(text.Body)
	}
	for how, insert := range map[string]bool{"written": false, "innerHTML": true} {
		shown, err := page.Rewrite(texts, insert)
		if err != nil {
			t.Fatalf("%s: %v", cases[0].name, err)
		}
		for i, c := range cases {
			mustBeQuiet(t, c, level, how, shown[i])
		}
	}
}
