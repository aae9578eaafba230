package slashing

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// endless says the same again and again, and counts.
type endless struct {
	says string
	came int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.says[e.came%len(e.says):])
	e.came += n
	return n, nil
}

// TestNothingIsReadBeyondAFault: no more than what a reader takes at once.
func TestNothingIsReadBeyondAFault(t *testing.T) {
	for _, test := range []struct{ begin, more, want string }{
		{`{"keys": [`, `1,`, "keys[0]: want a public key in a string"},
		{`{"keys": [`, `[`, "keys[0]: want a public key in a string"},
		{`{"keys": [`, `"` + public(1) + `",`, "keys[1]: is given twice"},
		{`{"keys": `, `{"a":`, "keys: want an array of public keys"},
		{`{"slot": `, `[1,`, "slot: want decimal digits in a string"},
		{`{"a": `, `[`, `unknown field "a", want keys, slot`},
		{``, `[`, "body is not a JSON object"},
	} {
		more := &endless{says: test.more}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.MultiReader(strings.NewReader(test.begin), more))
		err := decode(httptest.NewRecorder(), r, fields{"keys": list(new([]bls.PublicKey)), "slot": height(new(*uint64))})
		if err == nil || err.Error() != test.want || problem.Of(err).Kind != problem.Malformed || more.came > 64<<10 {
			t.Errorf("%s%s…: %v after %d bytes more, want %s", test.begin, test.more, err, more.came, test.want)
		}
	}
}

// TestManyKeysFit: as many as the largest operators have.
func TestManyKeysFit(t *testing.T) {
	const many = 100_000
	named := make([]string, many)
	for i := range named {
		named[i] = fmt.Sprintf("%q", bls.PublicKey{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	var keys []bls.PublicKey
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"keys": [`+strings.Join(named, ", ")+`]}`))
	if err := decode(httptest.NewRecorder(), r, fields{"keys": list(&keys)}); err != nil || len(keys) != many || keys[many-1][0] != byte((many-1)&0xff) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}
