// Package ticks measures the rate of the processor's time stamp counter.
package ticks

import "time"

// counter is the time stamp counter, in ticks.
func counter() uint64

// measured is how long a measurement takes: the error is that of two readings of the clock, less than one in 10,000.
const measured = 200 * time.Millisecond

// KHz is the rate. QEMU's guests see this counter as it is.
//
// A kernel that cannot measure it has no clock in the machine nitro-enclave, and stands still: on a busy host an emulated processor is too slow
// to measure it by the timer chip, which is all that there is.
func KHz() uint64 {
	began, first := time.Now(), counter()
	<-time.After(measured)
	took, last := time.Since(began), counter()
	return (last - first) * uint64(time.Millisecond) / uint64(took)
}
