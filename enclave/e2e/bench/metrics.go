package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// readings are what the signer's own metrics say.
type readings struct {
	mallocs     float64 // objects, since the start
	bytes       float64 // allocated since the start
	collecting  float64 // seconds of CPU time since the start
	connections float64 // the most that the API takes, which follows from the limit of open files
}

// scrape reads a server's metrics, all of which must be there.
func scrape(ctx context.Context, url string) (readings, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return readings{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return readings{}, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	var r readings
	wanted := map[string]*float64{
		"go_memstats_mallocs_total":                           &r.mallocs,
		"go_memstats_alloc_bytes_total":                       &r.bytes,
		"go_cpu_classes_gc_total_cpu_seconds_total":           &r.collecting,
		`containment_http_connections_limit{listener="main"}`: &r.connections,
	}
	scanner := bufio.NewScanner(res.Body)
	for scanner.Scan() {
		name, value, _ := strings.Cut(scanner.Text(), " ")
		field := wanted[name]
		if field == nil {
			continue
		}
		if *field, err = strconv.ParseFloat(value, 64); err != nil {
			return readings{}, fmt.Errorf("read metrics: %s is %q", name, value)
		}
		delete(wanted, name)
	}
	if err := scanner.Err(); err != nil {
		return readings{}, fmt.Errorf("read metrics: %w", err)
	}
	for name := range wanted {
		return readings{}, fmt.Errorf("read metrics: %s has no %s", url, name)
	}
	return r, nil
}
