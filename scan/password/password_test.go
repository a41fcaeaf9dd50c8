package password

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// mails are subjects and texts as people write them, with the password and how many candidates may come before it.
var mails = []struct {
	name, subject, text, want string
	before                    int
}{
	{"colon", "Rechnung", "Guten Tag,\n\nanbei die Rechnung.\nPasswort: geheim\n\nMit freundlichen Grüßen\nPetra", "geheim", 0},
	{"kennwort lautet", "", "Das Kennwort lautet Sommer2024!", "Sommer2024!", 1},
	{"ist", "", "Das Passwort für das Archiv ist kartoffel.", "kartoffel", 1},
	{"ist with digits", "", "Hallo,\ndas Passwort ist abc123.\nGruß", "abc123", 1},
	{"quoted german", "", "Bitte öffnen Sie die Datei mit dem Passwort „Blauer Elefant“.", "Blauer Elefant", 1},
	{"quoted", "", "The password is \"Tr0ub4dor&3\", please do not share it.", "Tr0ub4dor&3", 2},
	{"single quotes", "", "Use the password 'open sesame' for the attachment.", "open sesame", 2},
	{"guillemets", "", "Kennwort »Xy9#kk« verwenden", "Xy9#kk", 1},
	{"next line", "", "Das Passwort für den Anhang:\n\nH7k-99Qw\n\nViele Grüße", "H7k-99Qw", 0},
	{"next line without colon", "", "Ihr Passwort\nregenbogen\n", "regenbogen", 1},
	{"subject", "Angebot (PW: 4711)", "Siehe Anhang.", "4711", 2},
	{"pw equals", "", "pw=secret", "secret", 0},
	{"pw bare", "", "ZIP im Anhang, PW secret", "secret", 1},
	{"pin", "", "Die PIN zum Öffnen: 839201", "839201", 0},
	{"pin is", "", "Your PIN is 839201.", "839201", 1},
	{"code", "", "Zugangscode: A1B2-C3D4", "A1B2-C3D4", 0},
	{"before", "", "hunter2 ist das Passwort", "hunter2", 1},
	{"before english", "", "Please use Winter23 as the password for the zip file.", "Winter23", 1},
	{"arrow", "", "Passwort -> Feld#12", "Feld#12", 1},
	{"wie folgt", "", "Das Passwort lautet wie folgt: mondlicht", "mondlicht", 1},
	{"as follows", "", "The password is as follows: moonlight", "moonlight", 1},
	{"phrase", "", "Password: correct horse battery staple", "correct horse battery staple", 2},
	{"exclamation", "", "Passwort: Los!", "Los!", 0},
	{"question", "", "Passwort: Wer?", "Wer?", 0},
	{"sentence with exclamation", "", "Das Passwort ist geheim!", "geheim", 1},
	{"in brackets", "", "Anhang.zip (Passwort: infected)", "infected", 1},
	{"bold", "", "Das Passwort lautet: *Kirschkern9*", "Kirschkern9", 2},
	{"reply", "", "> Passwort: Nebel77\n> Gruß", "Nebel77", 0},
	{"french", "", "Le mot de passe est: Baguette7", "Baguette7", 1},
	{"spanish", "", "La contraseña es: Tortilla9", "Tortilla9", 1},
	{"dutch", "", "Wachtwoord: fiets12", "fiets12", 0},
	{"polish", "", "Hasło: zima2024", "zima2024", 0},
	{"italian", "", "La password è gelato99", "gelato99", 1},
	{"umlaut in it", "", "Passwort: Grüße42", "Grüße42", 0},
	{"decomposed", "", "Passwort: Gru\u0308ße42", "Grüße42", 0},
	{"no blank", "", "Passwort:geheim", "geheim", 0},
	{"blank before colon", "", "Passwort : geheim", "geheim", 0},
	{"fullwidth colon", "", "パスワード：himitsu", "himitsu", 0},
	{"compound", "", "Das ZIP-Archivpasswort lautet Qm8!z", "Qm8!z", 1},
	{"two lines later", "", "Anbei die verschlüsselte Datei. Das Passwort steht unten.\n\nqX7bb2\n", "qX7bb2", 4},
	{"crlf", "", "Passwort: geheim\r\nGruß\r\n", "geheim", 0},
	{"nbsp", "", "Passwort:\u00a0geheim", "geheim", 0},
	{"same as always", "", "the pw for the zip is still kitten", "kitten", 1},
	{"table", "", "Benutzer: petra\nPasswort: rosa-9\n", "rosa-9", 0},
	{"long mail", "", strings.Repeat("Ein Satz ohne jede Bedeutung.\n", 500) + "Passwort: geheim\n", "geheim", 0},
}

func TestCandidates(t *testing.T) {
	for _, m := range mails {
		t.Run(m.name, func(t *testing.T) {
			got := Candidates(m.subject, []string{m.text}, 20)
			i := slices.Index(got, m.want)
			if i < 0 {
				t.Fatalf("%q is not among %q", m.want, got)
			}
			if i > m.before {
				t.Errorf("%q is only at %d of %q", m.want, i, got)
			}
		})
	}
}

// TestNone: mails that speak of no password have no candidates.
func TestNone(t *testing.T) {
	for _, text := range []string{
		"", "Hallo Petra,\nanbei die Rechnung 4711 vom 12.3.2024 über 99,90 EUR.\nGruß", "See you at 10:30 in room 5B.",
		"Die Spinne im Pinguin kostet 3 EUR.", "Encoded keyboards and monkeys", "Meeting-ID: 123 456 789",
	} {
		if got := Candidates("Rechnung 4711", []string{text}, 20); len(got) > 0 {
			t.Errorf("%q gives %q", text, got)
		}
	}
}

// TestLimit: never more than asked for, no repetitions, and the best first of all texts.
func TestLimit(t *testing.T) {
	texts := []string{strings.Repeat("Passwort: a1 b2c3 d4e5 f6g7 h8i9\n", 30), "Passwort: geheim", "PW: geheim"}
	for _, limit := range []int{-1, 0, 1, 3, 20, 1000} {
		got := Candidates("", texts, limit)
		if len(got) > max(limit, 0) {
			t.Errorf("limit %d: %d candidates", limit, len(got))
		}
		sorted := slices.Clone(got)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(got) {
			t.Errorf("repetitions in %q", got)
		}
	}
	if got := Candidates("", texts, 3); !slices.Contains(got, "geheim") {
		t.Errorf("the password of a later text is not among %q", got)
	}
}

// TestLinear: texts made to be slow are not.
func TestLinear(t *testing.T) {
	for _, unit := range []string{"passwort ", "passwort:\n", "\"'„“»«", "pw", "passwor", "p", ": = is ", "a1b2 passwort "} {
		text := strings.Repeat(unit, maxText/len(unit)+1)
		start := time.Now()
		Candidates(text, []string{text, text, text}, 20)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%q: %s", unit, took)
		}
	}
}

func FuzzCandidates(f *testing.F) {
	for _, m := range mails {
		f.Add(m.subject, m.text, 20)
	}
	f.Add("pw", "\xff\xfe passwort: \x00\x01 „", 3)
	f.Fuzz(func(t *testing.T, subject, text string, limit int) {
		got := Candidates(subject, []string{text}, limit)
		if len(got) > max(limit, 0) {
			t.Fatalf("%d of %d", len(got), limit)
		}
		for _, c := range got {
			if c == "" || len(c) > maxLength || !utf8.ValidString(c) || strings.ContainsAny(c, "\r\n") {
				t.Fatalf("candidate %q", c)
			}
		}
	})
}

func BenchmarkCandidates(b *testing.B) {
	text := strings.Repeat("Ein Satz ohne jede Bedeutung, den niemand liest.\n", 200) + "Passwort: geheim\n"
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Candidates("Rechnung", []string{text}, 20)
	}
}
