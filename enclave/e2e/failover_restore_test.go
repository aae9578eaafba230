package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// TestBackupAndRestore follows docs/backup-restore.md, every command of it.
func TestBackupAndRestore(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	p, ran := readPage(t, "backup-restore.md"), 0
	tests := map[string]func(*testing.T, *page){
		"promoted replica": testPromotedReplica, "restored dump": testRestoredDump, "restored file": testRestoredFile,
		"move on purpose": testMoveOnPurpose,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ran++
			test(t, p)
		})
	}
	if ran == len(tests) {
		p.checkAllRan(t)
	}
}

// far has a signer sign for epochs that a store was raised to, and those after them, before the clock is there.
const far = ", max_future_epochs: 5"

// restoration loses what was signed after a backup.
type restoration struct {
	*site

	store           string // as config.yaml has it
	operator        prompt
	url             string // of the signer
	backup, restore func(t *testing.T)
}

func testRestoredDump(t *testing.T, p *page) {
	s, server := newSite(t, 3), newDatabaseServer(t)
	url := s.configure(t, "config.yaml", database(server, server.Port(), "slashing"))
	r := restoration{site: s, url: url, operator: prompt{page: p, dir: s.dir, env: []string{
		"SIGNER=" + url, "PGHOST=" + server.SocketDir(), fmt.Sprintf("PGPORT=%d", server.Port()), "PGUSER=admin",
	}}}
	r.backup = func(t *testing.T) { r.operator.run(t, step{"PostgreSQL", "pg_dump"}) }
	r.restore = func(t *testing.T) {
		r.operator.run(t, step{"PostgreSQL", "createdb"})
		r.store = database(server, server.Port(), "restored")
		s.configure(t, "config.yaml", r.store)
	}
	r.test(t)
}

func testRestoredFile(t *testing.T, p *page) {
	s := newSite(t, 3)
	store := fmt.Sprintf("backend: sqlite, sqlite: {path: %s/slashing.sqlite}", s.dir)
	r := restoration{site: s, store: store, url: s.configure(t, "config.yaml", store)}
	r.operator = prompt{page: p, dir: s.dir, env: []string{"SIGNER=" + r.url}}
	r.backup = func(t *testing.T) { r.operator.run(t, step{"SQLite", "mkdir"}) }
	r.restore = func(t *testing.T) { r.operator.run(t, step{"SQLite", "rm"}) }
	r.test(t)
}

func (r *restoration) test(t *testing.T) {
	signed := storetest.NewHistory()
	signs := func(what string, status int, ds []duty) {
		t.Helper()
		ask(t, r.url, signed, ds).check(t, what, status, len(ds), 0)
	}
	signer := r.signer(t, "config.yaml", r.url)
	r.operator.run(t, step{"What to back up", "curl"})
	signs("votes in the backup", http.StatusOK, duties(t, r.keys[1:], r.now-3, 2, 1))
	signer.terminate()
	r.backup(t)
	signer = r.signer(t, "config.yaml", r.url)
	signs("votes after the backup", http.StatusOK, duties(t, r.keys, r.now-1, 3, 1))
	signer.terminate()

	r.restore(t)
	code, stdout, stderr := slashingCommand(t, "status", "-c", filepath.Join(r.dir, "config.yaml"))
	if want := fmt.Sprintf("highest target epoch %d\n", r.now-2); code != 0 || !strings.Contains(stdout, want) {
		t.Fatalf("the restored store: exit code %d, no %q in %s%s", code, want, stdout, stderr)
	}
	epoch := r.recovers(t, r.operator)
	r.url = r.configure(t, "config.yaml", r.store+far)
	r.signer(t, "config.yaml", r.url)
	signs("alternatives of the lost votes", http.StatusPreconditionFailed, duties(t, r.keys, r.now-1, 3, 2))
	signs("duties of the next epoch", http.StatusOK, duties(t, r.keys, epoch+1, 1, 2))
}

// testMoveOnPurpose: two stores sign for the same keys at once, and no signature of the one contradicts any of the other.
func testMoveOnPurpose(t *testing.T, p *page) {
	s, server := newSite(t, 3), newDatabaseServer(t)
	old := s.configure(t, "config.yaml", database(server, server.Port(), "slashing")+far) // so that it is the watermark that refuses
	s.signer(t, "config.yaml", old)
	signed := storetest.NewHistory()
	signs := func(what, url string, status int, ds []duty) {
		t.Helper()
		ask(t, url, signed, ds).check(t, what, status, len(ds), 0)
	}
	signs("votes before the move", old, http.StatusOK, duties(t, s.keys[1:], s.now-1, 1, 1))

	name, _, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store := database(server, server.Port(), name)
	s.configure(t, "new.yaml", store)
	operator := prompt{page: p, dir: s.dir, env: []string{"SIGNER=" + old}}
	said := operator.run(t, step{"What to back up", "curl"}, step{"Moving on purpose", "containment-chamber slashing high-watermark"})
	newer := s.configure(t, "new.yaml", store+far)
	last := epochIn(t, said, `(?m)^all keys  slot \d+, epoch (\d+)$`)
	raised := epochIn(t, said, `(?m)^to slot \d+, source epoch \d+, target epoch (\d+)$`) // one more, if an epoch ended meanwhile
	s.signer(t, "new.yaml", newer)
	signs("the last epoch of the old store", old, http.StatusOK, duties(t, s.keys, last, 1, 1))
	signs("the same epoch in the new store", newer, http.StatusPreconditionFailed, duties(t, s.keys, last, 1, 2))
	signs("the next epoch in the new store", newer, http.StatusOK, duties(t, s.keys, raised+1, 1, 2))
	signs("the same epoch in the old store", old, http.StatusPreconditionFailed, duties(t, s.keys, raised+1, 1, 1))
}

// epochIn is the last epoch that a pattern finds.
func epochIn(t *testing.T, said, pattern string) uint64 {
	t.Helper()
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(said, -1)
	if found == nil {
		t.Fatalf("nothing like %s in:\n%s", pattern, said)
	}
	epoch, err := strconv.ParseUint(found[len(found)-1][1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}
