package facts

import (
	"reflect"
	"strings"
	"time"

	"assay/scan"
	"assay/verify/authres"
	"assay/verify/dmarc"
	"assay/verify/message"
	"assay/verify/smime"
)

// A Stage is the point in a transaction from which a fact is final.
type Stage string

// The stages, in order.
const (
	Envelope Stage = "envelope" // the commands up to DATA
	Headers  Stage = "headers"  // and the header section
	Message  Stage = "message"  // and the body
)

// A Doc describes one fact.
type Doc struct {
	Name    string   // "auth.spf.result"; "[]" stands behind a list: "urls[].host"
	Type    string   // in the words of CEL: "string", "list(string)", "map(string, list(string))"
	Values  []string // every value it can have, nil if they cannot be listed; of a list those of its elements
	Doc     string   // one line
	Example string   // a CEL expression of type bool
	Stage   Stage
	Form    Form // of its texts
}

// A line of the table in docs describes one field of one type.
type line struct {
	doc     string
	example string // "$" stands for the fact
	values  []string
	stage   Stage // "" is that of the variable it belongs to
}

// documentation holds a line for each field, named by type and field, and "Tree" for the variables themselves. The table
// is never written.
var documentation = map[string]line{
	"Tree.skipped":        {doc: "why the checks of inbound mail were not made, because the sender is trusted; empty when they were", example: `$ == ""`, values: []string{skippedNot, skippedAuthenticated, skippedNetwork, skippedLocal}},
	"Tree.from_count":     {doc: "how many mailboxes all From fields name together, at most 100", example: `$ > 1`},
	"Tree.from_problem":   {doc: "why the message has no single author; empty when it has", example: `$ == "several"`, values: []string{"", string(message.AuthorMissing), string(message.AuthorSeveralFields), string(message.AuthorMalformed), string(message.AuthorSeveral), string(message.AuthorGroup)}},
	"Tree.subject":        {doc: "decoded subject on one line", example: `$.startsWith("[EXTERN]")`},
	"Tree.size":           {doc: "octets of the message, header and body", example: `$ > 20000000`},
	"Tree.received_at":    {doc: "when the message arrived", example: `$ > timestamp("2027-01-01T00:00:00Z")`},
	"Tree.headers":        {doc: "decoded values of each header field by its name in lower case, in their order; each is cut at 4 KiB", example: `$[?"x-mailer"].orValue([]).exists(v, v.contains("PHPMailer"))`},
	"Tree.message_id":     {doc: "Message-ID with its angle brackets; empty when it is missing", example: `$ == ""`},
	"Tree.list_id":        {doc: "identifier of the mailing list (RFC 2919) in lower case; anybody can write it", example: `$ == "users.lists.example.org"`},
	"Tree.forwarded":      {doc: "List-* or Resent-* fields, an ARC set, or a broken DKIM signature of the author's domain; a hint, no proof", example: `$ && auth.dmarc.result == "fail"`, stage: Message},
	"Tree.auto_submitted": {doc: "written by a program: Auto-Submitted (RFC 3834), the null reverse-path, or Precedence: auto_reply", example: `!$`},
	"Tree.text":           {doc: "text of all parts that are shown: plain text, and behind it the text of HTML; at most 256 KiB", example: `$.matches("(?i)gift ?card")`},

	"Conn.ip":              {doc: "address of the client; empty when it is not known", example: `$ == "192.0.2.1"`},
	"Conn.rdns":            {doc: "name of the client as the MTA reports it; empty when there is none", example: `$.endsWith(".example.com")`},
	"Conn.iprev":           {doc: "whether the name of the client points back to its address (RFC 8601 Section 3)", example: `$ != "pass"`, values: results(authres.Pass, authres.Fail, authres.TempError, authres.PermError)},
	"Conn.helo":            {doc: "name the client gave in HELO or EHLO", example: `$ == "localhost"`},
	"Conn.tls":             {doc: "the last hop was encrypted", example: `!$`},
	"Conn.tls_version":     {doc: "version of TLS as the MTA names it; empty without TLS", example: `$ in ["TLSv1", "TLSv1.1"]`},
	"Conn.tls_cipher":      {doc: "cipher suite as the MTA names it; empty without TLS", example: `$.contains("CBC")`},
	"Conn.tls_bits":        {doc: "secret bits of the cipher; 0 when not known", example: `$ < 128`},
	"Conn.tls_client_cert": {doc: "the MTA has verified a certificate of the client", example: `$`},
	"Conn.sasl_user":       {doc: "identity of a client that logged in (RFC 4954); empty when it did not", example: `$ == ""`},
	"Conn.local":           {doc: "submitted on this host, not received by SMTP", example: `$`},
	"Conn.daemon":          {doc: "name of the MTA's daemon or service; empty when it gave none", example: `$ == "submission"`},

	"Path.email":      {doc: "address, the domain in lower case and as A-labels; empty for the null reverse-path", example: `$ == "bounces@example.com"`},
	"Path.local":      {doc: "local part without quoting", example: `$ == "postmaster"`},
	"Path.domain":     {doc: "domain in lower case and as A-labels", example: `$ == "example.com"`},
	"Path.org_domain": {doc: "organizational domain by the public suffix list; empty for an address literal", example: `$ == "example.com"`},

	"Mailbox.name":       {doc: "decoded display name on one line; empty when there is none", example: `$ == "Erika Mustermann"`},
	"Mailbox.email":      {doc: "address, the domain in lower case and as A-labels; empty when there is none", example: `$ == "erika@example.com"`},
	"Mailbox.local":      {doc: "local part without quoting", example: `$ == "erika"`},
	"Mailbox.domain":     {doc: "domain in lower case and as A-labels", example: `$ == "example.com"`},
	"Mailbox.org_domain": {doc: "organizational domain by the public suffix list; empty for an address literal", example: `$ == "example.com"`},

	"HTML.present":  {doc: "the message has HTML that is shown, not attached", example: `$`},
	"HTML.active":   {doc: "kinds of what would act on its own, as of findings without the html. in front", example: `$.exists(kind, kind == "script")`},
	"HTML.forms":    {doc: "how many forms there are", example: `$ > 0`},
	"HTML.scripts":  {doc: "how many scripts there are", example: `$ > 0`},
	"HTML.remote":   {doc: "how many things would be loaded without a click", example: `$ > 50`},
	"HTML.trackers": {doc: "how many invisible images are there to report that the message was read", example: `$ > 0`},

	"URL.href":       {doc: "address as written", example: `$.contains("login")`},
	"URL.scheme":     {doc: "scheme in lower case; empty for a relative address", example: `$ == "file"`},
	"URL.host":       {doc: "host in lower case and as A-labels, of mailto: the domain; empty when there is none", example: `$ == "example.com"`},
	"URL.org_domain": {doc: "organizational domain of the host; empty for an address", example: `$ == "example.com"`},
	"URL.text":       {doc: "what the reader sees in place of the address; empty when nothing is shown", example: `$.contains("Login")`},
	"URL.text_host":  {doc: "host that the shown text names; empty when it does not look like an address", example: `$ == "www.example.com"`},
	"URL.mismatch":   {doc: "the shown text names a host of another organizational domain than the one it leads to", example: `$`},
	"URL.source":     {doc: "where it was found: plain text, a link, the target of a form, or loaded without a click", example: `$ == "form"`, values: []string{string(scan.FromText), string(scan.FromAnchor), string(scan.FromForm), string(scan.FromRemote)}},
	"URL.section":    {doc: "IMAP section of the part", example: `$ == "1.2"`},

	"Object.name":          {doc: "file name as a person sees it, decoded and without tricks; empty when there is none", example: `$.startsWith("Rechnung")`},
	"Object.names":         {doc: "every name that a mail program could show or save it under", example: `$.exists(n, n.contains(".pdf."))`},
	"Object.ext":           {doc: "extension of the name in lower case without the dot; empty when there is none", example: `$ in ["iso", "img", "vhd"]`},
	"Object.exts":          {doc: "extensions of all names", example: `"exe" in $`},
	"Object.type":          {doc: "media type that the message or the archive claims, in lower case", example: `$ == "application/pdf"`},
	"Object.sniffed":       {doc: "media type by content; application/octet-stream when it is not known", example: `$ == "application/zip"`},
	"Object.size":          {doc: "octets, decoded", example: `$ > 10000000`},
	"Object.depth":         {doc: "0 for an attachment, 1 for what is inside of one, and so on", example: `$ > 3`},
	"Object.section":       {doc: "IMAP section of the part that carries it", example: `$ == "2"`},
	"Object.path":          {doc: "section and names from the outside to the inside", example: `$.startsWith("2/")`},
	"Object.state":         {doc: "how much of it could be looked at, or that a virus scanner calls it bad", example: `$ == "uninspectable"`, values: []string{string(scan.Inspected), string(scan.Encrypted), string(scan.Uninspectable), string(scan.Bad)}},
	"Object.encrypted":     {doc: "it cannot be read without a key", example: `$`},
	"Object.encryption":    {doc: "class of the encryption: archive, document, pdf, openpgp, smime, disk, other; empty when not encrypted", example: `$ == "archive"`, values: []string{"", "archive", "document", "pdf", "openpgp", "smime", "disk", "other"}},
	"Object.method":        {doc: "how it is encrypted, or why it could not be looked at, in words", example: `$ == "ZipCrypto"`},
	"Object.opened":        {doc: "how an encrypted file was opened all the same: with the empty password, with the one that Office tries by itself, with a password from the mail or the configuration, with a key of the gateway; empty when it was not, or is not encrypted", example: `$ == "default"`, values: []string{"", "empty", "default", "password", "key"}},
	"Object.has_macros":    {doc: "a document with macros", example: `$`},
	"Object.active":        {doc: "it acts by itself when it is opened, or one click later: macros, DDE, remote templates and objects, embedded objects, scripts in PDF and HTML", example: `$`},
	"Object.executable":    {doc: "runs when it is opened: programs, scripts, shortcuts, installers", example: `$`},
	"Object.html":          {doc: "HTML, XHTML, SVG or MHTML sent as a file", example: `$`},
	"Object.double_ext":    {doc: "the name has an extension of a document before that of a program: invoice.pdf.exe", example: `$`},
	"Object.rtlo":          {doc: "a control character reverses a part of the name", example: `$`},
	"Object.type_mismatch": {doc: "the content is of another type than the name or the message says", example: `$`},
	"Object.traits":        {doc: "stable words for what is odd or active about it", example: `"disk-image" in $`},
	"Object.inside":        {doc: "names of all that it contains, at any depth", example: `$.exists(n, n.endsWith(".js"))`},
	"Object.sha256":        {doc: "SHA-256 of the decoded octets in lower-case hex", example: `$ == "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`},
	"Object.inline":        {doc: "shown as a part of the text", example: `!$`},

	"SPF.result":      {doc: "outcome for MAIL FROM", example: `$ == "fail"`, stage: Envelope, values: results(authres.Pass, authres.Fail, authres.SoftFail, authres.Neutral, authres.TempError, authres.PermError)},
	"SPF.domain":      {doc: "domain whose policy was evaluated", example: `$ == "example.com"`, stage: Envelope},
	"SPF.aligned":     {doc: "SPF has passed for a domain that is aligned with the author's", example: `$`, stage: Headers},
	"SPF.helo_result": {doc: "outcome for HELO; for the null reverse-path it is that for MAIL FROM", example: `$ == "fail"`, stage: Envelope, values: results(authres.Pass, authres.Fail, authres.SoftFail, authres.Neutral, authres.TempError, authres.PermError)},
	"SPF.reason":      {doc: "why, in words, unless it passed", example: `$ != ""`, stage: Envelope},

	"DKIM.result":  {doc: "pass when a signature passes, else the outcome of the first", example: `$ == "none"`, values: results(authres.Pass, authres.Fail, authres.Policy, authres.Neutral, authres.TempError, authres.PermError)},
	"DKIM.aligned": {doc: "a signature has passed whose domain is aligned with the author's", example: `$`},

	"Signature.result":     {doc: "outcome for this signature", example: `$ == "pass"`, values: results(authres.Pass, authres.Fail, authres.Policy, authres.Neutral, authres.TempError, authres.PermError)},
	"Signature.domain":     {doc: "signing domain, d=", example: `$ == "example.com"`},
	"Signature.selector":   {doc: "selector, s=", example: `$ == "2026"`},
	"Signature.identifier": {doc: "agent or user identifier, i=", example: `$ == "@example.com"`},
	"Signature.aligned":    {doc: "the signing domain is aligned with the author's, whatever the result", example: `$`},
	"Signature.bits":       {doc: "bits of the key; 0 when none was found", example: `$ > 0 && $ < 2048`},
	"Signature.algorithm":  {doc: "algorithm, a=", example: `$ == "ed25519-sha256"`},
	"Signature.testing":    {doc: "the key is published as a test (t=y)", example: `$`},
	"Signature.reason":     {doc: "why, in words, unless it passed", example: `$ != ""`},

	"DMARC.result":        {doc: "outcome of DMARC; none when the author's domain has no policy", example: `$ == "fail"`, values: results(authres.Pass, authres.Fail, authres.TempError, authres.PermError)},
	"DMARC.policy":        {doc: "what is to be done on fail, local policy included; empty without a policy", example: `$ == "reject"`, values: policies()},
	"DMARC.published":     {doc: "policy that the owner publishes for this domain; empty without one", example: `$ == "none"`, values: policies()},
	"DMARC.domain":        {doc: "author domain that was evaluated; empty when From names none", example: `$ == "example.com"`},
	"DMARC.org_domain":    {doc: "its organizational domain as DMARC finds it", example: `$ == "example.com"`},
	"DMARC.policy_domain": {doc: "where the policy was found; empty without one", example: `$ == "example.com"`},
	"DMARC.testing":       {doc: "the owner only tests the policy (t=y)", example: `$`},
	"DMARC.reason":        {doc: "why, in words, unless it passed", example: `$ != ""`},
	"DMARC.override":      {doc: "why policy is not what is published, in RFC 9990's words; empty when it is", example: `$ == "trusted_forwarder"`, values: append([]string{""}, overrides()...)},

	"ARC.result":         {doc: "state of the chain", example: `$ == "pass"`, values: results(authres.Pass, authres.Fail, authres.TempError, authres.PermError)},
	"ARC.instance":       {doc: "number of hops that have sealed the message", example: `$ > 5`},
	"ARC.trusted_sealer": {doc: "the chain passes and its newest sealers are trusted by the configuration", example: `$`},
	"ARC.sealer":         {doc: "domain of the newest seal; empty without a chain", example: `$ == "example.com"`},
	"ARC.sealers":        {doc: "domains of all seals, oldest first", example: `"example.com" in $`},
	"ARC.original_dmarc": {doc: "outcome of DMARC that the oldest trusted sealer has recorded", example: `$ == "pass"`, values: everyResult()},
	"ARC.original_from":  {doc: "author domain of that outcome", example: `$ == "example.com"`},

	"SMIME.signed":           {doc: "there is a signature somewhere in the message", example: `$`},
	"SMIME.encrypted":        {doc: "there is encryption somewhere in the message", example: `$`},
	"SMIME.opened":           {doc: "the whole message was encrypted, and a key of the gateway has opened it: the verdict is about what is inside", example: `$`},
	"SMIME.result":           {doc: "outcome as RFC 7281 has it", example: `$ in ["fail", "policy"]`, values: results(authres.Pass, authres.Fail, authres.Policy, authres.Neutral, authres.TempError, authres.PermError)},
	"SMIME.state":            {doc: "the verdict in one word", example: `$ == "altered"`, values: states()},
	"SMIME.reason":           {doc: "why, in words, unless verified or unsigned", example: `$ != ""`},
	"SMIME.whole":            {doc: "the signature covers the whole body", example: `!$`},
	"SMIME.signer_email":     {doc: "mailbox of the certificate that counts", example: `$ == "erika@example.com"`},
	"SMIME.signer_name":      {doc: "name of the person, when the authority has validated it", example: `$ == "Erika Mustermann"`},
	"SMIME.organization":     {doc: "name of the organization, when the authority has validated it", example: `$ == "Example GmbH"`},
	"SMIME.issuer":           {doc: "distinguished name of the issuer of the certificate", example: `$.contains("D-TRUST")`},
	"SMIME.root":             {doc: "common name of the root that the path ends in; empty without a path", example: `$ == "Example Root CA"`},
	"SMIME.trust":            {doc: "what the certificate leads to", example: `$ == "private"`, values: trusts()},
	"SMIME.identity":         {doc: "whether the signer is the author", example: `$ == "differs"`, values: []string{none, string(smime.Matches), string(smime.Differs), string(smime.NoMailbox), string(smime.NoAuthor)}},
	"SMIME.revocation":       {doc: "what is known about revocation", example: `$ == "revoked"`, values: []string{none, string(smime.RevocationGood), string(smime.RevocationRevoked), string(smime.RevocationUnknown), string(smime.RevocationOff)}},
	"SMIME.validation_level": {doc: "what a public authority has validated", example: `$ == "mailbox"`, values: []string{none, string(smime.MailboxValidated), string(smime.OrganizationValidated), string(smime.SponsorValidated), string(smime.IndividualValidated)}},
	"SMIME.qualified":        {doc: "what the certificate claims about qualified signatures, in words; empty for nothing", example: `$ != ""`},
	"SMIME.not_after":        {doc: "end of the certificate's validity; the year 1 without a certificate", example: `$ < received_at + duration("720h")`},
	"SMIME.self_signed":      {doc: "the certificate vouches for itself", example: `$`},
	"SMIME.private":          {doc: "the path ends in a root of the configuration", example: `$`},
	"SMIME.flags":            {doc: "stable words for what is odd but does not change the verdict", example: `"old-signature" in $`},

	"PGP.signed":    {doc: "an OpenPGP signature, PGP/MIME or in the text; it is not verified", example: `$`},
	"PGP.encrypted": {doc: "OpenPGP encryption, PGP/MIME or in the text", example: `$`},

	"MIME.parts":   {doc: "number of parts, multiparts included", example: `$ > 100`},
	"MIME.depth":   {doc: "levels of nesting, 1 for a message without parts", example: `$ > 10`},
	"MIME.defects": {doc: "codes of all departures from the standards, each once", example: `"mime.boundary.prefix" in $`},
	"MIME.tier":    {doc: "how much the worst of them matters; empty when there is none", example: `$ == "ambiguous"`, values: []string{tierNone, tierInfo, tierSuspicious, tierAmbiguous}},

	"Finding.kind":    {doc: "what was seen, in dotted words", example: `$ == "html.script"`},
	"Finding.section": {doc: "IMAP section of the part; empty for the whole message", example: `$ == "1.2"`},
	"Finding.detail":  {doc: "for people; may quote the message", example: `$.contains("meta")`},
	"Finding.count":   {doc: "how often it was seen in that part", example: `$ > 10`},

	"Limits.exceeded": {doc: "something was too much to be looked at, so there is more than the facts say", example: `$`},
	"Limits.names":    {doc: "names of the limits", example: `"limit.depth" in $`},

	"Virus.state": {doc: "what the virus scanners say: nothing was found, something was, there is no verdict about everything; empty when none is configured", example: `$ == "found"`, values: []string{string(scan.VirusOff), string(scan.VirusClean), string(scan.VirusError), string(scan.VirusFound)}},
	"Virus.names": {doc: "names of what was found, as the scanners call it", example: `$.exists(n, n.startsWith("PUA."))`},
	"Virus.error": {doc: "why there is no verdict; empty when there is one", example: `$ != ""`},

	"Upstream.spam_flag":  {doc: "X-Spam-Flag or X-Spam says yes; anybody can write it", example: `$`},
	"Upstream.spam_score": {doc: "number in X-Spam-Score, X-Rspamd-Score or X-Spam-Status; 0 without; anybody can write it", example: `$ >= 15.0`},
}

// stages are those of the variables. The table is never written.
var stages = map[string]Stage{
	"conn": Envelope, "skipped": Envelope, "mail_from": Envelope, "rcpts": Envelope, "received_at": Envelope,
	"from": Headers, "from_all": Headers, "from_count": Headers, "from_problem": Headers, "reply_to": Headers, "sender": Headers,
	"subject": Headers, "headers": Headers, "message_id": Headers, "list_id": Headers, "auto_submitted": Headers, "upstream": Headers,
}

// results are words for outcomes, with "none" for a check that was not made.
func results(list ...authres.Result) []string {
	out := []string{none}
	for _, r := range list {
		out = append(out, string(r))
	}
	return out
}

// everyResult are all words of RFC 8601.
func everyResult() []string {
	return results(authres.Pass, authres.Fail, authres.SoftFail, authres.Neutral, authres.Policy, authres.TempError, authres.PermError)
}

func policies() []string {
	return []string{"", string(dmarc.PolicyNone), string(dmarc.PolicyQuarantine), string(dmarc.PolicyReject)}
}

func states() []string {
	return []string{
		none, string(smime.Verified), string(smime.Malformed), string(smime.Altered), string(smime.Unsupported),
		string(smime.Incomplete), string(smime.Unavailable), string(smime.Revoked), string(smime.Untrusted), string(smime.Weak),
		string(smime.Stale), string(smime.WrongSender), string(smime.Partial), string(smime.Encrypted), string(smime.CertsOnly),
		string(smime.Compressed), string(smime.Unsigned),
	}
}

func trusts() []string {
	return []string{
		none, string(smime.PublicRoot), string(smime.PrivateRoot), string(smime.SelfSigned), string(smime.UnknownRoot),
		string(smime.NoPath), string(smime.Expired), string(smime.NotYetValid), string(smime.NotForMail), string(smime.Constrained),
	}
}

// Docs describes every fact, in the order of Tree.
func Docs() []Doc {
	var out []Doc
	leaves(reflect.TypeFor[Tree](), "", func(l leaf) {
		entry := documentation[l.key]
		out = append(out, Doc{
			Name: l.name, Type: celType(l.typ).String(), Values: entry.values, Doc: entry.doc, Example: example(l.name, entry.example),
			Stage: l.stage(), Form: forms[l.key],
		})
	})
	return out
}

// A leaf is a fact that has a line in the documentation.
type leaf struct {
	name string // "urls[].host"
	key  string // "URL.host"
	typ  reflect.Type
}

// stage is that of the leaf itself, else that of its variable.
func (l leaf) stage() Stage {
	if s := documentation[l.key].stage; s != "" {
		return s
	}
	return variableStage(l.name)
}

// variableStage is the stage of the variable that a dotted name begins with.
func variableStage(name string) Stage {
	if i := strings.IndexAny(name, ".["); i >= 0 {
		name = name[:i]
	}
	if s := stages[name]; s != "" {
		return s
	}
	return Message
}

// leaves visits the facts below a struct.
func leaves(t reflect.Type, prefix string, visit func(leaf)) {
	for i := range t.NumField() {
		field := t.Field(i)
		name := prefix + nameOf(field)
		switch s := structOf(field.Type); {
		case s == nil:
			visit(leaf{name, t.Name() + "." + nameOf(field), field.Type})
		case field.Type.Kind() == reflect.Slice:
			leaves(s, name+"[].", visit)
		default:
			leaves(s, name+".", visit)
		}
	}
}

// example puts the fact in place of "$"; that of an element of a list is asked of any element.
func example(name, template string) string {
	list, field, found := strings.Cut(name, "[].")
	if !found {
		return strings.ReplaceAll(template, "$", name)
	}
	return list + ".exists(x, " + strings.ReplaceAll(template, "$", "x."+field) + ")"
}

// Enum returns every value that a field can have, nil if they cannot be listed. The type is named as in CEL, "facts.SPF";
// "" asks for a variable.
func Enum(typeName, field string) []string {
	typeName = strings.TrimPrefix(typeName, "facts.")
	if typeName == "" {
		typeName = "Tree"
	}
	return documentation[typeName+"."+field].values
}

// StageOf returns the stage of a fact with a dotted name such as "auth.spf.result" or "urls[].host", and whether there is
// such a fact. A name that stands for several has the stage of the last of them.
func StageOf(name string) (Stage, bool) {
	found := Stage("")
	name = strings.ReplaceAll(name, "[]", "")
	leaves(reflect.TypeFor[Tree](), "", func(l leaf) {
		other := strings.ReplaceAll(l.name, "[]", "")
		if other == name || strings.HasPrefix(other, name+".") {
			found = later(found, l.stage())
		}
	})
	return found, found != ""
}

// later returns the later of two stages.
func later(a, b Stage) Stage {
	order := map[Stage]int{Envelope: 1, Headers: 2, Message: 3}
	if order[b] > order[a] {
		return b
	}
	return a
}

// SizeHint bounds the size of a value for estimates of cost: octets of a string, elements of a list or map. The path is a
// dotted name in which the elements of a list are written as "@items", or "[]", and those of a map as "@keys" and
// "@values". A path that is no fact has the sizes 0 and 0.
func SizeHint(path string) (low, high uint64) {
	t := reflect.TypeFor[Tree]()
	name := ""
	for _, step := range strings.FieldsFunc(strings.ReplaceAll(path, "[]", ".@items"), func(r rune) bool { return r == '.' }) {
		field, ok := below(t, step)
		if !ok {
			return 0, 0
		}
		t = field
		name = strings.TrimPrefix(name+"."+step, ".")
	}
	return 0, highest(name, t)
}

// below returns the type of a field, or of the elements of a list or map.
func below(t reflect.Type, step string) (reflect.Type, bool) {
	switch {
	case step == "@items" && t.Kind() == reflect.Slice, step == "@values" && t.Kind() == reflect.Map:
		return t.Elem(), true
	case step == "@keys" && t.Kind() == reflect.Map:
		return t.Key(), true
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]():
		return nil, false
	}
	for i := range t.NumField() {
		if nameOf(t.Field(i)) == step {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}

// highest is the greatest size of a value.
func highest(name string, t reflect.Type) uint64 {
	switch t.Kind() {
	case reflect.String:
		if name == "text" {
			return MaxText
		}
		return MaxString
	case reflect.Map:
		return MaxHeaders
	case reflect.Slice:
		return longest(name)
	}
	return 1
}

// longest is the greatest number of elements of a list.
func longest(name string) uint64 {
	switch name {
	case "urls":
		return MaxURLs
	case "attachments", "objects":
		return MaxObjects
	case "rcpts", "from_all", "reply_to":
		return MaxAddresses
	case "headers.@values":
		return MaxHeaders
	case "attachments.@items.inside", "objects.@items.inside":
		return MaxInside
	}
	return MaxList
}
