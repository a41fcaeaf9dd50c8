// Package metrics counts what Assay does, for Prometheus. No label holds an address, a domain or anything else that a
// message can choose: the number of series is fixed, and nothing personal is in them.
package metrics

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"assay/milter"
	"assay/milter/filter"
	"assay/rules"
	"assay/scan/worker"
	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/message"
	"assay/verify/smime"
)

// Metrics holds the collectors. It observes the filter, the milter server and the resolver, concurrently.
type Metrics struct {
	registry *prometheus.Registry
	families []Family

	messages    *prometheus.CounterVec
	results     *prometheus.CounterVec
	rules       *prometheus.CounterVec
	trust       *prometheus.CounterVec
	removed     prometheus.Counter
	seconds     *prometheus.HistogramVec
	octets      prometheus.Histogram
	queries     *prometheus.CounterVec
	querySecs   prometheus.Histogram
	lookups     *prometheus.CounterVec
	perMessage  prometheus.Histogram
	gauges      map[milter.Event]prometheus.Gauge
	limits      *prometheus.CounterVec
	aborted     prometheus.Counter
	protocol    prometheus.Counter
	panics      prometheus.Counter
	reloads     *prometheus.CounterVec
	ruleLoads   *prometheus.CounterVec
	notified    *prometheus.CounterVec
	tls         *prometheus.CounterVec
	connections *prometheus.CounterVec
	reports     *prometheus.CounterVec
	rowsLost    *prometheus.CounterVec
	quarantine  prometheus.Gauge
	health      *prometheus.GaugeVec
	ready       prometheus.Gauge
	draining    prometheus.Gauge
	free        *prometheus.GaugeVec
	unsentPlans prometheus.Counter
	split       prometheus.Counter
	ruleErrors  *prometheus.CounterVec
	ruleSeconds prometheus.Histogram
	exempt      *prometheus.CounterVec
	ruleInfo    *prometheus.GaugeVec
	fallback    prometheus.Gauge
	expiring    prometheus.Gauge
	smime       *prometheus.CounterVec
	html        *prometheus.CounterVec
	attachments prometheus.Counter
	kept        prometheus.Counter
	disputed    prometheus.Counter
	opened      prometheus.Counter
	unscanned   *prometheus.CounterVec
	workers     *prometheus.CounterVec
	virus       *prometheus.CounterVec
	virusSecs   prometheus.Histogram
	virusUp     *prometheus.GaugeVec
}

// New returns metrics with a registry of their own.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), gauges: map[milter.Event]prometheus.Gauge{}}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.newMessageMetrics()
	m.newServerMetrics()
	m.newStateMetrics()
	m.gaugeVec("build_info", "The version of the program; always 1.", "version", "goversion").WithLabelValues(version, runtime.Version()).Set(1)
	m.preset()
	return m
}

// newMessageMetrics makes the collectors that a finished message feeds.
func (m *Metrics) newMessageMetrics() {
	m.messages = m.counters("messages_total", "Messages by what happened to them.", "disposition")
	m.results = m.counters("auth_results_total", "Results of authentication methods (RFC 8601 Section 2.7).", "method", "result")
	m.rules = m.counters("rule_matches_total", "Rules that fired.", "rule", "mode")
	m.ruleErrors = m.counters("rule_errors_total", "Rules that could not be evaluated.", "rule")
	m.exempt = m.counters("exceptions_used_total", "Rules that an exception kept from firing.", "rule", "exception")
	m.ruleInfo = m.gaugeVec("rules_info", "The rule set in force, by its SHA-256; always 1.", "sha256")
	m.fallback = m.gauge("rules_fallback_active", "1 while the last good rule set is used because the rule files are broken.")
	m.expiring = m.gauge("exceptions_expiring", "Exceptions that end within 30 days or have ended.")
	m.smime = m.counters("smime_results_total", "S/MIME verdicts.", "reason")
	m.opened = m.counter("smime_opened_total", "Messages that were encrypted as a whole and opened with a key of scan.smime.keys.")
	m.disputed = m.counter("smime_disputed_total", "Messages about whose signature two implementations did not agree; each is worth a look.")
	m.html = m.counters("html_removed_total", "What was taken out of HTML.", "kind")
	m.attachments = m.counter("attachments_removed_total", "Attachments that were replaced by a notice.")
	m.kept = m.counter("edits_kept_back_total", "Parts that a rule wanted changed and that stayed, because they are signed.")
	m.unscanned = m.counters("unscanned_total", "Messages with content that could not be looked into, by what it is and what happened to them.", "class", "disposition")
	m.trust = m.counters("trust_total", "Messages by the trust that is shown for them.", "trust")
	m.connections = m.counters("tls_connections_total", "SMTP connections that sent mail, by their TLS version.", "version")
	m.tls = m.counters("tls_messages_total", "Messages by the TLS version of the last hop.", "version")
	m.removed = m.counter("removed_fields_total", "Inbound header fields that were removed as forged.")
	m.seconds = m.histograms("message_seconds", "Time that messages took: total, from the end of the header to the decision; verify and scan, "+
		"which run side by side after the end of the message; rules.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 60}, "stage")
	m.ruleSeconds = m.histogram("rule_eval_seconds", "Time that all rules took for a message.",
		[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5})
	m.octets = m.histogram("message_bytes", "Size of messages.", prometheus.ExponentialBuckets(1<<10, 4, 10))
	m.perMessage = m.histogram("message_dns_questions", "DNS questions per message, cached ones included.",
		[]float64{0, 1, 2, 5, 10, 20, 40, 80})
	m.unsentPlans = m.counter("undelivered_plans_total", "Decisions that could not be handed to the MTA.")
}

// newServerMetrics makes the collectors that the milter server and the resolver feed.
func (m *Metrics) newServerMetrics() {
	m.queries = m.counters("dns_queries_total", "DNS questions sent to the servers.", "type", "result")
	m.querySecs = m.histogram("dns_query_seconds", "Time until the servers answered.",
		[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10})
	m.lookups = m.counters("dns_lookups_total", "DNS lookups by where their answer came from.", "type", "source")
	m.workers = m.counters("workers_total", "What became of the processes that open files.", "change", "limit")
	m.virus = m.counters("virus_scans_total", "Answers of virus scanners about contents.", "result")
	m.virusSecs = m.histogram("virus_scan_seconds", "Time until a virus scanner answered.", []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60})
	m.virusUp = m.gaugeVec("virus_scanner_up", "1 while the virus scanner answers.", "scanner")
	m.limits = m.counters("limits_exceeded_total", "Messages that exceeded a limit.", "limit")
	m.aborted = m.counter("aborted_total", "Messages that the client or the MTA gave up.")
	m.split = m.counter("recipients_split_total", "Recipients that were asked to be sent separately, because another policy serves them.")
	m.protocol = m.counter("protocol_errors_total", "Breaches of the milter protocol by the MTA's side.")
	m.panics = m.counter("panics_total", "Panics that were caught; each is a bug.")
	m.notified = m.counters("notifications_total", "Notifications that rules asked for.", "result")
	m.ruleLoads = m.counters("rules_reload_total", "Reloads of the rules.", "result")
	m.reloads = m.counters("reload_total", "Reloads of the configuration.", "result")
	m.gauges[milter.EventConnection] = m.gauge("connections", "Open connections from the MTA.")
	m.gauges[milter.EventAnalysis] = m.gauge("messages_in_work", "Messages that are being worked on.")
	m.gauges[milter.EventWaiting] = m.gauge("messages_waiting", "Messages that wait for their turn.")
}

// newStateMetrics makes the collectors about the state of the daemon.
func (m *Metrics) newStateMetrics() {
	m.reports = m.counters("dmarc_reports_sent_total", "DMARC aggregate reports (RFC 9990) by what became of them, one for each address.", "result")
	m.rowsLost = m.counters("dmarc_rows_dropped_total", "Messages that are missing in DMARC reports, by why.", "cause")
	m.quarantine = m.gauge("quarantine_messages", "Messages in the quarantine of Assay.")
	m.health = m.gaugeVec("health", "1 while the check of the daemon's own state succeeds.", "check")
	m.ready = m.gauge("ready", "1 while every check of the daemon's own state succeeds, which is what /readyz says.")
	m.draining = m.gauge("draining", "1 while new messages are answered 451, by assay ctl drain or because the daemon is stopping.")
	m.free = m.gaugeVec("disk_free_bytes", "Free space for the directories that Assay writes to, by the key of the configuration that names them.", "directory")
}

// preset makes every series exist before its first event whose labels are known, so that a rate is right from the first event
// on, and an alert does not wait for it.
func (m *Metrics) preset() {
	for counter, values := range map[*prometheus.CounterVec]words{
		m.messages: dispositions(), m.trust: trusts(), m.tls: versions(), m.connections: versions(), m.smime: states(), m.html: htmlKinds(),
		m.limits: limits(), m.reloads: outcomes(), m.ruleLoads: outcomes(), m.reports: reportResults(), m.rowsLost: rowCauses(), m.notified: {"delivered", "lost"},
		m.virus: virusResults(),
	} {
		for _, v := range values {
			counter.WithLabelValues(v)
		}
	}
	for _, v := range stages() {
		m.seconds.WithLabelValues(v)
	}
	for _, c := range workerChanges() {
		if c != string(worker.Limited) {
			m.workers.WithLabelValues(c, "")
		}
	}
	for _, l := range workerLimits()[1:] {
		m.workers.WithLabelValues(string(worker.Limited), l)
	}
	m.presetPairs()
}

// presetPairs is preset for counters with two labels.
func (m *Metrics) presetPairs() {
	for counter, values := range map[*prometheus.CounterVec][2]words{
		m.results: {methods(), results()}, m.unscanned: {classes(), dispositions()}, m.queries: {dnsTypes(), dnsOutcomes()},
		m.lookups: {dnsTypes(), dnsSources()},
	} {
		for _, a := range values[0] {
			for _, b := range values[1] {
				counter.WithLabelValues(a, b)
			}
		}
	}
}

// Observe implements filter.Observer.
func (m *Metrics) Observe(o *filter.Outcome, err error) {
	if o.Aborted {
		return // the server counts these
	}
	disposition := o.Decision.Disposition
	if err != nil { // the MTA heard nothing of the decision, and defers
		disposition = rules.Defer
		m.unsentPlans.Inc()
	}
	m.messages.WithLabelValues(disposition.String()).Inc()
	m.trust.WithLabelValues(trusts().of(string(o.Decision.Trust))).Inc()
	m.tls.WithLabelValues(tlsVersion(o.Envelope.TLS)).Inc()
	m.observeTime(o)
	m.octets.Observe(float64(o.Size))
	m.perMessage.Observe(float64(len(o.Questions)))
	m.removed.Add(float64(len(o.Removed)))
	for _, match := range o.Decision.Rules {
		mode := "monitor"
		if match.Enforced {
			mode = "enforce"
		}
		m.rules.WithLabelValues(match.ID, mode).Inc()
	}
	for _, f := range o.Decision.Errors {
		m.ruleErrors.WithLabelValues(f.Rule).Inc()
	}
	for _, e := range o.Decision.Exempt {
		m.exempt.WithLabelValues(e.Rule, e.Exception).Inc()
	}
	m.observeUnscanned(o, disposition)
	m.observeAmendment(o.Amendment)
	if strings.HasPrefix(o.Failure, "panic") {
		m.panics.Inc()
	}
	m.panics.Add(float64(len(o.Results.Faults)))
	if !o.Refused {
		m.observeResults(o)
	}
}

// observeTime notes what a message has cost. A stage that it did not reach has cost nothing.
func (m *Metrics) observeTime(o *filter.Outcome) {
	m.seconds.WithLabelValues("total").Observe(o.Elapsed.Seconds())
	for stage, took := range map[string]time.Duration{"verify": o.Verifying, "scan": o.Scanning, "rules": o.Deciding} {
		if took > 0 {
			m.seconds.WithLabelValues(stage).Observe(took.Seconds())
		}
	}
	if o.Deciding > 0 {
		m.ruleSeconds.Observe(o.Deciding.Seconds())
	}
}

// observeAmendment counts what was taken out of the message.
func (m *Metrics) observeAmendment(a filter.Amendment) {
	for _, f := range a.Taken {
		m.html.WithLabelValues(htmlKinds().of(string(f.Kind))).Add(float64(max(f.Count, 1)))
	}
	m.attachments.Add(float64(len(a.Files)))
	m.kept.Add(float64(len(a.Kept)))
}

// A RuleSet is the rule set in force, for the metrics about it.
type RuleSet struct {
	SHA      string
	Fallback bool // it is not what the rule files say
	Expiring int  // exceptions that end soon
}

// ObserveRules notes the rule set in force.
func (m *Metrics) ObserveRules(s RuleSet) {
	m.ruleInfo.Reset()
	m.ruleInfo.WithLabelValues(s.SHA).Set(1)
	m.fallback.Set(number(s.Fallback))
	m.expiring.Set(float64(s.Expiring))
}

// Notified counts a notification.
func (m *Metrics) Notified(err error) {
	result := "delivered"
	if err != nil {
		result = "lost"
	}
	m.notified.WithLabelValues(result).Inc()
}

// RulesReloaded counts an activation of rules.
func (m *Metrics) RulesReloaded(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.ruleLoads.WithLabelValues(result).Inc()
}

// observeResults counts the result of every method.
func (m *Metrics) observeResults(o *filter.Outcome) {
	r := o.Results
	m.result("auth", r.Auth.Result)
	if r.Skipped != "" {
		return
	}
	for _, v := range r.SPF {
		m.result("spf", v.Result)
	}
	for _, v := range r.DKIM {
		m.result("dkim", v.Result)
	}
	if len(r.DKIM) == 0 {
		m.result("dkim", authres.None)
	}
	m.result("arc", r.ARC.Result)
	m.result("dmarc", r.DMARC.Result)
	m.result("iprev", r.IPRev.Result)
	m.result("smime", r.SMIME.Result)
	if r.SMIME.State != "" {
		m.smime.WithLabelValues(states().of(string(r.SMIME.State))).Inc()
	}
	if r.SMIME.Opened {
		m.opened.Inc()
	}
	if slices.Contains(r.SMIME.Flags, smime.FlagDisputed) {
		m.disputed.Inc()
	}
	for _, q := range o.Questions {
		if strings.Contains(q.Err, strings.TrimPrefix(dns.ErrBudget.Error(), "dns: ")) {
			m.limits.WithLabelValues("dns").Inc()
			return
		}
	}
}

// result counts one result; a check that was not made has none.
func (m *Metrics) result(method string, r authres.Result) {
	if r != "" {
		m.results.WithLabelValues(method, results().of(string(r))).Inc()
	}
}

// Count implements milter.Observer.
func (m *Metrics) Count(e milter.Event, delta int) {
	if g, found := m.gauges[e]; found {
		g.Add(float64(delta))
		return
	}
	switch e {
	case milter.EventHeaderLimit:
		m.limits.WithLabelValues("header").Add(float64(delta))
	case milter.EventBodyLimit:
		m.limits.WithLabelValues("body").Add(float64(delta))
	case milter.EventShed:
		m.limits.WithLabelValues("connections").Add(float64(delta))
	case milter.EventOverBudget:
		m.limits.WithLabelValues("time").Add(float64(delta))
	case milter.EventAborted:
		m.aborted.Add(float64(delta))
	case milter.EventSplit:
		m.split.Add(float64(delta))
	case milter.EventBadHeader, milter.EventProtocolError:
		m.protocol.Add(float64(delta))
	case milter.EventPanic:
		m.panics.Add(float64(delta))
	}
}

// ObserveQuery implements dns.Observer.
func (m *Metrics) ObserveQuery(typ string, outcome dns.Outcome, took time.Duration) {
	m.queries.WithLabelValues(dnsTypes().of(typ), dnsOutcomes().of(string(outcome))).Inc()
	m.querySecs.Observe(took.Seconds())
}

// ObserveLookup implements dns.Observer.
func (m *Metrics) ObserveLookup(typ string, source dns.Source) {
	m.lookups.WithLabelValues(dnsTypes().of(typ), dnsSources().of(string(source))).Inc()
}

// Reloaded counts a reload of the configuration.
func (m *Metrics) Reloaded(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.reloads.WithLabelValues(result).Inc()
}

// ObserveTLS counts a connection that sends mail; version is "" without TLS.
func (m *Metrics) ObserveTLS(version string) {
	m.connections.WithLabelValues(tlsVersion(message.TLSInfo{Version: version})).Inc()
}

// ReportsSent counts DMARC aggregate reports that ended in the same way: sent, failed, suppressed, refused or expired.
func (m *Metrics) ReportsSent(result string, n int64) {
	m.reports.WithLabelValues(reportResults().of(result)).Add(float64(n))
}

// RowsDropped counts messages that are missing in DMARC reports for the same cause.
func (m *Metrics) RowsDropped(cause string, n int64) {
	m.rowsLost.WithLabelValues(rowCauses().of(cause)).Add(float64(n))
}

// Quarantine notes how many messages are in the quarantine.
func (m *Metrics) Quarantine(messages int) { m.quarantine.Set(float64(messages)) }

// Draining notes whether new messages are answered 451.
func (m *Metrics) Draining(on bool) { m.draining.Set(number(on)) }

// ObserveHealth notes the state of the daemon: each check, and all of them.
func (m *Metrics) ObserveHealth(checks map[string]bool, ready bool) {
	m.health.Reset()
	for name, ok := range checks {
		m.health.WithLabelValues(name).Set(number(ok))
	}
	m.ready.Set(number(ready))
}

// DiskFree notes the free space of a directory, which is called by the key of the configuration that names it.
func (m *Metrics) DiskFree(key string, octets int64) {
	m.free.WithLabelValues(key).Set(float64(octets))
}

// number is 1 for true, and 0.
func number(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// Page serves the metrics to Prometheus.
func (m *Metrics) Page() http.Handler { return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}) }
