package chamber

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	inits, seals, unseals prometheus.Counter
	rotations             *prometheus.CounterVec
	changes               *prometheus.CounterVec
	faults                *prometheus.CounterVec
	shares                *prometheus.GaugeVec
	states                *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	gauges := func(name, help, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		inits:     counter("containment_chamber_init_total", "Initializations of the chamber by this process."),
		seals:     counter("containment_chamber_seal_total", "Times that this process gave up the master key."),
		unseals:   counter("containment_chamber_unseal_total", "Times that this process got the master key."),
		rotations: counters("containment_chamber_rotation_total", "Rotations that this process finished, by type: kms, master_key.", "type"),
		changes:   counters("containment_chamber_changes_total", "Changes of the chamber's state that this process made, by operation.", "operation"),
		faults: counters("containment_chamber_state_faults_total",
			"Reads of the signer state that were not taken over, by reason: unreachable, rolled_back, foreign, newer, corrupt.", "reason"),
		shares: gauges("containment_kms_share_ok", "1 if the share of the master key could be opened and fits, when it was last tried, by share.", "share"),
		states: gauges("containment_signer_state", "1 for the state that the chamber is in, 0 for the others, by state.", "state"),
	}
	for _, c := range []prometheus.Collector{m.inits, m.seals, m.unseals, m.rotations, m.changes, m.faults, m.shares, m.states} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the chamber: %w", err)
		}
	}
	for _, reason := range []string{"unreachable", "rolled_back", "foreign", "newer", "corrupt"} {
		m.faults.WithLabelValues(reason) // so that the first one is seen as an increase
	}
	return m, nil
}

func (m *metrics) state(now State) {
	for _, s := range States() {
		value := 0.0
		if s == now {
			value = 1
		}
		m.states.WithLabelValues(s.String()).Set(value)
	}
}
