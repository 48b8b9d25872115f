//go:build unix && !linux

package local

import "syscall"

// apart lets a Ctrl-C reach the parent alone, which then drains its children.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// whileNobodyForks calls f. Here the library takes the lock of forks itself to open a
// socket, and f may not hold it meanwhile.
func whileNobodyForks(f func()) { f() }
