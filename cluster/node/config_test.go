package node

import (
	"strings"
	"testing"

	"github.com/troupe-ml/troupe/internal/fault"
)

func TestTheDefaultIsValid(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Name, c.Bind, c.Servers, c.Slots, c.HTTPPort, c.Join, c.NATSURL, c.Scratch = "a b", "0.0.0.0", 2, 0, 70000, []string{"nowhere"}, "http://x", "s3://bucket/scratch"
	err := c.Validate()
	if fault.Of(err) != fault.Invalid {
		t.Fatalf("got %v (%v), want kind invalid", err, fault.Of(err))
	}
	for _, want := range []string{"name is", "openssl rand -hex 32", "servers is 2", "slots is 0", "http port is 70000", `join is "nowhere"`, `nats is "http://x"`, `scratch is "s3://bucket/scratch"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
}

func TestOutsideLoopbackASecretIsNeeded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bind, secret string
		valid        bool
	}{
		{"127.0.0.1", "", true},
		{"::1", "", true},
		{"0.0.0.0", "", false},
		{"10.0.0.5", "", false},
		{"10.0.0.5", "short", false},
		{"10.0.0.5", "0123456789abcdef", true},
	} {
		cfg := DefaultConfig()
		cfg.Bind, cfg.Secret = c.bind, []byte(c.secret)
		if err := cfg.Validate(); (err == nil) != c.valid {
			t.Errorf("bind %s with secret %q: %v", c.bind, c.secret, err)
		}
	}
}

func TestAWorkerNeedsACluster(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Roles = []Role{Worker}
	if err := c.Validate(); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "--join") {
		t.Fatalf("got %v", err)
	}
}
