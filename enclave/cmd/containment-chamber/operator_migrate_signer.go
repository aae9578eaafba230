package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

const (
	routeKeys = "/api/v1/eth2/publicKeys"
	routeSign = "/api/v1/eth2/sign/"

	maxKeyList   = 128 << 20 // bytes: more than a million keys
	maxSignature = 4 << 10   // bytes, of an answer to one request

	askLimit  = 30 * time.Second // for one answer
	askTries  = 4
	askPause  = time.Second // before another try, where the signer does not say
	askWaited = 30 * time.Second
)

// keySigner is one of the two signers that are compared.
type keySigner struct {
	name          string // in messages
	base          *url.URL
	client        *http.Client
	authorization string // a header; "" is none
	end           func() // of its connections
	limit         time.Duration
	pause         time.Duration
	met           atomic.Bool // it has answered once: only then it is waited for
}

func newKeySigner(name string, base *url.URL, transport http.RoundTripper, end func()) *keySigner {
	return &keySigner{name: name, base: base, end: end, limit: askLimit, pause: askPause, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// list asks for the keys, each of which it returns once, in the signer's order.
func (s *keySigner) list(ctx context.Context) ([]bls.PublicKey, error) {
	status, body, err := s.ask(ctx, http.MethodGet, routeKeys, nil, maxKeyList)
	if err == nil && status != http.StatusOK {
		err = &refusalError{status, said(body)}
	}
	var texts []string
	if err == nil {
		err = json.Unmarshal(body, &texts)
	}
	var keys keySet
	for i := 0; err == nil && i < len(texts); i++ {
		if err = keys.add(texts[i]); err != nil {
			err = fmt.Errorf("key %d: %.120q: %w", i, texts[i], err)
		}
	}
	if err == nil && len(keys.list) == 0 {
		err = errors.New("it has none")
	}
	if err != nil {
		return nil, fmt.Errorf("the keys of the %s: %w", s.name, err)
	}
	return keys.list, nil
}

// signerAnswer is what a signer answers to one request for a signature.
type signerAnswer struct {
	Status    int    `json:"status"` // of HTTP; 0 if no answer came
	Signature string `json:"signature,omitempty"`
	Message   string `json:"message,omitempty"` // why there is no signature, or what is wrong with it

	signature bls.Signature
}

// signed tells whether there is a signature.
func (a *signerAnswer) signed() bool { return a.Signature != "" }

// absent tells whether no signer answered: nobody, or a proxy or the signer itself said that it is away.
func (a *signerAnswer) absent() bool {
	return a.Status == 0 || a.Status > http.StatusInternalServerError
}

// sign asks for one signature.
func (s *keySigner) sign(ctx context.Context, key bls.PublicKey, body []byte) *signerAnswer {
	status, text, err := s.ask(ctx, http.MethodPost, routeSign+key.String(), body, maxSignature)
	a := &signerAnswer{Status: status}
	switch {
	case err != nil:
		a.Message = strings.Map(printable, err.Error())
	case status != http.StatusOK:
		a.Message = said(text)
	default:
		a.signature, err = readSignature(text)
		if a.Signature = a.signature.String(); err != nil {
			a.Signature, a.Message = "", err.Error()
		}
	}
	return a
}

// readSignature reads the text of a signature, bare or in JSON, whatever the answer calls itself.
func readSignature(text []byte) (sig bls.Signature, err error) {
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("{")) {
		var answer struct{ Signature string }
		if err := json.Unmarshal(text, &answer); err != nil {
			return sig, fmt.Errorf("the answer is no JSON: %w", err)
		}
		text = []byte(answer.Signature)
	}
	b, err := hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	if err != nil || len(b) != len(sig) {
		return sig, errors.New("the answer is no signature")
	}
	return bls.Signature(b), nil
}

// said is the reason that the body of a refusal gives.
func said(body []byte) string {
	var reason struct{ Message, Error string }
	text := string(bytes.TrimSpace(body))
	if json.Unmarshal(body, &reason) == nil && reason.Message+reason.Error != "" {
		if text = reason.Message; text == "" {
			text = reason.Error
		}
	}
	if text == "" {
		text = "it gives no reason"
	}
	const most = 300
	if text = strings.Map(printable, strings.ToValidUTF8(text, "\ufffd")); len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// ask sends a request until it is answered otherwise than that it be sent later, and returns status and body of the answer. All that is
// asked here can be asked again. A signer that has never answered is not waited for: its name, or who it is, is wrong.
func (s *keySigner) ask(ctx context.Context, method, path string, body []byte, most int64) (status int, answer []byte, err error) {
	for try := 1; ; try++ {
		var later time.Duration
		status, answer, later, err = s.askOnce(ctx, method, path, body, most)
		if later < 0 || try == askTries || !s.met.Load() {
			return status, answer, err
		}
		select {
		case <-time.After(later):
		case <-ctx.Done():
			return status, answer, errors.Join(err, context.Cause(ctx))
		}
	}
}

// errTooLong is the answer of a server that does not stop, or that is no signer.
var errTooLong = errors.New("the answer is too long")

// askOnce sends a request. Later is when it should be sent again, below zero if it should not.
func (s *keySigner) askOnce(ctx context.Context, method, path string, body []byte, most int64) (status int, answer []byte, later time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("no answer within %s", s.limit))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, -1, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.authorization != "" {
		req.Header.Set("Authorization", s.authorization)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, s.pause, noAnswer(ctx, err)
	}
	defer res.Body.Close()
	s.met.Store(true)
	answer, err = io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return 0, nil, s.pause, noAnswer(ctx, err)
	case int64(len(answer)) > most && res.StatusCode == http.StatusOK:
		return res.StatusCode, nil, -1, fmt.Errorf("%w: more than %d bytes", errTooLong, most)
	case res.StatusCode > http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests:
		return res.StatusCode, answer, s.after(res.Header.Get("Retry-After")), nil
	}
	return res.StatusCode, answer, -1, nil
}

// noAnswer is why none came, without the URL, which may hold a password.
func noAnswer(ctx context.Context, err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// after is how long a signer wants to be left alone (RFC 9110, section 10.2.3, in seconds).
func (s *keySigner) after(header string) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 16)
	if err != nil {
		return s.pause
	}
	return min(time.Duration(seconds)*time.Second, askWaited)
}
