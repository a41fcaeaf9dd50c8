package metrics

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"assay/milter/filter"
	"assay/rules"
	"assay/scan"
	"assay/scan/virus"
	"assay/verify/dns"
)

// poison sets every text in a value to one that nobody but a message could have chosen, and every list to two members.
func poison(v reflect.Value, n *int, depth int) {
	if !v.CanSet() || depth > 8 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		*n++
		v.SetString(fmt.Sprintf("poison-%d\"\n", *n))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i), n, depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			poison(v.Index(i), n, depth+1)
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	}
}

// No label and no series can be chosen by a message: a hundred messages whose every text is chosen by an enemy, also where
// only our own words should stand, add the series "other" at most. Names of rules and exceptions are those of the
// administrator.
func TestNoLabelIsChosenByAMessage(t *testing.T) {
	m := New("1.2.3")
	names := regexp.MustCompile(`(?m)^(assay_\S+\{[^}]*\})`)
	n := 0
	observe := func() {
		var o filter.Outcome
		poison(reflect.ValueOf(&o).Elem(), &n, 0)
		o.Aborted, o.Refused, o.Results.Skipped = false, false, ""
		o.Decision.Rules, o.Decision.Exempt = []rules.Match{{ID: "r"}}, []rules.Exemption{{Rule: "r", Exception: "e"}}
		o.Decision.Errors = nil
		o.Decision.Disposition = rules.Deliver
		o.Report.Objects = append(o.Report.Objects, scan.Object{State: scan.Encrypted, Class: "poison"})
		m.Observe(&o, nil)
		m.ObserveTLS(fmt.Sprintf("poison-%d", n))
		m.ObserveQuery(fmt.Sprintf("poison-%d", n), dns.Outcome(fmt.Sprint("poison", n)), time.Second)
		m.ObserveLookup("poison", dns.Source("poison"))
		m.ObserveWorker(fmt.Sprint("poison", n), fmt.Sprint("poison", n))
		m.ObserveVirus(virus.Kind(fmt.Sprint("poison", n)), nil, time.Second)
		m.ObserveVirus("", errors.New("poison"), time.Second)
	}
	observe()
	before := len(names.FindAllString(scrape(t, m), -1))
	for range 100 {
		observe()
	}
	text := scrape(t, m)
	if strings.Contains(text, "poison") {
		t.Errorf("a label holds what a message says: %s", regexp.MustCompile(`(?m)^.*poison.*$`).FindString(text))
	}
	if after := len(names.FindAllString(text, -1)); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	for _, want := range []string{`assay_auth_results_total{method="dkim",result="other"} 202`, `assay_trust_total{trust="other"} 101`,
		`assay_unscanned_total{class="other",disposition="deliver"} 101`, `assay_tls_connections_total{version="other"} 101`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing: the test has not reached it", want)
		}
	}
}
