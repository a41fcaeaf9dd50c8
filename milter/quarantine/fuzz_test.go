package quarantine

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// FuzzRecord: a header block is read without a panic, and what is read is written and read again as the same.
func FuzzRecord(f *testing.F) {
	e := entry()
	e.ID, e.SHA256, e.Size = newID(now, 1), strings.Repeat("ab", 32), 7
	f.Add(append(e.record(), "message"...))
	f.Add([]byte(recordMagic + "\n\n"))
	f.Add([]byte(recordMagic + "\nId: " + e.ID + "\nTo: \"\\x\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, start, err := readRecord(bytes.NewReader(data))
		if err != nil {
			return
		}
		if start < 0 || start > int64(len(data)) || !ValidID(e.ID) {
			t.Fatalf("the message begins at %d of %d, id %q", start, len(data), e.ID)
		}
		again := e.record()
		other, n, err := readRecord(bytes.NewReader(again))
		if err != nil || n != int64(len(again)) || fmt.Sprintf("%+v", *other) != fmt.Sprintf("%+v", *e) {
			t.Fatalf("%v\n%+v\n%+v", err, *other, *e)
		}
	})
}

// FuzzToken: only what was signed with the key is a token.
func FuzzToken(f *testing.F) {
	key := []byte(strings.Repeat("k", 32))
	good := token{id: newID(now, 1), expires: now.Unix(), nonce: "NONCE", sum: strings.Repeat("ab", 32)}
	f.Add(good.sign(key))
	f.Add(good.sign([]byte("another key")))
	f.Add("v=1; id=; t=; n=; h=; s=")
	f.Fuzz(func(t *testing.T, value string) {
		got, err := parseToken(value, key)
		if err == nil && got != good {
			t.Fatalf("a forged token: %q", value)
		}
	})
}

// FuzzMailq: the output of another program is read without a panic.
func FuzzMailq(f *testing.F) {
	f.Add("\t\t/var/spool/mqueue (1 request)\n-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------\n" +
		"6AM660YY030435     1384 Sun Nov 22 06:06 <a@client.example>\n      QUARANTINE: plain\n\t\t\t\t\t <b@rcpt.example>\n\t\tTotal requests: 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range parseMailq(text, now) {
			if checkID(e.ID) != nil {
				t.Fatalf("id %q", e.ID)
			}
		}
	})
}
