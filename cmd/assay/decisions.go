package main

import (
	"fmt"
	"slices"
	"strings"

	"assay/cmd/internal/config"
	"assay/milter/ruleset"
	"assay/rules"
)

// A subject is one class of scan.unscanned as rules see it.
type subject struct {
	words    string   // for people
	when     string   // CEL condition on the message
	where    string   // CEL condition on one attachment, for its removal
	shipped  []string // rules of the shipped set that the decision replaces
	severity string
}

// subjects returns the classes of scan.unscanned.
func subjects() map[string]subject {
	encrypted := func(words, class string, shipped ...string) subject {
		return subject{words: words, when: `objects.exists(o, o.encryption == "` + class + `")`,
			where: `a.encryption == "` + class + `"`, shipped: shipped, severity: "medium"}
	}
	all := map[string]subject{
		"archive":  encrypted("encrypted archive", "archive", "encrypted-archive-unauthenticated", "encrypted-archive-authenticated"),
		"document": encrypted("encrypted Office document", "document", "encrypted-document-unauthenticated", "encrypted-document-authenticated"),
		"pdf":      encrypted("encrypted PDF", "pdf", "encrypted-pdf-unauthenticated", "encrypted-pdf-authenticated"),
		"openpgp":  encrypted("content encrypted with OpenPGP", "openpgp", "encrypted-openpgp"),
		"smime":    encrypted("content encrypted with S/MIME", "smime", "encrypted-smime"),
		"other": {words: "encrypted file", severity: "medium", shipped: []string{"encrypted-other-unauthenticated", "encrypted-other-authenticated"},
			when:  `objects.exists(o, o.encryption in ["disk", "other"] || o.encrypted && o.encryption == "")`,
			where: `a.encryption in ["disk", "other"] || a.encrypted && a.encryption == ""`},
		"uninspectable": {words: "file that cannot be read", severity: "low", shipped: []string{"uninspectable-attachment"},
			when: `objects.exists(o, o.state == "uninspectable")`, where: `a.state == "uninspectable"`},
	}
	for _, class := range []struct{ name, fact string }{{"openpgp", "auth.pgp.encrypted"}, {"smime", "auth.smime.encrypted && !auth.smime.opened"}} {
		s := all[class.name]
		s.when = class.fact + " || " + s.when
		all[class.name] = s
	}
	return all
}

// A decision is the rule file that a key of the configuration stands for.
type decision struct {
	key, value string
	undo       string // the value that leaves it to rules
	text       string
}

// decisions returns the rule files that scan.unscanned and scan.virus.on_error stand for, by their names. A decision takes the
// place of the shipped rules about its class, where these are in use.
func decisions(c *config.Config) map[string]decision {
	hasShipped := slices.Contains(c.Rules.Dirs, config.Shipped) || slices.Contains(c.Rules.Dirs, config.VendorRules)
	files := map[string]decision{}
	known := subjects()
	for _, class := range c.Scan.Unscanned.Classes() {
		if class.Handling == config.Undecided || class.Handling == config.HandleRules {
			continue
		}
		files["unscanned-"+class.Name+".yaml"] = decision{
			key: "scan.unscanned." + class.Name, value: string(class.Handling), undo: string(config.HandleRules), text: known[class.Name].file(class, hasShipped),
		}
	}
	if c.Scan.Virus.OnError == config.OnVirusDeliver && hasShipped {
		files["virus-on-error.yaml"] = decision{
			key: "scan.virus.on_error", value: string(config.OnVirusDeliver), undo: string(config.OnVirusDefer),
			text: "format: 1\noverride:\n  - id: virus-scanner-unavailable\n    reason: scan.virus.on_error is deliver\n" +
				"    then: {note: \"No virus scanner was available when this mail arrived, its attachments were not scanned.\"}\n",
		}
	}
	return files
}

// decisionSource returns the rule files of decisions. origin says where a key of the configuration is set; nil if nobody knows.
func decisionSource(all map[string]decision, origin func(key string) string) rules.Source {
	texts := map[string]string{}
	for name, d := range all {
		texts[name] = d.text
	}
	setting := func(file string) rules.Setting {
		d := all[file]
		return settingOf(d.key, d.value, d.undo, origin)
	}
	return rules.Source{Name: "scan", Files: ruleset.InMemory(texts), Setting: setting}
}

// settingOf describes a key of the configuration that rules put into force.
func settingOf(key, value, undo string, origin func(key string) string) rules.Setting {
	s := rules.Setting{Text: key + " is " + value, Undo: "set " + key + " to " + undo}
	if origin != nil {
		s.Text += " (" + origin(key) + ")"
	}
	return s
}

// file returns the rule file of a decision.
func (s subject) file(class config.Class, hasShipped bool) string {
	var b strings.Builder
	b.WriteString("format: 1\n")
	if hasShipped {
		b.WriteString("override:\n")
		for _, id := range s.shipped {
			fmt.Fprintf(&b, "  - {id: %s, mode: \"off\", reason: \"scan.unscanned.%s decides unless it is rules\"}\n", id, class.Name)
		}
	}
	fmt.Fprintf(&b, "rules:\n  - id: unscanned-%s\n    title: \"Decided: %s\"\n    severity: %s\n    mode: enforce\n    controls: [APP.5.3.A4]\n", class.Name, s.words, s.severity)
	fmt.Fprintf(&b, "    description: What scan.unscanned.%s in the configuration stands for.\n    when: '%s'\n    then: %s\n", class.Name, s.when, s.then(class.Handling))
	return b.String()
}

// then returns the action.
func (s subject) then(h config.Handling) string {
	note := fmt.Sprintf("note: \"There is something that could not be checked (%s).\"", s.words)
	switch h {
	case config.HandleTag:
		return fmt.Sprintf("{tag_subject: \"[not checked]\", %s}", note)
	case config.HandleRemove:
		return fmt.Sprintf("{remove_attachments: {where: '%s', reason: \"%s, which cannot be checked\", signed: unwrap}}", strings.ReplaceAll(s.where, "'", "''"), s.words)
	case config.HandleQuarantine:
		return fmt.Sprintf("{quarantine: \"%s, which cannot be checked\"}", s.words)
	case config.HandleReject:
		return fmt.Sprintf("{reject: \"550 5.7.1 %s, which cannot be checked here, is not accepted\"}", s.words)
	}
	return "{" + note + "}"
}
