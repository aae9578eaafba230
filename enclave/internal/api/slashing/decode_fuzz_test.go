package slashing

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

// FuzzDecode: what is accepted can be recorded, names keys that differ or none, and says the same when it is written again; what is
// refused is the caller's fault.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"slot": "1"}`, `{"slot": "9223372036854775808"}`, `{"slot": "01", "slot": "1"}`, `{"epoch": null, "keys": []}`,
		`{"epoch": "7", "keys": ["` + public(1) + `", "` + public(2)[2:] + `"]}`, `{"keys": ["` + public(1) + `", "` + public(1) + `"]}`, `[1]`, `{"a": {"b": [`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		read := func(body string) (limit admin.Limit, keys []bls.PublicKey, err error) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", strings.NewReader(body))
			err = decode(httptest.NewRecorder(), r, fields{"slot": height(&limit.Slot), "epoch": height(&limit.Epoch), "keys": list(&keys)})
			return limit, keys, err
		}
		limit, keys, err := read(body)
		if err != nil {
			if problem.Of(err).Kind != problem.Malformed {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		for name, h := range map[string]*uint64{"slot": limit.Slot, "epoch": limit.Epoch} {
			if h != nil && *h > slashing.MaxHeight {
				t.Errorf("%q: %s %d", body, name, *h)
			}
		}
		once := map[bls.PublicKey]bool{}
		for _, key := range keys {
			once[key] = true
		}
		if len(once) != len(keys) || keys != nil && len(keys) == 0 {
			t.Errorf("%q: %d keys, %d of them different", body, len(keys), len(once))
		}
		var named []string
		for _, key := range keys {
			named = append(named, key.String())
		}
		written, err := json.Marshal(struct {
			admin.Limit
			Keys []string `json:"keys,omitempty"`
		}{limit, named})
		if err != nil {
			t.Fatal(err)
		}
		again, sameKeys, err := read(string(written))
		if err != nil || again.String() != limit.String() || len(sameKeys) != len(keys) {
			t.Errorf("%q was read as %s, and that as %s, %v", body, written, again, err)
		}
	})
}
