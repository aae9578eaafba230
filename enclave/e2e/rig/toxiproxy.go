package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// toxiproxyPath is where make test puts it, seen from the project's directory.
const toxiproxyPath = ".cache/tools/toxiproxy-server"

// toxiproxyLimit is how long its start and each call may take.
const toxiproxyLimit = 10 * time.Second

// ErrNoToxiproxy is returned where the program is not installed.
var ErrNoToxiproxy = errors.New("no Toxiproxy, which make test installs")

// Toxiproxy is a running Toxiproxy, a TCP proxy that spoils connections as its API is told
// (https://github.com/Shopify/toxiproxy#http-api).
type Toxiproxy struct {
	process *Process
	api     string // URL
	client  *http.Client
}

// StartToxiproxy returns when Toxiproxy answers. project is the project's directory.
func StartToxiproxy(ctx context.Context, project string) (*Toxiproxy, error) {
	binary, err := filepath.Abs(filepath.Join(project, toxiproxyPath))
	if err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoToxiproxy, err)
	}
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	x := &Toxiproxy{
		api:    fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: toxiproxyLimit},
	}
	x.process, err = Start(Command{Name: "Toxiproxy", Binary: binary, Args: []string{"-host", "127.0.0.1", "-port", fmt.Sprint(ports[0])}})
	if err != nil {
		return nil, err
	}
	if err := x.await(ctx); err != nil {
		return nil, errors.Join(Explain(err, x.process), x.Terminate())
	}
	return x, nil
}

// Terminate ends the process, and all connections with it.
func (x *Toxiproxy) Terminate() error { return x.process.Terminate() }

// await returns when the API answers.
func (x *Toxiproxy) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, toxiproxyLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := x.call(ctx, http.MethodGet, "/version", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-x.process.Done():
			return errors.New("the process ended by itself")
		case <-ctx.Done():
			return err
		}
	}
}

// Proxy is one of Toxiproxy's.
type Proxy struct {
	Address string // where it listens, host:port
	x       *Toxiproxy
	path    string // of it in the API
}

// Proxy makes a proxy of the server at upstream, host:port, that spoils nothing yet. The name is its alone.
func (x *Toxiproxy) Proxy(ctx context.Context, name, upstream string) (*Proxy, error) {
	var made struct{ Listen string }
	err := x.call(ctx, http.MethodPost, "/proxies",
		map[string]any{"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}, &made)
	if err != nil {
		return nil, err
	}
	return &Proxy{Address: made.Listen, x: x, path: "/proxies/" + name}, nil
}

// Toxic is what is done to the bytes of one direction. The types and their attributes are Toxiproxy's
// (https://github.com/Shopify/toxiproxy#toxics).
type Toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // upstream are the client's bytes, downstream the server's
	Attributes map[string]int `json:"attributes"`
}

// Poison adds a toxic to all connections, also those that are open. A type can be there once for each direction.
func (p *Proxy) Poison(ctx context.Context, t Toxic) error {
	return p.x.call(ctx, http.MethodPost, p.path+"/toxics", t, nil)
}

// Down closes all connections and takes none.
func (p *Proxy) Down(ctx context.Context) error {
	return p.x.call(ctx, http.MethodPost, p.path, map[string]any{"enabled": false}, nil)
}

// Heal undoes what was done to all proxies.
func (x *Toxiproxy) Heal(ctx context.Context) error {
	return x.call(ctx, http.MethodPost, "/reset", nil, nil)
}

// call sends a body as JSON, if there is one, and reads the answer's into answer, if that is not nil.
func (x *Toxiproxy) call(ctx context.Context, method, path string, body, answer any) error {
	var text io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask Toxiproxy: %w", err)
		}
		text = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, x.api+path, text)
	if err != nil {
		return fmt.Errorf("ask Toxiproxy: %w", err)
	}
	res, err := x.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask Toxiproxy: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("ask Toxiproxy: %w", err)
	case res.StatusCode/100 != 2:
		return fmt.Errorf("ask Toxiproxy: %s %s: %s %s", method, path, res.Status, raw)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("ask Toxiproxy: %w", err)
	}
	return nil
}
