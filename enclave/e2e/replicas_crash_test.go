package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
)

// crashSite is a site of one replica, which is killed while one of its calls is held. It is the only one, so that nothing but what an operator
// asks for makes calls.
type crashSite struct {
	*chamberSite

	gate  *gate
	fresh func(t *testing.T) chamberStores // empty ones
	least int                              // calls that init makes
}

// newCrashSite has a process killed at the calls of KMS, or at the writes of a store. To be killed at a read is to be killed after the write
// before it.
func newCrashSite(t *testing.T, servers *chamberServers, backend string) *crashSite {
	t.Helper()
	x := &crashSite{gate: &gate{counts: writes}}
	through := func(h http.Handler) http.Handler { return h }
	switch backend {
	case "kms":
		through, x.gate.counts = x.gate.http, regexp.MustCompile("")
		x.least = 2 * len(shareKeys) // each is asked to seal a share, and to open it
		x.fresh = func(t *testing.T) chamberStores {
			t.Helper()
			return chamberStores{"backend: sqlite, path: " + filepath.Join(t.TempDir(), "state.sqlite"), keyRows, newRecord(t)}
		}
	case "postgres":
		address := startStatements(t, x.gate, servers.database.Address())
		x.least = 2 // insert, commit
		x.fresh = func(t *testing.T) chamberStores {
			t.Helper()
			return chamberStores{fmt.Sprintf("backend: postgres, url: %q", servers.database.PlainURL(address, servers.newDatabase(t))), keyRows, newRecord(t)}
		}
	case "dynamodb":
		to, err := url.Parse(servers.tables.Endpoint())
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(to)
		transport := &http.Transport{}
		proxy.Transport = transport
		web := httptest.NewServer(x.gate.http(proxy))
		t.Cleanup(func() { web.Close(); transport.CloseIdleConnections() })
		x.least = 1
		x.fresh = func(t *testing.T) chamberStores {
			t.Helper()
			state, keys := servers.newTables(t, web.URL)
			return chamberStores{state, keys, newRecord(t)}
		}
	}
	x.chamberSite = newChamberSite(t, through)
	x.stores = x.fresh(t)
	return x
}

// newRecord is slashing protection in a file, which is never held.
func newRecord(t *testing.T) string {
	t.Helper()
	return "backend: sqlite, sqlite: {path: " + filepath.Join(t.TempDir(), "slashing.sqlite") + "}"
}

// point is where a process is killed.
type point struct {
	n     int  // call, from 1
	after bool // it was made, and not answered
	what  string
}

// writes are calls that change something. To be killed after one is another thing than to be killed before the next: the operator has no answer
// yet.
var writes = regexp.MustCompile(`(?i)^(insert|update|delete|commit|DynamoDB_\d+\.(Put|Update|Delete|Batch|Transact)\w*Items?$)`)

// next is the point after this one.
func (p point) next() point {
	if !p.after && writes.MatchString(p.what) {
		return point{n: p.n, after: true}
	}
	return point{n: p.n + 1}
}

func (p point) String() string {
	if p.after {
		return "after " + p.what
	}
	return "before " + p.what
}

// crashes gives an operator's order to a replica, and kills its process at a point. It returns false, and the answer, if the order does not come
// as far.
func (x *crashSite) crashes(t *testing.T, r *chamberSigner, p *point, args ...string) (bool, answered) {
	t.Helper()
	held := x.gate.arm(p.n, p.after)
	o := x.begin(t, r, args...)
	select {
	case p.what = <-held:
	case done := <-o.done:
		x.gate.release()
		done.does(t, nil)
		return false, done
	case <-time.After(time.Minute):
		x.gate.release()
		t.Fatalf("operator %v: neither held at call %d nor answered within a minute", args, p.n)
	}
	r.kill(t)
	x.gate.release()
	said := o.wait(t)
	said.refused(t, "no answer of the signer")
	return true, said
}

// settled says whether a replica has done what it does by itself.
func settled(keys int) func(operator.Status) bool {
	return func(s operator.Status) bool { return s.Seal.Status == chamberUninitialized || usable(keys)(s) }
}

// TestKilled ends a signer, by SIGKILL, at every call that an operator's order makes to KMS and to the store of the signer state. The next one
// finds it done or not done, and never something between.
func TestKilled(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	servers := startChamberServers(t)
	for _, backend := range []string{"kms", "postgres", "dynamodb"} {
		for what, test := range map[string]func(*testing.T, *crashSite){"init": testKilledInit, "rotate kms": testKilledRotateKMS, "rotate master-key": testKilledRotateMaster} {
			t.Run(backend+" "+what, func(t *testing.T) {
				t.Parallel()
				test(t, newCrashSite(t, servers, backend))
			})
		}
	}
}
