package kms

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// TestOpenWipesWhatItRefuses: the SDK's copy of a secret that should not be there, or is too long.
func TestOpenWipesWhatItRefuses(t *testing.T) {
	attested := &Client{options: Options{Attest: func(context.Context, []byte) ([]byte, error) { return nil, nil }}}
	for _, test := range []struct {
		client *Client
		size   int
		want   error
	}{
		{attested, 32, ErrPlaintext},
		{&Client{}, MaxPlaintext + 1, ErrAnswer},
	} {
		blob := bytes.Repeat([]byte("x"), test.size)
		got, err := test.client.open(request{"Decrypt", "key", "region"}, blob, nil)
		if got != nil || !errors.Is(err, test.want) || !bytes.Equal(blob, make([]byte, test.size)) {
			t.Errorf("%d bytes: %q is left, and %v", test.size, blob[:1], err)
		}
	}
}
