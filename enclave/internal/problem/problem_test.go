package problem

import (
	"errors"
	"fmt"
	"testing"
)

func TestEveryKindHasItsStatusAndALabelOfItsOwn(t *testing.T) {
	labels := map[string]Kind{}
	for kind, status := range map[Kind]int{
		Internal: 500, Malformed: 400, Unauthenticated: 401, Forbidden: 403, UnknownKey: 404, TooLarge: 413, Slashable: 412,
		Sealed: 503, Overloaded: 503, StoreUnavailable: 503,
	} {
		if got := kind.Status(); got != status {
			t.Errorf("%s: status %d, want %d", kind, got, status)
		}
		if other, taken := labels[kind.String()]; taken {
			t.Errorf("kinds %d and %d share the label %q", kind, other, kind)
		}
		labels[kind.String()] = kind
	}
}

func TestOfFindsTheRefusalAndHidesEverythingElse(t *testing.T) {
	cause := errors.New("connection to 10.0.0.1 lost")
	refusal := Wrap(StoreUnavailable, cause, "the store is away")
	found := Of(fmt.Errorf("sign: %w", refusal))
	if found != refusal || !errors.Is(found, cause) {
		t.Errorf("Of gave %v, want the refusal with its cause", found)
	}
	if p := Of(cause); p.Kind != Internal || p.Public != "internal error" || !errors.Is(p, cause) {
		t.Errorf("an unclassified error became %v %q", p.Kind, p.Public)
	}
}
