package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// singles is the table of single-row updates: the columns of a store's attestations and the same free space in its pages, but under
// a shorter key.
const singles = `
CREATE TABLE singles (
	id     int    PRIMARY KEY,
	source bigint NOT NULL,
	target bigint NOT NULL,
	root   bytea  NOT NULL
) WITH (fillfactor = 50);
INSERT INTO singles SELECT n, 0, 0, sha256(n::text::bytea) FROM generate_series(0, %d) AS n;
GRANT SELECT, UPDATE ON singles TO %s`

// bareUpdate is a vote as a store without groups would record it.
const bareUpdate = "UPDATE singles SET source = target, target = target + 1, root = $2 WHERE id = $1 AND target < $3"

// neverReached is a target.
const neverReached = 1_000_000_000

// script is the same for pgbench. Each client has rows of its own, so that none waits for another's.
const script = `\set id :client_id + :callers * random(0, :rows / :callers - 1)
UPDATE singles SET source = target, target = target + 1, root = '\x%x' WHERE id = :id AND target < %d;
`

// newSingles makes a database with the table of single-row updates.
func (d *database) newSingles(ctx context.Context, rows int) (name string, err error) {
	if name, _, err = d.NewDatabase(ctx); err != nil {
		return "", err
	}
	return name, d.Exec(ctx, name, fmt.Sprintf(singles, rows-1, postgrestest.Role), "VACUUM ANALYZE")
}

// singleUpdates has each client of pgbench commit n single-row updates, one after the other, and returns how many all committed in a
// second. Their connections are open before.
func (d *database) singleUpdates(ctx context.Context, name string, clients, n, rows int) (perSecond float64, err error) {
	total := func() (int64, error) { return query[int64](ctx, d, name, "SELECT sum(target)::bigint FROM singles") }
	before, err := total()
	if err != nil {
		return 0, err
	}
	cmd, err := postgrestest.Command("pgbench",
		"--host=127.0.0.1", "--port="+strconv.Itoa(d.Port()), "--username="+postgrestest.Role, "--no-vacuum", "--protocol=prepared",
		"--client="+strconv.Itoa(clients), "--jobs="+strconv.Itoa(min(clients, runtime.NumCPU())),
		"--transactions="+strconv.Itoa(n),
		"--define=callers="+strconv.Itoa(clients), "--define=rows="+strconv.Itoa(rows), "--file=-", name)
	if err != nil {
		return 0, err
	}
	cmd.Stdin = strings.NewReader(fmt.Sprintf(script, blockRoot(0), neverReached))
	cmd.Env = append(os.Environ(), "PGPASSWORD="+postgrestest.Password, "PGSSLMODE=disable") // as the store connects
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	commits, perSecond, err := parsePgbench(string(out))
	if err != nil {
		return 0, err
	}
	after, err := total()
	if changed := after - before; err == nil && (commits != int64(clients*n) || changed != commits) {
		err = fmt.Errorf("pgbench made %d commits, which changed %d rows, instead of %d", commits, changed, clients*n)
	}
	return perSecond, err
}

var errPgbench = errors.New("pgbench's report cannot be read")

// parsePgbench reads a report: the commits made, and how many in a second, the time until all clients are connected left out.
func parsePgbench(report string) (commits int64, perSecond float64, err error) {
	made := regexp.MustCompile(`(?m)^number of transactions actually processed: (\d+)/\d+$`).FindStringSubmatch(report)
	speed := regexp.MustCompile(`(?m)^tps = ([0-9.]+) \((?:without initial connection time|excluding connections establishing)\)$`).FindStringSubmatch(report)
	if made == nil || speed == nil {
		return 0, 0, fmt.Errorf("%w:\n%s", errPgbench, report)
	}
	commits, commitsErr := strconv.ParseInt(made[1], 10, 64)
	perSecond, speedErr := strconv.ParseFloat(speed[1], 64)
	if commitsErr != nil || speedErr != nil || commits < 1 || perSecond <= 0 {
		return 0, 0, fmt.Errorf("%w:\n%s", errPgbench, report)
	}
	return commits, perSecond, nil
}
