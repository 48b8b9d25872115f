package node

import (
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Token returns the bearer token of a role at the HTTP doors of the cluster with
// that secret, for nodes that were given no tokens of their own.
func Token(secret []byte, role api.Role) (string, error) {
	t, err := trust.New(secret, clock.Real{})
	if err != nil {
		return "", err
	}
	return t.Token(string(role))
}

// tokensFile is where a node writes the tokens that it has derived, for the
// person who looks after it; in the form that --tokens-file reads.
const tokensFile = "tokens.json"

// tokens returns what the HTTP door asks for.
func (n *Node) tokens() (api.Tokens, error) {
	ip := net.ParseIP(n.cfg.Bind)
	if len(n.cfg.Tokens) > 0 || n.trust == nil || ip != nil && ip.IsLoopback() {
		return n.cfg.Tokens, nil
	}
	derived := api.Tokens{}
	for _, role := range []api.Role{api.Read, api.Submit, api.Admin} {
		token, err := n.trust.Token(string(role))
		if err != nil {
			return nil, err
		}
		derived[token] = role
	}
	b, err := json.MarshalIndent(derived, "", "  ")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err)
	}
	path := filepath.Join(n.folder.dir, tokensFile)
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return nil, fault.New(fault.Exhausted, "node: %w", err)
	}
	n.cfg.Log.Info("HTTP asks for tokens, for others can reach it", slog.String("path", path))
	return derived, nil
}
