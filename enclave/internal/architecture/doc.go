// Package architecture holds the tests that guard the house's walls.
package architecture
