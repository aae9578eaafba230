package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

// Read reads an EIP-3076 interchange file of a network to its end, in memory of one record for each key. A problem that r
// returns is returned.
func Read(r io.Reader, n *eth2.Network) (interchange.Contents, error) {
	contents, err := interchange.Read(r, n.ValidatorsRoot)
	const nothing = "; nothing was imported"
	switch _, said := errors.AsType[*problem.Error](err); {
	case err == nil, said:
		return contents, err
	case errors.Is(err, slashing.ErrNetwork):
		return contents, problem.New(problem.Forbidden, "%s%s", err, nothing)
	case errors.Is(err, interchange.ErrFormat):
		return contents, problem.New(problem.Malformed, "%s%s", err, nothing)
	}
	return contents, fmt.Errorf("%w%s", err, nothing)
}

// Import reads a file and merges it into the store. Nothing is written before all of it was read, and found to be right.
func (a *Admin) Import(ctx context.Context, r io.Reader, dryRun bool, tell Tell) (Summary, error) {
	contents, err := Read(r, a.network)
	if err != nil {
		return Summary{}, err
	}
	return a.Merge(ctx, contents, dryRun, tell)
}

// Merge merges what was read of a file into the store, for all keys or none, and then tells of each.
func (a *Admin) Merge(ctx context.Context, contents interchange.Contents, dryRun bool, tell Tell) (Summary, error) {
	s := Summary{DryRun: dryRun, Attestations: contents.Attestations, Blocks: contents.Blocks}
	before, err := a.standing(ctx, contents.Records)
	if err != nil {
		return s, err
	}
	err = a.apply(ctx, before, contents.Records, &s, tell)
	return s, err
}

// apply merges records, each of another key, unless it is a dry run, and then tells what became of what was on record for each
// before. What signers add meanwhile is not lost, but not told either.
func (a *Admin) apply(ctx context.Context, before, records []slashing.Record, s *Summary, tell Tell) error {
	if w := a.ahead(records); w != "" {
		s.Warnings = append(s.Warnings, w)
	}
	if s.DryRun {
		if _, err := a.identify(ctx); err != nil {
			return err
		}
	} else {
		if err := a.pin(ctx); err != nil {
			return err
		}
		if err := a.ledger.Merge(ctx, records); err != nil {
			return undone(fmt.Errorf("merge into the store: %w", err))
		}
	}
	for i, r := range records {
		c := changeOf(before[i], slashing.Merged(before[i], r))
		s.count(c.Result)
		if err := tell(c); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// ahead tells of records that would keep their keys from signing until the chain is there, which nothing can mend; "" if there are
// none. A block may be proposed, and a vote made, by a clock that is a little fast.
func (a *Admin) ahead(records []slashing.Record) string {
	now, ok := a.network.EpochAt(time.Now())
	if !ok {
		return ""
	}
	ahead, highest := 0, uint64(0)
	for _, r := range records {
		epoch := uint64(0)
		if r.Attestation != nil {
			epoch = r.Attestation.Target
		}
		if r.Block != nil {
			epoch = max(epoch, a.network.EpochOf(r.Block.Slot))
		}
		if epoch > now+1 {
			ahead, highest = ahead+1, max(highest, epoch)
		}
	}
	if ahead == 0 {
		return ""
	}
	return fmt.Sprintf("%d keys get heights up to epoch %d, while it is epoch %d: they sign nothing until then, and nothing lowers them", ahead, highest, now)
}
