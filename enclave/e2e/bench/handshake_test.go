package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHandshakes(t *testing.T) {
	h := &handshakes{dir: t.TempDir(), chain: testChain(t)}
	defer func() {
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := h.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.repeat(t.Context(), 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, k := range h.kinds {
		s := h.runs[0][k.name]
		if s.made < handshakeRounds || s.server <= 0 || s.client <= 0 {
			t.Errorf("%s: %+v", k.name, s)
		}
	}
	k := h.kinds[0]
	k.listener = "unknown"
	if _, err := h.measure(t.Context(), k, 0); err == nil {
		t.Error("a handshake with nobody")
	}
}

func TestHandshakeFigures(t *testing.T) {
	us := time.Microsecond
	h := &handshakes{stand: &stand{first: simulatedState{Sizes: map[string]int{listenPlain: 400, listenAttested: 4800}}}, runs: []map[string]shares{{
		greetTCP:    {100 * us, 200 * us, 10},
		greetPlain:  {2100 * us, 4200 * us, 10},
		greetSeen:   {460 * us, 640 * us, 2},
		greetPinned: {1100 * us, 3200 * us, 10},
		greetFirst:  {460 * us, 4020 * us, 1},
	}}}
	var b strings.Builder
	h.report(table{&b})
	var got []string
	for line := range strings.Lines(b.String()) {
		if _, rest, found := strings.Cut(line, "×"); found {
			fields := strings.Fields(strings.TrimSuffix(line, rest))
			got = append(got, fields[len(fields)-1]+" "+strings.Join(strings.Fields(rest), " "))
		}
	}
	want := []string{"1.10× target 1.20× ok", "0.75× target 1.50× ok", "1× ", "10× "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, b.String())
	}
}
