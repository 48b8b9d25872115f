package local

import "syscall"

// apart lets a Ctrl-C reach the parent alone, which then drains its children,
// and drains them also when the parent is killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
