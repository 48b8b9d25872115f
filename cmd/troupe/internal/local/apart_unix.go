//go:build unix && !linux

package local

import "syscall"

// apart lets a Ctrl-C reach the parent alone, which then drains its children.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
