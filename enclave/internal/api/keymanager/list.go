package keymanager

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// list tells of the keys that the caller may see.
func (a *API) list(r *http.Request, e *event) (any, error) {
	caller := api.Caller(r)
	if err := caller.May(auth.ListKeys); err != nil {
		return nil, err
	}
	leave, err := a.reads.take("lists and deletions")
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := a.ready(); err != nil {
		return nil, err
	}
	answer, n := append(make(text, 0, 1<<10), `{"data":[`...), 0
	a.o.Keys.Each(func(public bls.PublicKey, path string, readOnly bool) {
		if !caller.Sees(auth.ListKeys, public) {
			return
		}
		if n > 0 {
			answer = append(answer, ',')
		}
		answer, n = appendListed(answer, public, path, readOnly), n+1
	})
	answer = append(answer, "]}\n"...)
	if err := a.ready(); err != nil { // a seal meanwhile has taken some away
		return nil, err
	}
	e.fields = []zap.Field{zap.Int("listed", n)}
	return answer, nil
}

// appendListed appends one key. Of 100,000 there is no second copy in memory.
func appendListed(to text, public bls.PublicKey, path string, readOnly bool) text {
	to = append(to, `{"validating_pubkey":"0x`...)
	to = hex.AppendEncode(to, public[:])
	to = append(to, `","derivation_path":`...)
	quoted, err := json.Marshal(path)
	if err != nil { // a string: not with any input
		quoted = []byte(`""`)
	}
	to = append(to, quoted...)
	to = append(to, `,"readonly":`...)
	to = strconv.AppendBool(to, readOnly)
	return append(to, '}')
}
