package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
)

// Pauses after an error of accept, as too many open files: each is twice the one before.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// Forwarders are the Dialer's way for code that resolves names by itself: each name of the route table owns one loopback address, and what
// connects there on the port of a route is passed on to that route. They lead nowhere else.
type Forwarders struct {
	dialer *Dialer
	log    *zap.Logger
	doors  []door
	hosts  strings.Builder
}

// door is where one route is entered.
type door struct {
	*route
	listener net.Listener
	shut     *atomic.Bool // the last dial failed, which is told once
}

// NewForwarders opens listeners on 127.0.0.2, 127.0.0.3 and on, one address for each name in the order of the table. A route to an address
// needs none, and localhost is 127.0.0.1 everywhere (RFC 6761 §6.3).
func NewForwarders(d *Dialer, listen func(network, address string) (net.Listener, error), log *zap.Logger) (*Forwarders, error) {
	f := &Forwarders{dialer: d, log: log}
	f.hosts.WriteString("127.0.0.1 localhost\n")
	owned, next := map[string]netip.Addr{}, netip.AddrFrom4([4]byte{127, 0, 0, 2})
	for _, r := range d.table.order {
		if _, err := netip.ParseAddr(r.to.host); err == nil || r.to.host == "localhost" {
			continue
		}
		if !name.MatchString(r.to.host) {
			f.close()
			return nil, fmt.Errorf("egress forwarder of route %s: %q is no DNS name", r.Name, r.to.host)
		}
		own, ok := owned[r.to.host]
		if !ok {
			own, next = next, next.Next()
			owned[r.to.host] = own
			fmt.Fprintf(&f.hosts, "%v %s\n", own, r.to.host)
		}
		l, err := listen("tcp4", netip.AddrPortFrom(own, r.Port).String())
		if err != nil {
			f.close()
			return nil, fmt.Errorf("egress forwarder of route %s to %v: %w", r.Name, r.to, err)
		}
		f.doors = append(f.doors, door{r, l, new(atomic.Bool)})
	}
	return f, nil
}

// name is what can stand in a hosts file as one word. It is no judge of names: it keeps one route from writing another's line.
var name = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// Hosts is the hosts file (hosts(5)) that leads each name to its address.
func (f *Forwarders) Hosts() []byte { return []byte(f.hosts.String()) }

// Run forwards until ctx ends, which cuts what is open, and closes the listeners. It returns when the last connection has ended.
func (f *Forwarders) Run(ctx context.Context) error {
	defer f.close()
	all, ctx := errgroup.WithContext(ctx)
	for _, d := range f.doors {
		all.Go(func() error {
			defer context.AfterFunc(ctx, func() { _ = d.listener.Close() })()
			return f.accept(ctx, d, func(c net.Conn) {
				all.Go(func() error { f.forward(ctx, d, c); return nil })
			})
		})
	}
	all.Go(func() error { <-ctx.Done(); return nil }) // a table without names is no reason to end
	return all.Wait()
}

func (f *Forwarders) close() {
	for _, d := range f.doors {
		_ = d.listener.Close()
	}
}

// accept takes connections until ctx ends. Only a listener that somebody else closed ends it with an error.
func (f *Forwarders) accept(ctx context.Context, d door, serve func(net.Conn)) error {
	pause := firstPause
	for {
		c, err := d.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil // its end closed the listener
		}
		switch {
		case err == nil:
			pause = firstPause
			serve(c)
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("egress forwarder of route %s: accept: %w", d.Name, err)
		default:
			f.log.Warn("egress forwarder cannot accept", zap.String("route", d.Name), zap.Duration("pause", pause), zap.Error(err))
			wait(ctx, pause)
			pause = min(2*pause, lastPause)
		}
	}
}

// forward owns near. Without a route's connection it closes it at once: a client that is refused tries again, one that is held does not.
func (f *Forwarders) forward(ctx context.Context, d door, near net.Conn) {
	far, err := f.dialer.dial(ctx, d.route)
	if err != nil {
		_ = near.Close()
		if !d.shut.Swap(true) {
			f.log.Warn("egress forwarder closes connections", zap.String("route", d.Name), zap.Error(err))
		}
		return
	}
	if d.shut.Swap(false) {
		f.log.Info("egress forwarder reaches its route again", zap.String("route", d.Name))
	}
	client, ok := near.(pipe.Conn)
	if !ok {
		err = errors.Join(fmt.Errorf("connection of type %T cannot be half-closed", near), near.Close(), far.Close())
		f.log.Error("egress forwarder closed a connection", zap.String("route", d.Name), zap.Error(err))
		return
	}
	limits := f.dialer.limits
	counts, err := pipe.Join(ctx, client, far, pipe.Limits{Idle: limits.IdleTimeout, HalfOpen: limits.HalfOpenTimeout})
	f.log.Debug("forwarded connection ended", zap.String("route", d.Name), zap.Int64("bytes_out", counts.AToB), zap.Int64("bytes_in", counts.BToA),
		zap.Error(err))
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
