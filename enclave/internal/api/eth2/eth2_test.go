package eth2

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

const keyText = "a99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"

func TestSign(t *testing.T) {
	signature := "0xb3" + strings.Repeat("0", 188) + "01"
	for name, identifier := range map[string]string{
		"bare": keyText, "with 0x": "0x" + keyText, "upper case": strings.ToUpper(keyText),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			w := d.post(t, identifier, attestationBody, http.Header{"Accept": {"application/json"}})
			if w.Code != http.StatusOK || w.Body.String() != `{"signature":"`+signature+`"}` {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if len(d.signed) != 1 || d.signed[0].Kind() != eth2.Attestation || d.grants[0].Key().String() != "0x"+keyText {
				t.Fatalf("signed %v with %v", d.signed, d.grants)
			}
			if err := d.grants[0].Allows(d.grants[0].Key(), eth2.Attestation); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAccept(t *testing.T) {
	const text, asJSON = "text/plain; charset=utf-8", "application/json; charset=utf-8"
	for name, tc := range map[string]struct {
		accept []string
		want   string
	}{
		"none":               {nil, text},
		"empty":              {[]string{""}, text},
		"json":               {[]string{"application/json"}, asJSON},
		"json, upper case":   {[]string{"Application/JSON"}, asJSON},
		"json with weight":   {[]string{"application/json;q=0.9"}, asJSON},
		"json and charset":   {[]string{"application/json; charset=utf-8"}, asJSON},
		"anything":           {[]string{"*/*"}, asJSON},
		"java's default":     {[]string{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}, asJSON},
		"text":               {[]string{"text/plain"}, text},
		"text before json":   {[]string{"text/plain, application/json"}, asJSON},
		"json in 2nd header": {[]string{"text/plain", "application/json"}, asJSON},
		"some application":   {[]string{"application/*"}, text},
		"another json":       {[]string{"application/json-seq"}, text},
		"octets":             {[]string{"application/octet-stream"}, text},
	} {
		t.Run(name, func(t *testing.T) {
			w := newDesk(t).post(t, keyText, attestationBody, http.Header{"Accept": tc.accept})
			if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != tc.want {
				t.Fatalf("%d, content type %q, want %q", w.Code, got, tc.want)
			}
			if !w.Flushed || w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
				t.Errorf("flushed %v, headers %v", w.Flushed, w.Header())
			}
			bare := strings.TrimSuffix(strings.TrimPrefix(w.Body.String(), `{"signature":"`), `"}`)
			if (bare == w.Body.String()) != (tc.want == text) || len(bare) != 194 || !strings.HasPrefix(bare, "0xb3") {
				t.Errorf("body %q", w.Body)
			}
		})
	}
}

// TestRefusals: each step stops the request before the next one.
func TestRefusals(t *testing.T) {
	nobody := authtest.Anonymous()
	other := authtest.Client(auth.Rule{Effect: auth.Allow, Keys: []string{bls.PublicKey{1}.String()}})
	for name, tc := range map[string]struct {
		identifier, body string
		caller           *auth.Caller // nil may do everything
		signErr          error
		code             int
		want             string
		signed           int
	}{
		"short key":    {keyText[2:], attestationBody, nil, nil, 400, "identifier: public key is not 96 hexadecimal digits", 0},
		"key no hex":   {"zz" + keyText[2:], attestationBody, nil, nil, 400, "identifier: public key is not 96", 0},
		"no body":      {keyText, "", nil, nil, 400, "body is not JSON", 0},
		"huge body":    {keyText, `{"x":"` + strings.Repeat("x", api.MaxBody) + `"}`, nil, nil, 413, "body is larger than 33554432 bytes", 0},
		"full body":    {keyText, goldenBody(t, "BLOCK (DEPRECATED)"), nil, nil, 400, "block: is a full block", 0},
		"no token":     {keyText, attestationBody, &nobody, nil, 401, "a token is needed", 0},
		"policy":       {keyText, attestationBody, &other, nil, 403, "no policy of token", 0},
		"unknown key":  {keyText, attestationBody, nil, problem.New(problem.UnknownKey, "no such key"), 404, "no such key", 1},
		"slashable":    {keyText, attestationBody, nil, problem.New(problem.Slashable, "surrounds"), 412, "surrounds", 1},
		"store is out": {keyText, attestationBody, nil, problem.Wrap(problem.StoreUnavailable, errors.New("10.0.0.7"), "no store"), 503, "no store", 1},
		"our fault":    {keyText, attestationBody, nil, errors.New("10.0.0.7"), 500, "internal error", 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			if d.signErr = tc.signErr; tc.caller != nil {
				d.caller = *tc.caller
			}
			w := d.post(t, tc.identifier, tc.body, nil)
			checkRefused(t, w, tc.code, tc.want)
			if strings.Contains(w.Body.String(), "10.0.0.7") {
				t.Error("the answer shows the cause")
			}
			if len(d.signed) != tc.signed {
				t.Errorf("asked for %d signatures, want %d", len(d.signed), tc.signed)
			}
			if retry := w.Header().Get("Retry-After"); (retry == "1") != (tc.code == 503) {
				t.Errorf("retry after %q", retry)
			}
		})
	}
}

func TestPublicKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		list []bls.PublicKey
		want []string
	}{
		"none":  {nil, []string{}},
		"three": {[]bls.PublicKey{{1}, {1, 2}, {0xff}}, []string{"0x01" + strings.Repeat("0", 94), "0x0102" + strings.Repeat("0", 92), "0xff" + strings.Repeat("0", 94)}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.list = tc.list
			w := httptest.NewRecorder()
			d.mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/eth2/publicKeys", nil))
			var got []string
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, diff)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

// failing is a body that breaks off.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("connection reset by 10.0.0.7") }

func TestBrokenBody(t *testing.T) {
	d := newDesk(t)
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/eth2/sign/"+keyText, failing{}))
	checkRefused(t, w, http.StatusBadRequest, "body broke off")
	if strings.Contains(w.Body.String(), "10.0.0.7") || len(d.signed) != 0 {
		t.Errorf("%s, %d signed", w.Body, len(d.signed))
	}
}
