package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// insideName is set, to the name of the test, for processes of this test's
// binary that are inside.
const insideName = "TROUPE_TEST_INSIDE"

// inside lets a test have mounts, and networks if it asks for that namespace,
// of its own, which end with it: it runs the test again in a process in new
// namespaces, where inside returns true. Outside it returns false when that process has ended. Where the system
// does not permit it the test is skipped.
func inside(t *testing.T, namespaces uintptr, tools ...string) bool {
	t.Helper()
	if os.Getenv(insideName) == t.Name() {
		return true
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs the program %s", tool)
		}
	}
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, asProgram) {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, insideName+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | namespaces,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	started, ended := tied(cmd)
	if err := <-started; err != nil {
		t.Skipf("the system permits no namespaces: %v", err)
	}
	err = <-ended
	require.NoError(t, err, "%s", &out)
	if strings.Contains(out.String(), "--- SKIP") {
		t.Skip(out.String())
	}
	require.Contains(t, out.String(), "--- PASS: "+t.Name())
	return false
}

// tied starts a process that ends with this one, and says when it has started
// and ended.
func tied(cmd *exec.Cmd) (started, ended <-chan error) {
	began, done := make(chan error, 1), make(chan error, 1)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	go func() {
		// The system takes the end of this thread for the end of the parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		began <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	return began, done
}

// disk mounts a small disk of its own on a new folder; only inside.
func disk(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("the system permits no mounts: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}
