package dynamodb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// TestMadeAnew: a process that goes on while its table is deleted and made again loses no key of the new one, whose changes count
// from 1 again; nor if the first change is the last that the process put in place in the old one.
func TestMadeAnew(t *testing.T) {
	for name, before := range map[string]int{"fewer changes than before": 10, "the same change": 1} {
		t.Run(name, func(t *testing.T) {
			o := keysTable(t)
			k := openKeys(t, o)
			for n := range before {
				put(t, k, n, 1)
			}
			if _, err := shared.Client().UpdateTable(t.Context(), &sdk.UpdateTableInput{TableName: &o.Table, DeletionProtectionEnabled: aws.Bool(false)}); err != nil {
				t.Fatal(err)
			}
			if _, err := shared.Client().DeleteTable(t.Context(), &sdk.DeleteTableInput{TableName: &o.Table}); err != nil {
				t.Fatal(err)
			}
			if err := dynamodb.MakeKeys(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			for n := range 5 {
				put(t, k, n, 1)
			}
			for n := range 5 {
				if _, err := k.Get(t.Context(), storetest.Public(n)); err != nil {
					t.Error(err)
				}
			}
			if f := follow(t, openKeys(t, o)); len(f.Seen) != 5 {
				t.Errorf("%d keys in the log, want 5", len(f.Seen))
			}
		})
	}
}

// TestMalformed: an item that cannot be read keeps all keys from being loaded, so that the error has to say which, and what is wrong.
func TestMalformed(t *testing.T) {
	public := storetest.Public(1)
	for _, tc := range []struct {
		attribute string
		value     types.AttributeValue // nil for none
		words     string
	}{
		{"status", &types.AttributeValueMemberS{Value: "asleep"}, `attribute status is "asleep", want active, inactive or deleted`},
		{"status", nil, "attribute status is no string"},
		{"version", &types.AttributeValueMemberN{Value: "1.5"}, `attribute version is "1.5", want a whole number below 2^64`},
		{"body", &types.AttributeValueMemberS{Value: "x"}, "attribute body is not binary"},
	} {
		t.Run(tc.words, func(t *testing.T) {
			o := keysTable(t)
			k := openKeys(t, o)
			put(t, k, 1, 1)
			put(t, k, 2, 1)
			update := &sdk.UpdateItemInput{
				TableName: &o.Table, Key: map[string]types.AttributeValue{"public_key": &types.AttributeValueMemberB{Value: public[:]}},
				UpdateExpression: aws.String("REMOVE #a"), ExpressionAttributeNames: map[string]string{"#a": tc.attribute},
			}
			if tc.value != nil {
				update.UpdateExpression, update.ExpressionAttributeValues = aws.String("SET #a = :v"), map[string]types.AttributeValue{":v": tc.value}
			}
			if _, err := shared.Client().UpdateItem(t.Context(), update); err != nil {
				t.Fatal(err)
			}
			_, err := k.Load(t.Context(), []store.Status{store.Active}, 4, func(store.Key) error { return nil })
			want := fmt.Sprintf("keys table %s: %v: the item of key 0x%x is malformed: %s", o.Table, store.ErrUnavailable, public, tc.words)
			if !errors.Is(err, store.ErrUnavailable) || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// TestRestored: a table whose items are of different moments is not loaded until its keys are counted again, and then works.
func TestRestored(t *testing.T) {
	o := keysTable(t)
	k := openKeys(t, o)
	for n := range 5 {
		put(t, k, n, 1)
	}
	f := follow(t, k)
	saved := scan(t, o.Table)
	put(t, k, 1, 2)
	put(t, k, 5, 1)
	put(t, k, 2, 2)
	for _, i := range saved { // the head and the log are older than the keys
		if public, ok := i["public_key"].(*types.AttributeValueMemberB); ok && len(public.Value) < 48 {
			if _, err := shared.Client().PutItem(t.Context(), &sdk.PutItemInput{TableName: &o.Table, Item: i}); err != nil {
				t.Fatal(err)
			}
		}
	}
	restored := openKeys(t, o)
	load := func(ctx context.Context) (n int, err error) {
		_, err = restored.Load(ctx, []store.Status{store.Active}, 16, func(store.Key) error { n++; return nil })
		return n, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if n, err := load(ctx); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "needs its keys counted again") {
		t.Errorf("before: %d keys, %v", n, err)
	}
	if err := dynamodb.RecountKeys(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if n, err := load(t.Context()); n != 6 || err != nil {
		t.Errorf("after: %d keys, %v", n, err)
	}
	if _, _, err := restored.Changes(t.Context(), f.Cursor+2); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a cursor from before: %v", err)
	}
	got, err := restored.Get(t.Context(), storetest.Public(1))
	if err != nil || got.Version != 2 {
		t.Fatalf("version %d, %v", got.Version, err)
	}
	for n, version := range map[int]uint64{0: 1, 1: 2, 2: 2, 5: 1} { // what is sealed is sealed for one version
		if got, err := restored.Get(t.Context(), storetest.Public(n)); err != nil || got.Version != version || !bytes.Equal(got.Body, []byte{byte(version)}) {
			t.Errorf("key %d: version %d of body %v, %v", n, got.Version, got.Body, err)
		}
	}
	put(t, restored, 1, 3)
	if n, err := load(t.Context()); n != 6 || err != nil {
		t.Errorf("after a change: %d keys, %v", n, err)
	}
}

// TestRecountStops: what stopped between its two writes goes on with the next.
func TestRecountStops(t *testing.T) {
	o := keysTable(t)
	k := openKeys(t, o)
	for n := range 3 {
		put(t, k, n, 1)
	}
	public := storetest.Public(2)
	if _, err := shared.Client().UpdateItem(t.Context(), &sdk.UpdateItemInput{
		TableName: &o.Table, Key: map[string]types.AttributeValue{"public_key": &types.AttributeValueMemberB{Value: public[:]}},
		UpdateExpression: aws.String("SET changed = :n"), ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "5000"}},
	}); err != nil {
		t.Fatal(err)
	}
	versions := func(k store.Keys, want uint64) { // of the key
		t.Helper()
		got := map[[48]byte]uint64{}
		_, err := k.Load(t.Context(), []store.Status{store.Active}, 16, func(key store.Key) error { got[key.PublicKey] = key.Version; return nil })
		if err != nil || len(got) != 3 || got[public] != want {
			t.Errorf("%v, %v", got, err)
		}
	}
	for range 2 {
		if err := dynamodb.RecountKeys(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		versions(openKeys(t, o), 1)
	}
	put(t, k, 2, 2)
	versions(k, 2)
}

// scan is all items of a table.
func scan(t *testing.T, table string) []map[string]types.AttributeValue {
	t.Helper()
	out, err := shared.Client().Scan(t.Context(), &sdk.ScanInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	return out.Items
}
