package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// lagTries is how often Load reads an index that is not up to date, over about five seconds. It usually is after some milliseconds.
const lagTries = 20

// aheadTries is how often Load catches up with writers before it begins again.
const aheadTries = 8

// errLag is an index that is not up to date.
var errLag = errors.New("not up to date")

// Load implements store.Keys. It reads the index, in which every change appears some time after it was made and nobody says when. What
// changed since Load began is read from the log. Whether the index has shown everything before that is known: the head counts the
// keys of each status as they are after its change (see tally), and Load returns only what adds up to that.
func (k *Keys) Load(ctx context.Context, statuses []store.Status, readers int, yield func(store.Key) error) (store.Cursor, error) {
	if err := store.CheckStatuses(statuses); err != nil {
		return 0, err
	}
	var lag error // of the try before
	for tries := 1; ; tries++ {
		keys, h, err := k.snapshot(ctx, statuses, readers)
		lags := errors.Is(err, errLag) || errors.Is(err, store.ErrCursor)
		if lags {
			lag = err
		}
		switch {
		case lags && tries < lagTries && dynamoclient.Pause(ctx, tries):
			continue
		case lags, err != nil && ctx.Err() != nil && lag != nil:
			return 0, k.named("keys", fmt.Errorf("%w: %v; a restored table needs its keys counted again", store.ErrUnavailable, lag)) //nolint:errorlint // it must not be an ErrCursor
		case err != nil:
			return 0, k.named("keys", err)
		}
		for _, key := range keys {
			if err := yield(key); err != nil {
				return 0, err
			}
		}
		return store.Cursor(h.n), nil
	}
}

// snapshot is all keys of these statuses as they are after the change of the head that it returns. The error wraps errLag if the index
// does not show them all.
func (k *Keys) snapshot(ctx context.Context, statuses []store.Status, readers int) (map[[48]byte]store.Key, head, error) {
	h, err := k.head(ctx)
	if err != nil {
		return nil, h, err
	}
	keys, err := k.query(ctx, statuses, readers)
	if err != nil {
		return nil, h, err
	}
	// Change h.n may stand in the head alone.
	seen := max(h.n, 1) - 1
	for tries := 1; ; tries++ {
		if h, err = k.head(ctx); err != nil {
			return nil, h, err
		}
		changed, err := k.between(ctx, h, seen, h.n)
		if err != nil {
			return nil, h, err
		}
		seen = h.n
		for _, key := range changed {
			merge(keys, key, statuses)
		}
		ahead := false // a key was read that has changed since
		for _, key := range keys {
			ahead = ahead || key.Changed > h.n
		}
		if !ahead {
			return keys, h, adds(keys, h, statuses)
		}
		if tries == aheadTries || !dynamoclient.Pause(ctx, min(tries, 2)) {
			return nil, h, fmt.Errorf("%w: keys have later changes than the last, %d", errLag, h.n)
		}
	}
}

// merge has keys hold a key as it is, if it has a status that is wanted.
func merge(keys map[[48]byte]store.Key, key store.Key, statuses []store.Status) {
	switch {
	case key.Changed < keys[key.PublicKey].Changed:
	case slices.Contains(statuses, key.Status):
		keys[key.PublicKey] = key
	default:
		delete(keys, key.PublicKey)
	}
}

// adds returns an errLag if keys are not those that the head counts.
func adds(keys map[[48]byte]store.Key, h head, statuses []store.Status) error {
	var have head
	for _, key := range keys {
		have.of(key.Status).add(key)
	}
	for _, s := range statuses {
		if got, want := *have.of(s), *h.of(s); got != want {
			return fmt.Errorf("%w: the index %s shows %d %v keys, or some as they were before, where %d are counted", errLag, Index, got.count, s, want.count)
		}
	}
	return nil
}

// query reads the parts of the index in parallel.
func (k *Keys) query(ctx context.Context, statuses []store.Status, readers int) (map[[48]byte]store.Key, error) {
	var parts []string
	for _, s := range statuses {
		for shard := range uint32(shards) {
			parts = append(parts, shardName(s, shard))
		}
	}
	var mu sync.Mutex // held while keys is written to
	keys := map[[48]byte]store.Key{}
	err := each(len(parts), readers, func(i int) error {
		return k.queryPart(ctx, parts[i], func(key store.Key) {
			mu.Lock()
			defer mu.Unlock()
			merge(keys, key, statuses)
		})
	})
	return keys, err
}

// queryPart calls f with the keys of one part of the index, page by page.
func (k *Keys) queryPart(ctx context.Context, part string, f func(store.Key)) error {
	in := &dynamodb.QueryInput{
		TableName: &k.name, IndexName: aws.String(Index),
		KeyConditionExpression:    aws.String("#shard = :part"),
		ExpressionAttributeNames:  map[string]string{"#shard": attrShard},
		ExpressionAttributeValues: item{":part": text(part)},
	}
	for {
		var page *dynamodb.QueryOutput
		err := k.read(ctx, func(ctx context.Context) (err error) {
			page, err = k.client.Query(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for _, found := range page.Items {
			key, err := parseKey(found)
			if err != nil {
				return err
			}
			f(key)
		}
		if len(page.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}
