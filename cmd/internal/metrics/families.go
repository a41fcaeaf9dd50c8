package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// A Family is all series of one name, as it is documented.
type Family struct {
	Name   string // "assay_messages_total"
	Type   string // "counter", "gauge" or "histogram"
	Labels []string
	Help   string
}

// Families returns what there is, in the order of their names. Those of Go's runtime and of the process are not among them.
func (m *Metrics) Families() []Family {
	all := slices.Clone(m.families)
	slices.SortFunc(all, func(a, b Family) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}

// register registers a collector and notes what it is.
func (m *Metrics) register(c prometheus.Collector, f Family) {
	f.Name = "assay_" + f.Name
	m.families = append(m.families, f)
	m.registry.MustRegister(c)
}

// counters makes a family of counters.
func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "assay", Name: name, Help: help}, labels)
	m.register(c, Family{name, "counter", labels, help})
	return c
}

// counter makes a counter.
func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "assay", Name: name, Help: help})
	m.register(c, Family{name, "counter", nil, help})
	return c
}

// gauge makes a gauge.
func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "assay", Name: name, Help: help})
	m.register(g, Family{name, "gauge", nil, help})
	return g
}

// gaugeVec makes a family of gauges.
func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "assay", Name: name, Help: help}, labels)
	m.register(g, Family{name, "gauge", labels, help})
	return g
}

// histogram makes a histogram.
func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "assay", Name: name, Help: help, Buckets: buckets})
	m.register(h, Family{name, "histogram", nil, help})
	return h
}

// histograms makes a family of histograms.
func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "assay", Name: name, Help: help, Buckets: buckets}, labels)
	m.register(h, Family{name, "histogram", labels, help})
	return h
}
