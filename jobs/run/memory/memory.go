// Package memory measures how much memory this process takes, as the operating
// system counts it: pages that are in RAM, those of the program itself included.
package memory

import "sync"

// Meter measures the peak while tasks run. The zero value is ready to use, and
// safe for concurrent use; a process should have one, since all its tasks share
// the memory that is measured.
type Meter struct {
	mu      sync.Mutex
	running int
	reset   func() bool  // begins a new peak; nil: the system's
	peak    func() int64 // since then; nil: the system's
}

// Process is the meter of this process.
var Process = &Meter{}

// Begin notes that a task begins. When none was running the peak begins anew,
// where the system can do that (Linux); else it is that of the whole life of the
// process. The function that it returns notes that the task has ended, and
// returns the peak in bytes so far, 0 where the system does not tell.
func (m *Meter) Begin() (end func() int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reset, peak := m.reset, m.peak
	if reset == nil {
		reset = resetPeak
	}
	if peak == nil {
		peak = readPeak
	}
	if m.running == 0 {
		reset()
	}
	m.running++
	var once sync.Once
	return func() int64 {
		n := peak()
		once.Do(func() {
			m.mu.Lock()
			m.running--
			m.mu.Unlock()
		})
		return n
	}
}
