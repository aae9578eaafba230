package main

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// tokenFlags are of commands that may send a token, and can do without one.
type tokenFlags struct {
	token     *string
	plaintext *bool
}

func newTokenFlags(cmd *cobra.Command) tokenFlags {
	return tokenFlags{
		token:     cmd.Flags().String(flagAuthToken, "", "token of the signer's: `env:VARIABLE or file:PATH`; as text it shows in the list of processes"),
		plaintext: cmd.Flags().Bool(flagPlaintext, false, "send the token over http: whoever stands between has it then"),
	}
}

// read reads the token for a signer, "" if none is given.
func (f tokenFlags) read(signer *url.URL) (string, error) {
	if *f.token == "" {
		return "", nil
	}
	if signer.Scheme == "http" && !*f.plaintext {
		return "", usageError{errors.New("--signer-url: the token would go over http in the clear; --" + flagPlaintext + " allows it")}
	}
	return readSecret("--"+flagAuthToken, *f.token)
}

// authorized sends requests with a token.
type authorized struct {
	http.RoundTripper
	token string
}

// withToken has a transport send a token, unless that is "".
func withToken(t http.RoundTripper, token string) http.RoundTripper {
	if token == "" {
		return t
	}
	return authorized{t, token}
}

// RoundTrip implements http.RoundTripper.
func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+a.token)
	return a.RoundTripper.RoundTrip(r)
}
