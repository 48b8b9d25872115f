package files

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/troupe-ml/troupe/internal/fault"
)

// DiskFault gives an error of the file system its kind: a full disk may have
// room later, a missing permission will not come by itself.
func DiskFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.Exhausted, "%w: free some, then run the job again", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.Wrap(fault.Invalid, err)
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.NotFound, err)
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fault.Wrap(fault.Unavailable, err)
}
