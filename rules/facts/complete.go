package facts

import (
	"fmt"
	"slices"
	"strings"

	"assay/scan"
)

// complete fills in what follows from what is stated, see Decode. given reports whether a fact was stated.
func (t *Tree) complete(given func(name string) bool) {
	t.MailFrom.complete()
	for i := range t.Rcpts {
		t.Rcpts[i].complete()
	}
	t.From.complete()
	t.Sender.complete()
	for _, list := range [][]Mailbox{t.FromAll, t.ReplyTo} {
		for i := range list {
			list[i].complete()
		}
	}
	t.completeAuthors(given)
	for i := range t.URLs {
		t.URLs[i].complete(fmt.Sprintf("urls.%d", i), given)
	}
	for i := range t.Attachments {
		t.Attachments[i].complete(fmt.Sprintf("attachments.%d", i), given)
	}
	for i := range t.Objects {
		t.Objects[i].complete(fmt.Sprintf("objects.%d", i), given)
	}
	if !given("objects") {
		t.Objects = slices.Clone(t.Attachments)
	}
	if !given("limits.exceeded") {
		t.Limits.Exceeded = len(t.Limits.Names) > 0
	}
	t.completeOutcomes()
}

// completeAuthors makes from, from_all and from_count one. Without a stated problem a message has one author, so that
// rules about others stay silent.
func (t *Tree) completeAuthors(given func(string) bool) {
	if !given("from_all") && t.From != (Mailbox{}) {
		t.FromAll = []Mailbox{t.From}
	}
	if !given("from") && len(t.FromAll) > 0 {
		t.From = t.FromAll[0]
	}
	if !given("from_count") {
		t.FromCount = len(t.FromAll)
		if t.FromCount == 0 && t.FromProblem == "" {
			t.FromCount = 1
		}
	}
	if !given("auth.dmarc.domain") && t.Auth.DMARC.Domain == "" {
		t.Auth.DMARC.Domain = t.From.Domain
	}
	if !given("auth.dmarc.org_domain") && t.Auth.DMARC.OrgDomain == "" {
		t.Auth.DMARC.OrgDomain = t.From.OrgDomain
	}
}

// complete fills in the parts of an address.
func (p *Path) complete() { completeAddress(&p.Email, &p.Local, &p.Domain, &p.OrgDomain) }

func (m *Mailbox) complete() { completeAddress(&m.Email, &m.Local, &m.Domain, &m.OrgDomain) }

// completeAddress fills in what is empty from what is not.
func completeAddress(email, local, domain, org *string) {
	whole := pathOf(*email)
	for _, part := range []struct {
		at   *string
		from string
	}{{local, whole.Local}, {domain, whole.Domain}} {
		if *part.at == "" {
			*part.at = part.from
		}
	}
	if *org == "" {
		*org = orgDomain(*domain)
	}
	if *email == "" && *domain != "" && *local != "" {
		*email = *local + "@" + *domain
	}
}

// complete fills in the parts of an address of the web.
func (u *URL) complete(name string, given func(string) bool) {
	whole := urlOf(&scan.Link{URL: u.Href, Text: u.Text, Source: scan.Source(u.Source)})
	set(given(name+".scheme"), &u.Scheme, whole.Scheme)
	set(given(name+".host"), &u.Host, whole.Host)
	set(given(name+".org_domain"), &u.OrgDomain, orgDomain(u.Host))
	set(given(name+".text_host"), &u.TextHost, whole.TextHost)
	set(given(name+".source"), &u.Source, whole.Source)
	if !given(name + ".mismatch") {
		u.Mismatch = u.TextHost != "" && u.Host != "" && differ(*u)
	}
}

// set fills in a fact unless it is given.
func set(given bool, fact *string, value string) {
	if !given {
		*fact = value
	}
}

// complete fills in what follows from the name of a file.
func (o *Object) complete(name string, given func(string) bool) {
	if !given(name+".names") && o.Name != "" {
		o.Names = []string{o.Name}
	}
	set(given(name+".ext"), &o.Ext, extension(o.Name))
	if !given(name + ".exts") {
		o.Exts = extensions(o.Ext, o.Names)
	}
	if !given(name+".active") && o.HasMacros {
		o.Active = true
	}
	if !given(name+".encrypted") && (o.State == string(scan.Encrypted) || o.Encryption != "") {
		o.Encrypted = true
	}
	if !given(name + ".state") {
		o.State = string(scan.Inspected)
		if o.Encrypted {
			o.State = string(scan.Encrypted)
		}
	}
	o.completeTraits(name, given)
}

// completeTraits makes the traits and the facts that are traits one.
func (o *Object) completeTraits(name string, given func(string) bool) {
	for _, pair := range []struct {
		fact  string
		trait scan.Trait
		value *bool
	}{
		{"executable", scan.Executable, &o.Executable}, {"html", scan.HTMLDocument, &o.HTML},
		{"double_ext", scan.DoubleExtension, &o.DoubleExt}, {"rtlo", scan.RightToLeft, &o.RTLO},
		{"type_mismatch", scan.TypeMismatch, &o.TypeMismatch},
	} {
		has := slices.Contains(o.Traits, string(pair.trait))
		switch {
		case !given(name+"."+pair.fact) && has:
			*pair.value = true
		case *pair.value && !has && !given(name+".traits"):
			o.Traits = append(o.Traits, string(pair.trait))
		}
	}
	slices.Sort(o.Traits)
	if !given(name + ".has_macros") {
		o.HasMacros = slices.ContainsFunc(o.Traits, func(t string) bool { return strings.Contains(t, "macro") })
	}
}

// completeOutcomes lets every outcome that is not stated read "none", and a DMARC policy be that of the author's domain.
func (t *Tree) completeOutcomes() {
	a := &t.Auth
	for _, outcome := range []*string{
		&t.Conn.IPRev, &a.SPF.Result, &a.SPF.HeloResult, &a.DKIM.Result, &a.DMARC.Result, &a.ARC.Result, &a.ARC.OriginalDMARC,
		&a.SMIME.Result, &a.SMIME.State, &a.SMIME.Trust, &a.SMIME.Identity, &a.SMIME.Revocation, &a.SMIME.ValidationLevel,
	} {
		if *outcome == "" {
			*outcome = none
		}
	}
	if a.DMARC.PolicyDomain == "" && a.DMARC.Policy != "" { // the common case: the author's domain has its own policy
		a.DMARC.PolicyDomain = a.DMARC.Domain
	}
	for i := range a.DKIM.Signatures {
		if a.DKIM.Signatures[i].Result == "" {
			a.DKIM.Signatures[i].Result = none
		}
	}
}
