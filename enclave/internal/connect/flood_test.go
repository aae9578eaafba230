package connect_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/connect"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const (
	flooders      = 16
	floodRotation = time.Second
	floodLasts    = 3 // rotations
)

// TestFloodOfProofs: whoever asks for proofs as fast as connections can be made keeps the signer neither from replacing its certificate
// nor from signing. The log has the figures.
func TestFloodOfProofs(t *testing.T) {
	s := simulated(t, echo)
	p := join(t, s, func(_ *connect.Options, o *atls.TransportOptions) {
		for host, options := range o.Servers {
			options.Policy.Sets[0].PCRs = measured(t)
			o.Servers[host] = options
		}
	})
	quiet := p.signing(s)
	other := newFlood(t, s, "/upcheck") // the flooders take this machine's processors whatever they ask for
	busy := p.signing(s)
	other.stop()
	proofs := newFlood(t, s, atls.WellKnownPath+"?nonce="+strings.Repeat("0a", atls.NonceSize))
	flooded := p.signing(s)
	proofs.stop()
	t.Logf("nobody else:                       %v", quiet)
	t.Logf("%d ask for /upcheck without end:   %v; %d connections", flooders, busy, other.connections.Load())
	t.Logf("%d ask for proofs without end:     %v; %d connections, %v proofs made, %v refused",
		flooders, flooded, proofs.connections.Load(), metric(t, s.registry, "containment_attestation_proofs_total", "made"),
		metric(t, s.registry, "containment_attestation_proofs_total", "limited"))
	if metric(t, s.registry, "containment_attestation_proofs_total", "limited") == 0 {
		t.Error("it was no flood: no proof was refused")
	}
	if n := metric(t, s.registry, "containment_tls_rotation_failures_total"); n != 0 {
		t.Errorf("%v rotations failed", n)
	}
	if quiet.failed+busy.failed+flooded.failed != 0 {
		t.Errorf("signatures failed: %d, %d and %d", quiet.failed, busy.failed, flooded.failed)
	}
}

// simulated is a signer over the software security module, which one goroutine owns, as in the product.
func simulated(t testing.TB, handler http.HandlerFunc) *signer {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	session, err := software.Open(software.Options{Dir: t.TempDir(), Executable: self})
	check(t, err)
	device := nsm.New(session)
	background(t, device.Run)
	s := &signer{at: tcp{}, handler: handler, device: device, root: session.Root(), rotation: floodRotation, validity: 24 * time.Hour}
	return s.start(t)
}

// measured is what the software security module measures of this test.
func measured(t testing.TB) attestation.Measurements {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	m, err := software.Measure(self)
	check(t, err)
	return attestation.Measurements{0: m.PCR0, 1: m.PCR1, 2: m.PCR2}
}

// figures are those of one phase.
type figures struct {
	signatures, failed int
	p50, p99           time.Duration
	rotation           time.Duration // from one certificate to the next, the longest
}

func (f figures) String() string {
	return fmt.Sprintf("%d signatures, p50 %v, p99 %v; the longest from one certificate to the next %v, %v asked for",
		f.signatures, f.p50.Round(10*time.Microsecond), f.p99.Round(10*time.Microsecond), f.rotation.Round(time.Millisecond), floodRotation)
}

// signing asks for one signature after the other until the certificate has been replaced several times.
func (p *proxy) signing(s *signer) (f figures) {
	p.t.Helper()
	var took []time.Duration
	document, _ := s.attested.Current()
	before, rotated := string(document), -1 // the first interval has begun earlier
	since := time.Now()
	for rotated < floodLasts && f.failed < 100 {
		begun := time.Now()
		res, _, err := ask(p.t, p.client, http.MethodPost, p.url+signPath, `{"type":"ATTESTATION"}`)
		took = append(took, time.Since(begun))
		if err != nil || res.StatusCode != http.StatusOK {
			f.failed++
		}
		if document, _ := s.attested.Current(); string(document) != before {
			if rotated >= 0 {
				f.rotation = max(f.rotation, time.Since(since))
			}
			rotated++
			before, since = string(document), time.Now()
		}
	}
	slices.Sort(took)
	f.signatures, f.p50, f.p99 = len(took), took[len(took)/2], took[len(took)*99/100]
	return f
}

// flood asks for something without end, eight times on each connection.
type flood struct {
	path        string
	connections atomic.Int64
	stop        func()
}

func newFlood(t *testing.T, s *signer, path string) *flood {
	t.Helper()
	f := &flood{path: path}
	ended := make(chan struct{})
	var all sync.WaitGroup
	for range flooders {
		all.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					f.one(t, s)
				}
			}
		})
	}
	f.stop = sync.OnceFunc(func() { close(ended); all.Wait() })
	t.Cleanup(f.stop)
	return f
}

func (f *flood) one(t *testing.T, s *signer) {
	conn, err := rawTLS(t.Context(), s.at, s.listener.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	f.connections.Add(1)
	answers := bufio.NewReader(conn)
	for range 8 {
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: signer\r\n\r\n", f.path); err != nil {
			return
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			return
		}
		_, _ = io.ReadAll(res.Body)
		res.Body.Close()
	}
}
