package eth2

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

func (d *desk) postBatch(t *testing.T, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/eth2/sign", strings.NewReader(body)))
	return w
}

// batchBody asks for the vote of attestationBody with keys that begin with these bytes.
func batchBody(first ...byte) string {
	keys := make([]string, len(first))
	for i, b := range first {
		keys[i] = fmt.Sprintf(`"%s"`, bls.PublicKey{b})
	}
	return `{"identifiers":[` + strings.Join(keys, ",") + `],"signing_request":` + attestationBody + `}`
}

// entry is one of an answer's.
type entry struct {
	Identifier string
	Signature  string
	Error      *refusedKey
}

func TestBatch(t *testing.T) {
	d := newDesk(t)
	d.caller = authtest.Client(auth.Rule{Effect: auth.Allow}, auth.Rule{Effect: auth.Deny, Keys: []string{bls.PublicKey{0xf0}.String()}})
	w := d.postBatch(t, batchBody(1, 0xb0, 0xf0, 2, 3))
	var got []entry
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	id := func(b byte) string { return bls.PublicKey{b}.String() }
	signature := "0xb3" + strings.Repeat("0", 188) + "01"
	want := []entry{
		{id(1), signature, nil},
		{id(0xb0), "", &refusedKey{412, `surrounds "it"`}},
		{id(0xf0), "", &refusedKey{403, "no policy"}},
		{id(2), signature, nil},
		{id(3), signature, nil},
	}
	if e := got[2].Error; e != nil {
		e.Message, _, _ = strings.Cut(e.Message, " of token") // which has a random id
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if h := w.Header(); !w.Flushed || h.Get("Content-Type") != "application/json; charset=utf-8" || h.Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
		t.Errorf("flushed %v, headers %v", w.Flushed, h)
	}
	wantCounts := map[string]float64{
		"containment_signing_requests_total operation=ATTESTATION status=200": 3,
		"containment_signing_requests_total operation=ATTESTATION status=403": 1,
		"containment_signing_requests_total operation=ATTESTATION status=412": 1,
		"containment_signing_duration_seconds operation=ATTESTATION":          1,
		"containment_slashing_rejections_total":                               1,
		"containment_canary_signing_total":                                    0,
	}
	if diff := cmp.Diff(wantCounts, d.counts(t)); diff != "" {
		t.Error(diff)
	}
	var lines []string
	for _, l := range d.lines.All() {
		lines = append(lines, l.Level.String()+" "+l.Message)
	}
	if diff := cmp.Diff([]string{"warn key of a batch refused", "info key of a batch refused", "info batch signing request"}, lines); diff != "" {
		t.Error(diff)
	}
}

// TestBatchIsRefusedWhole: what is wrong with the request, or holds for every key, is said once.
func TestBatchIsRefusedWhole(t *testing.T) {
	nobody := authtest.Anonymous()
	var many []string
	for i := range maxBatch + 1 {
		many = append(many, fmt.Sprintf(`"%096x"`, i))
	}
	for name, tc := range map[string]struct {
		body    string
		caller  *auth.Caller // nil may do everything
		signErr error
		code    int
		want    string
	}{
		"no JSON":          {"x", nil, nil, 400, "body is not JSON"},
		"no keys":          {batchBody(), nil, nil, 400, "identifiers: is empty"},
		"too many keys":    {`{"identifiers":[` + strings.Join(many, ",") + `],"signing_request":` + attestationBody + `}`, nil, nil, 400, "identifiers: has more than 4096 elements"},
		"a key twice":      {`{"identifiers":["` + keyText + `","0x` + strings.ToUpper(keyText) + `"],"signing_request":` + attestationBody + `}`, nil, nil, 400, "identifiers[1]: is given twice"},
		"keys missing":     {`{"signing_request":{}}`, nil, nil, 400, "identifiers: is missing"},
		"keys no list":     {`{"identifiers":"0x00","signing_request":{}}`, nil, nil, 400, "identifiers: is not an array"},
		"keys of numbers":  {`{"identifiers":[1],"signing_request":{}}`, nil, nil, 400, "identifiers[0]: is not a string"},
		"a key is short":   {`{"identifiers":["` + keyText + `","0x00"],"signing_request":` + attestationBody + `}`, nil, nil, 400, "identifiers[1]: public key is not 96"},
		"request missing":  {`{"identifiers":["` + keyText + `"]}`, nil, nil, 400, "signing_request: is missing"},
		"request no type":  {`{"identifiers":["` + keyText + `"],"signing_request":{}}`, nil, nil, 400, "signing_request: type: is missing"},
		"request twice":    {`{"identifiers":["` + keyText + `"],"signing_request":{},"signing_request":{}}`, nil, nil, 400, "signing_request: is given twice"},
		"no token":         {batchBody(1, 2), &nobody, nil, 401, "a token is needed"},
		"another network":  {batchBody(1, 2), nil, problem.New(problem.Forbidden, "not that of network"), 403, "not that of network"},
		"no slot":          {batchBody(1, 2), nil, problem.New(problem.Overloaded, "all slots"), 503, "all slots"},
		"our fault":        {batchBody(1, 2), nil, fmt.Errorf("10.0.0.7"), 500, "internal error"},
		"request no batch": {`{"identifiers":["` + keyText + `"],"signing_request":[]}`, nil, nil, 400, "signing_request: body is not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			if tc.caller != nil {
				d.caller = *tc.caller
			}
			d.signErr = tc.signErr
			checkRefused(t, d.postBatch(t, tc.body), tc.code, tc.want)
			if len(d.signed) != 0 {
				t.Error("something was signed")
			}
			if all := d.lines.FilterMessage("batch signing request").All(); len(all) != 1 || all[0].ContextMap()["status"] != int64(tc.code) {
				t.Errorf("lines %v", d.lines.All())
			}
		})
	}
}

// TestCanary: a request for a key that nobody should ask for is an error of its own, whatever the answer.
func TestCanary(t *testing.T) {
	d := newDesk(t)
	canary := bls.PublicKey{0xca}.String()
	if w := d.post(t, canary, attestationBody, nil); w.Code != http.StatusOK {
		t.Fatal(w.Code)
	}
	d.signErr = problem.New(problem.UnknownKey, "no such key")
	d.post(t, canary, attestationBody, nil)
	d.signErr = nil
	d.postBatch(t, batchBody(1, 0xca))
	d.postBatch(t, `{"identifiers":["`+canary+`"],"signing_request":{}}`)
	if got := d.counts(t)["containment_canary_signing_total"]; got != 4 {
		t.Errorf("%v canaries counted, want 4", got)
	}
	all := d.lines.FilterMessage("a canary key was asked for").FilterLevelExact(zapcore.ErrorLevel).All()
	if len(all) != 4 || all[0].ContextMap()["key"] != canary {
		t.Errorf("lines %v, want 4", all)
	}
}

// TestBatchBoundsItsLines: a batch that is refused for every key counts each and logs the first.
func TestBatchBoundsItsLines(t *testing.T) {
	d := newDesk(t)
	keys := make([]string, maxBatch)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"b0%094x"`, i) // which SignAll refuses
	}
	w := d.postBatch(t, `{"identifiers":[`+strings.Join(keys, ",")+`],"signing_request":`+attestationBody+`}`)
	if n := strings.Count(w.Body.String(), `"code":412`); w.Code != http.StatusOK || n != maxBatch {
		t.Errorf("status %d, %d keys refused, want %d", w.Code, n, maxBatch)
	}
	if n := d.counts(t)["containment_signing_requests_total operation=ATTESTATION status=412"]; n != maxBatch {
		t.Errorf("%v counted, want %d", n, maxBatch)
	}
	if n := d.lines.FilterMessage("key of a batch refused").FilterLevelExact(zapcore.WarnLevel).Len(); n != maxRefusals {
		t.Errorf("%d lines of keys, want %d", n, maxRefusals)
	}
	all := d.lines.FilterMessage("batch signing request").All()
	if len(all) != 1 || all[0].ContextMap()["refused"] != int64(maxBatch) || all[0].ContextMap()["signed"] != int64(0) {
		t.Errorf("lines %v", all)
	}
}

// TestBatchPanicIsNoSignature is TestPanicIsNoSignature for each key of a batch.
func TestBatchPanicIsNoSignature(t *testing.T) {
	d := newDesk(t)
	d.panics = true
	func() {
		defer func() {
			if p := recover(); p != "nil pointer" {
				t.Errorf("recovered %v: the panic must reach the server", p)
			}
		}()
		d.postBatch(t, batchBody(1, 2))
	}()
	if n := d.counts(t)["containment_signing_requests_total operation=ATTESTATION status=500"]; n != 2 {
		t.Errorf("%v counted, want 2", n)
	}
	if all := d.lines.All(); len(all) != 1 || all[0].Level != zapcore.ErrorLevel || all[0].ContextMap()["error"] != errPanic.Error() {
		t.Errorf("lines %v", all)
	}
}

// FuzzDecodeBatch: what is accepted has a request and 1 to 4096 keys, each once; an error comes without a request.
func FuzzDecodeBatch(f *testing.F) {
	f.Add(batchBody())
	f.Add(batchBody(1, 2, 3))
	f.Add(batchBody(1, 2, 1))
	f.Add(`{"identifiers":["` + keyText + `",null],"signing_request":null}`)
	network := hoodi(f)
	f.Fuzz(func(t *testing.T, body string) {
		keys, _, req, err := decodeBatch(network, []byte(body))
		if err != nil {
			if req != nil || problem.Of(err).Kind != problem.Malformed {
				t.Errorf("%v beside %v", req, err)
			}
			return
		}
		once := make(map[bls.PublicKey]bool)
		for _, key := range keys {
			once[key] = true
		}
		if req == nil || len(keys) == 0 || len(keys) > maxBatch || len(once) != len(keys) {
			t.Errorf("%d keys, %d of them different, for %v", len(keys), len(once), req)
		}
	})
}
