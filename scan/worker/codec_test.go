//go:build linux && (amd64 || arm64)

package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/inspect"
)

// fill gives every field a value of its own, so that one that is not sent is missed.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString("\xff" + strings.Repeat("x", int(*n)))
	case reflect.Int, reflect.Int64:
		v.SetInt(*n << 20)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

// TestCodec sends everything there is, octet for octet.
func TestCodec(t *testing.T) {
	for _, v := range []any{&setup{}, &Status{}, &order{}, &discovery{}, &reply{}} {
		n := int64(0)
		fill(reflect.ValueOf(v).Elem(), &n)
		frame, err := encode(nil, reflect.ValueOf(v).Elem().Interface())
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		got := reflect.New(reflect.TypeOf(v).Elem())
		if err := decode(frame, got.Interface()); err != nil || !reflect.DeepEqual(got.Interface(), v) {
			t.Errorf("%T: %v\n%+v\n%+v", v, err, got.Elem(), v)
		}
	}
}

// TestClip cuts long strings between characters.
func TestClip(t *testing.T) {
	tests := []struct {
		in    string
		limit int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aé", 2, "a"}, {"aé", 3, "aé"}, {"\x80\x80\x80\x80\x80\x80", 5, "\x80\x80\x80\x80\x80"},
		{"", 0, ""}, {"x", 0, ""}, {"\x80\x80", 1, "\x80"},
	}
	for _, tt := range tests {
		if got := clip(tt.in, tt.limit); got != tt.want {
			t.Errorf("clip(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

// TestTooMuch does not send what the other side would refuse, and the worker lives on.
func TestTooMuch(t *testing.T) {
	r := reply{Result: inspect.Result{Links: make([]scan.Link, 1000)}}
	for i := range r.Result.Links {
		r.Result.Links[i].URL = strings.Repeat("x", maxString)
	}
	if _, err := appendFrame(nil, kindReply, r); !errors.Is(err, errTooLarge) {
		t.Errorf("appendFrame: %v", err)
	}
	p := newPool(t, Options{Workers: 1})
	if _, err := p.Inspect(t.Context(), job("verbose"), nil); err == nil || !strings.Contains(err.Error(), "more was found") {
		t.Errorf("Inspect: %v", err)
	}
	if idle(p) == nil {
		t.Error("the worker is gone")
	}
}

// TestTail keeps both ends.
func TestTail(t *testing.T) {
	var tail tail
	for _, s := range []string{"first ", strings.Repeat("x", 3000), strings.Repeat("y", 100), " last"} {
		if n, err := tail.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	}
	got := tail.String()
	if !strings.HasPrefix(got, "first xxx") || !strings.HasSuffix(got, "yyy last") || len(got) != 2*ends+len("\n...\n") {
		t.Errorf("%d octets: %q", len(got), got)
	}
}

// FuzzDecode gives the decoder of each side what the other one could send.
func FuzzDecode(f *testing.F) {
	for _, v := range []any{setup{Memory: 1}, Status{Missing: []string{"x"}}, order{Passwords: []string{"x"}}, discovery{"2/x", 3},
		reply{Result: inspect.Result{Objects: make([]scan.Object, 3)}}} {
		out, err := encode(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, v := range []any{&setup{}, &Status{}, &order{}, &discovery{}, &reply{}} {
			if decode(in, v) != nil {
				continue
			}
			out, err := encode(nil, reflect.ValueOf(v).Elem().Interface())
			if err != nil {
				t.Fatal(err)
			}
			again := reflect.New(reflect.TypeOf(v).Elem())
			if err := decode(out, again.Interface()); err != nil || !reflect.DeepEqual(again.Interface(), v) {
				t.Fatalf("%T: %v", v, err)
			}
		}
	})
}

// FuzzSession lets the daemon listen to anything.
func FuzzSession(f *testing.F) {
	content, _ := appendFrame(nil, kindContent, discovery{"2/x", 3})
	answer, _ := appendFrame(nil, kindReply, reply{Result: inspected(job("plain"))})
	f.Add(append(append(content, "abc"...), answer...))
	f.Add(answer)
	f.Add([]byte("panic: x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 64<<10 {
			t.Skip("more than a pipe holds")
		}
		out, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if _, err := w.Write(in); err != nil {
			t.Fatal(err)
		}
		w.Close()
		o := Options{Wall: time.Minute}.withDefaults()
		p := &process{out: out, pid: os.Getpid()}
		s := session{ctx: context.Background(), options: &o, buffers: newBuffers(o.Contents), worker: p, wall: o.Wall,
			order: newOrder(job("plain"), true, o)}
		p.link.session = &s
		p.reader = bufio.NewReader(&p.link)
		var octets int
		s.sink = func(_ string, c []byte) error { octets += len(c); return nil }
		_, err = s.receive()
		if octets > len(in) || (err == nil) != (s.broken == nil) && s.broken != nil {
			t.Fatalf("%d octets, %v, %v", octets, err, s.broken)
		}
	})
}

// FuzzChild lets a worker listen to anything.
func FuzzChild(f *testing.F) {
	o, _ := appendFrame(nil, kindOrder, order{Size: 3, CPU: time.Hour})
	stop, _ := appendFrame(nil, kindStop, nil)
	f.Add(append(append(stop, o...), "abc"...))
	f.Add(o)
	f.Fuzz(func(t *testing.T, in []byte) {
		c := &child{engine: quiet{}, in: bufio.NewReader(bytes.NewReader(in)), out: bufio.NewWriter(io.Discard), watch: newWatch(1 << 20)}
		for {
			kind, body, err := readFrame(c.in, nil)
			if err != nil || kind != kindOrder || c.job(body) != nil {
				return
			}
		}
	})
}

// quiet is an engine that does nothing.
type quiet struct{}

// Inspect implements inspect.Engine.
func (quiet) Inspect(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
	return inspect.Result{}, nil
}
