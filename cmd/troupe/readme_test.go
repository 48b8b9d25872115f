package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// commands returns the lines of a page's code block that begins with a line, up
// to another.
func commands(t *testing.T, page, from, to string) string {
	t.Helper()
	_, text, ok := strings.Cut(page, from)
	require.True(t, ok, "the page has no line %q", from)
	text, _, ok = strings.Cut(text, to)
	require.True(t, ok, "the page has no line %q", to)
	return text
}

// The commands that the README and a new project's README tell a newcomer to
// type are typed, on fewer rows.
func TestANewcomersCommandsWork(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash to type the commands into")
	}
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	first := commands(t, string(readme), "export PATH=$PWD/bin:$PATH\n", "\ntroupe up")
	require.Contains(t, first, "troupe run features.yaml")

	p := newPlace(t)
	program, err := os.Executable()
	require.NoError(t, err)
	func() {
		syscall.ForkLock.RLock() // a child that is started meanwhile would have it open, and nobody could run it
		defer syscall.ForkLock.RUnlock()
		p.write("bin/troupe", "#!/bin/sh\nexec "+program+" \"$@\"\n")
	}()
	require.NoError(t, os.Chmod(filepath.Join(p.dir, "bin/troupe"), 0o755))
	typed := func(dir, text string) string {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		like := p.command(ctx) // for its environment
		cmd := exec.CommandContext(ctx, bash, "-e", "-c", text)
		cmd.Dir, cmd.Env = filepath.Join(p.dir, dir), append(like.Env, "PATH="+filepath.Join(p.dir, "bin")+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	out := typed(".", strings.ReplaceAll(first, "--rows 1000000", "--rows 20000"))
	require.Contains(t, out, "test.auc 0.8")

	project, err := os.ReadFile(filepath.Join(p.dir, "shop", "README.md"))
	require.NoError(t, err)
	second := commands(t, string(project), "```sh\n", "```")
	for _, c := range [][2]string{
		{"--rows 200000", "--rows 20000"},
		{"troupe train -f train.yaml", "ID=$(troupe train -f train.yaml | sed -n 's|^model: *runs:/\\(.*\\)/model$|\\1|p'); echo run $ID"},
		{"runs:/ID/model --env", "runs:/$ID/model --env"},
		{"troupe drift check -f drift.yaml", "troupe drift check -f drift.yaml || test $? = 3"},
	} {
		require.Contains(t, second, c[0])
		second = strings.ReplaceAll(second, c[0], c[1])
	}
	out = typed("shop", second)
	require.Regexp(t, `verified: +yes`, out)
	require.Regexp(t, `drift: +found in`, out)
}
