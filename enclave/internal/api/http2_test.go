package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
)

// overTLS serves TLS until the test ends, and returns its address and a client's transport that speaks HTTP/2.
func overTLS(t *testing.T, l *Limits, h http.Handler) (string, *http.Transport) {
	t.Helper()
	issuer := httptest.NewUnstartedServer(nil) // for its certificate
	issuer.EnableHTTP2 = true
	issuer.StartTLS()
	defer issuer.Close()
	roots := x509.NewCertPool()
	roots.AddCert(issuer.Certificate())

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer("test", listener, h, issuer.TLS.Clone(), 0, l, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS13},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		<-ended
		await(t, func() bool { return s.door.connections() == 0 })
	})
	return "https://" + listener.Addr().String(), transport
}

// TestHTTP2 sends bodies of many sizes at once beside peers who send theirs slowly, all on few connections.
func TestHTTP2(t *testing.T) {
	const places, parked, requests = 60, 100, 100
	l := limits(t, places)
	url, transport := overTLS(t, l, http.HandlerFunc(echo))
	client := &http.Client{Transport: transport}

	ctx, hangUp := context.WithCancel(t.Context())
	var slow sync.WaitGroup
	for range parked {
		body, sender := io.Pipe()
		slow.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
			if err != nil {
				t.Error(err)
				return
			}
			if res, err := client.Do(req); err == nil {
				_ = res.Body.Close()
				t.Errorf("a request without its body was answered: %s", res.Status)
			}
		})
		_, _ = sender.Write([]byte("{")) // until the transport has taken it
	}
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() {
			size := []int{0, 900, startBody + 1, freeBody + 1, 8 * freeBody}[i%5]
			res, err := client.Post(url, "application/json", strings.NewReader(repeat(size)))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = res.Body.Close() }()
			says, err := io.ReadAll(res.Body)
			if want := strconv.Itoa(size) + " bytes"; err != nil || res.StatusCode != http.StatusOK || string(says) != want || res.ProtoMajor != 2 {
				t.Errorf("%s %s %q %v, want %q", res.Proto, res.Status, says, err, want)
			}
		})
	}
	all.Wait()
	hangUp()
	slow.Wait()
	nothingHeld(t, l)
}

func TestALargeBodyOverHTTP2(t *testing.T) {
	l := limits(t, 1)
	url, transport := overTLS(t, l, http.HandlerFunc(echo))
	for size, want := range map[int]int{MaxBody: http.StatusOK, MaxBody + 1: http.StatusRequestEntityTooLarge} {
		res, err := (&http.Client{Transport: transport}).Post(url, "application/json", strings.NewReader(repeat(size)))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want || res.ProtoMajor != 2 {
			t.Errorf("%d bytes: %s %s", size, res.Proto, res.Status)
		}
	}
	nothingHeld(t, l)
}

// TestAnswersThatWaitAreBounded has a peer whose window has no room for any answer, and who asks on many streams: its connection goes,
// and no other.
func TestAnswersThatWaitAreBounded(t *testing.T) {
	const most, streams = 2, 100
	l := limits(t, 1)
	l.most = func() int { return most }
	url, transport := overTLS(t, l, http.HandlerFunc(echo))

	c := withoutWindow(t, url, transport, "/upcheck", streams)
	_, _ = io.Copy(io.Discard, c) // until it is closed
	if n := testutil.ToFloat64(l.connections.displaced.WithLabelValues("test")); n != 1 {
		t.Errorf("%v connections were displaced, want 1", n)
	}
	nothingHeld(t, l)
	if res, err := (&http.Client{Transport: transport}).Get(url + "/upcheck"); err != nil || res.StatusCode != http.StatusOK || res.Body.Close() != nil {
		t.Errorf("after it: %v %v", res, err)
	}
}

// withoutWindow connects a peer whose window has no room for any answer, and who asks for a path of less than 127 bytes on many streams.
func withoutWindow(t *testing.T, url string, transport *http.Transport, path string, streams int) net.Conn {
	t.Helper()
	settings := transport.TLSClientConfig.Clone()
	settings.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(tooLong))
	// Frames of RFC 9113 (length, type, flags, stream): SETTINGS with SETTINGS_INITIAL_WINDOW_SIZE 0, then HEADERS that end
	// their streams, with the static fields of RFC 7541 Appendix A for GET, https and a path.
	sent := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\x00\x00\x00\x00"
	fields := "\x82\x87\x44" + string([]byte{byte(len(path))}) + path + "\x41\x06signer"
	for i := range streams {
		sent += "\x00\x00" + string([]byte{byte(len(fields)), 1, 5, 0, 0, 0, byte(2*i + 1)}) + fields
	}
	if _, err := io.WriteString(c, sent); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOneConnectionKeepsNobodyFromReading has a peer who asks on many streams and reads nothing.
func TestOneConnectionKeepsNobodyFromReading(t *testing.T) {
	const streams, list = 100, "/api/v1/eth2/publicKeys"
	for path, most := range map[string]int64{list: maxListsPerConnection, attestationPath: maxAttestations} {
		t.Run(path, func(t *testing.T) {
			l := limits(t, 1)
			var inside atomic.Int64
			url, transport := overTLS(t, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				inside.Add(1)
				_, _ = io.WriteString(w, repeat(64<<10)) // more than is put together before it is sent
			}))
			c := withoutWindow(t, url, transport, path, streams)
			shed := func() (n int64) {
				for _, bound := range []string{"lists", "lists_per_connection", "attestation"} {
					n += int64(testutil.ToFloat64(l.shed.WithLabelValues(bound)))
				}
				return n
			}
			await(t, func() bool { return inside.Load()+shed() == streams })
			if n := l.lists.taken.Load(); n > maxListsPerConnection || path == list && inside.Load() != most {
				t.Errorf("%d places of lists are held, and %d requests were served", n, inside.Load())
			}
			await(t, func() bool { return l.attestation.taken.Load() == 0 })
			for _, path := range []string{list, attestationPath} {
				res, err := (&http.Client{Transport: transport}).Get(url + path)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK || res.Body.Close() != nil {
					t.Errorf("%s of another: %s %v", path, res.Status, err)
				}
			}
			_ = c.Close()
			nothingHeld(t, l)
		})
	}
}
