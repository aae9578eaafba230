//go:build tools

// Package promtool keeps promtool's version in go.mod.
package promtool

import _ "github.com/prometheus/prometheus/cmd/promtool"
