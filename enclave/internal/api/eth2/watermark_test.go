package eth2

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

func TestHighWatermark(t *testing.T) {
	const none = slashing.MaxHeight
	for _, tc := range []struct {
		name string
		high slashing.HighWatermark
		err  error
		code int
		want string
	}{
		{"none", slashing.HighWatermark{Slot: none, Epoch: none}, nil, 200, `{}`},
		{"both", slashing.HighWatermark{Slot: 64, Epoch: 2}, nil, 200, `{"epoch":"2","slot":"64"}`},
		{"all frozen", slashing.HighWatermark{}, nil, 200, `{"epoch":"0","slot":"0"}`},
		{"epoch alone", slashing.HighWatermark{Slot: none, Epoch: 2}, nil, 200, `{"epoch":"2"}`},
		{"store down", slashing.HighWatermark{}, errors.New("hush"), 503, `"the slashing protection store is unavailable"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &API{deps: Deps{HighWatermark: func(context.Context) (slashing.HighWatermark, error) { return tc.high, tc.err }}}
			w := httptest.NewRecorder()
			a.highWatermark(w, askHighWatermark(t))
			if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.want) || strings.Contains(w.Body.String(), "hush") {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tc.code, tc.want)
			}
		})
	}
	w := httptest.NewRecorder()
	new(API).highWatermark(w, askHighWatermark(t))
	if strings.TrimSpace(w.Body.String()) != "{}" {
		t.Errorf("without a record: %s", w.Body)
	}
}

func askHighWatermark(t *testing.T) *http.Request {
	t.Helper()
	return api.WithCaller(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/eth2/highWatermark", nil), authtest.Open())
}
