package postgres_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// callers is how many ask at once.
const callers = 64

// BenchmarkGuard records votes of 64 callers through a guard, and compares with single-row updates, each committed alone, by as
// many connections to the same server: votes/s, the ratio of the two, and round trips for each vote.
func BenchmarkGuard(b *testing.B) {
	database := fmt.Sprintf("db%d", shared.dbs.Add(1))
	if err := shared.admin("postgres", "CREATE DATABASE "+database+" OWNER signer"); err != nil {
		b.Fatal(err)
	}
	guard := slashing.NewGuard(open(b, plain(address(), database)), 10*time.Second)
	var writes atomic.Int64
	guard.OnWrite(func(int, time.Duration, error) { writes.Add(1) })
	var grouped, single, votes float64
	for target := uint64(1); b.Loop(); target += 20 {
		var requests [callers][20]*eth2.AttestationRequest
		for caller := range requests {
			for i := range requests[caller] {
				requests[caller][i] = attestation(target+uint64(i), caller)
			}
		}
		began := time.Now()
		eachCaller(func(caller int) {
			key := bls.PublicKey{1}
			binary.BigEndian.PutUint32(key[1:], uint32(caller))
			for _, request := range requests[caller] {
				if _, err := guard.Permit(b.Context(), key, request); err != nil {
					b.Error(err)
				}
			}
		})
		grouped += time.Since(began).Seconds()
		votes += 20 * callers
		single += updates(b, database, 20)
	}
	b.ReportMetric(votes/grouped, "votes/s")
	b.ReportMetric(votes/single, "updates/s")
	b.ReportMetric(single/grouped, "ratio")
	b.ReportMetric(float64(writes.Load())/votes, "writes/vote")
}

func eachCaller(f func(caller int)) {
	var asking sync.WaitGroup
	for caller := range callers {
		asking.Go(func() { f(caller) })
	}
	asking.Wait()
}

// updates is how many seconds n updates of each caller take.
func updates(b *testing.B, database string, n int) float64 {
	b.Helper()
	conns := make([]*pgx.Conn, callers)
	for i := range conns {
		var err error
		if conns[i], err = shared.connect(b.Context(), database); err != nil {
			b.Fatal(err)
		}
	}
	began := time.Now()
	eachCaller(func(caller int) {
		key := bls.PublicKey{1}
		binary.BigEndian.PutUint32(key[1:], uint32(caller))
		for range n {
			if _, err := conns[caller].Exec(b.Context(), "UPDATE attestations SET target = target WHERE key = $1 AND target > 0", key[:]); err != nil {
				b.Error(err)
			}
		}
	})
	took := time.Since(began).Seconds()
	for _, c := range conns {
		_ = c.Close(b.Context())
	}
	return took
}
