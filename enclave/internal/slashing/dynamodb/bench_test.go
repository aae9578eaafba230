package dynamodb_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// statements is the most that one request may hold (DynamoDB API reference, BatchExecuteStatement).
const statements = 25

// BenchmarkAdvance records groups of votes, of keys that have a record, as Advance does, one update each, and as batches of PartiQL
// statements, all of them in parallel and by turns the first: votes/s of both, microseconds of this process for a vote, and the median
// of the pairs' ratios of votes/s.
func BenchmarkAdvance(b *testing.B) {
	for _, keys := range []int{64, 500} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) { compare(b, keys) })
	}
}

func compare(b *testing.B, keys int) {
	b.Helper()
	o := options(table(b))
	store := open(b, o)
	if outcomes, err := store.Advance(b.Context(), group(keys, 1, 1)); err != nil || outcomes[0].Err != nil {
		b.Fatal(err)
	}
	checkStatements(b, o.Table)
	update := func(target uint64) {
		outcomes, err := store.Advance(b.Context(), group(keys, target, 1))
		if err != nil || slices.ContainsFunc(outcomes, func(o slashing.Outcome) bool { return o.Standing != attestation(target, 1) }) {
			b.Error("not recorded", err)
		}
	}
	execute := func(target uint64) {
		var sending sync.WaitGroup
		for claims := range slices.Chunk(group(keys, target, 1), statements) {
			sending.Go(func() {
				for _, answer := range execute(b, o.Table, claims) {
					if answer.Error != nil {
						b.Error(aws.ToString(answer.Error.Message))
					}
				}
			})
		}
		sending.Wait()
	}
	var updates, batches cost
	var ratios []float64
	for target := uint64(2); b.Loop(); target += 2 {
		var one, other time.Duration
		if target%4 == 0 {
			one, other = updates.add(update, target), batches.add(execute, target+1)
		} else {
			other, one = batches.add(execute, target), updates.add(update, target+1)
		}
		ratios = append(ratios, one.Seconds()/other.Seconds())
	}
	slices.Sort(ratios)
	votes := float64(keys * len(ratios))
	b.ReportMetric(votes/updates.wall.Seconds(), "updates/s")
	b.ReportMetric(votes/batches.wall.Seconds(), "statements/s")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(float64(updates.cpu.Microseconds())/votes, "us/update")
	b.ReportMetric(float64(batches.cpu.Microseconds())/votes, "us/statement")
}

// cost is time that passed, and time that this process worked.
type cost struct{ wall, cpu time.Duration }

// add is how long f took.
func (c *cost) add(f func(target uint64), target uint64) time.Duration {
	began, used := time.Now(), worked()
	f(target)
	took := time.Since(began)
	c.wall += took
	c.cpu += worked() - used
	return took
}

func worked() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// execute sends attestations as one batch of statements, which can only change records that are there.
func execute(b *testing.B, table string, claims []slashing.Claim) []types.BatchStatementResponse {
	b.Helper()
	in := &sdk.BatchExecuteStatementInput{}
	for _, c := range claims {
		v, ok := c.Vote.(slashing.Attestation)
		if !ok {
			b.Fatalf("%T", c.Vote)
		}
		source, target := number(strconv.FormatUint(v.Source, 10)), number(strconv.FormatUint(v.Target, 10))
		root := binary(v.Root[:])
		in.Statements = append(in.Statements, types.BatchStatementRequest{
			Statement: aws.String(fmt.Sprintf(`UPDATE "%s" SET source=? SET target=? SET attestation_root=? WHERE "key"=? AND
((source<=? AND target<?) OR (source=? AND target=? AND attestation_root=?)) AND (max_epoch IS MISSING OR max_epoch>=?)`, table)),
			Parameters: []types.AttributeValue{
				source, target, root, binary(c.Key[:]), source, target, source, target, root, target,
			},
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
	}
	out, err := shared.Client().BatchExecuteStatement(context.WithoutCancel(b.Context()), in)
	if err != nil {
		b.Error(err)
		return nil
	}
	return out.Responses
}

// checkStatements makes sure that the other way does the same: each statement is refused alone, and tells what is on record.
func checkStatements(b *testing.B, table string) {
	b.Helper()
	claims := group(3, 1, 1)
	claims[1].Vote = attestation(1, 2)
	claims[2].Key[40] = 1 // it has no record
	answers := execute(b, table, claims)
	if len(answers) != 3 || answers[0].Error != nil {
		b.Fatalf("%+v", answers)
	}
	for _, a := range answers[1:] {
		if a.Error == nil || a.Error.Code != types.BatchStatementErrorCodeEnumConditionalCheckFailed {
			b.Errorf("%+v", a)
		}
	}
	if len(answers[1].Error.Item) == 0 {
		b.Errorf("no item: %+v", answers[1].Error)
	}
}
