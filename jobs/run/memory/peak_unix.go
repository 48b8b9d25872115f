//go:build unix && !linux

package memory

import (
	"runtime"
	"syscall"
)

func resetPeak() bool { return false }

// readPeak returns the largest resident set of the process's life.
func readPeak() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(u.Maxrss) //nolint:unconvert // it is an int32 on some systems
	}
	return int64(u.Maxrss) << 10
}
