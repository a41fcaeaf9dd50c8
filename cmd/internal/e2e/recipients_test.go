package e2e

import (
	"fmt"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
)

// figures is a rule that one group of recipients is excepted from.
const figures = `format: 1
rules:
  - id: no-figures
    title: Figures are refused
    severity: medium
    mode: enforce
    when: subject == "figures"
    then: {reject: 550 5.7.1 no figures}
    exceptions:
      - {id: finance, recipients: ["@finance.example"], authenticated: false, reason: their work, owner: it@rcpt.example, expires: 2099-12-31}
`

// withSubject is plain with another subject.
func withSubject(subject string) string {
	return strings.Replace(plain, "Subject: x\r\n", "Subject: "+subject+"\r\n", 1)
}

// recipients starts a transaction and returns the replies to its recipients.
func recipients(t *testing.T, c *mtatest.Client, to ...string) []string {
	t.Helper()
	must(t, c.Expect(250, "MAIL FROM:<a@client.example>"))
	var replies []string
	for _, address := range to {
		reply, err := c.Command("RCPT TO:<%s>", address)
		must(t, err)
		replies = append(replies, reply.String())
	}
	return replies
}

// data ends a transaction with a message.
func data(t *testing.T, c *mtatest.Client, message string) mtatest.Reply {
	t.Helper()
	must(t, c.Expect(354, "DATA"))
	_, err := c.Write(mtatest.Stuff([]byte(message)))
	must(t, err)
	reply, err := c.Reply()
	must(t, err)
	return reply
}

// TestRecipientsOfOneMessage: without split_recipients an exception for some recipients does not apply while there are others.
func TestRecipientsOfOneMessage(t *testing.T) {
	r := newRig(t, program(t, false), fmt.Sprintf("rules: {dirs: [shipped, %q]}\n", ruleDir(t, map[string]string{"10.yaml": figures})))
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		send(t, c, between("a@client.example", "cfo@finance.example", "b@rcpt.example"), withSubject("figures"), 550)
		send(t, c, between("a@client.example", "b@rcpt.example", "cfo@finance.example"), withSubject("figures"), 550)
		r.delivered(t, send(t, c, between("a@client.example", "cfo@finance.example", "two@finance.example"), withSubject("figures"), 250))
	})
}

// TestSplitRecipients: recipients of another group than the first one are asked to be sent separately, and have the outcome of
// their own policy then. Mail that is handed over with sendmail(1) has nobody who could send it again, so it is not split.
func TestSplitRecipients(t *testing.T) {
	groups := figures + "recipient_groups: {press: [press@rcpt.example]}\n"
	metrics := freeAddress(t)
	config := fmt.Sprintf("listen: {metrics: %q}\nrules: {split_recipients: true, dirs: [shipped, %q]}\n", metrics, ruleDir(t, map[string]string{"10.yaml": groups}))
	r := newRigWith(t, setup{main: map[string]string{"smtpd_recipient_restrictions": "check_recipient_access inline:{refused@finance.example=REJECT}, permit"}},
		program(t, false), config)
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		for name, split := range map[string]struct {
			to   []string
			code []string // first three digits for each
			end  int      // reply to the message with the subject "figures"
		}{
			"strict first":    {[]string{"b@rcpt.example", "cfo@finance.example", "c@rcpt.example"}, []string{"250", "452", "250"}, 550},
			"excepted first":  {[]string{"cfo@finance.example", "b@rcpt.example", "two@finance.example"}, []string{"250", "452", "250"}, 250},
			"one group":       {[]string{"b@rcpt.example", "c@other.example"}, []string{"250", "250"}, 550},
			"the other group": {[]string{"CFO@Finance.Example", "two@finance.example"}, []string{"250", "250"}, 250},
			"a named group":   {[]string{"press@rcpt.example", "b@rcpt.example"}, []string{"250", "452"}, 550},
		} {
			replies := recipients(t, c, split.to...)
			for i, reply := range replies {
				if !strings.HasPrefix(reply, split.code[i]) || split.code[i] == "452" && !strings.HasPrefix(reply, "452 4.5.3 ") {
					t.Errorf("%s: RCPT %s: %s", name, split.to[i], reply)
				}
			}
			reply := data(t, c, withSubject("figures"))
			if reply.Code != split.end {
				t.Errorf("%s: the reply to the message is %s, want %d", name, reply, split.end)
			}
			if reply.Code != 250 {
				continue
			}
			r.delivered(t, reply)
			for _, d := range r.sink.Queue(reply.QueueID()) {
				for _, to := range d.To {
					if !strings.EqualFold(to[strings.IndexByte(to, '@'):], "@finance.example") {
						t.Errorf("%s: delivered to %s", name, to)
					}
				}
			}
		}
		if m.Name() == "postfix" { // a recipient that the MTA itself refuses is none, so it says nothing about the group
			if replies := recipients(t, c, "refused@finance.example", "b@rcpt.example"); replies[0][0] != '5' || !strings.HasPrefix(replies[1], "250") {
				t.Errorf("after a refused recipient: %q", replies)
			}
			must(t, c.Expect(250, "RSET"))
		}
	})
	if r.postfix != nil {
		to := []string{"submit@rcpt.example", "submit@finance.example"}
		must(t, r.postfix.Submit("a@client.example", to, strings.NewReader(strings.ReplaceAll(withSubject("hello"), "\r\n", "\n"))))
		for _, address := range to {
			r.once(t, address)
		}
	}
	if text, err := r.daemon.Metrics(metrics); err != nil || gauge(t, text, "assay_recipients_split_total") != 3*len(r.mtas()) {
		t.Errorf("assay_recipients_split_total is not 3 for each MTA: %v\n%s", err, lines(text, "split"))
	}
}

// lines returns the lines of a text that contain a word.
func lines(text, word string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := mtatest.FreePort()
	must(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}
