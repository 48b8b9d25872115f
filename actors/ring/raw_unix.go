//go:build unix

package ring

import (
	"errors"
	"net"
	"syscall"
)

// raw writes to a link as much as the system takes at once.
type raw struct {
	conn syscall.RawConn
	try  func(fd uintptr) bool
	b    []byte
	n    int
	err  error
}

// newRaw returns nil for a link that is more than a connection.
func newRaw(c net.Conn) *raw {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	conn, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	r := &raw{conn: conn}
	r.try = func(fd uintptr) bool {
		r.n, r.err = syscall.Write(int(fd), r.b)
		return true
	}
	return r
}

// writeSome returns how many bytes were written: none is no error.
func (r *raw) writeSome(b []byte) (int, error) {
	r.b = b
	err := r.conn.Write(r.try)
	r.b = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(r.err, syscall.EAGAIN), errors.Is(r.err, syscall.EINTR):
		return 0, nil
	default:
		return max(r.n, 0), r.err
	}
}
