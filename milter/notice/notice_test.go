package notice

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/net/html"
)

func TestRemoved(t *testing.T) {
	f := File{Name: "Rechnung\u202efdp.exe\r\nX-Evil: 1", Type: "application/x-dosexec", Size: 123456, SHA256: "ab12", Reason: "executable", Rule: "executable-attachment"}
	for language, want := range map[string][]string{
		"en": {"File:     Rechnung?fdp.exe X-Evil: 1\r\n", "Size:     123 kB\r\n", "SHA-256:  ab12\r\n", "Rule:     executable-attachment\r\nMail:     4XyZ\r\nOriginal: 3b1f00\r\n"},
		"de": {"Datei:    Rechnung?fdp.exe X-Evil: 1\r\n", "Größe:    123 kB\r\n", "Grund:    executable\r\n", "E-Mail:   4XyZ\r\nOriginal: 3b1f00\r\n"},
	} {
		templates, err := New(language, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := templates.Removed(f, Mail{QueueID: "4XyZ", Original: "3b1f00"})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(got), w) {
				t.Errorf("%s: %q is not in\n%s", language, w, got)
			}
		}
		if n := strings.Count(string(got), "\n"); n != strings.Count(string(got), "\r\n") || !strings.HasSuffix(string(got), ".\r\n") {
			t.Errorf("%s: line ends in %q", language, got)
		}
	}
}

func TestUnknownValuesAreLeftOut(t *testing.T) {
	templates, _ := New("en", nil)
	got, err := templates.Removed(File{Size: -1, Reason: "r", Rule: "x"}, Mail{})
	if err != nil || strings.Contains(string(got), "SHA") || strings.Contains(string(got), "Size") || strings.Contains(string(got), "Mail:") || strings.Contains(string(got), "Original:") ||
		!strings.Contains(string(got), "(without a name)") {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestNoteIsHarmlessHTML(t *testing.T) {
	for _, language := range []string{"en", "de"} {
		templates, err := New(language, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, fragment, err := templates.Note(Note{HTML: true, Remote: true, QueueID: "4XyZ",
			Files: []File{{Name: `<script>alert(1)</script>"ä`}}})
		if err != nil {
			t.Fatal(err)
		}
		if strings.IndexFunc(string(fragment), func(r rune) bool { return r > 0x7e }) >= 0 || !strings.Contains(string(text), "4XyZ") {
			t.Errorf("%s:\n%s\n%s", language, text, fragment)
		}
		z := html.NewTokenizer(strings.NewReader(string(fragment)))
		for z.Next() != html.ErrorToken {
			if name, _ := z.TagName(); string(name) == "script" {
				t.Errorf("%s: %s", language, fragment)
			}
		}
	}
}

func TestOwnTemplates(t *testing.T) {
	own := fstest.MapFS{"removed.en.txt": {Data: []byte("gone: {{.Name}}\n")}}
	templates, err := New("en", own)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := templates.Removed(File{Name: "a.exe"}, Mail{}); string(got) != "gone: a.exe\r\n" {
		t.Errorf("got %q", got)
	}
	for name, text := range map[string]string{"no such member": "{{.Nothing}}", "not closed": "{{if .Name}}", "too large": strings.Repeat("x", maxTemplate+1)} {
		if _, err := New("en", fstest.MapFS{"removed.en.txt": {Data: []byte(text)}}); err == nil || !strings.HasPrefix(err.Error(), "notice: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New("xx", nil); err == nil {
		t.Error("a language without templates")
	}
}

func TestHeld(t *testing.T) {
	at := time.Date(2026, 11, 22, 5, 19, 0, 0, time.UTC)
	evil := HeldMail{Received: at, Sender: "a\u202eb@example.net", Subject: "x\r\nBcc: all@example.com", Reason: "odd\x00", ID: "q1m5k2c7-x8d2pq", Release: "user"}
	for language, want := range map[string][]string{
		"en": {"From:     a?b@example.net\n", "Subject:  x Bcc: all@example.com\n", "Id:       q1m5k2c7-x8d2pq\n", "for you, on request", "ask the help desk"},
		"de": {"Von:       a?b@example.net\n", "Betreff:   x Bcc: all@example.com\n", "Nummer:    q1m5k2c7-x8d2pq\n", "für Sie auf Anfrage"},
	} {
		templates, err := New(language, nil)
		if err != nil {
			t.Fatal(err)
		}
		subject, text, err := templates.Held(Held{Recipient: "erika@example.com", Messages: []HeldMail{evil}, Contact: "the help desk"})
		if err != nil || strings.ContainsAny(subject, "\r\n") || strings.HasPrefix(subject, "2") {
			t.Errorf("%s: %v, subject %q", language, err, subject)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is not in\n%s", language, w, text)
			}
		}
		many, text, err := templates.Held(Held{Recipient: "erika@example.com", Messages: []HeldMail{{Received: at, Release: "never"}}, Further: 2})
		if err != nil || !strings.HasPrefix(many, "3 ") || strings.Contains(text, "Subject") || strings.Contains(text, "Betreff") {
			t.Errorf("%s: %v, subject %q\n%s", language, err, many, text)
		}
	}
	if _, err := New("en", fstest.MapFS{"held.en.txt": {Data: []byte("{{.Count}} messages\n")}}); err == nil {
		t.Error("a template without a subject is taken")
	}
}
