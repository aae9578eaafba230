package main

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
)

// fullPort is one of 127.0.0.9 that does not answer: a listener whose queue is full, so that the kernel drops what else comes.
func fullPort(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 9}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(name.(*syscall.SockaddrInet4).Port)
	for range 8 {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.9", port), 200*time.Millisecond)
		if err != nil {
			return port
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the queue never fills")
	return ""
}

func TestCheckOfHostsThatDoNotAnswer(t *testing.T) {
	w := newWorld(t, route("late", "late.example", fullPort(t), "8001", false)+", "+route("nameless", "nameless.example", "443", "8002", false))
	cfg, err := config.Load(w.config, nil, []string{"parent.egress.connect_timeout_seconds=1"})
	if err != nil {
		t.Fatal(err)
	}
	lookup := func(ctx context.Context, host string) (resolve.Answer, error) {
		if host == "late.example" {
			return resolve.Answer{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.9")}}, nil
		}
		<-ctx.Done() // a name server that is silent
		return resolve.Answer{}, ctx.Err()
	}
	for i, f := range check(t.Context(), cfg, lookup)[:2] {
		if want := []string{"late", "nameless"}[i]; f.Name != want || f.Result != "timeout" || f.Detail == "" {
			t.Errorf("finding %+v, want a timeout of %s", f, want)
		}
	}
}
