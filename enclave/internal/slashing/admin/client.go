package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// The signer's routes, which it serves with anti_slashing.api.
const (
	RouteStatus        = "/api/v1/slashing/status"
	RouteExport        = "/api/v1/slashing/export"
	RouteImport        = "/api/v1/slashing/import"
	RouteRaise         = "/api/v1/slashing/raise"
	RouteInit          = "/api/v1/slashing/init"
	RouteHighWatermark = "/api/v1/slashing/high-watermark"
)

// ParameterDryRun is true in a query that only asks what would change.
const ParameterDryRun = "dry_run"

// Client does through a running signer what Admin does on a store. It is safe for concurrent use.
//
// Its errors are RefusedErrors, with the signer's own words, and those of the connection.
type Client struct {
	base *url.URL
	http *http.Client
}

// NewClient makes a client of the signer with a URL, to which the routes are added. h connects, and decides whom to trust.
func NewClient(base *url.URL, h *http.Client) *Client { return &Client{base: base, http: h} }

// Status is Admin's.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, RouteStatus, nil, &s)
	return s, err
}

// Export is Admin's. Like there, what was written is of no use if there is an error.
func (c *Client) Export(ctx context.Context, w io.Writer) (warnings []string, err error) {
	err = c.ask(ctx, http.MethodGet, RouteExport, nil, nil, func(body io.Reader) error {
		_, err := bufio.NewReader(body).WriteTo(w)
		return err
	})
	return nil, err
}

// Import is Admin's. r is read as the signer takes it, and may still be read from after an error.
func (c *Client) Import(ctx context.Context, r io.Reader, dryRun bool, tell Tell) (Summary, error) {
	return c.report(ctx, RouteImport, dryRun, r, tell)
}

// Raise is Admin's.
func (c *Client) Raise(ctx context.Context, l Lift, keys []bls.PublicKey, dryRun bool, tell Tell) (Summary, error) {
	return c.report(ctx, RouteRaise, dryRun, struct {
		Lift
		named
	}{l, names(keys)}, tell)
}

// Init is Admin's.
func (c *Client) Init(ctx context.Context, keys []bls.PublicKey, dryRun bool, tell Tell) (Summary, error) {
	return c.report(ctx, RouteInit, dryRun, names(keys), tell)
}

// HighWatermarks is Admin's.
func (c *Client) HighWatermarks(ctx context.Context) (h HighWatermarks, err error) {
	err = c.call(ctx, http.MethodGet, RouteHighWatermark, nil, &h)
	return h, err
}

// SetHighWatermark is Admin's.
func (c *Client) SetHighWatermark(ctx context.Context, l Limit, keys []bls.PublicKey) (h HighWatermarks, err error) {
	err = c.call(ctx, http.MethodPut, RouteHighWatermark, struct {
		Limit
		named
	}{l, names(keys)}, &h)
	return h, err
}

// RemoveHighWatermark is Admin's.
func (c *Client) RemoveHighWatermark(ctx context.Context, keys []bls.PublicKey) (h HighWatermarks, err error) {
	err = c.call(ctx, http.MethodDelete, RouteHighWatermark, names(keys), &h)
	return h, err
}

// named are the keys in a request's body; without the field it is for all keys.
type named struct {
	Keys []string `json:"keys,omitempty"`
}

func names(keys []bls.PublicKey) (n named) {
	for _, key := range keys {
		n.Keys = append(n.Keys, key.String())
	}
	return n
}

// call asks for an answer that is one JSON value.
func (c *Client) call(ctx context.Context, method, route string, body, answer any) error {
	return c.ask(ctx, method, route, nil, body, func(r io.Reader) error { return json.NewDecoder(r).Decode(answer) })
}

// report asks for something to be done to records, and tells what became of each as the answer comes.
func (c *Client) report(ctx context.Context, route string, dryRun bool, body any, tell Tell) (s Summary, err error) {
	query := url.Values{ParameterDryRun: {strconv.FormatBool(dryRun)}}
	err = c.ask(ctx, http.MethodPost, route, query, body, func(r io.Reader) error {
		err := whole(readReport(r, &s, tell))
		if err != nil && !dryRun {
			err = fmt.Errorf("it was done, but the report is not whole: %w", err)
		}
		return err
	})
	return s, err
}
