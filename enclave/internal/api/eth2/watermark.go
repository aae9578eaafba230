package eth2

import (
	"io"
	"net/http"
)

// highWatermark answers as a signer does whose operator has set no limit above which nothing is signed: there is no way to set one.
func (a *API) highWatermark(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, "{}") // a caller that is gone does not want it
}
