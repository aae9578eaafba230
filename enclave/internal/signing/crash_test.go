package signing

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// crashEnv makes this test binary the child of the crash test: it names the database and the lowest epoch.
const crashEnv = "SIGNING_TEST_CRASH_CHILD"

func TestMain(m *testing.M) {
	if arg := os.Getenv(crashEnv); arg != "" {
		panic(crashChild(arg)) // it ends by being killed
	}
	goleak.VerifyTestMain(m)
}

// crashChild signs until it is killed, one by one and in batches. Its votes are random and close together, so that most conflict
// with another. It prints each signature the moment it has it, and the size of each group before it is written.
func crashChild(arg string) error {
	var lowest uint64
	var path string
	if _, err := fmt.Sscanf(arg, "%d %s", &lowest, &path); err != nil {
		return err
	}
	store, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	h, err := newHouse(&storetest.Liar{Store: store, Before: func(_ context.Context, claims []slashing.Claim) error {
		_, err := fmt.Fprintln(os.Stdout, groupMark, len(claims))
		return err
	}}, 0, 0)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for round := lowest; ; round++ {
				source, target, variant := round/4+rand.Uint64N(3), round/4+2+rand.Uint64N(4), byte(rand.IntN(2))
				keys := h.all[:1]
				if worker%2 == 0 {
					keys = h.all[rand.IntN(4) : 4+rand.IntN(5)]
				}
				signatures, refusals, err := h.SignAll(context.Background(), grants(eth2.Attestation, keys...), vote(source, target, variant))
				if err != nil {
					panic(err)
				}
				for i, sig := range signatures {
					if refusals[i] == nil {
						fmt.Fprintf(os.Stdout, "%s %d %d %d %x\n", keys[i], source, target, variant, sig[:])
					}
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// groupMark begins the child's lines that are no signatures.
const groupMark = "group"

// TestCrash kills a signing process again and again. Each of the signatures that came out must be on record, and no two may
// conflict.
func TestCrash(t *testing.T) {
	const crashes = 12
	path := filepath.Join(t.TempDir(), "slashing.sqlite")
	signed := storetest.NewHistory()
	var next uint64
	shared := 0
	for range crashes {
		lines, groups := crash(t, path, next, 5+rand.IntN(60))
		last := make(map[bls.PublicKey]slashing.Attestation)
		for _, line := range lines {
			key, vote := checkLine(t, line)
			if err := signed.Add(key, vote); err != nil {
				t.Fatal(err)
			}
			if vote.Target >= last[key].Target {
				last[key] = vote
			}
			next = max(next, 4*(vote.Target-2)) // the next child begins where this one was
		}
		checkRecorded(t, path, last)
		for _, size := range groups {
			if size > 1 {
				shared++
			}
		}
	}
	if signed.Signed() < crashes*5 || shared < crashes {
		t.Errorf("only %d signatures, and %d groups of several votes", signed.Signed(), shared)
	}
	t.Logf("%d crashes, %d signatures, %d groups of several votes, no conflict", crashes, signed.Signed(), shared)
}

// checkRecorded asks the file that a crash left for the last vote of each key.
func checkRecorded(t *testing.T, path string, last map[bls.PublicKey]slashing.Attestation) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	for key, vote := range last {
		outcomes, err := store.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: slashing.Attestation{Source: 1}}}) // never recorded
		if err != nil {
			t.Fatal(err)
		}
		recorded, ok := outcomes[0].Standing.(slashing.Attestation)
		if !ok || recorded != vote && (recorded.Target <= vote.Target || recorded.Source < vote.Source) {
			t.Errorf("%s has signed %+v, on record is %+v", key.Short(), vote, outcomes[0])
		}
	}
}

// crash starts a child, kills it when it has printed some signatures, and returns all that came out, and the sizes of the groups.
func crash(t *testing.T, path string, lowest uint64, lines int) (out []string, groups []int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe)
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", crashEnv, lowest, path))
	child.Stderr = os.Stderr
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() {
		var size int
		if n, _ := fmt.Sscanf(scanner.Text(), groupMark+" %d", &size); n == 1 {
			groups = append(groups, size)
			continue
		}
		out = append(out, scanner.Text())
		if len(out) == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 || len(out) < lines {
		t.Fatalf("the child ended by itself after %d of %d lines: %v", len(out), lines, err)
	}
	return out, groups
}

// checkLine reads a line of the child and verifies its signature.
func checkLine(t *testing.T, line string) (bls.PublicKey, slashing.Attestation) {
	t.Helper()
	var source, target uint64
	var variant byte
	var name, digits string
	if _, err := fmt.Sscanf(line, "%s %d %d %d %s", &name, &source, &target, &variant, &digits); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	key, err := bls.ParsePublicKey(name)
	if err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(bls.Signature{}) {
		t.Fatalf("line %q: %v", line, err)
	}
	root := vote(source, target, variant).SigningRoot()
	if !bls.Verify(key, root, bls.Signature(b)) {
		t.Errorf("line %q: the signature does not verify", line)
	}
	return key, slashing.Attestation{Source: source, Target: target, Root: root}
}

// TestRace: of 64 conflicting requests for one key at one time, exactly one is signed.
func TestRace(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "slashing.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	const callers = 64
	h := open(t, store, callers, 0)
	for round := range uint64(3) {
		var winners atomic.Int32
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range byte(callers) {
			wg.Go(func() {
				<-start
				var req eth2.Request = vote(round, round+1, i)
				if round == 2 {
					req = proposal(9, i)
				}
				if _, err := h.Sign(t.Context(), grant(h.key, req.Kind()), req); err == nil {
					winners.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		if n := winners.Load(); n != 1 {
			t.Errorf("round %d: %d of %d conflicting requests signed, want exactly 1", round, n, callers)
		}
	}
}
