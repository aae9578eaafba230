package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxRefusal is how much of a refusal is read, in bytes.
const maxRefusal = 64 << 10

// ErrNotServed is the cause of an error of a signer that has no such routes.
var ErrNotServed = errors.New("the signer does not serve these routes; anti_slashing.api of its configuration turns them on")

// RefusedError is a signer's refusal. Nothing was done, unless the message says otherwise.
type RefusedError struct {
	Status  int    // of HTTP
	Message string // the signer's
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%s (status %d)", e.Message, e.Status) }

// ask sends a request whose body is nil, an io.Reader or something to send as JSON, and has read read the answer.
func (c *Client) ask(ctx context.Context, method, route string, query url.Values, body any, read func(io.Reader) error) error {
	req, err := c.request(ctx, method, route, query, body)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return unsaid(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	if err := read(res.Body); err != nil {
		return fmt.Errorf("the signer's answer: %w", whole(err))
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, route string, query url.Values, body any) (*http.Request, error) {
	to := c.base.JoinPath(route)
	to.RawQuery = query.Encode()
	r, streamed := body.(io.Reader)
	if body != nil && !streamed {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if streamed { // nothing of it is sent to a signer that refuses without having read any
		req.Header.Set("Expect", "100-continue")
	}
	return req, nil
}

// unsaid is an error of a request that got no answer. The URL, which the caller knows, is left out.
func unsaid(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	return fmt.Errorf("no answer of the signer: %w", err)
}

// refusal is the error of an answer that is none of success.
func refusal(res *http.Response) error {
	if res.StatusCode == http.StatusNotFound {
		return ErrNotServed
	}
	refused := RefusedError{Status: res.StatusCode}
	var said struct {
		Message string `json:"message"`
	}
	err := json.NewDecoder(io.LimitReader(res.Body, maxRefusal)).Decode(&said)
	if refused.Message = said.Message; err != nil || said.Message == "" {
		refused.Message = "it answers " + res.Status + ", not as a signer does"
	}
	return &refused
}

// whole says that an answer that should have gone on has ended.
func whole(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends in the middle")
	}
	return err
}
