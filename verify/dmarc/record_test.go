package dmarc

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	tests := []struct {
		name, in string
		want     Record
	}{
		{"all tags", "v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=s; psd=n; t=y; fo=1:d:s; " +
			"rua=mailto:a@example.com; ruf=mailto:b@example.com",
			Record{P: PolicyReject, SP: PolicyQuarantine, NP: PolicyNone, StrictDKIM: true, StrictSPF: true, PSD: PSDNo,
				Testing: true, FO: "1:d:s", RUA: []string{"mailto:a@example.com"}, RUF: []string{"mailto:b@example.com"}}},
		{"blanks", "v \t= DMARC1 ;p =\treject ; ; aspf= s;", Record{P: PolicyReject, StrictSPF: true, FO: "0"}},
		{"case of names and values", "V=DMARC1;P=Reject;ADKIM=S;PSD=Y;T=Y",
			Record{P: PolicyReject, StrictDKIM: true, PSD: PSDYes, Testing: true, FO: "0"}},
		{"unknown and historic tags", "v=DMARC1; p=none; pct=x; rf=; ri=1; future=\u00fc; pct=2", Record{P: PolicyNone, FO: "0"}},
		{"syntax errors have the default", "v=DMARC1; p=none; adkim=x; aspf=; psd=maybe; t=1; fo=2; rua=nobody; junk",
			Record{P: PolicyNone, FO: "0", Ignored: []string{"adkim=x", "aspf=", "psd=maybe", "t=1", "fo=2", "rua=nobody", "junk"}}},
		{"the first of two", "v=DMARC1; p=reject; p=none; t=y; t=n; v=DMARC2",
			Record{P: PolicyReject, Testing: true, FO: "0", Ignored: []string{"p=none", "t=n", "v=DMARC2"}}},
		{"tag behind p before p", "v=DMARC1; sp=none; p=reject", Record{P: PolicyReject, SP: PolicyNone, FO: "0"}},
		{"no p", "v=DMARC1; rua=mailto:a@example.com",
			Record{FO: "0", RUA: []string{"mailto:a@example.com"}, Invalid: true}},
		{"nothing but the version", "v=DMARC1", Record{FO: "0", Invalid: true}},
		{"invalid p", "v=DMARC1; p=monitor", Record{FO: "0", Invalid: true, Ignored: []string{"p=monitor"}}},
		{"invalid sp", "v=DMARC1; p=reject; sp=", Record{P: PolicyReject, FO: "0", Invalid: true, Ignored: []string{"sp="}}},
		{"invalid np", "v=DMARC1; p=reject; np=x", Record{P: PolicyReject, FO: "0", Invalid: true, Ignored: []string{"np=x"}}},
		{"p without value", "v=DMARC1; p", Record{FO: "0", Invalid: true, Ignored: []string{"p"}}},
		{"p without value before p", "v=DMARC1; p; p=reject", Record{P: PolicyReject, FO: "0", Ignored: []string{"p"}}},
		{"fo without ruf", "v=DMARC1; p=none; fo=1", Record{P: PolicyNone, FO: "0"}},
		{"fo with 0 and 1", "v=DMARC1; p=none; fo=0:1; ruf=mailto:a@b.example",
			Record{P: PolicyNone, FO: "0", RUF: []string{"mailto:a@b.example"}, Ignored: []string{"fo=0:1"}}},
		{"URIs", "v=DMARC1; p=none; rua=mailto:a@example.com!10m , https://example.com/r?x=%20,mailto:b, c@example.com,," +
			"mailto:d@example.com!x, mailto:e@example.com!, mailto:f%4@example.com, mailto:g@h@example.com,MAILTO:i@example.com",
			Record{P: PolicyNone, FO: "0", RUA: []string{"mailto:a@example.com", "https://example.com/r?x=%20", "MAILTO:i@example.com"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRecord(tt.in)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseRecordRefuses(t *testing.T) {
	for _, in := range []string{"", "v=DMARC", "v=dmarc1; p=none", "v=DMARC1.0; p=none", "v=DMARC1 p=none", "v=spf1 -all",
		"p=none; v=DMARC1", " v=DMARC1; p=none", ";v=DMARC1; p=none", "DMARC1; p=none", "v==DMARC1; p=none", "x=DMARC1"} {
		if r, err := ParseRecord(in); !errors.Is(err, ErrNotRecord) {
			t.Errorf("%q: got %+v, %v", in, r, err)
		}
	}
}

func TestEffective(t *testing.T) {
	tests := []struct {
		in    string
		p, sp Policy
		apply bool
	}{
		{"v=DMARC1; p=reject; sp=none", PolicyReject, PolicyNone, true},
		{"v=DMARC1; rua=mailto:a@example.com", PolicyNone, "", true},
		{"v=DMARC1; p=x; sp=reject; rua=mailto:a@example.com", PolicyNone, "", true},
		{"v=DMARC1; p=reject; np=x; sp=reject; rua=mailto:a@example.com", PolicyNone, "", true},
		{"v=DMARC1; p=reject; sp=x; rua=nobody", PolicyNone, "", false},
		{"v=DMARC1; ruf=mailto:a@example.com", PolicyNone, "", false},
	}
	for _, tt := range tests {
		r, err := ParseRecord(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if e, apply := r.Effective(); e.P != tt.p || e.SP != tt.sp || apply != tt.apply {
			t.Errorf("%q: %+v, %v", tt.in, e, apply)
		}
	}
}

// FuzzParseRecord checks that any text is read in linear time, without a panic, and into valid values only.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=s; psd=n; t=y; fo=1:d:s; rua=mailto:a@b!10m,https://x/",
		"v = DMARC1", "v=DMARC1;;p=\x00;=;=x;rua=%", "v=DMARC1; rua=mailto:a@b.example,,!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecord(s)
		if err != nil {
			if !strings.Contains(err.Error(), "not a policy record") || !reflect.DeepEqual(r, Record{}) {
				t.Fatal(r, err)
			}
			return
		}
		for _, p := range []Policy{r.P, r.SP, r.NP} {
			if p.strictness() < 0 {
				t.Fatalf("policy %q", p)
			}
		}
		if e, apply := r.Effective(); apply && e.P == "" {
			t.Fatal("a record that applies has no policy")
		}
		for _, uri := range append(r.RUA, r.RUF...) {
			if !validURI(uri) || strings.ContainsAny(uri, " ,!\t\r\n") {
				t.Fatalf("URI %q", uri)
			}
		}
		again, err := ParseRecord(s + ";")
		if err != nil || again.P != r.P || again.Invalid != r.Invalid {
			t.Fatalf("a final semicolon changes %+v to %+v, %v", r, again, err)
		}
	})
}
