package run

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

// machineStart names the time since the machine has started.
func machineStart() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// allocate makes room for a file on the disk, so that nobody who maps it finds
// later that there is none.
func allocate(f *os.File, bytes int64) error { return syscall.Fallocate(int(f.Fd()), 0, 0, bytes) }

// lock locks a file for this opening of it, until it is closed. It reports
// whether it has.
func lock(f *os.File, alone, wait bool) (bool, error) {
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		}
		return err == nil, err
	}
}

// mapped returns a file's bytes, to be read only, and how to let go of them.
func mapped(f *os.File, bytes int64) ([]byte, func(), error) {
	b, err := syscall.Mmap(int(f.Fd()), 0, int(bytes), syscall.PROT_READ, syscall.MAP_SHARED|syscall.MAP_POPULATE)
	if err != nil {
		return nil, nil, err
	}
	return b, func() { _ = syscall.Munmap(b) }, nil //nolint:errcheck // it was mapped
}
