package rolling

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// recorded is a row of the slashing record.
type recorded struct {
	Source, Target uint64
	Root           string
}

// record reads the slashing record, by key.
func (s *site) record(t *testing.T) map[string]recorded {
	t.Helper()
	conn, err := s.database.Connect(t.Context(), s.slashing)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(), "SELECT key, source, target, root FROM attestations")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]recorded{}
	for rows.Next() {
		var key, root []byte
		var row recorded
		if err := rows.Scan(&key, &row.Source, &row.Target, &root); err != nil {
			t.Fatal(err)
		}
		row.Root = "0x" + hex.EncodeToString(root)
		all["0x"+hex.EncodeToString(key)] = row
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// checkRecord wants the last vote of each key on record, as it was signed, and nothing else.
func (s *site) checkRecord(t *testing.T, l *load) {
	t.Helper()
	want := map[string]recorded{}
	for _, v := range l.voters {
		root, _ := rig.Vote(v.epoch-1, v.epoch)["signingRoot"].(string)
		want[v.key] = recorded{v.epoch - 1, v.epoch, root}
	}
	if diff := cmp.Diff(want, s.record(t)); diff != "" {
		t.Errorf("the slashing record (-signed +recorded):\n%s", diff)
	}
}

// refuseConflicts wants of each replica that no key votes twice for the epoch that it voted for last.
func (s *site) refuseConflicts(t *testing.T, l *load) {
	t.Helper()
	for _, r := range s.replicas {
		c, err := rig.NewClient(r.api, s.policy, s.root)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range l.voters {
			_, err := c.Sign(t.Context(), v.key, rig.Vote(v.epoch-2, v.epoch))
			refused, ok := errors.AsType[*rig.Refused](err)
			if !ok || refused.Status != http.StatusPreconditionFailed || !strings.Contains(refused.Message, "double vote") {
				t.Errorf("replica %s, another vote of %s for epoch %d: %v, want 412", r.name, v.key[:10], v.epoch, err)
			}
		}
		c.Close()
	}
}
