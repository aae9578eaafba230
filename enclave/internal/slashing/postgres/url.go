package postgres

import "github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"

// Target is what a URL says.
type Target = pgurl.Target

// ParseURL reads a URL as pgurl.Parse does.
func ParseURL(text string) (Target, error) { return pgurl.Parse(text) }
