package app

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHouseStopsBackwards(t *testing.T) {
	_, fail := context.WithCancelCause(t.Context())
	h := newHouse(t.Context(), zap.NewNop(), fail)
	var order []string
	for _, name := range []string{"first", "second"} {
		h.start(name, func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, name)
			return nil
		})
	}
	h.onStop("third", func() error { order = append(order, "third"); return nil })
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"third", "second", "first"}, order); diff != "" {
		t.Errorf("order of stopping (-want +got):\n%s", diff)
	}
}

func TestHouseTellsWhatWentWrong(t *testing.T) {
	ctx, fail := context.WithCancelCause(t.Context())
	h := newHouse(t.Context(), zap.NewNop(), fail)
	h.onStop("store", func() error { return errors.New("disk gone") })
	h.start("quiet", func(context.Context) error { return nil })
	<-ctx.Done()
	if got := context.Cause(ctx).Error(); got != "quiet: ended by itself" {
		t.Errorf("cause %q", got)
	}
	h.start("loud", func(ctx context.Context) error {
		<-ctx.Done()
		return errors.New("could not drain")
	})
	err := h.stop()
	for _, want := range []string{"stop store: disk gone", "stop loud: could not drain"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

// TestTheCallersEndDoesNotCutARoom: only the house ends its rooms, in its order.
func TestTheCallersEndDoesNotCutARoom(t *testing.T) {
	caller, cancel := context.WithCancel(t.Context())
	_, fail := context.WithCancelCause(t.Context())
	h := newHouse(caller, zap.NewNop(), fail)
	cut := make(chan struct{})
	h.start("room", func(ctx context.Context) error {
		<-ctx.Done()
		close(cut)
		return nil
	})
	cancel()
	select {
	case <-cut:
		t.Error("the room ended with its caller")
	default:
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
}

func TestARoomCanBeStoppedBeforeItsTurn(t *testing.T) {
	_, fail := context.WithCancelCause(t.Context())
	h := newHouse(t.Context(), zap.NewNop(), fail)
	stopped := 0
	stop := h.start("listener", func(ctx context.Context) error {
		<-ctx.Done()
		stopped++
		return nil
	})
	h.onStop("keys", func() error {
		if stopped != 1 {
			t.Error("keys went before the listener")
		}
		return nil
	})
	h.onStop("listener", stop)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestARoomThatComesTooLateIsEnded: a stage that the start gave up on may bring one while the house stops, and after it.
func TestARoomThatComesTooLateIsEnded(t *testing.T) {
	_, fail := context.WithCancelCause(t.Context())
	h := newHouse(t.Context(), zap.NewNop(), fail)
	stopping, late := make(chan struct{}), make(chan struct{})
	var closed, ran atomic.Int32
	h.onStop("first", func() error { close(stopping); <-late; return nil })
	var stage sync.WaitGroup
	stage.Go(func() {
		<-stopping
		h.onStop("store", func() error { closed.Add(1); return nil })
		h.start("device", func(ctx context.Context) error { <-ctx.Done(); ran.Add(1); return nil })
		close(late)
	})
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	stage.Wait()
	if closed.Load() != 1 || ran.Load() != 1 {
		t.Errorf("while stopping: %d closed, %d ended, want both", closed.Load(), ran.Load())
	}
	h.onStop("store", func() error { closed.Add(1); return nil })
	stop := h.start("device", func(ctx context.Context) error { <-ctx.Done(); ran.Add(1); return nil })
	if err := stop(); err != nil || closed.Load() != 2 || ran.Load() != 2 {
		t.Errorf("after the end: %v, %d closed, %d ended, want both", err, closed.Load(), ran.Load())
	}
}

// TestARoomThatDoesNotEndIsLeft: a store that hangs must not keep the process, or the logs, from ending.
func TestARoomThatDoesNotEndIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, fail := context.WithCancelCause(t.Context())
		h := newHouse(t.Context(), zap.NewNop(), fail)
		stopped := false
		h.onStop("keys", func() error { stopped = true; return nil })
		hang := make(chan struct{})
		h.start("store", func(context.Context) error { <-hang; return nil })
		err := h.stop()
		if !errors.Is(err, errLeft) || !strings.Contains(err.Error(), "stop store: it does not end; left behind after 30s") {
			t.Errorf("error %v", err)
		}
		if !stopped {
			t.Error("the rooms behind it were not stopped")
		}
		close(hang) // so that the bubble can end
	})
}
