//go:build !linux && !darwin

package api

func mostConnections() int { return maxConnections }
