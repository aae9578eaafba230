package diagnostics

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"
)

// own are the files about this process that need nothing of it.
func own() []File {
	return []File{
		{Name: "goroutines.txt", About: "what each goroutine is doing: the functions, without their arguments", Make: goroutines},
		{Name: "runtime.json", About: "memory and garbage collection of the Go runtime", Make: numbers},
	}
}

// goroutines has the stacks without the values of arguments, which the other forms of a dump print: they could be keys.
func goroutines(context.Context) ([]byte, error) {
	var out bytes.Buffer
	err := pprof.Lookup("goroutine").WriteTo(&out, 1)
	return out.Bytes(), err
}

// memory is what the runtime says of itself; sizes are bytes.
type memory struct {
	Go            string  `json:"go"`
	OS            string  `json:"os"`
	Architecture  string  `json:"architecture"`
	CPUs          int     `json:"cpus"`
	MaxProcs      int     `json:"gomaxprocs"`
	Goroutines    int     `json:"goroutines"`
	Limit         int64   `json:"memory_limit"`
	Sys           uint64  `json:"sys"`
	HeapAlloc     uint64  `json:"heap_alloc"`
	HeapInuse     uint64  `json:"heap_inuse"`
	HeapIdle      uint64  `json:"heap_idle"`
	HeapReleased  uint64  `json:"heap_released"`
	HeapObjects   uint64  `json:"heap_objects"`
	StackInuse    uint64  `json:"stack_inuse"`
	TotalAlloc    uint64  `json:"total_alloc"`
	Mallocs       uint64  `json:"mallocs"`
	Frees         uint64  `json:"frees"`
	NextGC        uint64  `json:"next_gc"`
	Collections   uint32  `json:"gc_runs"`
	Forced        uint32  `json:"gc_forced"`
	CPUShare      float64 `json:"gc_cpu_share"` // since the start
	LastGC        string  `json:"gc_last,omitempty"`
	PauseTotal    float64 `json:"gc_pause_total_seconds"`
	PauseMedian   float64 `json:"gc_pause_median_seconds"` // of the last 256
	PauseLongest  float64 `json:"gc_pause_longest_seconds"`
	PauseLastOnes []int64 `json:"gc_pauses_nanoseconds"` // the last 10, the newest first
}

func numbers(context.Context) ([]byte, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	gc := debug.GCStats{PauseQuantiles: make([]time.Duration, 3)}
	debug.ReadGCStats(&gc)
	out := memory{
		Go: runtime.Version(), OS: runtime.GOOS, Architecture: runtime.GOARCH,
		CPUs: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0), Goroutines: runtime.NumGoroutine(), Limit: debug.SetMemoryLimit(-1),
		Sys: m.Sys, HeapAlloc: m.HeapAlloc, HeapInuse: m.HeapInuse, HeapIdle: m.HeapIdle, HeapReleased: m.HeapReleased, HeapObjects: m.HeapObjects,
		StackInuse: m.StackInuse, TotalAlloc: m.TotalAlloc, Mallocs: m.Mallocs, Frees: m.Frees, NextGC: m.NextGC,
		Collections: m.NumGC, Forced: m.NumForcedGC, CPUShare: m.GCCPUFraction,
		PauseTotal: gc.PauseTotal.Seconds(), PauseMedian: gc.PauseQuantiles[1].Seconds(), PauseLongest: gc.PauseQuantiles[2].Seconds(),
		PauseLastOnes: []int64{},
	}
	if gc.NumGC > 0 {
		out.LastGC = gc.LastGC.UTC().Format(time.RFC3339Nano)
	}
	for _, pause := range gc.Pause[:min(len(gc.Pause), 10)] {
		out.PauseLastOnes = append(out.PauseLastOnes, pause.Nanoseconds())
	}
	return json.MarshalIndent(out, "", "  ")
}
