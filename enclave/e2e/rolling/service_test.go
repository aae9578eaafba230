package rolling

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// probePeriod is how often the service looks which replicas are ready. Until then it sends connections where none may be welcome any more.
// A look that began earlier than maxAge counts no longer: however busy this machine is, the service keeps what a load balancer promises.
const (
	probePeriod = 200 * time.Millisecond
	maxAge      = time.Second
)

// service stands for a Kubernetes Service: new connections go to the replicas that were ready when it looked last, in turns; those that
// are open are no concern of it.
type service struct {
	replicas []*replica

	mu    sync.Mutex // held while the fields below are used
	ready []*replica
	began time.Time     // of the look that found them
	more  chan struct{} // closed and replaced by the next look
	next  int
}

// startService looks first, and goes on until the test ends.
func startService(t *testing.T, replicas ...*replica) *service {
	t.Helper()
	s := &service{replicas: replicas, more: make(chan struct{})}
	client := newProber()
	s.look(client)
	ctx, cancel := context.WithCancel(context.Background())
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(probePeriod)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.look(client)
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); looking.Wait() })
	return s
}

func (s *service) look(client *http.Client) {
	began := time.Now()
	var ready []*replica
	for _, r := range s.replicas {
		if r.ready(client) {
			ready = append(ready, r)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready, s.began = ready, began
	close(s.more)
	s.more = make(chan struct{})
}

// dial connects to the next replica that was ready.
func (s *service) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	r, err := s.choose()
	for errors.Is(err, errOld) {
		select {
		case <-s.nextLook():
			r, err = s.choose()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", r.api))
}

var errOld = errors.New("the last look was too long ago")

func (s *service) nextLook() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.more
}

func (s *service) choose() (*replica, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case time.Since(s.began) > maxAge:
		return nil, errOld
	case len(s.ready) == 0:
		return nil, errors.New("no replica is ready")
	}
	s.next++
	return s.ready[s.next%len(s.ready)], nil
}

// knows waits until the service sends connections to exactly so many replicas.
func (s *service) knows(n int) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready) == n, nil
}
