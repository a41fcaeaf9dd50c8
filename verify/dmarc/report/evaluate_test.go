package report

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/message"
)

// TestNewRowEvaluated makes rows of what dmarc.Evaluate finds, with its policy carried out to the letter.
func TestNewRowEvaluated(t *testing.T) {
	const rua = "; rua=mailto:r@example.com"
	local := []dmarc.Override{{Domain: "example.com", Policy: dmarc.PolicyNone, Reason: dmarc.OverrideMailingList}}
	for _, c := range []struct {
		name, record, author, signer string
		forwarder                    string
		overrides                    []dmarc.Override
		want                         string // "" for no row
	}{
		{"no record", "", "example.com", "example.com", "", nil, ""},
		{"no address", "v=DMARC1; p=reject", "example.com", "example.com", "", nil, ""},
		{"pass, none", "v=DMARC1; p=none" + rua, "example.com", "example.com", "", nil, "none/none/none none true []"},
		{"pass, reject", "v=DMARC1; p=reject" + rua, "example.com", "example.com", "", nil, "reject/reject/reject pass true []"},
		{"pass, subdomain without a policy", "v=DMARC1; p=reject; sp=none" + rua, "a.example.com", "example.com", "", nil,
			"reject/none/none none true []"},
		{"pass, t=y", "v=DMARC1; p=quarantine; t=y" + rua, "example.com", "example.com", "", nil,
			"quarantine/quarantine/quarantine pass true []"},
		{"fail, reject", "v=DMARC1; p=reject" + rua, "example.com", "example.net", "", nil, "reject/reject/reject reject false []"},
		{"fail, subdomain", "v=DMARC1; p=none; sp=quarantine; np=none" + rua, "a.example.com", "example.net", "", nil,
			"none/quarantine/none quarantine false []"},
		{"fail, strict", "v=DMARC1; p=reject; adkim=s" + rua, "a.example.com", "example.com", "", nil,
			"reject/reject/reject reject false []"},
		{"fail, t=y", "v=DMARC1; p=reject; t=y" + rua, "example.com", "example.net", "", nil,
			"reject/reject/reject quarantine false [{policy_test_mode }]"},
		{"fail, t=y, none", "v=DMARC1; p=none; t=y" + rua, "example.com", "example.net", "", nil, "none/none/none none false []"},
		{"fail, local policy", "v=DMARC1; p=reject" + rua, "example.com", "example.net", "", local,
			"reject/reject/reject none false [{mailing_list }]"},
		{"fail, forwarded", "v=DMARC1; p=reject" + rua, "example.com", "example.net", "lists.example.org", nil,
			"reject/reject/reject none false [{trusted_forwarder forwarded by lists.example.org}]"},
		{"fail, no valid policy", "v=DMARC1; p=burn" + rua, "example.com", "example.net", "", nil, "none/none/none none false []"},
	} {
		in := dmarc.Input{
			Author: message.Author{Mailboxes: []message.Mailbox{{Domain: c.author}}}, Forwarder: c.forwarder,
			DKIM: []dkim.Verification{{Result: authres.Pass, Domain: c.signer, Selector: "s"}},
		}
		z := zone{"_dmarc.example.com": c.record}
		if c.record == "" {
			z = zone{}
		}
		ev := dmarc.Evaluate(context.Background(), existing{z}, in, dmarc.Options{Overrides: c.overrides})
		row, ok := NewRow(Input{
			ClientIP: netip.MustParseAddr("192.0.2.1"), Evaluation: ev, DKIM: in.DKIM, Disposition: Disposition(ev.Policy),
		})
		got := fmt.Sprintf("%s/%s/%s %s %t %v", row.Policy.P, row.Policy.SP, row.Policy.NP, row.Disposition, row.DKIM, row.Reasons)
		if !ok {
			got = ""
		} else if row.Policy.Domain != "example.com" || row.HeaderFrom != c.author {
			t.Errorf("%s: %+v", c.name, row)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s (%+v)", c.name, got, c.want, ev)
		}
	}
}

// existing is a zone in which every name exists.
type existing struct{ zone }

func (existing) LookupIP(context.Context, string, string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Records: []netip.Addr{netip.MustParseAddr("192.0.2.80")}}, nil
}
