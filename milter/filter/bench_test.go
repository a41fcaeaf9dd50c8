package filter

import (
	"bytes"
	"testing"

	"golang.org/x/tools/txtar"

	"assay/milter/plan"
	"assay/verify"
	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/dns/zone"
	"assay/verify/message"
)

// BenchmarkMessage measures everything that is done for one everyday message: parsing, all checks with a warm cache,
// decision and plan. The message is signed with RSA-2048.
func BenchmarkMessage(b *testing.B) {
	archive, err := txtar.ParseFile("testdata/dkim-aligned.txtar")
	if err != nil {
		b.Fatal(err)
	}
	z, err := zone.Parse(bytes.NewReader(archive.Files[1].Data), "zone")
	if err != nil {
		b.Fatal(err)
	}
	opt := verify.Options{Resolver: dns.NewCache(z, dns.CacheOptions{})}
	opt.DKIM.Keys = dkim.NewKeyCache(100)
	f := New(Options{Verifier: verify.New(opt), Rules: shippedRules(b)})
	env := message.Envelope{ReceiverMTA: "mx.receiver.example", Helo: "lists.example.org", MailFrom: "bounce@lists.example.org"}
	b.ReportAllocs()
	for b.Loop() {
		m, err := message.Read(bytes.NewReader(archive.Files[2].Data), env, message.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if o := f.Explain(b.Context(), m, granted); o.Plan.Verdict != plan.Accept {
			b.Fatal(o.Failure)
		}
		m.Close()
	}
}
