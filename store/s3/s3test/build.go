package s3test

import (
	"context"
	_ "embed" // the server's own module files
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/zeebo/xxh3"
)

// The server is built from a module of its own, whose dependencies are not ours.
var (
	//go:embed versitygw.mod
	modFile []byte
	//go:embed versitygw.sum
	sumFile []byte
)

const serverPackage = "github.com/versity/versitygw/cmd/versitygw"

// program returns the path of the server, which it builds if this user has not
// built this version before. That takes minutes, and the module proxy.
func program(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "troupe-tests", fmt.Sprintf("versitygw-%016x", xxh3.Hash(append(modFile[:len(modFile):len(modFile)], sumFile...))))
	path := filepath.Join(dir, "versitygw")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() //nolint:errcheck // which also unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	for name, text := range map[string][]byte{"go.mod": modFile, "go.sum": sumFile} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path+".new", serverPackage)
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", serverPackage, err, out)
	}
	return path, os.Rename(path+".new", path)
}
