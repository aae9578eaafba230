package eth2

import (
	"encoding/json"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

func FuzzDecode(f *testing.F) {
	for _, c := range append(golden(f), goldenGloas(f)...) {
		f.Add([]byte(c.Body))
	}
	for _, d := range dialects() {
		f.Add([]byte(d.body))
	}
	f.Add([]byte(attestationBody))
	f.Add([]byte(`{"type":"DEPOSIT","x":[{}],"deposit":null}`))
	f.Add([]byte(`{ "a" : -1.5e3 , "b":["}",[],"\\\""]}`))
	f.Add([]byte(`{"type":"EXECUTION_PAYLOAD_BID","execution_payload_bid":{"blob_kzg_commitments":[ "\"" , [] ]}}`))
	network := hoodi(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		kind, req, err := decode(network, body)
		if (err == nil) != (req != nil) {
			t.Fatalf("request %v with error %v", req, err)
		}
		if err != nil {
			if p := problem.Of(err); p.Kind != problem.Malformed {
				t.Fatalf("problem %v", p.Kind)
			}
			return
		}
		if req.Kind() != kind {
			t.Fatalf("kind %v of a request of kind %v", kind, req.Kind())
		}
		_, again, err := decode(network, body)
		if err != nil || again.SigningRoot() != req.SigningRoot() {
			t.Fatalf("decoded again: %v, %v", again, err)
		}
		checkClaim(t, network, body, req.SigningRoot())
	})
}

// checkClaim wants an error if the body claims a root that is not that of the request.
func checkClaim(t *testing.T, network *eth2.Network, body []byte, root eth2.Root) {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatalf("an accepted body is not a JSON object: %v", err)
	}
	other := root
	other[0] ^= 1
	for _, field := range []string{"signingRoot", "signing_root"} {
		delete(fields, field)
	}
	fields["signingRoot"] = json.RawMessage(`"0x` + hexOf(other) + `"`)
	changed, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	if _, req, err := decode(network, changed); err == nil && req.SigningRoot() != other {
		t.Fatalf("a claimed root %x was ignored, the request's is %x", other, req.SigningRoot())
	}
}
