package ring

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/troupe-ml/troupe/internal/fault"
)

// lent is the memory of a link whose other end has yet to open it.
type lent struct {
	offer  offer
	memory []byte
	file   *os.File
}

// Nobody can make the memory smaller under who uses it.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// lend makes memory for a link: a file without a place in any folder, which is gone
// with its last user.
func lend() (*lent, error) {
	l := &lent{}
	if _, err := rand.Read(l.offer.name[:]); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate(memoryName(l.offer), unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(memoryName(l.offer), unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	l.file = os.NewFile(uintptr(fd), memoryName(l.offer))
	l.offer.process, l.offer.file = uint32(os.Getpid()), uint32(fd)
	err = unix.Ftruncate(fd, memoryBytes)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err == nil {
		l.memory, err = mapped(fd)
	}
	if err != nil {
		l.file.Close()
		return nil, err
	}
	return l, nil
}

// taken ends the lending: the other end has the memory, or will not have it.
func (l *lent) taken() { l.file.Close() }

// borrow maps the memory that a process offers, if that is one of this machine, and
// of a user whose files this one may open.
func borrow(o offer) ([]byte, error) {
	path := fmt.Sprintf("/proc/%d/fd/%d", o.process, o.file)
	name, err := os.Readlink(path)
	if err != nil {
		return nil, err
	}
	if want := "/memfd:" + memoryName(o) + " (deleted)"; name != want { // another machine's process has this number here
		return nil, fault.New(fault.NotFound, "%s is %s, not %s", path, name, want)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	sealed, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, err
	}
	if info.Size() != memoryBytes || sealed&seals != seals {
		return nil, fault.New(fault.Invalid, "%s has %d bytes and the seals %#x, expected %d and %#x", path, info.Size(), sealed, memoryBytes, seals)
	}
	return mapped(int(f.Fd()))
}

func memoryName(o offer) string { return fmt.Sprintf("troupe-ring-%x", o.name) }

func mapped(fd int) ([]byte, error) {
	return unix.Mmap(fd, 0, memoryBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmap(memory []byte) {
	_ = unix.Munmap(memory) //nolint:errcheck // it was mapped
}
