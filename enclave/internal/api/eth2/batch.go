package eth2

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// The batch call: one signing request for many keys, as drafted for the remote signing API,
// https://github.com/ethereum/remote-signing-api/pull/29.

// maxBatch is the most keys in one batch: more than the 3,125 that vote in one slot of 100,000 validators.
const maxBatch = 4096

const batchRoute = "/api/v1/eth2/sign"

// RegisterBatch adds the batch call, which is a draft that may still change.
func (a *API) RegisterBatch(mux api.Router) { mux.HandleFunc("POST "+batchRoute, a.signBatch) }

func (a *API) signBatch(w http.ResponseWriter, r *http.Request) {
	e := batchEvent{began: time.Now(), by: api.Caller(r), err: errPanic}
	defer func() { a.recordBatch(&e) }()
	if e.err = a.answerBatch(r, &e); e.err != nil {
		api.WriteProblem(w, e.err)
		return
	}
	write(w, "application/json; charset=utf-8", appendResults(nil, e.keys, e.results))
}

// answerBatch fills the event with one result for each key. An error is for the whole batch, and nothing was recorded then.
func (a *API) answerBatch(r *http.Request, e *batchEvent) error {
	body, err := api.ReadBody(r)
	if err != nil {
		return err
	}
	var req eth2.Request
	if e.keys, e.kind, req, err = decodeBatch(a.deps.Network, body); err != nil {
		return err
	}
	results := make([]result, len(e.keys))
	grants, at, err := a.grants(r, e.keys, e.kind, results)
	if err != nil {
		return err
	}
	signatures, refusals, err := a.deps.Signer.SignAll(r.Context(), grants, req)
	if err != nil {
		return err
	}
	for i := range grants {
		results[at[i]] = result{signatures[i], refusals[i]}
	}
	e.results = results
	return nil
}

// grants asks for each key whether the caller may use it; at says which keys the grants are for. A refusal is that key's
// result, but a caller that is not known is told once.
func (a *API) grants(r *http.Request, keys []bls.PublicKey, kind eth2.Kind, results []result) (grants []auth.Grant, at []int, err error) {
	caller := api.Caller(r)
	for i, key := range keys {
		grant, err := caller.Grant(key, kind)
		if kind := problem.Of(err).Kind; err != nil && kind != problem.Forbidden {
			return nil, nil, err
		}
		if err != nil {
			results[i].err = err
			continue
		}
		grants, at = append(grants, grant), append(at, i)
	}
	return grants, at, nil
}

// decodeBatch reads the keys and the request that all of them are to sign. The keys are set as soon as they are known.
func decodeBatch(n *eth2.Network, body []byte) ([]bls.PublicKey, eth2.Kind, eth2.Request, error) {
	doc, o := parse(body)
	keys := identifiers(o)
	request := o.value("signing_request")
	if doc.err != nil {
		return nil, 0, nil, malformed(doc.err)
	}
	kind, req, err := decode(n, request.raw)
	if err != nil {
		return keys, kind, nil, problem.New(problem.Malformed, "signing_request: %s", problem.Of(err).Public)
	}
	return keys, kind, req, nil
}

// identifiers reads the keys. One that is given twice is refused: its second vote would be a write of its own.
func identifiers(o *object) (keys []bls.PublicKey) {
	given := make(map[bls.PublicKey]bool)
	for v := range o.array("identifiers", maxBatch) {
		key, err := bls.ParsePublicKey(string(v.text()))
		switch {
		case v.raw == nil: // no string
		case err != nil:
			v.fail(err.Error())
		case given[key]:
			v.fail("is given twice")
		}
		given[key] = true
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		o.fail("identifiers", "is empty")
	}
	return keys
}

// result is what became of one key of a batch.
type result struct {
	signature bls.Signature
	err       error // no signature
}

// refusedKey is the error of one key.
type refusedKey struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// appendResults writes the answer: one entry for each key, in the order of the request, with a signature or an error.
func appendResults(b []byte, keys []bls.PublicKey, results []result) []byte {
	b = append(b, '[')
	for i, r := range results {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"identifier":"0x`...)
		b = hex.AppendEncode(b, keys[i][:])
		if r.err == nil {
			b = append(b, `","signature":"0x`...)
			b = hex.AppendEncode(b, r.signature[:])
			b = append(b, `"}`...)
			continue
		}
		p := problem.Of(r.err)
		text, err := json.Marshal(refusedKey{Code: p.Kind.Status(), Message: p.Public})
		if err != nil { // two plain fields: not with any input
			text = []byte(`{"code":500,"message":"internal error"}`)
		}
		b = append(b, `","error":`...)
		b = append(append(b, text...), '}')
	}
	return append(b, ']')
}
