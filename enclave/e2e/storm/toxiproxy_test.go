package storm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// toxiproxy is a running Toxiproxy, which spoils the connections of its proxies as its API is told
// (https://github.com/Shopify/toxiproxy#http-api).
type toxiproxy struct {
	process *rig.Process
	api     string
	client  *http.Client
}

// startToxiproxy runs Toxiproxy until the test ends.
func startToxiproxy(t *testing.T) *toxiproxy {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("..", "..", "..", ".cache", "tools", "toxiproxy-server"))
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		t.Fatalf("Toxiproxy is missing, which make test installs: %v", err)
	}
	ports, err := rig.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	x := &toxiproxy{api: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), client: &http.Client{Transport: transport, Timeout: limit}}
	x.process, err = rig.Start(rig.Command{Name: "Toxiproxy", Binary: program, Args: []string{"-host", "127.0.0.1", "-port", fmt.Sprint(ports[0])}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := x.process.Terminate(); err != nil {
			t.Error(err)
		}
	})
	x.await(t)
	return x
}

// await returns when the API answers.
func (x *toxiproxy) await(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for {
		err := x.call(http.MethodGet, "/version", nil, nil)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-x.process.Done():
			t.Fatal(rig.Explain(errors.New("Toxiproxy ended by itself"), x.process))
		case <-late:
			t.Fatal(err)
		}
	}
}

// call sends a body as JSON, if there is one, and reads the answer's, if it is wanted.
func (x *toxiproxy) call(method, path string, body, answer any) error {
	var text io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, x.api+path, text)
	if err != nil {
		return err
	}
	res, err := x.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s %s", method, path, res.Status, raw)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(raw, answer)
}

// proxy is one of Toxiproxy's.
type proxy struct {
	*toxiproxy
	t       *testing.T
	address string
}

// newProxy makes the one proxy of a Toxiproxy.
func (x *toxiproxy) newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	var made struct{ Listen string }
	err := x.call(http.MethodPost, "/proxies", map[string]any{"name": "store", "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}, &made)
	if err != nil {
		t.Fatal(err)
	}
	return &proxy{x, t, made.Listen}
}

// toxic is what is done to the bytes of one direction: upstream are the client's, downstream the server's.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]int `json:"attributes"`
}

// poison adds a toxic to all connections, also those that are open.
func (p *proxy) poison(x toxic) {
	p.t.Helper()
	if err := p.call(http.MethodPost, "/proxies/store/toxics", x, nil); err != nil {
		p.t.Fatal(err)
	}
}

// down closes all connections and takes none.
func (p *proxy) down() {
	p.t.Helper()
	if err := p.call(http.MethodPost, "/proxies/store", map[string]any{"enabled": false}, nil); err != nil {
		p.t.Fatal(err)
	}
}

// heal undoes everything.
func (p *proxy) heal() {
	p.t.Helper()
	if err := p.call(http.MethodPost, "/reset", nil, nil); err != nil {
		p.t.Fatal(err)
	}
}
