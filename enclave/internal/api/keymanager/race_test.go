package keymanager_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// load signs with key 1, ever higher targets, from several sides until end is called.
type load struct {
	*desk

	next    atomic.Uint64 // the last target that was tried
	highest atomic.Uint64 // of those that were signed
	signed  atomic.Int64
	refused atomic.Int64 // because there is no such key
	done    chan struct{}
	signers sync.WaitGroup
}

func (d *desk) load(signers int) *load {
	l := &load{desk: d, done: make(chan struct{})}
	l.next.Store(1)
	for range signers {
		l.signers.Go(l.sign)
	}
	return l
}

func (l *load) sign() {
	for {
		select {
		case <-l.done:
			return
		default:
		}
		target := l.next.Add(1)
		err := l.attest(1, target)
		switch kind := problem.Of(err).Kind; {
		case err == nil:
			for was := l.highest.Load(); was < target && !l.highest.CompareAndSwap(was, target); was = l.highest.Load() {
			}
			l.signed.Add(1)
		case kind == problem.UnknownKey:
			l.refused.Add(1)
		case kind == problem.Slashable: // a higher one was first
		default:
			l.t.Error(err)
			return
		}
	}
}

// await returns when f is true. The signers go on meanwhile.
func (l *load) await(f func() bool) {
	for !f() {
		runtime.Gosched()
	}
}

// goOn returns when the signers have tried often enough to have signed, if they could.
func (l *load) goOn() {
	tried := l.signed.Load() + l.refused.Load()
	l.await(func() bool { return l.signed.Load()+l.refused.Load() > tried+20 })
}

func (l *load) end() {
	close(l.done)
	l.signers.Wait()
}

// TestNoVoteIsMissingInTheExport: signers go on all the time, before the record is read, while it is read and after; no vote that was signed is
// above what the deletion tells.
func TestNoVoteIsMissingInTheExport(t *testing.T) {
	d, ledger := watchedDesk(t, nil)
	l := d.load(8)
	defer l.end()
	for round := range 3 {
		d.did("POST", importBody(nil, 1), "imported")
		before := l.signed.Load()
		l.await(func() bool { return l.signed.Load() > before+20 })
		ledger.reading, ledger.read = l.goOn, l.goOn // time for whoever could still sign
		a := d.did("DELETE", deleteBody(1), "deleted")
		told := exported(t, a)[publicKey(1).String()]
		l.goOn()
		if highest := l.highest.Load(); highest > told {
			t.Fatalf("round %d: target %d was signed, and the export says %d", round, highest, told)
		}
	}
}

// TestVoteThatIsRecordedAndNotSigned: a vote whose record is there when its key is deleted is in the export, and is not signed afterwards.
func TestVoteThatIsRecordedAndNotSigned(t *testing.T) {
	d, ledger := watchedDesk(t, nil)
	d.did("POST", importBody(nil, 1), "imported")
	recorded, release := make(chan struct{}), make(chan struct{})
	ledger.recorded = func() {
		close(recorded)
		<-release
	}
	signed := make(chan error)
	go func() { signed <- d.attest(1, 7) }()
	<-recorded
	a := d.did("DELETE", deleteBody(1), "deleted")
	if told := exported(t, a)[publicKey(1).String()]; told != 7 {
		t.Errorf("the export says %d", told)
	}
	close(release)
	if p := problem.Of(<-signed); p.Kind != problem.UnknownKey {
		t.Errorf("after the export: %v", p)
	}
}

// TestDeleteAndImportAtOnce: whoever imports a key that is being deleted waits until its record was read, so that the importer's votes come after
// the export, and the deleter's before.
func TestDeleteAndImportAtOnce(t *testing.T) {
	d, ledger := watchedDesk(t, nil)
	ledger.reading = func() {
		for range 100 {
			if _, loaded := d.loaded.SourceOf(publicKey(1)); loaded {
				t.Error("the key is loaded while its record is read")
				return
			}
			_ = d.attest(1, 1)
		}
	}
	d.did("POST", importBody(nil, 1), "imported")
	l := d.load(4)
	defer l.end()
	importing := importBody(nil, 1)
	var sides sync.WaitGroup
	for range 2 {
		sides.Go(func() {
			for range 8 {
				a, err := answerOf(d.ask("POST", importing))
				if got := a.statuses(); err != nil || got != "imported" && got != "duplicate" {
					t.Errorf("import: %s, %v", got, err)
				}
			}
		})
		sides.Go(func() {
			for range 8 {
				before := l.highest.Load()
				a, err := answerOf(d.ask("DELETE", deleteBody(1)))
				if got := a.statuses(); err != nil || got != "deleted" && got != "not_active" && got != "not_found" {
					t.Errorf("delete: %s, %v", got, err)
					return
				}
				if told := exported(t, a)[publicKey(1).String()]; told < before {
					t.Errorf("target %d was signed before, and the export says %d", before, told)
				}
			}
		})
	}
	sides.Wait()
	told := exported(t, d.ok(d.ask("DELETE", deleteBody(1))))[publicKey(1).String()]
	l.goOn()
	if highest := l.highest.Load(); highest > told {
		t.Errorf("target %d was signed, and the last export says %d", highest, told)
	}
}
