package storm

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// answer is what became of a request.
type answer int

const (
	given       answer = iota + 1 // a signature
	refused                       // by slashing protection
	ahead                         // of the clock
	unavailable                   // the store is; the vote may be on record
	lost                          // no answer came; the vote may be on record
)

func (a answer) String() string {
	return [...]string{"nothing", "a signature", "refused", "ahead of the clock", "unavailable", "no answer"}[a]
}

// ask asks for a signature over a vote and books what comes.
func (b *book) ask(ctx context.Context, l *life, key bls.PublicKey, v vote) answer {
	return b.askAt(ctx, l.client, l.address, key, v)
}

// askAt asks at an address, which may be a proxy's.
func (b *book) askAt(ctx context.Context, client *http.Client, address string, key bls.PublicKey, v vote) answer {
	status, text := post(ctx, client, "http://"+address+"/api/v1/eth2/sign/"+key.String(), v.body)
	switch status {
	case http.StatusOK:
		raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
		if err != nil || len(raw) != len(bls.Signature{}) {
			b.t.Errorf("%q is not a signature", text)
			return lost
		}
		b.signed(key, v, bls.Signature(raw))
		return given
	case http.StatusPreconditionFailed:
		return b.unsigned(key, v, refused)
	case http.StatusForbidden:
		return b.unsigned(key, v, ahead)
	case http.StatusServiceUnavailable:
		return b.unsigned(key, v, unavailable)
	case 0:
	default:
		b.t.Errorf("%s of %s: status %d, %s", v, key.Short(), status, text)
	}
	return b.unsigned(key, v, lost)
}

// post returns status 0 if the answer did not come whole.
func post(ctx context.Context, client *http.Client, url, body string) (status int, text string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(answer)
}

// want asks and fails the test unless the answer is the one that must come.
func (b *book) want(t *testing.T, l *life, key bls.PublicKey, v vote, want answer, why string) {
	t.Helper()
	if got := b.ask(t.Context(), l, key, v); got != want {
		t.Errorf("%s: %s of %s: %s, want %s\n%s", why, v, key.Short(), got, want, l.log())
	}
}
