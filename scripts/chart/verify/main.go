// Command verify checks the chart against the code: names of metrics, keys of the configuration, the seccomp profile.
//
//	verify ROOT          prints what differs, and fails if anything does
//	verify -update ROOT  writes values.schema.json and files/seccomp.json anew
//
// With -queries FILE it writes the dashboard's queries as rules, for promtool to check.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	update := flag.Bool("update", false, "write the generated parts anew")
	queries := flag.String("queries", "", "`file` for the queries of the dashboard")
	flag.Parse()
	root := "."
	if flag.NArg() > 0 {
		root = flag.Arg(0)
	}
	if err := run(house{root}, *update, *queries); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(h house, update bool, queries string) error {
	return errors.Join(schema(h, update), seccompProfile(h, update), metrics(h), runbooks(h), dashboard(h, queries))
}

// house knows where things stand in the repository.
type house struct{ root string }

func (h house) path(name string) string { return filepath.Join(h.root, name) }

func (h house) read(name string) ([]byte, error) { return os.ReadFile(h.path(name)) }

const chart = "charts/containment-chamber/"

// same compares a generated file with the one that is committed, or writes it.
func (h house) same(name string, want []byte, update bool) error {
	have, err := h.read(name)
	if err == nil && string(have) == string(want) {
		return nil
	}
	if update {
		return os.WriteFile(h.path(name), want, 0o644)
	}
	return fmt.Errorf("%s: is not what would be generated; scripts/chart-test.sh -update writes it anew, then look at the difference", name)
}
