package eth2

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// oracleAnswer is what the oracle says about one request.
type oracleAnswer struct {
	root     []byte
	bodyRoot []byte // of a block that it has the body of
	err      error  // instead, if it has no answer
}

func parseAnswer(fields []string) (oracleAnswer, error) {
	var hashes [2][]byte
	if len(fields) == 0 || len(fields) > len(hashes) {
		return oracleAnswer{}, fmt.Errorf("oracle says %q", fields)
	}
	for i, text := range fields {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != 32 {
			return oracleAnswer{}, fmt.Errorf("oracle says %q", strings.Join(fields, " "))
		}
		hashes[i] = b
	}
	return oracleAnswer{root: hashes[0], bodyRoot: hashes[1]}, nil
}

// committedGroup is a group's section in the file of committed answers: one line that describes it, then one answer
// a line.
type committedGroup struct {
	name    string // with _ for space
	seed    uint64
	bodies  string // SHA-256 of all bodies
	answers []oracleAnswer
}

func (g committedGroup) format(b *bytes.Buffer) {
	fmt.Fprintf(b, "group %s seed %d cases %d bodies %s\n", g.name, g.seed, len(g.answers), g.bodies)
	for _, a := range g.answers {
		fmt.Fprintf(b, "%x", a.root)
		if a.bodyRoot != nil {
			fmt.Fprintf(b, " %x", a.bodyRoot)
		}
		fmt.Fprintln(b)
	}
}

// readCommitted reads the file, by group name.
func readCommitted(t *testing.T, file string) map[string]committedGroup {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]committedGroup{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var g committedGroup
		var cases int
		if _, err := fmt.Sscanf(lines.Text(), "group %s seed %d cases %d bodies %s", &g.name, &g.seed, &cases, &g.bodies); err != nil {
			t.Fatalf("%s: %q: %v", file, lines.Text(), err)
		}
		for range cases {
			lines.Scan()
			a, err := parseAnswer(strings.Fields(lines.Text()))
			if err != nil {
				t.Fatalf("%s: group %s: %v", file, g.name, err)
			}
			g.answers = append(g.answers, a)
		}
		groups[g.name] = g
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return groups
}

// liveOracle is a running oracle process.
type liveOracle struct {
	stdin io.Closer
	in    *bufio.Writer
	out   *bufio.Scanner
}

// startOracle runs the script with Node until the test ends.
func startOracle(t *testing.T, script string) *liveOracle {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", script)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // the context may have ended it; its answers were read
	})
	return &liveOracle{stdin: in, in: bufio.NewWriter(in), out: bufio.NewScanner(out)}
}

// ask returns the answers to all questions.
func (o *liveOracle) ask(cases []*oracleCase) ([]oracleAnswer, error) {
	var writeErr error
	var writer sync.WaitGroup
	writer.Go(func() { // the oracle answers while it is asked, and would block
		for _, c := range cases {
			if _, writeErr = o.in.Write(c.line()); writeErr != nil {
				return
			}
		}
		writeErr = o.in.Flush()
	})
	answers, err := o.read(cases)
	if err != nil {
		o.stdin.Close() // ends the writer
	}
	writer.Wait()
	if err == nil {
		err = writeErr
	}
	return answers, err
}

func (o *liveOracle) read(cases []*oracleCase) ([]oracleAnswer, error) {
	answers := make([]oracleAnswer, len(cases))
	for i, c := range cases {
		if !o.out.Scan() {
			return nil, fmt.Errorf("the oracle ended before case %s of %s: %w", c.id, c.group.name(), cmp.Or(o.out.Err(), io.EOF))
		}
		fields := strings.Fields(o.out.Text())
		if len(fields) == 0 || fields[0] != c.id {
			return nil, fmt.Errorf("the oracle answered %q to case %s of %s", o.out.Text(), c.id, c.group.name())
		}
		var err error
		if answers[i], err = parseAnswer(fields[1:]); err != nil {
			answers[i].err = err
		}
	}
	return answers, nil
}
