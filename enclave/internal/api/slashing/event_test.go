package slashing

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// deaf is a caller who has gone when the answer comes.
type deaf struct{ http.ResponseWriter }

func (deaf) Write([]byte) (int, error) { return 0, errors.New("the peer has gone") }

// TestWhatIsDoneIsLoggedAsDone, with all of it counted, though the caller is not there to hear.
func TestWhatIsDoneIsLoggedAsDone(t *testing.T) {
	for name, test := range map[string]struct {
		call, body string
		new        int64
	}{
		"a short report":         {"POST /api/v1/slashing/init", `{"keys": ["` + public(1) + `"]}`, 1},
		"a report in many parts": {"POST /api/v1/slashing/init", `{"keys": [` + strings.Join(publics(200), ",") + `]}`, 200},
		"one value":              {"PUT /api/v1/slashing/high-watermark", `{"slot": "9"}`, -1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			method, path, _ := strings.Cut(test.call, " ")
			broken := func() (p any) {
				defer func() { p = recover() }()
				d.mux.ServeHTTP(deaf{httptest.NewRecorder()}, api.WithCaller(httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(test.body)), d.caller))
				return nil
			}()
			if broken != http.ErrAbortHandler { //nolint:errorlint // this very one
				t.Errorf("the connection is not broken: %v", broken)
			}
			lines := d.lines.TakeAll()
			if len(lines) != 1 || lines[0].Level != zapcore.InfoLevel {
				t.Fatalf("lines %v", lines)
			}
			line := lines[0].ContextMap()
			if line["status"] != int64(200) || line["problem"] != nil || line["undelivered"] != "the peer has gone" || test.new >= 0 && line["new"] != test.new {
				t.Errorf("line %v", line)
			}
			records := int64(0)
			if err := d.store.Each(t.Context(), func(slashing.Record) error { records++; return nil }); err != nil || records != max(test.new, 0) {
				t.Errorf("%d records, %v", records, err)
			}
		})
	}
}

func publics(n int) (all []string) {
	for i := range n {
		all = append(all, `"`+bls.PublicKey{byte(i), 1}.String()+`"`)
	}
	return all
}
