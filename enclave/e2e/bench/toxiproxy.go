package main

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

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// toxiproxyPath is where make test puts it, seen from the project's directory.
const toxiproxyPath = ".cache/tools/toxiproxy-server"

// toxiproxyLimit is how long its start and each call may take.
const toxiproxyLimit = 10 * time.Second

// toxiproxy is a running Toxiproxy, a TCP proxy that spoils connections as its API is told
// (https://github.com/Shopify/toxiproxy#http-api).
type toxiproxy struct {
	process *rig.Process
	api     string // URL
	client  *http.Client
}

func startToxiproxy(ctx context.Context) (x *toxiproxy, err error) {
	binary, err := filepath.Abs(toxiproxyPath)
	if err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		return nil, missingError{fmt.Errorf("no Toxiproxy, which make test installs: %w", err)}
	}
	ports, err := rig.FreePorts(1)
	if err != nil {
		return nil, err
	}
	x = &toxiproxy{
		api:    fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: toxiproxyLimit},
	}
	x.process, err = rig.Start(rig.Command{Name: "Toxiproxy", Binary: binary, Args: []string{"-host", "127.0.0.1", "-port", fmt.Sprint(ports[0])}})
	if err != nil {
		return nil, err
	}
	if err := x.await(ctx); err != nil {
		return nil, errors.Join(rig.Explain(err, x.process), x.process.Terminate())
	}
	return x, nil
}

// await returns when the API answers.
func (x *toxiproxy) await(ctx context.Context) error {
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

// delayed makes a proxy whose clients get every answer that much later, to whole milliseconds, and returns its address.
func (x *toxiproxy) delayed(ctx context.Context, upstream string, by time.Duration) (address string, err error) {
	var made struct{ Listen string }
	err = x.call(ctx, http.MethodPost, "/proxies",
		map[string]any{"name": "delayed", "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}, &made)
	if err != nil {
		return "", err
	}
	return made.Listen, x.call(ctx, http.MethodPost, "/proxies/delayed/toxics",
		map[string]any{"type": "latency", "stream": "downstream", "attributes": map[string]any{"latency": by.Milliseconds()}}, nil)
}

// call sends a body as JSON, if there is one, and reads the answer's into answer, if that is not nil.
func (x *toxiproxy) call(ctx context.Context, method, path string, body, answer any) error {
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
