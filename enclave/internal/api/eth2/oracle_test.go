package eth2

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// What scripts/oracle.sh sets. Without it the committed answers are what roots are compared with.
var (
	oracleScript = flag.String("oracle", "", "path of the oracle's script: ask it instead of the committed answers")
	oracleCases  = flag.Int("oracle.cases", 2000, "requests in each group that the oracle is asked about")
	oracleSeed   = flag.Uint64("oracle.seed", 1, "what the requests follow from")
	oracleWrite  = flag.Bool("oracle.write", false, "write the oracle's answers to the file of committed ones")
)

const (
	committedFile  = "testdata/oracle/roots.txt"
	committedSeed  = 1
	committedCases = 20 // in a group, besides those of special sizes
	committedFull  = 8  // in a group of full blocks
	maxFullBlocks  = 100
	maxShownCases  = 3 // bodies shown of a group
)

// TestOracle: the signing roots of generated requests of every type in every fork are those that lodestar computes.
func TestOracle(t *testing.T) {
	if *oracleScript == "" {
		compareCommitted(t)
		return
	}
	oracle := startOracle(t, *oracleScript)
	passed := map[string]int{}
	var file bytes.Buffer
	for _, g := range oracleGroups() {
		t.Run(g.name(), func(t *testing.T) {
			seed, n := *oracleSeed, g.live(*oracleCases)
			if *oracleWrite {
				seed, n = committedSeed, g.committed()
			}
			passed[g.name()] = 0
			cases := g.cases(seed, n)
			answers, err := oracle.ask(cases)
			if err != nil {
				t.Fatal(err)
			}
			var bodies string
			passed[g.name()], bodies = compare(t, cases, answers)
			committedGroup{fileName(g), seed, bodies, answers}.format(&file)
		})
	}
	printTable(passed)
	if *oracleWrite && !t.Failed() {
		if err := os.WriteFile(committedFile, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func fileName(g oracleGroup) string { return strings.ReplaceAll(g.name(), " ", "_") }

func compareCommitted(t *testing.T) {
	committed := readCommitted(t, committedFile)
	for _, g := range oracleGroups() {
		t.Run(g.name(), func(t *testing.T) {
			want, ok := committed[fileName(g)]
			if !ok || len(want.answers) != g.committed() {
				t.Fatalf("%d committed answers, want %d: run scripts/oracle.sh --write", len(want.answers), g.committed())
			}
			delete(committed, want.name)
			if _, bodies := compare(t, g.cases(want.seed, len(want.answers)), want.answers); bodies != want.bodies {
				t.Fatalf("the requests generated (SHA-256 %s) are not those that the committed answers are for (%s): "+
					"if the generator was changed on purpose, run scripts/oracle.sh --write", bodies, want.bodies)
			}
		})
	}
	for name := range committed {
		t.Errorf("there are committed answers for %s, which is not generated: run scripts/oracle.sh --write", name)
	}
}

// live is how many requests of the group are compared with the running oracle.
func (g oracleGroup) live(n int) int {
	switch {
	case g.full:
		return min(n, maxFullBlocks)
	case g.kind.rate > 0:
		n /= g.kind.rate
	}
	return max(n, g.committed())
}

func (g oracleGroup) committed() int {
	if g.full {
		return committedFull
	}
	return max(committedCases, len(g.sizes())+committedFull)
}

func (g oracleGroup) cases(seed uint64, n int) []*oracleCase {
	cases := make([]*oracleCase, n)
	for i := range cases {
		cases[i] = g.generate(seed, i)
	}
	return cases
}

// compare decodes the request of each case. It returns how many have the root that the oracle gives, and a digest of
// all bodies.
func compare(t *testing.T, cases []*oracleCase, answers []oracleAnswer) (passed int, bodies string) {
	t.Helper()
	network, err := eth2.NetworkByName("sepolia")
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.New()
	for i, c := range cases {
		body := c.body(answers[i].bodyRoot)
		digest.Write(body)
		err := answers[i].err
		if err == nil {
			err = compareOne(network, c.group.kind.name, body, answers[i].root)
		}
		if err == nil {
			passed++
			continue
		}
		if i-passed < maxShownCases {
			t.Errorf("case %s: %v\nthe oracle was asked %sthe body is %s", c.id, err, c.line(), body)
		}
	}
	if failed := len(cases) - passed; failed > maxShownCases {
		t.Errorf("%d of %d cases failed; the first %d are shown", failed, len(cases), maxShownCases)
	}
	return passed, hex.EncodeToString(digest.Sum(nil))
}

// compareOne decodes a body without its signing root, with it, and with one bit of it flipped; the latter two also for a
// network whose table ends with Capella.
func compareOne(network *eth2.Network, kind string, body, root []byte) error {
	got, req, err := decode(network, body)
	if err != nil {
		return err
	}
	if got.String() != kind || req.Kind() != got {
		return fmt.Errorf("kind %v of a request of kind %v, want %s", got, req.Kind(), kind)
	}
	if computed := req.SigningRoot(); !bytes.Equal(computed[:], root) {
		return fmt.Errorf("signing root is %x, the oracle's %x", computed, root)
	}
	// The claimed root decides where a network's table does not know the fork version.
	old := *network
	old.Versions = network.Versions[:capella+1]
	for name, n := range map[string]*eth2.Network{"": network, ", forks after Capella unknown": &old} {
		if _, req, err = decode(n, withRoot(body, root)); err != nil {
			return fmt.Errorf("with the signing root%s: %w", name, err)
		}
		if computed := req.SigningRoot(); !bytes.Equal(computed[:], root) {
			return fmt.Errorf("with the signing root%s: it is %x, the oracle's %x", name, computed, root)
		}
	}
	wrong := bytes.Clone(root)
	bit := int(root[0]) // any, but the same every time
	wrong[bit/8] ^= 1 << (bit % 8)
	for _, n := range []*eth2.Network{network, &old} {
		if _, req, err = decode(n, withRoot(body, wrong)); err == nil || req != nil {
			return fmt.Errorf("accepted with bit %d of the signing root flipped", bit)
		}
	}
	return nil
}

// printTable writes how many requests passed, types down and forks across.
func printTable(passed map[string]int) {
	out := os.Stdout
	fmt.Fprintf(out, "\nrequests whose signing root is the oracle's\n%-38s", "")
	for _, f := range clientForks()[:later] {
		fmt.Fprintf(out, "%10s", f.name)
	}
	for _, k := range oracleKinds() {
		for _, suffix := range []string{"", " body"} {
			row, groups := "", 0
			for _, f := range clientForks()[:later] {
				cell := "-"
				if n, ok := passed[k.name+" "+f.name+suffix]; ok {
					cell = fmt.Sprint(n)
					groups++
				}
				row += fmt.Sprintf("%10s", cell)
			}
			if groups > 0 {
				fmt.Fprintf(out, "\n%-38s%s", k.name+suffix, row)
			}
		}
	}
	fmt.Fprintln(out)
}
