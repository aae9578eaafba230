//go:build !race

package connect_test

const raced = false
