//go:build race

package attestation_test

const raced = true
