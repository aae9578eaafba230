package storm

import (
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// racerConfig is the environment variable that makes a racer of this test program: the path of a signer's configuration.
const racerConfig = "STORM_RACER_CONFIG"

// callers ask a racer at once, each for a key of its own.
const callers = 64

// lap is a row of pairs that both racers run at the same time, each for one side of every pair. A lap has each key at most once.
type lap struct {
	First, Pairs int
	Side         int // 0 or 1
}

// finish is how a racer fared with one pair.
type finish struct {
	Won          []int // sides that got a permit
	Again        int   // how often the store did not say what became of a vote
	Began, Ended int64 // Unix nanoseconds
}

// race is a racer: a guard over the configured store, which runs each lap that it reads and writes how it fared.
func race(path string, laps io.Reader, results io.Writer) error {
	cfg, err := config.Load(config.Sources{Path: path})
	if err != nil {
		return err
	}
	store, err := openStore(cfg.AntiSlashing)
	if err != nil {
		return err
	}
	guard := slashing.NewGuard(store, cfg.AntiSlashing.WriteTimeout)
	in, out := gob.NewDecoder(laps), gob.NewEncoder(results)
	if err := out.Encode("ready"); err != nil {
		return err
	}
	for {
		var l lap
		if err := in.Decode(&l); errors.Is(err, io.EOF) {
			return store.Close()
		} else if err != nil {
			return err
		}
		finishes, err := l.run(guard)
		if err != nil {
			return err
		}
		if err := out.Encode(finishes); err != nil {
			return err
		}
	}
}

func openStore(c config.AntiSlashing) (slashing.Store, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	dial := new(net.Dialer).DialContext
	switch c.Backend {
	case "sqlite":
		return sqlite.Open(ctx, c.SQLite.Path)
	case "postgres":
		return app.Postgres(app.NoCredentials)(ctx, c, dial)
	case "dynamodb":
		return app.DynamoDB(func(context.Context, string, egress.DialFunc) (aws.CredentialsProvider, error) {
			return credentials.NewStaticCredentialsProvider(dynamodbtest.KeyID, dynamodbtest.SecretKey, ""), nil
		})(ctx, c, dial)
	}
	return nil, fmt.Errorf("no racer for a %s store", c.Backend)
}

// run has all callers race at once.
func (l lap) run(guard *slashing.Guard) ([]finish, error) {
	finishes, failures := make([]finish, l.Pairs), make([]error, l.Pairs)
	var running sync.WaitGroup
	for i := range l.Pairs {
		running.Go(func() { finishes[i], failures[i] = raceFor(guard, l.First+i, l.Side) })
	}
	running.Wait()
	return finishes, errors.Join(failures...)
}

// raceFor asks for one side's votes of a pair.
func raceFor(guard *slashing.Guard, pair, side int) (finish, error) {
	f := finish{Began: time.Now().UnixNano()}
	sides := []int{side}
	if crowded(pair) {
		sides = append(sides, side+2)
	}
	won, again, failures := make([]bool, len(sides)), make([]int, len(sides)), make([]error, len(sides))
	var asking sync.WaitGroup
	for i, side := range sides {
		asking.Go(func() { won[i], again[i], failures[i] = permitted(guard, keyOf(pair), pairVote(pair, side)) })
	}
	asking.Wait()
	f.Ended = time.Now().UnixNano()
	for i, side := range sides {
		if f.Again += again[i]; won[i] {
			f.Won = append(f.Won, side)
		}
	}
	return f, errors.Join(failures...)
}

// permitted asks until the store says what became of the vote.
func permitted(guard *slashing.Guard, key bls.PublicKey, v vote) (won bool, again int, err error) {
	const tries = 20
	for again = range tries {
		_, err = guard.Permit(context.Background(), key, v.request)
		switch {
		case err == nil:
			return true, again, nil
		case errors.Is(err, slashing.ErrRefused):
			return false, again, nil
		}
	}
	return false, again, fmt.Errorf("%d times in vain: %w", tries, err)
}

// keyOf is the key of a pair. No key need be real where nothing is signed.
func keyOf(pair int) (key bls.PublicKey) {
	binary.BigEndian.PutUint64(key[:], uint64(pair%callers))
	return key
}

// crowded says that each racer asks for two votes of a pair at once, so that a batch of its own has two claims of the key.
func crowded(pair int) bool { return kindOf(pair) == 3 }

func kindOf(pair int) int { return (pair/callers + pair) % 5 }

// pairVote is what a side asks for: any two sides of a pair conflict, and every pair is above those before it of its key.
func pairVote(pair, side int) vote {
	height := uint64(firstHeight + 10*(pair/callers))
	odd := uint64(side % 2)
	switch kindOf(pair) {
	case 1:
		return attestation(height-5-odd, height+odd, byte(side)) // the odd side surrounds
	case 2:
		return block(height, byte(side))
	case 4:
		return attestation(height-5+odd, height-odd, byte(side)) // the odd side is surrounded
	}
	return attestation(height-5, height, byte(side))
}
