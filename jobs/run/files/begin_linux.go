//go:build linux && (amd64 || arm64)

package files

import (
	"os"
	"syscall"
)

// Begin has the system begin to bring n bytes of a file, which have been written
// from an offset on, to the disk, and does not wait for it.
func Begin(f *os.File, offset, n int64) {
	const write = 2                                          // SYNC_FILE_RANGE_WRITE
	_ = syscall.SyncFileRange(int(f.Fd()), offset, n, write) //nolint:errcheck // a file system that cannot begins on its own
}
