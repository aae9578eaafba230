package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// badPeers are the ways to hold a connection of the signer, each with what it sends before it falls silent.
func badPeers() map[string]string {
	sign := "POST /api/v1/eth2/sign/" + interopPublic + " HTTP/1.1\r\nHost: signer\r\nContent-Length: "
	body := vote(1, 2)
	return map[string]string{
		"half open":        "",
		"dribbles headers": "POST /api/v1/eth2/sign/",
		"dribbles a body":  sign + "1000\r\n\r\n{",
		"never reads":      strings.Repeat(fmt.Sprintf("%s%d\r\n\r\n%s", sign, len(body), body), 20),
		"never reads keys": strings.Repeat("GET /api/v1/eth2/publicKeys HTTP/1.1\r\nHost: signer\r\n\r\n", 20),
	}
}

// TestPressure puts 100 bad peers of each kind on one signer, and 10,000 requests at once beside them, over 1,000 connections:
// each is signed or told to come again, and the signer is never taken for dead.
func TestPressure(t *testing.T) {
	const parked, connections, each = 100, 1000, 10
	config, url, metrics := standard(t, "")
	p := start(t, "containment-chamber", "server", "-c", config)
	client := newClient(t)
	awaitReady(t, client, url, p)

	address := strings.TrimPrefix(url, "http://")
	for _, sends := range badPeers() {
		for range parked {
			_, _ = io.WriteString(dial(t, address), sends) // whoever does not read may be cut
		}
	}
	if status, body := call(t, client, http.MethodPost, url+"/api/v1/eth2/sign/"+interopPublic, vote(10, 11)); status != http.StatusOK {
		t.Errorf("beside the bad peers: %d %s", status, body)
	}

	peers := make([]net.Conn, connections)
	for i := range peers {
		peers[i] = dial(t, address)
	}
	outcomes := make(chan map[int]int, connections)
	begin := make(chan struct{})
	var clients sync.WaitGroup
	for _, c := range peers {
		clients.Go(func() {
			<-begin
			outcomes <- burst(t, c, each)
		})
	}
	close(begin)
	burstEnded := make(chan struct{})
	go func() { clients.Wait(); close(burstEnded) }()
	for ended := false; !ended; {
		for _, path := range []string{"/upcheck", "/readyz"} {
			if status, body := call(t, client, http.MethodGet, url+path, ""); status != http.StatusOK {
				t.Errorf("%s during the burst: %d %s", path, status, body)
			}
		}
		select {
		case <-burstEnded:
			ended = true
		default:
		}
	}
	total := map[int]int{}
	for range connections {
		for status, n := range <-outcomes {
			total[status] += n
		}
	}
	if total[http.StatusOK]+total[http.StatusServiceUnavailable] != connections*each || total[http.StatusOK] == 0 {
		t.Errorf("answers by status: %v, want %d of 200 or 503", total, connections*each)
	}
	if _, body := call(t, client, http.MethodGet, metrics, ""); !strings.Contains(body, "containment_http_requests_inside") {
		t.Error("the metrics of the listeners are missing")
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// dial connects until the test ends.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// burst sends selection proofs, which no slashing rule keeps from being signed twice, without waiting, and counts the answers by
// status. A 503 must say when to come again.
func burst(t *testing.T, c net.Conn, n int) map[int]int {
	body := `{"type":"AGGREGATION_SLOT","fork_info":{"fork":{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"50688"},` +
		`"genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},"aggregation_slot":{"slot":"1700000"}}`
	request := fmt.Sprintf("POST /api/v1/eth2/sign/%s HTTP/1.1\r\nHost: signer\r\nContent-Length: %d\r\n\r\n%s", interopPublic, len(body), body)
	answers := map[int]int{}
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil { // so that an answer that never comes is told
		t.Error(err)
	}
	if _, err := io.WriteString(c, strings.Repeat(request, n)); err != nil {
		t.Error(err)
		return answers
	}
	read := bufio.NewReader(c)
	for range n {
		res, err := http.ReadResponse(read, nil)
		if err != nil {
			t.Error(err)
			return answers
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s without Retry-After: %s %v", res.Status, text, err)
		}
		answers[res.StatusCode]++
	}
	return answers
}
