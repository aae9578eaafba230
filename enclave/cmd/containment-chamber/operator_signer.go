package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

const (
	flagAuthToken  = "auth-token"
	flagSetupToken = "setup-token"
	flagPlaintext  = "allow-plaintext-signer"
	maxAnswer      = 8 << 20  // bytes, of an answer that is no file
	maxSmallFile   = 64 << 10 // bytes: far more than a token, a password or a keystore has; a request of keystores fits what a signer takes
)

// operatorFlags are those of every command that asks a chamber for something.
type operatorFlags struct {
	cmd       *cobra.Command
	url       *string
	output    *string
	plaintext *bool
	trust     *attestedFlags
	token     *string
	tokenFlag string
}

// newOperatorFlags gives cmd those flags, with the one for the token that it needs.
func newOperatorFlags(cmd *cobra.Command, tokenFlag string) *operatorFlags {
	what := "root token"
	if tokenFlag == flagSetupToken {
		what = "setup token"
	}
	return &operatorFlags{
		cmd: cmd, tokenFlag: tokenFlag,
		url:       cmd.Flags().String("signer-url", "", "`URL` of the signer's API"),
		output:    cmd.Flags().String("output", "table", "json, as the signer sends it, or table"),
		plaintext: cmd.Flags().Bool(flagPlaintext, false, "send the token over http: whoever stands between has it then"),
		trust:     newAttestedFlags(cmd.Flags()),
		token:     cmd.Flags().String(tokenFlag, "", what+": `env:VARIABLE or file:PATH`; as text it shows in the list of processes"),
	}
}

// operatorSigner is a signer that takes a token.
type operatorSigner struct {
	base   *url.URL
	client *http.Client
	token  string
	end    func() // of its connections
}

// dial reads the flags and says on standard error which signer it is.
func (f *operatorFlags) dial() (*operatorSigner, error) {
	if *f.url == "" {
		return nil, usageError{errors.New("--signer-url is needed")}
	}
	if *f.output != "json" && *f.output != "table" {
		return nil, usageError{fmt.Errorf("--output: %.40q, want json or table", *f.output)}
	}
	base, err := parseSignerURL("--signer-url", *f.url)
	if err != nil {
		return nil, err
	}
	if base.Scheme == "http" && !*f.plaintext {
		return nil, usageError{errors.New("--signer-url: the token would go over http in the clear; --" + flagPlaintext + " allows it")}
	}
	token, err := readSecret("--"+f.tokenFlag, *f.token)
	if err != nil {
		return nil, err
	}
	trust, err := f.trust.recognize(f.cmd, base)
	if err != nil {
		return nil, err
	}
	transport, err := trust.transport(atls.TransportOptions{DialTimeout: handshakeLimit, MaxConnections: 1}, &http.Transport{
		TLSHandshakeTimeout: handshakeLimit, ResponseHeaderTimeout: answerLimit, ExpectContinueTimeout: refusalLimit, MaxConnsPerHost: 1,
	})
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(f.cmd.ErrOrStderr(), "signer:", base.Redacted())
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		warn(f.cmd, []string{"http to another machine: whoever stands between has the token, and can change what is asked and what is answered"})
	}
	return &operatorSigner{base: base, token: token, end: transport.Close, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// readSecret reads a secret from where a flag says that it is. No error tells any of it.
func readSecret(flag, where string) (string, error) {
	text := where
	scheme, name, _ := strings.Cut(where, ":")
	switch scheme {
	case "env":
		found, ok := os.LookupEnv(name)
		if !ok {
			return "", usageError{fmt.Errorf("%s: environment variable %s is not set", flag, name)}
		}
		text = found
	case "file":
		found, err := readSmall(name)
		if err != nil {
			return "", usageError{fmt.Errorf("%s: %w", flag, err)}
		}
		text = string(found)
	}
	switch text = strings.TrimSpace(text); {
	case where == "":
		return "", usageError{errors.New(flag + " is needed")}
	case text == "":
		return "", usageError{errors.New(flag + ": there is nothing in it")}
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", usageError{errors.New(flag + ": want visible characters of ASCII")}
	}
	return text, nil
}

// readSmall reads a file that has a few bytes, or says that it is another.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err == nil && len(text) > maxSmallFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxSmallFile)
	}
	return text, err
}

// refusalError is a signer's refusal.
type refusalError struct {
	status  int
	message string
}

func (e *refusalError) Error() string { return fmt.Sprintf("%s (status %d)", e.message, e.status) }

func (s *operatorSigner) post(ctx context.Context, route string, body any) ([]byte, error) {
	return s.ask(ctx, http.MethodPost, route, body)
}

// ask sends a body as JSON, none if it is nil, and returns the answer.
func (s *operatorSigner) ask(ctx context.Context, method, route string, body any) ([]byte, error) {
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base.JoinPath(route).String(), r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	var answer []byte
	err = s.send(req, func(r io.Reader) (err error) {
		answer, err = io.ReadAll(io.LimitReader(r, maxAnswer))
		return err
	})
	return answer, err
}

// send sends a request with the token, and has take read the answer.
func (s *operatorSigner) send(req *http.Request, take func(io.Reader) error) error {
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := s.client.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok { // the caller knows the URL, which may hold a password
		err = failed.Err
	}
	if err != nil {
		return fmt.Errorf("no answer of the signer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return s.refusal(res)
	}
	if err := take(res.Body); err != nil {
		return fmt.Errorf("the signer's answer: %w", err)
	}
	return nil
}

func (*operatorSigner) refusal(res *http.Response) error {
	var said struct {
		Message string `json:"message"`
	}
	err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&said)
	switch {
	case res.StatusCode == http.StatusNotFound && (err != nil || said.Message == "" || strings.HasPrefix(said.Message, "no such path")):
		said.Message = "the signer does not serve " + res.Request.URL.Path + ": it has no chamber, or this is its health port"
	case err != nil || said.Message == "":
		said.Message = "it answers " + res.Status + ", not as a signer does"
	}
	return &refusalError{res.StatusCode, strings.Map(printable, said.Message)}
}
