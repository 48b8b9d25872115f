package node

import (
	"net"

	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
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

// tokens returns what the HTTP door asks for.
func tokens(cfg Config, t *trust.Trust) (api.Tokens, error) {
	ip := net.ParseIP(cfg.Bind)
	if len(cfg.Tokens) > 0 || t == nil || ip != nil && ip.IsLoopback() {
		return cfg.Tokens, nil
	}
	derived := api.Tokens{}
	for _, role := range []api.Role{api.Read, api.Submit, api.Admin} {
		token, err := t.Token(string(role))
		if err != nil {
			return nil, err
		}
		derived[token] = role
	}
	return derived, nil
}
