package metrics

import (
	"errors"
	"time"

	"assay/milter/filter"
	"assay/rules"
	"assay/scan/virus"
)

// ObserveWorker counts what became of a process that opens files. Limit is "" unless it was stopped at one.
func (m *Metrics) ObserveWorker(change, limit string) { m.workers.WithLabelValues(change, limit).Inc() }

// ObserveVirus counts an answer of a virus scanner.
func (m *Metrics) ObserveVirus(kind virus.Kind, err error, took time.Duration) {
	result := string(kind)
	switch {
	case errors.Is(err, virus.ErrTooLarge), errors.Is(err, virus.ErrRefused):
		result = "refused"
	case err != nil:
		result = "error"
	}
	m.virus.WithLabelValues(result).Inc()
	m.virusSecs.Observe(took.Seconds())
}

// VirusScanner notes whether a virus scanner answers. Names come from the configuration.
func (m *Metrics) VirusScanner(name string, up bool) {
	value := 0.0
	if up {
		value = 1
	}
	m.virusUp.WithLabelValues(name).Set(value)
}

// observeUnscanned counts a message that holds what nobody could look into, once per class.
func (m *Metrics) observeUnscanned(o *filter.Outcome, disposition rules.Disposition) {
	for _, class := range o.Report.Unscanned() {
		m.unscanned.WithLabelValues(class, disposition.String()).Inc()
	}
}
