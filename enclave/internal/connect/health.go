package connect

import (
	"fmt"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// readiness is the answer of /readyz.
type readiness struct {
	Ready  bool       `json:"ready"`
	Signer string     `json:"signer"`
	Asked  *time.Time `json:"asked,omitempty"` // when a request to the signer ended last
	Error  string     `json:"error,omitempty"`
	// Refused is true if the signer is there, and is not one that is accepted.
	Refused  bool       `json:"refused,omitempty"`
	Since    *time.Time `json:"since,omitempty"` // when the trouble began
	Evidence *evidence  `json:"evidence,omitempty"`
}

// evidence is what the signer proved last. It may have been before the trouble, if there is one.
type evidence struct {
	Set              string            `json:"set,omitempty"`
	Build            string            `json:"build"`
	ModuleID         string            `json:"module_id"`
	PCRs             map[string]string `json:"pcrs"`
	ConfigDigest     string            `json:"config_digest"`
	NotAfter         time.Time         `json:"not_after"`
	ProvedConnection bool              `json:"proved_connection"`
}

// register adds what tells how the proxy is: /upcheck that it lives, /readyz whether the signer is there and accepted.
func (s *Signer) register(mux api.Router) {
	mux.HandleFunc("GET /upcheck", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("OK")) // a prober that is gone does not want it
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := s.readiness()
		code := http.StatusOK
		if !r.Ready {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, r)
	})
}

func (s *Signer) readiness() readiness {
	asked, t, since, peer := s.status()
	r := readiness{Ready: t == nil && !asked.IsZero(), Signer: s.url.String(), Evidence: evidenceOf(peer)}
	switch {
	case asked.IsZero():
		r.Error = "the signer has not been asked yet"
	case t != nil:
		r.Error, r.Refused = t.public(), t.kind == refused
		r.Since = seconds(since)
	}
	if !asked.IsZero() {
		r.Asked = seconds(asked)
	}
	return r
}

func seconds(t time.Time) *time.Time {
	t = t.UTC().Truncate(time.Second)
	return &t
}

func evidenceOf(p *atls.Peer) *evidence {
	if p == nil {
		return nil
	}
	e := &evidence{
		Set: p.Label, Build: p.Binding.Build, ModuleID: p.Document.ModuleID, PCRs: map[string]string{},
		ConfigDigest: fmt.Sprintf("%x", p.Binding.Config), NotAfter: p.NotAfter.UTC(), ProvedConnection: p.Proof != nil,
	}
	for _, index := range attestation.Registers() {
		if pcr, ok := p.Document.PCRs[index]; ok {
			e.PCRs[fmt.Sprintf("PCR%d", index)] = pcr.String()
		}
	}
	return e
}
