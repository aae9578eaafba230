package rolling

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// How many validator clients there are, and how often each key of one votes. Those of HTTP/1.1 have a connection, or a few; one of HTTP/2 has
// a connection for all of its keys. The slow ones leave theirs idle most of the time.
const (
	clientsHTTP1, keysHTTP1 = 12, 1
	clientsHTTP2, keysHTTP2 = 3, 4
	clientsSlow, keysSlow   = 4, 1

	pause     = 250 * time.Millisecond
	pauseHot  = 5 * time.Millisecond // there is always one under way
	pauseSlow = time.Second          // within the drain delay

	keyCount = clientsHTTP1*keysHTTP1 + clientsHTTP2*keysHTTP2 + clientsSlow*keysSlow
)

// firstEpoch is what every key has voted for last, so to say.
const firstEpoch = 100

// client is one validator client with its connections.
type client struct {
	http   *http.Client
	replay bool

	mu  sync.Mutex // held while met is used
	met map[string]int
}

// newClient makes a client of the service that accepts what a policy allows.
func newClient(t *testing.T, s *site, service *service, policy attestation.Policy, http2 bool) *client {
	t.Helper()
	c := &client{replay: http2, met: map[string]int{}}
	config, err := atls.ClientConfig(atls.Options{Policy: policy, Roots: s.roots(), OnVerified: c.remember})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: config, DialContext: service.dial, ForceAttemptHTTP2: http2, MaxIdleConnsPerHost: keyCount}
	if !http2 {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP1(true)
	}
	t.Cleanup(transport.CloseIdleConnections)
	c.http = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	return c
}

func (c *client) remember(p atls.Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.met[p.Document.PCRs[0].String()]++
}

// connections gives how many were made to which image, and counts anew.
func (c *client) connections() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	met := c.met
	c.met = map[string]int{}
	return met
}

// sign asks once. Over HTTP/1.1 the body cannot be read again, so that net/http sends a request a second time under no circumstances: not
// every client would. Over HTTP/2 it does so if the server has said that it did not take the request (RFC 9113, 6.8).
func (c *client) sign(ctx context.Context, key string, vote map[string]any) (string, error) {
	raw, err := json.Marshal(vote)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://signer.test:9443/api/v1/eth2/sign/"+key, bytes.NewReader(raw))
	if err != nil {
		return "", err
	}
	if !c.replay {
		req.GetBody = nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", &rig.Refused{Status: res.StatusCode, Message: string(body)}
	}
	var answer struct{ Signature string }
	return answer.Signature, errors.Join(json.Unmarshal(body, &answer), rig.Verify(key, vote, answer.Signature))
}

// voter has one key vote for one epoch after the other, each once.
type voter struct {
	key    string
	client *client
	pause  time.Duration
	epoch  uint64 // of the last vote that was signed
	lost   error  // why the next one was not; the voter has stopped then
}

// vote asks for one more.
func (v *voter) vote(ctx context.Context) {
	signature, err := v.client.sign(ctx, v.key, rig.Vote(v.epoch, v.epoch+1))
	if err != nil || !strings.HasPrefix(signature, "0x") {
		v.lost = fmt.Errorf("the vote of %s for epoch %d: %w", v.key[:10], v.epoch+1, errors.Join(err))
		return
	}
	v.epoch++
}

// load is all voters at work.
type load struct {
	voters  []*voter
	clients []*client
	signed  atomic.Int64 // votes
	working sync.WaitGroup
	stop    context.CancelFunc
}

func newLoad(t *testing.T, s *site, service *service, policy attestation.Policy, keys []string) *load {
	t.Helper()
	l := &load{}
	for _, kind := range []struct {
		clients, keys int
		pause         time.Duration
		http2         bool
	}{{clientsHTTP1, keysHTTP1, pause, false}, {clientsHTTP2, keysHTTP2, pause, true}, {clientsSlow, keysSlow, pauseSlow, false}} {
		for range kind.clients {
			c := newClient(t, s, service, policy, kind.http2)
			l.clients = append(l.clients, c)
			for range kind.keys {
				l.voters = append(l.voters, &voter{key: keys[len(l.voters)], client: c, pause: kind.pause, epoch: firstEpoch})
			}
		}
	}
	return l
}

// begin has all voters vote, until end or until one of theirs is lost.
func (l *load) begin(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l.stop = cancel
	for _, v := range l.voters {
		l.working.Go(func() {
			tick := time.NewTicker(v.pause)
			defer tick.Stop()
			for v.lost == nil {
				select {
				case <-tick.C:
					if v.vote(t.Context()); v.lost == nil { // the end does not cut it off
						l.signed.Add(1)
					}
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// end waits for the answers that are due.
func (l *load) end() {
	l.stop()
	l.working.Wait()
}

// met says how many connections were made to which image since it was asked last.
func (l *load) met() map[string]int {
	all := map[string]int{}
	for _, c := range l.clients {
		for pcr0, n := range c.connections() {
			all[pcr0] += n
		}
	}
	return all
}

// lost are the votes that were not signed.
func (l *load) lost() (all []*voter) {
	for _, v := range l.voters {
		if v.lost != nil {
			all = append(all, v)
		}
	}
	return all
}
