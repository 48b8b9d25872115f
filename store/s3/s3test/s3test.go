// Package s3test is a real S3 server for tests: versitygw over a folder, as a
// child process, behind a proxy that counts requests and can be told to fail.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/store/s3"
)

// What the server knows its caller by, and its one bucket.
const (
	Access = "troupe-test"
	Secret = "not-a-secret-but-never-shown" //nolint:gosec // of a server that lives as long as a test
	Bucket = "lake"
	Region = "us-east-1"
)

// Server is a running server with an empty bucket.
type Server struct {
	URL  string // of the proxy
	Root string // the folder that holds the bucket's objects as files

	socket string
	back   *atomic
	front  *httptest.Server
	mu     sync.Mutex
	fault  Fault
	log    []Request
}

// Start starts a server that ends with the test, or skips the test where the
// server cannot be built.
func Start(t testing.TB) *Server {
	t.Helper()
	path, err := program(t.Context())
	if err != nil {
		t.Skipf("no S3 server to test with: %v", err)
	}
	dir, err := os.MkdirTemp("", "s3-") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it is only litter
	s := &Server{Root: filepath.Join(dir, "root", Bucket), socket: filepath.Join(dir, "s")}
	for _, d := range []string{s.Root, filepath.Join(dir, "meta")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.back = &atomic{RoundTripper: s.transport()}
	s.launch(t, path, dir)
	s.front = httptest.NewServer(s.proxy())
	t.Cleanup(s.front.Close)
	s.URL = s.front.URL
	return s
}

func (s *Server) launch(t testing.TB, path, dir string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(path, "--port", s.socket, "--access", Access, "--secret", Secret, "--region", Region, "--keep-alive", "--quiet",
		"posix", "--sidecar", filepath.Join(dir, "meta"), filepath.Join(dir, "root"))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed, which is an error
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	tick := clock.Real{}.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if conn, err := net.Dial("unix", s.socket); err == nil {
			_ = conn.Close() // it answers
			return
		}
		select {
		case <-ended:
			t.Fatalf("the S3 server ended: %s", out.String())
		case <-tick.C():
		}
	}
	t.Fatal("the S3 server does not answer")
}

// Config returns how to reach the server, with retries that are quick.
func (s *Server) Config() s3.Config {
	c := s3.DefaultConfig()
	c.Endpoint, c.Region = s.URL, Region
	c.Keys = func() (s3.Keys, error) { return s3.Keys{Access: Access, Secret: Secret}, nil }
	c.Backoff, c.MaxBackoff, c.Timeout = time.Millisecond, 20*time.Millisecond, 10*time.Second
	return c
}

// Client returns a client of the server that ends with the test; change may
// change its configuration.
func (s *Server) Client(t testing.TB, change func(*s3.Config)) *s3.Client {
	t.Helper()
	cfg := s.Config()
	if change != nil {
		change(&cfg)
	}
	c, err := s3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Behind returns a client whose requests are neither counted nor disturbed, for
// what somebody else does meanwhile.
func (s *Server) Behind(t testing.TB) *s3.Client {
	t.Helper()
	quiet := httptest.NewServer(s.pass())
	t.Cleanup(quiet.Close)
	return s.Client(t, func(c *s3.Config) { c.Endpoint = quiet.URL })
}

// Env returns the environment variables by which programs find the server.
func (s *Server) Env() map[string]string {
	return map[string]string{"AWS_ENDPOINT_URL_S3": s.URL, "AWS_REGION": Region, "AWS_ACCESS_KEY_ID": Access, "AWS_SECRET_ACCESS_KEY": Secret}
}

// Fill puts a local folder's files into the bucket under a prefix, or one file
// as the prefix itself, and returns the URL.
func (s *Server) Fill(t testing.TB, prefix, local string) string {
	t.Helper()
	c := s.Client(t, nil)
	err := filepath.WalkDir(local, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(local, path)
		if err != nil {
			return err
		}
		u := s3.URL{Bucket: Bucket, Key: prefix}
		if rel != "." {
			u = u.Join(filepath.ToSlash(rel))
		}
		up := c.Create(context.Background(), u)
		if _, err := up.Write(b); err != nil {
			return errors.Join(err, up.Abort(context.Background()))
		}
		_, err = up.Commit()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("s3://%s/%s", Bucket, prefix)
}

// Uploads returns how many uploads were begun and neither finished nor aborted.
func (s *Server) Uploads(t testing.TB) int {
	t.Helper()
	core, err := minio.NewCore(s.front.Listener.Addr().String(), &minio.Options{Creds: credentials.NewStaticV4(Access, Secret, ""), Region: Region})
	if err != nil {
		t.Fatal(err)
	}
	found, err := core.ListMultipartUploads(context.Background(), Bucket, "", "", "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(found.Uploads)
}

// transport reaches the server past the proxy.
func (s *Server) transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
	}}
}
