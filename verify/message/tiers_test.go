package message

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"assay/verify/vectors"
)

// Every code has a line of documentation and a tier, once, and the documentation has no other codes.
func TestCodes(t *testing.T) {
	source, err := os.ReadFile("defect.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^\t[A-Z]\w+\s+= "([a-z0-9.-]+)"$`).FindAllStringSubmatch(string(source), -1) {
		declared[m[1]] = true
	}
	if len(declared) < 65 {
		t.Fatalf("only %d codes found in the source", len(declared))
	}
	tiers := make(map[Tier]int)
	for _, c := range Codes() {
		if !declared[c.Code] {
			t.Errorf("%s is documented and not declared, or documented twice", c.Code)
		}
		delete(declared, c.Code)
		if c.Doc == "" || strings.ContainsAny(c.Doc, "\n") || c.Tier != (Defect{Code: c.Code}).Tier() {
			t.Errorf("%s: %v, %q", c.Code, c.Tier, c.Doc)
		}
		if strings.HasPrefix(c.Code, "limit.") && c.Tier != Ambiguous {
			t.Errorf("%s is in tier %v", c.Code, c.Tier)
		}
		tiers[c.Tier]++
	}
	for code := range declared {
		t.Errorf("%s has no documentation", code)
	}
	t.Logf("codes by tier: %v", tiers)
}

func TestTierNames(t *testing.T) {
	for tier, want := range map[Tier]string{Ambiguous: "ambiguous", Suspicious: "suspicious", Info: "info", 99: "ambiguous"} {
		if got := tier.String(); got != want {
			t.Errorf("tier %d is %q, want %q", int(tier), got, want)
		}
	}
}

// Ordinary mail is seldom flagged: of other projects' test mails, many of which are broken on purpose, few, and of
// newsletters as their senders encode them none.
func TestVectorsAreSeldomFlagged(t *testing.T) {
	count := make(map[string]*[3]int) // by folder: mails, suspicious, ambiguous
	codes := make(map[string]int)
	add := func(folder string, m *Message) {
		if count[folder] == nil {
			count[folder] = new([3]int)
		}
		c := count[folder]
		c[0]++
		worst := Info
		seen := make(map[string]bool)
		for _, d := range m.Defects {
			worst = min(worst, d.Tier())
			if d.Tier() != Info && !seen[d.Code] && folder == "scan/mime-corpus" {
				seen[d.Code] = true
				codes[d.Code]++
			}
		}
		switch worst {
		case Suspicious:
			c[1]++
		case Ambiguous:
			c[2]++
		}
	}
	for name, raw := range mails(t) {
		folder := strings.Join(strings.SplitN(filepath.ToSlash(name), "/", 3)[:2], "/")
		add(folder, readBytes(t, raw, Limits{}))
	}
	newsletters, err := filepath.Glob(filepath.Join(vectors.Path(t, "scan/newsletters"), "*.html"))
	if err != nil || len(newsletters) < 50 {
		t.Fatalf("%d newsletters, %v", len(newsletters), err)
	}
	for i, name := range newsletters {
		html, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		add("scan/newsletters", readBytes(t, newsletterMail(t, html, i), Limits{}))
	}
	for _, folder := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%-20s %3d mails, %2d suspicious, %2d ambiguous", folder, count[folder][0], count[folder][1], count[folder][2])
	}
	t.Logf("codes in mime-corpus: %v", codes)
	if c := count["scan/newsletters"]; c[1]+c[2] > 0 {
		t.Errorf("%d newsletters are flagged", c[1]+c[2])
	}
	if c := count["scan/mime-corpus"]; 5*(c[1]+c[2]) > c[0] {
		t.Errorf("%d of %d mails are flagged", c[1]+c[2], c[0])
	}
}

// newsletterMail is a newsletter as it is sent: text and HTML, in one of the encodings.
func newsletterMail(t *testing.T, html []byte, n int) []byte {
	t.Helper()
	encoding, body := encodingBase64, base64Lines(html)
	if n%2 == 0 {
		text, err := quotedPrintable(new(lineEnds).convert(nil, html))
		if err != nil {
			t.Fatal(err)
		}
		encoding, body = encodingQP, text
	}
	return fmt.Appendf(nil, "From: a@example.com\r\nSubject: News\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_b%d\"\r\n\r\n"+
		"--=_b%d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nNews.\r\n--=_b%d\r\nContent-Type: text/html; charset=\"utf-8\"\r\n"+
		"Content-Transfer-Encoding: %s\r\n\r\n%s\r\n--=_b%d--\r\n", n, n, n, encoding, body, n)
}
