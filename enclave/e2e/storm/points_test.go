package storm

import (
	"bytes"
	"strconv"
	"testing"
	"time"
)

// point is a moment of one signature's way at which the signer dies.
type point struct {
	name     string
	program  string // its name for the program that dies by itself, "" if it is killed from outside
	api      stage  // of the exchange between client and signer, if it is a moment of that
	store    stage  // of the exchange between signer and store, if it is a moment of that
	recorded fate   // of the vote
}

// fate is what must be on record after the end.
type fate int

const (
	never  fate = iota + 1 // the vote cannot have left, and another may be signed instead
	always                 // the vote may have left
	either
)

// points are those at which a signer over a store can be killed.
func points(p place) []point {
	all := []point{
		{name: "before the store is asked", program: "asked", recorded: never},
		{name: "after the store recorded", program: "recorded", recorded: always},
		{name: "while it signs", program: "signing", recorded: always},
		{name: "with the request", api: sent, recorded: either},
		{name: "before the answer leaves", api: answered, recorded: always},
	}
	if p.server == "" {
		return all
	}
	return append(all,
		point{name: "before the store gets the vote", store: seen, recorded: never},
		point{name: "while the store gets the vote", store: half, recorded: never},
		point{name: "when the store has the vote", store: sent, recorded: either},
		point{name: "before the store's answer arrives", store: answered, recorded: always},
		point{name: "with the store's answer", store: told, recorded: always},
	)
}

// TestKilledAtEachPoint kills a signer at each point of a signature's way, and starts it again: the identical request is signed,
// and one that conflicts is refused exactly if the vote could have left.
func TestKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, p place) {
		w := &walk{t: t, book: newBook(t), place: p, store: newWire(t), api: newWire(t)}
		w.store.lead(p.server)
		w.signer = newSigner(t, 1, p.at(w.store.address(), 5))
		w.signer.binary, w.signer.args = "crashing", nil
		all := points(p)
		var before *end
		for i := range *kills {
			e := newEnd(i, all)
			w.life = w.signer.start("-point", e.program, "-height", strconv.FormatUint(e.vote.height(), 10))
			w.revive(before)
			w.die(e)
			before = e
		}
		w.life = w.signer.start()
		w.revive(before)
		w.life.finish()
		t.Logf("%d kills at %d points: %v; of votes whose fate is open, %d were on record and %d were not",
			*kills, len(all), w.book.tally(), w.kept, w.gone)
	})
}

// end is one death: its point, the vote asked for, and one that conflicts with it.
type end struct {
	point
	vote, rival vote
	rivalFirst  bool // in the next life the rival is asked for first
}

// newEnd is the i-th. Each vote is above all before it, whichever of them are on record.
func newEnd(i int, all []point) *end {
	turn := i%len(all) + i/len(all) // so that each point meets every kind of vote, rival and order
	height := uint64(firstHeight + 10*i)
	e := &end{point: all[i%len(all)], vote: attestation(height-5, height, 1), rivalFirst: turn%2 == 0}
	if turn%5 == 4 {
		e.vote = block(height, 1)
	}
	rivals := e.vote.rivals()
	e.rival = rivals[turn/2%len(rivals)]
	return e
}

// walk goes from end to end.
type walk struct {
	t          *testing.T
	signer     *signer
	book       *book
	place      place
	store, api *wire
	life       *life
	kept, gone int // votes of which nobody could know
}

// die asks for the vote, and returns when the signer has died of it.
func (w *walk) die(e *end) {
	w.t.Helper()
	key, address := w.signer.keys[0], w.life.address
	switch {
	case e.api != 0:
		w.api.lead(w.life.address)
		w.api.arm(&trap{request: isSign, at: e.api, kill: w.life.kill})
		address = w.api.address()
	case e.store != 0:
		w.store.arm(&trap{request: w.place.names(key), at: e.store, kill: w.life.kill})
	}
	got := w.book.askAt(w.t.Context(), w.life.client, address, key, e.vote)
	select {
	case <-w.life.process.Done():
	case <-time.After(limit):
		w.t.Fatalf("%s: the signer lives on; it answered %s:\n%s", e.name, got, w.life.log())
	}
	if got == given && e.recorded == either { // the signer was faster than its end: then the vote is on record
		e.recorded = always
	}
	if got != lost && (got != given || e.recorded != always) {
		w.t.Errorf("%s: the answer was %s", e.name, got)
	}
	w.life.kill() // which closes the client's connections
}

// revive asks the next life of a signer what it knows of the end before.
func (w *walk) revive(e *end) {
	w.t.Helper()
	if e == nil {
		return
	}
	key, on := w.signer.keys[0], e.recorded
	if !e.rivalFirst {
		w.book.want(w.t, w.life, key, e.vote, given, e.name+", the identical vote")
		w.book.want(w.t, w.life, key, e.rival, refused, e.name+", a conflicting vote after it")
		return
	}
	if on == either {
		on = never
		w.gone++
		if w.book.ask(w.t.Context(), w.life, key, e.rival) == refused {
			on = always
			w.kept, w.gone = w.kept+1, w.gone-1
		}
	}
	if on == never {
		w.book.want(w.t, w.life, key, e.rival, given, e.name+", a conflicting vote")
		w.book.want(w.t, w.life, key, e.vote, refused, e.name+", the vote after it")
		return
	}
	w.book.want(w.t, w.life, key, e.rival, refused, e.name+", a conflicting vote")
	w.book.want(w.t, w.life, key, e.vote, given, e.name+", the identical vote")
}

// isSign recognizes a request to the API.
func isSign(data []byte) bool { return bytes.HasPrefix(data, []byte("POST /api/v1/eth2/sign/")) }
