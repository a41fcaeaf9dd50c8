package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"assay/rules/facts"
	"assay/scan"
)

// A rule is one compiled rule. It is immutable once the set is loaded.
type rule struct {
	info       RuleInfo // what people see; actions and exceptions are filled in at the end
	at         item     // its id
	mode       Mode
	severity   Severity
	onError    Disposition // Deliver for none
	when       *formula
	stage      facts.Stage
	then       actions
	exceptions []*exception
	override   item // the override that changed it
}

// formulas returns every expression of a rule.
func (r *rule) formulas() []*formula {
	all := []*formula{r.when}
	for _, t := range r.then.texts() {
		for _, p := range t.parts {
			all = append(all, p.formula)
		}
	}
	if r.then.remove != nil {
		all = append(all, r.then.remove.where)
	}
	return slices.DeleteFunc(all, func(f *formula) bool { return f == nil })
}

// loadRules compiles the rules of all files.
func (l *loader) loadRules() {
	for _, f := range l.files {
		for _, it := range f.top.get("rules").all() {
			l.loadRule(f, it)
		}
	}
	for _, r := range l.rules {
		l.aliases(r)
	}
}

// loadRule compiles one rule.
func (l *loader) loadRule(f *ruleFile, it item) {
	id := it.get("id")
	r := &rule{at: id, mode: Mode(it.get("mode").text()), severity: Severity(it.get("severity").text()), info: describe(f, it)}
	r.onError = onErrors(it.get("on_error").text())
	if when := it.get("when"); when.has() {
		r.when = l.compiler.compile(snippetOf(when), l.compiler.env, condition)
		r.info.Condition = strings.TrimSpace(when.text())
		if r.when != nil {
			l.checkStage(r, it)
			l.warnConstant(r, when)
		}
	}
	if then := it.get("then"); then.has() {
		r.then = l.loadActions(then)
	}
	r.exceptions = l.loadExceptions(r.info.ID, it.get("exceptions"), nil)
	if !id.has() {
		return
	}
	if other := l.byID[r.info.ID]; other != nil {
		twice(other, id)
		return
	}
	l.byID[r.info.ID] = r
	l.rules = append(l.rules, r)
}

// twice reports a second rule of an id.
func twice(r *rule, id item) {
	if s := id.d.setting; s != nil {
		r.at.report("rule id %q is that of the rule by which the configuration is put into force (%s): give this rule another id", r.info.ID, s.Text)
		return
	}
	id.report("rule id %q is already used in %s: ids are unique over all files; to change that rule write an override", r.info.ID, r.info.Origin)
}

// describe takes over what a rule says about itself.
func describe(f *ruleFile, it item) RuleInfo {
	info := RuleInfo{
		ID: it.get("id").text(), Title: it.get("title").text(), Description: strings.TrimSpace(it.get("description").text()),
		Source: f.source.Name, Origin: it.position(), Controls: it.get("controls").texts(), References: it.get("references").texts(),
		FalsePositives: it.get("false_positives").texts(), Owner: it.get("owner").text(), Since: it.get("since").text(),
		Modified: it.get("modified").text(), Replaces: it.get("replaces").texts(), OnError: it.get("on_error").text(),
	}
	if info.OnError == "" {
		info.OnError = "none"
	}
	return info
}

// onErrors returns the disposition of a word of on_error.
func onErrors(word string) Disposition {
	switch word {
	case "junk":
		return Junk
	case "defer":
		return Defer
	case "quarantine":
		return Quarantine
	}
	return Deliver
}

// checkStage computes the stage of a rule and compares it with the one it declares.
func (l *loader) checkStage(r *rule, it item) {
	stage, fact := l.stageOf(r.when, map[string]bool{})
	r.stage = stage
	r.info.Stage = string(stage)
	declared := it.get("stage")
	if declared.has() && stageRank(stage) > stageRank(facts.Stage(declared.text())) {
		declared.report("the rule uses %s, which is known only at stage %s: write stage: %s, or leave the key out", fact, stage, stage)
	}
}

// warnConstant warns of a condition that does not depend on the message.
func (l *loader) warnConstant(r *rule, when item) {
	if !r.when.constant() {
		return
	}
	value := "always the same"
	if program, err := l.compiler.env.Program(r.when.checked, l.compiler.programOptions(false)...); err == nil {
		if v, _, err := program.Eval(map[string]any{}); err == nil {
			value = fmt.Sprintf("always %v", v.Value())
		}
	}
	when.d.warn(when.n, "the condition is %s: it uses no fact of the message; to switch a rule off write mode: off", value)
}

// aliases enters the former ids of a rule.
func (l *loader) aliases(r *rule) {
	for _, id := range r.info.Replaces {
		switch other := l.byID[id]; {
		case other == r && id == r.info.ID:
			r.at.report("rule %q cannot replace itself: take the id out of \"replaces\"", id)
		case other != nil && other != r && other.info.ID == id:
			r.at.report("rule %q replaces %q, which still is a rule in %s: remove one of the two", r.info.ID, id, other.info.Origin)
		case other != nil && other != r:
			r.at.report("rules %q and %q both replace %q: only one of them can", other.info.ID, r.info.ID, id)
		default:
			l.byID[id] = r
		}
	}
}

// loadOverrides changes the rules that are overridden.
func (l *loader) loadOverrides() {
	for _, f := range l.files {
		for _, it := range f.top.get("override").all() {
			if id := it.get("id"); id.has() {
				l.loadOverride(it, id)
			}
		}
	}
}

// loadOverride changes one rule.
func (l *loader) loadOverride(it, id item) {
	r := l.byID[id.text()]
	if s := id.d.setting; r == nil && s != nil {
		id.report("there is no rule %q, which the configuration changes (%s): are the rules that come with Assay complete in rules.dirs?", id.text(), s.Text)
		return
	}
	if r == nil {
		id.report("there is no rule %q to override%s; it may have been renamed or removed", clip(id.text()), didYouMean(id.text(), l.ids()))
		return
	}
	if r.override.has() {
		overriddenTwice(r, id)
		return
	}
	r.override = id
	r.info.Overridden, r.info.OverrideReason = id.position(), it.get("reason").text()
	changes := 0
	if mode := it.get("mode"); mode.has() {
		changes++
		r.mode = Mode(mode.text())
	}
	if severity := it.get("severity"); severity.has() {
		changes++
		r.severity = Severity(severity.text())
	}
	if then := it.get("then"); then.has() {
		changes++
		r.then = l.loadActions(then)
	}
	if more := it.get("exceptions"); more.has() {
		changes++
		r.exceptions = append(r.exceptions, l.loadExceptions(r.info.ID, more, r.exceptions)...)
	}
	if changes == 0 && l.problems.Err() == nil {
		id.report("the override changes nothing: give it a mode, a severity, exceptions or other actions (then)")
	}
}

// overriddenTwice reports a second override of a rule. Where one of the two is that of a setting, the people who have written the
// other one are told.
func overriddenTwice(r *rule, id item) {
	theirs, setting := r.override, id.d.setting
	if setting == nil {
		theirs, setting = id, r.override.d.setting
	}
	if setting == nil {
		id.report("rule %q is already overridden in %s: join the two overrides", r.info.ID, r.override.position())
		return
	}
	theirs.report("rule %q is changed by the configuration already: %s; remove this override, or %s", r.info.ID, setting.Text, setting.Undo)
}

// ids returns the ids of all rules and their former ids.
func (l *loader) ids() []string {
	var ids []string
	for id := range l.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// actions are what a rule asks for.
type actions struct {
	disposition Disposition // Deliver if it asks for none
	code        int
	enhanced    string
	text        *textParts // of the reply, or the reason for the quarantine
	release     Release    // of the quarantine
	releaseSaid bool       // by the rule itself
	tag         *textParts
	headers     []headerAction
	html        *htmlAction
	remove      *removeAction
	note        *textParts
	notify      []string
}

// A headerAction adds one header field.
type headerAction struct {
	name  string
	value textParts
}

// An htmlAction makes HTML safe.
type htmlAction struct {
	level  scan.Level
	unwrap bool
}

// A removeAction replaces attachments.
type removeAction struct {
	source string   // the condition as written
	where  *formula // the list of those it holds for
	reason *textParts
	unwrap bool
}

// texts returns every text of the actions.
func (a actions) texts() []textParts {
	var all []textParts
	for _, t := range []*textParts{a.text, a.tag, a.note} {
		if t != nil {
			all = append(all, *t)
		}
	}
	for _, h := range a.headers {
		all = append(all, h.value)
	}
	if a.remove != nil && a.remove.reason != nil {
		all = append(all, *a.remove.reason)
	}
	return all
}

// words says what the actions are, in words.
func (a actions) words() []string {
	words := []string{}
	switch a.disposition {
	case Reject, Defer:
		words = append(words, fmt.Sprintf("%s with %d %s %s", a.disposition, a.code, a.enhanced, a.text.source))
	case Quarantine:
		words = append(words, "quarantine"+a.releaseWords()+": "+a.text.source)
	case Junk:
		words = append(words, "deliver to the junk folder")
	}
	if a.tag != nil {
		words = append(words, fmt.Sprintf("put %q in front of the subject", a.tag.source))
	}
	for _, h := range a.headers {
		words = append(words, fmt.Sprintf("add the header field %s: %s", h.name, h.value.source))
	}
	if a.html != nil {
		words = append(words, fmt.Sprintf("make HTML safe (level %s%s)", a.html.level, unwrapWords(a.html.unwrap)))
	}
	if a.remove != nil {
		words = append(words, fmt.Sprintf("replace attachments with %s by a notice%s", a.remove.source, unwrapWords(a.remove.unwrap)))
	}
	if a.note != nil {
		words = append(words, "add to the summary: "+a.note.source)
	}
	if len(a.notify) > 0 {
		words = append(words, "notify "+strings.Join(a.notify, ", "))
	}
	return words
}

// releaseWords says who may release a message, if the rule does.
func (a actions) releaseWords() string {
	if !a.releaseSaid {
		return ""
	}
	return " (release: " + string(a.release) + ")"
}

// unwrapWords says that signed parts are edited as well.
func unwrapWords(unwrap bool) string {
	if unwrap {
		return ", also in signed parts"
	}
	return ""
}

// Edits reports whether the actions change the message.
func (a actions) edits() bool {
	return a.tag != nil || len(a.headers) > 0 || a.html != nil || a.remove != nil
}

// endOfDay returns the instant at which a day is over.
func endOfDay(day string) time.Time {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return time.Time{}
	}
	return t.AddDate(0, 0, 1)
}
