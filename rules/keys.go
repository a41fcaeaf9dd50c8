package rules

// Engine is the level of the rule language. A rule that needs a newer one says so in "requires".
const Engine = 1

// fileKeys are the keys of a rule file.
func fileKeys() object {
	return object{name: "a rule file", keys: []key{
		{"format", "The format of the file, which is 1.", true, version{}},
		{"macros", "Conditions with a name, which other conditions use like a fact. A name is defined once over all files. " +
			"Macros are evaluated when they are first needed, once per message.", false,
			named{"macro", expression{text{example: `auth.dmarc.result == "pass"`}}}},
		{"lists", "Lists with a name, for listed(), listed_any() and lookalike(). Entries are compared without case and " +
			"accents; .example.com matches the domains below example.com, @example.com the addresses of that domain.", false,
			named{"list", listKeys()}},
		{"extend_lists", "Adds entries to lists that are defined elsewhere.", false, named{"list", listKeys()}},
		{"rules", "The rules. All of them are evaluated; the strictest disposition wins and changes add up.", false, sequence{of: ruleKeys()}},
		{"override", "Changes single fields of rules that are defined elsewhere, by id.", false, sequence{of: overrideKeys()}},
		{"recipient_groups", "Groups of recipients that get transactions of their own when split_recipients is on.", false,
			named{"recipient group", sequence{of: recipient()}}},
	}}
}

// listKeys are the keys of a list.
func listKeys() object {
	return object{name: "a list", empty: "the list has neither items nor a file: write items: [one, two], or file: name.txt", keys: []key{
		{"items", "The entries.", false, sequence{of: text{example: "example.com"}}},
		{"file", "A text file with one entry per line; # begins a comment. The path is relative to the rule file, or absolute.", false,
			text{example: "domains.txt"}},
	}}
}

// ruleKeys are the keys of a rule.
func ruleKeys() object {
	return object{name: "a rule", keys: []key{
		{"id", "The name of the rule in logs, metrics, exceptions and overrides; it never changes. Lower-case letters, digits and dashes.", true, slug()},
		{"title", "One line that says what the rule is about. It is shown in reports and logs.", true, text{example: "Encrypted archive from an unknown sender"}},
		{"description", "What the rule finds and why, for colleagues.", false, text{}},
		{"severity", "How serious it is that the rule fires. From high on, the message is marked as suspicious.", true, severities()},
		{"mode", "What happens when the condition holds: enforce carries the actions out, monitor only counts and logs, off skips the rule.", true, modes()},
		{"stage", "The latest stage whose facts the condition may use.", false, choice{"envelope", "headers", "message"}},
		{"when", "The condition, a CEL expression over facts, macros and lists.", true, expression{text{example: `auth.spf.result == "fail"`}}},
		{"then", "What is done when the condition holds. {} only counts and logs.", true, actionKeys()},
		{"exceptions", "Messages the rule does not apply to although its condition holds.", false, sequence{of: exceptionKeys()}},
		{"on_error", "What happens to a message for which the rule cannot be evaluated. Default: none, the rule counts as not fired.", false,
			choice{"none", "junk", "defer", "quarantine"}},
		{"references", "Links, RFCs, ATT&CK ids.", false, sequence{of: text{example: "https://attack.mitre.org/techniques/T1656/"}}},
		{"controls", "Requirements that the rule helps to meet; they feed the compliance report.", false, sequence{of: text{example: "APP.5.3.A4"}}},
		{"false_positives", "Legitimate messages that the rule is known to hit.", false, sequence{of: text{}, single: true}},
		{"owner", "Who answers for the rule.", false, text{example: "it-security@example.com"}},
		{"since", "The day the rule was written.", false, day()},
		{"modified", "The day the rule was last changed.", false, day()},
		{"replaces", "Former ids of the rule; overrides and tests may go on using them.", false, sequence{of: slug(), single: true}},
		{"requires", "The level of the rule language that the rule needs.", false, level()},
	}}
}

// modes are the modes of a rule.
func modes() choice { return choice{string(Enforce), string(Monitor), string(Off)} }

// severities are the severities of a rule.
func severities() choice {
	return choice{string(Info), string(Low), string(Medium), string(High), string(Critical)}
}

// unwrapKey lets an edit touch signed parts.
func unwrapKey() key {
	return key{"signed", "unwrap also edits parts under a signature, which does not verify any more then.", false, choice{"unwrap"}}
}

// actionKeys are the keys of "then".
func actionKeys() object {
	header := object{name: "add_header", keys: []key{
		{"name", "Name of the field; it begins with the configured prefix.", true, text{example: "X-Assay-Note"}},
		{"value", "Value of the field; may hold ${expressions}.", true, template{text{example: "from ${from.domain}"}}},
	}}
	return object{name: "then", keys: []key{
		{"reject", "Refuses the message: code, enhanced code and text. May hold ${expressions}.", false, template{text{example: "550 5.7.1 not accepted here"}}},
		{"defer", "Refuses the message for now; the sending side tries again. A text, or code, enhanced code and text.", false,
			template{text{example: "451 4.7.1 try again later"}}},
		{"quarantine", "Keeps the message aside, for this reason. May hold ${expressions}.", false,
			either{template{text{example: "encrypted archive"}}, object{name: "quarantine", keys: []key{
				{"reason", "Why. May hold ${expressions}.", true, template{text{example: "encrypted archive"}}},
				{"release", "Who may release the message: user, its recipient; operator; or never. Default: quarantine.release_class of the " +
					"configuration. Of several rules the strictest counts.", false, releases()}}}}},
		{"junk", "Delivers the message to the junk folder.", false, boolean{only: true}},
		{"tag_subject", "A text in front of the subject. May hold ${expressions}.", false, template{text{example: `"[external]"`}}},
		{"add_header", "A header field, or a list of them.", false, sequence{of: header, single: true}},
		{"strip_active_html", "Takes out of HTML: active, whatever acts on its own; remote, also whatever is loaded from elsewhere; text, all but the text.",
			false, either{levels(), object{name: "strip_active_html", keys: []key{
				{"level", "active, remote or text.", true, levels()}, unwrapKey()}}}},
		{"remove_attachments", "Replaces attachments by a notice: a condition over the attachment a.", false,
			either{expression{text{example: "a.has_macros"}}, object{name: "remove_attachments", keys: []key{
				{"where", "The condition over the attachment a.", true, expression{text{example: "a.has_macros"}}},
				{"reason", "A sentence for the notice; the title of the rule by default. May hold ${expressions}.", false, template{text{example: "macros are not accepted"}}},
				unwrapKey()}}}},
		{"note", "A sentence for the summary that people read. May hold ${expressions}.", false, template{text{example: "the sender is not confirmed"}}},
		{"notify", "A channel of the configuration that gets a message, or a list of them; the word recipients stands for the recipients, who are " +
			"told when the message is quarantined.", false, sequence{of: text{example: "security-team"}, single: true}},
	}}
}

// releases are the classes of release.
func releases() choice {
	return choice{string(ReleaseUser), string(ReleaseOperator), string(ReleaseNever)}
}

// levels are the levels of strip_active_html.
func levels() choice { return choice{"active", "remote", "text"} }

// exceptionKeys are the keys of an exception.
func exceptionKeys() object {
	return object{name: "an exception", keys: []key{
		{"id", "The name of the exception in logs.", true, slug()},
		{"sender", "The address in From.", false, text{example: "news@example.net", valid: wrongAddress}},
		{"sender_domain", "The domain in From; .example.net matches the domains below it.", false, text{example: "example.net", valid: wrongDomain}},
		{"recipients", "Recipients; every recipient of the message must be among them.", false, sequence{of: recipient(), single: true}},
		{"client", "Addresses of the SMTP client, in CIDR notation.", false, text{example: "192.0.2.0/24", valid: wrongPrefix}},
		{"authenticated", "Whether the sender must be authenticated. Default: true; with false anybody can forge a sender to match.", false, boolean{}},
		{"reason", "Why the exception is there.", true, text{example: "monthly report, ticket SEC-412"}},
		{"owner", "Who answers for the exception.", true, text{example: "it-security@example.com"}},
		{"expires", "The last day the exception applies, in UTC.", true, day()},
	}}
}

// overrideKeys are the keys of an override.
func overrideKeys() object {
	return object{name: "an override", keys: []key{
		{"id", "The rule that is changed.", true, slug()},
		{"mode", "The new mode.", false, modes()},
		{"severity", "The new severity.", false, severities()},
		{"then", "The new actions, in place of the old ones.", false, actionKeys()},
		{"exceptions", "Exceptions that are added.", false, sequence{of: exceptionKeys()}},
		{"reason", "Why the rule is changed.", false, text{example: "rollout until 15 January"}},
	}}
}

// slug is an id.
func slug() text {
	return text{example: "macro-document", pattern: `^[a-z0-9]+(-[a-z0-9]+)*$`, valid: wrongSlug}
}

// day is a date.
func day() date { return date{text{example: "2027-06-30", valid: wrongDay}} }

// level is a level of the rule language.
func level() text { return text{example: "1", pattern: `^[1-9][0-9]*$`, valid: wrongLevel} }

// recipient is a pattern of recipients.
func recipient() text { return text{example: `"@example.com"`, valid: wrongRecipient} }
