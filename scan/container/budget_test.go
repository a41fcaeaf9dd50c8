package container

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestReadAll(t *testing.T) {
	broken := errors.New("broken")
	limits := Limits{Octets: 10 << 20, Member: 1 << 20, Ratio: 10, Free: 100 << 10}
	for _, tt := range []struct {
		name   string
		r      io.Reader
		packed int64
		size   int
		limit  string
		err    error
	}{
		{"nothing", strings.NewReader(""), 0, 0, "", nil},
		{"a little", strings.NewReader("hello"), 5, 5, "", nil},
		{"octet by octet", iotest.OneByteReader(strings.NewReader(strings.Repeat("x", 9000))), 9000, 9000, "", nil},
		{"exactly a member", bytes.NewReader(make([]byte, 1<<20)), 1 << 20, 1 << 20, "", nil},
		{"more than a member", bytes.NewReader(make([]byte, 1<<20+1)), 1 << 20, 1 << 20, "member", nil},
		{"what is free of the ratio", bytes.NewReader(make([]byte, 100<<10)), 1, 100 << 10, "", nil},
		{"beyond the ratio", bytes.NewReader(make([]byte, 100<<10+1)), 1, 100 << 10, "ratio", nil},
		{"an error behind a part", io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(broken)), 5, 5, "", broken},
		{"an end in the middle is an error of the reader", io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(io.ErrUnexpectedEOF)), 5, 5, "", io.ErrUnexpectedEOF},
		{"a reader that reads nothing", emptyReader{}, 5, 0, "", io.ErrNoProgress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBudget(context.Background(), limits, nil)
			got, err := b.ReadAll(tt.r, tt.packed)
			var exceeded *LimitError
			if errors.As(err, &exceeded) != (tt.limit != "") || exceeded != nil && exceeded.Limit != tt.limit {
				t.Errorf("error %v, want the limit %q", err, tt.limit)
			}
			if tt.limit == "" && !errors.Is(err, tt.err) || len(got) != tt.size {
				t.Errorf("%d octets, error %v", len(got), err)
			}
			if got == nil && err == nil {
				t.Error("an empty content is nil, as if it could not be read")
			}
		})
	}
}

// A emptyReader never gets anywhere.
type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// A truncated stream is not taken for a whole one.
func TestReadAllTruncated(t *testing.T) {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestSpeed)
	_, _ = w.Write(bytes.Repeat([]byte("some text "), 10000))
	_ = w.Close()
	cut := packed.Bytes()[:packed.Len()/2]
	b := NewBudget(context.Background(), Limits{}, nil)
	if _, err := b.ReadAll(flate.NewReader(bytes.NewReader(cut)), int64(len(cut))); err == nil {
		t.Error("no error")
	}
}

// What exceeds a limit for good ends everything, a single large member does not.
func TestBudget(t *testing.T) {
	b := NewBudget(context.Background(), Limits{Members: 2, Octets: 100, Guesses: 2}, nil)
	for range 2 {
		if err := b.Member(); err != nil || b.Over() != nil {
			t.Fatal(err)
		}
	}
	if err := b.Member(); !errors.Is(err, ErrLimit) || b.Over() == nil || b.Check() == nil || b.Spend(0) == nil {
		t.Errorf("%v, %v", err, b.Over())
	}
	b = NewBudget(context.Background(), Limits{Octets: 100}, nil)
	if b.Spend(100) != nil || b.Spend(1) == nil || b.Over().Limit != "octets" {
		t.Errorf("%v", b.Over())
	}
	b = NewBudget(context.Background(), Limits{Guesses: 2}, nil)
	for n, want := range []bool{true, true, false} {
		if got := b.Guess(); got != want || b.Over() != nil {
			t.Errorf("guess %d: %v", n, got)
		}
	}
	b = NewBudget(context.Background(), Limits{Member: 10}, nil)
	if _, err := b.ReadAll(strings.NewReader(strings.Repeat("x", 11)), 11); !errors.Is(err, ErrLimit) || b.Over() != nil {
		t.Errorf("%v, %v", err, b.Over())
	}
}

// Processor time and the context end the work within few checks.
func TestTime(t *testing.T) {
	used := time.Duration(0)
	b := NewBudget(context.Background(), Limits{Time: time.Second}, func() time.Duration { used += time.Millisecond; return used })
	n := 0
	for b.Check() == nil {
		n++
	}
	if n < 60000 || n > 70000 || b.Over().Limit != "time" {
		t.Errorf("%d checks, %v", n, b.Over())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b = NewBudget(ctx, Limits{}, nil)
	if b.Check() == nil {
		t.Error("the context has ended")
	}
}

func TestDefaults(t *testing.T) {
	l := Limits{Depth: 3}.WithDefaults()
	if l.Depth != 3 || l.Members != 2000 || l.Octets != 200<<20 || l.Member != 64<<20 || l.Ratio != 200 || l.Free != 20<<20 || l.Time != 10*time.Second || l.Guesses != 200 {
		t.Errorf("%+v", l)
	}
}
