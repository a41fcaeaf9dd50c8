package milter

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// A paused server answers new messages with 451, on new connections as well as on open ones, finishes what has begun to
// arrive, and takes messages again when it goes on.
func TestPause(t *testing.T) {
	s, address := start(t, newDesk(), Options{})
	arriving, enveloped, idle := dial(t, "tcp", address).open(), dial(t, "tcp", address).open(), dial(t, "tcp", address).open()
	arriving.envelope("a@example.org", "you@example.net")
	arriving.ask('L', "A", " 1")
	enveloped.envelope("b@example.org", "you@example.net")

	s.Pause(true)
	if got := s.Load(); got != (Load{Connections: 3, Messages: 1}) {
		t.Errorf("load = %+v", got)
	}
	late := dial(t, "tcp", address).open()
	for _, m := range []*wireMTA{idle, late} {
		m.send('M', "<c@example.org>")
		m.want('y', replyDraining+"\x00")
	}
	enveloped.send('L', "A", " 1")
	enveloped.want('y', replyDraining+"\x00")
	arriving.content("x\r\n")
	arriving.wantEnd('c', "")
	// The answer leaves before the message is over for the server.
	for end := time.Now().Add(10 * time.Second); s.Load() != (Load{Connections: 4}); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("load = %+v", s.Load())
		}
	}

	s.Pause(false)
	for _, m := range []*wireMTA{idle, late, enveloped, arriving} {
		m.deliver("d@example.org")
	}
}

// How a connection is encrypted is heard of once, with its first message, and again for the next client of it.
func TestObserveTLS(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	m := connectTo(t, newDesk(), Options{ObserveTLS: func(version string) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, version)
	}})
	m.deliver("a@example.org")
	m.deliver("a@example.org")
	m.write(raw('K', ""))
	m.connect("mail.example.org", '4', 4711, "192.0.2.1")
	m.macros('H', "{tls_version}", "TLSv1.3")
	m.ask('H', "helo.example.org")
	m.deliver("a@example.org")
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(heard, []string{"", "TLSv1.3"}) {
		t.Errorf("heard %q", heard)
	}
}
