package postgres_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// relations are the names of what is in the schema public, without indexes.
func relations(t *testing.T, database string) []string {
	t.Helper()
	conn, err := shared.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// works records a vote, on a store that was just opened.
func works(t *testing.T, o postgres.Options) {
	t.Helper()
	vote := slashing.Block{Slot: 1}
	if outcomes, err := open(t, o).Advance(t.Context(), []slashing.Claim{{Vote: vote}}); err != nil || !outcomes[0].Permits(vote) {
		t.Errorf("%v, %v", outcomes, err)
	}
}

// TestMigrationFailsHalfway: nothing of it stays, and the next start makes the schema once what was in the way is gone.
func TestMigrationFailsHalfway(t *testing.T) {
	for _, tc := range []struct {
		name, cause, remedy, words string
		left                       []string
	}{
		{
			"another's first table", "CREATE TABLE attestations (cats text)", "DROP TABLE attestations",
			`another program's table or type is in the way; give the signer a schema or a database of its own: ` +
				`migration to schema version 1: ERROR: relation "attestations" already exists`,
			[]string{"attestations"},
		},
		{
			"another's last table", "CREATE TABLE high_watermarks (cats text)", "DROP TABLE high_watermarks",
			`ERROR: relation "high_watermarks" already exists`,
			[]string{"high_watermarks"},
		},
		{
			"another's type", "CREATE TYPE blocks AS ENUM ('cat')", "DROP TYPE blocks",
			`another program's table or type is in the way`,
			[]string{},
		},
		{
			"a rule of the server's", `
CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
	IF EXISTS (SELECT FROM pg_class WHERE relname = 'high_watermarks') THEN RAISE EXCEPTION 'not on my server'; END IF;
END $$;
CREATE EVENT TRIGGER no ON ddl_command_end EXECUTE FUNCTION no()`, "DROP EVENT TRIGGER no",
			"migration to schema version 1: ERROR: not on my server",
			[]string{},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			database := newDatabase(t)
			administrate(t, database, tc.cause)
			refused(t, options(database), nil, tc.words)
			if diff := cmp.Diff(tc.left, relations(t, database)); diff != "" {
				t.Error(diff)
			}
			administrate(t, database, tc.remedy)
			works(t, options(database))
		})
	}
}

// TestMigrationIsCutOff: whatever the last message is that arrives, the next start works.
func TestMigrationIsCutOff(t *testing.T) {
	for _, at := range []string{"CREATE TABLE high_watermarks", "schema_since", "store_id", "commit\x00"} {
		for name, v := range map[string]verdict{"before": cut, "after": cutAfter} {
			t.Run(strings.Trim(at, "\x00")+" "+name, func(t *testing.T) {
				database := newDatabase(t)
				p := newProxy(t, shared.Address())
				var cuts atomic.Int32
				p.Spoil(false, func(fromClient bool, data []byte) verdict {
					if fromClient && strings.Contains(string(data), at) {
						cuts.Add(1)
						return v
					}
					return pass
				})
				refused(t, plain(p.Address(), database), nil, "slashing database "+database)
				if cuts.Load() == 0 {
					t.Error("the test cut nothing")
				}
				works(t, options(database))
			})
		}
	}
}
