package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/systemd"
)

// serviceManager listens on a datagram socket as systemd does.
type serviceManager struct {
	socket string
	told   *output // a line for each word
}

func newServiceManager(t *testing.T) serviceManager {
	t.Helper()
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	m := serviceManager{filepath.Join(dir, "notify"), newOutput()}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		for b := make([]byte, 4096); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			_, _ = m.told.Write(append(b[:n:n], '\n'))
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		reader.Wait()
		_ = os.RemoveAll(dir)
	})
	return m
}

func (m serviceManager) find(watchdog string) systemd.Manager {
	return systemd.Find(func(name string) string {
		return map[string]string{"NOTIFY_SOCKET": m.socket, "WATCHDOG_USEC": watchdog}[name]
	}, os.Getpid())
}

// words are what was told, without what comes again and again.
func (m serviceManager) words() []string {
	text, _ := m.told.read()
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(w string) bool { return w == systemd.Alive })
}

func TestServiceManagerIsTold(t *testing.T) {
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	t.Setenv("WATCHDOG_USEC", "40000")
	w := newWorld(t, "{name: db, host: 127.0.0.1, port: "+tcpServer(t)+", vsock_port: 8001, plain: true}")
	p := w.start(t)
	m.told.await(t, "READY=1")
	// All listeners are open when it says so; the log, which says the same right before, comes later.
	p.out.await(t, `"event":"started"`)
	text, _ := p.out.read()
	before, _, _ := strings.Cut(text, `"event":"started"`)
	for _, listener := range []string{"ingress/api", "ingress/health", "ingress/metrics", "health", "boot", "logs", "egress/db"} {
		if !strings.Contains(before, `"listener":"`+listener+`"`) {
			t.Errorf("READY=1 came before %s listened", listener)
		}
	}
	m.told.await(t, "WATCHDOG=1")
	m.told.await(t, "STATUS=no enclave has acknowledged its configuration yet")
	session, _ := w.boot(t)
	m.told.await(t, "STATUS=the enclave is there")
	p.out.await(t, `"event":"enclave_came"`)

	w.rewrite(t, strings.NewReplacer("vsock_port: 8001", "vsock_port: 8002"))
	p.out.await(t, `"event":"routes_changed"`, `"opened":["db"]`, `"closed":["db"]`)
	p.out.await(t, `"event":"configuration_loaded"`)
	m.told.await(t, "RELOADING=1")
	w.rewrite(t, strings.NewReplacer("network: hoodi", "network: mainnet"))
	p.out.await(t, `"event":"configuration_loaded"`)
	awaitWords(t, m, 7)

	p.stop()
	p.end(t, 0)
	_ = session.Close()
	m.told.await(t, "STOPPING=1")
	want := []string{
		"READY=1",
		"STATUS=no enclave has acknowledged its configuration yet",
		"STATUS=the enclave is there",
		"RELOADING=1", "READY=1",
		"RELOADING=1", "READY=1",
		"STOPPING=1", "STATUS=stopping",
	}
	if got := m.words(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	text, _ = p.out.read()
	for _, event := range []string{"routes_changed", "enclave_came"} {
		if strings.Count(text, `"event":"`+event+`"`) != 1 {
			t.Errorf("not one %s:\n%s", event, text)
		}
	}
}

// awaitWords waits until n words were told.
func awaitWords(t *testing.T, m serviceManager, n int) {
	t.Helper()
	late := time.After(patience)
	for {
		_, changed := m.told.read()
		if len(m.words()) >= n {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("told %q, want %d", m.words(), n)
		}
	}
}

func TestNotReadyWithoutEveryListener(t *testing.T) {
	m := newServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	w := newWorld(t, "")
	p := w.start(t, "--set", "tee.simulated.socket_dir=/nonexistent/sockets")
	p.end(t, 1)
	if err := m.find("").Tell("the test's own"); err != nil {
		t.Fatal(err)
	}
	m.told.await(t, "the test's own") // datagrams keep their order
	if got := m.words(); !slices.Equal(got, []string{"the test's own"}) {
		t.Errorf("told %q", got)
	}
}

// TestLockedUpParentDoesNotBeat: the supervisor's lock is never given back, before the end or in it.
func TestLockedUpParentDoesNotBeat(t *testing.T) {
	for _, stopping := range []bool{false, true} {
		m := newServiceManager(t)
		var lock sync.Mutex
		hangs := make(chan struct{}, 1)
		p := pulse{log: zap.NewNop(), manager: m.find("20000"), healthy: func() error {
			if !lock.TryLock() {
				hangs <- struct{}{}
				lock.Lock()
			}
			defer lock.Unlock()
			return nil
		}}
		ctx, stop := context.WithCancel(t.Context())
		if stopping {
			stop()
		}
		ended := make(chan struct{})
		var running sync.WaitGroup
		running.Go(func() { p.run(ctx, ended) })
		m.told.await(t, "WATCHDOG=1")

		lock.Lock()
		select {
		case <-hangs:
		case <-time.After(patience):
			t.Fatal("a beat does not take the lock")
		}
		before, _ := m.told.read()
		<-time.After(200 * time.Millisecond) // of twenty beats none comes
		after, _ := m.told.read()
		if n := strings.Count(after, "WATCHDOG=1") - strings.Count(before, "WATCHDOG=1"); n > 0 {
			t.Errorf("%d beats of a parent that is locked up", n)
		}
		lock.Unlock()
		close(ended)
		running.Wait()
		stop()
	}
}

// TestNoSignOfLifeNoBeat: what is asked does not answer any more. A parent that stops is not asked.
func TestNoSignOfLifeNoBeat(t *testing.T) {
	m := newServiceManager(t)
	core, logged := observer.New(zap.WarnLevel)
	var hangs atomic.Bool
	asked := make(chan struct{})
	p := pulse{log: zap.New(core), manager: m.find("20000"), healthy: func() error { return nil }, alive: func(ctx context.Context) error {
		if !hangs.Load() {
			return nil
		}
		select {
		case asked <- struct{}{}:
		case <-ctx.Done():
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { p.run(ctx, ended) })
	m.told.await(t, systemd.Alive)
	hangs.Store(true)
	<-asked
	beats := func(mark string) int {
		t.Helper()
		if err := m.find("").Tell(mark); err != nil {
			t.Fatal(err)
		}
		m.told.await(t, mark) // datagrams keep their order
		text, _ := m.told.read()
		return strings.Count(text, systemd.Alive)
	}
	before := beats("first")
	for range 10 {
		<-asked
	}
	if after := beats("second"); after != before {
		t.Errorf("%d beats without an answer", after-before)
	}
	if n := logged.FilterMessageSnippet("no sign of life").Len(); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	stop()
	m.told.await(t, systemd.Stopping)
	awaitMore(t, m, before)
	close(ended)
	running.Wait()
}

// awaitMore waits for a beat after the first n.
func awaitMore(t *testing.T, m serviceManager, n int) {
	t.Helper()
	late := time.After(patience)
	for {
		text, changed := m.told.read()
		if strings.Count(text, systemd.Alive) > n {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no beat after:\n%s", text)
		}
	}
}

func TestStatusNamesWhatFails(t *testing.T) {
	m := newServiceManager(t)
	p := pulse{
		log: zap.NewNop(), manager: m.find(""),
		healthy: func() error { return errors.Join(errors.New("task a: broken"), errors.New("task b: broken")) },
		enclave: func() error { return errors.New("no heartbeat") },
	}
	p.look()
	m.told.await(t, "STATUS=no heartbeat; task a: broken; task b: broken")
}

func TestManagerThatIsGoneIsToldOfOnce(t *testing.T) {
	w := newWorld(t, "")
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	t.Setenv("WATCHDOG_USEC", "20000")
	p := w.start(t)
	p.out.await(t, "the service manager was not told", "no such file or directory")
	awaitMetric(t, p.address(t, "health"), `containment_parent_task_state{task="boot"} 2`)
	p.stop()
	p.end(t, 0)
	if text, _ := p.out.read(); strings.Count(text, "was not told") != 1 {
		t.Errorf("not told once:\n%s", text)
	}
}
