package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait for a process; it is long, since machines that run
// tests are busy.
const patience = 3 * time.Minute

// place is a folder in which the program is run, with an environment of its own.
type place struct {
	t   *testing.T
	dir string
	env []string
}

func newPlace(t *testing.T, env ...string) *place {
	t.Helper()
	return &place{t: t, dir: t.TempDir(), env: env}
}

// command prepares a run of the program.
func (p *place) command(ctx context.Context, args ...string) *exec.Cmd {
	program, err := os.Executable()
	require.NoError(p.t, err)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = p.dir
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TROUPE_") || strings.HasPrefix(e, asProgram) {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, p.env...)
	return cmd
}

// result is how a run ended.
type result struct {
	code           int
	stdout, stderr string
}

func (p *place) run(args ...string) result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := p.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	require.NoError(p.t, ctx.Err(), "troupe %v does not end; it says: %s", args, stderr.String())
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		require.NoError(p.t, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// ok runs the program, which must end with code 0, and returns what it has
// written, which must be one JSON document.
func (p *place) ok(args ...string) map[string]any {
	p.t.Helper()
	return p.ends(0, args...)
}

// ends is ok for another code.
func (p *place) ends(code int, args ...string) map[string]any {
	p.t.Helper()
	r := p.run(append(args, "-o", "json")...)
	require.Equal(p.t, code, r.code, "troupe %v: %s%s", args, r.stdout, r.stderr)
	return one(p.t, r.stdout)
}

// one decodes exactly one JSON document, an object or a list of them under "".
func one(t *testing.T, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	var v any
	require.NoError(t, d.Decode(&v), text)
	require.False(t, d.More(), "more than one document: %s", text)
	if m, ok := v.(map[string]any); ok {
		return m
	}
	return map[string]any{"": v}
}

// write makes a file.
func (p *place) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(p.t, os.WriteFile(path, []byte(text), 0o644))
}

// process is a run of the program that goes on.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	out  bytes.Buffer
	said bytes.Buffer
	news chan struct{} // has an item when something was written
}

// begin starts the program. It is killed at the end of the test if it is still
// there, together with what it has started.
func (p *place) begin(args ...string) *process {
	p.t.Helper()
	pr := &process{t: p.t, cmd: p.command(context.Background(), args...), done: make(chan struct{}), news: make(chan struct{}, 1)}
	pr.cmd.Stdout = writer(func(b []byte) { pr.write(&pr.out, b) })
	pr.cmd.Stderr = writer(func(b []byte) { pr.write(&pr.said, b) })
	require.NoError(p.t, pr.cmd.Start())
	go func() {
		_ = pr.cmd.Wait() // the state says how it ended
		close(pr.done)
	}()
	p.t.Cleanup(func() {
		_ = pr.cmd.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-pr.done:
		case <-time.After(patience):
			_ = pr.cmd.Process.Kill() // it may have ended
			<-pr.done
		}
	})
	return pr
}

type writer func(b []byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func (pr *process) write(to *bytes.Buffer, b []byte) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	to.Write(b)
	select {
	case pr.news <- struct{}{}:
	default:
	}
}

func (pr *process) text() (stdout, stderr string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return pr.out.String(), pr.said.String()
}

// until waits for something to be true of what was written.
func (pr *process) until(what string, is func(stdout, stderr string) bool) {
	pr.t.Helper()
	end := time.After(patience)
	for {
		stdout, stderr := pr.text()
		if is(stdout, stderr) {
			return
		}
		select {
		case <-pr.news:
		case <-pr.done:
			if stdout, stderr := pr.text(); !is(stdout, stderr) {
				require.Fail(pr.t, "ended before "+what, "%s%s", stdout, stderr)
			}
			return
		case <-end:
			require.Fail(pr.t, "no "+what, "%s%s", stdout, stderr)
		}
	}
}

// says waits for a text on stderr.
func (pr *process) says(text string) {
	pr.t.Helper()
	pr.until(fmt.Sprintf("%q was said", text), func(_, stderr string) bool { return strings.Contains(stderr, text) })
}

// ended waits for the end.
func (pr *process) ended() result {
	pr.t.Helper()
	select {
	case <-pr.done:
	case <-time.After(patience):
		_, stderr := pr.text()
		require.Fail(pr.t, "the process does not end", stderr)
	}
	stdout, stderr := pr.text()
	return result{pr.cmd.ProcessState.ExitCode(), stdout, stderr}
}
