package intake

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stopped is an intake whose keystores do not open before they are let, and then turn out not to be any.
type stopped struct {
	*Intake
	begun, atWork int
	mu            sync.Mutex
	let           chan struct{}
}

func newStopped() *stopped {
	s := &stopped{Intake: New(nil, filesystem.NewKDFMemory(100, 1<<30)), let: make(chan struct{})}
	open := s.decrypt
	s.decrypt = func(ctx context.Context, text, password []byte) (*bls.SecretKey, error) {
		s.count(1, 1)
		<-s.let
		s.count(0, -1)
		return open(ctx, text, password)
	}
	return s
}

func (s *stopped) count(begun, atWork int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.atWork = s.begun+begun, s.atWork+atWork
}

// begin opens n keystores, and returns where their results will be when all have one.
func (s *stopped) begin(ctx context.Context, n int) <-chan []error {
	done := make(chan []error, 1)
	go func() {
		_, faults := s.open(ctx, make([][]byte, n), make([][]byte, n))
		done <- faults
	}()
	return done
}

// TestImportLeavesCPUs: whoever imports, and in however many requests, half of the CPUs stay with those who sign.
func TestImportLeavesCPUs(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for cpus, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 8: 4} {
		runtime.GOMAXPROCS(cpus)
		synctest.Test(t, func(t *testing.T) {
			s := newStopped()
			var imports []<-chan []error
			for range 4 {
				imports = append(imports, s.begin(t.Context(), 10))
			}
			for range 40 {
				synctest.Wait()
				if s.atWork < 1 || s.atWork > want {
					t.Errorf("%d CPUs: %d keystores are opened at once, want %d", cpus, s.atWork, want)
				}
				if s.begun == want && s.atWork != want {
					t.Errorf("%d CPUs: %d keystores are opened at once at first, want %d", cpus, s.atWork, want)
				}
				s.let <- struct{}{}
			}
			for _, done := range imports {
				if results := <-done; len(results) != 10 {
					t.Errorf("%d CPUs: %d results of 10", cpus, len(results))
				}
			}
		})
	}
}

// TestImportStopsWaiting: who is gone before its turn gets no keystore opened, and each of them has its result.
func TestImportStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStopped()
		first := s.begin(t.Context(), 1)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		second := s.begin(ctx, 2)
		synctest.Wait()
		cancel()
		if results := <-second; len(results) != 2 || !errors.Is(results[0], context.Canceled) || !errors.Is(results[1], context.Canceled) {
			t.Errorf("%v", results)
		}
		close(s.let)
		<-first
		<-s.begin(t.Context(), 1)
		if s.begun != 2 {
			t.Errorf("%d keystores were opened, want 2", s.begun)
		}
	})
}
