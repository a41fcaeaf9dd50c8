package config

import (
	"strings"
	"testing"
	"time"
)

func TestQuarantineKeys(t *testing.T) {
	l, err := Parse("a.yaml", []byte("format: 1\nquarantine: {mode: mailbox, mailbox: q@example.com, retention: 14d, originals: 36h, release_class: user}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	q := l.Config.Quarantine
	if q.Retention != 14*day || q.Originals != 36*time.Hour || q.ReleaseClass != "user" || !q.Stores() {
		t.Errorf("%+v", q)
	}
	if q := Default().Quarantine; q.Mode != QuarantineHold || q.Stores() || q.Retention != 30*day || q.ReleaseClass != "operator" || q.NotifyRecipients || q.NotifySubject {
		t.Errorf("default %+v", q)
	}
	for text, want := range map[string]time.Duration{"": 365 * day, "retention: 500d": 500 * day, "originals: 3650d": 3650 * day, "audit: 0": 0, "audit: 30d": 30 * day} {
		l, err := Parse("a.yaml", []byte("format: 1\nquarantine: {"+text+"}\n"), nil)
		if err != nil || l.Config.Quarantine.Audit != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"quarantine: {mode: mailbox}":                            "needs an address in quarantine.mailbox",
		"quarantine: {mailbox: q@example.com}":                   "only with quarantine.mode: mailbox",
		"quarantine: {mode: mailbox, mailbox: 'a@b.cc, d@e.ff'}": "is not one mail address",
		"quarantine: {retention: 5000d}":                         "out of range: 1d to 3650d",
		"quarantine: {retention: 30}":                            "lacks a unit",
		"quarantine: {retention: -3d}":                           "is out of range",
		"quarantine: {release_class: nobody}":                    "is not one of user, operator, never",
		"notify: {mail: {recipients: soc@example.com}}":          "stands for the recipients of a message",
		"quarantine: {sendmail: sendmail}":                       "is not an absolute path",
		"quarantine: {audit: 29d}":                               "is shorter than mail is kept, 30d",
		"quarantine: {mode: stored}":                             "did you mean",
	} {
		if _, err := Parse("a.yaml", []byte("format: 1\n"+text+"\n"), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
