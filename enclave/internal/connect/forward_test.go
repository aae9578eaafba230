package connect_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/connect"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// TestAnswersStayAsTheyAre: a validator client depends on each of these.
func TestAnswersStayAsTheyAre(t *testing.T) {
	const text = `{"code":412,"message":"surrounds the vote","error":"surrounds the vote"}`
	s := enclave(t, newHypervisor(t, nil, image()), func(w http.ResponseWriter, r *http.Request) {
		code := 0
		if _, err := fmt.Sscanf(r.URL.Query().Get("code"), "%d", &code); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header()["X-Several"] = []string{"a", "b"}
		w.Header().Set("Location", "https://elsewhere.example/")
		if code == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "7")
		}
		w.WriteHeader(code)
		if r.Method != http.MethodHead && code != http.StatusNoContent {
			_, _ = io.WriteString(w, text)
		}
	}).start(t)
	p := join(t, s)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodHead} {
		for _, code := range []int{200, 202, 204, 301, 307, 400, 401, 403, 404, 409, 412, 413, 500, 503} {
			res, body := p.ask(method, fmt.Sprintf("%s?code=%d", signPath, code), "{}")
			want := text
			if method == http.MethodHead || code == 204 {
				want = ""
			}
			if res.StatusCode != code || body != want || res.Header.Get("Content-Type") != "application/json" ||
				!cmp.Equal(res.Header["X-Several"], []string{"a", "b"}) || res.Header.Get("Location") != "https://elsewhere.example/" {
				t.Errorf("%s %d: got %d %q %v", method, code, res.StatusCode, body, res.Header)
			}
			if want := map[bool]string{true: "7"}[code == 503]; res.Header.Get("Retry-After") != want {
				t.Errorf("%d: Retry-After %q", code, res.Header.Get("Retry-After"))
			}
		}
	}
}

// seen is a request as the signer gets it.
type seen struct {
	Method, Path, Query, Host, Body string
	Header                          http.Header
}

func reflecting(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := json.NewEncoder(w).Encode(seen{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Host, string(body), r.Header}); err != nil {
			t.Error(err)
		}
	}
}

func (p *proxy) reflected(method, path, body string, header ...string) (s seen) {
	p.t.Helper()
	res, text := p.ask(method, path, body, header...)
	if err := json.Unmarshal([]byte(text), &s); err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("%d %s: %v", res.StatusCode, text, err)
	}
	return s
}

// TestRequestsStayAsTheyAre, but for what concerns one connection alone.
func TestRequestsStayAsTheyAre(t *testing.T) {
	s := enclave(t, newHypervisor(t, nil, image()), reflecting(t)).start(t)
	p := join(t, s)
	got := p.reflected(http.MethodPost, "/a%2Fb/%20c?q=1;2&z=%zz", `{"type":"ATTESTATION"}`,
		"Accept", "application/json", "Content-Type", "text/odd", "Connection", "close, X-Hop", "X-Hop", "1", "Keep-Alive", "5", "Te", "gzip",
		"Upgrade", "websocket", "Proxy-Authorization", "Basic eA==", "X-Other", "2", "User-Agent", "", "Accept-Encoding", "gzip", "Idempotency-Key", "mine",
		"X-Forwarded-For", "203.0.113.1")
	want := seen{
		Method: http.MethodPost, Path: "/a%2Fb/%20c", Query: "q=1;2&z=%zz", Host: s.listener.Addr().String(), Body: `{"type":"ATTESTATION"}`,
		Header: http.Header{
			"Accept": {"application/json"}, "Content-Type": {"text/odd"}, "X-Other": {"2"}, "Accept-Encoding": {"gzip"}, "Content-Length": {"22"},
			"Idempotency-Key": {"mine"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := p.reflected(http.MethodPost, signPath, "{}"); got.Header["Idempotency-Key"] != nil || got.Header["Authorization"] != nil {
		t.Errorf("a signing request got %v", got.Header)
	}
	if got := p.reflected(http.MethodGet, "/api/v1/eth2/publicKeys", ""); got.Body != "" || got.Header["Content-Length"] != nil {
		t.Errorf("a request without a body got %+v", got)
	}
}

// TestStreams: the bodies of operators are not held, and the answer begins before the request has ended.
func TestStreams(t *testing.T) {
	s := enclave(t, newHypervisor(t, nil, image()), func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
			t.Error(err)
		}
		piece := make([]byte, 6)
		for {
			_, err := io.ReadFull(r.Body, piece)
			if err != nil {
				return
			}
			_, _ = w.Write(piece)
			check(t, control.Flush())
		}
	}).start(t)
	p := join(t, s)
	body, sent := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/api/v1/slashing/import", body)
	check(t, err)
	req.Header.Set("Expect", "100-continue")
	go func() { _, _ = io.WriteString(sent, "first ") }()
	res, err := p.client.Do(req)
	check(t, err)
	defer res.Body.Close()
	for _, piece := range []string{"first ", "second", "third "} {
		got := make([]byte, 6)
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != piece {
			t.Fatalf("got %q, %v, want %q", got, err, piece)
		}
		if next := map[string]string{"first ": "second", "second": "third "}[piece]; next != "" {
			_, err := io.WriteString(sent, next)
			check(t, err)
		}
	}
	check(t, sent.Close())
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v after the end", rest, err)
	}
}

// TestLargeBodies go through whole, and those that no request needs are refused before the signer is asked.
func TestLargeBodies(t *testing.T) {
	c := &counting{}
	s := enclave(t, newHypervisor(t, nil, image()), c.ServeHTTP).start(t)
	p := join(t, s)
	large := strings.Repeat("0123456789abcdef", 20<<16) // 20 MiB
	if res, body := p.ask(http.MethodPost, signPath, large); res.StatusCode != 200 || body != large {
		t.Errorf("%d, %d bytes of %d", res.StatusCode, len(body), len(large))
	}
	res, body := p.ask(http.MethodPost, signPath, large+large)
	if res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(body, "larger than") || c.n.Load() != 1 {
		t.Errorf("%d %.200s, the signer was asked %d times", res.StatusCode, body, c.n.Load())
	}
}

// TestNoOpenProxy: nobody reaches anything but the signer, and no page in a browser reaches that.
func TestNoOpenProxy(t *testing.T) {
	c := &counting{}
	s := enclave(t, newHypervisor(t, nil, image()), c.ServeHTTP).start(t)
	p := join(t, s)
	for name, test := range map[string]struct {
		method string
		header []string
		code   int
		words  string
	}{
		"by name":              {http.MethodPost, []string{"Host", "localhost:9000"}, 200, ""},
		"by IPv6 address":      {http.MethodPost, []string{"Host", "[::1]"}, 200, ""},
		"rebound name":         {http.MethodPost, []string{"Host", "attacker.example"}, 403, "another name than localhost"},
		"rebound name and GET": {http.MethodGet, []string{"Host", "attacker.example:9000"}, 403, "another name than localhost"},
		"cross-site page":      {http.MethodPost, []string{"Sec-Fetch-Site", "cross-site"}, 403, "another site's page"},
		"origin of a page":     {http.MethodPost, []string{"Origin", "https://attacker.example"}, 403, "another site's page"},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.n.Load()
			res, body := p.ask(test.method, signPath, "{}", test.header...)
			if res.StatusCode != test.code || !strings.Contains(body, test.words) || (c.n.Load() > before) != (test.code == 200) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
	conn, err := tcp{}.dial(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
	check(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\nConnection: close\r\n\r\n")
	check(t, err)
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 405 ") {
		t.Errorf("CONNECT: %q, %v", answer, err)
	}
	before := c.n.Load()
	conn, err = tcp{}.dial(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
	check(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET http://localhost/elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	check(t, err)
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || c.n.Load() != before+1 {
		t.Errorf("a request in absolute form did not go to the signer: %q, %v", answer, err)
	}
}

// TestBoundedRequests: above the bound a request is answered 503 at once.
func TestBoundedRequests(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	s := enclave(t, newHypervisor(t, nil, image()), func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-release
	}).start(t)
	p := join(t, s, func(o *connect.Options, _ *atls.TransportOptions) { o.Requests = 1 })
	first := make(chan int, 1)
	go func() {
		res, _, err := ask(t, newClient(t, tcp{}), http.MethodPost, p.url+signPath, "{}")
		if err != nil {
			t.Error(err)
			res = &http.Response{}
		}
		first <- res.StatusCode
	}()
	<-inside
	if res, body := p.ask(http.MethodPost, signPath, "{}"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "too many requests") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	close(release)
	if code := <-first; code != 200 {
		t.Errorf("the first request got %d", code)
	}
}

// TestBurst: the attesters of a slot ask all at once, and all are asked for at once.
func TestBurst(t *testing.T) {
	const burst = 1000 // on eight connections to the signer at least, which carry 128 each
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		inside := make(chan struct{}, burst)
		release := make(chan struct{})
		s := enclave(t, newHypervisor(t, nil, image()), func(w http.ResponseWriter, r *http.Request) {
			inside <- struct{}{}
			<-release
			echo(w, r)
		})
		s.at = &memory{}
		s.start(t)
		p := join(t, s)
		client := &http.Client{Transport: &http.Transport{DialContext: p.client.Transport.(*http.Transport).DialContext}}
		defer client.CloseIdleConnections()
		for n := range burst {
			all.Go(func() {
				want := strconv.Itoa(n)
				if res, got, err := ask(t, client, http.MethodPost, p.url+signPath, want); err != nil || res.StatusCode != 200 || got != want {
					t.Errorf("%d: %v %s %v", n, res, got, err)
				}
			})
		}
		for range burst {
			<-inside
		}
		close(release)
		all.Wait()
		if n := metric(t, p.registry, "containment_connect_connections_verified_total"); n < burst/128 || n > 64 {
			t.Errorf("%v connections were made, 64 are allowed", n)
		}
	})
}

// TestTLSForClients: with a certificate of its own the proxy serves other machines.
func TestTLSForClients(t *testing.T) {
	stock := httptest.NewTLSServer(nil) // for its certificate, and a client that trusts it
	defer stock.Close()
	s := enclave(t, newHypervisor(t, nil, image()), echo).start(t)
	p := join(t, s, func(o *connect.Options, _ *atls.TransportOptions) {
		o.TLS = &tls.Config{Certificates: stock.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	})
	client := stock.Client()
	defer client.CloseIdleConnections()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	res, got, err := ask(t, client, http.MethodPost, strings.Replace(p.url, "http:", "https:", 1)+signPath, "{}")
	if err != nil || res.StatusCode != 200 || got != "{}" || res.ProtoMajor != 2 {
		t.Errorf("%v %s %v", res, got, err)
	}
	if res, body := p.ask(http.MethodPost, signPath, "{}"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("in clear: %d %s", res.StatusCode, body)
	}
}
