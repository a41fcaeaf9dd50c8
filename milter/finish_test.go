package milter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"assay/milter/plan"
	"assay/verify/message"
)

// send delivers one message to a desk that answers p, and returns what the filter answered.
func sendTo(t *testing.T, p plan.Plan) ([]packet, mail) {
	t.Helper()
	desk := answering(p)
	m := connectTo(t, desk, Options{})
	m.envelope("a@example.org", "b@example.net")
	m.content("x\r\n", "From: a@example.org")
	return m.end(), desk.got(t)
}

func TestEditsInOrder(t *testing.T) {
	got, seen := sendTo(t, plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{
		{Kind: plan.DeleteHeader, Name: "Authentication-Results", Nth: 3},
		{Kind: plan.DeleteHeader, Name: "Authentication-Results", Nth: 1},
		{Kind: plan.ChangeHeader, Name: "Subject", Nth: 1, Value: "s\n\tfolded"},
		{Kind: plan.InsertHeader, Name: "X-Below", Value: "1"},
		{Kind: plan.InsertHeader, Name: "X-Top", Value: "2"},
		{Kind: plan.AddRecipient, Value: "quarantine@example.net"},
		{Kind: plan.DeleteRecipient, Value: "b@example.net"},
		{Kind: plan.ReplaceBody, Body: plan.Bytes("new\r\nbody\r\n")},
		{Kind: plan.Hold, Value: "looks odd"},
	}})
	want := []packet{
		{'m', "\x00\x00\x00\x03Authentication-Results\x00\x00"},
		{'m', "\x00\x00\x00\x01Authentication-Results\x00\x00"},
		{'m', "\x00\x00\x00\x01Subject\x00 s\n\tfolded\x00"},
		{'i', "\x00\x00\x00\x00X-Below\x00 1\x00"},
		{'i', "\x00\x00\x00\x00X-Top\x00 2\x00"},
		{'+', "<quarantine@example.net>\x00"},
		{'-', "<b@example.net>\x00"},
		{'b', "new\nbody\n"},
		{'q', "looks odd\x00"},
		{'c', ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("packets:\n got %v\nwant %v", got, want)
	}
	if seen.ended != nil {
		t.Errorf("ended with %v", seen.ended)
	}
}

func TestDiscardIsTheOnlyPacket(t *testing.T) {
	got, seen := sendTo(t, plan.Plan{Verdict: plan.Discard, Ops: []plan.Op{{Kind: plan.InsertHeader, Name: "X", Value: "y"}}})
	if want := []packet{{'d', ""}}; !slices.Equal(got, want) {
		t.Errorf("packets %v, want %v", got, want)
	}
	if seen.ended != nil {
		t.Errorf("ended with %v", seen.ended)
	}
}

func TestVerdicts(t *testing.T) {
	insert := []plan.Op{{Kind: plan.InsertHeader, Name: "X", Value: "y"}}
	tests := []struct {
		name string
		plan plan.Plan
		want string
	}{
		{"zero plan", plan.Plan{}, plan.DefaultReply},
		{"temporary", plan.Plan{Reply: "451 4.7.1 later"}, "451 4.7.1 later"},
		{"refused", plan.Plan{Verdict: plan.Refuse, Reply: "550 5.7.1 50%% no"}, "550 5.7.1 50%% no"},
		{"several lines", plan.Plan{Verdict: plan.Refuse, Reply: "550-5.7.1 a\r\n550 5.7.1 b"}, "550-5.7.1 a\r\n550 5.7.1 b"},
		{"a refusal has no edits", plan.Plan{Verdict: plan.Refuse, Reply: "550 5.7.1 no", Ops: insert}, "550 5.7.1 no"},
		{"a deferral has no edits", plan.Plan{Reply: "451 4.7.1 later", Ops: insert}, "451 4.7.1 later"},
		// What is not a reply of its verdict becomes the default: Postfix drops the filter over it, Sendmail turns 4yz to 5yz.
		{"refused without reply", plan.Plan{Verdict: plan.Refuse}, plan.DefaultReply},
		{"verdict and code differ", plan.Plan{Verdict: plan.Refuse, Reply: "451 4.7.1 no"}, plan.DefaultReply},
		{"code and verdict differ", plan.Plan{Reply: "550 5.7.1 no"}, plan.DefaultReply},
		{"success code", plan.Plan{Verdict: plan.Refuse, Reply: "250 ok"}, plan.DefaultReply},
		{"second line injected", plan.Plan{Verdict: plan.Refuse, Reply: "550 5.7.1 no\r\n250 ok"}, plan.DefaultReply},
		{"NUL", plan.Plan{Verdict: plan.Refuse, Reply: "550 5.7.1 no\x00x"}, plan.DefaultReply},
		{"bare LF", plan.Plan{Verdict: plan.Refuse, Reply: "550 5.7.1 no\n250 ok"}, plan.DefaultReply},
		{"short", plan.Plan{Verdict: plan.Refuse, Reply: "550"}, plan.DefaultReply},
		{"unknown verdict", plan.Plan{Verdict: 7, Ops: insert}, plan.DefaultReply},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, seen := sendTo(t, tt.plan)
			if want := []packet{{'y', tt.want + "\x00"}}; !slices.Equal(got, want) {
				t.Errorf("packets = %v, want %v", got, want)
			}
			if seen.ended != nil {
				t.Errorf("ended with %v", seen.ended)
			}
		})
	}
}

// A plan that the MTA did not grant, or that would damage the message, is refused whole.
func TestNoHalfPlans(t *testing.T) {
	header := plan.Op{Kind: plan.InsertHeader, Name: "X", Value: "y"}
	body := plan.Op{Kind: plan.ReplaceBody, Body: plan.Bytes("x")}
	tests := []struct {
		name    string
		actions uint32
		ops     []plan.Op
		cause   error
	}{
		{"body not granted", 0x1ff &^ 0x02, []plan.Op{header, body}, plan.ErrCapability},
		{"quarantine not granted", 0x1ff &^ 0x20, []plan.Op{header, {Kind: plan.Hold}}, plan.ErrCapability},
		{"insert not granted", 0x1ff &^ 0x01, []plan.Op{header}, plan.ErrCapability},
		{"delete not granted", 0x1ff &^ 0x10, []plan.Op{{Kind: plan.DeleteHeader, Name: "X", Nth: 1}}, plan.ErrCapability},
		{"nothing granted", 0, []plan.Op{header}, plan.ErrCapability},
		{"NUL in a value", 0x1ff, []plan.Op{header, {Kind: plan.InsertHeader, Name: "X", Value: "a\x00b"}}, plan.ErrInvalid},
		{"line end in a value", 0x1ff, []plan.Op{header, {Kind: plan.InsertHeader, Name: "X", Value: "a\nb"}}, plan.ErrInvalid},
		{"bad name", 0x1ff, []plan.Op{header, {Kind: plan.InsertHeader, Name: "Bad Name", Value: "a"}}, plan.ErrInvalid},
		{"occurrence 0", 0x1ff, []plan.Op{header, {Kind: plan.DeleteHeader, Name: "X"}}, plan.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			desk := answering(plan.Plan{Verdict: plan.Accept, Ops: tt.ops})
			_, address := start(t, desk, Options{})
			m := dial(t, "tcp", address)
			m.offer(6, tt.actions, postfixProtocol)
			m.envelope("a@example.org", "b@example.net")
			m.content("x\r\n", "From: a@example.org")
			m.wantEnd('y', replyFailed+"\x00")
			if got := desk.got(t); !errors.Is(got.ended, tt.cause) {
				t.Errorf("ended with %v, want %v", got.ended, tt.cause)
			}
			desk.plan = nil
			m.deliver("a@example.org")
		})
	}
}

// The plan is checked against what was granted, and the order is put right, whoever made it.
func TestDeletesAreDescendingWhoeverMadeThePlan(t *testing.T) {
	got, _ := sendTo(t, plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{
		{Kind: plan.InsertHeader, Name: "A", Value: "1"},
		{Kind: plan.DeleteHeader, Name: "A", Nth: 1}, {Kind: plan.DeleteHeader, Name: "a", Nth: 2},
	}})
	want := []packet{{'m', "\x00\x00\x00\x02a\x00\x00"}, {'m', "\x00\x00\x00\x01A\x00\x00"}, {'i', "\x00\x00\x00\x00A\x00 1\x00"}, {'c', ""}}
	if !slices.Equal(got, want) {
		t.Errorf("packets = %v, want %v", got, want)
	}
}

func TestBodyPackets(t *testing.T) {
	text := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 300_000) // 23 MB
	long := strings.Repeat("x", maxBodyPacket-1) + "\r\n" + strings.Repeat("y", 3*maxBodyPacket) + "\r\n"
	for name, body := range map[string]string{"empty": "", "short": "x", "text": text, "long lines, CR and LF apart": long,
		"only line ends": strings.Repeat("\r\n", 100_000), "LF only": strings.Repeat("x\n", 100_000)} {
		t.Run(name, func(t *testing.T) {
			got, seen := sendTo(t, plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{{Kind: plan.ReplaceBody, Body: plan.Bytes(body)}}})
			if seen.ended != nil || len(got) < 2 {
				t.Fatalf("%d packets, ended with %v", len(got), seen.ended)
			}
			var all strings.Builder
			for i, p := range got[:len(got)-1] {
				if p.code != 'b' || len(p.data) > maxBodyPacket {
					t.Fatalf("packet %d is %c with %d octets", i, p.code, len(p.data))
				}
				if strings.Contains(p.data, "\r") {
					t.Errorf("packet %d has a CR", i)
				}
				all.WriteString(p.data)
			}
			if all.String() != strings.ReplaceAll(body, "\r\n", "\n") {
				t.Error("the body is not the same")
			}
		})
	}
}

// A torn is a body that cannot be read to its end.
type torn struct{}

func (torn) Open() io.Reader {
	return io.MultiReader(strings.NewReader(strings.Repeat("x\r\n", 100_000)), iotest.ErrReader(os.ErrClosed))
}
func (torn) Size() int64 { return 400_000 }

// A new body that cannot be read is no half a message: the MTA keeps the mail with the sender.
func TestTornBodyDefers(t *testing.T) {
	got, seen := sendTo(t, plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{{Kind: plan.ReplaceBody, Body: torn{}}}})
	if end := got[len(got)-1]; end.code != 'y' || end.data != replyFailed+"\x00" {
		t.Errorf("answered %c %q", end.code, end.data)
	}
	var refused *RefusedError
	if !errors.As(seen.ended, &refused) || !errors.Is(seen.ended, os.ErrClosed) {
		t.Errorf("ended with %v", seen.ended)
	}
}

// FuzzCutBody checks the sizes of packets and that no CRLF is ever divided.
func FuzzCutBody(f *testing.F) {
	f.Add(uint64(1), 200_000)
	f.Fuzz(func(t *testing.T, seed uint64, size int) {
		random := rand.New(rand.NewPCG(seed, 1))
		body := make([]byte, min(max(size, 0), 1<<20))
		for i := range body {
			body[i] = "xxxxxxxx\r\n"[random.IntN(10)]
		}
		if seed%3 == 0 { // lines longer than a packet
			body = bytes.ReplaceAll(body, []byte("\n"), []byte("x"))
		}
		for rest := body; len(rest) > 0; {
			n := cutBody(rest)
			if n < 1 || n > maxBodyPacket {
				t.Fatalf("packet of %d octets", n)
			}
			if n < len(rest) && rest[n-1] == '\r' && rest[n] == '\n' {
				t.Fatal("CR and LF are divided")
			}
			rest = rest[n:]
		}
	})
}

// Everything of an answer is one write: small writes meet delayed acknowledgements.
func TestAnswerIsOneWrite(t *testing.T) {
	desk := answering(plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{
		{Kind: plan.DeleteHeader, Name: "A", Nth: 1}, {Kind: plan.InsertHeader, Name: "A", Value: "1"},
		{Kind: plan.ReplaceBody, Body: plan.Bytes("body\r\n")}}})
	server, client := pipe(t)
	s := NewServer(desk, Options{})
	s.connections <- struct{}{}
	counted := &countingConn{Conn: server}
	s.serve(counted)
	m := newWireMTA(t, client).open()
	m.envelope("a@example.org", "b@example.net")
	m.content("x\r\n", "A: 1")
	before := counted.writes.Load()
	if got := m.end(); len(got) != 4 {
		t.Fatalf("packets = %v", got)
	}
	desk.got(t)
	if n := counted.writes.Load() - before; n != 1 {
		t.Errorf("the answer took %d writes", n)
	}
}

// The message is closed and the envelope of Begin left alone whatever Handle does with its own.
func TestEnvelopesAreSeparate(t *testing.T) {
	var begun *message.Envelope
	desk := newDesk()
	desk.begin = func(env *message.Envelope, _ message.Header) { begun = env }
	desk.plan = func(_ context.Context, m *message.Message, _ plan.Capabilities) plan.Plan {
		if begun == &m.Envelope || begun.QueueID != "" || m.Envelope.QueueID != "late" {
			t.Errorf("queue ids %q and %q", begun.QueueID, m.Envelope.QueueID)
		}
		return plan.Plan{Verdict: plan.Accept}
	}
	m := connectTo(t, desk, Options{})
	m.envelope("a@example.org", "b@example.net")
	m.content("x\r\n", "A: 1")
	m.macros('E', "i", "late")
	m.wantEnd('c', "")
	desk.got(t)
}
