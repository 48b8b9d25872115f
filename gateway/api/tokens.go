package api

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

// Role is what the bearer of a token may do; each includes those before it.
type Role string

// The roles.
const (
	Anyone Role = "anyone" // health and metrics need no token
	Read   Role = "read"   // look, and ask for predictions
	Submit Role = "submit" // run and cancel jobs
	Admin  Role = "admin"  // deploy models, drain nodes
)

var ranks = map[Role]int{Anyone: 0, Read: 1, Submit: 2, Admin: 3}

// Tokens are the bearer tokens and their roles. With none, nobody is asked.
type Tokens map[string]Role

// allow reports whether the request's bearer may do what needs the role. Every
// token is compared, in constant time.
func (t Tokens) allow(r *http.Request, need Role) bool {
	if len(t) == 0 || need == Anyone {
		return true
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return false
	}
	allowed := false
	for token, role := range t {
		if subtle.ConstantTimeCompare([]byte(token), []byte(given)) == 1 && ranks[role] >= ranks[need] {
			allowed = true
		}
	}
	return allowed
}

// roleFor returns the role that a request needs.
func roleFor(r *http.Request) Role {
	p := r.URL.Path
	switch {
	case p == "/health", p == "/ready", p == "/metrics":
		return Anyone
	case r.Method == http.MethodGet, strings.HasPrefix(p, "/v1/predict/"):
		return Read
	case strings.HasPrefix(p, "/v1/jobs"):
		return Submit
	default:
		return Admin
	}
}
