package facts

import "assay/scan"

// A variable is one field of Tree.
type variable struct {
	compute func(*Facts) any // from a message
	stated  func(*Tree) any  // of a test
}

// variables are the fields of Tree by name. The table is never written.
var variables = map[string]variable{
	"conn":           {func(f *Facts) any { return f.conn() }, func(t *Tree) any { return t.Conn }},
	"skipped":        {func(f *Facts) any { return skipped(f.in.Results.Skipped) }, func(t *Tree) any { return t.Skipped }},
	"mail_from":      {func(f *Facts) any { return pathOf(f.in.Message.Envelope.MailFrom) }, func(t *Tree) any { return t.MailFrom }},
	"rcpts":          {func(f *Facts) any { return f.recipients() }, func(t *Tree) any { return t.Rcpts }},
	"from":           {func(f *Facts) any { return f.from() }, func(t *Tree) any { return t.From }},
	"from_all":       {func(f *Facts) any { return f.authors() }, func(t *Tree) any { return t.FromAll }},
	"from_count":     {func(f *Facts) any { return len(f.in.Results.Author.Mailboxes) }, func(t *Tree) any { return t.FromCount }},
	"from_problem":   {func(f *Facts) any { return string(f.in.Results.Author.Problem) }, func(t *Tree) any { return t.FromProblem }},
	"reply_to":       {func(f *Facts) any { return f.mailboxes("Reply-To", MaxAddresses) }, func(t *Tree) any { return t.ReplyTo }},
	"sender":         {func(f *Facts) any { return f.sender() }, func(t *Tree) any { return t.Sender }},
	"subject":        {func(f *Facts) any { return f.header("Subject") }, func(t *Tree) any { return t.Subject }},
	"size":           {func(f *Facts) any { return int(f.in.Message.Size()) }, func(t *Tree) any { return t.Size }},
	"received_at":    {func(f *Facts) any { return f.in.Message.Envelope.ReceivedAt }, func(t *Tree) any { return t.ReceivedAt }},
	"headers":        {func(f *Facts) any { return f.headers() }, func(t *Tree) any { return t.Headers }},
	"message_id":     {func(f *Facts) any { return f.header("Message-ID") }, func(t *Tree) any { return t.MessageID }},
	"list_id":        {func(f *Facts) any { return f.listID() }, func(t *Tree) any { return t.ListID }},
	"forwarded":      {func(f *Facts) any { return f.forwarded() }, func(t *Tree) any { return t.Forwarded }},
	"auto_submitted": {func(f *Facts) any { return f.autoSubmitted() }, func(t *Tree) any { return t.AutoSubmitted }},
	"text":           {func(f *Facts) any { return f.text() }, func(t *Tree) any { return t.Text }},
	"html":           {func(f *Facts) any { return f.html() }, func(t *Tree) any { return t.HTML }},
	"urls":           {func(f *Facts) any { return f.urls() }, func(t *Tree) any { return t.URLs }},
	"attachments":    {func(f *Facts) any { return f.attachments() }, func(t *Tree) any { return t.Attachments }},
	"objects":        {func(f *Facts) any { return f.objects(anyDepth) }, func(t *Tree) any { return t.Objects }},
	"auth":           {func(f *Facts) any { return f.auth() }, func(t *Tree) any { return t.Auth }},
	"mime":           {func(f *Facts) any { return f.mime() }, func(t *Tree) any { return t.MIME }},
	"findings":       {func(f *Facts) any { return findings(f.in.Report.Findings) }, func(t *Tree) any { return t.Findings }},
	"limits":         {func(f *Facts) any { return f.limits() }, func(t *Tree) any { return t.Limits }},
	"virus":          {func(f *Facts) any { return f.virus() }, func(t *Tree) any { return t.Virus }},
	"upstream":       {func(f *Facts) any { return f.upstream() }, func(t *Tree) any { return t.Upstream }},
}

// findings are the observations of the scanners.
func findings(found []scan.Finding) []Finding {
	found = found[:min(len(found), MaxList)]
	out := make([]Finding, len(found))
	for i, one := range found {
		out[i] = Finding{
			Kind: bounded(string(one.Kind)), Section: bounded(one.Section), Detail: bounded(one.Detail), Count: max(one.Count, 1),
		}
	}
	return out
}
