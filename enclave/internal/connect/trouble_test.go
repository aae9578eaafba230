package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/connect"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// refusal is the body of every error.
type refusal struct {
	Code           int
	Message, Error string
}

// refusedWith asks for a signature, which must be refused in the form of the signer's errors.
func (p *proxy) refusedWith(code int, words ...string) {
	p.t.Helper()
	res, body := p.ask(http.MethodPost, signPath, "{}")
	var r refusal
	if err := json.Unmarshal([]byte(body), &r); err != nil || res.StatusCode != code || r.Code != code || r.Message != r.Error ||
		res.Header.Get("Content-Type") != "application/json; charset=utf-8" || (res.Header.Get("Retry-After") == "1") != (code == 503) {
		p.t.Errorf("got %d %v %s, %v, want %d", res.StatusCode, res.Header, body, err, code)
	}
	for _, w := range words {
		if !strings.Contains(r.Message, w) {
			p.t.Errorf("the reason lacks %q: %s", w, r.Message)
		}
	}
}

// told counts the lines of the log with a message that begins so.
func (p *proxy) told(message string) (n int) {
	for _, e := range p.logs.All() {
		if strings.HasPrefix(e.Message, message) {
			n++
		}
	}
	return n
}

func register(n byte) string { return attestation.PCR{n}.String() }

// TestOtherMeasurements: the reason names the check and every register that differs, and the signer is asked for nothing.
func TestOtherMeasurements(t *testing.T) {
	c := &counting{}
	other := image()
	other[0], other[16] = attestation.PCR{7}, attestation.PCR{8}
	s := enclave(t, newHypervisor(t, nil, other), c.ServeHTTP).start(t)
	p := join(t, s)
	for range 3 {
		p.refusedWith(502, "the signer is refused", "policy", `"release"`,
			"PCR0 is "+register(7)+", want "+register(1), "PCR16 is "+register(8)+", want "+register(4))
	}
	if n := c.n.Load(); n != 0 {
		t.Errorf("the signer got %d requests", n)
	}
	if n := p.told("the signer is refused"); n != 1 {
		t.Errorf("told %d times in the log, want once", n)
	}
	if n := metric(t, p.registry, "containment_connect_requests_total", "refused"); n < 3 {
		t.Errorf("%v counted", n)
	}
}

// TestRemembered: what differs from what was remembered is told side by side.
func TestRemembered(t *testing.T) {
	store := &atls.TrustStore{Path: filepath.Join(t.TempDir(), "trust.json")}
	other := image()
	other[0] = attestation.PCR{7}
	h := newHypervisor(t, nil, other)
	s := enclave(t, h, echo).start(t)
	options := s.options()
	options.Policy = attestation.Policy{}
	peer, err := atls.Observe(t.Context(), s.listener.Addr().String(), options, nil)
	check(t, err)
	check(t, store.Remember("signer:9443", peer))
	p := join(t, s, func(_ *connect.Options, o *atls.TransportOptions) {
		for host, options := range o.Servers {
			options.Policy, options.Trust = attestation.Policy{}, &atls.Trust{Store: store, Name: "signer:9443"}
			o.Servers[host] = options
		}
	})
	if res, body := p.ask(http.MethodPost, signPath, "{}"); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	s.stop()
	h.mu.Lock()
	h.pcrs = image()
	h.mu.Unlock()
	again := enclave(t, h, echo)
	again.listener = relisten(t, s.listener)
	again.start(t)
	p.refusedWith(502, "trust", "PCR0  was "+register(7)+"  is "+register(1))
}

// busy is a security module that makes no proofs while it is told not to.
type busy struct {
	*hypervisor
	now atomic.Bool
}

func (b *busy) Attest(ctx context.Context, a nsm.Attestation) ([]byte, error) {
	if a.Nonce != nil && b.now.Load() {
		return nil, errors.New("busy")
	}
	return b.hypervisor.Attest(ctx, a)
}

// TestProofNotMade: a signer that is too busy to prove itself is not refused. It is asked again, and found once it can.
func TestProofNotMade(t *testing.T) {
	device := &busy{hypervisor: newHypervisor(t, nil, image())}
	device.now.Store(true)
	s := enclave(t, device.hypervisor, echo)
	s.device = device
	s.start(t)
	p := join(t, s, func(_ *connect.Options, o *atls.TransportOptions) {
		for host, options := range o.Servers {
			options.Policy.Proof = attestation.ProofPerConnection
			o.Servers[host] = options
		}
	})
	p.refusedWith(503, "no answer from the signer", "the proof could not be fetched", "status 503")
	if n := metric(t, p.registry, "containment_connect_requests_total", "refused"); n != 0 {
		t.Errorf("refused %v times", n)
	}
	device.now.Store(false)
	if res, body := p.ask(http.MethodPost, signPath, "{}"); res.StatusCode != 200 || body != "{}" {
		t.Errorf("afterwards: %d %s", res.StatusCode, body)
	}
}

// relisten listens where another listener did.
func relisten(t testing.TB, before net.Listener) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", before.Addr().String())
	check(t, err)
	return l
}

// TestSignerGoneAndBack: a killed signer is answered for at once, and found again without a restart.
func TestSignerGoneAndBack(t *testing.T) {
	h := newHypervisor(t, nil, image())
	s := enclave(t, h, echo).start(t)
	p := join(t, s, func(o *connect.Options, _ *atls.TransportOptions) { o.Health = tcp{}.listen(t) })
	if res, body := p.ask(http.MethodPost, signPath, "{}"); res.StatusCode != 200 || body != "{}" {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	ready := p.readyz()
	if ready["ready"] != true || ready["evidence"].(map[string]any)["pcrs"].(map[string]any)["PCR0"] != register(1) {
		t.Errorf("readiness %v", ready)
	}
	s.stop()
	p.refusedWith(503, "no answer from the signer", "connection refused")
	p.refusedWith(503, "no answer from the signer")
	if ready := p.readyz(); ready["ready"] != false || !strings.Contains(ready["error"].(string), "refused") || ready["since"] == nil || ready["refused"] != nil {
		t.Errorf("readiness %v", ready)
	}
	again := enclave(t, h, echo)
	again.listener = relisten(t, s.listener)
	again.start(t)
	if res, body := p.ask(http.MethodPost, signPath, "{}"); res.StatusCode != 200 || body != "{}" {
		t.Errorf("after the restart: %d %s", res.StatusCode, body)
	}
	if ready := p.readyz(); ready["ready"] != true {
		t.Errorf("readiness %v", ready)
	}
	if p.told("no answer from the signer") != 1 || p.told("the signer answers again") != 1 || p.told("signer verified") < 2 {
		t.Errorf("the log: %v", p.logs.All())
	}
}

// readyz asks the proxy itself.
func (p *proxy) readyz() (answer map[string]any) {
	p.t.Helper()
	res, text, err := ask(p.t, p.client, http.MethodGet, p.health+"/readyz", "")
	check(p.t, err)
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	if (res.StatusCode == http.StatusOK) != (answer["ready"] == true) {
		p.t.Errorf("%d %s", res.StatusCode, text)
	}
	return answer
}

// TestHealth: the proxy lives whatever the signer does, and paths of the signer are not answered there.
func TestHealth(t *testing.T) {
	s := enclave(t, newHypervisor(t, nil, image()), echo).start(t)
	p := join(t, s, func(o *connect.Options, _ *atls.TransportOptions) {
		o.Health = tcp{}.listen(t)
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") })
	})
	until(t, func() bool { return p.readyz()["ready"] == true }) // the proxy asks by itself
	s.stop()
	for path, want := range map[string]string{"/upcheck": "OK", "/metrics": "metrics", signPath: "no such path"} {
		res, text, err := ask(t, p.client, http.MethodGet, p.health+path, "")
		check(t, err)
		if !strings.Contains(text, want) || (res.StatusCode == 200) != (path != signPath) {
			t.Errorf("%s: %d %s", path, res.StatusCode, text)
		}
	}
}

// TestSilentSigner: one who takes requests and answers none is found out by the proxy's own, and costs a client no more than its time.
func TestSilentSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := enclave(t, newHypervisor(t, nil, image()), func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
		s.at = &memory{}
		s.start(t)
		p := join(t, s)
		begun := time.Now()
		p.refusedWith(503, "did not answer in time")
		if took := time.Since(begun); took != 30*time.Second {
			t.Errorf("a client waited %v", took)
		}
		if n := p.told("no answer"); n != 0 { // its liveness is answered
			t.Errorf("one late answer was taken for an outage: %v", p.logs.All())
		}
	})
}

// TestBlackHole: packets that vanish end as an outage too.
func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := enclave(t, newHypervisor(t, nil, image()), echo)
		s.at = &memory{}
		s.start(t)
		p := join(t, s, func(_ *connect.Options, o *atls.TransportOptions) {
			o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, errors.New("no route")
			}
		})
		begun := time.Now()
		p.refusedWith(503, "no answer from the signer", "no route")
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("a client waited %v", took)
		}
		synctest.Wait() // the client has its answer before the log has its line
		if p.told("no answer from the signer") != 1 {
			t.Errorf("the log: %v", p.logs.All())
		}
	})
}

// TestDrain: a request that is under way when the proxy is asked to stop gets its answer; a new one finds nobody.
func TestDrain(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	s := enclave(t, newHypervisor(t, nil, image()), func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		<-release
		echo(w, r)
	}).start(t)
	p := join(t, s)
	answer := make(chan string, 1)
	go func() {
		_, body, err := ask(t, p.client, http.MethodPost, p.url+signPath, "{}")
		if err != nil {
			t.Error(err)
		}
		answer <- body
	}()
	<-inside
	stopped := make(chan struct{})
	go func() { p.stop(); close(stopped) }()
	until(t, func() bool {
		conn, err := tcp{}.dial(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(release)
	if body := <-answer; body != "{}" {
		t.Errorf("got %q", body)
	}
	<-stopped
}
