package e2e

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// The states of a chamber.
const (
	chamberUninitialized operator.SealStatus = "uninitialized"
	chamberSealed        operator.SealStatus = "sealed"
	chamberUnsealed      operator.SealStatus = "unsealed"
	chamberRotating      operator.SealStatus = "awaiting_rotation"
)

// chamberSigner is a replica.
type chamberSigner struct {
	*process

	name, config, url string
	client            *http.Client
}

func (r *chamberSigner) start(t *testing.T) {
	t.Helper()
	r.process = start(t, "containment-chamber", "server", "-c", r.config)
}

// kill ends the process as kill -9 does.
func (r *chamberSigner) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.wait()
	r.client.CloseIdleConnections()
}

// status asks with a token that is known also while the replica is sealed.
func (r *chamberSigner) status(t *testing.T) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+operator.RouteStatus, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+operatorToken)
	return r.client.Do(req)
}

// await waits until a replica that has read the signer state says of itself what is wanted.
func (r *chamberSigner) await(t *testing.T, what string, is func(operator.Status) bool) operator.Status {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	last := ""
	for {
		res, err := r.status(t)
		if err == nil {
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			last = string(body)
			var s operator.Status
			if json.Unmarshal(body, &s) == nil && s.Seal.Chamber != nil && s.Seal.Refreshed >= 0 && is(s) {
				return s
			}
		}
		select {
		case <-tick.C:
		case <-r.done:
			t.Fatalf("%s ended: it was to say %s", r.name, what)
		case <-limit:
			t.Fatalf("%s does not say %s within 30 s: %s", r.name, what, last)
		}
	}
}

// follows is await for what another replica was asked for and has answered just now. It tells how long it took.
func (r *chamberSigner) follows(t *testing.T, s *chamberSite, what string, is func(operator.Status) bool) operator.Status {
	t.Helper()
	answered := time.Now()
	status := r.await(t, what, is)
	t.Logf("%s follows %s: %.2f refresh intervals after the answer", r.name, what, time.Since(answered).Seconds()/float64(s.refresh))
	return status
}

// inState says whether a chamber is in a state.
func inState(want operator.SealStatus) func(operator.Status) bool {
	return func(s operator.Status) bool { return s.Seal.Status == want }
}

// usable says whether a chamber's key is there, and so many stored keys are.
func usable(keys int) func(operator.Status) bool {
	return func(s operator.Status) bool {
		return (s.Seal.Status == chamberUnsealed || s.Seal.Status == chamberRotating) && s.Keys.Sources["stored"] == keys
	}
}

// votes asks for an attestation that can be signed.
func (r *chamberSigner) votes(t *testing.T, v *validator) (status int, body string, d duty) {
	t.Helper()
	v.epoch++
	d = attests(t, v.key, v.epoch-1, v.epoch, 1)
	status, body, err := request(t.Context(), r.client, r.url, d)
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	return status, body, d
}

// signs makes sure that a replica signs a vote of each key, with that key.
func (r *chamberSigner) signs(t *testing.T, all ...*validator) {
	t.Helper()
	for _, v := range all {
		status, body, d := r.votes(t, v)
		var answer struct{ Signature string }
		err := json.Unmarshal([]byte(body), &answer)
		raw, notHex := hex.DecodeString(strings.TrimPrefix(answer.Signature, "0x"))
		if status != http.StatusOK || err != nil || notHex != nil || len(raw) != len(bls.Signature{}) {
			t.Fatalf("%s, vote of %s: %d %s", r.name, v.key.Short(), status, body)
		}
		if !bls.Verify(v.key, d.vote.(slashing.Attestation).Root, bls.Signature(raw)) {
			t.Fatalf("%s: the signature is not one of %s", r.name, v.key.Short())
		}
	}
}

// refuses makes sure that a replica does not sign a vote of a key, and says why.
func (r *chamberSigner) refuses(t *testing.T, v *validator, want int, words string) {
	t.Helper()
	if status, body, _ := r.votes(t, v); status != want || !strings.Contains(body, words) {
		t.Fatalf("%s, vote of %s: %d %s, want %d and %q", r.name, v.key.Short(), status, body, want, words)
	}
}

// reveals asks for a signature that cannot be slashed.
func (r *chamberSigner) reveals(t *testing.T, v *validator, want int) {
	t.Helper()
	_, fork := hoodi(t)
	d := duty{key: v.key, body: fmt.Sprintf(`{"type":"RANDAO_REVEAL",%s,"randao_reveal":{"epoch":"%d"}}`, forkInfo(fork), v.epoch)}
	if status, body, err := request(t.Context(), r.client, r.url, d); err != nil || status != want {
		t.Fatalf("%s, RANDAO reveal of %s: %d %s %v, want %d", r.name, v.key.Short(), status, body, err, want)
	}
}
