package connect_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/connect"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// proxy is a proxy with clients.
type proxy struct {
	t        testing.TB
	url      string // for clients
	health   string // for probes
	client   *http.Client
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
	known    *connect.Signer
	stop     func()
}

// join puts a proxy before a signer.
func join(t testing.TB, s *signer, change ...func(*connect.Options, *atls.TransportOptions)) *proxy {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	p := &proxy{t: t, logs: logs, registry: prometheus.NewRegistry()}
	at, near := s.listener.Addr().String(), s.at
	if _, virtual := near.(*memory); virtual {
		at, near = "signer:9443", &memory{}
	}
	var err error
	p.known, err = connect.NewSigner(&url.URL{Scheme: "https", Host: at}, zap.New(core), p.registry)
	check(t, err)
	trust := s.options()
	trust.OnVerified = p.known.Verified
	tune := atls.TransportOptions{Servers: map[string]atls.Options{at: trust}, Dial: s.at.dial}
	o := connect.Options{
		Signer: p.known, Listener: near.listen(t), Requests: api.DefaultRequests, Drain: 10 * time.Second, Log: zap.New(core), Registry: p.registry,
	}
	for _, c := range change {
		c(&o, &tune)
	}
	transport, err := atls.NewTransport(tune)
	check(t, err)
	o.Transport = transport
	front, err := connect.New(o)
	check(t, err)
	t.Cleanup(transport.Close)
	p.stop = background(t, front.Run)
	p.url, p.client = "http://proxy", newClient(t, near)
	if at, ok := o.Listener.Addr().(*net.TCPAddr); ok {
		p.url = "http://" + at.String()
	}
	if o.Health != nil {
		p.health = "http://" + o.Health.Addr().String()
	}
	return p
}

// newClient keeps at most one connection.
func newClient(t testing.TB, at network) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: at.dial, MaxConnsPerHost: 1, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask makes a request of a client with its header given in pairs.
func (p *proxy) ask(method, path, body string, header ...string) (*http.Response, string) {
	p.t.Helper()
	res, text, err := ask(p.t, p.client, method, p.url+path, body, header...)
	check(p.t, err)
	return res, text
}

func ask(t testing.TB, client *http.Client, method, target, body string, header ...string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	check(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res, string(text), err
}

// metric is the sum of a metric's values; with a result, of those with that label.
func metric(t testing.TB, r *prometheus.Registry, name string, label ...string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	check(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(label) == 0 || m.GetLabel()[0].GetValue() == label[0] {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// until waits for a condition.
func until(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the test ended before the condition held")
		}
	}
}
