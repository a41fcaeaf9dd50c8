package rules

import "assay/rules/facts"

// testKeys are the keys of a test file. Package ruletest reads them; here they are described to editors.
func testKeys() object {
	test := object{name: "a test", keys: []key{
		{"name", "What the test shows.", true, text{example: "an exception for the partner"}},
		{"facts", "The facts of the message; what is not stated is empty.", false, statedFacts{}},
		{"eml", "A message, as a path beside the test file.", false, text{example: "testdata/invoice.eml"}},
		{"session", "How the message arrived.", false, sessionKeys()},
		{"dns", "A zone file that stands for the DNS.", false, text{example: "testdata/invoice.zone"}},
		{"now", "When the message arrives.", false, text{example: "2026-11-01T12:00:00Z"}},
		{"modes", "enforce tests the rules as if all of them were enforced.", false, choice{"enforce"}},
		{"expect", "What the rules decide.", true, expectKeys()},
	}}
	return object{name: "a test file", keys: []key{
		{"format", "The format of the file, which is 1.", true, version{}},
		{"extend_lists", "Entries that lists have in these tests.", false, named{"list", object{name: "a list of tests", keys: []key{
			{"items", "The entries.", false, sequence{of: text{}}}}}}},
		{"tests", "The tests.", true, sequence{of: test}},
	}}
}

// sessionKeys are the keys of a session.
func sessionKeys() object {
	return object{name: "a session", keys: []key{
		{"client_ip", "Address of the client.", false, text{example: "192.0.2.1"}},
		{"client_name", "Name of the client as the MTA reports it.", false, text{example: "mail.example.net"}},
		{"helo", "Argument of HELO or EHLO.", false, text{example: "mail.example.net"}},
		{"mail_from", "Reverse-path.", false, text{example: "a@example.net"}},
		{"rcpts", "Forward-paths.", false, sequence{of: text{example: "b@example.com"}}},
		{"tls", "Version of TLS.", false, text{example: "TLSv1.3"}},
		{"tls_cipher", "Cipher suite.", false, text{example: "TLS_AES_256_GCM_SHA384"}},
		{"auth_user", "SASL identity of a client that logged in.", false, text{example: "erika"}},
		{"local", "Submitted on this host.", false, boolean{}},
		{"daemon", "Name of the MTA's daemon or service.", false, text{example: "submission"}},
	}}
}

// expectKeys are the keys of what a test expects.
func expectKeys() object {
	words := sequence{of: text{}}
	ids := sequence{of: text{example: "macro-document"}}
	return object{name: "expect", keys: []key{
		{"fired", "Ids of exactly the enforced rules that fire.", false, ids},
		{"fired_includes", "Ids of rules that fire, among others.", false, ids},
		{"not_fired", "Ids of rules that do not fire.", false, ids},
		{"monitored", "Ids of exactly the monitored rules whose condition holds.", false, ids},
		{"excepted", "Ids of exactly the rules that an exception keeps from firing.", false, ids},
		{"errors", "Ids of exactly the rules that cannot be evaluated.", false, ids},
		{"disposition", "What happens to the message.", false, choice(names[:])},
		{"reply", "The reply of a refusal.", false, text{}},
		{"subject", "The subject with all tags.", false, text{}},
		{"notes", "The notes in the summary.", false, words},
		{"tags", "The tags of the subject.", false, words},
		{"headers", "The header fields that are added, each as \"Name: value\".", false, words},
		{"removed", "The attachments that are removed.", false, words},
		{"notify", "The channels that get a message.", false, words},
		{"html", "The levels to which HTML is made safe.", false, sequence{of: levels()}},
		{"trust", "The trust that mail clients show.", false,
			choice{string(Verified), string(Authenticated), string(Unverified), string(Suspicious), string(Forged)}},
	}}
}

// statedFacts are the facts of a test, described by the documentation of the facts.
type statedFacts struct{ named }

func (statedFacts) schema() map[string]any {
	c := newCatalog()
	return c.schema("")
}

// schema describes the facts below a path.
func (c *catalog) schema(path string) map[string]any {
	properties := map[string]any{}
	for _, name := range c.children[path] {
		below := name
		if path != "" {
			below = path + "." + name
		}
		switch {
		case c.docs[below].Name != "":
			properties[name] = factSchema(c.docs[below])
		case c.isList(below):
			properties[name] = map[string]any{"type": "array", "items": c.schema(below + "[]")}
		default:
			properties[name] = c.schema(below)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

// factSchema describes one fact.
func factSchema(doc facts.Doc) map[string]any {
	one := map[string]any{"type": "string"}
	if doc.Values != nil {
		one = map[string]any{"enum": doc.Values}
	}
	s := one
	switch doc.Type {
	case "bool":
		s = map[string]any{"type": "boolean"}
	case "int":
		s = map[string]any{"type": "integer"}
	case "double":
		s = map[string]any{"type": "number"}
	case "list(string)":
		s = map[string]any{"type": "array", "items": one}
	case "map(string, list(string))":
		s = map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}
	}
	s["description"] = doc.Doc
	return s
}
