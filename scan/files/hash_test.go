package files

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"

	"assay/scan"
	"assay/scan/inspect"
	"assay/scan/virus"
)

// A liar is an Engine whose worker was taken over: it says that the malware it hands out is what it was given.
type liar struct{}

func (liar) Inspect(_ context.Context, job inspect.Job, sink inspect.Sink) (inspect.Result, error) {
	if err := sink(job.Object.Path+"/a", []byte(marker)); err != nil {
		return inspect.Result{}, err
	}
	root := job.Object
	root.State = scan.Inspected
	inside := root
	inside.Path, inside.Depth = root.Path+"/a", root.Depth+1
	return inspect.Result{Objects: []scan.Object{root, inside}, Members: 1}, nil
}

// TestHashesOfWorkersAreNotBelieved asks about a content whatever hash is claimed for it, and takes no answer for another one.
func TestHashesOfWorkersAreNotBelieved(t *testing.T) {
	v := &scanner{}
	s := New(Options{Engine: liar{}, Virus: v})
	r := s.Scan(t.Context(), read(t, attached("a.bin", "hello", []byte("nothing in it"))))
	if r.Virus.State != scan.VirusFound || len(v.asked) != 3 {
		t.Errorf("%+v, asked about %q", r.Virus, v.asked)
	}
}

// An indifferent scanner finds nothing, and an indifferent Engine neither, both at once: what is left is the work of this package.
type indifferent struct{}

func (indifferent) Scan(context.Context, string, virus.Open) (virus.Verdict, error) {
	return virus.Verdict{Kind: virus.Clean}, nil
}

func (indifferent) Inspect(_ context.Context, job inspect.Job, _ inspect.Sink) (inspect.Result, error) {
	job.Object.State = scan.Inspected
	return inspect.Result{Objects: []scan.Object{job.Object}}, nil
}

// BenchmarkAttachments has a mail of 25 MB with 20 files, with a virus scanner and without.
func BenchmarkAttachments(b *testing.B) {
	text := "From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
	random := rand.NewChaCha8([32]byte{1})
	for i := range 20 {
		content := make([]byte, 25<<20/20*3/4)
		_, _ = random.Read(content)
		text += fmt.Sprintf("\n--b\nContent-Type: application/octet-stream; name=%d.bin\nContent-Transfer-Encoding: base64\n\n", i) + wrap(base64.StdEncoding.EncodeToString(content))
	}
	m := read(b, text+"\n--b--\n")
	for name, v := range map[string]Virus{"scanner": indifferent{}, "none": nil} {
		b.Run(name, func(b *testing.B) {
			s := New(Options{Engine: indifferent{}, Virus: v})
			b.ReportAllocs()
			b.SetBytes(m.Size())
			for b.Loop() {
				if r := s.Scan(b.Context(), m); len(r.Objects) != 20 {
					b.Fatal(len(r.Objects))
				}
			}
		})
	}
}
