package storm

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// TestRace has two processes race for pairs of conflicting votes, as two signers would that share a store. Each pair has exactly
// one winner.
func TestRace(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, p place) {
		n := *pairs
		if p.name == "dynamodb" {
			n = max(300, n/50)
		}
		config := newSigner(t, 1, p.section()).write()
		racers := []*racer{startRacer(t, config), startRacer(t, config)}
		var total standings
		for first := 0; first < n; first += callers {
			for side, r := range racers {
				if err := r.laps.Encode(lap{First: first, Pairs: min(callers, n-first), Side: side}); err != nil {
					t.Fatal(err)
				}
			}
			var finishes [2][]finish
			for side, r := range racers {
				if err := r.results.Decode(&finishes[side]); err != nil {
					t.Fatalf("racer %d: %v", side, err)
				}
			}
			for i := range finishes[0] {
				total.add(t, first+i, finishes[0][i], finishes[1][i])
			}
		}
		for _, r := range racers {
			r.stop(t)
		}
		t.Logf("%d pairs: %d permits, %d pairs with more or less than one winner; %d won by the first process and %d by the second, %d asked for at the same time, %d asked for again",
			n, total.won[0]+total.won[1], total.conflicts, total.won[0], total.won[1], total.overlapping, total.again)
		if total.overlapping == 0 {
			t.Error("no two votes were asked for at the same time: this is no race")
		}
	})
}

// standings are the results so far.
type standings struct {
	won                           [2]int
	conflicts, overlapping, again int
}

func (s *standings) add(t *testing.T, pair int, one, other finish) {
	t.Helper()
	winners := slices.Concat(one.Won, other.Won)
	if len(winners) != 1 {
		if s.conflicts++; s.conflicts <= shown {
			t.Errorf("pair %d: the winners are %v, want one", pair, winners)
		}
	}
	for _, side := range winners {
		s.won[side%2]++
	}
	if one.Began < other.Ended && other.Began < one.Ended {
		s.overlapping++
	}
	s.again += one.Again + other.Again
}

// racer is this program once more, as another process.
type racer struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	laps    *gob.Encoder
	results *gob.Decoder
	stderr  strings.Builder
}

// startRacer returns when the racer has opened its store.
func startRacer(t *testing.T, config string) *racer {
	t.Helper()
	r, err := newRacer(t, config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newRacer(t *testing.T, config string) (*racer, error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &racer{cmd: exec.CommandContext(t.Context(), program)}
	r.cmd.Env = append(os.Environ(), racerConfig+"="+config)
	r.cmd.Stderr = &r.stderr
	stdin, inErr := r.cmd.StdinPipe()
	stdout, outErr := r.cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, r.cmd.Start()); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	})
	r.stdin, r.laps, r.results = stdin, gob.NewEncoder(stdin), gob.NewDecoder(stdout)
	var ready string
	if err := r.results.Decode(&ready); err != nil {
		return nil, fmt.Errorf("start a racer: %w", errors.Join(r.cmd.Wait(), errors.New(r.stderr.String())))
	}
	return r, nil
}

func (r *racer) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(r.stdin.Close(), r.cmd.Wait()); err != nil {
		t.Errorf("%v: %s", err, &r.stderr)
	}
}

// TestSecondUser: a file that a process uses is refused to a second pool in that process, and to every other process.
func TestSecondUser(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	config := newSigner(t, 1, p.section()).write()
	store, err := sqlite.Open(t.Context(), p.file)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := sqlite.Open(t.Context(), p.file); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("a second pool: %v, %v", second, err)
	}
	if r, err := newRacer(t, config); err == nil || !strings.Contains(err.Error(), sqlite.ErrInUse.Error()) {
		t.Errorf("a second process: %v, %v", r, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	startRacer(t, config).stop(t)
}
