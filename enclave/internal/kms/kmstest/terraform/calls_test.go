package terraform_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// must fails the test at the first error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}

// callState calls all that a signer calls of a signer state.
func callState(t *testing.T, s store.State) {
	ctx := t.Context()
	must(t, s.Check(ctx), s.Put(ctx, store.Item{Name: "a", Version: 1, Body: []byte("x")}), s.Put(ctx, store.Item{Name: "a", Version: 2, Body: []byte("y")}))
	_, err := s.Get(ctx, "a")
	listed, failed := s.List(ctx)
	must(t, err, failed, s.Delete(ctx, "a", 2))
	if len(listed) != 1 {
		t.Errorf("listed: %v", listed)
	}
}

// callKeys calls all that a signer calls of stored keys.
func callKeys(t *testing.T, k store.Keys) {
	ctx := t.Context()
	key := store.Key{PublicKey: [48]byte{7}, Version: 1, Status: store.Active, Body: []byte("x"), Created: time.Now(), Updated: time.Now()}
	must(t, k.Check(ctx), k.Put(ctx, key))
	loaded := 0
	cursor, err := k.Load(ctx, []store.Status{store.Active, store.Inactive}, 4, func(store.Key) error { loaded++; return nil })
	must(t, err)
	key.Version, key.Status = 2, store.Inactive
	must(t, k.Put(ctx, key), k.Delete(ctx, key.PublicKey, 2))
	changed, _, err := k.Changes(ctx, cursor)
	must(t, err)
	if _, err := k.Get(ctx, key.PublicKey); err != nil {
		t.Errorf("get: %v", err)
	}
	if loaded != 1 || len(changed) != 1 {
		t.Errorf("loaded %d, changed %v", loaded, changed)
	}
}

// callLedger calls all that a signer and its operator call of a slashing record.
func callLedger(t *testing.T, l slashing.Ledger) {
	ctx := t.Context()
	key, other := bls.PublicKey{1}, bls.PublicKey{2}
	h := slashing.HighWatermark{Slot: 100, Epoch: 10}
	must(t, l.Check(ctx), l.Pin(ctx, eth2.Root{9}))
	for range 2 { // the second time as it stands
		outcomes, err := l.Advance(ctx, []slashing.Claim{{Key: key, Vote: slashing.Block{Slot: 4}}, {Key: other, Vote: slashing.Attestation{Source: 1, Target: 2}}})
		must(t, err)
		if len(outcomes) != 2 || outcomes[0].Standing == nil || outcomes[1].Standing == nil {
			t.Errorf("%+v", outcomes)
		}
	}
	must(t, l.Merge(ctx, []slashing.Record{{Key: key, Block: &slashing.Block{Slot: 9}}}),
		l.SetHighWatermark(ctx, nil, h), l.SetHighWatermark(ctx, []bls.PublicKey{key}, h))
	_, err := l.Identify(ctx)
	must(t, err)
	_, err = l.HighWatermark(ctx)
	must(t, err)
	single, err := l.KeyHighWatermarks(ctx)
	records := 0
	must(t, err, l.Each(ctx, func(slashing.Record) error { records++; return nil }))
	if records != 2 || len(single) != 1 {
		t.Errorf("%d records, %v", records, single)
	}
}

// forOperators is what people do with rights of their own: "tables make", "slashing migrate" and "tables recount".
var forOperators = map[string][]string{
	"../../../store/dynamodb":    {"CreateTable", "recount.go: UpdateItem"},
	"../../../slashing/dynamodb": {"CreateTable"},
	"../../../dynamoclient":      {"UpdateContinuousBackups"},
}

// TestNoOtherCalls: the code has no call of DynamoDB that the policies do not know, so that one which is added, and which the tests here do not
// make, is noticed.
func TestNoOtherCalls(t *testing.T) {
	e := examples(t)
	for dir, want := range map[string][]string{
		"../../../store/dynamodb":    actions(granted(t, e.signer)),
		"../../../slashing/dynamodb": actions(granted(t, e.slashing)),
		"../../../dynamoclient":      nil,
	} {
		want = append(slices.Clone(want), forOperators[dir]...)
		slices.Sort(want)
		if diff := cmp.Diff(want, called(t, dir, reflect.TypeFor[*sdk.Client]())); diff != "" {
			t.Errorf("%s: known (-) and called (+):\n%s", dir, diff)
		}
	}
	// GenerateRandom is called by nobody: a role that shall call it must be allowed to.
	want := []string{"Decrypt", "Encrypt", "GenerateDataKey", "GenerateRandom"}
	if diff := cmp.Diff(want, called(t, "../..", reflect.TypeFor[*kms.Client]())); diff != "" {
		t.Errorf("KMS: known (-) and called (+):\n%s", diff)
	}
}

// TestKeysOfTheRole: what the role's own policy lets it ask of which key, with data keys and with chamber.wrap encrypt.
func TestKeysOfTheRole(t *testing.T) {
	for file, wrap := range map[string]string{"policies-enclave": "kms:GenerateDataKey", "policies-upgrade": "kms:Encrypt"} {
		var text, yaml string
		rendered(t, file, "signer_policy", &text)
		rendered(t, file, "configuration", &yaml)
		c, err := config.LoadBytes([]byte(own + yaml))
		must(t, err)
		p, err := kmstest.ParseIdentityPolicy([]byte(text))
		must(t, err)
		keys := append(slices.Clone(c.Chamber.KMSKeyARNs), c.AntiSlashing.SealedPasswordKMSKeyARN, strings.Replace(c.Chamber.KMSKeyARNs[1], "444455556666", "111122223333", 1))
		for i, key := range keys {
			share, known := i < len(c.Chamber.KMSKeyARNs), i <= len(c.Chamber.KMSKeyARNs)
			for action, want := range map[string]bool{
				"kms:Decrypt": known, "kms:GenerateDataKey": share && wrap == "kms:GenerateDataKey", "kms:Encrypt": share && wrap == "kms:Encrypt",
				"kms:GenerateRandom": false, "kms:CreateGrant": false, "kms:PutKeyPolicy": false, "kms:ReEncryptFrom": false, "kms:ScheduleKeyDeletion": false,
			} {
				if allowed, reason := p.Allows(action, key); allowed != want {
					t.Errorf("%s: %s on %s: %v, want %v: %s", file, action, key, allowed, want, reason)
				}
			}
		}
	}
}

// actions are those of rights, without the service's name.
func actions(rights map[string]bool) (all []string) {
	for right := range rights {
		action, _, _ := strings.Cut(strings.TrimPrefix(right, "dynamodb:"), " ")
		all = append(all, action)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// called are the operations of an SDK's client that the code of a directory names, those of recount.go with the file's name.
func called(t *testing.T, dir string, client reflect.Type) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	inRecount := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		must(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		must(t, err)
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			method, ok := n.(*ast.SelectorExpr)
			if !ok || method.Sel.Name == "Options" { // a type, too
				return true
			}
			switch _, there := client.MethodByName(method.Sel.Name); {
			case there && filepath.Base(name) == "recount.go":
				inRecount[method.Sel.Name] = true
			case there:
				all = append(all, method.Sel.Name)
			}
			return true
		})
	}
	for name := range inRecount {
		all = append(all, "recount.go: "+name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
