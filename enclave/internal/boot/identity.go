package boot

import (
	"context"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Identity asks the parent, on a connection of its own, what AWS gives credentials for. The answer is hostile: it has the form
// that [wire.Identity.Check] wants, and may be anybody's. The error says what the parent refused, or how it failed; it is not asked again here.
func Identity(ctx context.Context, network vsock.Network) (wire.Identity, error) {
	conn, answer, err := begin(ctx, network, wire.IdentityRequest{Version: wire.Version})
	if err != nil {
		return wire.Identity{}, err
	}
	_ = conn.Close() // the answer was all that it was for
	identity, ok := answer.(wire.Identity)
	if !ok {
		return wire.Identity{}, unwanted(answer)
	}
	return identity, nil
}
