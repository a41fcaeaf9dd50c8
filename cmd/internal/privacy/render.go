package privacy

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// width is how many characters a line of the text has.
const width = 100

// Text writes the report as plain text.
func (r *Report) Text(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", r.Title, strings.Repeat("=", utf8.RuneCountInString(r.Title)))
	b.WriteString(r.origin() + "\n\n")
	wrap(&b, "", r.Intro)
	for i, s := range r.Sections {
		title := fmt.Sprintf("%d. %s", i+1, s.Title)
		fmt.Fprintf(&b, "\n%s\n%s\n", title, strings.Repeat("-", utf8.RuneCountInString(title)))
		for _, row := range s.Rows {
			b.WriteString("\n" + row.Subject + "\n")
			wrap(&b, "    ", row.Text)
			if len(row.Keys) > 0 {
				wrap(&b, "    ", "["+joined(row.Keys)+"]")
			}
		}
	}
	title := fmt.Sprintf("%d. %s", len(r.Sections)+1, r.settingsTitle())
	fmt.Fprintf(&b, "\n%s\n%s\n\n", title, strings.Repeat("-", utf8.RuneCountInString(title)))
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "%s: %s  (%s)\n", s.Key, s.Value, r.from(s.Origin))
		wrap(&b, "    ", s.Effect)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// Markdown writes the report as Markdown.
func (r *Report) Markdown(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n%s\n", r.Title, escape(r.origin()), escape(r.Intro))
	for i, s := range r.Sections {
		fmt.Fprintf(&b, "\n## %d. %s\n\n| %s | %s | %s |\n|---|---|---|\n", i+1, s.Title, r.words("What", "Was"), r.words("Answer", "Antwort"),
			r.words("Settings", "Einstellungen"))
		for _, row := range s.Rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", escape(row.Subject), escape(row.Text), escape(joined(row.Keys)))
		}
	}
	fmt.Fprintf(&b, "\n## %d. %s\n\n| %s | %s | %s | %s |\n|---|---|---|---|\n", len(r.Sections)+1, r.settingsTitle(), r.words("Setting", "Einstellung"),
		r.words("Value", "Wert"), r.words("From", "Herkunft"), r.words("What it changes", "Was sie ändert"))
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", escape(s.Key), escape(s.Value), escape(r.from(s.Origin)), escape(s.Effect))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// settingsTitle is the title of the list of settings.
func (r *Report) settingsTitle() string {
	return r.words("Settings that this follows from", "Einstellungen, aus denen das folgt")
}

// origin says when, where and from what the report was made.
func (r *Report) origin() string {
	source := r.Source
	if source == "" {
		source = r.words("no file, defaults", "keine Datei, Vorgaben")
	}
	return fmt.Sprintf(r.words("Made on %s on host %s by Assay %s from the configuration %s.",
		"Erstellt am %s auf dem Rechner %s von Assay %s aus der Konfiguration %s."), r.Created.Format("2006-01-02 15:04 MST"), r.Host, r.Version, source)
}

// from says where a value comes from.
func (r *Report) from(origin string) string {
	if origin == "default" {
		return r.words("default", "Vorgabe")
	}
	return origin
}

// escape makes text safe in a cell of a table of Markdown.
func escape(text string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ", "_", "\\_", "*", "\\*", "`", "\\`", "<", "&lt;", "[", "\\[").Replace(text)
}

// wrap writes a text in lines.
func wrap(b *strings.Builder, indent, text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(indent+line)+1+utf8.RuneCountInString(word) > width {
			b.WriteString(indent + line + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	b.WriteString(indent + line + "\n")
}
