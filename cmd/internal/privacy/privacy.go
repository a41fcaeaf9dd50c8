// Package privacy tells from the configuration in force what Assay does with personal data: what is processed and why, what is
// kept where and for how long, who can see it, whom Assay asks in the network, and what is never stored. It is written for the
// data protection officer and the works council, in English and German.
//
// Everything it says follows from the configuration and from the files that were found; it does not judge whether that is
// lawful, which is for those who read it.
package privacy

import (
	"slices"
	"strings"
	"time"

	"assay/cmd/internal/config"
)

// A Language is a language of the report.
type Language string

// The languages.
const (
	English Language = "en"
	German  Language = "de"
)

// A File is what is known of a file or directory.
type File struct {
	Owner, Group, Mode string // "assay", "assay", "-rw-------"
	Problem            string // why nothing is known, "missing" or "hidden"; "" otherwise
}

// The problems of a File.
const (
	Missing = "missing" // it is not there, or not yet
	Hidden  = "hidden"  // whoever makes the report may not see it
)

// Input is what a report is made of.
type Input struct {
	Loaded   *config.Loaded
	Language Language
	Version  string
	Host     string
	Now      time.Time
	Stat     func(path string) File
	// Journal is what the system says about how long the journal keeps lines, setting by setting; nil if nothing was found.
	Journal []string
}

// A Report is a report about privacy.
type Report struct {
	Title    string    `json:"title"`
	Language Language  `json:"language"`
	Version  string    `json:"version"`
	Host     string    `json:"host"`
	Created  time.Time `json:"created"`
	Source   string    `json:"configuration"` // its path, "" for defaults
	Intro    string    `json:"intro"`
	Sections []Section `json:"sections"`
	Settings []Setting `json:"settings"`
	words    func(en, de string) string
}

// A Section is one question and its answers.
type Section struct {
	ID    string `json:"id"` // "processing"
	Title string `json:"title"`
	Rows  []Row  `json:"rows"`
}

// A Row is one answer.
type Row struct {
	Subject string   `json:"subject"`
	Text    string   `json:"text"`
	Keys    []string `json:"keys"` // of the configuration that the answer follows from
}

// A Setting is a key of the configuration that matters for privacy.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // "default", "file:line" or "environment NAME"
	Effect string `json:"effect"`
}

// A writer makes the sections of a report.
type writer struct {
	Input
	c *config.Config
}

// New makes a report.
func New(in Input) *Report {
	w := &writer{in, in.Loaded.Config}
	r := &Report{
		Title:    w.t("Processing of personal data by Assay", "Verarbeitung personenbezogener Daten durch Assay"),
		Language: in.Language, Version: in.Version, Host: in.Host, Created: in.Now.UTC().Truncate(time.Second), Source: in.Loaded.File,
		Intro: w.t("Assay checks inbound mail before the mail server takes it. This report follows from the configuration in force on this "+
			"host; it changes with it. Whether the processing is lawful is not for a program to say: the data protection officer decides about "+
			"the legal basis, for which the security of processing (Art. 32 GDPR) and Art. 6 GDPR are usually looked at.",
			"Assay prüft eingehende E-Mail, bevor der Mailserver sie annimmt. Dieser Bericht folgt aus der auf diesem Rechner geltenden "+
				"Konfiguration und ändert sich mit ihr. Ob die Verarbeitung rechtmäßig ist, kann ein Programm nicht sagen: Über die "+
				"Rechtsgrundlage entscheiden die Datenschutzbeauftragten; üblicherweise werden die Sicherheit der Verarbeitung (Art. 32 DSGVO) "+
				"und Art. 6 DSGVO betrachtet."),
		Sections: []Section{w.processing(), w.log(), w.storage(), w.access(), w.contacts(), w.never()},
		words:    w.t,
	}
	for _, e := range effects() {
		r.Settings = append(r.Settings, Setting{e.key, in.Loaded.Value(e.key), in.Loaded.Origin(e.key), w.t(e.en, e.de)})
	}
	return r
}

// t returns a text in the language of the report.
func (w *writer) t(en, de string) string {
	if w.Language == German {
		return de
	}
	return en
}

// row makes a row.
func (w *writer) row(subject, text string, keys ...string) Row {
	if keys == nil {
		keys = []string{}
	}
	return Row{subject, text, keys}
}

// value returns a setting as it is written in the file.
func (w *writer) value(key string) string { return w.Loaded.Value(key) }

// off says that something is switched off.
func (w *writer) off() string { return w.t("Switched off.", "Ausgeschaltet.") }

// who says who may read a file.
func (w *writer) who(path string) string {
	switch f := w.Stat(path); f.Problem {
	case Missing:
		return path + w.t(" (not there yet)", " (noch nicht vorhanden)")
	case Hidden:
		return path + w.t(" (not visible to the user who made this report)", " (für den Ersteller dieses Berichts nicht sichtbar)")
	default:
		return path + " (" + f.Mode + ", " + w.t("owner ", "Eigentümer ") + f.Owner + ", " + w.t("group ", "Gruppe ") + f.Group + ")"
	}
}

// joined lists words.
func joined(words []string) string { return strings.Join(words, ", ") }

// keysOf returns the keys of a map in alphabetical order.
func keysOf(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// period writes a span of time for people.
func (w *writer) period(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		n := int64(d / day)
		if n == 1 {
			return w.t("1 day", "1 Tag")
		}
		return plain(n) + w.t(" days", " Tage")
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// after writes a span of time as it stands behind "after" and "nach".
func (w *writer) after(d time.Duration) string {
	text := w.period(d)
	if strings.HasSuffix(text, " Tage") {
		return text + "n"
	}
	return text
}
