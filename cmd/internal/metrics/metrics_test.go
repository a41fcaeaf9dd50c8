package metrics

import (
	"errors"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"assay/milter"
	"assay/milter/filter"
	"assay/milter/headers"
	"assay/rules"
	"assay/verify"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/spf"
)

// scrape returns what Prometheus reads.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Page().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func outcome() *filter.Outcome {
	return &filter.Outcome{
		Size: 5000, Elapsed: 3 * time.Millisecond, Deciding: time.Millisecond,
		Envelope: message.Envelope{TLS: message.TLSInfo{Version: "TLSv1.3"}, MailFrom: "secret@secret.example"},
		Results: verify.Results{
			SPF:   []spf.Verification{{Result: authres.Fail}},
			DKIM:  []dkim.Verification{{Result: authres.Pass, Domain: "secret.example"}, {Result: authres.TempError}},
			DMARC: dmarc.Evaluation{Result: authres.Pass, Domain: "secret.example"},
			SMIME: smime.Verification{Result: authres.Neutral, State: smime.Unsupported, Opened: true, Flags: []string{"preamble", smime.FlagDisputed}},
		},
		Decision:  rules.Decision{Disposition: rules.Deliver, Trust: rules.Authenticated, Rules: []rules.Match{{ID: "r", Enforced: true}, {ID: "s"}}},
		Removed:   make([]headers.Removal, 3),
		Questions: []dns.Question{{Err: "x: " + dns.ErrBudget.Error()}},
	}
}

func TestObserve(t *testing.T) {
	m := New("1.2.3")
	m.Observe(outcome(), nil)
	m.Observe(outcome(), errors.New("connection lost"))
	failed := outcome()
	failed.Decision, failed.Failure, failed.Results.Faults = rules.Decision{}, "panic: x", make([]verify.Fault, 1)
	failed.Envelope.TLS.Version = "secret"
	m.Observe(failed, nil)
	m.Observe(&filter.Outcome{Aborted: true}, errors.New("aborted"))
	skipped := outcome()
	skipped.Results = verify.Results{Skipped: verify.SkipLocal, Auth: verify.Auth{Result: authres.None}}
	m.Observe(skipped, nil)

	m.Count(milter.EventConnection, 1)
	m.Count(milter.EventConnection, 1)
	m.Count(milter.EventConnection, -1)
	for _, e := range []milter.Event{milter.EventHeaderLimit, milter.EventBodyLimit, milter.EventOverBudget, milter.EventAborted,
		milter.EventProtocolError, milter.EventPanic} {
		m.Count(e, 1)
	}
	m.ObserveQuery("TXT", dns.OutcomeNXDomain, time.Millisecond)
	m.ObserveLookup("TXT", dns.SourceHit)
	m.Reloaded(nil)
	m.Reloaded(errors.New("bad"))

	text := scrape(t, m)
	for _, want := range []string{
		`assay_messages_total{disposition="deliver"} 2`,
		`assay_messages_total{disposition="defer"} 2`,
		`assay_messages_total{disposition="reject"} 0`,
		`assay_undelivered_plans_total 1`,
		`assay_auth_results_total{method="spf",result="fail"} 3`,
		`assay_auth_results_total{method="dkim",result="pass"} 3`,
		`assay_auth_results_total{method="dkim",result="temperror"} 3`,
		`assay_auth_results_total{method="auth",result="none"} 1`,
		`assay_rule_matches_total{mode="enforce",rule="r"} 3`,
		`assay_rule_matches_total{mode="monitor",rule="s"} 3`,
		`assay_tls_messages_total{version="TLSv1.3"} 3`,
		`assay_tls_messages_total{version="other"} 1`,
		`assay_removed_fields_total 12`,
		`assay_smime_results_total{reason="unsupported"} 3`,
		`assay_smime_disputed_total 3`,
		`assay_smime_opened_total 3`,
		`assay_rule_eval_seconds_count 4`,
		`assay_panics_total 3`,
		`assay_message_seconds_count{stage="total"} 4`,
		`assay_message_seconds_count{stage="rules"} 4`,
		`assay_message_seconds_count{stage="verify"} 0`,
		`assay_connections 1`,
		`assay_limits_exceeded_total{limit="header"} 1`,
		`assay_limits_exceeded_total{limit="body"} 1`,
		`assay_limits_exceeded_total{limit="time"} 1`,
		`assay_limits_exceeded_total{limit="dns"} 3`,
		`assay_aborted_total 1`,
		`assay_protocol_errors_total 1`,
		`assay_dns_queries_total{result="nxdomain",type="TXT"} 1`,
		`assay_dns_lookups_total{source="hit",type="TXT"} 1`,
		`assay_reload_total{result="error"} 1`,
		`assay_build_info{goversion="go`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(text, "secret") {
		t.Error("what a message holds is in a label")
	}
	if bad := regexp.MustCompile(`(?m)^assay_\S* $`).FindString(text); bad != "" {
		t.Errorf("odd line %q", bad)
	}
}
