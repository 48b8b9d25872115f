package api

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
)

// Role is what the bearer of a token may do; each includes those before it.
type Role string

// The roles.
const (
	Anyone Role = "anyone" // health and metrics need no token
	Read   Role = "read"   // look, and ask for predictions
	Submit Role = "submit" // run and cancel jobs, log and delete runs
	Admin  Role = "admin"  // deploy models, drain nodes
)

var ranks = map[Role]int{Anyone: 0, Read: 1, Submit: 2, Admin: 3}

// Tokens are the bearer tokens and their roles. With none, nobody is asked.
type Tokens map[string]Role

// judge returns the status of a request that needs a role: OK, Unauthorized
// when its bearer is nobody we know, Forbidden when they may do less. Every token
// is compared, in constant time.
func (t Tokens) judge(r *http.Request, need Role) int {
	if len(t) == 0 || need == Anyone {
		return http.StatusOK
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	status := http.StatusUnauthorized
	for token, role := range t {
		if subtle.ConstantTimeCompare([]byte(token), []byte(given)) == 1 && ok {
			status = http.StatusForbidden
			if ranks[role] >= ranks[need] {
				status = http.StatusOK
			}
		}
	}
	return status
}

// refusal says why the bearer of a request may not do it.
func refusal(status int, need Role) string {
	if status == http.StatusForbidden {
		return "the token that was given may do less: this needs one with role " + string(need) + " (`troupe token " + string(need) + " --secret-file FILE` prints it)"
	}
	return "this needs a token with role " + string(need) + ": pass --token or set TROUPE_TOKEN"
}

// refuse answers a request whose bearer may not do it.
func refuse(w http.ResponseWriter, status int, detail string) {
	b, err := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil {
		b = nil // plain words always encode
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) //nolint:errcheck // the caller is gone
}

// roleFor returns the role that a request needs.
func roleFor(r *http.Request) Role {
	p := r.URL.Path
	switch {
	case p == "/health", p == "/ready", p == "/metrics":
		return Anyone
	case r.Method == http.MethodGet, strings.HasPrefix(p, "/v1/predict/"):
		return Read
	case strings.HasPrefix(p, "/v1/jobs"), strings.HasPrefix(p, "/v1/runs/"):
		return Submit
	default:
		return Admin
	}
}
