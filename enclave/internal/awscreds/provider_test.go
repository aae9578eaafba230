package awscreds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a provider before a cloud, in virtual time, with the true dialer between.
type rig struct {
	*Provider
	*cloud
	registry *prometheus.Registry
	logged   *observer.ObservedLogs

	asking   sync.Mutex
	identity wire.Identity // what the parent says
	refused  error         // what it says instead
}

func routes() []wire.Route {
	return []wire.Route{
		{Name: "sts", Host: "sts." + region + ".amazonaws.com", Port: 443, VsockPort: stsPort},
		{Name: "agent", Host: "169.254.170.23", Port: 80, VsockPort: agentPort, Plain: true},
		{Name: "imds", Host: "169.254.169.254", Port: 80, VsockPort: metadataPort, Plain: true},
	}
}

// newRig makes a provider that does not run yet.
func newRig(t *testing.T, identity wire.Identity, routes []wire.Route, role string) *rig {
	t.Helper()
	core, logged := observer.New(zap.DebugLevel)
	r := &rig{cloud: newCloud(t), registry: prometheus.NewRegistry(), logged: logged, identity: identity}
	dialer, err := egress.New(routes, &r.network, egress.Limits{MaxConnections: 64, ConnectTimeout: 10 * time.Second}, r.registry)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return roomy(c), nil
	}
	r.Provider, err = New(Options{
		Ask: r.ask, Dial: dial, Region: region, RoleARN: role, RootCAs: r.roots, Log: zap.New(core), Registry: r.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, line := range logged.All() {
			if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, "hush") {
				t.Errorf("a secret is in the log: %s", text)
			}
		}
	})
	return r
}

func (r *rig) ask(context.Context) (wire.Identity, error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	return r.identity, r.refused
}

// says changes what the parent says.
func (r *rig) says(identity wire.Identity, err error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	r.identity, r.refused = identity, err
}

// start lets the provider run until the test ends.
func (r *rig) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// value is one of the provider's metrics.
func (r *rig) value(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}

func webIdentity(token string) wire.Identity {
	return wire.Identity{Source: wire.WebIdentity, Name: roleARN, Token: token}
}

func podIdentity(token string) wire.Identity {
	return wire.Identity{Source: wire.PodIdentity, Name: agentURL, Token: token}
}

var noIdentity = wire.Identity{Source: wire.NoSource}

func TestSources(t *testing.T) {
	for name, tc := range map[string]struct {
		identity wire.Identity
		requests int // without that for the role
	}{
		"web identity": {webIdentity("canary-hush-1"), 1},
		"pod identity": {podIdentity("canary-hush-1"), 1},
		"instance":     {noIdentity, 3},
	} {
		for _, role := range []string{"", roleARN} {
			t.Run(name+" "+role, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, tc.identity, routes(), role)
					r.start(t)
					c, err := r.Retrieve(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					end := time.Now().Add(time.Hour)
					if c.AccessKeyID != "ASIA1" || c.SecretAccessKey != key("ASIA1") || c.SessionToken != "session-ASIA1" || !c.CanExpire || !c.Expires.Equal(end) {
						t.Errorf("got %+v", c)
					}
					want := tc.requests
					if role != "" {
						want++
					}
					if got := r.requests(); len(got) != want {
						t.Errorf("%d requests, want %d: %q", len(got), want, got)
					}
					if got := r.value(t, "containment_aws_credentials_expiry_timestamp_seconds", ""); got != float64(end.Unix()) {
						t.Errorf("expiry %v, want %v", got, end.Unix())
					}
				})
			})
		}
	}
}

// TestOneTryForAll: many callers without credentials are one request, and after a failure none for a second.
func TestOneTryForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, podIdentity("canary-hush-0"), routes(), "")
		all := func() (failures int) {
			var mu sync.Mutex
			var callers sync.WaitGroup
			for range 100 {
				callers.Go(func() {
					_, err := r.Retrieve(t.Context())
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						failures++
					}
				})
			}
			callers.Wait()
			return failures
		}
		tries := func(want int) {
			t.Helper()
			if got := r.requests(); len(got) != want {
				t.Errorf("%d requests, want %d", len(got), want)
			}
		}
		r.start(t)
		for range 3 {
			if got := all(); got != 100 {
				t.Errorf("%d of 100 callers failed", got)
			}
			tries(1)
		}
		r.says(podIdentity("canary-hush-1"), nil)
		<-time.After(minPause) // and perhaps before the try that comes by itself
		if got := all(); got != 0 {
			t.Errorf("%d of 100 callers failed", got)
		}
		tries(2)
		all()
		tries(2)
	})
}

func TestACallerMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noIdentity, nil, "") // does not run
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "wait for AWS credentials") {
			t.Errorf("got %v", err)
		}
		if err := r.Await(ctx, func(err error) { t.Errorf("told %v", err) }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noIdentity, routes(), roleARN)
		r.says(noIdentity, errors.New("the file is not there yet"))
		r.start(t)
		var told []string
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := r.Await(ctx, func(err error) { told = append(told, err.Error()) })
		if err == nil || !strings.Contains(err.Error(), "the file is not there yet") || len(told) < 3 {
			t.Errorf("got %v after %q", err, told)
		}
		time.AfterFunc(5*time.Second, func() { r.says(podIdentity("canary-hush-1"), nil) })
		if err := r.Await(t.Context(), func(error) {}); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, podIdentity("canary-hush-1"), routes(), "arn:aws:iam::111122223333:role/other")
		r.start(t)
		if err := r.Await(t.Context(), func(err error) { t.Errorf("told %v", err) }); !errors.Is(err, ErrAnotherRole) {
			t.Errorf("got %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	taken := prometheus.NewRegistry()
	for _, o := range []Options{
		{Region: "", Registry: prometheus.NewRegistry()},
		{Region: "evil.example/", Registry: prometheus.NewRegistry()},
		{Region: region, RoleARN: "signer", Registry: prometheus.NewRegistry()},
	} {
		if p, err := New(o); p != nil || err == nil {
			t.Errorf("%+v: %v, %v", o, p, err)
		}
	}
	for i := range 2 {
		if _, err := New(Options{Region: region, Registry: taken}); (err != nil) != (i == 1) {
			t.Errorf("registered %d times before: %v", i, err)
		}
	}
}
