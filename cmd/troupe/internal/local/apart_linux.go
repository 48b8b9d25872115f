package local

import "syscall"

// apart lets a Ctrl-C reach the parent alone, which then drains its children,
// and drains them also when the parent is killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// whileNobodyForks calls f while this process starts no other: a child has copies of
// all sockets until it has become its program, and one that f has opened to try a port
// would be in use after f has closed it.
func whileNobodyForks(f func()) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f()
}
