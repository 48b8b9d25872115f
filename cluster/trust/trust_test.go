package trust

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	right = "0123456789abcdef0123456789abcdef"
	wrong = "0123456789abcdef0123456789abcdeX"
)

func open(t *testing.T, secret string, c clock.Clock) *Trust {
	t.Helper()
	tr, err := New([]byte(secret), c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func config(t *testing.T, tr *Trust, member string) *tls.Config {
	t.Helper()
	c, err := tr.TLS(member)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAllMembersDeriveTheSame(t *testing.T) {
	t.Parallel()
	a, b, other := open(t, right, clock.Real{}), open(t, right, clock.Real{}), open(t, wrong, clock.Real{})
	if !bytes.Equal(a.root.Raw, b.root.Raw) || !bytes.Equal(a.GossipKey(), b.GossipKey()) || a.NodeLogin() != b.NodeLogin() {
		t.Error("two members with one secret differ")
	}
	if bytes.Equal(a.root.Raw, other.root.Raw) || bytes.Equal(a.GossipKey(), other.GossipKey()) || a.NodeLogin() == other.NodeLogin() {
		t.Error("another secret gives the same credentials")
	}
	if len(a.GossipKey()) != 32 || bytes.Contains([]byte(a.NodeLogin().Password), []byte(right)) {
		t.Errorf("gossip key of %d bytes, login %v", len(a.GossipKey()), a.NodeLogin())
	}
}

func TestRolesHaveTokensOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, tr := range []*Trust{open(t, right, clock.Real{}), open(t, wrong, clock.Real{})} {
		for _, role := range []string{"read", "submit", "admin"} {
			token, err := tr.Token(role)
			again, err2 := tr.Token(role)
			if err != nil || err2 != nil || len(token) < 40 || token != again || seen[token] {
				t.Errorf("role %s: %q, %q, %v, %v", role, token, again, err, err2)
			}
			seen[token] = true
		}
	}
}

// The derivation is part of the format: a change parts old members from new.
func TestTheDerivationStaysAsItIs(t *testing.T) {
	t.Parallel()
	const want = "vGQ4YxFkyM-rq3JbqKKVnTL7LedKLQLKcanQMxxcw24"
	if got := open(t, right, clock.Real{}).NodeLogin().Password; got != want {
		t.Errorf("the password is %s, was %s", got, want)
	}
}

func TestAShortSecretIsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "short", "0123456789abcde"} {
		if _, err := New([]byte(s), clock.Real{}); fault.Of(err) != fault.Invalid {
			t.Errorf("secret %q: %v", s, err)
		}
	}
}

// shake connects two ends and returns what each says.
func shake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		s := tls.Server(c, server)
		if err = s.Handshake(); err == nil {
			_, err = s.Write([]byte("welcome"))
		}
		_ = s.Close()
		served <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := tls.Client(c, client)
	_, clientErr = s.Read(make([]byte, 16)) // in TLS 1.3 a refusal arrives after the client's handshake
	_ = s.Close()
	return <-served, clientErr
}

func TestOnlyMembersAreLetIn(t *testing.T) {
	t.Parallel()
	mine, theirs := open(t, right, clock.Real{}), open(t, wrong, clock.Real{})
	stranger := config(t, mine, "stranger")
	stranger.Certificates, stranger.GetClientCertificate = nil, nil
	old := config(t, mine, "old")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for _, c := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
	}{
		{"a member meets a member", config(t, mine, "a"), config(t, mine, "b"), true},
		{"a member of another cluster calls", config(t, mine, "a"), config(t, theirs, "b"), false},
		{"somebody without a certificate calls", config(t, mine, "a"), stranger, false},
		{"somebody with an old TLS calls", config(t, mine, "a"), old, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			serverErr, clientErr := shake(t, c.server, c.client)
			if ok := serverErr == nil && clientErr == nil; ok != c.ok {
				t.Errorf("server: %v, client: %v", serverErr, clientErr)
			}
		})
	}
}

// at is a clock that stands still.
type at struct {
	clock.Real
	now time.Time
}

func (a *at) Now() time.Time { return a.now }

func TestACertificateIsRenewedBeforeItEnds(t *testing.T) {
	t.Parallel()
	c := &at{now: clock.Real{}.Now()}
	tr := open(t, right, c)
	mine, yours := config(t, tr, "a"), config(t, tr, "b")
	for range 8 { // 200 days, and a certificate lives for 90
		first, err := mine.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := mine.GetCertificate(nil); err != nil || again != first {
			t.Fatalf("a second certificate within one moment: %v", err)
		}
		if s, c := shake(t, mine, yours); s != nil || c != nil {
			t.Fatalf("server: %v, client: %v", s, c)
		}
		c.now = c.now.Add(25 * 24 * time.Hour)
	}
	if s, c := shake(t, mine, &tls.Config{MinVersion: tls.VersionTLS13, ServerName: ServerName, RootCAs: tr.pool, Certificates: mine.Certificates, Time: c.Now}); s == nil && c == nil {
		t.Error("a certificate that has ended was accepted")
	}
}
