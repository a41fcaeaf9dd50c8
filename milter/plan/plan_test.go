package plan

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"assay/verify/message"
)

func TestZeroValuesRefuseTemporarily(t *testing.T) {
	if v := (Plan{}).Verdict; v != TempFail {
		t.Errorf("verdict of the zero plan = %v", v)
	}
	if got := (Plan{}).Text(); got != DefaultReply {
		t.Errorf("text of the zero plan = %q", got)
	}
}

func TestReply(t *testing.T) {
	tests := []struct {
		name           string
		code           int
		enhanced, text string
		want           string
		err            error
	}{
		{"plain", 550, "5.7.1", "no", "550 5.7.1 no", nil},
		{"default enhanced code", 451, "", "later", "451 4.7.1 later", nil},
		{"percent is doubled for both MTAs", 550, "5.7.1", "50% off %s", "550 5.7.1 50%% off %%s", nil},
		{"injection", 550, "5.7.1", "a\r\n250 fake\x00b", "550 5.7.1 a 250 fake b", nil},
		{"not ASCII", 550, "5.7.1", "gefälscht", "550 5.7.1 gef?lscht", nil},
		{"class mismatch", 550, "4.7.1", "x", "", errReplyEnhanced},
		{"success class", 250, "2.0.0", "x", "", errReplyCode},
		{"closing the connection", 421, "4.3.2", "x", "", errReplyCode},
		{"broken enhanced code", 550, "5.7", "x", "", errReplyEnhanced},
		{"long text", 550, "5.7.1", strings.Repeat("word ", 60),
			"550-5.7.1 " + strings.TrimSpace(strings.Repeat("word ", 48)) + "\r\n550 5.7.1 " + strings.TrimSpace(strings.Repeat("word ", 12)), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Reply(tt.code, tt.enhanced, tt.text)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Reply = %q, %v, want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzReply(f *testing.F) {
	f.Add(550, "5.7.1", "hello %d\r\n250 x")
	f.Fuzz(func(t *testing.T, code int, enh, text string) {
		got, err := Reply(code, enh, text)
		if err != nil {
			return
		}
		for i, line := range strings.Split(got, "\r\n") {
			if len(line) > 510 || i >= maxReplyLines || strings.ContainsAny(line, "\r\n\x00") || line[:3] != got[:3] {
				t.Errorf("line %d: %q", i, line)
			}
		}
		if strings.Count(got, "%")%2 != 0 {
			t.Errorf("odd number of percent signs: %q", got)
		}
	})
}

func TestValidValue(t *testing.T) {
	for value, want := range map[string]bool{
		"v": true, "a\n\tb": true, "": true, "a\tb": true,
		"a\nb": false, "a\r\n b": false, "a\x00": false, "ü": false, "a\n \n b": false, "a\n": false, "\x7f": false,
		strings.Repeat("x", maxFieldValue+1): false,
	} {
		if got := ValidValue(value); got != want {
			t.Errorf("ValidValue(%q) = %v", value, got)
		}
	}
	for name, want := range map[string]bool{"X-A": true, "": false, "Bad Name": false, "A:": false, "Ü": false} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
	}
}

var all = Capabilities{AddHeaders: true, ChangeHeaders: true, ChangeBody: true, Quarantine: true, AddRecipients: true, DeleteRecipients: true}

func TestBuildOrdersDeletesDescendingBeforeInserts(t *testing.T) {
	ops := []Op{
		{Kind: InsertHeader, Name: "X-A", Value: "1"},
		{Kind: DeleteHeader, Name: "Authentication-Results", Nth: 1},
		{Kind: ReplaceBody, Body: Bytes("b")},
		{Kind: DeleteHeader, Name: "authentication-results", Nth: 3},
		{Kind: DeleteHeader, Name: "Authentication-Results", Nth: 2},
		{Kind: InsertHeader, Name: "X-B", Value: "2"},
		{Kind: ChangeHeader, Name: "Subject", Nth: 1, Value: "s"},
	}
	p, err := Build(ops, all)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range p.Ops {
		got = append(got, strings.ToLower(string(o.Kind)+" "+o.Name)+string(rune('0'+o.Nth)))
	}
	want := []string{"delete_header authentication-results3", "delete_header authentication-results2",
		"delete_header authentication-results1", "change_header subject1", "insert_header x-a0", "insert_header x-b0", "replace_body 0"}
	if !slices.Equal(got, want) {
		t.Errorf("order = %q", got)
	}
}

func TestBuildIsAllOrNothing(t *testing.T) {
	good := Op{Kind: InsertHeader, Name: "X-A", Value: "1"}
	tests := []struct {
		name string
		ops  []Op
		caps Capabilities
		err  error
	}{
		{"not granted", []Op{good, {Kind: ReplaceBody, Body: Bytes("x")}}, Capabilities{AddHeaders: true}, ErrCapability},
		{"unknown kind", []Op{{Kind: "x"}}, all, ErrInvalid},
		{"bad name", []Op{{Kind: InsertHeader, Name: "a b", Value: "x"}}, all, ErrInvalid},
		{"bad value", []Op{{Kind: InsertHeader, Name: "a", Value: "x\r\ny: z"}}, all, ErrInvalid},
		{"unknown occurrence", []Op{{Kind: DeleteHeader, Name: "a"}}, all, ErrInvalid},
		{"empty change deletes on the wire", []Op{{Kind: ChangeHeader, Name: "a", Nth: 1}}, all, ErrInvalid},
		{"deleted twice", []Op{{Kind: DeleteHeader, Name: "a", Nth: 1}, {Kind: DeleteHeader, Name: "A", Nth: 1}}, all, ErrInvalid},
		{"two bodies", []Op{{Kind: ReplaceBody, Body: Bytes("x")}, {Kind: ReplaceBody, Body: Bytes("x")}}, all, ErrInvalid},
		{"no body", []Op{{Kind: ReplaceBody}}, all, ErrInvalid},
		{"recipients not granted", []Op{{Kind: AddRecipient, Value: "q@example.com"}, {Kind: DeleteRecipient, Value: "a@example.com"}},
			Capabilities{AddHeaders: true, AddRecipients: true}, ErrCapability},
		{"recipient", []Op{{Kind: AddRecipient, Value: "q@example.com> ORCPT=x"}}, all, ErrInvalid},
		{"quarantine reason", []Op{{Kind: Hold, Value: "\x00"}}, all, ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Build(tt.ops, tt.caps)
			if !errors.Is(err, tt.err) || p.Verdict != TempFail || len(p.Ops) != 0 {
				t.Errorf("Build = %+v, %v", p, err)
			}
		})
	}
}

func TestDiscardingDeliversNothing(t *testing.T) {
	p := Discarding()
	if p.Verdict != Discard || p.Ops != nil || p.Text() != "" {
		t.Errorf("%+v", p)
	}
	if err := Apply(p, &message.Message{}, io.Discard); err == nil {
		t.Error("a discarded message was delivered")
	}
	if Verdict(0) != TempFail {
		t.Error("the zero verdict is not the safe one")
	}
}

func TestValidRecipient(t *testing.T) {
	for address, want := range map[string]bool{
		"a@example.com": true, `"a b"@example.com`: true, `"a\"> b"@example.com`: true, "ü@example.com": true, "user": true,
		"": false, "a b@example.com": false, "a>@example.com": false, `"a@example.com`: false, "a\r@example.com": false, `"a\`: false,
	} {
		if got := ValidRecipient(address); got != want {
			t.Errorf("ValidRecipient(%q) = %v", address, got)
		}
	}
}

func TestRefusalChangesNothing(t *testing.T) {
	if p := Refusal(550, "5.7.1", "no"); p.Verdict != Refuse || p.Ops != nil || p.Text() != "550 5.7.1 no" {
		t.Errorf("%+v", p)
	}
	if p := Refusal(451, "4.3.0", "100%"); p.Verdict != TempFail || p.Text() != "451 4.3.0 100%" {
		t.Errorf("%+v", p)
	}
	if p := Refusal(250, "", ""); p.Verdict != TempFail || p.Text() != DefaultReply {
		t.Errorf("%+v", p)
	}
}

func TestApply(t *testing.T) {
	const raw = "A: 1\r\nX: old\r\nX: new\r\nSubject: s\r\n\r\nbody\r\n"
	m, err := message.Read(strings.NewReader(raw), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p, err := Build([]Op{
		{Kind: DeleteHeader, Name: "x", Nth: 1}, {Kind: ChangeHeader, Name: "Subject", Nth: 1, Value: "t\n u"},
		{Kind: InsertHeader, Name: "B", Value: "2"}, {Kind: InsertHeader, Name: "C", Value: "3"},
	}, all)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Apply(p, m, &out); err != nil {
		t.Fatal(err)
	}
	if want := "C: 3\r\nB: 2\r\nA: 1\r\nX: new\r\nSubject: t\r\n u\r\n\r\nbody\r\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
	if err := Apply(Plan{}, m, &out); err == nil {
		t.Error("a refused message was delivered")
	}
}

func TestHeaderIsNumberedAsDelivered(t *testing.T) {
	received := message.Header{{Name: "A", Raw: []byte("A: 1\r\n"), Nth: 1}, {Name: "a", Raw: []byte("a: 2\r\n"), Nth: 2}, {Name: "B", Raw: []byte("B: 3\r\n"), Nth: 1}}
	p := Plan{Ops: []Op{{Kind: DeleteHeader, Name: "A", Nth: 1}, {Kind: InsertHeader, Name: "A", Value: "0"}}, Verdict: Accept}
	var got []string
	for _, f := range p.Header(received) {
		got = append(got, string(f.Raw)+string(rune('0'+f.Nth)))
	}
	if want := []string{"A: 0\r\n1", "a: 2\r\n2", "B: 3\r\n1"}; !slices.Equal(got, want) || received[1].Nth != 2 {
		t.Errorf("%q", got)
	}
}
