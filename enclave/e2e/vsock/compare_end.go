package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

func refusing(ctx context.Context, p proxied) (answer, error) {
	free, err := listenTCP(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	r := to(free)
	if err := free.Close(); err != nil {
		return answer{}, err
	}
	return p.with(ctx, r, func(process *rig.Process) (answer, error) {
		const tries = 12
		closed := 0
		for range tries {
			c, err := enter(ctx)
			if err != nil {
				break
			}
			if err := back(c); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				closed++
			}
			_ = c.Close()
		}
		seen := fmt.Sprintf("%d of %d closed", closed, tries) + panics(process)
		target, err := echoing(ctx, free.Addr().String())
		if err != nil {
			return answer{}, err
		}
		defer func() { _ = target.Close() }()
		c, err := served(ctx)
		if err != nil {
			return answer{seen: seen + fmt.Sprintf(", the next not served (%v)", err) + ending(process)}, nil
		}
		_ = c.Close()
		return answer{seen: seen + ", the next served", well: closed == tries}, nil
	})
}

// panics counts the threads that a Rust program lost.
func panics(p *rig.Process) string {
	n := 0
	for _, line := range p.Lines() {
		if hasLine([]string{line}, []string{"panicked at"}) {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d worker threads panicked)", n)
}

// terminated has a server answer only after the proxy was asked to end.
func terminated(ctx context.Context, p proxied) (answer, error) {
	target, err := listenTCP(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	reply := random(1 << 20)
	return p.with(ctx, to(target), func(process *rig.Process) (answer, error) {
		served := accepting(target, func(server *net.TCPConn) error {
			if err := back(server); err != nil {
				return err
			}
			if err := syscall.Kill(process.PID(), syscall.SIGTERM); err != nil {
				return err
			}
			select {
			case <-process.Done():
			case <-time.After(2 * time.Second):
			}
			_, err := server.Write(reply)
			return err
		})
		c, err := enter(ctx)
		if err != nil {
			return answer{}, err
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Write([]byte{7}); err != nil {
			return answer{}, err
		}
		hearing := hear(c, reply)
		serving := <-served
		_ = c.Close()
		select { // a second signal would not wait for the drain
		case <-process.Done():
		case <-time.After(patience):
		}
		how := ended(process)
		if hearing != nil {
			return answer{seen: fmt.Sprintf("lost: client: %v; server: %s", hearing, told(serving)) + how}, nil
		}
		return answer{seen: "the whole answer arrived" + how, well: serving == nil && process.Terminate() == nil}, nil
	})
}

// stranger tells the proxy that the enclave has another context identifier than the client, if it can be told.
func stranger(ctx context.Context, p proxied) (answer, error) {
	target, err := echoing(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	r := to(target)
	r.cid = 16
	return p.with(ctx, r, func(*rig.Process) (answer, error) {
		c, err := served(ctx)
		if err != nil {
			return answer{seen: "refused", well: !errors.Is(err, os.ErrDeadlineExceeded)}, nil
		}
		return answer{seen: "served: it has no such setting"}, c.Close()
	})
}
