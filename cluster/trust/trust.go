// Package trust derives all credentials of a cluster from one secret: the key
// of the gossip, the certificate authority behind every TLS connection between
// members, and the passwords of the store. There is nothing to distribute but
// the secret, and who holds it is a member in full.
//
// The derivation is HKDF-SHA256 with a salt that names the format, so all
// members compute the same bytes. It does not stretch: a secret that people can
// remember can be guessed.
package trust

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// ServerName is the one name in every member's certificate. Members are known
// by the authority that signed them, not by their addresses, which change.
const ServerName = "member.troupe.internal"

// MinSecretBytes is the least length of a secret.
const MinSecretBytes = 16

const (
	salt        = "troupe/v1" // of the format: another one is another cluster
	leafLife    = 90 * 24 * time.Hour
	renewAfter  = 30 * 24 * time.Hour
	clockSkew   = 24 * time.Hour // that members may differ by
	gossipBytes = 32             // AES-256
)

// Login is a name and password for the store.
type Login struct {
	User     string
	Password string
}

// Trust are the credentials of one cluster. It is safe for concurrent use.
type Trust struct {
	secret []byte
	gossip []byte
	node   Login
	key    ed25519.PrivateKey
	root   *x509.Certificate
	pool   *x509.CertPool
	clock  clock.Clock
}

// New derives the credentials from a secret; one that is too short is of kind
// Invalid.
func New(secret []byte, c clock.Clock) (*Trust, error) {
	if len(secret) < MinSecretBytes {
		return nil, fault.New(fault.Invalid, "trust: the secret has %d bytes, at least %d are needed: make one with `openssl rand -hex 32`", len(secret), MinSecretBytes)
	}
	t := &Trust{secret: slices.Clone(secret), clock: c, pool: x509.NewCertPool()}
	gossip, err := derive(secret, "gossip", gossipBytes)
	if err != nil {
		return nil, err
	}
	password, err := derive(secret, "nats/node", 32)
	if err != nil {
		return nil, err
	}
	seed, err := derive(secret, "authority", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	t.gossip = gossip
	t.node = Login{User: "node", Password: base64.RawURLEncoding.EncodeToString(password)}
	t.key = ed25519.NewKeyFromSeed(seed)
	if t.root, err = authority(t.key); err != nil {
		return nil, err
	}
	t.pool.AddCert(t.root)
	return t, nil
}

func derive(secret []byte, purpose string, n int) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, secret, []byte(salt), purpose, n)
	if err != nil {
		return nil, fmt.Errorf("trust: derive %s: %w", purpose, err)
	}
	return b, nil
}

// authority returns the certificate of the cluster's authority. Every field is
// fixed and Ed25519 draws nothing, so all members compute the same bytes.
func authority(key ed25519.PrivateKey) (*x509.Certificate, error) {
	start := time.Unix(1700000000, 0).UTC()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "troupe authority"},
		NotBefore: start, NotAfter: start.AddDate(100, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("trust: authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("trust: authority: %w", err)
	}
	return cert, nil
}

// GossipKey returns the key that encrypts the gossip.
func (t *Trust) GossipKey() []byte { return append([]byte(nil), t.gossip...) }

// NodeLogin returns the name and password of members at the store.
func (t *Trust) NodeLogin() Login { return t.node }

// Token returns the bearer token of a role at the HTTP doors. It tells nothing
// of the secret.
func (t *Trust) Token(role string) (string, error) {
	b, err := derive(t.secret, "http/"+role, 32)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// TLS returns the settings of a member's connections, for both ends of them:
// TLS 1.3, and each side shows a certificate of this cluster's authority. The
// certificate is made here, is known to this process only, and is renewed long
// before it ends.
func (t *Trust) TLS(member string) (*tls.Config, error) {
	l := &leaf{trust: t, member: member}
	first, err := l.current()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName, Time: t.clock.Now,
		Certificates: []tls.Certificate{*first}, // for libraries that look whether there is one
		RootCAs:      t.pool, ClientCAs: t.pool, ClientAuth: tls.RequireAndVerifyClientCert,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.current() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return l.current() },
	}, nil
}

// leaf is the certificate of one process, made anew when it has aged.
type leaf struct {
	trust  *Trust
	member string

	mu   sync.Mutex
	cert *tls.Certificate
	made time.Time
}

func (l *leaf) current() (*tls.Certificate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.trust.clock.Now()
	if l.cert != nil && now.Sub(l.made) < renewAfter {
		return l.cert, nil
	}
	cert, err := l.trust.issue(l.member, now)
	if err != nil {
		return nil, err
	}
	l.cert, l.made = cert, now
	return cert, nil
}

// issue signs a certificate for a new key.
func (t *Trust) issue(member string, now time.Time) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("trust: certificate of %s: %w", member, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("trust: certificate of %s: %w", member, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: member}, DNSNames: []string{ServerName},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, t.root, public, t.key)
	if err != nil {
		return nil, fmt.Errorf("trust: certificate of %s: %w", member, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
