package message

import (
	"net/mail"
	"strings"
)

// Author returns what the From fields say.
func (h Header) Author() Author {
	a := Author{Fields: h.Count("From")}
	for f := range h.All("From") {
		list, err := mail.ParseAddressList(strings.ReplaceAll(string(f.Value()), "\r\n", ""))
		if err != nil {
			a.Problem = AuthorMalformed
			continue
		}
		for _, m := range list {
			at := strings.LastIndexByte(m.Address, '@')
			a.Mailboxes = append(a.Mailboxes, Mailbox{m.Name, m.Address[:at], strings.ToLower(m.Address[at+1:])})
		}
	}
	switch {
	case a.Fields == 0:
		a.Problem = AuthorMissing
	case a.Fields > 1:
		a.Problem = AuthorSeveralFields
	case a.Problem == "" && len(a.Mailboxes) > 1:
		a.Problem = AuthorSeveral
	}
	return a
}
