package metrics

import (
	"context"
	"errors"
	"time"

	"assay/milter/filter"
	"assay/rules"
	"assay/scan/virus"
)

// ObserveWorker counts what became of a process that opens files. Limit is "" unless it was stopped at one.
func (m *Metrics) ObserveWorker(change, limit string) {
	m.workers.WithLabelValues(workerChanges().of(change), workerLimits().of(limit)).Inc()
}

// ObserveVirus counts an answer of a virus scanner.
func (m *Metrics) ObserveVirus(kind virus.Kind, err error, took time.Duration) {
	result := virusResults().of(string(kind))
	switch {
	case errors.Is(err, virus.ErrTooLarge), errors.Is(err, virus.ErrRefused):
		result = "refused"
	case errors.Is(err, context.DeadlineExceeded):
		result = "timeout"
	case errors.Is(err, virus.ErrBusy):
		result = "busy"
	case err != nil:
		result = "error"
	}
	m.virus.WithLabelValues(result).Inc()
	m.virusSecs.Observe(took.Seconds())
}

// VirusScanner notes whether a virus scanner answers. Names come from the configuration.
func (m *Metrics) VirusScanner(name string, up bool) {
	m.virusUp.WithLabelValues(name).Set(number(up))
}

// VirusScanners notes which virus scanners there are, and which of them answer. One that is not configured any more has no
// state.
func (m *Metrics) VirusScanners(up map[string]bool) {
	m.virusUp.Reset()
	for name, is := range up {
		m.VirusScanner(name, is)
	}
}

// observeUnscanned counts a message that holds what nobody could look into, once per class.
func (m *Metrics) observeUnscanned(o *filter.Outcome, disposition rules.Disposition) {
	for _, class := range o.Report.Unscanned() {
		m.unscanned.WithLabelValues(classes().of(class), disposition.String()).Inc()
	}
}
