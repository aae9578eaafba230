package operator

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Status is the answer.
type Status struct {
	Seal     Seal   `json:"seal"` // first, as operators' scripts expect
	Healthy  bool   `json:"healthy"`
	Build    string `json:"build"`
	Platform string `json:"platform"`
	Network  string `json:"network"`
	// Started is when the process began to serve.
	Started time.Time `json:"started"`
	// Attestation is null where nothing is attested.
	Attestation *Attestation `json:"attestation"`
	Keys        Keys         `json:"keys"`
	Checks      []Check      `json:"checks"`
}

// Outline is the answer to everybody while the signer is sealed or uninitialized.
type Outline struct {
	Seal     Seal      `json:"seal"`
	Healthy  bool      `json:"healthy"` // false
	Build    string    `json:"build"`
	Platform string    `json:"platform"`
	Network  string    `json:"network"`
	Started  time.Time `json:"started"`
}

// Keys are how many keys can sign.
type Keys struct {
	Total   int            `json:"total"`
	Sources map[string]int `json:"sources"`
}

// Check is one part of the process, as /healthcheck has it.
type Check struct {
	ID     string         `json:"id"`
	Up     bool           `json:"up"`
	Reason string         `json:"reason,omitempty"` // why it is not up
	Data   map[string]any `json:"data,omitempty"`
}

// Attestation is what the certificate in service proves about the signer. It is what the signer says: who does not trust it verifies the
// document.
type Attestation struct {
	// Error is why there is no valid document; then what it would have said is left out.
	Error    string    `json:"error,omitempty"`
	ModuleID string    `json:"module_id,omitempty"`
	Issued   time.Time `json:"issued,omitzero"`
	Age      int64     `json:"age_seconds"`
	// NotAfter is when the document ends, and CertificateNotAfter the certificate that holds it, if that is in service.
	NotAfter            time.Time         `json:"not_after,omitzero"`
	CertificateNotAfter time.Time         `json:"certificate_not_after,omitzero"`
	PCRs                map[string]string `json:"pcrs"`                    // 0, 1, 2, 3, 8 and 16, as far as they are there; 96 hexadecimal digits
	ConfigDigest        string            `json:"config_digest,omitempty"` // SHA-384, 96 hexadecimal digits
	// Debug is true in debug mode, in which the host reads everything: PCR0, 1 and 2 are zero.
	Debug bool `json:"debug"`
}

// attested reads the document in service as a client would; nil where there never is one.
func (a *API) attested(now time.Time) *Attestation {
	if a.o.Current == nil {
		return nil
	}
	raw, end := a.o.Current()
	out := &Attestation{PCRs: map[string]string{}}
	if raw == nil {
		out.Error = "no certificate has been issued yet"
		return out
	}
	out.CertificateNotAfter = end.UTC()
	doc, err := a.cache.Verify(raw, attestation.Options{Roots: a.o.Roots, Now: now})
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.ModuleID, out.Issued, out.NotAfter = doc.ModuleID, doc.Timestamp, doc.NotAfter.UTC()
	out.Age = int64(now.Sub(doc.Timestamp) / time.Second)
	for _, index := range attestation.Registers() {
		if value, ok := doc.PCRs[index]; ok {
			out.PCRs[fmt.Sprintf("PCR%d", index)] = value.String()
		}
	}
	for index := range 3 {
		out.Debug = out.Debug || doc.PCRs[index].IsZero()
	}
	if binding, err := atls.ParseBinding(doc.UserData); err != nil {
		out.Error = err.Error()
	} else {
		out.ConfigDigest = hex.EncodeToString(binding.Config[:])
	}
	if !now.Before(end) {
		out.Error = "the certificate has expired"
	}
	return out
}
