package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// replica is a site whose database fails over to an asynchronous standby, which lacks votes.
type replica struct {
	*site

	primary, standby *postgrestest.Server
	name             *address           // which leads to the database
	lost, others     []duty             // what the standby lacks, and what contradicts that
	before           []duty             // what it has
	surviving        string             // URL of a signer that signed all of it
	signed           *storetest.History // by the signers of this site
}

// testPromotedReplica: a standby that lacks the last 1,000 votes is promoted. A signer that knows nothing of them contradicts
// each, one that signed them none, and none is contradicted once docs/backup-restore.md was followed.
func testPromotedReplica(t *testing.T, p *page) {
	r := &replica{site: newSite(t, 20), primary: newDatabaseServer(t), signed: storetest.NewHistory()}
	r.standby, r.name = newStandby(t, r.primary), newAddress(t, r.primary.Address())
	r.surviving = r.configure(t, "config.yaml", database(r.primary, r.name.port, "slashing"))
	survivor := r.signer(t, "config.yaml", r.surviving)
	operator := prompt{page: p, dir: r.dir, env: []string{"SIGNER=" + r.surviving}}
	operator.run(t, step{"What to back up", "curl"})

	r.signs(t)
	r.configure(t, "standby.yaml", database(r.standby, r.standby.Port(), "slashing"))
	early := start(t, "containment-chamber", "server", "-c", filepath.Join(r.dir, "standby.yaml"))
	if code := early.wait(); code != 1 || !strings.Contains(early.text(), "it is a standby or still recovering") {
		t.Errorf("a signer on a standby: exit code %d, %s", code, early.text())
	}
	r.failsOver(t)

	t.Run("a signer that survives", func(t *testing.T) {
		awaitHealth(t, r.surviving, http.StatusOK)
		ask(t, r.surviving, r.signed, r.others).check(t, "alternatives of what it signed", http.StatusPreconditionFailed, len(r.others), 0)
	})
	t.Run("without the procedure", r.withoutProcedure)
	survivor.terminate()
	t.Run("with the procedure", func(t *testing.T) { r.withProcedure(t, operator) })
}

// signs has votes recorded that the standby gets, and 1,000 that it does not.
func (r *replica) signs(t *testing.T) {
	t.Helper()
	const epochs = 25 // with 20 keys, a vote and a block of each
	first := r.now + 2 - epochs
	r.before = duties(t, r.keys[1:], first-2, 2, 1) // the first key has signed nothing when the standby falls behind
	ask(t, r.surviving, r.signed, r.before).check(t, "replicated votes", http.StatusOK, len(r.before), 0)
	if err := r.primary.AwaitStandby(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.standby.StopReceiving(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Up to the highest that a signer signs: an epoch ahead of the clock.
	r.lost, r.others = duties(t, r.keys, first, epochs, 1), duties(t, r.keys, first, epochs, 2)
	ask(t, r.surviving, r.signed, r.lost).check(t, "votes that the standby lacks", http.StatusOK, 1000, 0)
}

// failsOver loses the primary and promotes the standby, where the database recovered is a copy for a test of its own.
func (r *replica) failsOver(t *testing.T) {
	t.Helper()
	if err := r.primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.standby.Exec(t.Context(), "postgres", "CREATE DATABASE recovered TEMPLATE slashing OWNER "+postgrestest.Role); err != nil {
		t.Fatal(err)
	}
	r.name.move(r.standby.Address())
}

// withoutProcedure: a signer that starts on the promoted standby signs whatever the lost votes forbid. That is what the procedure is
// for, and shows that its test can fail. The signer that survived sees that votes are gone, and stops.
func (r *replica) withoutProcedure(t *testing.T) {
	history := storetest.NewHistory()
	for _, d := range append(r.before, r.lost...) {
		if err := history.Add(d.key, d.vote); err != nil {
			t.Fatal(err)
		}
	}
	url := r.configure(t, "careless.yaml", database(r.standby, r.standby.Port(), "slashing"))
	careless := r.signer(t, "careless.yaml", url)
	ask(t, url, history, r.others).check(t, "alternatives of the lost votes", http.StatusOK, len(r.others), len(r.others))
	careless.terminate()

	last := r.lost[len(r.lost)-1:]
	o := ask(t, r.surviving, r.signed, last)
	o.check(t, "the last vote again", http.StatusServiceUnavailable, 1, 0)
	if !strings.Contains(o.example, "has lost votes that were recorded") {
		t.Errorf("the last vote again: %s", o.example)
	}
	if health := awaitHealth(t, r.surviving, http.StatusServiceUnavailable); !strings.Contains(health, "has lost votes") {
		t.Errorf("/healthcheck does not say why: %s", health)
	}
	all := duties(t, r.keys, r.now+1, 1, 1) // which it has signed itself
	ask(t, r.surviving, r.signed, all).check(t, "any vote", http.StatusServiceUnavailable, len(all), 0)
}

func (r *replica) withProcedure(t *testing.T, operator prompt) {
	store := database(r.standby, r.name.port, "recovered")
	r.configure(t, "config.yaml", store)
	epoch := r.recovers(t, operator)
	url := r.configure(t, "config.yaml", store+far)
	r.signer(t, "config.yaml", url)
	ask(t, url, r.signed, r.others).check(t, "alternatives of the lost votes", http.StatusPreconditionFailed, len(r.others), 0)
	var around []duty
	for _, key := range r.keys {
		around = append(around, attests(t, key, r.lost[0].vote.(slashing.Attestation).Source-1, epoch+1, 2))
	}
	ask(t, url, r.signed, around).check(t, "votes that surround the lost ones", http.StatusPreconditionFailed, len(around), 0)
	next := duties(t, r.keys, epoch+1, 1, 2)
	ask(t, url, r.signed, next).check(t, "duties of the next epoch", http.StatusOK, len(next), 0)
}
