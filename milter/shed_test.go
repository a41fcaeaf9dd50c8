package milter

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// When all connections are taken, those go that nobody misses, in an order that everybody can foresee; one with a message
// stays, however slow its client is.
func TestIdleConnectionsAreShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged syncBuffer
		events := new(tally)
		s := NewServer(newDesk(), Options{MaxConnections: 4, Observer: events, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		attach := func() *wireMTA {
			if !s.slot() {
				t.Fatal("no slot")
			}
			server, client := net.Pipe()
			s.serve(server)
			return newWireMTA(t, client)
		}
		busy := attach().open()
		busy.envelope("a@example.org", "b@example.net")
		busy.ask('L', "A", " 1")
		old := attach().open()
		time.Sleep(time.Second)
		used := attach().open()
		time.Sleep(time.Second)
		mute := attach()

		began := time.Now()
		fifth := attach() // which waits until the mute one has been mute for a second
		if took := time.Since(began); took < shedSilent || took > shedSilent+shedEvery {
			t.Errorf("a connection waited for %v", took)
		}
		mute.wantClosed()
		fifth.open()

		time.Sleep(time.Second)
		used.deliver("u@example.org")
		began = time.Now()
		sixth := attach().open() // in place of the old one, five seconds after it has greeted
		if took := time.Since(began); took > shedIdle {
			t.Errorf("a connection waited for %v", took)
		}
		old.wantClosed()
		attach().open() // the fifth one: the third has had a message since
		fifth.wantClosed()
		used.deliver("u@example.org")
		sixth.deliver("s@example.org")

		busy.content("x\r\n")
		busy.wantEnd('c', "") // the message of a slow client is not lost
		if n := events.of(EventShed); n != 3 {
			t.Errorf("%d were shed", n)
		}
		if n := strings.Count(logged.String(), "limits.connections"); n != 1 {
			t.Errorf("said %d times:\n%s", n, &logged)
		}
		s.Shutdown(t.Context())
	})
}

// A server that stops does not wait for a slot.
func TestNoSlotAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(newDesk(), Options{MaxConnections: 1})
		s.slot()
		got := make(chan bool)
		go func() { got <- s.slot() }()
		synctest.Wait()
		s.Shutdown(t.Context())
		if <-got {
			t.Error("a slot although there is none")
		}
	})
}
