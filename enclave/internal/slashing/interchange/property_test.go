package interchange_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// randomClaim makes a vote over few keys, epochs and roots, so that conflicts are common.
func randomClaim(random *rand.Rand) slashing.Claim {
	c := slashing.Claim{Key: bls.PublicKey{byte(random.IntN(2))}}
	root := eth2.Root{31: byte(random.IntN(2))}
	if random.IntN(3) == 0 {
		c.Vote = slashing.Block{Slot: random.Uint64N(9), Root: root}
	} else {
		source := random.Uint64N(7)
		c.Vote = slashing.Attestation{Source: source, Target: source + random.Uint64N(5), Root: root}
	}
	return c
}

// withoutRoot is a vote as a file has it that does not know the root.
func withoutRoot(v slashing.Vote) slashing.Vote {
	switch v := v.(type) {
	case slashing.Attestation:
		return slashing.Attestation{Source: v.Source, Target: v.Target, RootUnknown: true}
	case slashing.Block:
		return slashing.Block{Slot: v.Slot, RootUnknown: true}
	}
	return v
}

// text is an entry of a file with one message.
func text(c slashing.Claim) string {
	switch v := c.Vote.(type) {
	case slashing.Attestation:
		root := `, "signing_root": ` + signed(v.Root[31])
		if v.RootUnknown {
			root = ""
		}
		return entry(c.Key[0], "", fmt.Sprintf(`{"source_epoch": "%d", "target_epoch": "%d"%s}`, v.Source, v.Target, root))
	case slashing.Block:
		root := `, "signing_root": ` + signed(v.Root[31])
		if v.RootUnknown {
			root = ""
		}
		return entry(c.Key[0], fmt.Sprintf(`{"slot": "%d"%s}`, v.Slot, root), "")
	}
	return ""
}

// TestNothingSlashableAfterImport: whatever a store signs after an import conflicts with no message of the file and with nothing
// signed since; neither the order of the file nor a way through an export changes what it allows.
func TestNothingSlashableAfterImport(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	allowed, refused := 0, 0
	for range 300 {
		var messages []slashing.Claim
		var entries []string
		for range 1 + random.IntN(6) {
			c := randomClaim(random)
			if random.IntN(3) == 0 {
				c.Vote = withoutRoot(c.Vote)
			}
			messages, entries = append(messages, c), append(entries, text(c))
		}
		store := imported(t, entries, random)
		for range 30 {
			c := randomClaim(random)
			outcomes, err := store.Advance(t.Context(), []slashing.Claim{c})
			if err != nil {
				t.Fatal(err)
			}
			if outcomes[0].Standing != c.Vote {
				refused++
				continue
			}
			allowed++
			for _, old := range messages {
				h := storetest.NewHistory()
				if err := h.Add(old.Key, old.Vote); err != nil {
					t.Fatal(err)
				}
				if err := h.Add(c.Key, c.Vote); err != nil {
					t.Fatal(err)
				}
			}
			messages = append(messages, c)
		}
	}
	if allowed < 300 || refused < 300 {
		t.Errorf("%d votes allowed and %d refused: the files test nothing", allowed, refused)
	}
}

// imported is a store with the contents of a file, which come to the same in another order, from an export, and twice.
func imported(t *testing.T, entries []string, random *rand.Rand) *storetest.Memory {
	t.Helper()
	read := func(r io.Reader) []slashing.Record {
		contents, err := interchange.Read(r, network)
		if err != nil {
			t.Fatal(err)
		}
		return contents.Records
	}
	records := read(strings.NewReader(document(entries...)))
	random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	if diff := cmp.Diff(records, read(strings.NewReader(document(entries...)))); diff != "" {
		t.Fatalf("in another order: %s", diff)
	}
	store := storetest.NewMemory()
	for range 2 {
		if err := store.Merge(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		each := func(f func(slashing.Record) error) error { return store.Each(t.Context(), f) }
		if err := interchange.Write(&out, network, each); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(records, read(&out)); diff != "" {
			t.Fatalf("after an export: %s", diff)
		}
	}
	return store
}

// long is a file with so many attestations of one key, made as it is read.
type long struct {
	messages int
	rest     []byte
	stage    int
}

func (l *long) Read(b []byte) (int, error) {
	for len(l.rest) == 0 {
		switch {
		case l.stage == 0:
			l.rest = []byte(`{` + metadata + `, "data": [{"pubkey": ` + key(1) + `, "signed_blocks": [], "signed_attestations": [`)
		case l.stage <= l.messages:
			separator := ","
			if l.stage == l.messages {
				separator = "]}]}"
			}
			l.rest = fmt.Appendf(nil, `{"source_epoch": "%d", "target_epoch": "%d", "signing_root": %s}%s`, l.stage, l.stage+1, signed(7), separator)
		default:
			return 0, io.EOF
		}
		l.stage++
	}
	n := copy(b, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// TestReadInBoundedMemory: a file of 8 MB leaves one record behind, and what is held meanwhile does not grow with the file.
func TestReadInBoundedMemory(t *testing.T) {
	const messages = 60_000
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := &long{messages: messages}
	got, err := interchange.Read(io.MultiReader(io.LimitReader(r, 6<<20), measure{&during}, r), network)
	if err != nil {
		t.Fatal(err)
	}
	want := interchange.Contents{Attestations: messages, Records: []slashing.Record{{
		Key: bls.PublicKey{1}, Attestation: &slashing.Attestation{Source: messages, Target: messages + 1, Root: eth2.Root{31: 7}},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if held := int64(during.HeapAlloc) - int64(before.HeapAlloc); during.HeapAlloc == 0 || held > 3<<20 {
		t.Errorf("%d bytes are held after 6 MiB", held)
	}
}

// measure is an empty file that, when it is read, looks how much memory is held.
type measure struct{ to *runtime.MemStats }

func (m measure) Read([]byte) (int, error) {
	runtime.GC()
	runtime.ReadMemStats(m.to)
	return 0, io.EOF
}
